"""A cache of a store's answers, which asks the store as rarely as possible.

The rule here: an answer is used for five seconds, so a change in the store takes effect everywhere
within ten. While the store does not answer, its last answers are used for five minutes. Anything it
was never asked about is 503, because "there is none" must be known for certain.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Generic, TypeVar

import msgspec
import structlog

from gateway.core.clock import Clock, monotonic
from gateway.core.errors import CredentialUnavailableError
from gateway.core.retry_after import come_back
from gateway.core.tasks import Tasks
from gateway.stores.errors import StoreError

FRESH_S = 5.0  # how long an answer is used
RENEW_S = 3.0  # after this the store is asked in the background, so that no request waits
STALE_S = 300.0  # how long an answer is used while the store does not give another
ANSWER_S = 1.0  # how long a caller waits for the store
REST_S = 1.0  # how long a store that failed is not asked again
ANSWERS_MAX = 10_000  # how many are kept; the one renewed longest ago is dropped first
ASKED_MAX = 10_000  # how many look-ups callers may wait for at a time
BATCH = 500  # how many keys go into one query

_log = structlog.get_logger()

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

LookUp = Callable[[Collection[KeyT]], Awaitable[Mapping[KeyT, ValueT]]]
"""Asks the store; what is not in its answer is not there."""


class _Answer(msgspec.Struct, Generic[ValueT], frozen=True):
    """What the store said, and when it was asked."""

    value: ValueT | None
    as_of: float


Asked = asyncio.Future[_Answer[ValueT] | None]


class LookupCache(Generic[KeyT, ValueT]):
    """A store's answers by key.

    Only one query runs at a time, and the next asks about everything that came up meanwhile. So a
    thousand callers at once cause three queries, and never flood a slow store.
    """

    def __init__(
        self,
        store: str,
        look_up: LookUp[KeyT, ValueT],
        tasks: Tasks,
        clock: Clock = monotonic,
    ) -> None:
        self._store = store  # its name in the log
        self._look_up = look_up
        self._tasks = tasks
        self._clock = clock
        self._answers: dict[KeyT, _Answer[ValueT]] = {}
        self._next: dict[KeyT, Asked[ValueT]] = {}
        self._under_way: dict[KeyT, Asked[ValueT]] = {}
        self._outdated: set[KeyT] = set()  # running look-ups that may read an old value
        self._is_asking = False
        self._failed_at: float | None = None  # None: the last query was answered

    async def find(self, key: KeyT) -> ValueT | None:
        """The value; None if there is none. CredentialUnavailableError if that is unknown."""
        answer = self._answers.get(key)
        if answer is not None:
            age_s = self._clock() - answer.as_of
            if age_s < RENEW_S:
                return answer.value
            self._ask(key)
            if age_s < FRESH_S or self._may_go_on(answer):
                return answer.value
        # Use the answer passed on here, as the cached one may already be gone.
        given = await self._wait(self._ask(key))
        if given is not None:
            return given.value
        answer = self._answers.get(key)
        if answer is None or not self._may_go_on(answer):
            raise CredentialUnavailableError(
                "Credentials cannot be looked up at the moment. Try again in a moment.",
                detail=f"{self._store} does not answer",
                headers=come_back(),
            )
        return answer.value

    def forget(self, key: KeyT) -> None:
        """Drop an answer that this process has changed, so that the next look-up is fresh."""
        self._answers.pop(key, None)
        if key in self._under_way:
            self._outdated.add(key)

    def _may_go_on(self, answer: _Answer[ValueT]) -> bool:
        return self._failed_at is not None and self._clock() - answer.as_of < STALE_S

    def _ask(self, key: KeyT) -> Asked[ValueT] | None:
        """A future for the answer; None if the store may not be asked now."""
        asked = self._next.get(key)
        if asked is None and key not in self._outdated:
            asked = self._under_way.get(key)
        if asked is not None:
            return asked
        is_resting = self._failed_at is not None and self._clock() - self._failed_at < REST_S
        if is_resting or len(self._next) >= ASKED_MAX:
            return None
        asked = self._next[key] = asyncio.get_running_loop().create_future()
        if not self._is_asking:
            self._is_asking = True
            self._tasks.spawn(f"ask {self._store}", self._ask_all())
        return asked

    async def _wait(self, asked: Asked[ValueT] | None) -> _Answer[ValueT] | None:
        """The store's answer; None if there is none."""
        if asked is None:
            return None
        # `wait` does not cancel the query if this caller leaves, as others wait for it too.
        await asyncio.wait([asked], timeout=ANSWER_S)
        if not asked.done():
            self._note_failure("no answer in time")
            return None
        return asked.result()

    async def _ask_all(self) -> None:
        try:
            while self._next:
                keys = list(self._next)[:BATCH]
                self._under_way = {key: self._next.pop(key) for key in keys}
                await self._ask_for(keys)
        finally:
            self._is_asking = False
            _tell(self._next, {})  # only left over if this was cancelled

    async def _ask_for(self, keys: Collection[KeyT]) -> None:
        asked_at = self._clock()
        answers: dict[KeyT, _Answer[ValueT]] = {}
        try:
            found = await self._look_up(keys)
            answers = {key: _Answer(found.get(key), asked_at) for key in keys}
            self._note_success()
        except StoreError as error:
            self._note_failure(str(error))
        finally:
            for key, answer in answers.items():
                if key not in self._outdated:
                    self._keep(key, answer)
            self._outdated.clear()
            self._drop_old()
            _tell(self._under_way, answers)

    def _keep(self, key: KeyT, answer: _Answer[ValueT]) -> None:
        self._answers.pop(key, None)
        if len(self._answers) >= ANSWERS_MAX:
            del self._answers[next(iter(self._answers))]
        self._answers[key] = answer

    def _drop_old(self) -> None:
        """Drop answers too old to use, because they are credentials in plain text."""
        while self._answers:
            oldest = next(iter(self._answers))
            if self._clock() - self._answers[oldest].as_of < STALE_S:
                return
            del self._answers[oldest]

    def _note_failure(self, reason: str) -> None:
        if self._failed_at is None:  # log each change, not each request
            _log.error("credential_store.failed", store=self._store, reason=reason)
        self._failed_at = self._clock()

    def _note_success(self) -> None:
        if self._failed_at is not None:
            _log.info("credential_store.recovered", store=self._store)
        self._failed_at = None


def _tell(asked: dict[KeyT, Asked[ValueT]], answers: Mapping[KeyT, _Answer[ValueT]]) -> None:
    for key, future in asked.items():
        future.set_result(answers.get(key))
    asked.clear()
