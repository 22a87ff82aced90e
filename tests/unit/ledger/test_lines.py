"""Lines of a journal: whole or no record."""

import pytest

from gateway.ledger.lines import BLOCK_BYTES, LINE_BYTES_MAX, read_block, seal, unseal

PAYLOADS = [b'["a"]', b"", b'["' + b"x" * 3000 + b'"]', '["Zoë"]'.encode()]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_is_sealed_can_be_read(payload: bytes) -> None:
    """As it was."""
    line = seal(payload)

    assert line.endswith(b"\n")
    assert unseal(line[:-1]) == payload
    assert read_block(line).payloads == [payload]


def test_a_line_that_was_cut_anywhere_is_left_for_later() -> None:
    """A process may die at any byte of a line (J14)."""
    whole, line = seal(b'["first"]'), seal(b'["second"]')

    for cut in range(len(line)):
        block = read_block(whole + line[:cut])
        assert (block.payloads, block.read_bytes, block.damaged) == ([b'["first"]'], len(whole), 0)


def test_a_flipped_bit_anywhere_damages_its_line_alone() -> None:
    """J13: whoever reads goes on with the next one, and counts."""
    lines = [seal(b'["first"]'), seal(b'["second"]'), seal(b'["third"]')]
    start = len(lines[0])

    for place in range(len(lines[1])):
        block = bytearray(b"".join(lines))
        block[start + place] ^= 1 << place % 8
        read = read_block(bytes(block))
        assert read.payloads[0] == b'["first"]'
        assert b'["second"]' not in read.payloads
        # The break itself may have been hit: then two lines are one that is damaged.
        assert (b'["third"]' in read.payloads) or place == len(lines[1]) - 1
        assert read.damaged >= 1


def test_an_empty_line_is_no_damage() -> None:
    """It ends what could not be taken back."""
    block = read_block(b"0000001" + b"\n" + b"\n" + seal(b"[]"))

    assert (block.payloads, block.damaged) == ([b"[]"], 1)


def test_damage_without_a_break_does_not_stop_the_reading() -> None:
    """A file of zeros is what a power failure leaves on some file systems."""
    zeros = bytes(LINE_BYTES_MAX + 1)

    assert read_block(zeros).read_bytes == len(zeros)
    assert read_block(zeros).damaged == 1
    assert read_block(zeros[:1000]).read_bytes == 0


def test_what_is_read_at_a_time_may_hold_many_lines() -> None:
    """More of them than the longest line may have is no damage."""
    line = seal(b'["' + b"x" * 3000 + b'"]')
    count = BLOCK_BYTES // len(line)

    block = read_block((line * (count + 1))[:BLOCK_BYTES])

    assert (len(block.payloads), block.read_bytes) == (count, count * len(line))
    assert block.damaged == 0
