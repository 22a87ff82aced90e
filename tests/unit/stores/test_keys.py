"""What a stored key says of itself."""

import pytest

from gateway.core.gateway_key import make_key
from gateway.stores.keys import StoredKey, StoredSecret, is_over, shown_part

NOW = 100


def secret(expires_at: int | None = None) -> StoredSecret:
    """One of a key's secrets."""
    return StoredSecret(b"", 1, "gw_xxxxx", 0, expires_at)


@pytest.mark.parametrize(
    ("key", "state"),
    [
        (StoredKey("a", 0, secrets=(secret(),)), "active"),
        (StoredKey("a", 0, expires_at=NOW + 1, secrets=(secret(NOW + 1),)), "active"),
        (StoredKey("a", 0, expires_at=NOW, secrets=(secret(),)), "expired"),
        (StoredKey("a", 0, secrets=(secret(NOW),)), "expired"),
        (StoredKey("a", 0, secrets=(secret(NOW), secret())), "active"),
        (StoredKey("a", 0), "expired"),
        (StoredKey("a", 0, disabled_at=NOW + 1, secrets=(secret(),)), "disabled"),
        (StoredKey("a", 0, disabled_at=1, expires_at=1, secrets=(secret(),)), "disabled"),
    ],
    ids=str,
)
def test_the_state_of_a_key(key: StoredKey, state: str) -> None:
    """A key works while it and one of its secrets do; what was disabled stays so."""
    assert key.state_at(NOW) == state


def test_an_end_belongs_to_what_is_over() -> None:
    """At its second, not after it."""
    assert [is_over(at, NOW) for at in (None, NOW - 1, NOW, NOW + 1)] == [False, True, True, False]


def test_eight_characters_are_shown() -> None:
    """Enough to tell keys apart, far too few to guess one."""
    key = make_key()

    assert shown_part(key) == key[:8]
