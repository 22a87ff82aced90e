"""The connection to a provider: addresses, TLS, HTTP/1.1, pool.

`upstreams` holds every provider, ready to be called: its `gate`, where a `breaker` may refuse, and
its `pool` of connections. `dial` opens a new connection to an address from `resolver`; a
`connection` sends the request and `answer_parser` reads the answer. `faults` says whose fault a
failure was, and `retry_budget` how many more attempts there may be.
"""
