"""What a key may be used for."""

import ipaddress

import pytest

from gateway.core.key_holder import KeyHolder, parse_address, parse_network

NETWORKS = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "2001:db8::/32")))
HOLDER = KeyHolder("alice", "gateway_key", networks=NETWORKS)


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("2001:db8::1", True),
        ("2001:db8::1%eth0", True),
        ("11.0.0.1", False),
        ("::ffff:11.0.0.1", False),
        ("2001:db9::1", False),
        ("unix", False),
        ("", False),
    ],
)
def test_a_key_for_networks_is_for_those_alone(address: str, *, may: bool) -> None:
    """An address that cannot be read is in none of them."""
    assert HOLDER.may_call_from(address) == may


def test_a_key_without_networks_is_for_all() -> None:
    """Also for a socket that has no address."""
    assert KeyHolder("alice", "gateway_key").may_call_from("unix")


def test_no_address_is_told_from_an_address() -> None:
    """A name is none."""
    assert parse_address("localhost") is None
    assert str(parse_address("::ffff:1.2.3.4")) == "1.2.3.4"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("::ffff:10.1.0.0/112", "10.1.0.0/16"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("10.1.0.0/255.255.0.0", "10.1.0.0/16"),
    ],
)
def test_a_network_of_mapped_addresses_is_one_of_ipv4(written: str, read: str) -> None:
    """Whoever calls from there has an IPv4 address: nobody would ever have been in it."""
    assert str(parse_network(written)) == read


def test_a_key_without_rights_is_for_everything() -> None:
    """An empty list is no limit."""
    holder = KeyHolder("alice", "gateway_key")

    assert holder.may_use("groq")
    assert holder.may_ask_for("groq", ["llama"])
    assert holder.may_see("groq")


def test_a_list_with_something_in_it_is_closed() -> None:
    """Names are compared whole: `groq` is not `groq-eu`."""
    holder = KeyHolder(
        "alice",
        "gateway_key",
        providers=frozenset({"groq", "groq-eu"}),
        models=frozenset({"groq/llama"}),
    )

    assert (holder.may_use("groq"), holder.may_use("xai")) == (True, False)
    assert holder.may_ask_for("groq", ["llama-3.3-70b", "llama"])
    assert not holder.may_ask_for("groq", ["whisper"])
    assert [holder.may_see(name) for name in ("groq", "groq-eu", "xai")] == [True, False, False]
