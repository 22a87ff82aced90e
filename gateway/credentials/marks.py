"""When each stored credential last worked, and when a provider last refused it.

The rule here: nobody waits for this. What is noted is of one value of a credential: what was said
of the one before does not count for it.
"""

import asyncio

import structlog

from gateway.core.clock import Clock, system_clock
from gateway.core.exchange import Exchange, Outcome
from gateway.core.tasks import Tasks
from gateway.core.upstream_errors import UpstreamCredentialError
from gateway.stores.credentials import CredentialStore, Mark
from gateway.stores.errors import StoreError

GATHER_S = 1.0  # how long marks are gathered before they are written
AGAIN_S = 60.0  # how long the same of the same value is not written again
RETRY_S = 10.0  # after a store that did not take them
LAST_S = 1.0  # how long the end of the gateway waits for the last ones
MARKS_MAX = 10_000

_log = structlog.get_logger()


class Marks:
    """An observer of exchanges; writes beside them."""

    def __init__(self, store: CredentialStore, tasks: Tasks, clock: Clock = system_clock) -> None:
        self._store = store
        self._tasks = tasks
        self._clock = clock
        self._waiting: dict[int, Mark] = {}  # by the version of a value
        self._written: dict[int, Mark] = {}
        self._is_writing = False

    def observe(self, exchange: Exchange) -> None:
        """Note how the provider took the stored credential of a settled exchange, if it was one."""
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
        """Write what is left, unless the store lets it wait; called once, last."""
        try:
            async with asyncio.timeout(LAST_S):
                await self._write()
        except (StoreError, TimeoutError) as error:
            _log.warning("credential.marks_lost", count=len(self._waiting), reason=str(error))

    def _is_news(self, version: int, mark: Mark) -> bool:
        """Whether it says more than was written a moment ago."""
        last = self._written.get(version)
        if last is None:
            return True
        at, last_at = (
            (mark.worked_at, last.worked_at)
            if mark.worked_at is not None
            else (mark.failed_at, last.failed_at)
        )
        # A clock that was set back says nothing of how long ago that was.
        return at is None or last_at is None or not 0 <= at - last_at < AGAIN_S

    async def _write_all(self) -> None:
        wait_s = GATHER_S
        try:
            while self._waiting:
                await asyncio.sleep(wait_s)
                try:
                    await self._write()
                    wait_s = GATHER_S
                except StoreError as error:  # whoever needs the store says so in the log
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
            if self._waiting.get(version) is mark:  # nothing was added meanwhile
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
