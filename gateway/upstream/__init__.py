"""The connection to a provider: addresses, TLS, HTTP/1.1, pool."""
