"""Sockets that were opened before the gateway began."""

import asyncio
import os
import socket
from pathlib import Path

import pytest
from aiohttp import web

from gateway.config.settings import ServerSpec
from gateway.config.systemd import HandedSocket
from gateway.server.site import listen_on, make_runner
from gateway.server.socket_activation import adopt_sockets, place_of
from gateway.server.sockets import SEND_BUFFER_BYTES, ListenError, close_sockets, url_of


def hand_over(given: socket.socket, name: str = "gateway") -> HandedSocket:
    """What a service manager does: a descriptor of its own, that a child inherits."""
    descriptor = os.dup(given.fileno())
    os.set_inheritable(descriptor, True)  # noqa: FBT003 - the standard library's signature
    return HandedSocket(descriptor, name)


def listening_at(host: str, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """A socket that listens there, on a free port."""
    opened = socket.socket(family)
    opened.bind((host, 0))
    opened.listen()
    return opened


def test_a_handed_socket_is_tuned_like_our_own() -> None:
    """A caller who reads nothing would hold megabytes; and no child of ours inherits it."""
    with listening_at("127.0.0.1") as opened:
        [adopted] = adopt_sockets([hand_over(opened)])

        assert adopted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * SEND_BUFFER_BYTES
        assert adopted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert not adopted.get_inheritable()
        assert not adopted.getblocking()
        adopted.close()


def test_the_address_is_the_one_that_is_listened_on() -> None:
    """Settings that say 127.0.0.1 would hide that everybody can reach it."""
    with listening_at("127.0.0.1") as inside, listening_at("0.0.0.0") as outside:
        port = outside.getsockname()[1]

        assert place_of([inside, outside]) == {"host": "0.0.0.0", "port": port}


def test_without_a_handed_socket_settings_stay() -> None:
    """The usual case."""
    assert place_of([]) == {}


def test_a_socket_of_the_file_system_is_taken(tmp_path: Path) -> None:
    """A proxy on the same machine needs no port."""
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(tmp_path / "gateway.sock"))
        opened.listen()
        [adopted] = adopt_sockets([hand_over(opened)])

        assert url_of(adopted) == f"unix:{tmp_path}/gateway.sock"
        assert place_of([adopted]) == {"unix_socket": f"{tmp_path}/gateway.sock"}
        adopted.close()


async def test_callers_are_answered_on_a_socket_of_the_file_system(tmp_path: Path) -> None:
    """And its file stays: it is systemd's, and the next process listens there."""
    path = tmp_path / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(str(path))
        opened.listen()
        runner = make_runner(web.Application(), shutdown_s=0.1)
        await runner.setup()
        await listen_on(runner, adopt_sockets([hand_over(opened)]), ServerSpec())
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head = await reader.readline()
        writer.close()
        await runner.cleanup()

    assert head == b"HTTP/1.1 404 Not Found\r\n"
    assert path.is_socket()


def test_what_does_not_listen_is_refused() -> None:
    """`Accept=yes` hands over one caller, who would be all there is."""
    with listening_at("127.0.0.1") as opened:
        caller = socket.create_connection(opened.getsockname())
        with pytest.raises(ListenError, match="Accept=no"):
            adopt_sockets([hand_over(caller)])
        caller.close()


def test_a_datagram_socket_is_refused() -> None:
    """`ListenDatagram=` is one word away."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        handed = hand_over(opened)

    with pytest.raises(ListenError, match="ListenStream="):
        adopt_sockets([handed])


def test_a_file_is_refused(tmp_path: Path) -> None:
    """Descriptor 3 of a shell script is often its log."""
    with (tmp_path / "log").open("wb") as file:
        handed = HandedSocket(file.fileno(), "unknown")

        with pytest.raises(ListenError, match=r"descriptor \d+ .* needs to be a socket"):
            adopt_sockets([handed])


def test_a_socket_for_the_admin_listener_is_refused() -> None:
    """Callers would get answers where its operator expects health, on a port for health."""
    with listening_at("127.0.0.1") as opened:
        handed = hand_over(opened, "admin")
        with pytest.raises(ListenError, match=r"admin\.host"):
            adopt_sockets([handed])
        os.close(handed.descriptor)


def test_several_sockets_are_taken_in_their_order() -> None:
    """One for each line of ListenStream=."""
    with listening_at("127.0.0.1") as first, listening_at("127.0.0.1") as second:
        adopted = adopt_sockets([hand_over(first), hand_over(second)])

        assert [one.getsockname() for one in adopted] == [
            first.getsockname(),
            second.getsockname(),
        ]
        close_sockets(adopted)
