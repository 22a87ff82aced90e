"""Carrying one exchange: the route handler, its attempts, and the bytes between them.

`relay` handles a request: it gathers a `job`, makes attempts, and asks `retries` whether to make
another. Callbacks drive an `attempt` from its first byte to its last: `pumps` turn what the
provider sends into what the caller gets, `downstream` writes it, `deadlines` end what takes too
long, and `verdict` judges answers that arrived whole.
"""
