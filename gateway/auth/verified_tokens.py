"""A cache of tokens that were verified a moment ago.

The rule here: a token is identified by the SHA-256 of all of it, and cached for a few minutes at
most. So a signing key that its issuer withdraws stops working before the tokens it signed expire.
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
        # When it was verified, when the entry expires, and who the token is about.
        self._entries: dict[bytes, tuple[float, float, Principal]] = {}

    def find(self, digest: bytes) -> Principal | None:
        """Who the token is about, if it was verified and the entry is still valid."""
        entry = self._entries.get(digest)
        if entry is None:
            return None
        # If the clock was set back, it cannot tell how long ago that was.
        if entry[0] <= self._clock() < entry[1]:
            return entry[2]
        del self._entries[digest]
        return None

    def keep(self, digest: bytes, principal: Principal, until: float) -> None:
        """Remember a token until a time; if the cache is full, the oldest is dropped."""
        self._entries.pop(digest, None)
        if len(self._entries) >= MAX_TOKENS:
            del self._entries[next(iter(self._entries))]
        now = self._clock()
        self._entries[digest] = (now, min(until, now + KEEP_S), principal)


def digest_of(text: str) -> bytes:
    """What identifies a token: a digest of all of it, not of 20 characters (CVE-2026-35030)."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()
