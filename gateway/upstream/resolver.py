"""From a host name to the addresses that we may connect to.

The rule here: addresses are checked each time a name is resolved, and we connect to a checked
address, never to a name.
"""

import asyncio
import contextlib
import errno
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from gateway.config.addresses import refusal_of
from gateway.core.upstream_errors import UpstreamAddressError, UpstreamDnsError

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
LookUp = Callable[[str, int], list[AddressInfo]]
"""Asks the name system; runs in a thread; raises OSError when there is no answer."""

_Name = tuple[str, int]

TTL_S = 10.0  # after a provider moves, we may use its old address this long
# The same if connections to the address fail: the provider may just have moved.
DOUBTED_TTL_S = 1.0
# Callers may name as many hosts as they like, so the cache is limited.
MAX_NAMES = 1000
# Look-ups have threads of their own: a slow name server must not hold up file reads or other names.
MAX_THREADS = 16
# Errors of this machine, which say nothing about the provider.
OF_THIS_MACHINE = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EADDRNOTAVAIL,
        errno.EAGAIN,  # no more threads
    }
)


class Resolver:
    """Looks names up in threads, one look-up per name at a time, and caches them for `ttl_s`."""

    def __init__(
        self,
        look_up: LookUp | None = None,
        *,
        ttl_s: float = TTL_S,
        doubted_ttl_s: float = DOUBTED_TTL_S,
        max_names: int = MAX_NAMES,
    ) -> None:
        self._ask = look_up or _getaddrinfo
        self._ttl_s = ttl_s
        self._doubted_ttl_s = doubted_ttl_s
        self._max_names = max_names
        self._cache: dict[_Name, tuple[float, list[AddressInfo]]] = {}
        self._running: dict[_Name, asyncio.Future[list[AddressInfo]]] = {}
        self._waiting: deque[_Name] = deque()  # the running look-ups that have no thread yet
        self._threads = 0

    def close(self) -> None:
        """Cancel the look-ups that have not begun; do not wait for those that have."""
        while self._waiting:
            self._running.pop(self._waiting.popleft()).cancel()

    def doubt(self, host: str, port: int) -> None:
        """Look this host up again soon: connections to its addresses fail."""
        cached = self._cache.get((host, port))
        if cached is not None:
            until, found = cached
            self._cache[host, port] = (min(until, until - self._ttl_s + self._doubted_ttl_s), found)

    async def resolve(
        self, host: str, port: int, *, label: str, allow_private: bool
    ) -> list[AddressInfo]:
        """The allowed addresses of a host, in the system's order of preference.

        Errors name the provider's `label`, because callers must not learn internal host names.
        UpstreamAddressError if no address is allowed.
        """
        found = await self._look_up(host, port, label)
        allowed: list[AddressInfo] = []
        refusals: list[str] = []
        for info in found:
            refusal = refusal_of(str(info[4][0]), allow_private=allow_private)
            if refusal is None:
                allowed.append(info)
            else:
                refusals.append(refusal)
        if not allowed:
            raise UpstreamAddressError(
                f"The address of {label} is not allowed.",
                detail=f"{host}: {'; '.join(refusals)}"[:500],
            )
        return allowed

    async def _look_up(self, host: str, port: int, label: str) -> list[AddressInfo]:
        loop = asyncio.get_running_loop()
        key = (host, port)
        cached = self._cache.get(key)
        if cached is not None and cached[0] > loop.time():
            return cached[1]
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = loop.create_future()
            self._waiting.append(key)
            self._start_next()
        # Shielded: a caller who leaves must not cancel the look-up for the others.
        try:
            found = await asyncio.shield(running)
        except (OSError, UnicodeError) as error:  # UnicodeError: a label that is too long
            failure = UpstreamDnsError(
                f"The host name of {label} has no address.", detail=f"{host}: {error}"
            )
            failure.is_ours = isinstance(error, OSError) and error.errno in OF_THIS_MACHINE
            raise failure from error
        self._keep(key, found, loop.time())
        return found

    def _start_next(self) -> None:
        while self._waiting and self._threads < MAX_THREADS:
            key = self._waiting.popleft()
            self._threads += 1
            # Not a pool's threads: the process could not exit before its name servers answered.
            thread = threading.Thread(
                target=self._answer, args=(asyncio.get_running_loop(), key), daemon=True
            )
            try:
                thread.start()
            except RuntimeError as error:  # a unit's `TasksMax`, a container's `pids_limit`
                self._tell(key, OSError(errno.EAGAIN, str(error)))

    def _answer(self, loop: asyncio.AbstractEventLoop, key: _Name) -> None:
        """Look one name up; runs in a thread."""
        found: list[AddressInfo] | Exception = OSError("the look-up crashed")
        try:
            found = self._ask(*key)
        except (OSError, UnicodeError) as error:
            found = error
        finally:
            with contextlib.suppress(RuntimeError):  # the loop has closed in the meantime
                loop.call_soon_threadsafe(self._end, key, found)

    def _end(self, key: _Name, found: list[AddressInfo] | Exception) -> None:
        self._tell(key, found)
        self._start_next()

    def _tell(self, key: _Name, found: list[AddressInfo] | Exception) -> None:
        self._threads -= 1
        running = self._running.pop(key)
        if isinstance(found, Exception):
            running.set_exception(found)
        else:
            running.set_result(found)

    def _keep(self, key: _Name, found: list[AddressInfo], now: float) -> None:
        if len(self._cache) >= self._max_names and key not in self._cache:
            self._cache = {name: kept for name, kept in self._cache.items() if kept[0] > now}
            if len(self._cache) >= self._max_names:  # none of them has expired
                del self._cache[next(iter(self._cache))]
        self._cache[key] = (now + self._ttl_s, found)


def _getaddrinfo(host: str, port: int) -> list[AddressInfo]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [
        (int(family), int(kind), proto, name, tuple(address))
        for family, kind, proto, name, address in found
    ]
