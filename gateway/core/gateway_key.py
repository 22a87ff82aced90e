"""What a key of the gateway looks like: `gw_`, 256 random bits, a checksum.

The rule here: a typo in a key is noticed without any look-up, and a secret scanner needs only one
regular expression: `gw_[0-9A-Za-z]{49}`.
"""

import secrets
import string
import zlib

PREFIX = "gw_"
SECRET_BYTES = 32
SECRET_CHARS = 43  # 62 ** 43 is the first power above 2 ** 256
CHECKSUM_CHARS = 6  # 62 ** 6 is the first power above 2 ** 32
KEY_CHARS = len(PREFIX) + SECRET_CHARS + CHECKSUM_CHARS
SHOWN_CHARS = 8  # shown in lists: `gw_` and five more leave 226 bits to guess

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ALPHABET = frozenset(_DIGITS)


def make_key() -> str:
    """A new key."""
    secret = _in_base62(int.from_bytes(secrets.token_bytes(SECRET_BYTES)), SECRET_CHARS)
    return PREFIX + secret + _checksum(secret)


def is_key(text: str) -> bool:
    """Whether the text has the form of a key that `make_key` made, with the right checksum."""
    if len(text) != KEY_CHARS or not text.startswith(PREFIX):
        return False
    secret = text[len(PREFIX) : -CHECKSUM_CHARS]
    return _ALPHABET.issuperset(secret) and text.endswith(_checksum(secret))


def _checksum(secret: str) -> str:
    return _in_base62(zlib.crc32(secret.encode()), CHECKSUM_CHARS)


def _in_base62(number: int, width: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, len(_DIGITS))
        digits = _DIGITS[rest] + digits
    return digits.rjust(width, _DIGITS[0])
