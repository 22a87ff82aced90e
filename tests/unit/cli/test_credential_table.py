"""Credentials as people read them."""

import io

from rich.console import Console

from gateway.cli.credential_table import print_credentials
from tests.plugins.stored_credentials import VALUE, keys_of, new_credential
from tests.plugins.stored_keys import NOW


def test_a_row_says_whose_and_how_it_went() -> None:
    """And of the credential no more than its end."""
    out = io.StringIO()
    one = new_credential(keys_of(1), "user:a[bold]", worked_at=NOW)
    other = new_credential(keys_of(1), "tenant:acme", failed_at=NOW)

    print_credentials([(one, VALUE[-4:]), (other, None)], Console(file=out, width=200))

    text = out.getvalue()
    first, second = (line for line in text.splitlines() if "groq_api_key" in line)
    assert ["user:a[bold]", f"…{VALUE[-4:]}", "never", "key 1"] == [
        cell.strip() for cell in first.split("│")[1:-1] if "T" not in cell and "groq" not in cell
    ]
    assert "tenant:acme" in second
    assert VALUE not in text
