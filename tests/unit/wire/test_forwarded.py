"""Who called, where a proxy says so: nothing that a caller writes counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.core.key_holder import parse_address
from gateway.wire.forwarded import HOPS_MAX, UNIX, UNKNOWN, TrustedProxies, name_peer, parse_node

PROXY = "10.0.0.1"
PROXIES = TrustedProxies(["10.0.0.0/24", "fd00::/64"])


def find(*lines: tuple[str, str], peer: str = PROXY, proxies: TrustedProxies = PROXIES) -> str:
    """Who called, with these headers."""
    return proxies.find_client(peer, CIMultiDict(lines))


def xff(*values: str, peer: str = PROXY) -> str:
    """The same, with these values of `X-Forwarded-For`."""
    return find(*(("X-Forwarded-For", value) for value in values), peer=peer)


def forwarded(*values: str) -> str:
    """The same, with these values of `Forwarded`."""
    return find(*(("Forwarded", value) for value in values))


@pytest.mark.parametrize("peer", ["203.0.113.9", "10.0.1.1", "::1", "unix", ""])
def test_a_peer_that_is_no_proxy_speaks_for_itself(peer: str) -> None:
    """Whatever it writes (D06)."""
    assert xff("192.0.2.1", peer=peer) == peer
    assert find(("Forwarded", "for=192.0.2.1"), peer=peer) == peer


@pytest.mark.parametrize(
    ("values", "client"),
    [
        (["192.0.2.1"], "192.0.2.1"),
        (["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
        (["6.6.6.6", "192.0.2.1"], "192.0.2.1"),
        (["6.6.6.6, 192.0.2.1, 10.0.0.7"], "192.0.2.1"),
        (["10.0.0.9, 192.0.2.1 ,\t10.0.0.7 , "], "192.0.2.1"),
        (["10.0.0.9, 10.0.0.7"], "10.0.0.9"),
        (["192.0.2.1:4711"], "192.0.2.1"),
        (["2001:DB8::1"], "2001:db8::1"),
        (["[2001:db8::1]:4711"], "2001:db8::1"),
        (["::ffff:192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1, ::ffff:10.0.0.7"], "192.0.2.1"),
        ([""], PROXY),
        ([" , ,"], PROXY),
        ([], PROXY),
    ],
    ids=str,
)
def test_the_right_most_stranger_called(values: list[str], client: str) -> None:
    """To its left stands what it may have made up."""
    assert xff(*values) == client


@pytest.mark.parametrize(
    "entry",
    [
        "unknown",
        "_hidden",
        "localhost",
        "10.0.0",
        "010.0.0.1",
        "1.2.3.4.5",
        "192.0.2.1;",
        "é",
        "[::1",
    ],
)
def test_what_is_no_address_is_nobody(entry: str) -> None:
    """Neither the proxy, whose rights it would have, nor whoever is named to its left."""
    assert xff(f"6.6.6.6, {entry}") == UNKNOWN
    assert xff(f"{entry}, 192.0.2.1") == "192.0.2.1"


@pytest.mark.parametrize(
    ("values", "client"),
    [
        (["for=192.0.2.1"], "192.0.2.1"),
        (['For="192.0.2.1:80";proto=https;by=10.0.0.1'], "192.0.2.1"),
        (['for="[2001:db8::1]:4711"'], "2001:db8::1"),
        (["for=6.6.6.6, for=192.0.2.1;host=a, for=10.0.0.7"], "192.0.2.1"),
        (["for=6.6.6.6", "for=192.0.2.1"], "192.0.2.1"),
        (['for="6.6.6.6, for=192.0.2.1'], "192.0.2.1"),
        (["for=unknown"], UNKNOWN),
        (["proto=https"], UNKNOWN),
        (["for=192.0.2.1;for=6.6.6.6"], UNKNOWN),
        (['for=192.0.2.1;host="x,for=6.6.6.6"'], UNKNOWN),
        (['for=192.0.2.1;host="x,for=6.6.6.6;y="'], UNKNOWN),
        (['for="6.6.6.6\\""'], UNKNOWN),
        ([""], PROXY),
    ],
    ids=str,
)
def test_the_standard_header_is_read_the_same_way(values: list[str], client: str) -> None:
    """RFC 7239, where the usual one is not there."""
    assert forwarded(*values) == client


def test_the_usual_header_comes_first() -> None:
    """A proxy that writes one lets the other through as it came."""
    lines = (("Forwarded", "for=6.6.6.6"), ("X-Forwarded-For", "192.0.2.1"))

    assert find(*lines) == "192.0.2.1"


def test_a_row_of_proxies_has_an_end() -> None:
    """Nobody is looked for among thousands of entries."""
    proxies = ["10.0.0.7"] * (HOPS_MAX - 1)

    assert xff(",".join(["192.0.2.1", *proxies])) == "192.0.2.1"
    assert xff(",".join(["192.0.2.1", *proxies, "10.0.0.7"])) == UNKNOWN


def test_a_network_may_be_written_as_a_socket_for_both_sees_it() -> None:
    """The peer `::ffff:10.0.0.9` is 10.0.0.9 here."""
    proxies = TrustedProxies(["::ffff:10.0.0.0/120"])

    said = CIMultiDict({"X-Forwarded-For": "192.0.2.1"})
    assert [proxies.find_client(peer, said) for peer in ("::ffff:10.0.0.9", "10.0.0.9")] == [
        "192.0.2.1",
        "192.0.2.1",
    ]


def test_a_socket_of_this_machine_can_be_a_proxy() -> None:
    """Where that is written out."""
    proxies = TrustedProxies(["unix"])

    assert find(("X-Forwarded-For", "192.0.2.1"), peer="unix", proxies=proxies) == "192.0.2.1"
    assert find(("X-Forwarded-For", "192.0.2.1"), peer=PROXY, proxies=proxies) == PROXY


def test_a_long_header_is_read_as_well() -> None:
    """It is not remembered, or callers would fill the memory."""
    assert xff("6.6.6.6, " * 800 + "192.0.2.1") == "192.0.2.1"


@given(
    made_up=st.text(max_size=80),
    client=st.ip_addresses().filter(lambda a: not str(a).startswith(("10.0.0.", "fd00::"))),
    header=st.sampled_from(["X-Forwarded-For", "Forwarded"]),
)
def test_nothing_that_is_sent_moves_the_caller(made_up: str, client: object, header: str) -> None:
    """A proxy that appends leaves whatever came to the left of its own entry."""
    own = str(client)
    if header == "Forwarded":
        own = f'for="[{own}]"' if ":" in own else f"for={own}"

    found = find((header, f"{made_up}, {own}"))

    assert parse_address(found) == parse_address(str(client))


@pytest.mark.parametrize("text", ["1.2.3.4", " 1.2.3.4:5\t", "[::1]", "::1"])
def test_an_address_is_an_address(text: str) -> None:
    """With and without a port."""
    assert parse_node(text) is not None


@pytest.mark.parametrize("text", ["", "1.2.3.4:", "::1]:80", "[1.2.3.4", "fe80::1%eth0", "a"])
def test_anything_else_is_none(text: str) -> None:
    """Also a zone, which means something on another machine alone."""
    assert parse_node(text) is None


def test_who_has_left_is_not_taken_for_a_proxy_on_a_socket() -> None:
    """What they say of others would be believed where `unix` is trusted."""
    assert [name_peer(remote) for remote in ("192.0.2.1", "", None)] == ["192.0.2.1", UNIX, UNKNOWN]
    headers = CIMultiDict({"X-Forwarded-For": "192.0.2.1"})
    assert TrustedProxies([UNIX]).find_client(name_peer(None), headers) == UNKNOWN


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "::ffff:0:102:304", "::1"])
def test_a_caller_has_one_address_whatever_socket_they_came_to(address: str) -> None:
    """Else whoever looks for it in the log finds half of what came from there."""
    seen = f"::ffff:{address}" if "." in address else address

    assert name_peer(seen) == address
