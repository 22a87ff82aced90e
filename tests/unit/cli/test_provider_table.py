"""Tests of `gateway providers`."""

import io
from pathlib import Path

from rich.console import Console

from gateway.cli.provider_table import print_providers
from gateway.config.load import load_registry, shipped_file

CANARY = "sk-canary-1d9e"
ENTRIES = """
providers:
  mine:
    base_url: https://llm.example.org/v1
    models: [{id: "a[bold]"}, {id: b}]
  free:
    base_url: http://127.0.0.1:8000/v1
    allow_private: true
    auth: {required: false}
  azure:
    base_url: https://EXAMPLE.openai.azure.com/openai/v1
"""


def printed(path: Path, environ: dict[str, str], width: int = 200) -> str:
    """Return what the command prints."""
    out = io.StringIO()
    code = print_providers(load_registry(path, environ), Console(file=out, width=width))
    assert code == 0
    return out.getvalue()


def test_the_table_says_whether_a_credential_was_found_and_not_what_it_is(tmp_path: Path) -> None:
    """It is pasted into bug reports."""
    file = tmp_path / "providers.yaml"
    file.write_text(ENTRIES)

    text = printed(file, {"MINE_API_KEY": CANARY, "AZURE_API_KEY": CANARY})

    rows = {row[1]: row for row in (line.split("│") for line in text.splitlines()) if len(row) > 1}
    rows = {name.strip(): row for name, row in rows.items()}
    assert [rows[name][5].strip() for name in ("mine", "free", "azure")] == [
        "yes",
        "not needed",
        "no (EXAMPLE in base URL)",
    ]
    assert rows["mine"][3].strip() == "mine_api_key"
    assert rows["mine"][4].strip() == "MINE_API_KEY"
    assert rows["mine"][6].strip() == "a[bold], b"
    assert rows["free"][6].strip() == "any"
    assert CANARY not in text


def test_every_provider_that_ships_has_a_row() -> None:
    """It is the list of what can be called."""
    text = printed(shipped_file("providers.yaml"), {})

    assert all(f"│ {name} " in text for name in ("demo", "groq", "openrouter", "lmstudio"))


def test_on_a_usual_terminal_what_is_copied_is_in_one_piece() -> None:
    """With six columns in 80 letters a variable came as `GROQ_API_K` and `EY`."""
    registry = load_registry(shipped_file("providers.yaml"), {})
    lines = printed(shipped_file("providers.yaml"), {"GROQ_API_KEY": CANARY}, width=80).splitlines()

    assert {len(line) for line in lines} == {80}
    rows = {row[1].strip(): row for row in (line.split("│") for line in lines) if len(row) > 1}
    for name, provider in registry.providers.items():
        found = "yes" if name == "groq" else "no"
        assert rows[name][2].strip() == provider.env, name
        assert rows[name][3].strip().startswith((found, "not needed", "of each")), name


def test_a_tiny_terminal_gets_what_fits() -> None:
    """A table that is cut off is better than none."""
    for width in (10, 40, 60):
        lines = printed(shipped_file("providers.yaml"), {}, width=width).splitlines()

        assert max(map(len, lines)) <= width, width


def test_of_several_credentials_the_table_says_how_many_and_which(tmp_path: Path) -> None:
    """One that is not set is left out of the pool, and has to be seen to be missing."""
    file = tmp_path / "providers.yaml"
    file.write_text(
        "providers: {mine: {base_url: 'https://llm.example.org/v1', "
        "credentials: ['${A}', '${B}', '${C}']}}"
    )

    lines = printed(file, {"A": CANARY, "C": "c"}).splitlines()
    cells = [line.split("│")[5].strip() for line in lines if line.count("│") > 5]

    assert cells == ["2 of 3:", "A", "C"]
    assert "0 of 3" in printed(file, {})


def test_what_is_looked_at_is_named(tmp_path: Path) -> None:
    """Who sets a variable that nobody reads wonders for long why nothing changes."""
    secret = tmp_path / "mine.key"
    secret.write_text(CANARY)
    secret.chmod(0o600)
    file = tmp_path / "providers.yaml"
    file.write_text(
        "providers:\n  mine:\n    base_url: https://llm.example.org/v1\n"
        f"    credential: file:{secret}\n"
        "  other:\n    base_url: https://llm.example.com/v1\n    credential: ${SPECIAL}\n"
    )

    text = printed(file, {"MINE_API_KEY": "another", "SPECIAL": CANARY})

    assert "_API_KEY" not in text
    cells = [line.split("│")[4].strip() for line in text.splitlines() if line.count("│") > 4]
    assert "".join(cells) == f"file:{secret}SPECIAL"
    assert text.count("yes") == 2
