"""The authorities that processes of a test trust: one, which nobody has the key of.

The rule here: aiohttp reads all authorities of the machine twice whenever it is imported, 90 of the
600 ms of CPU that a start of the gateway takes. No test talks to the internet, so each process that
one starts reads a single certificate instead. OpenSSL finds the others one by one, as always, in
the directory where a machine has them.
"""

import os
from pathlib import Path

VARIABLE = "SSL_CERT_FILE"
FILE = Path(__file__).with_suffix(".pem")

# For processes that are started with an environment of their own; others inherit it.
FEW_AUTHORITIES = {VARIABLE: str(FILE)}


def pytest_configure() -> None:
    """Say so to all processes; a machine that says something else has its reason."""
    os.environ.setdefault(VARIABLE, str(FILE))
