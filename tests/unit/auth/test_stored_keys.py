"""Callers are known by stored keys: soon, seldom asked for, and never taken for strangers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from gateway.auth import stored_keys
from gateway.auth.stored_keys import FRESH_S, RENEW_S, REST_S, STALE_S, StoredKeys
from gateway.auth.wrong_keys import WRONG_KEYS_PER_MINUTE
from gateway.core.errors import (
    AddressNotAllowedError,
    AuthUnavailableError,
    TooManyWrongKeysError,
)
from gateway.core.gateway_key import make_key
from gateway.core.key_holder import KeyHolder
from gateway.core.retry_after import SPREAD_S
from gateway.core.tasks import Tasks
from gateway.stores.opening import OpenKeys
from gateway.stores.peppers import Peppers
from tests.plugins.chain import LogLines
from tests.plugins.stored_keys import PEPPER, Clock, FickleStore, new_key, new_secret

HERE = "127.0.0.1"
LONG_S = 10.0


class Scene:
    """A store in a file, one worker that asks it, and the clock that both live by."""

    def __init__(self, opened: OpenKeys) -> None:
        self.opened = opened
        self.clock = Clock()
        self.crashes: list[BaseException] = []
        self.tasks = Tasks(lambda _, error: self.crashes.append(error))
        self.store = FickleStore(opened.store)
        self.keys = self.worker()

    def worker(self, peppers: Peppers | None = None) -> StoredKeys:
        """Another gateway on the same store."""
        opened = OpenKeys(self.store, peppers or self.opened.peppers, self.opened.revision)
        return StoredKeys(opened, self.tasks, clock=self.clock, time_of_day=self.clock)

    async def create(self, name: str = "alice", **fields: object) -> str:
        """Store a key."""
        key, stored = new_key(self.opened.peppers, name, **fields)
        await self.opened.store.save_key(stored)
        return key

    async def learn(self, key: str) -> None:
        """Let the worker know a key, and all that has changed so far."""
        await self.keys.recognise(key, HERE)
        self.clock.now += FRESH_S
        assert await self.keys.recognise(key, HERE) is not None

    async def settle(self) -> None:
        """Wait until no question is under way."""
        assert await self.tasks.wait(LONG_S)


@pytest.fixture
async def scene(sqlite_keys: OpenKeys, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """A worker with an empty store; on a busy machine an answer may take a while."""
    monkeypatch.setattr(stored_keys, "ANSWER_S", LONG_S)
    made = Scene(sqlite_keys)
    yield made
    await made.tasks.cancel()
    assert made.crashes == []


async def test_a_key_is_known_with_tenant_and_groups(scene: Scene) -> None:
    """All that limits and plugins go by."""
    key = await scene.create(tenant="acme", groups=("a", "b"), models=("groq/x",))

    holder = await scene.keys.recognise(key, HERE)

    assert holder == KeyHolder(
        "alice", "gateway_key", "acme", ("a", "b"), models=frozenset({"groq/x"})
    )


async def test_the_store_is_asked_once_for_many(scene: Scene) -> None:
    """A hundred callers with one key that is not remembered are one question (J06)."""
    key = await scene.create()
    scene.store.gate.clear()

    asked = [asyncio.ensure_future(scene.keys.recognise(key, HERE)) for _ in range(100)]
    await asyncio.sleep(0)
    scene.store.gate.set()
    holders = await asyncio.gather(*asked)

    assert {holder.name for holder in holders if holder} == {"alice"}
    assert scene.store.questions == 1


async def test_a_caller_who_leaves_does_not_take_the_question_along(scene: Scene) -> None:
    """Others wait for it."""
    key = await scene.create()
    scene.store.gate.clear()
    leaves, stays = (asyncio.ensure_future(scene.keys.recognise(key, HERE)) for _ in range(2))
    await asyncio.sleep(0)

    leaves.cancel()
    await asyncio.sleep(0)
    scene.store.gate.set()

    assert await stays is not None
    assert scene.store.questions == 1


async def test_what_is_remembered_is_not_asked_again(scene: Scene) -> None:
    """Neither a key that is known nor one that is not."""
    key, other = await scene.create(), make_key()
    for _ in range(3):
        assert await scene.keys.recognise(key, HERE) is not None
        assert await scene.keys.recognise(other, HERE) is None

    assert scene.store.questions == 2


async def test_changes_are_looked_for_beside_requests(scene: Scene) -> None:
    """Nobody waits for the store while what it said is fresh."""
    key = await scene.create()
    await scene.keys.recognise(key, HERE)
    scene.store.gate.clear()
    scene.clock.now += RENEW_S

    assert await scene.keys.recognise(key, HERE) is not None

    scene.store.gate.set()
    await scene.settle()
    assert (scene.store.questions, scene.store.looks) == (1, 1)


async def test_a_thousand_keys_in_use_cost_one_look(scene: Scene) -> None:
    """Not one for each: what did not change is not asked for again."""
    keys = [await scene.create(f"key{number}") for number in range(20)]
    await scene.learn(keys[0])
    for key in keys:
        await scene.keys.recognise(key, HERE)
    asked, looked = scene.store.questions, scene.store.looks
    await scene.opened.store.disable_key("key7", int(scene.clock.now))
    scene.clock.now += FRESH_S

    known = [await scene.keys.recognise(key, HERE) is not None for key in keys]

    assert known == [number != 7 for number in range(20)]
    assert (scene.store.questions - asked, scene.store.looks - looked) == (1, 1)


async def test_a_change_beside_a_look_up_is_not_missed(scene: Scene) -> None:
    """A key that was read before it was disabled is not remembered after that was seen."""
    key, other = await scene.create(), await scene.create("bob")
    await scene.learn(other)
    scene.store.has_read.clear()
    scene.store.gate_after.clear()
    asked = asyncio.ensure_future(scene.keys.recognise(key, HERE))
    await scene.store.has_read.wait()  # the answer is on its way

    await scene.opened.store.disable_key("alice", int(scene.clock.now))
    scene.clock.now += FRESH_S
    assert await scene.keys.recognise(other, HERE) is not None
    scene.store.gate_after.set()
    await asked

    assert await scene.keys.recognise(key, HERE) is None


@pytest.mark.parametrize("how", ["disabled", "rotated"])
async def test_a_key_that_was_ended_is_refused_by_every_worker(scene: Scene, how: str) -> None:
    """Within ten seconds, and without a word between them (E06)."""
    key = await scene.create()
    workers = [scene.worker() for _ in range(4)]
    for worker in workers:
        assert await worker.recognise(key, HERE) is not None

    if how == "disabled":
        await scene.opened.store.disable_key("alice", int(scene.clock.now))
    else:
        await scene.opened.store.save_secret(
            "alice",
            new_secret(scene.opened.peppers, make_key()),
            others_end_at=int(scene.clock.now),
        )
    scene.clock.now += FRESH_S

    assert [await worker.recognise(key, HERE) for worker in workers] == [None] * 4


async def test_a_key_ends_at_its_second(scene: Scene) -> None:
    """Remembered or not."""
    key = await scene.create(expires_at=int(scene.clock.now) + 2)
    assert await scene.keys.recognise(key, HERE) is not None

    scene.clock.now += 2

    assert await scene.keys.recognise(key, HERE) is None
    assert await scene.worker().recognise(key, HERE) is None


async def test_a_key_that_a_wrong_clock_ended_is_good_again(scene: Scene) -> None:
    """A machine starts with a clock that is ahead, and sets it right: no key stays lost."""
    wall = Clock()
    wall.now = scene.clock.now + 3600
    opened = OpenKeys(scene.store, scene.opened.peppers, scene.opened.revision)
    keys = StoredKeys(opened, scene.tasks, clock=scene.clock, time_of_day=wall)
    key = await scene.create(expires_at=int(scene.clock.now) + 60)
    assert await keys.recognise(key, HERE) is None

    wall.now -= 3600

    assert await keys.recognise(key, HERE) is not None


async def test_a_new_key_is_known_soon_even_where_it_was_tried_before(scene: Scene) -> None:
    """That it is unknown is believed no longer than that another is known."""
    key, stored = new_key(scene.opened.peppers)
    assert await scene.keys.recognise(key, HERE) is None
    await scene.opened.store.save_key(stored)

    scene.clock.now += FRESH_S

    assert await scene.keys.recognise(key, HERE) is not None


async def test_keys_of_an_older_pepper_are_known(scene: Scene) -> None:
    """Another pepper ends no key."""
    key = await scene.create()
    newer = scene.worker(Peppers({1: PEPPER, 2: PEPPER[::-1]}))

    assert await newer.recognise(key, HERE) is not None


async def test_a_typo_costs_no_question(scene: Scene) -> None:
    """Nor does anything else that is no key (E03)."""
    key = await scene.create()
    for wrong in ("", key[:-1], key + "x", "k" * 8000, "\udcff", "' OR 1=1 --"):
        assert await scene.keys.recognise(wrong, HERE) is None

    assert scene.store.questions == 0


async def test_two_keys_that_begin_alike_are_two(scene: Scene) -> None:
    """What is remembered goes by the whole key (E05)."""
    key = await scene.create()
    await scene.keys.recognise(key, HERE)

    assert await scene.keys.recognise(f"{key[:40]}{make_key()[40:]}", HERE) is None


async def test_a_store_that_does_not_answer_makes_nobody_a_stranger(
    scene: Scene, log_lines: LogLines
) -> None:
    """Known keys go on for five minutes, and of others nothing is said (E13, J07)."""
    key = await scene.create()
    await scene.keys.recognise(key, HERE)
    scene.store.is_down = True
    scene.clock.now += FRESH_S

    assert await scene.keys.recognise(key, HERE) is not None
    with pytest.raises(AuthUnavailableError) as refused:
        await scene.keys.recognise(make_key(), HERE)
    assert 1 <= int(refused.value.headers["Retry-After"]) <= SPREAD_S
    scene.clock.now += STALE_S
    with pytest.raises(AuthUnavailableError):
        await scene.keys.recognise(key, HERE)
    assert len(log_lines.find("key_store.failed")) == 1  # of each change, not of each request


async def test_that_nobody_has_a_key_is_not_believed_while_the_store_is_gone(scene: Scene) -> None:
    """It may have been made since: its holder is told to wait, not that it is wrong (E13)."""
    unknown = make_key()
    assert await scene.keys.recognise(unknown, HERE) is None
    scene.store.is_down = True
    scene.clock.now += FRESH_S

    for _ in range(2):
        with pytest.raises(AuthUnavailableError):
            await scene.keys.recognise(unknown, HERE)


async def test_a_store_that_answers_again_is_believed(scene: Scene, log_lines: LogLines) -> None:
    """Above all about keys that were ended meanwhile."""
    key = await scene.create()
    await scene.keys.recognise(key, HERE)
    scene.store.is_down = True
    scene.clock.now += FRESH_S
    await scene.keys.recognise(key, HERE)
    await scene.opened.store.disable_key("alice", int(scene.clock.now))
    scene.store.is_down = False
    scene.clock.now += REST_S

    assert await scene.keys.recognise(key, HERE) is not None  # asks beside the request
    await scene.settle()

    assert await scene.keys.recognise(key, HERE) is None
    assert len(log_lines.find("key_store.recovered")) == 1
    assert [line["reason"] for line in log_lines.find("key.refused")] == ["disabled"]


@pytest.mark.parametrize("is_known", [True, False])
async def test_whatever_it_answers_first_says_that_it_is_back(
    scene: Scene, log_lines: LogLines, *, is_known: bool
) -> None:
    """A gateway whose callers are all known asks for changes only, one after a start for keys."""
    key = await scene.create()
    if is_known:
        await scene.learn(key)
    scene.store.is_down = True
    scene.clock.now += FRESH_S
    with contextlib.suppress(AuthUnavailableError):
        await scene.keys.recognise(key, HERE)
    await scene.settle()
    scene.store.is_down = False
    scene.clock.now += REST_S
    asked = scene.store.questions

    assert await scene.keys.recognise(key, HERE) is not None
    await scene.settle()

    assert scene.store.questions == asked + (0 if is_known else 1)
    assert len(log_lines.find("key_store.failed")) == 1
    assert len(log_lines.find("key_store.recovered")) == 1


async def test_a_store_that_failed_has_a_rest(scene: Scene) -> None:
    """A thousand callers do not help it up."""
    scene.store.is_down = True

    for _ in range(100):
        with pytest.raises(AuthUnavailableError):
            await scene.keys.recognise(make_key(), HERE)

    assert scene.store.questions == 1


async def test_a_frozen_store_is_waited_for_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then known keys go on at once."""
    key = await scene.create()
    await scene.keys.recognise(key, HERE)
    monkeypatch.setattr(stored_keys, "ANSWER_S", 0.01)
    scene.store.gate.clear()
    scene.clock.now += FRESH_S

    assert await scene.keys.recognise(key, HERE) is not None
    monkeypatch.setattr(stored_keys, "ANSWER_S", LONG_S)
    scene.clock.now += REST_S
    async with asyncio.timeout(LONG_S / 2):
        assert await scene.keys.recognise(key, HERE) is not None


