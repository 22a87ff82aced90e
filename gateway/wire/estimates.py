"""How many tokens a text has, as far as that can be told without the model's own tokenizer.

The rule here: an estimate costs no parsing. It is set aside for as long as the answer takes, and
what the provider counts takes its place.
"""

import re
from collections.abc import Collection

BYTES_PER_TOKEN = 4
CHARS_PER_TOKEN = 4  # of an answer, whose text is decoded
# An image is billed by its size in pixels, which its bytes do not tell: the usual figure.
TOKENS_PER_MEDIUM = 1_000

# Where a string begins that is no prose: a data URL, or the `data` of an audio part.
_MEDIUM = re.compile(rb'"data(?:":\s*"|:)')
_SMALL_BYTES = 2_048  # an image in so few bytes is not worth looking for
# What is encoded has no blanks, but for a file's name in its head; prose may begin with `data:`.
_HEAD_BYTES = 256


def estimate_tokens(texts: Collection[bytes]) -> int:
    """Tokens of JSON texts, at four bytes each; pictures and sound count flat."""
    size = sum(map(len, texts))
    if size <= _SMALL_BYTES:
        return size // BYTES_PER_TOKEN or 1
    found = [_find_media(text) for text in texts if len(text) > _SMALL_BYTES]
    media, media_bytes = sum(count for count, _ in found), sum(size for _, size in found)
    return ((size - media_bytes) // BYTES_PER_TOKEN + media * TOKENS_PER_MEDIUM) or 1


def _find_media(text: bytes) -> tuple[int, int]:
    count = size = at = 0
    while (found := _MEDIUM.search(text, at)) is not None:
        at = text.find(b'"', found.end())
        if at < 0:
            break
        if text.find(b" ", found.end() + _HEAD_BYTES, at) < 0:
            count += 1
            size += at - found.start()
    return count, size
