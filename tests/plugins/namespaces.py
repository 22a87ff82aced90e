"""Two network namespaces and a cable between them: what goes wrong on a line, done by the kernel.

The rule here: nothing of this machine's own network is touched or reachable, so the addresses are
the same in every test; what a test makes is gone when it ends.
"""

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.plugins.programs import find_program, refuse

PART = "namespaces"  # what GATEWAY_TEST_REQUIRE calls them
PACKAGES = {"ip": "iproute2", "tc": "iproute2", "nft": "nftables"}
DEVICE = "cable"  # at either end
NEAR, FAR = "10.0.0.1", "10.0.0.2"
TIMEOUT_S = 10


class Namespace:
    """One end of the cable: a loopback of its own, and an address for the other end."""

    def __init__(self, name: str, address: str, programs: dict[str, Path]) -> None:
        self.name = name
        self.address = address
        self._programs = programs

    @property
    def command(self) -> tuple[str, ...]:
        """What is written before a command that is to run here."""
        return (str(self._programs["ip"]), "netns", "exec", self.name)

    def run(self, program: str, *arguments: str, text: str | None = None) -> str:
        """Run `ip`, `tc` or `nft` here; what it prints."""
        return run(*self.command, str(self._programs[program]), *arguments, text=text)

    def filter(self, rule: str) -> None:
        """Put a rule on what arrives here over the cable, in place of the one before."""
        chain = f"type filter hook input priority 0; iifname {DEVICE} {rule}"
        table = f"table inet faults {{ counter met {{ }}\nchain input {{ {chain}; }}\n}}"
        self.run("nft", "-f", "-", text=f"flush ruleset\n{table}")

    def filter_no_more(self) -> None:
        """Let everything in again."""
        self.run("nft", "flush", "ruleset")

    @property
    def met_packets(self) -> int:
        """How many packets the rule has met, if it says `counter name met`."""
        listed = json.loads(self.run("nft", "-j", "list", "counter", "inet", "faults", "met"))
        return int(listed["nftables"][1]["counter"]["packets"])

    @contextmanager
    def entered(self) -> Iterator[None]:
        """What this thread opens meanwhile belongs here, and stays here.

        Only for what does not leave the thread: another task that ran meanwhile would be here too.
        """
        with (
            Path("/proc/thread-self/ns/net").open("rb") as before,
            Path("/var/run/netns", self.name).open("rb") as here,
        ):
            _set_namespace(here.fileno())
            try:
                yield
            finally:
                _set_namespace(before.fileno())


@dataclass(frozen=True)
class Cable:
    """Two namespaces that reach each other, and nothing else."""

    near: Namespace  # where the gateway is
    far: Namespace

    def cut(self) -> None:
        """Take the link down: from now on nothing arrives, and nobody is told."""
        self.far.run("ip", "link", "set", DEVICE, "down")

    def narrow(self, kbit_per_s: int) -> None:
        """Let no more than so much through to the far end."""
        rate = ("rate", f"{kbit_per_s}kbit", "burst", "1600", "limit", "30000")
        self.near.run("tc", "qdisc", "add", "dev", DEVICE, "root", "tbf", *rate)


def run(*command: str, text: str | None = None) -> str:
    """Run a command; where the kernel does not let it, there is nothing to test."""
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        said = done.stderr.strip()
        line = " ".join(command)
        refuse(PART, f"a network of one's own needs root and CAP_SYS_ADMIN: `{line}`: {said}")
    return done.stdout


def _set_namespace(descriptor: int) -> None:
    # `os.setns` is there from Python 3.12 on.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@pytest.fixture(scope="session")
def network_programs() -> dict[str, Path]:
    """Give the programs that make a network."""
    if not sys.platform.startswith("linux"):
        refuse(PART, "only Linux has network namespaces")
    return {
        name: find_program(name, install=f"apt install {package}", part=PART)
        for name, package in PACKAGES.items()
    }


@pytest.fixture
def cable(network_programs: dict[str, Path]) -> Iterator[Cable]:
    """A cable whose packets are of a wire's size, and whose ends send again after 8 ms."""
    ip = str(network_programs["ip"])
    name = f"gateway-test-{os.getpid()}"  # other tests make theirs at the same time
    near = Namespace(f"{name}-near", NEAR, network_programs)
    far = Namespace(f"{name}-far", FAR, network_programs)
    with ExitStack() as made:
        for end in (near, far):
            run(ip, "netns", "add", end.name)
            made.callback(run, ip, "netns", "delete", end.name)
        ends = ("netns", near.name, "type", "veth", "peer", "name", DEVICE, "netns", far.name)
        run(ip, "link", "add", "name", DEVICE, *ends)
        for end in (near, far):
            end.run("ip", "link", "set", "lo", "up")
            end.run("ip", "address", "add", f"{end.address}/24", "dev", DEVICE)
            # Otherwise what the rules see is up to 64 KB at once, which no wire carries.
            end.run("ip", "link", "set", DEVICE, "up", "gso_max_segs", "1")
            # 200 ms by default, and doubled with each loss.
            route = ("10.0.0.0/24", "dev", DEVICE, "src", end.address, "rto_min", "8ms")
            end.run("ip", "route", "change", *route)
        yield Cable(near, far)
