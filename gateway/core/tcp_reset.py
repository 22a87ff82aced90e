"""Ending a TCP connection with a reset.

The rule here: for callers whose protocol has no other way to say that an answer is not whole.
"""

import socket
import struct

# On, zero seconds: close() sends a reset and drops what is unsent.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def reset_on_close(peer: socket.socket) -> None:
    """Let the close of this socket be a reset in place of a FIN."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
