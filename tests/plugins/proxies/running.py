"""Proxies that run: started when the first test wants one, stopped when the last has ended.

The rule here: nobody polls. nginx and HAProxy are given sockets that listen already, Caddy notifies
as it would systemd, and Apache says that it is there.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.plugins.programs import find_program
from tests.plugins.proxies import apache, caddy, haproxy
from tests.plugins.proxies import nginx as of_nginx
from tests.plugins.proxies.plan import Plan, write_other_site

START_S = 20
STOP_S = 10
HOST_NAME = "chat.example.org"
LOOPBACK = "127.0.0.1"
# Those that take sockets that listen already, and how many of `Plan.ports` they listen on.
INHERITED = {"nginx": 3, "haproxy": 3}

Write = Callable[[Path, Path, Plan], list[str]]


@dataclass(frozen=True)
class Kind:
    """One of the proxies, and what it can and cannot do."""

    name: str
    program: str
    package: str
    write: Write
    sees_a_silent_caller_leave: bool = True  # while nothing is written to the caller
    offers_http2: bool = True
    keeps_connections: bool = True  # to the gateway
    alarms: str = "(?!)"  # what its log never holds

    @property
    def part(self) -> str:
        """What it is required for, as GATEWAY_TEST_REQUIRE has it."""
        return self.name.partition("-")[0]


OF_NGINX = r"\[(alert|emerg)\]|^nginx: \[warn\]"
OF_CADDY = "panic|fatal"
KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "nginx",
            "nginx",
            "nginx-light",
            of_nginx.write,
            alarms=OF_NGINX,
        ),
        Kind(
            "haproxy",
            "haproxy",
            "haproxy",
            haproxy.write,
            offers_http2=False,
            alarms=r"\[(ALERT|WARNING)\].*(config|main\(\))",  # not that gateways come and go
        ),
        Kind("caddy", "caddy", "caddy", caddy.write, alarms=OF_CADDY),
        Kind(
            "apache",
            "apache2",
            "apache2",
            apache.write,
            sees_a_silent_caller_leave=False,
            offers_http2=False,
            alarms=r":(alert|emerg|crit)\]|exit signal",
        ),
    )
}
# Debian's Caddy hides cuts and cannot ask again; one that can stands beside it where it is there.
if newer := caddy.find_newer():
    NEWER_CADDY = Kind("caddy-newer", newer, "caddy", caddy.write, alarms=OF_CADDY)
    KINDS[NEWER_CADDY.name] = NEWER_CADDY
NGINX_HTTP10 = Kind(
    "nginx-http10",
    "nginx",
    "nginx-light",
    of_nginx.write_http10,
    keeps_connections=False,
    alarms=OF_NGINX,
)


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs."""

    kind: Kind
    plan: Plan
    directory: Path
    authority: Path  # who signed its certificate
    process: subprocess.Popen[bytes]
    program: Path

    @property
    def name(self) -> str:
        """Which of them it is."""
        return self.kind.name

    @property
    def host(self) -> str:
        """The address that it listens on."""
        return self.plan.host

    @property
    def port(self) -> int:
        """The port without TLS."""
        return self.plan.ports[0]

    @property
    def beside_port(self) -> int:
        """The port of a site that has the gateway below `/llm`."""
        return self.plan.ports[2]

    @property
    def url(self) -> str:
        """The address of the site, without a slash at the end."""
        return f"http://{self.host}:{self.port}"

    @property
    def hides_cuts(self) -> bool:
        """Whether it ends an answer that broke off as if it were whole: Caddy's issue 5951."""
        return self._is_old_caddy

    @property
    def asks_again(self) -> bool:
        """Whether a request whose gateway is gone is sent to the other one."""
        return not self._is_old_caddy

    @property
    def _is_old_caddy(self) -> bool:
        return self.kind.part == "caddy" and caddy.version_of(self.program) < caddy.SOUND

    @property
    def children(self) -> set[int]:
        """Its processes beside the first one, on Linux."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(each) for each in listed.read_text().split()}

    @property
    def log(self) -> str:
        """What it has had to say."""
        files = [self.directory / name for name in ("output", "error.log", "access.log")]
        return "".join(file.read_text(errors="replace") for file in files if file.exists())


class Proxies:
    """Starts proxies; each one is started once and runs until the end."""

    def __init__(self, directory: Path, number: int) -> None:
        self.directory = directory
        self._number = number
        self._running: dict[str, Proxy] = {}
        self._stack = ExitStack()
        self._authority = trustme.CA()
        self._certificate = directory / "certificate.pem"
        self._authority_file = directory / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self._authority_file))
        issued = self._authority.issue_cert(HOST_NAME)
        issued.private_key_and_cert_chain_pem.write_to_path(str(self._certificate))

    def address(self, place: int) -> str:
        """An address of this machine that nobody else has: the process decides about two bytes."""
        return f"127.{60 + place}.{self._number >> 8 & 255}.{max(1, self._number & 255)}"

    def start(self, kind: Kind | str, place: int, *gateways: str, quicker: int = 1) -> Proxy:
        """The proxy of this kind in front of these gateways."""
        kind = KINDS[kind] if isinstance(kind, str) else kind
        plan = Plan(self.address(place), gateways, self._certificate, quicker)
        return self._start_once(kind, f"{kind.name}-{place}", lambda: plan)

    def start_on_loopback(
        self, kind: Kind, *, host: str = LOOPBACK, chat_ui: bool = False, **fields: Any
    ) -> Proxy:
        """One of INHERITED in front of a gateway at a port of loopback that is kept for it.

        Fields are those of a plan; what is left out is as it ships. On `[::]` it takes IPv4 too.
        """

        def make() -> Plan:
            places = [self._keep_port() for _ in range(2 if chat_ui else 1)]
            return Plan(
                host,
                (places[0],),
                self._certificate,
                ports=(0, 0, 0),
                chat_ui=places[1] if chat_ui else None,
                **fields,
            )

        where = (
            "" if host == LOOPBACK else "elsewhere-"
        )  # no brackets: nginx takes them for a pattern
        return self._start_once(kind, f"{kind.name}-{where}{chat_ui}{'-'.join(fields)}", make)

    def close(self) -> None:
        """Stop them all."""
        self._stack.close()

    def _keep_port(self) -> str:
        """An address of loopback on which nobody listens but who is told to."""
        kept = socket.socket()
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind((LOOPBACK, 0))
        address = f"{LOOPBACK}:{kept.getsockname()[1]}"
        if sys.platform == "linux":  # elsewhere it would keep out the gateway as well
            self._stack.callback(kept.close)
        else:
            kept.close()
        return address

    def _start_once(self, kind: Kind, key: str, make_plan: Callable[[], Plan]) -> Proxy:
        if key not in self._running:
            program = find_program(
                kind.program, install=f"apt install {kind.package}", part=kind.part
            )
            directory = self.directory / key
            directory.mkdir()
            proxy = self._start(kind, program, directory, make_plan())
            self._stack.callback(_stop, proxy)
            self._running[key] = proxy
        return self._running[key]

    def _start(self, kind: Kind, program: Path, directory: Path, plan: Plan) -> Proxy:
        with ExitStack() as opened:
            sockets = [
                opened.enter_context(_listen(plan.host, port))
                for port in plan.ports[: INHERITED.get(kind.part, 0)]
            ]
            if not any(plan.ports):
                ports = [each.getsockname()[1] for each in sockets]
                plan = replace(plan, ports=(*ports, 0)[:3])
            write_other_site(directory)
            command = kind.write(program, directory, plan)
            if kind.name == "haproxy":
                _name_sockets(directory / "haproxy.cfg", sockets)
            notifications = opened.enter_context(_notifications(directory))
            environ = _environ(kind.part, directory, sockets)
            output = opened.enter_context((directory / "output").open("wb"))
            process = subprocess.Popen(
                command,
                cwd=directory,
                env=environ,
                pass_fds=[each.fileno() for each in sockets],
                stdout=output,
                stderr=subprocess.PIPE if kind.name == "apache" else output,
                start_new_session=True,
            )
            proxy = Proxy(kind, plan, directory, self._authority_file, process, program)
            _wait_until_ready(proxy, notifications)
        return proxy


def _listen(host: str, port: int) -> socket.socket:
    if host.startswith("["):
        family = socket.AF_INET6
        address = (host.strip("[]"), port)
        return socket.create_server(address, family=family, backlog=511, dualstack_ipv6=True)
    return socket.create_server((host, port), backlog=511)


def _name_sockets(file: Path, sockets: list[socket.socket]) -> None:
    text = file.read_text()
    for name, each in zip(("http", "https", "beside"), sockets, strict=True):
        text = text.replace(f"fd@{{{name}}}", f"fd@{each.fileno()}")
    file.write_text(text)


def _environ(program: str, directory: Path, sockets: list[socket.socket]) -> dict[str, str]:
    environ = {**os.environ, "HOME": str(directory), "XDG_DATA_HOME": str(directory)}
    environ["XDG_CONFIG_HOME"] = str(directory)
    if program == "nginx":
        environ["NGINX"] = "".join(f"{each.fileno()};" for each in sockets)
    if program == "caddy":
        environ["NOTIFY_SOCKET"] = str(directory / "notify")
    return environ


@contextlib.contextmanager
def _notifications(directory: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
        notifications.bind(str(directory / "notify"))
        yield notifications


def _wait_until_ready(proxy: Proxy, notifications: socket.socket) -> None:
    if proxy.kind.part == "caddy":
        said = b""
        ended = os.pidfd_open(proxy.process.pid)
        try:
            while b"READY=1" not in said:
                readable, _, _ = select.select([notifications, ended], [], [], START_S)
                assert notifications in readable, proxy.log
                said = notifications.recv(4096)
        finally:
            os.close(ended)
    elif proxy.name == "apache":
        assert proxy.process.stderr is not None
        said = b""
        while b"resuming normal operations" not in said:
            line = proxy.process.stderr.readline()
            assert line, said.decode()
            said += line


def _stop(proxy: Proxy) -> None:
    """End the process, and let no alarm of its log pass unseen."""
    died_early = proxy.process.poll() is not None
    proxy.process.terminate()
    rest = b""
    try:
        rest = proxy.process.communicate(timeout=STOP_S)[1] or b""
    except subprocess.TimeoutExpired:
        os.killpg(proxy.process.pid, signal.SIGKILL)
        proxy.process.communicate()
    log = proxy.log + rest.decode(errors="replace")
    assert not died_early, log
    alarms = [line for line in log.splitlines() if re.search(proxy.kind.alarms, line)]
    assert alarms == []


@pytest.fixture(scope="session")
def proxies() -> Iterator[Proxies]:
    """Give what starts proxies, in a directory that their own users may look into."""
    with tempfile.TemporaryDirectory(prefix="gw") as name:
        directory = Path(name)
        directory.chmod(0o755)
        running = Proxies(directory, os.getpid())
        try:
            yield running
        finally:
            running.close()


@pytest.fixture(scope="session")
def nginx(proxies: Proxies) -> Proxy:
    """nginx as it ships, in front of a gateway on loopback; for tests that are about no proxy."""  # noqa: D403 - a name
    return proxies.start_on_loopback(KINDS["nginx"])
