"""Keys that are written into gateway.yaml, each as its SHA-256.

Rule: a hash stands for one holder, and is never the hash of nothing.
"""

import hashlib
from collections.abc import Iterator, Mapping

from gateway.config.mistakes import Mistake, refuse

# `printf %s "$key" | sha256sum` of a variable that is not set, and the same with `echo`.
_OF_NOTHING = frozenset(f"sha256:{hashlib.sha256(text).hexdigest()}" for text in (b"", b"\n"))


def check_hashes(hashes: dict[str, str]) -> dict[str, str]:
    """The hashes by name; MistakesError when two names share a key, or one's key is empty."""
    refuse(_find_useless(hashes))
    return hashes


def _find_useless(hashes: dict[str, str]) -> Iterator[Mistake]:
    first: dict[str, str] = {}
    for name, digest in hashes.items():
        other = first.setdefault(digest, name)
        if digest in _OF_NOTHING:
            yield Mistake(
                (name,),
                f"gives {name} the hash of an empty text, which everybody can send; "
                "the key was empty when it was hashed",
            )
        elif other != name:
            yield Mistake(
                (name,), f"gives {other} and {name} the same key; make one for each of them"
            )


def names_by_digest(hashes: Mapping[str, str] | None) -> dict[str, str]:
    """Who holds the key with this hash; nobody where nothing is written."""
    return {digest: name for name, digest in (hashes or {}).items()}
