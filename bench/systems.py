"""The systems under test: each configured, started and ready to be asked.

The rule here: each runs alone on its core, with what its users would have switched on.
"""

import hashlib
import json
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import nginx
from bench.certificates import SERVER_NAME, Certificates, write_certificates
from bench.machine import Cores
from bench.programs import HOST, Launch, Program, find_free_port, running

GATEWAY = "gateway"

# What every gateway here has.
GATEWAY_SETTINGS = f"""\
server: {{host: {HOST}}}
admin: {{host: {HOST}, enabled: true}}
logging: {{format: json, level: info}}
"""

WRITTEN_KEY = """\
auth:
  - kind: gateway_key
    keys: {{bench: "sha256:{key_hash}"}}
"""

GATEWAY_PROVIDERS = """\
providers:
  http:
    base_url: http://{host}:{http_port}/v1
    allow_private: true
  https:
    base_url: https://{host}:{https_port}/v1
    allow_private: true
    tls: {{ca_file: {authority}, server_name: {server_name}}}
"""


@dataclass(frozen=True, slots=True)
class Site:
    """What is there before a system starts: the upstream, the certificates, a directory."""

    scratch: Path
    cores: Cores
    open_files: int
    certificates: Certificates
    upstream_pid: int
    upstream_ports: Mapping[str, int]  # by scheme

    def make_directory(self, name: str) -> Path:
        """A directory of its own for one start of a system."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch))


@dataclass(frozen=True, slots=True)
class System:
    """A system under test, answering."""

    name: str
    program: Program
    port: int
    headers: Mapping[str, str]


@contextmanager
def run_upstream(scratch: Path, cores: Cores, open_files: int) -> Iterator[Site]:
    """Start the upstream that all systems are measured against."""
    certificates = write_certificates(scratch)
    command = [sys.executable, "-m", "bench.upstream", str(certificates.server)]
    launch = Launch("upstream", command, scratch / "upstream.log", cores.others, has_pipes=True)
    with running(launch) as program:
        line = program.child.stdout.readline() if program.child.stdout else b""
        if not line:
            program.child.wait()
            program.check()
        ports = json.loads(line)
        yield Site(scratch, cores, open_files, certificates, program.pid, ports)


@contextmanager
def run_nginx(site: Site) -> Iterator[System]:
    """Plain nginx with one worker."""
    program_path = nginx.find_nginx()
    prefix = site.make_directory("nginx")
    port = find_free_port()
    nginx.write_configuration(
        program_path,
        prefix,
        {
            "open_files": site.open_files,
            "port": port,
            "http_port": site.upstream_ports["http"],
            "https_port": site.upstream_ports["https"],
            "authority": site.certificates.authority,
            "server_name": SERVER_NAME,
        },
    )
    error_log = prefix / "error.log"
    command: list[str | Path] = [
        program_path,
        "-p",
        prefix,
        "-c",
        prefix / "nginx.conf",
        "-e",
        error_log,
    ]
    launch = Launch("nginx", command, error_log, site.cores.system)
    with running(launch) as program:
        program.wait_until_ready(port, "/http/v1/models", {})
        yield System("nginx", program, port, {})


@contextmanager
def run_relay(site: Site) -> Iterator[System]:
    """The plain aiohttp relay."""
    port = find_free_port()
    directory = site.make_directory("relay")
    command: list[str | Path] = [
        *(sys.executable, "-m", "bench.plain_relay"),
        *("--port", str(port)),
        *("--http", f"http://{HOST}:{site.upstream_ports['http']}/v1"),
        *("--https", f"https://{HOST}:{site.upstream_ports['https']}/v1"),
        *("--ca-file", site.certificates.authority),
    ]
    launch = Launch("plain aiohttp relay", command, directory / "relay.log", site.cores.system)
    with running(launch) as program:
        program.wait_until_ready(port, "/http/v1/models", {})
        yield System("relay", program, port, {})


@contextmanager
def run_gateway(site: Site, more: str = "") -> Iterator[System]:
    """This gateway with its whole chain: keys, log, metrics, admin listener; `more` settings."""
    key = f"gw-{secrets.token_hex(16)}"
    key_hash = hashlib.sha256(key.encode()).hexdigest()
    settings = GATEWAY_SETTINGS + WRITTEN_KEY.format(key_hash=key_hash) + more
    directory = make_gateway_directory(site, settings)
    with launch_gateway(site, directory, key) as system:
        yield system


def make_gateway_directory(site: Site, settings: str) -> Path:
    """A directory with the gateway's two files, as an operator would write them."""
    directory = site.make_directory(GATEWAY)
    (directory / "gateway.yaml").write_text(settings)
    (directory / "providers.yaml").write_text(
        GATEWAY_PROVIDERS.format(
            host=HOST,
            http_port=site.upstream_ports["http"],
            https_port=site.upstream_ports["https"],
            authority=site.certificates.authority,
            server_name=SERVER_NAME,
        )
    )
    return directory


@contextmanager
def launch_gateway(
    site: Site, directory: Path, key: str | None, more: Sequence[str] = ()
) -> Iterator[System]:
    """Run the gateway of a directory, with more options; its callers show this key."""
    port, admin_port = find_free_port(), find_free_port()
    command: list[str | Path] = [
        *(sys.executable, "-m", "gateway", "serve"),
        *("--config", directory / "gateway.yaml", "--providers", directory / "providers.yaml"),
        *("--port", str(port), "--admin-port", str(admin_port)),
        *more,
    ]
    credentials = {"HTTP_API_KEY": secrets.token_hex(16), "HTTPS_API_KEY": secrets.token_hex(16)}
    launch = Launch(GATEWAY, command, directory / "access.log", site.cores.system, env=credentials)
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    with running(launch) as program:
        program.wait_until_ready(port, "/v1/models", headers)
        yield System(GATEWAY, program, port, headers)


Start = Callable[[Site], AbstractContextManager[System]]
STARTS: Mapping[str, Start] = {"nginx": run_nginx, "relay": run_relay, GATEWAY: run_gateway}
