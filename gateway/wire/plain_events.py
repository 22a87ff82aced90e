"""Events of one delta of text and nothing else: what nearly every read of a stream is.

The rule here: an event that is known by its likeness says what its JSON says. Where that is not
certain, nothing is known by likeness, and the JSON is read.
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
    """A chunk of one choice, as far as it takes to see that it is text and nothing else.

    What is no text is let through as far as it is common: an exception takes 5 µs.
    """

    choices: tuple[_PlainChoice]
    usage: None = None
    error: None = None
    x_groq: None = None


decode_plain = msgspec.json.Decoder(_PlainChunk).decode
# RecursionError: of JSON that is nested too deep, also in fields that nobody reads.
UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

# Of HTTP chunks (RFC 9112 section 7.1), as they are written: hexadecimal, in either case. One with
# a single event is seldom larger, and each of these costs a start its time.
SIZES = {text % size: size for size in range(1, 4096) for text in (b"%x", b"%X")}


def _list_size_lines(longest: int) -> list[bytes]:
    lines = [b""] * (longest + 1)
    for size in range(1, longest - len("fff\r\n\r\n") + 1):
        line = b"%x\r\n" % size
        lines[len(line) + size + len("\r\n")] = line
    # No chunk has 21 bytes with its framing: with 15 in it there are 20, with 16 there are 22.
    return [line or bytes(length + 1) for length, line in enumerate(lines)]


# What a read of this many bytes begins with when it is exactly one HTTP chunk; where none is that
# long it stands longer than the read, which so begins with no such thing.
SIZE_LINES = _list_size_lines(4095)

# What stands for a text when it is tried whether a text stands there.
_PROBE = b"\xe2\x81\x82"


def find_surroundings(event: bytes, text: str) -> tuple[bytes, bytes] | None:
    """What stands before and behind the text of this event, which `decode_plain` has read.

    Another event with the same around another text says the same but for its text, as long as
    that needs no escape: the place is tried with a text of ours, so it is the text's and nothing
    else. None where the text stands with escapes, or in two places.
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
