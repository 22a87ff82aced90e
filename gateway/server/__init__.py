"""The listener: aiohttp's server with the deadlines and answers that it lacks.

`site` listens, on `sockets` or `unix_sockets`, and makes a `connection` for each caller, or a
`doorkeeper` while callers are being refused; `connection_limit` counts them, and `departures` ends
what callers who left have begun.

The rule here: what happens before the chain and beside it; of the chain it knows nothing.
"""
