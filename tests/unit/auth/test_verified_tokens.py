"""What was verified is remembered, for a while and not for ever."""

from gateway.auth.verified_tokens import KEEP_S, MAX_TOKENS, VerifiedTokens, digest_of
from gateway.core.identity import Principal

ANN = Principal("ann", "jwt")


class Clock:
    """Shows what it is set to."""

    now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_a_token_counts_until_it_expires() -> None:
    """To the second, and not one longer."""
    clock = Clock()
    tokens = VerifiedTokens(clock)
    tokens.keep(b"1", ANN, 1060.0)

    clock.now = 1059.999
    assert tokens.find(b"1") == ANN
    clock.now = 1060.0
    assert tokens.find(b"1") is None


def test_a_token_is_looked_at_again_after_a_while() -> None:
    """Its issuer may have withdrawn the key since."""
    clock = Clock()
    tokens = VerifiedTokens(clock)
    tokens.keep(b"1", ANN, 9e9)

    clock.now += KEEP_S
    assert tokens.find(b"1") is None


def test_a_token_is_looked_at_again_when_the_clock_was_set_back() -> None:
    """Or it would be believed for as long as that was: an hour, after its key was withdrawn."""
    clock = Clock()
    tokens = VerifiedTokens(clock)
    tokens.keep(b"1", ANN, 9e9)

    clock.now -= 1
    assert tokens.find(b"1") is None


def test_the_oldest_makes_room() -> None:
    """Whoever makes many tokens fills nothing up."""
    tokens = VerifiedTokens(Clock())
    for number in range(MAX_TOKENS + 1):
        tokens.keep(digest_of(str(number)), ANN, 2000.0)

    assert tokens.find(digest_of("0")) is None
    assert tokens.find(digest_of("1")) == ANN
    assert tokens.find(digest_of(str(MAX_TOKENS))) == ANN


def test_tokens_with_the_same_beginning_are_told_apart() -> None:
    """E05: one that was known by its first 20 characters let everybody in (CVE-2026-35030)."""
    assert digest_of("e" * 500 + "a") != digest_of("e" * 500 + "b")
    assert digest_of("k\udcff") != digest_of("k?")
