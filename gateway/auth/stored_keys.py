"""Recognising callers by keys in the database.

The rule here: an answer of the store is used for five seconds, so a revoked key stops working
everywhere within ten. While the store does not answer, known keys are accepted for five minutes.
For any other key we cannot tell, so the answer is 503, never 401.
"""

import asyncio
from collections.abc import Iterable, Mapping

import msgspec
import structlog
from aiohttp import web

from gateway.auth.wrong_keys import WrongKeys
from gateway.core.clock import Clock, monotonic, system_clock
from gateway.core.errors import AddressNotAllowedError, AuthUnavailableError
from gateway.core.gateway_key import KEY_CHARS, is_key
from gateway.core.identity import Principal
from gateway.core.key_holder import KeyHolder, parse_network
from gateway.core.retry_after import come_back
from gateway.core.tasks import Tasks
from gateway.stores.errors import StoreError
from gateway.stores.keys import StoredKey, is_over
from gateway.stores.opening import OpenKeys

FRESH_S = 5.0  # how long an answer of the store is used
RENEW_S = 3.0  # after this the store is asked in the background, so that no request waits
STALE_S = 300.0  # how long a known key is accepted while the store does not answer
ANSWER_S = 1.0  # how long a caller waits for the store
REST_S = 1.0  # how long a store that failed is not asked again
ANSWERS_MAX = 10_000  # how many known keys are remembered, and as many unknown ones
ASKED_MAX = 10_000  # how many keys callers may wait for at a time
BATCH = 500  # how many keys go into one query

_log = structlog.get_logger()


class _Answer(msgspec.Struct, frozen=True):
    """What the store said about a key."""

    holder: KeyHolder | None = None  # None: nobody to let in
    expires_at: int | None = None


_NOBODY = _Answer()

Question = asyncio.Future[_Answer | None]


