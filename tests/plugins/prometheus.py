"""A real Prometheus with the shipped configuration, and the queries that ship.

The rule here: only where to scrape, and how often, is changed.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import ClientSession

from tests.docs.pages import ROOT
from tests.plugins.programs import find_program

SHIPPED = ROOT / "deploy/prometheus"
DASHBOARD = ROOT / "deploy/grafana/dashboards/gateway.json"
INSTALL = "apt install prometheus"
TIMEOUT_S = 20
LISTENING = re.compile(r'"Listening on" address=(\S+)')
READY = "ready to receive web requests"

# What Grafana puts in for "all", and for scrapes that often.
VARIABLES = {
    "$job": "gateway",
    "$instance": ".*",
    "$provider": ".*",
    "$model": ".*",
    "$__rate_interval": "1m",
}


@dataclass(frozen=True)
class Query:
    """One query of a dashboard or a rule, and where it stands."""

    where: str
    text: str
    legend: str = ""


def dashboard() -> dict[str, Any]:
    """Give the dashboard that ships."""
    return dict(json.loads(DASHBOARD.read_text(encoding="utf-8")))


def dashboard_queries() -> list[Query]:
    """Give every query of the dashboard."""
    return [
        Query(panel["title"], target["expr"], target["legendFormat"])
        for panel in dashboard()["panels"]
        for target in panel.get("targets", ())
    ]


def rules() -> list[dict[str, Any]]:
    """Give every rule that ships."""
    groups = yaml.safe_load((SHIPPED / "gateway.rules.yml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture(scope="session")
def promtool_path() -> Path:
    """Give the program that checks what Prometheus reads."""
    return find_program("promtool", install=INSTALL, part="prometheus")


@pytest.fixture(scope="session")
def prometheus_path() -> Path:
    """Give the Prometheus program."""
    return find_program("prometheus", install=INSTALL)


class Prometheus:
    """One that runs."""

    def __init__(self, session: ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def ask(self, query: str) -> list[dict[str, Any]]:
        """The series that a query gives now; a query with a mistake fails the test."""
        async with self._session.get(f"{self._url}/api/v1/query", params={"query": query}) as reply:
            answer = await reply.json()
        assert answer["status"] == "success", (query, answer)
        return list(answer["data"]["result"])

    async def wait_for(self, query: str) -> list[dict[str, Any]]:
        """The same, once it gives anything."""
        async with asyncio.timeout(TIMEOUT_S):
            while not (found := await self.ask(query)):
                pass
        return found


@asynccontextmanager
async def run_prometheus(program: Path, directory: Path, target: str) -> AsyncIterator[Prometheus]:
    """Run one that scrapes this address, `host:port`, ten times a second."""
    config = yaml.safe_load((SHIPPED / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = dict.fromkeys(("scrape_interval", "evaluation_interval"), "100ms")
    config["rule_files"] = [str(SHIPPED / name) for name in config["rule_files"]]
    for job in config["scrape_configs"]:
        job["scrape_timeout"] = "100ms"
        job["static_configs"] = [{"targets": [target]}]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    running = await asyncio.create_subprocess_exec(
        program,
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'prometheus'}",
        "--web.listen-address=127.0.0.1:0",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert running.stderr is not None
    reader = None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            address = await _wait_until_ready(running.stderr)
        reader = asyncio.ensure_future(running.stderr.read())  # or it would wait for us one day
        async with ClientSession() as session:
            yield Prometheus(session, f"http://{address}")
    finally:
        running.kill()
        await running.wait()
        if reader is not None:
            await reader


async def _wait_until_ready(log: asyncio.StreamReader) -> str:
    """Where it listens."""
    address, said = "", ""
    async for line in log:
        said += line.decode()
        found = LISTENING.search(line.decode())
        address = found[1] if found else address
        if READY in line.decode():
            return address
    raise AssertionError(said)
