"""Compressed answers: read when they are honest, refused when they are not."""

import gzip
import zlib

import pytest

from gateway.upstream.inflate import FREE_BYTES, MAX_RATIO, BombError, InflateError, Inflater

STREAM = b"".join(b'data: {"n": %d}\n\n' % n for n in range(500))
# `deflate` in the wild is zlib's format (RFC 9110, 8.4.1.2).
CODINGS = [(b"gzip", gzip.compress), (b"x-gzip", gzip.compress), (b"deflate", zlib.compress)]


@pytest.mark.parametrize("part_bytes", [1, 13, 1_000_000])
@pytest.mark.parametrize(("encoding", "compress"), CODINGS, ids=["gzip", "x-gzip", "deflate"])
def test_a_compressed_answer_is_read_as_it_arrives(encoding, compress, part_bytes: int) -> None:
    """A provider that compresses although we asked it not to is still read."""
    packed = compress(STREAM)
    inflater = Inflater(encoding)

    plain = [inflater.feed(packed[i : i + part_bytes]) for i in range(0, len(packed), part_bytes)]

    assert b"".join(plain) == STREAM
    assert inflater.is_finished


def test_each_flush_of_the_provider_comes_out_at_once() -> None:
    """An event must not wait in our buffer for the next one."""
    packer = zlib.compressobj(wbits=31)
    inflater = Inflater(b"gzip")

    for event in (b"data: a\n\n", b"data: b\n\n"):
        packed = packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH)

        assert inflater.feed(packed) == event


@pytest.mark.parametrize("part_bytes", [100, 1_000_000])
def test_a_bomb_is_refused_before_it_takes_memory(part_bytes: int) -> None:
    """300 KB can become 300 MiB (fault F17)."""
    bomb = gzip.compress(bytes(64 * 1024 * 1024))
    inflater = Inflater(b"gzip")
    sizes: list[int] = []

    def inflate() -> None:
        starts = range(0, len(bomb), part_bytes)
        sizes.extend(len(inflater.feed(bomb[start : start + part_bytes])) for start in starts)

    with pytest.raises(BombError):
        inflate()
    assert sum(sizes) <= FREE_BYTES + MAX_RATIO * len(bomb)


def test_repetitive_streams_are_no_bombs() -> None:
    """Events of one model are alike and shrink well."""
    stream = STREAM * 20

    assert Inflater(b"gzip").feed(gzip.compress(stream)) == stream


@pytest.mark.parametrize(
    "packed",
    [
        b"not compressed at all",
        gzip.compress(STREAM, mtime=0)[:-8] + bytes(8),
        zlib.compress(STREAM, wbits=-15),
    ],
    ids=["plain", "checksum", "raw deflate"],
)
def test_broken_compression_is_an_error(packed: bytes) -> None:
    """Half-right bytes must not reach the caller as an answer."""
    with pytest.raises(InflateError):
        Inflater(b"gzip").feed(packed)


@pytest.mark.parametrize("part_bytes", [1, 13, 1_000_000])
def test_gzip_of_several_members_is_one_answer(part_bytes: int) -> None:
    """Who compresses in parts writes one for each, and some fill up the last block with zeros."""
    packed = b"".join(gzip.compress(STREAM[i : i + 2000]) for i in range(0, len(STREAM), 2000))
    packed += bytes(20)
    inflater = Inflater(b"gzip")

    plain = [inflater.feed(packed[i : i + part_bytes]) for i in range(0, len(packed), part_bytes)]

    assert b"".join(plain) == STREAM
    assert inflater.is_finished


def test_a_member_that_is_cut_is_not_finished() -> None:
    """The end of the one before is not the end of the answer."""
    inflater = Inflater(b"gzip")

    inflater.feed(gzip.compress(STREAM) + gzip.compress(STREAM)[:-1])

    assert not inflater.is_finished


def test_a_bomb_in_parts_is_refused_as_well() -> None:
    """What all members may hold together is bounded, not what each of them may."""
    bomb = gzip.compress(bytes(16 * 1024 * 1024))

    with pytest.raises(BombError):
        Inflater(b"gzip").feed(bomb * 4)


@pytest.mark.parametrize("in_one_read", [True, False])
def test_bytes_after_the_compressed_stream_are_refused(*, in_one_read: bool) -> None:
    """Zlib keeps them for ever: memory would grow for as long as they come."""
    packed = gzip.compress(STREAM)
    inflater = Inflater(b"gzip")
    if not in_one_read:
        inflater.feed(packed)
        packed = b""

    with pytest.raises(InflateError):
        inflater.feed(packed + b"more")


def test_a_truncated_stream_is_not_finished() -> None:
    """The framing may end cleanly where the compression does not."""
    inflater = Inflater(b"gzip")
    inflater.feed(gzip.compress(STREAM)[:-1])

    assert not inflater.is_finished


@pytest.mark.parametrize("encoding", [b"br", b"zstd", b"gzip, gzip", b"compress", b""])
def test_other_encodings_are_not_known(encoding: bytes) -> None:
    """We ask for `identity`; what cannot be read must not be relayed as text."""
    assert not Inflater.knows(encoding)