class StoredKeys:
    """Recognises callers by their keys, and asks the store as rarely as possible.

    Everything remembered is correct as of `_seen_at`. The store is asked which keys have changed,
    not about each key again, so a thousand keys in use cost no more than one. For unknown keys only
    one query runs at a time, and the next asks about all keys that came up meanwhile. So a thousand
    callers right after a start cause three queries.
    """

    def __init__(
        self,
        opened: OpenKeys,
        tasks: Tasks,
        *,
        clock: Clock = monotonic,
        time_of_day: Clock = system_clock,
    ) -> None:
        self._store = opened.store
        self._peppers = opened.peppers
        self._tasks = tasks
        self._clock = clock
        self._time_of_day = time_of_day
        self._wrong_keys = WrongKeys(clock)
        # By digest under the newest pepper, so that no key stays in memory; oldest first.
        self._known: dict[bytes, _Answer] = {}
        self._unknown: dict[bytes, _Answer] = {}
        self._revision = opened.revision
        self._seen_at = clock()
        self._questions: dict[bytes, Question] = {}  # about keys, running or next
        self._next: dict[bytes, list[bytes]] = {}  # keys to ask about next: digests for each pepper
        self._is_asking = False
        self._question_of_changes: Question | None = None
        self._failed_at: float | None = None  # None: the last query was answered

    async def recognise(self, key: str, client_address: str) -> Principal | None:
        """Who holds this key; None if nobody does any more or ever did.

        AddressNotAllowedError if the key is for other networks; AuthUnavailableError if the store
        does not answer and we do not know the key; and the error of WrongKeys.
        """
        if len(key) != KEY_CHARS:
            return None  # maybe a key from gateway.yaml or a token, so not wrong yet
        digest = self._peppers.digest(key)
        answer = self._known.get(digest)
        if answer is None or self._clock() - self._seen_at >= RENEW_S:
            answer = await self._find(key, digest, client_address)
        holder = answer.holder
        if holder is None:
            return None
        if answer.expires_at is not None and is_over(answer.expires_at, self._time_of_day()):
            return None
        if holder.networks and not holder.may_call_from(client_address):
            raise AddressNotAllowedError(
                "This key is for other networks than the one this call comes from.",
                detail=f"the key {holder.name} from {client_address}",
            )
        return holder

    def count_wrong_key(self, client_address: str) -> None:
        """Count a key that no method knew; raises if its address sent too many."""
        self._wrong_keys.refuse_flood(client_address)
        self._wrong_keys.count(client_address)

    async def _find(self, key: str, digest: bytes, client_address: str) -> _Answer:
        """A valid answer: a remembered one, or the store's."""
        if digest not in self._known:
            if not is_key(key):
                return _NOBODY  # a typo: no need to ask the store
            self._wrong_keys.refuse_flood(client_address)
        remembered = self._recall(digest)
        if remembered is not None and self._clock() - self._seen_at >= RENEW_S:
            question = self._ask_for_changes()
            if not self._may_believe(remembered):
                await self._wait(question)
                remembered = self._recall(digest)
        if remembered is not None:
            if self._may_believe(remembered):
                return remembered
            raise _unavailable()
        answer = await self._wait(self._ask_about(key, digest))
        if answer is None:
            raise _unavailable()
        return answer

    def _recall(self, digest: bytes) -> _Answer | None:
        return self._known.get(digest) or self._unknown.get(digest)

    def _may_believe(self, answer: _Answer) -> bool:
        age_s = self._clock() - self._seen_at
        is_failing = self._failed_at is not None
        return age_s < FRESH_S or (is_failing and answer.holder is not None and age_s < STALE_S)

    @property
    def _may_ask(self) -> bool:
        return self._failed_at is None or self._clock() - self._failed_at >= REST_S

    def _ask_about(self, key: str, digest: bytes) -> Question | None:
        """The running query about a key, or a new one; None if none may be made."""
        if not self._may_ask:
            return None
        question = self._questions.get(digest)
        if question is None and len(self._questions) < ASKED_MAX:
            question = asyncio.get_running_loop().create_future()
            self._questions[digest] = question
            self._next[digest] = self._peppers.digests(key)
            if not self._is_asking:
                self._is_asking = True
                self._tasks.spawn("ask the store of keys", self._ask_all())
        return question

    def _ask_for_changes(self) -> Question | None:
        """The same for changes; known callers depend on it, so it ignores ASKED_MAX."""
        if not self._may_ask:
            return None
        if self._question_of_changes is None:
            self._question_of_changes = asyncio.get_running_loop().create_future()
            task = self._answer_about_changes(self._question_of_changes)
            self._tasks.spawn("ask the store of keys for changes", task)
        return self._question_of_changes

    async def _wait(self, question: Question | None) -> _Answer | None:
        if question is None:
            return None
        # `wait` does not cancel the query if this caller leaves, as others wait for it too.
        await asyncio.wait([question], timeout=ANSWER_S)
        if not question.done():
            self._note_failure("no answer in time")
            return None
        return question.result()

    async def _ask_all(self) -> None:
        try:
            while self._next:
                asked = {digest: self._next.pop(digest) for digest in list(self._next)[:BATCH]}
                await self._answer_about(asked)
        finally:
            self._is_asking = False
            self._tell(self._next, {})  # only left over if this was cancelled
            self._next.clear()

    async def _answer_about(self, asked: Mapping[bytes, list[bytes]]) -> None:
        answers: Mapping[bytes, _Answer] = {}
        try:
            answers = await self._look_up(asked)
            self._note_success()
        except StoreError as error:
            self._note_failure(str(error))
        finally:
            self._tell(asked, answers)

    def _tell(self, asked: Iterable[bytes], answers: Mapping[bytes, _Answer]) -> None:
        for digest in asked:
            self._questions.pop(digest).set_result(answers.get(digest))

    async def _answer_about_changes(self, question: Question) -> None:
        try:
            await self._look_for_changes()
            self._note_success()
        except StoreError as error:
            self._note_failure(str(error))
        finally:
            self._question_of_changes = None
            question.set_result(None)

    async def _look_for_changes(self) -> None:
        asked_at = self._clock()
        changes = await self._store.fetch_changes(self._revision)
        if changes.revision != self._revision:
            names = changes.names
            self._known = {
                digest: answer
                for digest, answer in self._known.items()
                if names is not None and answer.holder is not None
                if answer.holder.name not in names
            }
            self._unknown.clear()  # one of them may exist by now
            self._revision = changes.revision
        self._seen_at = asked_at

    async def _look_up(self, asked: Mapping[bytes, list[bytes]]) -> dict[bytes, _Answer]:
        revision = self._revision
        found = await self._store.find_keys([one for digests in asked.values() for one in digests])
        answers = {
            digest: self._judge(next((found[one] for one in digests if one in found), None))
            for digest, digests in asked.items()
        }
        # If the revision moved meanwhile, one of these keys may have changed after it was read.
        if revision == self._revision:
            for digest, answer in answers.items():
                self._remember(digest, answer)
        return answers

    def _judge(self, found: StoredKey | None) -> _Answer:
        if found is None:
            return _NOBODY
        state = found.state_at(self._time_of_day())
        answer = _NOBODY
        if state != "disabled":
            try:
                # Also remember an expired key, as the expiry is checked each time: our clock may be
                # wrong.
                answer = _admit(found)
            except ValueError:
                # An invalid network, entered by hand; the batch's other keys must still work.
                state = "unreadable"
        if state != "active":
            _log.info("key.refused", key=found.name, reason=state)
        return answer

    def _remember(self, digest: bytes, answer: _Answer) -> None:
        answers = self._unknown if answer.holder is None else self._known
        if len(answers) >= ANSWERS_MAX:
            del answers[next(iter(answers))]
        answers[digest] = answer

    def _note_failure(self, reason: str) -> None:
        if self._failed_at is None:  # log each change, not each request
            _log.error("key_store.failed", reason=reason)
        self._failed_at = self._clock()

    def _note_success(self) -> None:
        if self._failed_at is not None:
            _log.info("key_store.recovered")
        self._failed_at = None


STORED_KEYS: web.AppKey[StoredKeys] = web.AppKey("stored_keys", StoredKeys)
"""Set by `app` where a method of `auth` asks for stored keys."""


def _unavailable() -> AuthUnavailableError:
    return AuthUnavailableError(
        "Keys cannot be looked up at the moment, so whether this one is known is open. "
        "Try again in a moment.",
        detail="the store of keys does not answer",
        headers=come_back(),
    )


def _admit(found: StoredKey) -> _Answer:
    """What to remember about a valid key: its holder, and when it ends."""
    ends = [found.expires_at, *(secret.expires_at for secret in found.secrets)]
    holder = KeyHolder(
        found.name,
        "gateway_key",
        found.tenant,
        found.groups,
        frozenset(found.providers),
        frozenset(found.models),
        tuple(map(parse_network, found.networks)),
    )
    return _Answer(holder, min((end for end in ends if end is not None), default=None))