async def test_callers_who_come_all_at_once_are_a_few_questions(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a start, each with a key of their own: all but 64 were told 503 (J06)."""
    monkeypatch.setattr(stored_keys, "BATCH", 10)
    names = [f"user{number}" for number in range(25)]
    keys = [await scene.create(name) for name in names]
    strangers = [make_key() for _ in range(5)]
    scene.store.gate.clear()

    asking = [
        asyncio.ensure_future(scene.keys.recognise(key, HERE)) for key in (*keys, *strangers, *keys)
    ]
    await asyncio.sleep(0)
    scene.store.gate.set()
    found = await asyncio.gather(*asking)

    known = [None if one is None else one.name for one in found]
    assert known == [*names, *[None] * 5, *names]
    assert scene.store.questions == 3


async def test_a_key_that_cannot_be_read_is_nobodys_and_keeps_no_other_out(scene: Scene) -> None:
    """Rows can be changed by hand; the question is about all that came up together."""
    bad = await scene.create("bad", networks=("10.0.0.0/99",))
    good = await scene.create("good")

    found = await asyncio.gather(*(scene.keys.recognise(key, HERE) for key in (bad, good)))

    assert [None if one is None else one.name for one in found] == [None, "good"]


async def test_known_callers_do_not_wait_behind_unknown_ones(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many of those there are."""
    monkeypatch.setattr(stored_keys, "ASKED_MAX", 1)
    key = await scene.create()
    await scene.learn(key)
    scene.store.gate.clear()
    stranger = asyncio.ensure_future(scene.keys.recognise(make_key(), HERE))
    await asyncio.sleep(0)
    scene.clock.now += FRESH_S

    known = asyncio.ensure_future(scene.keys.recognise(key, HERE))
    await asyncio.sleep(0)
    scene.store.gate.set()

    assert await known is not None
    assert await stranger is None


async def test_no_more_keys_are_asked_about_than_are_good(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes on top is told to come back."""
    monkeypatch.setattr(stored_keys, "ASKED_MAX", 2)
    scene.store.gate.clear()
    waiting = [asyncio.ensure_future(scene.keys.recognise(make_key(), HERE)) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(AuthUnavailableError):
        await scene.keys.recognise(make_key(), HERE)

    scene.store.gate.set()
    assert await asyncio.gather(*waiting) == [None, None]


async def test_wrong_keys_from_one_address_end_before_the_store(scene: Scene) -> None:
    """Known keys from there go on, what is no stored key does, and other addresses do (E11)."""
    key, other = await scene.create(), await scene.create("bob")
    await scene.keys.recognise(key, HERE)
    for _ in range(WRONG_KEYS_PER_MINUTE):
        assert await scene.keys.recognise(make_key(), HERE) is None
        scene.keys.count_wrong_key(HERE)
    asked = scene.store.questions
    with pytest.raises(TooManyWrongKeysError):
        scene.keys.count_wrong_key(HERE)

    with pytest.raises(TooManyWrongKeysError) as refused:
        await scene.keys.recognise(make_key(), HERE)

    assert (refused.value.headers, scene.store.questions) == ({"Retry-After": "1"}, asked)
    assert await scene.keys.recognise(key, HERE) is not None
    assert await scene.keys.recognise("a key of another method", HERE) is None
    assert await scene.keys.recognise(other, "10.0.0.1") is not None


async def test_a_key_for_networks_is_refused_elsewhere(scene: Scene) -> None:
    """As what it is: the key is right."""
    key = await scene.create(networks=("10.0.0.0/8",))

    assert await scene.keys.recognise(key, "10.1.1.1") is not None
    with pytest.raises(AddressNotAllowedError):
        await scene.keys.recognise(key, HERE)


async def test_memory_is_bounded(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ones asked for longest ago are forgotten, and asked for again."""
    monkeypatch.setattr(stored_keys, "ANSWERS_MAX", 2)
    keys = [await scene.create(name) for name in ("a", "b", "c")]

    for key in (*keys, keys[0]):
        assert await scene.keys.recognise(key, HERE) is not None

    assert scene.store.questions == 4


async def test_keys_that_nobody_has_push_out_none_that_is_known(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever tries keys makes the store be asked about everybody's again."""
    monkeypatch.setattr(stored_keys, "ANSWERS_MAX", 2)
    key = await scene.create()
    for tried in (key, make_key(), make_key(), make_key()):
        await scene.keys.recognise(tried, HERE)
    questions = scene.store.questions

    assert await scene.keys.recognise(key, HERE) is not None
    assert scene.store.questions == questions


async def test_no_key_and_no_pepper_is_kept_or_logged(scene: Scene, log_lines: LogLines) -> None:
    """Not in the lines, not in the texts of what is raised."""
    key, unknown = await scene.create(networks=("10.0.0.0/8",)), make_key()
    with pytest.raises(AddressNotAllowedError) as refused:
        await scene.keys.recognise(key, HERE)
    shown = [repr(refused.value), str(refused.value.detail)]
    scene.store.is_down = True
    with pytest.raises(AuthUnavailableError) as closed:
        await scene.keys.recognise(unknown, HERE)
    shown += [repr(closed.value), str(closed.value.detail), log_lines.text, repr(vars(scene.keys))]

    for secret in (key, unknown, PEPPER):
        assert secret not in "".join(shown)
