"""The gateway as a service: what it tells systemd, what it is handed, and the units that ship.

The rule here: the program is the real one, started with descriptors and variables as systemd
passes them; the units are judged by systemd's own programs.
"""

import asyncio
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gateway.cli.serve import EXIT_CONFIG
from gateway.config.load import check_file, load_settings
from gateway.config.settings import ServerSpec, Settings
from gateway.serving.service import PATIENCE_S
from tests.plugins.command_line import options_of
from tests.plugins.programs import find_program
from tests.plugins.raw_caller import Caller
from tests.plugins.systemd_unit import kill, service_unit

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="systemd is a program of Linux"
)

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
SERVICE = UNITS / "chat-gateway.service"
PROGRAM = "/opt/chat-gateway/bin/gateway"
# Of ten; what systemd calls fully locked down is below one and has no network.
MOST_EXPOSED = 1.5

CREDENTIAL = "gsk_CanaryCanaryCanary0002"
PROVIDERS = {
    "demo": {"base_url": "simulator:", "auth": {"required": False}, "models": [{"id": "demo"}]},
    "groq": {"base_url": "https://api.groq.com/openai/v1"},
}
WATCHDOG = {"WATCHDOG_USEC": "300000"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A working directory with a registry."""
    (tmp_path / "providers.yaml").write_text(yaml.safe_dump({"providers": PROVIDERS}))
    return tmp_path


async def test_a_restart_refuses_nobody(directory: Path) -> None:
    """K01: systemd holds the port, so a caller between the two processes waits for the second."""
    secrets = directory / "credentials"
    secrets.mkdir()
    (secrets / "GROQ_API_KEY").write_text(f"{CREDENTIAL}\n")
    environment = {**WATCHDOG, "CREDENTIALS_DIRECTORY": str(secrets)}
    async with service_unit(directory) as unit:
        await unit.start(environment=environment)
        ready = await unit.hear("READY=1")
        assert (await unit.ask()).status == 200
        url = f"http://127.0.0.1:{unit.port}"
        alive = await unit.hear("WATCHDOG=1")
        unit.signal(signal.SIGHUP)
        await unit.hear("RELOADING=1")
        assert await unit.hear("READY=1") == ready
        unit.signal(signal.SIGTERM)
        stopping = await unit.hear("STOPPING=1")
        assert await unit.wait() == 0

        assert ready[1:] == [f"STATUS=Listening on {url}, exchanges in flight: 0."]
        assert alive[1:] == ready[1:]
        drain_s = ServerSpec().drain_s + PATIENCE_S
        assert stopping[2:] == [f"EXTEND_TIMEOUT_USEC={int(drain_s * 1_000_000)}"]
        # LoadCredential=: found by the name of the variable, shown to nobody.
        assert "credentials  groq\n" in unit.output
        assert CREDENTIAL not in unit.output

        async with Caller(unit.port) as caller:  # while nothing runs
            await caller.send(b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            await unit.start(environment=environment)
            assert (await caller.read_answer()).status == 200
        unit.signal(signal.SIGTERM)
        assert await unit.wait() == 0


async def test_workers_share_the_socket_and_are_counted(directory: Path) -> None:
    """K02: ready when all of them are, and the status says so when one of them is gone."""
    async with service_unit(directory) as unit:
        await unit.start("--workers", "2", environment=WATCHDOG)
        ready = await unit.hear("READY=1")
        url = f"http://127.0.0.1:{unit.port}"
        assert ready[1:] == [f"STATUS=2 of 2 workers answer on {url}."]
        killed, spared = unit.workers
        kill(killed)
        await unit.hear(f"STATUS=1 of 2 workers answer on {url}.")
        answers = await asyncio.gather(*(unit.ask() for _ in range(10)))
        await unit.hear(f"STATUS=2 of 2 workers answer on {url}.")
        assert spared in unit.workers
        unit.signal(signal.SIGHUP)
        await unit.hear("RELOADING=1")
        assert await unit.hear("READY=1") == ready
        unit.stop()
        await unit.hear("STOPPING=1")
        assert await unit.wait() == 0

    assert {one.status for one in answers} == {200}
    assert unit.output.count("gateway.stopped") == 2


async def test_a_socket_that_all_can_reach_is_no_way_around(directory: Path) -> None:
    """The settings say 127.0.0.1; what is listened on counts, and credentials are not for all."""
    async with service_unit(directory) as unit:
        unit.listen_on_all_addresses()
        await unit.start(environment={"GROQ_API_KEY": CREDENTIAL})

        assert await unit.wait() == EXIT_CONFIG

    assert "server.host is 0.0.0.0, which other machines can reach" in unit.output


async def test_only_what_may_pass_is_tried_again(directory: Path) -> None:
    """A mistake would be started every two seconds; a port that is taken is free a moment later."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        async with service_unit(directory) as unit:
            await unit.start("--admin-port", port)
            assert await unit.wait() == 1
            (directory / "gateway.yaml").write_text("server: {prt: 1}\n")
            await unit.start()
            assert await unit.wait() == EXIT_CONFIG

            assert "gateway.yaml:1:10: server.prt: unknown key" in unit.output
            (directory / "gateway.yaml").write_text("tracing: {propagate_to: [nobody]}\n")
            await unit.start("--workers", "2")
            assert await unit.wait() == EXIT_CONFIG

    assert "tracing.propagate_to names nobody" in unit.output
    [codes] = re.findall(r"\nRestartPreventExitStatus=(.*)\n", SERVICE.read_text())
    usage, credentials = 2, 243  # of typer and systemd; with the former an option that is unknown
    assert {int(code) for code in codes.split()} == {usage, EXIT_CONFIG, credentials}


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What systemd-analyze says; it needs no systemd that runs."""
    program = find_program("systemd-analyze", install="apt install systemd", part="systemd")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    """A line that is misspelt is ignored by systemd, and with it what it should protect."""
    units = [UNITS / "chat-gateway.service", UNITS / "chat-gateway.socket"]
    for unit in units:
        (tmp_path / unit.name).write_text(unit.read_text().replace(PROGRAM, sys.executable))
    drop_ins = tmp_path / "chat-gateway.service.d"
    drop_ins.mkdir()
    for drop_in in (UNITS / drop_ins.name).iterdir():
        (drop_ins / drop_in.name).write_text(drop_in.read_text())

    done = analyze("verify", "--man=no", *(str(tmp_path / unit.name) for unit in units))

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_service_is_locked_in() -> None:
    """What somebody could do who takes it over, as systemd weighs it."""
    done = analyze("security", "--offline=yes", "--no-pager", str(SERVICE))

    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert exposure is not None, done.stderr
    assert float(exposure[1]) <= MOST_EXPOSED


def test_the_units_fit_the_program() -> None:
    """A renamed option or a longer time to drain would be found by the first who installs it."""
    text = SERVICE.read_text()
    seconds = {name: float(value) for name, value in re.findall(r"(\w+)=([0-9]+)\n", text)}
    [command] = re.findall(rf"ExecStart={PROGRAM} (.*)", text)
    name, *words = command.split()

    assert {word for word in words if word.startswith("--")} <= options_of(name)
    assert seconds["TimeoutStopSec"] > ServerSpec().drain_s + PATIENCE_S


def test_the_socket_is_restarted_with_its_service() -> None:
    """Systemd starts no socket whose service runs: a restart of both left the port to nobody."""
    unit = SERVICE.read_text().partition("[Service]")[0]

    assert "\nPartOf=chat-gateway.socket\n" in unit


def test_workers_may_drain_without_their_first_process() -> None:
    """With KillMode=mixed systemd kills them at once when it is gone, and cuts their streams."""
    assert "\nKillMode=control-group\n" in SERVICE.read_text()


def test_commands_beside_it_leave_the_state_as_the_service_has_it() -> None:
    """Systemd sets the directory's mode at each start, also at that of a command."""
    page = (UNITS.parents[1] / "docs" / "operate" / "systemd.md").read_text()
    [command] = re.findall(r"\nsystemd-run (.*?)\n```", page, re.DOTALL)
    given = set(re.findall(r"-p (\S+)", command))

    lines = set(SERVICE.read_text().splitlines())
    names = ("DynamicUser", "StateDirectory", "StateDirectoryMode", "UMask", "WorkingDirectory")
    assert given == {f"User={SERVICE.stem}", *(one for one in lines if one.split("=")[0] in names)}


@pytest.mark.parametrize("page", ["systemd", "container", "kubernetes", "shutdown"])
def test_pages_say_how_long_it_takes_to_stop(page: str) -> None:
    """Who waits for less kills it in the middle of its last words."""
    text = (UNITS.parents[1] / "docs" / "operate" / f"{page}.md").read_text()

    assert re.search(rf"\b{PATIENCE_S:.0f} (seconds|more)", text)


def test_the_settings_that_ship_with_it_write_to_its_state() -> None:
    """Everything else is read-only for the service."""
    assert isinstance(check_file(UNITS / "gateway.yaml"), Settings)

    settings = load_settings(UNITS / "gateway.yaml", {})

    state = Path("/var/lib") / re.findall(r"StateDirectory=(.*)", SERVICE.read_text())[0]
    file = settings.stores.find_database({}).file
    assert file is not None
    assert {file.parent, settings.ledger.directory.parent} == {state}
