"""Tokens that were verified a moment ago.

The rule here: a token is known by the SHA-256 of all of it, and for a few minutes at most, so that
a key which its issuer has withdrawn does not count for as long as the tokens it signed.
"""

import hashlib

from gateway.core.clock import Clock
from gateway.core.identity import Principal

KEEP_S = 300.0
MAX_TOKENS = 10_000  # 400 bytes each


class VerifiedTokens:
    """Who each of the last tokens is about."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # When it was verified, until when that counts, and who the token is about.
        self._entries: dict[bytes, tuple[float, float, Principal]] = {}

    def find(self, digest: bytes) -> Principal | None:
        """Who the token is about, when it was verified and still counts."""
        entry = self._entries.get(digest)
        if entry is None:
            return None
        # A clock that was set back says nothing of how long ago that was.
        if entry[0] <= self._clock() < entry[1]:
            return entry[2]
        del self._entries[digest]
        return None

    def keep(self, digest: bytes, principal: Principal, until: float) -> None:
        """Remember a token up to a time of the clock; the oldest one makes room."""
        self._entries.pop(digest, None)
        if len(self._entries) >= MAX_TOKENS:
            del self._entries[next(iter(self._entries))]
        now = self._clock()
        self._entries[digest] = (now, min(until, now + KEEP_S), principal)


def digest_of(text: str) -> bytes:
    """What a token is known by; of all of it: others took the first 20 (CVE-2026-35030)."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()
