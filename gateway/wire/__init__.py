"""Protocols without sockets: bytes in, values out, and back.

What callers send: `strict_json`, `chat_request`, `completions_request`, `headers`, `params`. What
providers send: `sse`, `chunk`, `provider_errors`, `fault_status`. What callers get: `text`,
`render_errors`; `masking` and `redaction` remove credentials from it.

The rule here: no I/O and no clock; a function gets everything it needs as an argument.
"""
