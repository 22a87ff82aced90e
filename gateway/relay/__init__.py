"""Carrying one exchange: the route handler, its attempts, and the bytes between them.

`relay` takes a request: it gathers a `job`, makes attempts, and decides by `retries` about another
one. From the first byte to the last an `attempt` is driven by callbacks: `pumps` turn what the
provider sends into what the caller gets, `downstream` writes it, `deadlines` end what takes too
long, and `verdict` says whether a whole answer is one.
"""
