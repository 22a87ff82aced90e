"""How many tokens a text is taken for."""

import json

from gateway.wire.estimates import TOKENS_PER_MEDIUM, estimate_tokens


def test_four_bytes_are_a_token() -> None:
    """And nothing is free."""
    assert estimate_tokens([b"x" * 400, b"y" * 80]) == 120
    assert estimate_tokens([b""]) == 1


def test_pictures_and_sound_count_flat() -> None:
    """Their bytes say nothing of what they cost; a megabyte is not a book."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 400_000}}
    sound = {"type": "input_audio", "input_audio": {"data": "A" * 400_000, "format": "wav"}}
    text = json.dumps([{"role": "user", "content": [picture, sound]}]).encode()

    tokens = estimate_tokens([text])

    assert 2 * TOKENS_PER_MEDIUM < tokens < 2 * TOKENS_PER_MEDIUM + 100
    assert estimate_tokens([text[: len(text) // 4]]) > 0  # cut in the middle


def test_prose_that_begins_like_a_picture_is_prose() -> None:
    """Whoever pastes a table under `data:` would set aside a thousand tokens for a book."""
    book = "data: " + "id, name, place, " * 5_000
    picture = "data:application/pdf;name=my file.pdf;base64," + "A" * len(book)

    def count(url: str) -> int:
        return estimate_tokens([json.dumps([{"content": url}]).encode()])

    assert count(book) > len(book) // 4
    assert count(picture) < TOKENS_PER_MEDIUM + 100
