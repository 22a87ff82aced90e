"""When each stored credential last worked, and when a provider last refused it.

The rule here: nobody waits for this. A mark belongs to one value of a credential, so marks of an
old value never count for a new one.
"""

import asyncio

import structlog

from gateway.core.clock import Clock, system_clock
from gateway.core.exchange import Exchange, Outcome
from gateway.core.tasks import Tasks
from gateway.core.upstream_errors import UpstreamCredentialError
from gateway.stores.credentials import CredentialStore, Mark
from gateway.stores.errors import StoreError

GATHER_S = 1.0  # how long marks are collected before they are written
AGAIN_S = 60.0  # how long the same mark of a value is not written again
RETRY_S = 10.0  # the wait after the store did not take them
LAST_S = 1.0  # how long a stopping gateway waits for the last ones
MARKS_MAX = 10_000

_log = structlog.get_logger()


class Marks:
    """An observer of exchanges, which writes in the background."""

    def __init__(self, store: CredentialStore, tasks: Tasks, clock: Clock = system_clock) -> None:
        self._store = store
        self._tasks = tasks
        self._clock = clock
        self._waiting: dict[int, Mark] = {}  # by the version of a value
        self._written: dict[int, Mark] = {}
        self._is_writing = False

    def observe(self, exchange: Exchange) -> None:
        """Note whether the provider accepted the exchange's credential, if it is a stored one."""
        version = exchange.credential_version
        if not version:
            return
        now = int(self._clock())
        if exchange.error_code == UpstreamCredentialError.code:
            mark = Mark(failed_at=now)
        elif exchange.outcome is Outcome.FINISHED or exchange.first_content_at:
            mark = Mark(worked_at=now)
        else:
            return
        if not self._is_news(version, mark):
            return
        self._waiting[version] = _join(self._waiting.get(version), mark)
        if len(self._waiting) > MARKS_MAX:
            del self._waiting[next(iter(self._waiting))]
        if not self._is_writing:
            self._is_writing = True
            self._tasks.spawn("write marks of credentials", self._write_all())

    async def close(self) -> None:
        """Write what is left, unless the store is slow; called once, at the end."""
        try:
            async with asyncio.timeout(LAST_S):
                await self._write()
        except (StoreError, TimeoutError) as error:
            _log.warning("credential.marks_lost", count=len(self._waiting), reason=str(error))

    def _is_news(self, version: int, mark: Mark) -> bool:
        """Whether it says more than what was last written."""
        last = self._written.get(version)
        if last is None:
            return True
        at, last_at = (
            (mark.worked_at, last.worked_at)
            if mark.worked_at is not None
            else (mark.failed_at, last.failed_at)
        )
        # If the clock was set back, it cannot tell how long ago that was.
        return at is None or last_at is None or not 0 <= at - last_at < AGAIN_S

    async def _write_all(self) -> None:
        wait_s = GATHER_S
        try:
            while self._waiting:
                await asyncio.sleep(wait_s)
                try:
                    await self._write()
                    wait_s = GATHER_S
                except StoreError as error:  # logged by those who need the store
                    _log.debug("credential.marks_wait", reason=str(error))
                    wait_s = RETRY_S
        finally:
            self._is_writing = False

    async def _write(self) -> None:
        marks = dict(self._waiting)
        if not marks:
            return
        await self._store.note(marks)
        for version, mark in marks.items():
            if self._waiting.get(version) is mark:  # nothing new came in the meantime
                del self._waiting[version]
            self._written.pop(version, None)
            self._written[version] = mark
        while len(self._written) > MARKS_MAX:
            del self._written[next(iter(self._written))]


def _join(before: Mark | None, mark: Mark) -> Mark:
    if before is None:
        return mark
    return Mark(
        mark.worked_at if mark.worked_at is not None else before.worked_at,
        mark.failed_at if mark.failed_at is not None else before.failed_at,
    )
