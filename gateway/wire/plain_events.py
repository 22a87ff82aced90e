"""Events that hold one text delta and nothing else, as nearly every read of a stream does.

The rule here: an event may be recognised by its likeness to an earlier one only if it surely says
what its JSON says. If that is not certain, the JSON is read.
"""

import msgspec


class _PlainDelta(msgspec.Struct, gc=False):
    content: str | None = None


class _PlainChoice(msgspec.Struct, gc=False):
    delta: _PlainDelta
    index: int = 0
    finish_reason: str | None = None
    error: None = None


class _PlainChunk(msgspec.Struct, gc=False):
    """The fields of a chunk that show whether it has one choice with text and nothing else.

    Other common chunks are accepted here and rejected later, because an exception takes 5 µs.
    """

    choices: tuple[_PlainChoice]
    usage: None = None
    error: None = None
    x_groq: None = None


decode_plain = msgspec.json.Decoder(_PlainChunk).decode
# RecursionError comes from JSON that is nested too deeply, even in fields that nobody reads.
UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

# The sizes of HTTP chunks as written (RFC 9112 section 7.1): hexadecimal, in either case. A chunk
# with a single event is seldom larger, and every entry makes startup slower.
SIZES = {text % size: size for size in range(1, 4096) for text in (b"%x", b"%X")}


def _list_size_lines(longest: int) -> list[bytes]:
    lines = [b""] * (longest + 1)
    for size in range(1, longest - len("fff\r\n\r\n") + 1):
        line = b"%x\r\n" % size
        lines[len(line) + size + len("\r\n")] = line
    # Some lengths are impossible: with 15 bytes inside a chunk has 20, with 16 it has 22, never 21.
    return [line or bytes(length + 1) for length, line in enumerate(lines)]


# By length: the size line with which a read that is exactly one HTTP chunk begins. For an
# impossible length the entry is longer than the read, so no read can begin with it.
SIZE_LINES = _list_size_lines(4095)

# Put in the place of the text to test whether it really is the place of the text.
_PROBE = b"\xe2\x81\x82"


def find_surroundings(event: bytes, text: str) -> tuple[bytes, bytes] | None:
    """What comes before and after the text in this event, which `decode_plain` has read.

    An event with the same surroundings says the same but for its text, as long as the text needs
    no escapes. To be sure that the place is the text's and nothing else's, we try it with a text
    of our own. None if the text is written with escapes or occurs in two places.
    """
    before, quoted, behind = event.rpartition(b'"%b"' % text.encode())
    if not quoted:
        return None
    before, behind = before + b'"', b'"' + behind
    try:
        choice = decode_plain(b"".join((before, _PROBE, behind)).removeprefix(b"data:")).choices[0]
    except UNDECODABLE:
        return None
    return (before, behind) if choice.delta.content == _PROBE.decode() != text else None
