"""Telling the service manager about our state (sd_notify(3)), with datagrams of our own.

The rule here: nothing waits for the service manager. Watchdog signals come from the event loop that
answers requests, so a loop that hangs sends none.
"""

import asyncio
import socket
import time
from collections.abc import Callable

import structlog

from gateway.config.systemd import MICROSECONDS, Systemd

BEATS = 3  # signals per watchdog timeout, so that one may come late
SEND_S = 5.0  # how long one-time messages may wait for a slow service manager

_log = structlog.get_logger()


class Notifier:
    """Sends messages to the service manager; does nothing if there is none."""

    def __init__(self, systemd: Systemd | None = None) -> None:
        systemd = systemd or Systemd()
        self._address = systemd.notify_address
        self._watchdog_s = systemd.watchdog_s
        self._was_reported = False
        self._is_ready = False

    def tell_ready(self, status: str) -> None:
        """Tell that callers are answered; `status` is shown to the operator."""
        self._is_ready = True
        self._say("READY=1", f"STATUS={status}")

    def tell_reloading(self) -> None:
        """Tell that the configuration is being reloaded; not before we were ready."""
        if self._is_ready:
            self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def tell_reloaded(self, status: str) -> None:
        """Tell that the reload is over, whatever its result."""
        if self._is_ready:
            self._say("READY=1", f"STATUS={status}")

    def tell_status(self, status: str) -> None:
        """Tell a new status for the operator."""
        self._say(f"STATUS={status}")

    def tell_stopping(self, status: str, *, within_s: float) -> None:
        """Tell that we are stopping and must not be killed for `within_s` seconds."""
        self._is_ready = False
        self._say(
            "STOPPING=1", f"STATUS={status}", f"EXTEND_TIMEOUT_USEC={int(within_s * MICROSECONDS)}"
        )

    def keep_beating(self, describe: Callable[[], str | None]) -> None:
        """Send watchdog signals from this loop until it ends, each with a new status.

        None is sent while `describe` returns None.
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
            # A new socket each time, as another one may have replaced the manager's.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
                sending.settimeout(wait_s)
                sending.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._was_reported:
                reason = error.strerror or type(error).__name__
                _log.warning("systemd.not_told", reason=reason)
            self._was_reported = True
