"""The connection to a provider: addresses, TLS, HTTP/1.1, pool.

`upstreams` has one provider after the other, ready to be called: its `gate`, where a `breaker` may
refuse, and its `pool` of connections. A new one is opened by `dial`, to an address of `resolver`; a
`connection` sends a request and `answer_parser` reads what comes. `faults` says whose failure one
was, `retry_budget` how many more tries there are.
"""
