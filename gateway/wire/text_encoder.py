"""The answer as raw UTF-8 text, as chat front ends read it.

The rule here: every piece is valid UTF-8 by itself, and we never insert U+FFFD.
"""

# What JavaScript's trimStart removes, so that front ends show an answer as they always did.
_BLANKS = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
_HIGH = range(0xD800, 0xDC00)


class TextEncoder:
    """Encodes the deltas of one answer, without its leading blanks."""

    __slots__ = ("_half", "_started")

    def __init__(self) -> None:
        self._started = False
        self._half = ""  # a high surrogate whose low half comes with the next delta

    def encode(self, text: str) -> bytes:
        """The bytes of one delta; b"" if there is nothing to send yet."""
        if not self._started:
            text = text.lstrip(_BLANKS)
            if not text:
                return b""
            self._started = True
        if not self._half:
            try:
                return text.encode()
            except UnicodeEncodeError:
                pass
        return self._encode_halves(text)

    def _encode_halves(self, text: str) -> bytes:
        # A provider may split "\ud83d\ude00" between two deltas; half of it is no character.
        text = self._half + text
        self._half = ""
        if text and ord(text[-1]) in _HIGH:
            text, self._half = text[:-1], text[-1]
        joined = text.encode("utf-16-le", "surrogatepass")
        return joined.decode("utf-16-le", "ignore").encode()
