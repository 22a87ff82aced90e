"""A machine as somebody has just set it up: Debian's nginx and Prometheus run, and nothing else.

The rule here: a page's commands run as they are written, with the ports and paths that it names.
The machine has a network, processes and writable directories of its own, so nothing of the real one
is touched, and all that was started ends with it.
"""

import os
import re
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.plugins.programs import find_program, refuse

PART = "namespaces"  # what GATEWAY_TEST_REQUIRE calls them
# Each with its package, and with the name by which it is required.
NEEDED = (
    ("nginx", "nginx-light", "nginx"),
    ("prometheus", "prometheus", "prometheus"),
    ("promtool", "prometheus", "prometheus"),
    ("curl", "curl", "curl"),
    ("git", "git", PART),
    ("ip", "iproute2", PART),
    ("make", "make", PART),
    ("pkill", "procps", PART),
)
# Who waits for something that does not come is told what came until then.
TIMEOUT_S = 20
READ_BYTES = 65536
DONE = "\x1e"  # in no output of anything
CTRL_C = b"\x03"
COLOUR = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
OF_JOBS = re.compile(r"(?m)^\[\d+\][-+ ].*\n")  # `[1] 4711`, `[1]+  Done`

NAMESPACES = ("--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child")
# What apt has done once these programs are installed. /etc is a copy, in memory.
SET_UP = """
set -eu
ip link set lo up
mount -t tmpfs none /run
cp -a /etc /run/etc
mount --bind /run/etc /etc
mount -t tmpfs none /var/lib
mount -t tmpfs none /var/log
mkdir /var/lib/nginx /var/log/nginx
install -d -o prometheus -g prometheus /var/lib/prometheus /var/log/prometheus
rm -f /etc/nginx/conf.d/* /etc/nginx/sites-enabled/*
ln -s ../sites-available/default /etc/nginx/sites-enabled/
mkdir -p /etc/grafana/provisioning/datasources /etc/grafana/provisioning/dashboards /var/lib/grafana
service nginx start
service prometheus start 2>&1
exec setsid --ctty bash --norc --noprofile --noediting -i
"""
# No prompts, no echo: what is read is what commands print. What fails says so.
QUIET = """stty -echo -onlcr columns 120; PS1= PS2=
trap 'echo "ended with $?: $BASH_COMMAND"' ERR
"""


class FreshMachine:
    """One that runs, with a shell on its terminal."""

    def __init__(self, terminal: int, shell: subprocess.Popen[bytes]) -> None:
        self._terminal = terminal
        self._shell = shell

    def run(self, commands: str) -> str:
        """Paste commands; what is on the terminal when they have ended."""
        self._write(f"{commands}\nprintf '\\036'\n")
        return _plain(self._read(lambda printed: printed.endswith(DONE)))

    def run_until(self, commands: str, holds: Callable[[str], bool]) -> str:
        """Paste commands that do not end; once what they print holds, press Ctrl-C."""
        self._write(commands)
        printed = self._read(lambda printed: holds(_plain(printed)))
        os.write(self._terminal, CTRL_C)
        self.run("")
        return _plain(printed)

    def _write(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def _read(self, holds: Callable[[str], bool]) -> str:
        printed = b""
        ends_at = time.monotonic() + TIMEOUT_S
        while not holds(printed.decode(errors="replace")):
            ready, _, _ = select.select([self._terminal], [], [], ends_at - time.monotonic())
            assert ready, f"nothing more after:\n{printed.decode(errors='replace')}"
            try:
                printed += os.read(self._terminal, READ_BYTES)
            except OSError as error:  # Linux says so where nobody has the other end any more
                raise AssertionError(printed.decode(errors="replace")) from error
        return printed.decode(errors="replace")

    def start(self) -> Self:
        """Wait for the shell; from then on nothing is on the terminal that was not asked for."""
        self.run(QUIET)
        return self


@contextmanager
def fresh_machine(home: Path, environment: dict[str, str]) -> Iterator[FreshMachine]:
    """Set a machine up; whoever sits there has that home and those variables."""
    _look_for_what_it_needs()
    ours, theirs = os.openpty()
    with subprocess.Popen(
        ["unshare", *NAMESPACES, "sh", "-c", SET_UP],
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as shell:
        os.close(theirs)
        try:
            yield FreshMachine(ours, shell).start()
        finally:
            shell.kill()  # with --kill-child: and all that has been started there
            os.close(ours)


def _look_for_what_it_needs() -> None:
    for program, package, part in NEEDED:
        find_program(program, install=f"apt install {package}", part=part)
    for service in ("nginx", "prometheus"):
        if not Path("/etc/init.d", service).exists():
            refuse(service, f"{service} is not a service here as Debian makes it one")
    tried = subprocess.run(["unshare", *NAMESPACES, "true"], capture_output=True, check=False)
    if tried.returncode != 0:
        refuse(PART, f"no namespaces can be made: {tried.stderr.decode().strip()}")


def _plain(printed: str) -> str:
    """Give what a person reads: without colours, and what the shell says of its jobs."""
    text = COLOUR.sub("", printed.replace("\r\n", "\n").replace(DONE, ""))
    return OF_JOBS.sub("", text)
