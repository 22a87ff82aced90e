"""The image: its file, and the program as it runs there, without root and with nothing to write.

The rule here: no container engine is needed. The kernel gives what an image promises: a root that
is read-only, a user that owns nothing but the state, and no capability.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from gateway.cli.commands import COMMANDS
from gateway.config.load import load_settings
from tests.plugins.authorities import FEW_AUTHORITIES
from tests.plugins.command_line import options_of
from tests.plugins.namespaces import PART
from tests.plugins.programs import find_program, refuse

ROOT = Path(__file__).parents[2]
CONTAINER = ROOT / "deploy" / "container"
CONTAINERFILE = CONTAINER / "Containerfile"
USER = 10_001
START_S = 20

# Everything that is mounted is made read-only, but for the state; the interpreter of a developer
# stands in a home that only root may enter, so it is shown at its place in an empty one.
READ_ONLY = """
set -eu
state=$1 home=$2 base=$3; shift 3
mount --make-rprivate /
case $base in "$home"/*)
    mount --bind "$base" /mnt
    mount -t tmpfs -o mode=0755 tmpfs "$home"
    mkdir -p "$base"
    mount --bind /mnt "$base"
esac
mount --bind "$state" "$state"
cut -d ' ' -f 2 /proc/self/mounts | while read -r place; do
    [ "$place" = "$state" ] || mount -o remount,bind,ro "$place" 2>/dev/null || true
done
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs \\
    --bounding-set=-all --inh-caps=-all "$@"
"""


@dataclass(frozen=True)
class Instruction:
    """One line of a Containerfile, with those that it goes on in."""

    word: str
    text: str


def stages() -> list[list[Instruction]]:
    """The instructions of each stage."""
    lines = [line for line in CONTAINERFILE.read_text().splitlines() if not line.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    found = [Instruction(*line.split(" ", 1)) for line in text.splitlines() if line]
    starts = [at for at, one in enumerate(found) if one.word == "FROM"]
    return [found[at:end] for at, end in zip(starts, [*starts[1:], len(found)], strict=True)]


def last(word: str) -> str:
    """What an instruction of the image itself says."""
    return [one.text for one in stages()[-1] if one.word == word][-1]


def test_a_linter_finds_nothing_in_the_containerfile() -> None:
    """Its rules know what goes wrong when an image is built again in a year."""
    linter = Path(sys.executable).with_name("hadolint")  # a wheel brings it
    done = subprocess.run(
        [linter, "--no-color", CONTAINERFILE], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_image_runs_what_the_program_knows() -> None:
    """A renamed command or option would be found by whoever pulls the image."""
    check = json.loads(last("HEALTHCHECK").partition(" CMD ")[2])
    command = [*json.loads(last("ENTRYPOINT")), *json.loads(last("CMD"))]

    assert check[1] in COMMANDS
    assert command[0] == "gateway"
    assert {word for word in command if word.startswith("--")} <= options_of(command[1])


def test_the_image_has_a_user_that_is_not_root() -> None:
    """By its number: an engine that looks for a user that is not root cannot read names."""
    assert last("USER") == f"{USER}:{USER}"
    assert last("STOPSIGNAL") == "SIGTERM"
    # SQLite sorts much in a file, and there is no other place for one.
    assert f"TMPDIR={last('VOLUME')}" in last("ENV").split()
    assert last("VOLUME") == "/var/lib/chat-gateway"
    assert not re.search(r"\b(curl|wget|apt-get)\b", CONTAINERFILE.read_text())


def test_all_that_is_copied_is_in_the_tree_and_sent() -> None:
    """What the ignore file keeps out fails the build; what it lets in may be a secret."""
    copied = [
        source.rstrip("/")
        for stage in stages()
        for one in stage
        if one.word == "COPY" and "--from" not in one.text
        for source in one.text.split()[:-1]
    ]

    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert [source for source in copied if not is_sent(source)] == []
    kept_out = (".env", ".git", "gateway.db", "gateway.pepper", "gateway.encryption-keys")
    assert [name for name in kept_out if is_sent(name)] == []


def is_sent(name: str) -> bool:
    """Whether the ignore file lets a path of the tree through: the last line that fits decides."""
    sent = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and fnmatch(name, pattern):
            sent = line.startswith("!")
    return sent


def test_its_settings_write_to_its_state() -> None:
    """Everything else is read-only."""
    settings = load_settings(CONTAINER / "gateway.yaml", {})

    file = settings.stores.find_database({}).file
    assert file is not None
    assert str(file.parent) == last("VOLUME")
    assert str(settings.ledger.directory.parent) == last("VOLUME")


def test_its_lock_holds_what_was_tested() -> None:
    """The image would otherwise be the first to run another version."""
    tested = (ROOT / "requirements-test.lock").read_text()
    for lock in ("requirements.lock", "build.lock"):
        blocks = re.split(r"\n(?=[A-Za-z])", (CONTAINER / lock).read_text())
        for block in blocks:
            pinned = "\n".join(line for line in block.splitlines() if "#" not in line)
            assert pinned in tested, pinned.splitlines()[0]


@contextlib.contextmanager
def locked_in(state: Path, directory: Path) -> Iterator[subprocess.Popen[str]]:
    """The gateway as the image runs it; its files are in a directory that it cannot write."""
    unshare = find_program("unshare", install="apt install util-linux", part=PART)
    if subprocess.run([unshare, "--mount", "true"], capture_output=True, check=False).returncode:
        refuse(PART, "mounts of one's own need root and CAP_SYS_ADMIN")
    ports = ("--port", "0", "--admin-port", "0")
    base, home = sys.base_prefix, str(Path.home())
    with subprocess.Popen(
        [
            *(unshare, "--mount", "sh", "-c", READ_ONLY, "sh", str(state), home, base),
            *(sys.executable, "-m", "gateway", *json.loads(last("CMD")), *ports),
        ],
        cwd=directory,
        env={
            "PATH": os.environ["PATH"],
            **FEW_AUTHORITIES,
            "PYTHONPATH": str(ROOT),
            "HOME": str(state),
            "PYTHONDONTWRITEBYTECODE": "1",
            "CREDENTIALS_DIRECTORY": str(directory / "secrets"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.fixture
def directory() -> Iterator[Path]:
    """What is mounted into a container: readable for all, but the state, which is the user's."""
    with tempfile.TemporaryDirectory(prefix="gateway-") as made:  # pytest's own are for root alone
        directory = Path(made)
        directory.chmod(0o755)
        state = directory / "state"
        state.mkdir(mode=0o700)
        with contextlib.suppress(PermissionError):  # the test says that it needs root
            os.chown(state, USER, USER)
        write_files(directory, state)
        yield directory


def write_files(directory: Path, state: Path) -> None:
    """Settings as they ship, but for the place of the state; a registry, and a secret."""
    (directory / "secrets").mkdir()
    (directory / "secrets" / "GROQ_API_KEY").write_text("gsk_CanaryCanaryCanary0003\n")
    text = (CONTAINER / "gateway.yaml").read_text().replace("/var/lib/chat-gateway", str(state))
    (directory / "gateway.yaml").write_text(
        text + "auth: [{kind: anonymous, requests_per_minute: 60, concurrent: 10}]\n"
    )
    demo = {"base_url": "simulator:", "auth": {"required": False}, "default_model": "demo"}
    groq = {"base_url": "https://api.groq.com/openai/v1"}
    (directory / "providers.yaml").write_text(
        yaml.safe_dump({"providers": {"demo": demo, "groq": groq}})
    )


@pytest.mark.usefixtures("curl_path")
def test_it_runs_without_root_and_writes_its_state_alone(directory: Path) -> None:
    """Whoever takes it over can change nothing, and a restart begins with what was shipped."""
    state = directory / "state"
    with locked_in(state, directory) as running:
        lines = read_until_curl(running)
        places = dict(line.split(None, 1) for line in lines if line.startswith(("adm", "cred")))
        asked = subprocess.run(
            [*shlex.split(lines[-1]), "-sS"], capture_output=True, text=True, check=True
        )
        healthy = subprocess.run(
            [sys.executable, "-m", "gateway", "healthcheck", "--url", places["admin"]],
            capture_output=True,
            text=True,
            check=False,
        )
        status = Path(f"/proc/{running.pid}/status").read_text()
        mounts = Path(f"/proc/{running.pid}/mounts").read_text().splitlines()
        running.send_signal(signal.SIGTERM)
        rest, _ = running.communicate(timeout=START_S)

    assert running.returncode == 0, rest
    assert asked.stdout.startswith("Hello!")
    assert (healthy.returncode, healthy.stdout) == (0, "ready\n")
    assert places["credentials"] == "groq"
    assert re.search(rf"Uid:\s+{USER}\s+{USER}\s+{USER}", status)
    assert re.search(r"CapBnd:\s+0+\n", status)
    writable = [line.split()[1] for line in mounts if "rw" in line.split()[3].split(",")]
    kernel = ("/proc", "/sys", "/dev")
    assert [place for place in writable if not place.startswith(kernel)] == [str(state)]
    made = {path.name for path in state.iterdir()}
    assert {"gateway.db", "journal"} <= made


def test_the_first_process_of_a_container_can_be_stopped() -> None:
    """K01: the kernel keeps from it what it does not handle, and `docker stop` waits for it."""
    unshare = find_program("unshare", install="apt install util-linux", part=PART)
    namespace = (unshare, "--pid", "--fork", "--kill-child")
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        refuse(PART, "processes of one's own need root and CAP_SYS_ADMIN")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(START_S)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        command = ("-m", "gateway", "healthcheck", "--url", url, "--timeout", "60")
        with subprocess.Popen([*namespace, sys.executable, *command], cwd=ROOT) as running:
            try:
                asked, _ = silent.accept()  # and never answered
                children = f"/proc/{running.pid}/task/{running.pid}/children"
                os.kill(int(Path(children).read_text()), signal.SIGTERM)
                code = running.wait(timeout=START_S)
            finally:
                running.kill()
        asked.close()

    assert code == 128 + signal.SIGTERM


def read_until_curl(running: subprocess.Popen[str]) -> list[str]:
    """What it prints up to the command to try."""
    assert running.stdout is not None
    lines: list[str] = []
    for line in running.stdout:
        lines.append(line.rstrip("\n"))
        if line.startswith("curl"):
            return lines
    raise AssertionError("\n".join(lines))
