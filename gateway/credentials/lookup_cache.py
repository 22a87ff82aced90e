"""What a store said a moment ago, and asking it as seldom as can be.

The rule here: an answer is believed for five seconds, so what changed in the store counts
everywhere within ten. While the store does not answer, what it said is believed for five minutes;
what it was never asked is 503: that there is nothing has to be known.
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

FRESH_S = 5.0  # how long an answer is believed
RENEW_S = 3.0  # from here on it is asked again beside a request, so that none waits
STALE_S = 300.0  # how long an answer is believed while the store does not give another
ANSWER_S = 1.0  # how long a caller waits for the store
REST_S = 1.0  # how long a store that failed is left alone
ANSWERS_MAX = 10_000  # remembered; the one that was renewed longest ago makes room
ASKED_MAX = 10_000  # that callers may wait for at a time
BATCH = 500  # asked in one question

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
    """Answers of a store, by what they are about.

    One question is under way at a time, and asks for all that came up during the one before: a
    thousand callers at once are three questions, and a slow store is not asked by a thousand.
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
        self._outdated: set[KeyT] = set()  # of those under way: what is read may be of before
        self._is_asking = False
        self._failed_at: float | None = None  # None: the store answered when it was last asked

    async def find(self, key: KeyT) -> ValueT | None:
        """What there is; None when there is nothing. CredentialUnavailableError if unknown."""
        answer = self._answers.get(key)
        if answer is not None:
            age_s = self._clock() - answer.as_of
            if age_s < RENEW_S:
                return answer.value
            self._ask(key)
            if age_s < FRESH_S or self._may_go_on(answer):
                return answer.value
        # What is handed over here, not what is remembered: that may be forgotten by now.
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
        """It was changed by this process: the next who asks is told how it is now."""
        self._answers.pop(key, None)
        if key in self._under_way:
            self._outdated.add(key)

    def _may_go_on(self, answer: _Answer[ValueT]) -> bool:
        return self._failed_at is not None and self._clock() - answer.as_of < STALE_S

    def _ask(self, key: KeyT) -> Asked[ValueT] | None:
        """What tells that there is an answer; None when nothing may be asked."""
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
        """The store's answer; None where there is none."""
        if asked is None:
            return None
        # A caller who leaves does not take the question with them: others wait for it too.
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
            _tell(self._next, {})  # nobody, unless this was cancelled

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
        """Let go of what nobody is told any more: these are credentials, in plain text."""
        while self._answers:
            oldest = next(iter(self._answers))
            if self._clock() - self._answers[oldest].as_of < STALE_S:
                return
            del self._answers[oldest]

    def _note_failure(self, reason: str) -> None:
        if self._failed_at is None:  # one line for each change, not one for each request
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
