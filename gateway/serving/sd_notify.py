"""Telling a service manager how the gateway fares (sd_notify(3)), in datagrams of our own.

The rule here: nothing waits for whoever listens. A sign of life comes from the event loop that
answers requests, so a loop that hangs gives none.
"""

import asyncio
import socket
import time
from collections.abc import Callable

import structlog

from gateway.config.systemd import MICROSECONDS, Systemd

BEATS = 3  # in the time after which it is taken for dead: one may come late
SEND_S = 5.0  # for what is said once, where the one who listens is slow

_log = structlog.get_logger()


class Notifier:
    """Where to tell it; nowhere, when nobody listens."""

    def __init__(self, systemd: Systemd | None = None) -> None:
        systemd = systemd or Systemd()
        self._address = systemd.notify_address
        self._watchdog_s = systemd.watchdog_s
        self._was_reported = False
        self._is_ready = False

    def tell_ready(self, status: str) -> None:
        """Callers are answered, and `status` is what an operator reads of it."""
        self._is_ready = True
        self._say("READY=1", f"STATUS={status}")

    def tell_reloading(self) -> None:
        """The configuration is read anew; before it was ready that is no news."""
        if self._is_ready:
            self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def tell_reloaded(self, status: str) -> None:
        """It was read, whatever came of it."""
        if self._is_ready:
            self._say("READY=1", f"STATUS={status}")

    def tell_status(self, status: str) -> None:
        """What an operator reads has changed."""
        self._say(f"STATUS={status}")

    def tell_stopping(self, status: str, *, within_s: float) -> None:
        """It ends, in so many seconds at most: not to be killed before."""
        self._is_ready = False
        self._say(
            "STOPPING=1", f"STATUS={status}", f"EXTEND_TIMEOUT_USEC={int(within_s * MICROSECONDS)}"
        )

    def keep_beating(self, describe: Callable[[], str | None]) -> None:
        """Give signs of life from this loop until it ends, each with a new status.

        There is none while `describe` says None.
        """
        if self._address is None or self._watchdog_s is None:
            return
        every_s = self._watchdog_s / BEATS
        loop = asyncio.get_running_loop()

        def beat() -> None:
            loop.call_later(every_s, beat)
            status = describe()
            if status is not None:
                self._say("WATCHDOG=1", f"STATUS={status}", wait_s=0)

        beat()

    def _say(self, *lines: str, wait_s: float = SEND_S) -> None:
        if self._address is None:
            return
        try:
            # A new one each time, for a new address may have taken the place of the old one.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.settimeout(wait_s)
                sending.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._was_reported:
                reason = error.strerror or type(error).__name__
                _log.warning("systemd.not_told", reason=reason)
            self._was_reported = True
