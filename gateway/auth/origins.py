"""Whether a page that may use the caller's cookies made a browser send a request.

The rule here: the browser says so, in headers that no page can write; a request that says nothing
is taken for a stranger's.
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
        # What the browser found out by itself, from the address that it has called; a page that
        # was opened from the address bar is "none", and sends nothing but GET.
        return sites[0].strip().lower() == "same-origin"
    # Over plain HTTP browsers send no Sec-Fetch-Site. A page cannot choose the Host that it calls.
    return bool(origins) and host_of(origins[0]) == headers.get("Host", "").lower() != ""


def host_of(origin: str) -> str:
    """Host and port of an origin, as `Host` would have them; empty when it is none."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return ""
    return parts.netloc.lower() if parts.scheme in {"http", "https"} else ""
