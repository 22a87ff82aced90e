"""A real nginx with the configuration that ships, in front of whatever a test names.

The rule here: the shipped files are used as they are, but for the three that tell operators to edit
them, and of those only the addresses, the port and the timeouts.
"""

from __future__ import annotations

import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SHIPPED = Path(__file__).parents[2] / "deploy" / "nginx"
HOST = "127.0.0.1"
STOP_S = 5

# The surroundings are chosen to do harm: a shipped file that forgets to say `gzip off` is found.
MAIN = """
{user}
daemon off;
worker_processes 1;
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
    {temp_paths}
    log_format forwarded '$gateway_request_id $upstream_addr';
    access_log access.log forwarded;
    gzip on;
    gzip_types *;
    gzip_min_length 1;
    include {site};
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx."""

    port: int
    prefix: Path

    @property
    def url(self) -> str:
        """The address of the site, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    @property
    def forwarded(self) -> list[str]:
        """The ids of the requests that it has sent to the gateway."""
        lines = (self.prefix / "access.log").read_text(encoding="utf-8").splitlines()
        return [line.split()[0] for line in lines if not line.endswith(" -")]

    @property
    def error_log(self) -> str:
        """What nginx has had to complain about."""
        return (self.prefix / "error.log").read_text(encoding="utf-8", errors="replace")


class StartNginx:
    """Starts nginx with the shipped configuration; each one lives until the end of the test."""

    def __init__(self, program: Path, directories: pytest.TempPathFactory, running: ExitStack):
        self._program = program
        self._directories = directories
        self._running = running

    def __call__(
        self,
        gateway_port: int,
        *,
        site: str = "gateway.conf",
        chat_ui_port: int | None = None,
        read_timeout_s: float | None = None,
        upstream_http: str | None = None,
    ) -> Nginx:
        """Serve `site` in front of a gateway; what is left out is as it ships."""
        prefix = self._directories.mktemp("nginx")
        _write_main(self._program, prefix, site)
        shutil.copy(SHIPPED / site, prefix / site)
        shutil.copytree(SHIPPED / "gateway", prefix / "gateway")
        ours = prefix / "gateway"
        _edit(ours / "upstream.conf", "server", f"{HOST}:{gateway_port}")
        if chat_ui_port is not None:
            _edit(ours / "chat-ui-upstream.conf", "server", f"{HOST}:{chat_ui_port}")
        if read_timeout_s is not None:
            _edit(ours / "site.conf", "proxy_read_timeout", f"{round(read_timeout_s * 1000)}ms")
        if upstream_http is not None:  # as in a configuration that is not ours: nginx's default
            _edit(ours / "location.conf", "proxy_http_version", upstream_http)
        return self._serve(prefix)

    def _serve(self, prefix: Path) -> Nginx:
        # nginx inherits this socket as it would in an upgrade of its binary: nobody else can take
        # the port, and callers queue on it from now on, so nobody needs to poll for readiness.
        with socket.create_server((HOST, 0), backlog=511) as listener:
            nginx = Nginx(port=listener.getsockname()[1], prefix=prefix)
            _edit(prefix / "gateway" / "site.conf", "listen", f"{HOST}:{nginx.port}")
            _check(self._program, prefix)
            server = _spawn(self._program, prefix, listener.fileno())
        self._running.callback(_stop, server, nginx)
        return nginx


@pytest.fixture
def start_nginx(nginx_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartNginx]:
    """Give a function that starts nginx with the shipped configuration."""
    with ExitStack() as running:
        yield StartNginx(nginx_path, tmp_path_factory, running)


def _edit(file: Path, directive: str, value: str) -> None:
    """Give one directive of a shipped file another value, as an operator would."""
    text = file.read_text(encoding="utf-8")
    text, count = re.subn(rf"(?m)^( *){directive} [^;]+;$", rf"\g<1>{directive} {value};", text)
    assert count == 1, f"{file.name} has {count} lines of {directive}"
    file.write_text(text, encoding="utf-8")


def _write_main(nginx_path: Path, prefix: Path, site: str) -> None:
    """Write the configuration around the shipped one, with every path below `prefix`."""
    built = subprocess.run([nginx_path, "-V"], capture_output=True, text=True, check=True).stderr
    kinds = sorted(set(re.findall(r"--http-([a-z-]+)-temp-path=", built)))
    temp_paths = "\n    ".join(f"{kind.replace('-', '_')}_temp_path {kind};" for kind in kinds)
    # Only root may name a user; without it the worker would be `nobody`, who cannot write here.
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    text = MAIN.format(user=user, temp_paths=temp_paths, site=site)
    (prefix / "nginx.conf").write_text(text, encoding="utf-8")


def _command(nginx_path: Path, prefix: Path) -> list[str | Path]:
    return [nginx_path, "-p", prefix, "-c", prefix / "nginx.conf", "-e", prefix / "error.log"]


def _check(nginx_path: Path, prefix: Path) -> None:
    """Fail with nginx's own words when it does not accept the configuration."""
    done = subprocess.run(
        [*_command(nginx_path, prefix), "-t"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def _spawn(nginx_path: Path, prefix: Path, number: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        _command(nginx_path, prefix),
        pass_fds=[number],
        env={**os.environ, "NGINX": f"{number};"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _stop(server: subprocess.Popen[bytes], nginx: Nginx) -> None:
    """End the process we started, and let no alarm of its log pass unseen."""
    died_early = server.poll() is not None
    server.terminate()
    try:
        server.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)  # the worker too
        server.wait()
    assert not died_early, nginx.error_log
    alarms = [
        line for line in nginx.error_log.splitlines() if re.search(r"\[(alert|emerg)\]", line)
    ]
    assert alarms == []
