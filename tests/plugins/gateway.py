"""The real gateway in the test's own event loop: real sockets, real files, free ports.

Every gateway that a test starts is checked when the test ends: nothing in flight, nothing
leaked, no traceback, every outcome and error code one of the closed lists, and no secret in a log
line, a metric, a file or a process (faults.md 1.2, I1 and I3 to I6).
"""

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp.web_app import _cached_build_middleware

from gateway.app import RELAY, add_content_log
from gateway.config.load import known_secrets, load_registry, load_settings
from gateway.config.stores import StoresSpec
from gateway.core.errors import GatewayError
from gateway.core.exchange import Outcome
from gateway.credentials.pools import POOLS
from gateway.middleware.assign_request_id import IN_FLIGHT
from gateway.middleware.enforce_limits import LIMITER
from gateway.middleware.read_request import HELD_BODIES
from gateway.middleware.shed_load import PRESSURE
from gateway.plugins.finding import look_in, places_of
from gateway.relay.relay import CLIENT_STALLED
from gateway.server.site import close_idle_connections
from gateway.serving.service import Service
from gateway.simulator import Simulator
from gateway.stores.counters import CounterStore
from gateway.telemetry.logging import GatewayLog
from tests.plugins.canaries import files_in, processes_below, refuse_leaks
from tests.plugins.declared import refuse_undeclared
from tests.plugins.memory_log import configure_logging
from tests.plugins.tables import lay_tables

TIMEOUT_S = 10
CREDENTIAL = "sk-canary-provider-credential-4f1d9c"

# What a mistake of ours looks like in a log.
BAD_WORDS = ("Traceback", "never retrieved", "Unclosed", "never awaited", "request.crashed")


def _codes_of(kind: type[GatewayError]) -> set[str]:
    return {kind.code}.union(*map(_codes_of, kind.__subclasses__()))


# The closed lists: a line that says anything else is a line nobody can count by.
CODES = {*_codes_of(GatewayError), CLIENT_STALLED}
FAILURES = {Outcome.REJECTED, Outcome.UPSTREAM_FAILED, Outcome.POLICY_STOPPED}


class LogLines(io.StringIO):
    """Where a gateway under test logs; lines can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._arrived = asyncio.Event()

    def write(self, text: str) -> int:
        """Take a line and wake who waits for one."""
        written = super().write(text)
        self._arrived.set()
        return written

    @property
    def lines(self) -> list[dict[str, Any]]:
        """All lines so far, decoded."""
        return [json.loads(line) for line in self.getvalue().splitlines()]

    @property
    def settled(self) -> list[dict[str, Any]]:
        """The terminal line of each exchange so far."""
        return [line for line in self.lines if line["event"] == "exchange.settled"]

    async def wait_for_settled(self, count: int = 1, timeout_s: float = 10) -> list[dict[str, Any]]:
        """The terminal lines, once there are that many."""
        async with asyncio.timeout(timeout_s):
            while len(self.settled) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.settled


@dataclass
class Gateway:
    """One running gateway."""

    service: Service
    log: LogLines
    pipeline: GatewayLog
    directory: Path  # of its configuration, and of all that it writes
    secrets: list[str] = field(default_factory=lambda: [CREDENTIAL])
    allowed_words: tuple[str, ...] = ()  # of BAD_WORDS, for tests that provoke them

    @property
    def url(self) -> str:
        """Of the public listener, without a slash at the end."""
        return self.service.url

    @property
    def port(self) -> int:
        """Of the public listener."""
        return int(self.url.rpartition(":")[2])

    @property
    def admin_url(self) -> str:
        """Of the admin listener."""
        return self.service.admin_url or ""

    @property
    def open_connections(self) -> int:
        """How many connections of callers there are."""
        server = self.service._runner.server  # noqa: SLF001 - nobody else has to know
        return 0 if server is None else len(server.connections)

    def close_idle_connections(self) -> None:
        """Hang up on a proxy, which would keep its connections for the next request."""
        close_idle_connections(self.service._runner)  # noqa: SLF001 - nobody else has to

    @property
    def is_quiet(self) -> bool:
        """True while nothing is in flight, and nothing is held for it."""
        app = self.service.app
        limiter = app[LIMITER]
        return not (
            app[IN_FLIGHT].count
            or app[RELAY].attempts_in_flight
            or app[HELD_BODIES].held_bytes
            or app[POOLS].held
            or app[PRESSURE].seats.count
            or (limiter is not None and limiter.held)
        )

    @property
    def metrics(self) -> str:
        """What Prometheus would read now."""
        return self.service.reporter.render().decode()

    def check(self) -> None:
        """Assert what must hold after every test, whatever failed in it."""
        text = self.log.getvalue()
        for word in BAD_WORDS:
            assert word in self.allowed_words or word not in text, text[-4000:]
        metrics = self.metrics
        self._look_for_secrets(metrics)
        self._check_lines()
        assert self.is_quiet
        assert all(one.in_flight == 0 for one in self.service.app[POOLS].standings())
        assert "gateway_exchanges_in_flight 0.0" in metrics

    def look_for_secrets(self) -> None:
        """Assert that no secret of the test is in anything that the gateway has written."""
        self._look_for_secrets(self.metrics)

    def _look_for_secrets(self, metrics: str) -> None:
        places = [("the log", self.log.getvalue().encode()), ("/metrics", metrics.encode())]
        places += [*files_in(self.directory), *processes_below()]
        refuse_leaks(self.secrets, places)

    def _check_lines(self) -> None:
        """Assert that each exchange has one terminal line, in words of the closed lists."""
        refuse_undeclared(self.log.lines)
        ids = [line["request_id"] for line in self.log.settled]
        assert len(ids) == len(set(ids)), "an exchange was settled twice"
        for line in self.log.settled:
            outcome, code = Outcome(line["outcome"]), line["error_code"]
            assert code is None or code in CODES, line
            is_told = (code is not None) == (outcome in FAILURES)
            assert is_told or outcome is Outcome.CLIENT_GONE, line


StartGateway = Callable[..., Awaitable[Gateway]]


def _embedded_in(directory: Path) -> str:
    """Where the database is of a gateway whose settings say nothing of that."""
    return StoresSpec().placed_in(directory).database


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A scriptable provider on a free port."""
    async with Simulator() as provider:
        yield provider


