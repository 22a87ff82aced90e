"""A store is asked seldom, for many at once, and never answered for when it cannot be asked."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.core.errors import CredentialUnavailableError
from gateway.core.retry_after import SPREAD_S
from gateway.core.tasks import Tasks
from gateway.credentials import lookup_cache as module
from gateway.credentials.lookup_cache import (
    BATCH,
    FRESH_S,
    RENEW_S,
    REST_S,
    STALE_S,
    LookupCache,
)
from tests.plugins.chain import LogLines
from tests.plugins.shelf import Shelf
from tests.plugins.stored_keys import Clock

LONG_S = 10.0


class Scene:
    """A store with what belongs to two people, and one who asks it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.crashes: list[BaseException] = []
        self.tasks = Tasks(lambda _, error: self.crashes.append(error))
        self.shelf = Shelf({"alice": "her key", "bob": "his key"})
        self.remembered = LookupCache("a table", self.shelf.look_up, self.tasks, self.clock)

    async def find(self, key: str) -> str | None:
        """Ask."""
        return await self.remembered.find(key)

    async def settle(self) -> None:
        """Wait until no question is under way."""
        assert await self.tasks.wait(LONG_S)


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """Somebody who has asked nothing yet; on a busy machine an answer may take a while."""
    monkeypatch.setattr(module, "ANSWER_S", LONG_S)
    made = Scene()
    yield made
    await made.tasks.cancel()
    assert made.crashes == []


async def test_everybody_is_told_what_is_theirs(scene: Scene) -> None:
    """In one question or in several; and what is not there is not there."""
    found = await asyncio.gather(*(scene.find(who) for who in ("alice", "nobody", "bob")))

    assert found == ["her key", None, "his key"]
    assert [await scene.find(who) for who in ("bob", "alice", "nobody")] == [
        "his key",
        "her key",
        None,
    ]


async def test_what_is_remembered_needs_no_waiting(scene: Scene) -> None:
    """Not even one turn of the loop."""
    await scene.find("alice")

    step = scene.find("alice")
    with pytest.raises(StopIteration) as done:
        step.send(None)

    assert done.value.value == "her key"
    assert scene.shelf.questions == [["alice"]]


async def test_the_store_is_asked_once_for_many(scene: Scene) -> None:
    """A hundred callers of one profile are one question (J06)."""
    scene.shelf.gate.clear()
    asked = [asyncio.ensure_future(scene.find("alice")) for _ in range(100)]
    await scene.shelf.has_read.wait()
    scene.shelf.gate.set()

    assert set(await asyncio.gather(*asked)) == {"her key"}
    assert scene.shelf.questions == [["alice"]]


async def test_a_crowd_is_a_few_questions(scene: Scene) -> None:
    """One under way, and all who come meanwhile in the next ones (J06)."""
    crowd = [f"user{number}" for number in range(2 * BATCH + 1)]
    scene.shelf.answers = {who: who for who in crowd}

    assert await asyncio.gather(*map(scene.find, crowd)) == crowd

    assert [len(question) for question in scene.shelf.questions] == [BATCH, BATCH, 1]


async def test_a_caller_who_leaves_does_not_take_the_question_along(scene: Scene) -> None:
    """Others wait for it."""
    scene.shelf.gate.clear()
    leaves, stays = (asyncio.ensure_future(scene.find("alice")) for _ in range(2))
    await scene.shelf.has_read.wait()

    leaves.cancel()
    await asyncio.sleep(0)
    scene.shelf.gate.set()

    assert await stays == "her key"
    assert scene.shelf.questions == [["alice"]]


async def test_it_is_asked_again_beside_requests(scene: Scene) -> None:
    """Nobody waits while what was said is fresh; what changed counts from then on."""
    await scene.find("alice")
    scene.shelf.answers["alice"] = "another key"
    scene.clock.now += RENEW_S

    assert await scene.find("alice") == "her key"
    await scene.settle()
    assert await scene.find("alice") == "another key"


async def test_what_is_old_is_waited_for(scene: Scene) -> None:
    """A key that was deleted is used for five seconds at the longest."""
    await scene.find("alice")
    await scene.find("nobody")
    del scene.shelf.answers["alice"]
    scene.shelf.answers["nobody"] = "a key after all"
    scene.clock.now += FRESH_S

    assert await scene.find("alice") is None
    assert await scene.find("nobody") == "a key after all"


async def test_a_change_by_this_process_counts_at_once(scene: Scene) -> None:
    """Whoever sets a key tries it next."""
    await scene.find("alice")
    scene.shelf.answers["alice"] = "another key"

    scene.remembered.forget("alice")

    assert await scene.find("alice") == "another key"


async def test_an_answer_that_was_read_before_a_change_is_not_kept(scene: Scene) -> None:
    """It was under way when the key was set."""
    scene.shelf.gate.clear()
    early = asyncio.ensure_future(scene.find("alice"))
    await scene.shelf.has_read.wait()
    scene.shelf.answers["alice"] = "another key"
    scene.remembered.forget("alice")
    late = asyncio.ensure_future(scene.find("alice"))
    await asyncio.sleep(0)
    scene.shelf.gate.set()

    assert (await early, await late) == ("her key", "another key")
    assert await scene.find("alice") == "another key"
    assert scene.shelf.questions == [["alice"], ["alice"]]


async def test_what_was_never_asked_is_unknown_while_the_store_is_down(scene: Scene) -> None:
    """And not missing: nobody is sent to look for a key that is there."""
    scene.shelf.is_down = True

    with pytest.raises(CredentialUnavailableError) as refused:
        await scene.find("alice")

    assert (refused.value.status, refused.value.code) == (503, "credential_unavailable")
    assert 1 <= int(refused.value.headers["Retry-After"]) <= SPREAD_S
    scene.shelf.is_down = False
    scene.clock.now += REST_S
    assert await scene.find("alice") == "her key"


