"""Protocols without sockets: bytes in, values out.

The rule here: no I/O and no clock; a function gets everything it needs as an argument.
"""
