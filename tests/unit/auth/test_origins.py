"""A cookie is sent by whichever page asks; the browser says which it was."""

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.auth.origins import is_from_own_page

OWN = "https://chat.example.org"
LISTED = ("https://other.example.org",)


def judge(*headers: tuple[str, str]) -> bool:
    """Whether a request with these headers is let use the cookie."""
    given = CIMultiDict([("Host", "chat.example.org"), *headers])
    return is_from_own_page(CIMultiDictProxy(given), LISTED)


@pytest.mark.parametrize(
    "headers",
    [
        [("Origin", OWN), ("Sec-Fetch-Site", "same-origin")],
        [("Sec-Fetch-Site", "same-origin")],
        [("Origin", OWN)],
        [("Origin", "http://CHAT.example.org")],
        [("Origin", LISTED[0]), ("Sec-Fetch-Site", "same-site")],
        [("Origin", LISTED[0]), ("Sec-Fetch-Site", "cross-site")],
        [("Origin", LISTED[0])],
        # A proxy in front that passes on another Host: the browser still knows.
        [("Origin", "https://public.example"), ("Sec-Fetch-Site", "same-origin")],
    ],
    ids=str,
)
def test_own_and_listed_pages_may(headers: list[tuple[str, str]]) -> None:
    """Over plain HTTP browsers send `Origin` alone."""
    assert judge(*headers)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")],
        [("Origin", "https://evil.example")],
        [("Origin", OWN), ("Sec-Fetch-Site", "cross-site")],
        [("Origin", "http://chat.example.org"), ("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site")],
        [("Sec-Fetch-Site", "none")],
        [("Sec-Fetch-Site", "")],
        [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
        [("Origin", OWN), ("Origin", "https://evil.example")],
        [("Origin", "null")],
        [("Origin", "")],
        [("Origin", "https://chat.example.org.evil.example")],
        [("Origin", "https://chat.example.org:8443")],
        [("Origin", "https://evil@chat.example.org")],
        [("Origin", "https://[chat.example.org")],
        [("Origin", "ftp://chat.example.org")],
        [("Origin", "chat.example.org")],
    ],
    ids=str,
)
def test_all_others_may_not(headers: list[tuple[str, str]]) -> None:
    """What says nothing is taken for a stranger's: browsers have sent `Origin` for years."""
    assert not judge(*headers)


def test_without_a_host_nothing_is_own() -> None:
    """Two times nothing is not the same origin."""
    assert not is_from_own_page(CIMultiDictProxy(CIMultiDict({"Origin": "https://"})), ())
