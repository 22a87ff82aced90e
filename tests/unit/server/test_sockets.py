"""Where the gateway listens, and what it says when it cannot."""

import socket

import pytest

from gateway.server.sockets import (
    SPREADS,
    ListenError,
    close_sockets,
    local_url,
    open_shared_sockets,
    open_sockets,
    url_of,
)


async def test_a_port_in_use_is_said_plainly() -> None:
    """The first thing that goes wrong for many."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(ListenError, match=f"127.0.0.1:{port}: another program"):
            await open_sockets("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("no-such-host.invalid", "no such host"),
        ("192.0.2.1", "does not have that address"),
    ],
)
async def test_a_host_that_is_not_ours_is_said_plainly(host: str, reason: str) -> None:
    """An error number helps nobody."""
    with pytest.raises(ListenError, match=reason):
        await open_sockets(host, 0)


async def test_every_address_of_a_name_gets_the_same_port() -> None:
    """`localhost` is 127.0.0.1 for one client and ::1 for the next."""
    sockets = await open_sockets("localhost", 0)

    ports = {listening.getsockname()[1] for listening in sockets}
    families = [listening.family for listening in sockets]
    for listening in sockets:
        listening.close()

    assert len(ports) == 1
    assert families[0] == socket.AF_INET


async def test_the_url_is_where_it_listens() -> None:
    """Whoever reads 127.0.0.1 takes it for a gateway that nobody else reaches."""
    [listening] = await open_sockets("0.0.0.0", 0)
    port = listening.getsockname()[1]

    url = url_of(listening)
    listening.close()

    assert url == f"http://0.0.0.0:{port}"


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("http://[::]:8080", "http://[::1]:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://192.0.2.1:8080", "http://192.0.2.1:8080"),
        ("unix:/run/gateway.sock", "unix:/run/gateway.sock"),
    ],
)
def test_a_caller_on_this_machine_has_an_address_to_call(url: str, local: str) -> None:
    """0.0.0.0 is none."""
    assert local_url(url) == local


async def test_an_ipv6_address_is_written_in_brackets() -> None:
    """Otherwise its colons would be the port's."""
    try:
        [listening] = await open_sockets("::1", 0)
    except ListenError:
        pytest.skip("this machine has no IPv6")

    url = url_of(listening)
    listening.close()

    assert url.startswith("http://[::1]:")


async def test_workers_listen_on_one_port() -> None:
    """K02: one that stops listening takes no caller of the others."""
    places = await open_shared_sockets("127.0.0.1", 0, 3)
    port = places[0][0].getsockname()[1]
    if SPREADS:
        close_sockets(places[1])

    callers = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]

    assert {one.getsockname()[1] for place in places for one in place if one.fileno() >= 0} == {
        port
    }
    for one in (*callers, *(one for place in places for one in place)):
        one.close()


async def test_workers_do_not_share_a_port_with_another_gateway() -> None:
    """Half of the callers would get answers of the other one."""
    [others] = await open_shared_sockets("127.0.0.1", 0, 1)
    port = others[0].getsockname()[1]

    with pytest.raises(ListenError, match="another program listens there"):
        await open_shared_sockets("127.0.0.1", port, 2)

    close_sockets(others)
