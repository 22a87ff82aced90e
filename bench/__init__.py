"""The benchmark: this gateway, plain nginx and a plain aiohttp relay side by side.

The rule here: it sees the gateway from outside, as a program on a port; only the upstream is ours.
"""
