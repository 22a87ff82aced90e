"""`gateway serve` with middlewares of an operator's: which of two modules of one name it takes.

The rule here: the gateway is started as a clone starts it, with a package `plugins` of its own in
sight.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugins.authorities import FEW_AUTHORITIES

ROOT = Path(__file__).parents[3]
PROVIDERS = """
providers:
  demo: {base_url: "simulator:", auth: {required: false}, default_model: demo}
"""
MODULE = """
from aiohttp import web
from gateway.plugins.api import RESPONSE_HEADERS

@web.middleware
async def NAME(request, handler):
    request[RESPONSE_HEADERS]["X-NAME"] = "VALUE"
    return await handler(request)
"""
START_S = 20


def write_module(path: Path, value: str, *names: str) -> None:
    """Write a module with a middleware for each name, which sets a header of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = (MODULE.replace("NAME", name).replace("VALUE", value) for name in names or ("stamp",))
    path.write_text("".join(text))


def write_settings(directory: Path, *uses: str, more: str = "") -> Path:
    """Write a gateway.yaml with these middlewares, one after the other."""
    directory.mkdir(exist_ok=True)
    entries = "".join(f"  - {{use: '{use}', after: authenticate{more}}}\n" for use in uses)
    path = directory / "gateway.yaml"
    path.write_text(f"middleware:\n{entries}")
    return path


@contextlib.contextmanager
def started(directory: Path, settings: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A gateway on free ports, started in a directory; killed if the test leaves it running."""
    directory.mkdir(exist_ok=True)
    (directory / "providers.yaml").write_text(PROVIDERS)
    command = [sys.executable, "-P", "-m", "gateway", "serve", "--config", str(settings)]
    with subprocess.Popen(
        [*command, "--port", "0", "--admin-port", "0", *options],
        cwd=directory,
        env={**FEW_AUTHORITIES, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def ask(directory: Path, settings: Path, *options: str) -> str:
    """The head of an answer of a gateway that is started for it."""
    with started(directory, settings, *options) as running:
        assert running.stderr is not None
        lines = []
        for line in running.stderr:
            lines.append(line)
            if line.startswith("curl"):
                break
        [url] = [line.split()[-1] for line in lines if line.startswith("listening")] or [""]
        asked = subprocess.run(
            ["curl", "-sSi", f"{url}/api/keys"], capture_output=True, text=True, check=False
        )
        running.terminate()
        _, err = running.communicate(timeout=START_S)
    assert asked.returncode == 0, "".join(lines) + err
    return asked.stdout.lower()


@pytest.mark.usefixtures("curl_path")
@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["alone", "workers"])
def test_what_lies_beside_the_settings_wins(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Over the current directory, and over the package of that name in a clone."""
    settings = write_settings(tmp_path / "etc", "plugins.hello:stamp")
    write_module(tmp_path / "etc/plugins/hello.py", "beside")
    write_module(tmp_path / "here/plugins/hello.py", "here")

    assert "x-stamp: beside" in ask(tmp_path / "here", settings, *options)


@pytest.mark.usefixtures("curl_path")
def test_what_lies_in_the_current_directory_comes_next(tmp_path: Path) -> None:
    """Before what is installed."""
    settings = write_settings(tmp_path / "etc", "plugins.hello:stamp")
    write_module(tmp_path / "here/plugins/hello.py", "here")

    assert "x-stamp: here" in ask(tmp_path / "here", settings)


@pytest.mark.usefixtures("curl_path")
@pytest.mark.parametrize("lies", ["etc", "mounted"])
def test_settings_behind_a_link_have_two_places_beside_them(tmp_path: Path, lies: str) -> None:
    """Kubernetes mounts each file of a ConfigMap as a link into a directory of its own."""
    target = write_settings(tmp_path / "mounted", "mine:stamp")
    (tmp_path / "etc").mkdir()
    settings = tmp_path / "etc/gateway.yaml"
    settings.symlink_to(target)
    write_module(tmp_path / lies / "mine.py", lies)

    assert f"x-stamp: {lies}" in ask(tmp_path / "here", settings)


@pytest.mark.usefixtures("curl_path")
def test_the_place_that_was_given_comes_first(tmp_path: Path) -> None:
    """It is the one that whoever starts the gateway has before them."""
    target = write_settings(tmp_path / "mounted", "mine:stamp")
    (tmp_path / "etc").mkdir()
    settings = tmp_path / "etc/gateway.yaml"
    settings.symlink_to(target)
    for place in ("etc", "mounted"):
        write_module(tmp_path / place / "mine.py", place)

    assert "x-stamp: etc" in ask(tmp_path / "here", Path("../etc/gateway.yaml"))


@pytest.mark.usefixtures("curl_path")
def test_a_package_may_lie_in_several_places(tmp_path: Path) -> None:
    """One's own beside the one that ships; and two entries of one module, one left out."""
    uses = ("plugins.teams:one", "plugins.teams:other", "plugins.hello:stamp")
    settings = write_settings(tmp_path / "etc", *uses, "plugins.none:x", more=", optional: true")
    write_module(tmp_path / "etc/plugins/teams.py", "beside", "one", "other")

    head = ask(tmp_path / "here", settings)

    assert "x-one: beside" in head
    assert "x-other: beside" in head
    assert "x-hello: local" in head


def test_a_module_that_ends_the_program_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    """Without one it would be its exit code, and nothing to go by."""
    settings = write_settings(tmp_path / "etc", "mine:stamp")
    (tmp_path / "etc/mine.py").write_text("import sys\nsys.exit(3)\n")

    with started(tmp_path / "here", settings) as running:
        out, err = running.communicate(timeout=START_S)

    assert (running.returncode, out) == (1, "")
    assert "middleware mine:stamp: cannot be imported: SystemExit: 3" in err
