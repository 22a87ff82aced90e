"""The compose file: gateway, nginx, PostgreSQL, Redis, Prometheus and Grafana.

The rule here: no container engine is needed. The file is held against the published schema of
compose files, and each of its lines that names something of ours against what is there.
"""

import importlib.resources
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from gateway.config.load import load_settings
from gateway.config.settings import Settings
from gateway.serving.service import PATIENCE_S
from tests.plugins.command_line import options_of
from tests.plugins.programs import find_program

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose"
FILE: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
PUBLIC = {"nginx": "80:80", "grafana": "127.0.0.1:3000:3000"}
DURATION = re.compile(r"(\d+)s")


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """What the script makes that ships with it."""
    directory = tmp_path / "compose"
    shutil.copytree(COMPOSE, directory)
    subprocess.run([directory / "make-secrets"], capture_output=True, check=True)
    key = directory / "secrets" / "GROQ_API_KEY"
    assert key.stat().st_mode & 0o777 == 0o644  # an editor writes it, and the container reads it
    key.write_text("gsk_CanaryCanaryCanary0004")
    return directory / "secrets"


def load(secrets: Path) -> Settings:
    """The settings as the container finds them."""
    return load_settings(COMPOSE / "gateway.yaml", {"CREDENTIALS_DIRECTORY": str(secrets)})


def test_it_is_a_compose_file() -> None:
    """An engine ignores nothing: a misspelt key is an error at the first `up`."""
    vendored = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((vendored / "compose-spec.json").read_text())

    mistakes = [
        f"{mistake.json_path}: {mistake.message}"
        for mistake in Draft202012Validator(schema).iter_errors(FILE)
    ]

    assert mistakes == []


def mounted() -> Iterator[Path]:
    """What services see of the tree."""
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source, _, _ = volume.partition(":")
            if source.startswith("."):
                yield COMPOSE / source


def test_all_that_is_mounted_is_in_the_tree() -> None:
    """An engine makes an empty directory of what is not there, and the service starts without."""
    assert [str(path) for path in mounted() if not path.exists()] == []


def test_all_that_is_named_is_declared() -> None:
    """Volumes, networks and secrets are easily renamed in one of their two places."""
    for kind in ("networks", "secrets"):
        used = {name for service in SERVICES.values() for name in service.get(kind, ())}
        assert used == set(FILE[kind]), kind
    volumes = [v.partition(":")[0] for s in SERVICES.values() for v in s.get("volumes", ())]
    assert {name for name in volumes if not name.startswith(".")} == set(FILE["volumes"])


def test_only_nginx_is_reached_by_others() -> None:
    """Stores and the admin listener have no way in, and stores no way out."""
    published = {name: s["ports"] for name, s in SERVICES.items() if "ports" in s}
    assert published == {name: [port] for name, port in PUBLIC.items()}
    for name in ("postgres", "redis"):
        [network] = SERVICES[name]["networks"]
        assert FILE["networks"][network]["internal"] is True
    address = SERVICES["gateway"]["networks"]["monitoring"]["ipv4_address"]
    assert FILE["networks"]["monitoring"]["internal"] is True
    command = SERVICES["gateway"]["command"]
    assert command[command.index("--admin-host") + 1] == address
    assert "nginx" not in {n for n, s in SERVICES.items() if "monitoring" in s["networks"]}


def test_whoever_waits_for_health_waits_for_something_that_says_so() -> None:
    """Otherwise it waits for ever."""
    for name, service in SERVICES.items():
        needs = service.get("depends_on", {})
        conditions = needs.items() if isinstance(needs, dict) else ()
        for other, condition in conditions:
            if condition["condition"] == "service_healthy":
                has_check = "healthcheck" in SERVICES[other] or other == "gateway"  # the image's
                assert has_check, f"{name} waits for {other}"


def test_the_database_is_healthy_only_when_others_reach_it() -> None:
    """Its image makes it with a server on the socket alone: `tables` would come too early."""
    command = SERVICES["postgres"]["healthcheck"]["test"]

    assert command[:2] == ["CMD", "pg_isready"]
    assert "--host=127.0.0.1" in command


def test_fixed_addresses_are_given_to_nobody_else() -> None:
    """An engine takes any that is free, and that of a gateway which is made anew is."""
    fixed = [
        (FILE["networks"][name]["ipam"]["config"][0], ip_address(spec["ipv4_address"]))
        for service in SERVICES.values()
        if isinstance(service["networks"], dict)
        for name, spec in service["networks"].items()
        if "ipv4_address" in spec
    ]

    assert len(fixed) == 2
    for config, address in fixed:
        assert address in ip_network(config["subnet"])
        assert ip_network(config["ip_range"]).subnet_of(ip_network(config["subnet"]))
        assert address not in ip_network(config["ip_range"])


