"""`gateway simulate`, as a program."""

import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from gateway.cli.simulate import simulate

ROOT = Path(__file__).parents[3]


def test_it_prints_where_it_is_and_stops_with_ctrl_c() -> None:
    """The line it prints works when it is pasted."""
    command = [sys.executable, "-m", "gateway", "simulate", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        lines = [running.stdout.readline() for _ in range(3)]
        arguments = shlex.split(lines[-1])
        running.send_signal(signal.SIGINT)

    assert lines[0].startswith("base URL   http://127.0.0.1:")
    assert (arguments[0], arguments[2]) == (
        "curl",
        lines[0].split()[-1] + "/chat/completions",
    )
    assert running.returncode == 0


def test_on_every_address_it_names_one_that_can_be_called() -> None:
    """What is printed goes into `base_url`, and 0.0.0.0 is nobody's address."""
    command = [sys.executable, "-m", "gateway", "simulate", "--host", "0.0.0.0", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        url = running.stdout.readline().split()[-1]
        running.send_signal(signal.SIGINT)

    assert url.startswith("http://127.0.0.1:")


def test_the_line_survives_a_shell() -> None:
    """In zsh the brackets of an IPv6 address are a pattern."""
    command = [sys.executable, "-m", "gateway", "simulate", "--host", "::1", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        lines = [running.stdout.readline() for _ in range(3)]
        running.send_signal(signal.SIGINT)

    if running.returncode == 1:
        pytest.skip("this machine has no IPv6")
    assert "curl -N 'http://[::1]:" in lines[-1]


def test_who_has_read_its_address_may_close_the_pipe() -> None:
    """As `| head -1` does in a script: it said that it could not listen, and ended."""
    command = [sys.executable, "-m", "gateway", "simulate", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        url = running.stdout.readline().split()[-1]
        running.stdout.close()
        with urllib.request.urlopen(f"{url}/models") as answer:  # noqa: S310 - our own
            status = answer.status
        running.send_signal(signal.SIGINT)

    assert (status, running.returncode) == (200, 0)


def test_a_port_in_use_is_said_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback for an everyday thing."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        code = simulate("127.0.0.1", other.getsockname()[1])

    assert code == 1
    assert capsys.readouterr().err.endswith(
        "another program listens there; stop it or take another port\n"
    )


def test_an_address_of_another_machine_is_said_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    """Another port would not help."""
    assert simulate("192.0.2.1", 0) == 1
    assert "192.0.2.1:0: this machine does not have that address" in capsys.readouterr().err
    assert simulate("no-such-host.invalid", 0) == 1
    assert "no such host" in capsys.readouterr().err
