"""Groups I and J: the ledger, through the whole gateway.

The rule here: what the books say is held against what the simulator says that it was asked.
"""

import asyncio
import json
import resource
import sqlite3
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.app import LEDGER, WRITER
from gateway.ledger.bringing_in import read_ended
from gateway.simulator import Simulator
from gateway.upstream.connection import Connection
from tests.faults.conftest import OpenScene
from tests.plugins.gateway import CREDENTIAL
from tests.plugins.gateway_process import GatewayProcess, gateway_process
from tests.plugins.ledgers import read_books
from tests.plugins.postgresql import PostgresqlServer
from tests.plugins.raw_caller import Caller
from tests.plugins.scene import (
    AUTH,
    CHAT,
    GATEWAY_KEY,
    PATHS,
    PROMPT,
    V1,
    Scene,
    body_of,
    error_of,
    eventually,
    header_of,
    raw_request,
)
from tests.plugins.stored_keys import make_tables, spec_of
from tests.unit.relay.test_relay_retries import failing

STALLED: dict[str, Any] = {"count": 5, "stall": {"after_tokens": 2}}
FINISHED: dict[str, Any] = {"count": 3}
STREAM_COUNT, FINISHED_COUNT = 100, 50

linux_only = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="a process is limited by way of Linux"
)


def names_in(directory: Path) -> list[str]:
    """What is there."""
    return [path.name for path in directory.iterdir()]


def directory_of(scene: Scene) -> Path:
    """Where the gateway's files are."""
    return scene.gateway.service.app[LEDGER].journal.path.parents[1]


async def open_books(open_scene: OpenScene, **parts: Any) -> Scene:
    """A scene whose gateway keeps a ledger in a file."""
    return await open_scene(settings={"ledger": {}, **parts.pop("settings", {})}, **parts)


async def books_of(scene: Scene) -> list[dict[str, Any]]:
    """What is booked by now, without what bystanders used; all that has ended is."""
    await scene.gateway.service.app[WRITER].flush()
    rows = await read_books(f"sqlite:///{directory_of(scene) / 'gateway.db'}")
    return [row for row in rows if row["provider"] != "other"]


@pytest.mark.parametrize(("path", "fields"), [(CHAT, {}), (V1, {}), (V1, {"stream": False})])
async def test_an_answer_is_booked_with_what_the_provider_counted(
    open_scene: OpenScene, path: str, fields: dict[str, Any]
) -> None:
    """I06: who, what, how much, once."""
    scene = await open_books(open_scene)

    await scene.ask("plain", path, **fields)
    line = await scene.settled()

    (row,) = await books_of(scene)
    (attempt,) = row["attempts"]
    assert (row["request_id"], row["principal"]) == (line["request_id"], "alice")
    assert (row["principal_kind"], row["outcome"]) == ("gateway_key", "finished")
    assert (row["provider"], row["model"]) == (line["provider"], line["model"])
    assert (row["status"], row["bytes_out"]) == (200, line["bytes_out"])
    assert (attempt["tokens_in"], attempt["tokens_out"]) == (line["tokens_in"], line["tokens_out"])
    assert (attempt["tokens_source"], attempt["credential_id"]) == ("provider", "SIM_API_KEY")


async def test_what_never_reached_a_provider_is_not_booked(open_scene: OpenScene) -> None:
    """A flood of refused requests fills no disk; the log and the metrics have them."""
    limit = {"name": "few", "on": "principal", "requests_per_minute": 1}
    limit["match"] = {"provider": "sim"}
    scene = await open_books(open_scene, settings={"limits": [limit]}, recovers=False)
    await scene.ask("plain")
    await scene.ask("plain")  # 429
    await scene.send(b"GET /v1/models HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")  # 401

    rows = await books_of(scene)

    assert [row["outcome"] for row in rows] == ["finished"]
    assert scene.upstream_requests == 1


