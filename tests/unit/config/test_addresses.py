"""Tests of the rules for a provider's URL and addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.addresses import check_base_url, refusal_of

PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "169.254.1.1",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "203.0.113.9",
    "192.88.99.1",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:a00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    "2001:db8::1",
    "3fff::1",
    "::7f00:1",
    "::ffff:0:7f00:1",
    "4000::1",
]
UNUSABLE = [
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "::",
    "ff02::1",
    "::ffff:0.0.0.0",
    "64:ff9b::e000:1",
]
PUBLIC = ["8.8.8.8", "172.32.0.1", "104.18.0.1", "2606:4700::6812:1", "::ffff:8.8.8.8"]
NO_ADDRESS = ["", "localhost", "127.1", "0x7f000001", "2130706433", "1.2.3.4.5", "010.0.0.1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused_unless_it_is_allowed(address: str) -> None:
    """A name that resolves into our own network would show it to whoever chose the name."""
    refused = refusal_of(address, allow_private=False)
    allowed = refusal_of(address, allow_private=True)

    assert refused is not None
    assert "allow_private: true" in refused
    assert allowed is None


@pytest.mark.parametrize("address", UNUSABLE)
def test_an_unusable_address_is_refused_even_where_private_ones_are_allowed(address: str) -> None:
    """Linux connects 0.0.0.0 to loopback; nobody means that when writing it."""
    assert refusal_of(address, allow_private=True) is not None
    assert refusal_of(address, allow_private=False) is not None


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_called(address: str) -> None:
    """Providers live there."""
    assert refusal_of(address, allow_private=False) is None


@pytest.mark.parametrize("address", NO_ADDRESS)
def test_what_is_no_address_is_refused(address: str) -> None:
    """Two readers of an unusual form can disagree about where it leads, so it leads nowhere."""
    assert refusal_of(address, allow_private=True) == "not an IP address"


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_the_same_in_its_ipv6_forms(address: object) -> None:
    """A mapped form is the shortest way around a list of IPv4 networks."""
    plain = refusal_of(str(address), allow_private=False)

    assert refusal_of(f"::ffff:{address}", allow_private=False) == plain
    assert refusal_of(f"64:ff9b::{address}", allow_private=False) == plain


@pytest.mark.parametrize(
    "url",
    [
        "https://api.groq.com/openai/v1",
        "http://llm.example.org:8000",
        "https://llm.example.org./v1",
        "https://8.8.8.8/v1",
        "https://[2606:4700::6812:1]:8443/v1",
        "https://xn--bcher-kva.example/v1",
        "https://my_llm.example.org/v1",
        "HTTPS://LLM.EXAMPLE.ORG/v1",
    ],
)
def test_a_plain_url_is_taken(url: str) -> None:
    """The check must not be in the way of what operators really write."""
    check_base_url(url, allow_private=False)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://llm.example.org", "http:// or https://"),
        ("llm.example.org/v1", "http:// or https://"),
        ("//llm.example.org/v1", "http:// or https://"),
        ("https://", "host name"),
        ("https:///v1", "host name"),
        ("https://.example.org", "host name"),
        ("https://-a.example.org", "host name"),
        ("https://" + "a" * 254, "host name"),
        ("https://" + "a" * 64 + ".example.org", "host name"),
        ("https://[::1/v1", "not a URL"),
        ("https://[fe80::1%25eth0]/v1", "zone"),
        ("https://[1.2.3.4]/v1", "URL"),
        ("https://user@llm.example.org", "user or password"),
        ("https://user:pw@llm.example.org", "user or password"),
        ("https://llm.example.org@127.0.0.1/", "user or password"),
        ("https://llm.example.org/#", "fragment"),
        ("https://llm.example.org/?", "query"),
        ("https://llm.example.org:0/", "port"),
        ("https://llm.example.org:65536/", "port"),
        ("https://llm.example.org:http/", "port"),
        ("https://llm.example.org:/", "port"),
        ("https://llm.example.org/a/../b", "dot segment"),
        ("https://llm.example.org/%2E%2e/b", "dot segment"),
        ("https://llm.example.org/v1/chat/completions", "which the gateway adds"),
        ("https://llm.example.org/v1/chat/completions/", "which the gateway adds"),
        ("https://llm.example.org\\@127.0.0.1/", "backslash"),
        ("https://llm.example.org/ v1", "white space"),
        ("https://llm.example.org/\r\nX: y", "control character"),
        ("https://bücher.example/", "outside ASCII"),
        ("https://127.0.0.1.:8000/", "loopback"),
        ("https://LOCALHOST/", "loopback"),
        ("https://a.localhost/", "loopback"),
        ("https://metadata.google.internal/", "metadata"),
        ("https://0177.0.0.1/", "unusual form"),
        ("https://0x7f.1/", "unusual form"),
        ("https://017700000001/", "unusual form"),
        ("https://1.2.3.4.5/", "unusual form"),
    ],
)
def test_a_url_with_more_or_less_than_an_address_is_refused(url: str, reason: str) -> None:
    """Each of these reads as one host to a person and as another to some program."""
    with pytest.raises(ValueError, match="(?i)" + reason.replace("(", r"\(")):
        check_base_url(url, allow_private=False)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/v1", "http://localhost:1234", "http://[::1]:8000"]
)
def test_a_server_of_ones_own_may_be_called_when_that_is_written(url: str) -> None:
    """A model server beside the gateway is what allow_private is for."""
    check_base_url(url, allow_private=True)


def test_an_odd_form_is_refused_even_where_private_addresses_are_allowed() -> None:
    """Nobody needs 127.1; whoever writes it hides something or made a slip."""
    with pytest.raises(ValueError, match="unusual form"):
        check_base_url("http://127.1/", allow_private=True)
