"""Whom the limits of connections that ship take for one caller, of IPv4 and of IPv6.

The rule here: no gateway is there, so whoever is let in hears that none can be reached. Proxy and
callers have a network of their own, in which there may be any address.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.plugins.namespaces import Namespace, run
from tests.plugins.proxies.row import V1
from tests.plugins.proxies.running import KINDS, Proxies
from tests.plugins.raw_caller import Heard
from tests.plugins.scene import raw_request

CONNECTIONS = 250  # of one caller, in the shipped files
MOST = 300  # a proxy with threads may count one that it has refused until that is closed
TOO_MANY = 429
TIMEOUT_S = 10
HOUSE, NEIGHBOURS = "2001:db8:0:1::1", "2001:db8:0:2::1"
UPSTAIRS = "2001:db8:0:1:ffff::2"  # in the same network of 64 bits
# What is counted and goes no further: nginx counts a request when its head is there, and waits for
# the body; HAProxy counts connections.
UNFINISHED = {
    "nginx": raw_request(f"POST {V1} HTTP/1.1", "Content-Length: 10"),
    "haproxy": f"POST {V1}".encode(),
}


@pytest.fixture(scope="module")
def street(network_programs: dict[str, Path]) -> Iterator[Namespace]:
    """A network in which callers have those addresses, and all of 127.0.0.0/8."""
    ip = str(network_programs["ip"])
    here = Namespace(f"gateway-test-{os.getpid()}-street", HOUSE, network_programs)
    run(ip, "netns", "add", here.name)
    try:
        here.run("ip", "link", "set", "lo", "up")
        for address in (HOUSE, UPSTAIRS, NEIGHBOURS):
            here.run("ip", "address", "add", f"{address}/128", "dev", "lo", "nodad")
        yield here
    finally:
        run(ip, "netns", "delete", here.name)


def call(port: int, address: str, message: bytes) -> socket.socket:
    """A connection from this address to itself, on which something was sent."""
    caller = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    caller.settimeout(TIMEOUT_S)
    caller.bind((address, 0))
    caller.connect((address, port))
    caller.sendall(message)
    return caller


def is_refused(port: int, address: str) -> bool:
    """Whether one more question from there is one too many."""
    with call(port, address, raw_request(f"GET {V1} HTTP/1.1", "Connection: close")) as caller:
        raw = b""
        while piece := caller.recv(65_536):
            raw += piece
    return Heard(raw).status == TOO_MANY


@pytest.mark.parametrize(
    ("crowd", "counted_with", "apart"),
    [
        (HOUSE, [HOUSE, UPSTAIRS], [NEIGHBOURS, "127.0.0.1"]),
        ("127.0.0.1", ["127.0.0.1"], ["127.0.0.2", NEIGHBOURS]),
    ],
    ids=["ipv6", "ipv4"],
)
@pytest.mark.parametrize("name", ["nginx", "haproxy"])
def test_a_house_is_one_caller(
    proxies: Proxies,
    street: Namespace,
    name: str,
    crowd: str,
    counted_with: list[str],
    apart: list[str],
) -> None:
    """A09: one house has 2^64 addresses, and each would be let in 250 times."""
    with street.entered(), ExitStack() as held:
        port = proxies.start_on_loopback(KINDS[name], host="[::]").port
        count = 0
        while count < CONNECTIONS or not is_refused(port, crowd):
            held.enter_context(call(port, crowd, UNFINISHED[name]))
            count += 1
            assert count < MOST

        refused = {address: is_refused(port, address) for address in (*counted_with, *apart)}

    assert refused == {**dict.fromkeys(counted_with, True), **dict.fromkeys(apart, False)}
