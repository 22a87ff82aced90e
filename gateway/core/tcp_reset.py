"""Ending a TCP connection with a reset.

The rule here: only for callers whose protocol has no other way to mark an answer as incomplete.
"""

import socket
import struct

# Linger on, for zero seconds: close() sends a reset and drops unsent bytes.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def reset_on_close(peer: socket.socket) -> None:
    """Make closing this socket send a reset instead of a FIN."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