async def test_a_mistake_while_it_is_sent_is_answered_and_booked(
    open_scene: OpenScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No caller waits for an attempt that never began or pays for it; the next one is served."""
    scene = await open_books(open_scene)
    scene.gateway.allowed_words = ("Traceback", "request.crashed")

    def fail(*_: object) -> None:
        raise LookupError("a mistake of ours")

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "send", fail)
        answers = await asyncio.gather(*(scene.ask("plain", path) for path in PATHS))
    again = await scene.ask("plain")

    assert [error_of(answer)[0] for answer in answers] == [500, 500]
    assert again.status == 200
    await scene.settled(3)
    tokens = [(row["outcome"], row["attempts"][0]["tokens_in"]) for row in await books_of(scene)]
    assert sorted(tokens, key=str) == [("finished", 6), ("rejected", None), ("rejected", None)]
    assert scene.gateway.service.app[LEDGER].open_count == 0


async def test_who_was_refused_is_booked_where_that_is_wanted(open_scene: OpenScene) -> None:
    """Every ending of a known caller has its row then, and one who is not known has none."""
    limit = {"name": "few", "on": "principal", "requests_per_minute": 1}
    limit["match"] = {"provider": "sim"}
    settings = {"limits": [limit], "ledger": {"refusals_per_minute": 10}}
    scene = await open_books(open_scene, settings=settings, recovers=False)
    await scene.ask("plain")
    await scene.ask("plain")  # 429
    await scene.send(b"GET /v1/models HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")  # 401

    rows = await books_of(scene)

    found = [(row["outcome"], row["status"], len(row["attempts"])) for row in rows]
    assert found == [("finished", 200, 1), ("rejected", 429, 0)]
    assert rows[1]["error_code"] == "request_rate_exceeded"


async def test_each_attempt_is_a_row_of_its_own(open_scene: OpenScene) -> None:
    """I09: one request, two attempts."""
    scene = await open_books(open_scene, retries=2)

    await scene.ask(failing(503))

    (row,) = await books_of(scene)
    assert [one["number"] for one in row["attempts"]] == [1, 2]
    assert [one["outcome"] for one in row["attempts"]] == ["upstream_failed", "finished"]
    assert [one["status"] for one in row["attempts"]] == [503, 200]
    assert row["attempts"][0]["tokens_in"] is None
    assert scene.upstream_requests == 2


@pytest.mark.parametrize("path", PATHS)
async def test_a_caller_who_left_is_booked_for_what_had_come(
    open_scene: OpenScene, path: str
) -> None:
    """I07: hanging up early makes no answer free, and none dear."""
    scene = await open_books(open_scene)
    async with scene.call(STALLED, path) as caller:
        await caller.read_until(b"\r\n\r\n")
    line = await scene.settled()

    (row,) = await books_of(scene)

    (attempt,) = row["attempts"]
    assert (row["outcome"], attempt["outcome"]) == ("client_gone", "client_gone")
    assert (attempt["tokens_in"], attempt["tokens_out"]) == (line["tokens_in"], line["tokens_out"])
    assert attempt["tokens_source"] == "estimate"
    assert attempt["tokens_in"] > 0


async def test_an_answer_that_is_drained_is_booked_once(open_scene: OpenScene) -> None:
    """I07, `on_client_gone: drain`: when it was read to its end, with the provider's count."""
    scene = await open_books(open_scene, on_client_gone="drain")
    directive = {"count": 5, "stall": {"after_tokens": 2, "for_s": 0.1}}
    async with scene.call(directive, stream_options={"include_usage": True}) as caller:
        await caller.read_until(b"\r\n\r\n")
    await scene.settled()

    (row,) = await books_of(scene)

    (attempt,) = row["attempts"]
    assert row["outcome"] == "client_gone"
    assert attempt["tokens_source"] == "provider"
    assert attempt["tokens_out"] == scene.simulator.journal.last.content_tokens_sent


async def test_a_provider_that_fails_midway_is_booked_for_what_it_sent(
    open_scene: OpenScene,
) -> None:
    """I08: and the reason is kept."""
    scene = await open_books(open_scene)

    await scene.ask({"count": 5, "cut": {"after_tokens": 2}})
    line = await scene.settled()

    (row,) = await books_of(scene)
    (attempt,) = row["attempts"]
    assert (row["outcome"], attempt["outcome"]) == ("upstream_failed", "upstream_failed")
    assert row["error_code"] == attempt["error_code"] == line["error_code"]
    assert (attempt["tokens_out"], attempt["tokens_source"]) == (line["tokens_out"], "estimate")


async def test_a_caller_may_leave_at_any_moment(open_scene: OpenScene) -> None:
    """I05: after each turn of the loop another one leaves; who reached the provider is booked."""
    scene = await open_books(open_scene, recovers=False)
    for turns in range(60):
        async with scene.call({"count": 3}, PATHS[turns % 2]) as caller:
            for _ in range(turns):
                await asyncio.sleep(0)
            caller.hang_up()
    await scene.wait_until_quiet()

    rows = await books_of(scene)

    ids = Counter(row["request_id"] for row in rows)
    assert set(ids.values()) <= {1}
    assert len(rows) >= scene.upstream_requests > 0
    lines = {line["request_id"]: line for line in scene.gateway.log.settled}
    assert {row["request_id"] for row in rows} == {
        key for key, line in lines.items() if line["attempts"]
    }
    for row in rows:
        assert row["outcome"] == lines[row["request_id"]]["outcome"]
    assert scene.gateway.service.app[LEDGER].open_count == 0


async def test_no_secret_is_in_the_books(open_scene: OpenScene) -> None:
    """L01: neither in the journal nor in the database: no key, credential or prompt."""
    scene = await open_books(open_scene)
    for directive in (
        "plain",
        {"error": {"status": 401}},
        {"count": 3, "cut": {"after_tokens": 1}},
    ):
        await scene.ask(directive)
    journal = b"".join(
        map(Path.read_bytes, scene.gateway.service.app[LEDGER].journal.path.iterdir())
    )
    await books_of(scene)
    files = b"".join(
        path.read_bytes() for path in directory_of(scene).iterdir() if "gateway.db" in path.name
    )

    assert len(journal) > 500
    assert b"alice" in files
    for secret in (CREDENTIAL, GATEWAY_KEY, PROMPT):
        assert secret.encode() not in journal
        assert secret.encode() not in files


async def open_on_postgresql(
    open_scene: OpenScene, postgresql: PostgresqlServer
) -> tuple[Scene, str]:
    """A scene whose ledger is in PostgreSQL, and the address of that."""
    address = postgresql.make_database()
    await make_tables(spec_of(address))
    scene = await open_scene(settings={"ledger": {}, "stores": {"database": address}})
    return scene, address


async def test_a_frozen_database_delays_nobody_and_loses_nothing(
    open_scene: OpenScene, postgresql: PostgresqlServer
) -> None:
    """J07, J09: rows wait in the journal; when it goes on they are there, each once."""
    scene, address = await open_on_postgresql(open_scene, postgresql)
    await scene.ask("plain")
    writer, ledger = scene.gateway.service.app[WRITER], scene.gateway.service.app[LEDGER]
    await writer.flush()
    postgresql.freeze()
    try:
        loop = asyncio.get_running_loop()
        start = loop.time()
        for _ in range(20):
            heard = await scene.ask("plain")
            assert heard.status == 200
        took_s = loop.time() - start
        assert ledger.journal.backlog_bytes > 0
    finally:
        postgresql.thaw()

    await eventually(lambda: ledger.journal.backlog_bytes == 0, "rows have arrived")
    assert took_s < 5  # twenty answers; the database was asked for ten seconds at a time
    assert len(await read_books(address)) == 21


async def test_connections_that_the_database_ends_lose_nothing(
    open_scene: OpenScene, postgresql: PostgresqlServer
) -> None:
    """J07, J08: a failover ends every connection, some between a commit and its answer."""
    scene, address = await open_on_postgresql(open_scene, postgresql)
    writer = scene.gateway.service.app[WRITER]
    for _ in range(5):
        await scene.ask("plain")
        flushing = asyncio.ensure_future(writer.flush())
        await asyncio.to_thread(postgresql.end_connections, address)
        await flushing
    await writer.flush()
    await writer.flush()

    rows = await read_books(address)

    assert len(rows) == 5
    assert all(len(row["attempts"]) == 1 for row in rows)


async def test_a_database_that_is_down_gets_its_rows_when_it_is_up(
    open_scene: OpenScene, postgresql: PostgresqlServer
) -> None:
    """J07, J09: answers go on meanwhile; one line when it goes and one when it comes."""
    scene, address = await open_on_postgresql(open_scene, postgresql)
    writer, ledger = scene.gateway.service.app[WRITER], scene.gateway.service.app[LEDGER]
    await asyncio.to_thread(postgresql.refuse_connections, address)
    for _ in range(5):
        assert (await scene.ask("plain")).status == 200
        await writer.flush()
    assert "gateway_ledger_store_down 1.0" in scene.gateway.metrics
    assert "gateway_ledger_backlog_bytes 0.0" not in scene.gateway.metrics
    await asyncio.to_thread(postgresql.allow_connections, address)

    await writer.flush()

    assert len(await read_books(address)) == 5
    assert ledger.counts.backlog_bytes == 0
    assert "gateway_ledger_store_down 0.0" in scene.gateway.metrics
    assert "gateway_ledger_backlog_bytes 0.0" in scene.gateway.metrics
    events = [line["event"] for line in scene.gateway.log.lines]
    assert events.count("ledger.store_down") == events.count("ledger.store_up") == 1


async def test_a_file_that_somebody_else_has_locked_delays_nobody(open_scene: OpenScene) -> None:
    """J10: a backup program, or a shell that was left open; rows wait for it, requests do not."""
    scene = await open_books(open_scene)
    await books_of(scene)  # the file is open by now
    ledger = scene.gateway.service.app[LEDGER]
    other = sqlite3.connect(directory_of(scene) / "gateway.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        for _ in range(5):
            assert (await scene.ask("plain")).status == 200
        assert ledger.counts.backlog_bytes > 0
    finally:
        other.execute("ROLLBACK")
        other.close()

    assert len(await books_of(scene)) == 5
    assert ledger.counts.backlog_bytes == 0


@pytest.mark.parametrize("path", PATHS)
async def test_a_full_journal_refuses_where_that_is_wanted(
    open_scene: OpenScene, path: str
) -> None:
    """J09, `on_full: refuse`: the provider is asked nothing that cannot be booked."""
    full = {"max_backlog_bytes": 1, "on_full": "refuse"}
    scene = await open_books(open_scene, settings={"ledger": full}, recovers=False)
    await books_of(scene)  # the file is open by now
    other = sqlite3.connect(directory_of(scene) / "gateway.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        await scene.ask("plain", path)
        refused = await scene.ask("plain", path)
        line = await scene.settled(2)
    finally:
        other.execute("ROLLBACK")
        other.close()

    assert error_of(refused) == (503, "accounting_unavailable")
    assert int(header_of(refused, "retry-after") or 0) > 0
    assert (line["outcome"], line["attempts"]) == ("rejected", 0)
    assert scene.upstream_requests == 1
    assert len(await books_of(scene)) == 1
    assert (await scene.ask("plain", path)).status == 200
    assert len(await books_of(scene)) == 2


def entry_of(scene_url: str) -> dict[str, Any]:
    """The simulator in the registry of a gateway that is a process of its own."""
    return {"base_url": scene_url, "allow_private": True, "retries": 0}


async def send(caller: Caller, directive: object) -> None:
    """Ask for a stream."""
    body = json.dumps(body_of(V1, directive)).encode()
    length = f"Content-Length: {len(body)}"
    await caller.send(raw_request(f"POST {V1} HTTP/1.1", length, body=body))


@linux_only
async def test_a_killed_gateway_loses_no_exchange(tmp_path: Path, simulator: Simulator) -> None:
    """K02, I04: of a hundred streams and fifty answers each is booked once, by the next one."""
    providers = {"sim": entry_of(simulator.base_url)}
    settings = {"auth": AUTH, "ledger": {}}
    async with AsyncExitStack() as callers:
        async with gateway_process(tmp_path, providers, settings) as gateway:
            for directive, count in ((FINISHED, FINISHED_COUNT), (STALLED, STREAM_COUNT)):
                for _ in range(count):
                    caller = await callers.enter_async_context(Caller(gateway.port))
                    await send(caller, directive)
                    await caller.read_until(b"\r\n\r\n")
            await gateway.wait_for_settled(FINISHED_COUNT)
            await gateway.kill()
        async with gateway_process(tmp_path, providers, settings) as gateway:
            await gateway.wait_for_line("ledger.recovered")

    rows = await read_books(f"sqlite:///{tmp_path / 'gateway.db'}")

    assert len(rows) == simulator.journal.count == FINISHED_COUNT + STREAM_COUNT
    outcomes = Counter(row["outcome"] for row in rows)
    assert outcomes == {"finished": FINISHED_COUNT, "lost": STREAM_COUNT}
    assert sum(len(row["attempts"]) for row in rows) == len(rows)
    assert all(row["attempts"][0]["tokens_in"] for row in rows)
    assert names_in(tmp_path / "gateway.journal") == []


async def ask(gateway: GatewayProcess, count: int) -> None:
    """Ask so often, one after another, and read each answer to its end."""
    for _ in range(count):
        async with Caller(gateway.port) as caller:
            await send(caller, FINISHED)
            await caller.read_until(b"\r\n0\r\n\r\n")


@linux_only
async def test_a_stop_with_a_full_disk_says_what_it_could_not_book(
    tmp_path: Path, simulator: Simulator
) -> None:
    """J11: what neither journal nor database has taken is on the log, each and in sum."""
    providers = {"sim": entry_of(simulator.base_url)}
    async with gateway_process(tmp_path, providers, {"auth": AUTH, "ledger": {}}) as gateway:
        await ask(gateway, 5)
        gateway.limit_file_size(0)
        await ask(gateway, 20)
    settled = gateway.lines("exchange.settled")
    given_up = gateway.lines("ledger.row_given_up")
    (sums,) = gateway.lines("ledger.given_up")

    rows = await read_books(f"sqlite:///{tmp_path / 'gateway.db'}")
    left = sum(len(rows) for rows in read_ended(tmp_path / "gateway.journal"))

    # The disk may have been full before the last of the first five was written down as ended.
    early = len(given_up) - 20
    assert len(rows) + left + len(given_up) == len(settled) == 25
    assert 0 <= early <= 5
    given_up_ids = [one["request_id"] for one in given_up]
    assert sorted(given_up_ids) == sorted(one["request_id"] for one in settled[5 - early :])
    assert (sums["count"], sums["lost"]) == (len(given_up), early)
    assert sums["tokens_out"] == sum(one["tokens_out"] for one in settled[5 - early :])


@linux_only
async def test_a_full_disk_stops_nobody_and_loses_nothing(
    tmp_path: Path, simulator: Simulator
) -> None:
    """J11: neither journal nor database can grow; what ended meanwhile is there afterwards."""
    providers = {"sim": entry_of(simulator.base_url)}
    async with gateway_process(tmp_path, providers, {"auth": AUTH, "ledger": {}}) as gateway:
        await ask(gateway, 5)
        gateway.limit_file_size(0)
        await ask(gateway, 20)
        full = (await gateway.fetch("/metrics")).body.decode()
        gateway.limit_file_size(resource.RLIM_INFINITY)
        await ask(gateway, 5)
    failed = gateway.lines("ledger.journal_failed")

    rows = await read_books(f"sqlite:///{tmp_path / 'gateway.db'}")

    held = next(line for line in full.splitlines() if line.startswith("gateway_ledger_held "))
    assert float(held.split()[1]) >= 20
    assert len(rows) == simulator.journal.count == 30
    assert {row["outcome"] for row in rows} == {"finished"}
    assert len(failed) == len(gateway.lines("ledger.journal_recovered")) == 1
    assert names_in(tmp_path / "gateway.journal") == []
