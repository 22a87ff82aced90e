"""`gateway keys test [PROVIDER]…`, from the command line to a provider and back."""

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.cli.try_credentials import CLIENT
from gateway.core.extras import line_that_installs
from gateway.simulator import Simulator

RIGHT = "sk-canary-right-4411"
WRONG = "sk-canary-wrong-9922"


class InThread:
    """A simulator on a loop of its own, for a command that brings its own loop."""

    def __init__(self) -> None:
        self.simulator = Simulator(credential=RIGHT)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.run(self.simulator.start())

    def run(self, work: object) -> None:
        """Have something done on that loop."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # type: ignore[arg-type]

    def stop(self) -> None:
        """End all of it."""
        self.run(self.simulator.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def provider() -> Iterator[InThread]:
    """A provider that knows one credential."""
    started = InThread()
    yield started
    started.stop()


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: InThread) -> Path:
    """A directory with a registry of providers, some of which have credentials."""
    monkeypatch.chdir(tmp_path)
    at = {"base_url": provider.simulator.base_url, "allow_private": True}
    providers = {
        "one": {**at, "credentials": ["${RIGHT}", "${WRONG}"]},
        "two": {**at, "credential": "${RIGHT}"},
        "bare": at,
        "demo": {"base_url": "simulator:"},
        "azure": {"base_url": "https://EXAMPLE.openai.azure.com/openai/v1"},
    }
    (tmp_path / "providers.yaml").write_text(yaml.safe_dump({"providers": providers}))
    monkeypatch.setenv("RIGHT", RIGHT)
    monkeypatch.setenv("WRONG", WRONG)
    return tmp_path


def run(*arguments: str) -> tuple[int, str, str]:
    """What the command gives: its code, its output, what else it says."""
    done = CliRunner().invoke(app, ["keys", "test", *arguments], env={"COLUMNS": "200"})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "canary" not in done.output
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.usefixtures("directory")
def test_every_credential_of_every_provider_is_tried() -> None:
    """Exit code 1 when one does not work, for whoever runs it at night."""
    code, out, _ = run("--json")

    tried = [(one["provider"], one["credential_id"], one["result"]) for one in json.loads(out)]
    assert code == 1
    assert tried == [
        ("one", "RIGHT", "works"),
        ("one", "WRONG", "refused"),
        ("two", "RIGHT", "works"),
    ]


@pytest.mark.usefixtures("directory")
def test_named_providers_alone_are_tried() -> None:
    """And all is well when those are."""
    code, out, _ = run("two")

    assert code == 0
    assert "works" in out
    assert "one" not in out


@pytest.mark.usefixtures("directory")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bare", "it has no credential"),
        ("demo", "demo is built into the gateway"),
        ("azure", "still holds EXAMPLE"),
        ("tow", "did you mean two?"),
        ("sk-canary-here", "There is no provider of that name"),
    ],
)
def test_what_cannot_be_tried_is_said(name: str, said: str) -> None:
    """In one sentence, and without what may have been a credential."""
    code, out, err = run(name)

    assert code == 1
    assert said in out + err


def test_without_any_credential_there_is_nothing_to_try(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zero that work out of zero would look like success."""
    for name in ("RIGHT", "WRONG"):
        monkeypatch.delenv(name)

    code, _, err = run()

    assert code == 1
    assert "No provider in providers.yaml has a credential" in err
    assert directory.name not in err


def test_mistakes_in_the_registry_are_reported_as_everywhere(directory: Path) -> None:
    """With their places."""
    (directory / "providers.yaml").write_text("providers: {a: {}}")

    code, _, err = run()

    assert (code, err.startswith("providers.yaml:1:13: providers.a")) == (1, True)


@pytest.mark.usefixtures("directory")
@pytest.mark.parametrize("package", ["openai", "httpx2"])
def test_without_the_package_it_is_said_how_to_get_it(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an extra: most installations do without."""
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, CLIENT, raising=False)

    code, _, err = run("two")

    assert code == 1
    assert line_that_installs("openai") in err
