"""TLS to providers.

The rule here: certificates are always verified, and no setting turns that off. For a private
certificate authority there is `tls.ca_file`.
"""

import ssl
from pathlib import Path


def open_tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """A verifying client context that trusts the system's authorities, or those in `ca_file`."""
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