async def test_what_was_known_goes_on_for_five_minutes(scene: Scene, log_lines: LogLines) -> None:
    """With one line in the log when it begins and one when it ends (J07)."""
    await scene.find("alice")
    await scene.find("nobody")
    scene.shelf.is_down = True
    for _ in range(5):
        scene.clock.now += FRESH_S
        assert await scene.find("alice") == "her key"
        assert await scene.find("nobody") is None
        await scene.settle()
    scene.clock.now += STALE_S

    with pytest.raises(CredentialUnavailableError):
        await scene.find("alice")

    scene.shelf.is_down = False
    scene.clock.now += REST_S
    assert await scene.find("alice") == "her key"
    (failed,) = log_lines.find("credential_store.failed")
    assert (failed["store"], failed["reason"]) == ("a table", "gateway.db: out of order")
    assert len(log_lines.find("credential_store.recovered")) == 1


async def test_a_store_that_failed_is_left_alone_for_a_second(scene: Scene) -> None:
    """A thousand callers do not knock on a closed door."""
    scene.shelf.is_down = True
    for number in range(50):
        with pytest.raises(CredentialUnavailableError):
            await scene.find(f"user{number}")
    assert len(scene.shelf.questions) == 1

    scene.clock.now += REST_S
    with pytest.raises(CredentialUnavailableError):
        await scene.find("alice")
    assert len(scene.shelf.questions) == 2


async def test_a_store_that_does_not_answer_is_waited_for_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is known goes on with what they had, the others get 503 (J02)."""
    await scene.find("alice")
    scene.shelf.gate.clear()
    monkeypatch.setattr(module, "ANSWER_S", 0.01)
    scene.clock.now += FRESH_S

    assert await scene.find("alice") == "her key"  # after ANSWER_S
    assert await scene.find("alice") == "her key"  # at once
    with pytest.raises(CredentialUnavailableError):
        await scene.find("bob")

    scene.shelf.gate.set()
    await scene.settle()
    scene.clock.now += REST_S
    monkeypatch.setattr(module, "ANSWER_S", LONG_S)
    assert await scene.find("bob") == "his key"


async def test_the_end_of_the_gateway_leaves_nobody_waiting(scene: Scene) -> None:
    """Neither those whose question is under way nor those whose is next."""
    scene.shelf.gate.clear()
    first = asyncio.ensure_future(scene.find("alice"))
    await scene.shelf.has_read.wait()
    second = asyncio.ensure_future(scene.find("bob"))
    await asyncio.sleep(0)

    await scene.tasks.cancel()

    for asked in (first, second):
        with pytest.raises(CredentialUnavailableError):
            await asked


async def test_a_mistake_of_ours_leaves_nobody_waiting() -> None:
    """It is reported, and the next one may ask."""
    crashes: list[BaseException] = []
    tasks = Tasks(lambda _, error: crashes.append(error))
    answers = iter([RuntimeError("a mistake"), {"alice": "her key"}])

    async def look_up(_: object) -> dict[str, str]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    remembered = LookupCache("a table", look_up, tasks, Clock())
    with pytest.raises(CredentialUnavailableError):
        await remembered.find("alice")

    assert await remembered.find("alice") == "her key"
    assert [str(crash) for crash in crashes] == ["a mistake"]


async def test_memory_has_a_bound(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was asked for longest ago makes room."""
    monkeypatch.setattr(module, "ANSWERS_MAX", 10)
    await scene.find("alice")
    for number in range(10):
        await scene.find(f"user{number}")
    asked = len(scene.shelf.questions)

    await scene.find("user0")
    assert len(scene.shelf.questions) == asked
    await scene.find("alice")
    assert len(scene.shelf.questions) == asked + 1


@pytest.mark.parametrize("cancelled_after", range(6))
async def test_nothing_is_mixed_up_when_somebody_leaves_at_any_point(
    scene: Scene, cancelled_after: int
) -> None:
    """Cancelled at each turn of the loop, and everybody else is told what is theirs (J05)."""
    asked = {who: asyncio.ensure_future(scene.find(who)) for who in ("alice", "bob", "nobody")}
    leaver = asyncio.ensure_future(scene.find("alice"))
    for _ in range(cancelled_after):
        await asyncio.sleep(0)
    leaver.cancel()
    scene.remembered.forget("bob")

    assert await asyncio.gather(*asked.values()) == ["her key", "his key", None]
    await asyncio.wait([leaver])
    await scene.settle()
    assert [await scene.find(who) for who in asked] == ["her key", "his key", None]


async def test_what_is_too_old_to_be_told_is_let_go(scene: Scene) -> None:
    """Credentials of people who left do not stay in memory."""
    await scene.find("alice")
    scene.clock.now += STALE_S - 1
    await scene.find("bob")
    assert set(scene.remembered._answers) == {"alice", "bob"}  # noqa: SLF001 - to see what is kept
    scene.clock.now += 1

    await scene.find("nobody")

    assert set(scene.remembered._answers) == {"bob", "nobody"}  # noqa: SLF001 - to see what is kept


async def test_an_answer_that_is_late_does_not_bring_the_old_one_back(scene: Scene) -> None:
    """Nobody asks meanwhile, and the next one who does is told how it is."""
    scene.shelf.gate.clear()
    early = asyncio.ensure_future(scene.find("alice"))
    await scene.shelf.has_read.wait()
    scene.shelf.answers["alice"] = "another key"
    scene.remembered.forget("alice")
    scene.shelf.gate.set()
    await early
    await scene.settle()

    assert await scene.find("alice") == "another key"
