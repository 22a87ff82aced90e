"""Spans of exchanges and their attempts, for a collector of OpenTelemetry's.

The rule here: spans are made when an exchange is settled, out of what it has noted, so that nothing
is done for tracing while an answer is relayed. Only `spans` and `opening` import the package of the
extra `[otel]`.
"""
