"""Keys as people read them."""

import io

from rich.console import Console

from gateway.cli.key_table import print_keys, render_key
from gateway.stores.keys import StoredKey, StoredSecret

NOW = 1_800_000_000
OLD = StoredSecret(b"", 1, "gw_oldxx", NOW - 9, NOW)
OVERLAPPING = StoredSecret(b"", 1, "gw_midxx", NOW - 5, NOW + 5)
NEW = StoredSecret(b"", 1, "gw_newxx", NOW - 1)
KEY = StoredKey(
    "alice",
    NOW - 9,
    tenant="acme",
    groups=("a", "b"),
    models=("groq/x[bold]",),
    networks=("10.0.0.0/8",),
    secrets=(OLD, OVERLAPPING, NEW),
)


def test_a_row_holds_what_a_key_is_for() -> None:
    """And the secrets that work, as far as they are known."""
    out = io.StringIO()

    print_keys([KEY], NOW, Console(file=out, width=200))

    cells = [cell.strip() for cell in out.getvalue().splitlines()[3].split("│")[1:-1]]
    assert cells == [
        "alice",
        "active",
        "gw_midxx…, gw_newxx…",
        "acme",
        "a, b",
        "groq/x[bold], 10.0.0.0/8",
        "never",
    ]


def test_a_key_is_described_with_each_of_its_secrets() -> None:
    """Those that ended too: they are what a log may still speak of."""
    lines = list(render_key(KEY, NOW))

    assert "providers   all" in lines
    assert lines[-3:] == [
        "key         gw_oldxx…, ended 2027-01-15T08:00:00Z",
        "key         gw_midxx…, until 2027-01-15T08:00:05Z",
        "key         gw_newxx…, since 2027-01-15T07:59:59Z",
    ]
    disabled = list(render_key(StoredKey("bob", NOW, disabled_at=NOW), NOW))
    assert "disabled    2027-01-15T08:00:00Z" in disabled
