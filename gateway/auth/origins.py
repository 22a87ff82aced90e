"""Whether a request was sent by a page that may use the caller's cookies.

The rule here: the browser says so in headers that no page can set. A request without them counts as
a stranger's.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from multidict import CIMultiDictProxy


def is_from_own_page(headers: CIMultiDictProxy[str], listed: Sequence[str]) -> bool:
    """True for a page of the gateway's own origin, or of one that is listed."""
    origins: Sequence[str] = headers.getall("Origin", ())
    sites: Sequence[str] = headers.getall("Sec-Fetch-Site", ())
    if len(origins) > 1 or len(sites) > 1:
        return False
    if origins and origins[0] in listed:
        return True
    if sites:
        # The browser's own verdict, from the address that it called. For a page opened from the
        # address bar it is "none", but such a page sends only GET.
        return sites[0].strip().lower() == "same-origin"
    # Over plain HTTP browsers send no Sec-Fetch-Site. But a page cannot choose the `Host` header.
    return bool(origins) and host_of(origins[0]) == headers.get("Host", "").lower() != ""


def host_of(origin: str) -> str:
    """The host and port of an origin, as in a `Host` header; empty if it is no origin."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return ""
    return parts.netloc.lower() if parts.scheme in {"http", "https"} else ""
