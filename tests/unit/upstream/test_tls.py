"""The TLS context: what it insists on."""

import ssl
from pathlib import Path

import trustme

from gateway.upstream.tls import open_tls_context


def test_certificates_and_names_are_always_verified() -> None:
    """There is no setting that turns it off, so none can be mistyped (fault F04)."""
    context = open_tls_context(None)

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_an_own_authority_takes_the_place_of_the_systems(
    authority: trustme.CA, ca_file: Path
) -> None:
    """Whoever names one does not want all others to be trusted beside it."""
    context = open_tls_context(ca_file)

    subjects = [dict(pair for (pair,) in found["subject"]) for found in context.get_ca_certs()]
    assert len(subjects) == 1
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert authority
