"""Protocols without sockets: bytes in, values out.

What callers send: `strict_json`, `chat_request`, `completions_request`, `headers`, `params`. What
providers send: `sse`, `chunk`, `provider_errors`, `fault_status`. What callers get: `text`,
`render_errors`; what must not be in it is taken out by `masking` and `redaction`.

The rule here: no I/O and no clock; a function gets everything it needs as an argument.
"""
