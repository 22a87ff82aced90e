"""The chain: one verb a file, listed outermost first in `gateway.app`."""
