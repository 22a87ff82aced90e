"""A syslog server: what arrives over TCP, as RFC 5424 with the lengths of RFC 6587.

The rule here: whoever reads says how many messages, and waits no longer than TIMEOUT_S for one.
"""

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

TIMEOUT_S = 30
HEAD = re.compile(
    rb"<(?P<priority>\d+)>1 (?P<timestamp>\S+) \S+ (?P<app>\S+) \S+ (?P<event>\S+) "
    rb"\[gateway@32473 (?P<data>[^\]]*)\] (?P<line>.*)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Message:
    """One message of ours."""

    severity: int
    facility: int
    timestamp: str
    app: str
    event: str
    fields: dict[str, str]
    line: bytes


class SyslogServer:
    """Listens on a port of its own; takes one connection."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(TIMEOUT_S)
        self._peer: socket.socket | None = None
        self._rest = b""
        self.port: int = self._listening.getsockname()[1]

    def read(self, count: int) -> list[Message]:
        """Give the next messages."""
        return [self._read_one() for _ in range(count)]

    def read_until(self, holds: Callable[[list[Message]], bool]) -> list[Message]:
        """Give the next messages, as many as it takes."""
        messages = self.read(1)
        while not holds(messages):
            messages += self.read(1)
        return messages

    def close(self) -> None:
        """End it."""
        self._listening.close()
        if self._peer is not None:
            self._peer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read_one(self) -> Message:
        while b" " not in self._rest:
            self._receive()
        length, _, rest = self._rest.partition(b" ")
        self._rest = rest
        while len(self._rest) < int(length):
            self._receive()
        written, self._rest = self._rest[: int(length)], self._rest[int(length) :]
        found = HEAD.fullmatch(written)
        assert found is not None, written[:300]
        facility, severity = divmod(int(found["priority"]), 8)
        return Message(
            severity,
            facility,
            found["timestamp"].decode(),
            found["app"].decode(),
            found["event"].decode(),
            dict(re.findall(r'(\w+)="([^"]*)"', found["data"].decode())),
            found["line"],
        )

    def _receive(self) -> None:
        if self._peer is None:
            self._peer, _ = self._listening.accept()
            self._peer.settimeout(TIMEOUT_S)
        piece = self._peer.recv(65_536)
        assert piece, "rsyslog hung up"
        self._rest += piece
