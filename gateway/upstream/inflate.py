"""Undoing a `Content-Encoding` that nobody asked for.

The rule here: the size of the output is limited by that of the input. We send
`Accept-Encoding: identity`; a provider that compresses anyway is read, a decompression bomb is not.
"""

import zlib

# Repetitive event streams reach 30:1; a bomb is near 1000:1.
MAX_RATIO = 100
FREE_BYTES = 64 * 1024
# How much is decompressed at a time: after each member zlib copies all the rest of its input, and
# a member may be as small as 20 bytes.
SLICE_BYTES = 8 * 1024

# 32: zlib detects gzip or zlib by the header; what servers call deflate is zlib in practice.
_WINDOW_BITS = {b"gzip": 32 + zlib.MAX_WBITS, b"x-gzip": 32 + zlib.MAX_WBITS}
_WINDOW_BITS[b"deflate"] = 32 + zlib.MAX_WBITS
_GZIP_ALONE = 16 + zlib.MAX_WBITS


class InflateError(Exception):
    """The compressed bytes are broken."""


class BombError(InflateError):
    """The compressed bytes expand to more than any real answer would."""


class Inflater:
    """Decompresses one body as it arrives."""

    def __init__(self, encoding: bytes) -> None:
        self._decoder = zlib.decompressobj(_WINDOW_BITS[encoding])
        # A gzip stream may consist of several members; a zlib stream has only one.
        self._may_go_on = encoding != b"deflate"
        self._in_bytes = 0
        self._out_bytes = 0

    @staticmethod
    def knows(encoding: bytes) -> bool:
        """True for an encoding that this class can decode."""
        return encoding in _WINDOW_BITS

    @property
    def is_finished(self) -> bool:
        """True once the compressed stream has ended."""
        return self._decoder.eof

    def feed(self, compressed: bytes) -> bytes:
        """The plain bytes that `compressed` adds.

        InflateError if it is broken or continues after its end; BombError if it expands too much.
        """
        self._in_bytes += len(compressed)
        plain: list[bytes] = []
        for start in range(0, len(compressed), SLICE_BYTES):
            rest = compressed[start : start + SLICE_BYTES]
            while rest := self._begin_next(rest):
                plain.append(self._decompress(rest))
                rest = self._decoder.unused_data
        return b"".join(plain)

    def _begin_next(self, compressed: bytes) -> bytes:
        """Prepare for the next member if one has ended (RFC 1952 section 2.2)."""
        if not (compressed and self._decoder.eof):
            return compressed
        if not self._may_go_on:
            # zlib would keep whatever follows, without a limit.
            raise InflateError("bytes after the end of the compression")
        compressed = compressed.lstrip(b"\0")  # some writers pad a block with zeros
        if compressed:
            self._decoder = zlib.decompressobj(_GZIP_ALONE)
        return compressed

    def _decompress(self, compressed: bytes) -> bytes:
        allowed = FREE_BYTES + MAX_RATIO * self._in_bytes - self._out_bytes
        try:
            plain = self._decoder.decompress(compressed, max(allowed, 1))  # 0 would mean no limit
        except zlib.error as error:
            raise InflateError(f"broken compression: {error}") from error
        self._out_bytes += len(plain)
        if self._decoder.unconsumed_tail or allowed <= 0:
            raise BombError(f"more than {MAX_RATIO} times its compressed size")
        return plain
