"""How a record stands in a journal: one line with its length and its checksum.

The rule here: a line is whole or it is no record. Whoever reads finds the next line after one that
is damaged, and people can read all of it.
"""

from collections.abc import Iterator
from zlib import crc32

import msgspec

PREFIX_BYTES = 18  # "0000012c 89abcdef "
BLOCK_BYTES = 256 * 1024  # read at a time
LINE_BYTES_MAX = 64 * 1024  # a hundred times what there is to say


class Block(msgspec.Struct, frozen=True):
    """What a piece of a journal holds."""

    payloads: list[bytes]
    read_bytes: int  # up to the end of its last whole line
    damaged: int  # lines that are none of ours


def seal(payload: bytes) -> bytes:
    """A line that holds this; the payload has no line break in it."""
    return b"%08x %08x %b\n" % (len(payload), crc32(payload), payload)


def unseal(line: bytes) -> bytes | None:
    """What a line without its break holds; None for one that is damaged."""
    payload = line[PREFIX_BYTES:]
    return payload if line == seal(payload)[:-1] else None


def read_block(block: bytes) -> Block:
    """The records of a piece that begins where a line does."""
    end = block.rfind(b"\n") + 1
    if not end and len(block) > LINE_BYTES_MAX:
        return Block([], len(block), 1)  # no line of ours is so long: damage without a break
    payloads = list(_unseal_all(block[:end]))
    good = [payload for payload in payloads if payload is not None]
    return Block(good, end, len(payloads) - len(good))


def _unseal_all(block: bytes) -> Iterator[bytes | None]:
    for line in block.split(b"\n")[:-1]:
        if line:  # an empty one ends what was torn
            yield unseal(line)
