"""Listening sockets that a service manager has opened (socket activation).

The rule here: safety checks use the address that is really listened on, whatever the settings say.
We never unbind the socket, so callers wait in its queue while the gateway is replaced.
"""

import os
import socket
from collections.abc import Iterable, Sequence

from gateway.auth.local import is_loopback
from gateway.config.systemd import HandedSocket
from gateway.server.sockets import ListenError, tune

INTERNET = (socket.AF_INET, socket.AF_INET6)
OF_ADMIN = "admin"


def adopt_sockets(handed: Iterable[HandedSocket]) -> list[socket.socket]:
    """The sockets to accept callers from; ListenError if one of them is not usable."""
    return [_adopt(one) for one in handed]


def place_of(adopted: Sequence[socket.socket]) -> dict[str, object]:
    """The address listened on, replacing that in the settings: `host` and `port`, or `unix_socket`.

    If there are several, it is the one that most callers can reach.
    """
    if not adopted:
        return {}
    addresses = [one.getsockname()[:2] for one in adopted if one.family in INTERNET]
    if not addresses:
        return {"unix_socket": os.fsdecode(adopted[0].getsockname())}
    host, port = next((pair for pair in addresses if not is_loopback(pair[0])), addresses[0])
    return {"host": host, "port": port}


def _adopt(handed: HandedSocket) -> socket.socket:
    what = f"descriptor {handed.descriptor} ({handed.name}) of LISTEN_FDS"
    if handed.name == OF_ADMIN:
        raise ListenError(
            f"{what}: sockets are handed over for the public listener alone; the admin listener "
            "opens its own, at admin.host and admin.port"
        )
    try:
        adopted = socket.socket(fileno=handed.descriptor)
    except OSError as error:
        raise ListenError(f"{what}: {error.strerror}; it needs to be a socket") from None
    is_known = adopted.family in (*INTERNET, socket.AF_UNIX)
    if not is_known or adopted.type != socket.SOCK_STREAM or not _is_listening(adopted):
        adopted.close()
        raise ListenError(
            f"{what}: needs to be a listening stream socket; write ListenStream= and Accept=no"
        )
    adopted.set_inheritable(False)
    tune(adopted)
    return adopted


def _is_listening(adopted: socket.socket) -> bool:
    return bool(adopted.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
