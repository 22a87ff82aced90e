"""Estimates of how many tokens a text has, without the model's own tokenizer.

The rule here: an estimate must not cost any parsing. It is reserved while the answer is in
progress, and then replaced by the provider's count.
"""

import re
from collections.abc import Collection

BYTES_PER_TOKEN = 4
CHARS_PER_TOKEN = 4  # for answers, whose text is decoded
# An image is billed by its size in pixels, which its byte count does not show, so this is a
# typical figure.
TOKENS_PER_MEDIUM = 1_000

# The beginning of a string that is not prose: a data URL, or the `data` of an audio part.
_MEDIUM = re.compile(rb'"data(?:":\s*"|:)')
_SMALL_BYTES = 2_048  # below this it is not worth looking for images
# Encoded data has no blanks except in a file name at its beginning, so a blank after this many
# bytes means that it is prose which happens to begin with `data:`.
_HEAD_BYTES = 256


def estimate_tokens(texts: Collection[bytes]) -> int:
    """Tokens of JSON texts, at four bytes each; an image or a sound counts a flat number."""
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
