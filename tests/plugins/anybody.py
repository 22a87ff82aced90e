"""Entries of `auth` that let in everybody, with limits that no test runs into.

The rule here: what tests write without meaning limits is written once.
"""

from typing import Any

from gateway.config.anonymous import AnonymousAuth

ENTRY: dict[str, Any] = {
    "kind": "anonymous",
    "requests_per_minute": 10_000_000,
    "concurrent": 100_000,
}
ANYBODY = AnonymousAuth.model_validate(ENTRY)
