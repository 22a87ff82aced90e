"""A reset in place of a FIN."""

import socket

import pytest

from gateway.core.tcp_reset import reset_on_close


def test_the_other_side_hears_a_reset() -> None:
    """A FIN would be the end of an answer to it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        caller = socket.create_connection(listening.getsockname())
        peer, _ = listening.accept()
        peer.sendall(b"half")
        assert caller.recv(4) == b"half"

        reset_on_close(peer)
        peer.close()

        with caller, pytest.raises(ConnectionResetError):
            caller.recv(1)