@pytest.fixture
async def start_gateway(tmp_path: Path) -> AsyncIterator[StartGateway]:
    """Start gateways from configuration as an operator would write it.

    `await start_gateway(providers={"sim": {...}}, settings={...}, environ={...})`; ports are
    free ones unless the settings name them.
    """
    started: list[Gateway] = []
    importable_before = list(sys.path), list(sys.meta_path)

    async def start(
        *,
        providers: Mapping[str, Any],
        settings: Mapping[str, Any] | None = None,
        environ: Mapping[str, str] | None = None,
        counters: CounterStore | None = None,
    ) -> Gateway:
        directory = tmp_path / f"gateway{len(started)}"
        directory.mkdir()
        written = {"server": {"port": 0}, "admin": {"port": 0}}
        for block, value in (settings or {}).items():
            written[block] = (
                {**written.get(block, {}), **value} if isinstance(value, dict) else value
            )
        (directory / "providers.yaml").write_text(yaml.safe_dump({"providers": dict(providers)}))
        (directory / "gateway.yaml").write_text(yaml.safe_dump(written))
        registry = load_registry(directory / "providers.yaml", environ or {})
        loaded = load_settings(directory / "gateway.yaml", environ or {})
        look_in(places_of(directory / "gateway.yaml"), [spec.use for spec in loaded.middleware])
        if loaded.keeps_ledger and loaded.stores.database == _embedded_in(directory):
            await lay_tables(loaded.stores.find_database())  # a tenth of a second, each time
        log = LogLines()
        secrets = known_secrets(loaded, registry)
        pipeline = configure_logging(loaded.logging, stream=log, secrets=secrets)
        service = Service(loaded, registry, pipeline.observe, counters)
        add_content_log(service.app, pipeline.content)
        await service.start()
        gateway = Gateway(service, log, pipeline, directory, secrets=[CREDENTIAL, *secrets])
        started.append(gateway)
        return gateway

    yield start
    for gateway in started:
        await gateway.service.stop()
        gateway.pipeline.close(TIMEOUT_S)
        gateway.check()
    # Each directory of a gateway is looked through whenever anything is imported.
    sys.path[:], sys.meta_path[:] = importable_before
    # aiohttp keeps the chains of its last thousand handlers, and with them applications that are
    # over. It has no public way to let go of them, and each collection would look through them all.
    _cached_build_middleware.cache_clear()


@pytest.fixture
async def gateway(start_gateway: StartGateway, simulator: Simulator) -> Gateway:
    """A gateway whose provider `sim` is the test's simulator, with a credential."""
    return await start_gateway(
        providers={"sim": {"base_url": simulator.base_url, "allow_private": True}},
        environ={"SIM_API_KEY": CREDENTIAL},
    )
