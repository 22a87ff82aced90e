"""The walk from a clone to production, as a newcomer makes it: every block pasted, in its order.

The rule here: what the page says is on the terminal has to be there. Beside packages, which come
from the internet, one thing is not as it ships: Prometheus looks more often, for time is short.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import ROOT, Block, blocks, matches, prose
from tests.plugins.fresh_machine import FreshMachine, fresh_machine
from tests.plugins.prometheus import VARIABLES, dashboard_queries

PAGE = "docs/start/production.md"
ADDRESS = "https://git.example.org/chat-gateway.git"
CTRL_C = "Ctrl-C"  # in the comment of a command that goes on until then
OFTEN = "200ms"
PROGRAM = '#!/bin/sh\nexec {} "$@"\n'
IDENTITY = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
OF_PROMETHEUS = re.compile(r"http://127\.0\.0\.1:9090/[\w/]+")
# What anybody looks at first, and what one stream is enough for.
SHOWN = {
    *(
        "Requests per second",
        "Time to first content, p95",
        "Workers ready",
        "Requests by outcome",
        "Requests by status",
    ),
    *(
        "Requests by provider and model",
        "Time to first content: added by the gateway",
        "Memory",
        "Workers",
    ),
}
COPIED = ("Makefile", ".gitignore", "providers.yaml", "requirements.lock")
DIRECTORIES = ("deploy", "gateway", "plugins", "scripts")
ASK = """
import json, sys, urllib.parse, urllib.request

answers = []
for query in json.load(open("queries.json")):
    url = "http://127.0.0.1:9090/api/v1/query?" + urllib.parse.urlencode({"query": query})
    answers.append(json.load(urllib.request.urlopen(url)))
json.dump(answers, open("answers.json", "w"))
"""


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[FreshMachine]:
    """Give a machine on which `git clone` brings this checkout."""
    home, programs = tmp_path / "home", tmp_path / "bin"
    home.mkdir()
    programs.mkdir()
    _write_program(programs / "sudo", "")  # on this machine one is root
    repository = _make_repository(tmp_path / "repository")
    environment = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}{os.pathsep}/usr/sbin:/sbin",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{repository}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
    }
    with fresh_machine(home, environment) as machine:
        yield machine


def test_a_newcomer_gets_from_a_clone_to_a_dashboard(
    newcomer: FreshMachine, tmp_path: Path
) -> None:
    """A step that is missing is noticed by those alone who have not done it before."""
    home = tmp_path / "home"

    for block in (block for block in blocks(PAGE) if block.language == "shell"):
        printed = _paste(newcomer, block)
        _compare(block, printed)
        if ADDRESS in block.text:
            _install_packages(home / "chat-gateway")
        if "rate(" in block.text:
            _look_at_prometheus(newcomer)
            _look_at_the_dashboard(newcomer, home / "my-gateway")


def test_a_command_that_fails_is_noticed(newcomer: FreshMachine) -> None:
    """All of the walk rests on that; most of its commands print nothing."""
    assert newcomer.run("cd; true") == ""
    assert newcomer.run("false; true") == "ended with 1: false\n"


def _paste(machine: FreshMachine, block: Block) -> str:
    if CTRL_C in block.text:
        return machine.run_until(block.text, lambda printed: matches(_shown(block), printed))
    return machine.run(block.text)


def _shown(block: Block) -> str:
    """Give what the page shows below a block."""
    return block.after[0].text if block.after and block.after[0].language == "text" else "…"


def _compare(block: Block, printed: str) -> None:
    assert "ended with" not in printed, f"{block.id}\n{printed}"
    assert matches(_shown(block), printed), f"{block.id}\n{printed}"


def _look_at_prometheus(machine: FreshMachine) -> None:
    """Open what the page says to open; Debian's package has not all the pages of others."""
    addresses = set(OF_PROMETHEUS.findall(prose(PAGE)))
    assert addresses
    seen = machine.run("".join(f"curl -sf {address}\n" for address in sorted(addresses)))
    assert "ended with" not in seen, seen
    assert "GatewayDown" in seen
    assert "http://127.0.0.1:8081/metrics" in seen


def _look_at_the_dashboard(machine: FreshMachine, directory: Path) -> None:
    """Do what Grafana does with what the page has copied; Debian has no Grafana."""
    source, provider = (
        yaml.safe_load(machine.run(f"cat /etc/grafana/provisioning/{name}"))
        for name in ("datasources/prometheus.yml", "dashboards/gateway.yml")
    )
    board = machine.run(f"cat {provider['providers'][0]['options']['path']}/*.json")
    assert json.loads(board)["uid"] == "chat-gateway"
    assert source["datasources"][0]["url"] == "http://127.0.0.1:9090"

    queries = dashboard_queries()
    texts = [_without_variables(query.text) for query in queries]
    (directory / "queries.json").write_text(json.dumps(texts))
    (directory / "ask.py").write_text(ASK)
    assert machine.run(f"{sys.executable} ask.py") == ""
    answers = json.loads((directory / "answers.json").read_text())

    assert {answer["status"] for answer in answers} == {"success"}
    seen = {
        query.where
        for query, answer in zip(queries, answers, strict=True)
        if answer["data"]["result"]
    }
    assert seen >= SHOWN


def _without_variables(text: str) -> str:
    for variable, value in VARIABLES.items():
        text = text.replace(variable, value)
    return text


def _make_repository(directory: Path) -> Path:
    """Put what this checkout has, committed or not, into a repository."""
    directory.mkdir()
    for name in COPIED:
        shutil.copy(ROOT / name, directory / name)
    for name in DIRECTORIES:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, directory / name, ignore=ignore)
    config = directory / "deploy/prometheus/prometheus.yml"
    text = config.read_text(encoding="utf-8").replace(": 15s", f": {OFTEN}")
    config.write_text(text.replace("scrape_timeout: 5s", f"scrape_timeout: {OFTEN}"))
    for command in (("init", "--quiet"), ("add", "."), (*IDENTITY, "commit", "-qm", "All")):
        subprocess.run(["git", *command], cwd=directory, check=True)
    return directory


def _install_packages(clone: Path) -> None:
    """Do what `make run` does first: bring the packages, which need the internet."""
    (clone / ".venv/bin").mkdir(parents=True)
    _write_program(clone / ".venv/bin/python", sys.executable)
    (clone / ".venv/.installed-requirements").touch()


def _write_program(path: Path, runs: str) -> None:
    path.write_text(PROGRAM.format(runs))
    path.chmod(0o755)
