"""The format of a record in a journal: one line with its length and checksum.

The rule here: an incomplete line is no record. A reader can find the next line after a damaged one,
and the whole file is readable for people.
"""

from collections.abc import Iterator
from zlib import crc32

import msgspec

PREFIX_BYTES = 18  # "0000012c 89abcdef "
BLOCK_BYTES = 256 * 1024  # how much is read at a time
LINE_BYTES_MAX = 64 * 1024  # a hundred times the usual length


class Block(msgspec.Struct, frozen=True):
    """The contents of a piece of a journal."""

    payloads: list[bytes]
    read_bytes: int  # up to the end of its last complete line
    damaged: int  # how many lines are not valid


def seal(payload: bytes) -> bytes:
    """The line for a payload, which must not contain a line break."""
    return b"%08x %08x %b\n" % (len(payload), crc32(payload), payload)


def unseal(line: bytes) -> bytes | None:
    """The payload of a line, given without its line break; None if it is damaged."""
    payload = line[PREFIX_BYTES:]
    return payload if line == seal(payload)[:-1] else None


def read_block(block: bytes) -> Block:
    """The payloads of a piece that begins at the start of a line."""
    end = block.rfind(b"\n") + 1
    if not end and len(block) > LINE_BYTES_MAX:
        return Block([], len(block), 1)  # longer than any line of ours: damage
    payloads = list(_unseal_all(block[:end]))
    good = [payload for payload in payloads if payload is not None]
    return Block(good, end, len(payloads) - len(good))


def _unseal_all(block: bytes) -> Iterator[bytes | None]:
    for line in block.split(b"\n")[:-1]:
        if line:  # an empty one was written to end a torn line
            yield unseal(line)
