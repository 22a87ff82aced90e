"""A version of the tables, once it is there, stays as it is.

The rule here: a change of a version would reach new databases alone. Those that were upgraded
before stay without it, and nothing else notices: all other tests make their databases anew.
"""

import hashlib

from tests.house.tree import ROOT

VERSIONS = ROOT / "gateway/stores/migrations/versions"
# The first 16 digits of each file's SHA-256. A new version is a new line, and never another one.
DIGESTS = {
    "m0001_gateway_keys.py": "4795766af5bec850",
    "m0002_ledger.py": "7b0d73bd5bd43baa",
    "m0003_stored_credentials.py": "0472492e61b03c0e",
    "m0004_pepper_checks.py": "8463c58081a75bb0",
}


def test_no_version_of_the_tables_is_changed() -> None:
    """A column that is missing in the databases of today is a crash after the next upgrade."""
    digests = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for path in sorted(VERSIONS.glob("m*.py"))
    }

    assert digests == DIGESTS, "add a version after the last; a changed file is put back"
