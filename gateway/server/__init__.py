"""The listener: aiohttp's server with the deadlines and answers that it lacks.

`site` listens on `sockets` or `unix_sockets` and makes a `connection` for each caller, or a
`doorkeeper` while callers are being refused. `connection_limit` counts connections, and
`departures` cleans up after callers who left.

The rule here: this package handles what happens before and beside the middleware chain, and knows
nothing about the chain.
"""
