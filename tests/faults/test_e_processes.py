"""Group E: two gateways in processes of their own on one database of keys.

The rule here: everything is asked over the admin API and by callers, as operators and their
programs would.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout

from gateway.config.stores import StoresSpec
from gateway.simulator import Simulator
from gateway.stores.opening import open_keys
from tests.plugins.admins import ADMIN, ADMIN_KEY, AUTHORIZATION
from tests.plugins.authorities import FEW_AUTHORITIES
from tests.plugins.canaries import files_in, refuse_leaks
from tests.plugins.gateway_process import ROOT, GatewayProcess, gateway_process
from tests.plugins.scene import eventually
from tests.plugins.stored_keys import PEPPER, make_tables, spec_of

REVOKED_WITHIN_S = 10
NAMES = [f"key{number}" for number in range(10)]
QUESTION = {"model": "sim/sim:groq-2026", "messages": [{"role": "user", "content": "Hi"}]}


class Pair:
    """Two gateways, and who calls them."""

    def __init__(self, gateways: list[GatewayProcess], session: ClientSession) -> None:
        self.gateways = gateways
        self._session = session

    async def change(self, at: int, path: str, **fields: str) -> tuple[int, Any]:
        """What an admin asks of one of the two."""
        url = f"http://127.0.0.1:{self.gateways[at].admin_port}{path}"
        async with self._session.post(url, json=fields, headers=AUTHORIZATION) as reply:
            body = await reply.json()
            for gateway in self.gateways if "key" in body else ():
                gateway.secrets.append(body["key"])
            return reply.status, body

    async def change_both(self, path: str, **fields: str) -> list[tuple[int, Any]]:
        """The same asked of both at once, and nothing else: a slow database turns others away."""
        return list(await asyncio.gather(*(self.change(at, path, **fields) for at in (0, 1))))

    async def call(self, at: int, key: str) -> int:
        """The status of a caller's question."""
        url = f"http://127.0.0.1:{self.gateways[at].port}/v1/chat/completions"
        headers = {"Authorization": f"Bearer {key}"}
        async with self._session.post(url, json=QUESTION, headers=headers) as reply:
            await reply.read()
            return reply.status


@pytest.fixture
async def pair(tmp_path: Path, simulator: Simulator, database_address: str) -> AsyncIterator[Pair]:
    """Both running; what they have said and written is searched for secrets when they end."""
    await make_tables(spec_of(database_address))
    pepper = tmp_path / "pepper"
    pepper.write_text(PEPPER)
    settings = {
        "auth": [{"kind": "gateway_key"}],
        "admin": ADMIN,
        "stores": {"database": database_address, "peppers": {"1": f"file:{pepper}"}},
    }
    provider = {"base_url": simulator.base_url, "allow_private": True, "auth": {"required": False}}
    async with AsyncExitStack() as stack:
        directories = [tmp_path / name for name in ("one", "two")]
        for directory in directories:
            directory.mkdir()
        gateways = await asyncio.gather(
            *(
                stack.enter_async_context(gateway_process(directory, {"sim": provider}, settings))
                for directory in directories
            )
        )
        timeout = ClientTimeout(total=20)
        session = await stack.enter_async_context(ClientSession(timeout=timeout))
        for gateway in gateways:
            gateway.secrets += [ADMIN_KEY, PEPPER]
        yield Pair(list(gateways), session)


async def test_two_processes_agree_on_every_key(pair: Pair, database_address: str) -> None:
    """E06: a name is given once, a key opens both, and a revoked one neither after 10 s."""
    answers = [one for name in NAMES for one in await pair.change_both("/keys", name=name)]
    made = {body["name"]: body["key"] for status, body in answers if status == 201}
    assert Counter(status for status, _ in answers) == {201: len(NAMES), 409: len(NAMES)}
    assert made.keys() == set(NAMES)
    assert {await pair.call(at, key) for key in made.values() for at in (0, 1)} == {200}

    paths = [f"/keys/{name}/disable" for name in NAMES[:5]]
    ended = [one for path in paths for one in await pair.change_both(path)]
    disabled_at = time.monotonic()
    rotated = await pair.change_both(f"/keys/{NAMES[5]}/rotate", overlap="0s")

    assert Counter(body["was_disabled"] for _, body in ended) == {False: 5, True: 5}
    assert [status for status, _ in rotated] == [200, 200]

    def disabled() -> Counter[str]:
        lines = [line for one in pair.gateways for line in one.lines("key.disabled")]
        return Counter(line["key"] for line in lines)

    await eventually(lambda: disabled().total() >= len(ended) // 2, "the log has been written")
    assert disabled() == dict.fromkeys(NAMES[:5], 1)
    if database_address.startswith("postgresql"):  # once is enough: it takes its seconds
        await wait_until_refused(pair, [made[name] for name in NAMES[:6]])
        assert time.monotonic() - disabled_at < REVOKED_WITHIN_S
    assert {await pair.call(at, made[NAMES[6]]) for at in (0, 1)} == {200}


async def wait_until_refused(pair: Pair, keys: list[str]) -> None:
    """Ask both gateways with every one of the keys until none is let in."""
    open_ = {(at, key) for at in (0, 1) for key in keys}
    while open_:
        asked = list(open_)
        statuses = await asyncio.gather(*(pair.call(at, key) for at, key in asked))
        assert set(statuses) <= {200, 401}
        open_ = {one for one, status in zip(asked, statuses, strict=True) if status == 200}


async def run_command(directory: Path, *arguments: str) -> tuple[int | None, str, str]:
    """Code, output and what else is said of `gateway keys`, run by somebody in a directory."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "keys", *arguments),
        cwd=directory,
        env={**FEW_AUTHORITIES, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await running.communicate()
    return running.returncode, out.decode(), err.decode()


async def test_commands_that_come_first_together_make_one_database(tmp_path: Path) -> None:
    """E06, J10: file, tables and pepper are there once, a name is one key, and every key works."""
    (tmp_path / "gateway.yaml").write_text("auth: [{kind: gateway_key}]\n")

    done = await asyncio.gather(
        *(run_command(tmp_path, "create", name) for name in ("alice", "alice", "bob"))
    )

    assert sorted((code, bool(out)) for code, out, _ in done) == [(0, True), (0, True), (1, False)]
    assert "a key named alice already" in next(err for code, _, err in done if code == 1)
    opened = await open_keys(
        StoresSpec(database=f"sqlite:///{tmp_path / 'gateway.db'}"), {}, timeout_s=5
    )
    try:
        keys = [out.strip() for code, out, _ in done if code == 0]
        found = [await opened.store.find_key(opened.peppers.digests(key)) for key in keys]
    finally:
        await opened.store.close()
    assert {key.name for key in found if key is not None} == {"alice", "bob"}
    refuse_leaks(keys, files_in(tmp_path))
