"""A plan being played to one peer: writes at their times, under back-pressure, to its ending.

The rule here: no task and no await; one timer at a time, so that a thousand plans are cheap.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

from gateway.simulator.plan import Ending

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.simulator.journal import Journal, Served

LINGER_NONE = struct.pack("ii", 1, 0)


class Player:
    """Plays one plan; `when_over` is called when the connection may take the next request."""

    def __init__(
        self,
        transport: asyncio.Transport,
        served: Served,
        journal: Journal,
        when_over: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._served = served
        self._writes = served.plan.writes
        self._journal = journal
        self._when_over = when_over
        self._timer: asyncio.Handle | None = None
        self._due_s = served.received_s
        self._is_paused = False
        self._is_late = False
        self._is_over = False

    def play(self) -> None:
        """Start; a first write without delay leaves at once."""
        if self._writes and not self._writes[0].delay_s:
            self._write()
        else:
            self._schedule()

    def pause(self) -> None:
        """The peer reads too slowly: hold the next write."""
        self._is_paused = True

    def resume(self) -> None:
        """The peer has caught up."""
        self._is_paused = False
        if self._is_late:
            self._is_late = False
            self._due_s = self._loop.time()
            self._write()

    def abandon(self, *, peer_left: bool) -> None:
        """The connection is gone; record it, unless the answer was over before."""
        if self._timer is not None:
            self._timer.cancel()
        if self._is_over:
            return
        self._is_over = True
        self._served.done_s = self._loop.time()
        if peer_left:
            self._served.peer_left_s = self._served.done_s
            self._served.peer_left.set()
        self._journal.end(self._served)

    def _schedule(self) -> None:
        served = self._served
        if served.writes_sent == len(self._writes):
            self._end()
            return
        delay_s = self._writes[served.writes_sent].delay_s
        if delay_s:
            # Due times add up, so that a pace stays true however late a callback runs.
            self._due_s += delay_s
            self._timer = self._loop.call_at(self._due_s, self._write)
        else:
            self._timer = self._loop.call_soon(self._write)

    def _write(self) -> None:
        self._timer = None  # it holds us: a cycle
        if self._is_paused:
            self._is_late = True
            return
        if self._transport.is_closing():
            return
        served = self._served
        write = self._writes[served.writes_sent]
        if write.wire:
            self._transport.write(write.wire)
        served.writes_sent += 1
        served.body_bytes_sent += len(write.body)
        served.content_tokens_sent += write.tokens
        self._journal.changed(served)
        self._schedule()

    def _end(self) -> None:
        plan = self._served.plan
        if plan.ending is Ending.HOLD:
            self._hold()
            return
        self._is_over = True
        self._served.done_s = self._loop.time()
        self._served.finished = plan.is_whole
        self._served.cut = plan.is_cut
        if plan.ending is Ending.CLOSE:
            self._transport.close()
        elif plan.ending is Ending.RESET:
            reset(self._transport)
        self._journal.end(self._served)
        if plan.ending is Ending.KEEP:
            self._when_over()

    def _hold(self) -> None:
        """Say nothing, or the same comment, until the peer leaves."""
        plan = self._served.plan
        if plan.hold_wire and not self._transport.is_closing():
            self._timer = self._loop.call_later(plan.hold_every_s, self._send_hold)

    def _send_hold(self) -> None:
        if not self._is_paused and not self._transport.is_closing():
            self._transport.write(self._served.plan.hold_wire)
        self._hold()


def reset(transport: asyncio.Transport) -> None:
    """Close with a reset: what the peer has not received is lost."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
    transport.abort()