def test_secrets_are_files_and_complete(secrets: Path) -> None:
    """What settings ask for, the service has; no environment holds one."""
    settings = load(secrets)
    environ = {"CREDENTIALS_DIRECTORY": str(secrets)}
    asked = set(re.findall(r"\$\{(\w+)\}", (COMPOSE / "gateway.yaml").read_text()))

    assert asked <= set(SERVICES["gateway"]["secrets"])
    assert settings.stores.find_database(environ).shown == "postgresql://postgres/gateway"
    counters = settings.stores.find_counters(environ)
    assert counters is not None
    assert counters.password is not None
    assert settings.stores.find_peppers(environ)
    assert settings.stores.find_encryption_keys(environ)
    environments = [service.get("environment", {}) for service in SERVICES.values()]
    variables = {name for environment in environments for name in environment}
    is_secret = re.compile(r"(PASSWORD|KEY|PEPPER|TOKEN)$")
    assert [name for name in variables if is_secret.search(name)] == []


def test_its_parts_agree(secrets: Path) -> None:
    """Who is trusted, who is asked, and how long one waits: each stands in two files."""
    settings = load(secrets)
    [front] = FILE["networks"]["front"]["ipam"]["config"]
    prometheus = yaml.safe_load((COMPOSE / "prometheus.yml").read_text())
    [targets] = prometheus["scrape_configs"][0]["static_configs"]
    address = SERVICES["gateway"]["networks"]["monitoring"]["ipv4_address"]
    grace = DURATION.fullmatch(SERVICES["gateway"]["stop_grace_period"])

    assert [str(network) for network in settings.server.trusted_proxies] == [front["subnet"]]
    assert targets["targets"] == [f"{address}:{settings.admin.port}"]
    assert (
        SERVICES["gateway"]["environment"]["GATEWAY_ADMIN_URL"] == f"http://{targets['targets'][0]}"
    )
    assert (
        f"server gateway:{settings.server.port};" in (COMPOSE / "nginx-upstream.conf").read_text()
    )
    assert grace is not None
    assert timedelta(seconds=int(grace[1])) > timedelta(
        seconds=settings.server.drain_s + PATIENCE_S
    )


def test_its_commands_are_known() -> None:
    """The image's own command line is replaced here, and may not be forgotten."""
    serve = SERVICES["gateway"]["command"]

    assert serve[0] == "serve"
    assert {word for word in serve if word.startswith("--")} <= options_of("serve")
    assert options_of(*SERVICES["tables"]["command"])


def test_images_have_versions() -> None:
    """`latest` is another program tomorrow."""
    images = {service["image"] for service in SERVICES.values()}

    assert [image for image in images if re.search(r":(latest)?$|^[^:]*$", image)] == []


def test_all_are_locked_in() -> None:
    """A read-only root and no capability more than they need, for each of them."""
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_redis_wants_its_password_and_shows_it_to_nobody(secrets: Path, tmp_path: Path) -> None:
    """L01: it comes on standard input, because anybody reads a list of processes."""
    server = find_program("redis-server", install="apt install redis-server", part="redis")
    client = find_program("redis-cli", install="apt install redis-tools", part="redis")
    password = (secrets / "REDIS_PASSWORD").read_text()
    path = tmp_path / "redis.sock"
    program, flag, script = SERVICES["redis"]["command"]
    for old, new in {
        "$$": "$",
        "/run/secrets": str(secrets),
        "/data": str(tmp_path),
        "valkey-server": str(server),
        "END\nrequirepass": f"END\nport 0\nunixsocket {path}\nrequirepass",
    }.items():
        script = script.replace(old, new)

    with subprocess.Popen([program, flag, script], stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            for line in running.stdout:
                if "ready to accept connections" in line.lower():
                    break
            command = Path(f"/proc/{running.pid}/cmdline").read_text()
            asked = [
                subprocess.run(
                    [client, "-s", path, "PING"],
                    capture_output=True,
                    text=True,
                    check=False,
                    env=environment,
                ).stdout.strip()
                for environment in ({}, {"REDISCLI_AUTH": password})
            ]
        finally:
            running.kill()

    assert asked == ["NOAUTH Authentication required.", "PONG"]
    assert str(server) in command
    assert password not in command
