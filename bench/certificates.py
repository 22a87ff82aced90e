"""A certificate authority of our own, and the upstream's certificate signed by it.

The rule here: everybody verifies; nothing is measured with verification off.
"""

from dataclasses import dataclass
from pathlib import Path

import trustme

SERVER_NAME = "localhost"


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the PEM files are."""

    authority: Path
    server: Path  # the private key and the chain in one file


def write_certificates(directory: Path) -> Certificates:
    """Make an authority and a certificate for the loopback address."""
    authority = trustme.CA()
    server = authority.issue_cert(SERVER_NAME, "127.0.0.1")
    certificates = Certificates(directory / "authority.pem", directory / "server.pem")
    authority.cert_pem.write_to_path(certificates.authority)
    server.private_key_and_cert_chain_pem.write_to_path(certificates.server)
    return certificates
