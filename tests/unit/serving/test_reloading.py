"""Reading gateway.yaml anew."""

import asyncio
import os
from pathlib import Path

import pytest

from gateway.config.settings import ServerSpec, Settings
from gateway.serving.reloading import Reloader, Source, find_changes, find_source, override
from gateway.telemetry.content_log import ContentFileError
from tests.plugins.chain import LogLines


class Scene:
    """A file, and what came of reading it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.applied: list[Settings] = []
        self.error: Exception | None = None
        self.write("logging: {level: info}\nserver: {port: 1}\n")
        self.source = Source(path, {"logging": {"format": "logfmt"}})
        self.reloader = Reloader(self.source, self.source.load(), self.apply)

    def write(self, text: str) -> None:
        """Put this in the file's place."""
        self.path.write_text(text)

    def apply(self, settings: Settings) -> None:
        """Note what is put into force, or refuse it."""
        if self.error is not None:
            raise self.error
        self.applied.append(settings)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A file that has been read once."""
    return Scene(tmp_path / "gateway.yaml")


async def test_the_block_about_logs_is_put_into_force(scene: Scene, log_lines: LogLines) -> None:
    """With what the command line says; all else is named, and waits for a start."""
    scene.write("logging: {level: error, buffer_bytes: 70000}\nserver: {port: 2, drain_s: 5}\n")

    await scene.reloader.reload()

    [applied] = scene.applied
    assert (applied.logging.level, applied.logging.format) == ("error", "logfmt")
    assert scene.reloader.settings.logging == applied.logging
    assert scene.reloader.settings.server.port == 1
    [reloaded] = log_lines.find("config.reloaded")
    assert reloaded["generation"] == 2
    assert reloaded["settings"] == ["logging.level", "logging.buffer_bytes"]
    [waiting] = log_lines.find("config.needs_restart")
    assert waiting["settings"] == ["server.port", "server.drain_s"]
    assert scene.reloader.numbers.generation == 2


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcde", "bcdef", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("logging: {level: loud}\n", "gateway.yaml:1:18: logging.level: needs to be one of"),
        ("logging: [\n", "gateway.yaml:2:1: "),
        ("logging:\n\tlevel: info\n", "gateway.yaml:2:1: a tab indents this line"),
        ("logging: {levle: info}\n", "gateway.yaml:1:11: logging.levle: unknown key"),
        ("logging: {level: info}\nlogging: {}\n", "gateway.yaml:2:1: logging: written twice"),
        ("logging: !!python/object:os.system {}\n", "gateway.yaml:1:10: "),
        ("logging: {level: 'a\x00b'}\n", "gateway.yaml:1:20: "),
        (BOMB, "stands for more than 50000 values"),
        ("x" * 2_000_000, "gateway.yaml:1:1: larger than 1 MiB"),
        ("[" * 20_000, "gateway.yaml:1:"),
    ],
)
async def test_a_mistake_changes_nothing(
    scene: Scene, log_lines: LogLines, text: str, said: str
) -> None:
    """K04: one line with file, line and column; a right file is put into force after it."""
    scene.write(text)
    await scene.reloader.reload()

    [failed] = log_lines.find("config.reload_failed")
    assert said in failed["problem"]
    assert failed["count"] >= 1
    assert scene.applied == []
    assert scene.reloader.numbers.has_failed
    scene.write("logging: {}\n")
    await scene.reloader.reload()
    assert len(scene.applied) == 1
    assert scene.reloader.numbers.failures == 1
    assert not scene.reloader.numbers.has_failed


@pytest.mark.parametrize("text", ["providers: {}\n", None], ids=["another", "none"])
async def test_other_providers_wait_for_a_start_and_are_named(
    scene: Scene, log_lines: LogLines, text: str | None
) -> None:
    """Whoever adds one and reloads would look for it, and be told that all is well."""
    registry = scene.path.with_name("providers.yaml")
    registry.write_text("providers: {a: {base_url: https://a.example/v1}}\n")
    source = find_source(scene.path, {}, registry)
    reloader = Reloader(source, source.load(), scene.apply)
    await reloader.reload()
    assert log_lines.find("config.needs_restart") == []
    if text is None:
        registry.unlink()
    else:
        registry.write_text(text)

    await reloader.reload()

    [waiting] = log_lines.find("config.needs_restart")
    assert waiting["settings"] == [str(registry)]


async def test_providers_from_a_pipe_are_never_others(scene: Scene, log_lines: LogLines) -> None:
    """It can be read once, and was."""
    pipe = scene.path.with_name("pipe")
    os.mkfifo(pipe)
    source = find_source(scene.path, {}, pipe)

    await Reloader(source, source.load(), scene.apply).reload()

    assert log_lines.find("config.needs_restart") == []


async def test_a_file_that_is_gone_changes_nothing(scene: Scene, log_lines: LogLines) -> None:
    """K04: between its deletion and the next one's arrival."""
    scene.path.unlink()

    await scene.reloader.reload()

    assert "no such file" in log_lines.find("config.reload_failed")[0]["problem"]
    assert scene.applied == []


async def test_a_file_that_nobody_named_may_be_gone_as_well(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, log_lines: LogLines
) -> None:
    """K04: ./gateway.yaml was read at the start; without it the defaults would come into force."""
    monkeypatch.chdir(scene.path.parent)
    reloader = Reloader(find_source(None, {}), scene.source.load(), scene.apply)
    scene.path.unlink()

    await reloader.reload()

    assert "no such file" in log_lines.find("config.reload_failed")[0]["problem"]
    assert scene.applied == []
    assert find_source(None, {}).load() == Settings()


async def test_whoever_was_told_that_it_begins_is_told_that_it_ended(scene: Scene) -> None:
    """The service manager waits for that; a mistake of ours is no exception."""
    scene.error = RuntimeError("can't start new thread")
    told: list[str] = []
    reloader = Reloader(
        scene.source,
        scene.source.load(),
        scene.apply,
        when_begun=lambda: told.append("begun"),
        when_done=lambda: told.append("done"),
    )

    with pytest.raises(RuntimeError):
        await reloader.reload()

    assert told == ["begun", "done"]
    assert reloader.numbers.has_failed


async def test_a_pipe_in_its_place_is_not_waited_for(scene: Scene, log_lines: LogLines) -> None:
    """The gateway could not even be stopped then."""
    scene.path.unlink()
    os.mkfifo(scene.path)

    await scene.reloader.reload()

    assert (
        "not a file that can be read again" in log_lines.find("config.reload_failed")[0]["problem"]
    )


async def test_a_path_that_cannot_be_looked_at_changes_nothing(
    scene: Scene, log_lines: LogLines
) -> None:
    """And systemd, which was told that it begins, is told that it is done whatever happens."""
    done: list[str] = []
    source = Source(Path("x" * 5_000))
    reloader = Reloader(
        source, scene.source.load(), scene.apply, when_done=lambda: done.append("done")
    )

    await reloader.reload()

    assert "File name too long" in log_lines.find("config.reload_failed")[0]["problem"]
    scene.path.write_text("{}")
    scene.error = ValueError("a mistake of ours")
    broken = Reloader(scene.source, Settings(), scene.apply, when_done=lambda: done.append("done"))
    with pytest.raises(ValueError, match="a mistake of ours"):
        await broken.reload()
    assert done == ["done", "done"]


async def test_what_cannot_be_opened_changes_nothing(scene: Scene, log_lines: LogLines) -> None:
    """The file for what was said, for one."""
    scene.error = ContentFileError("`logging.content.to`: no")

    await scene.reloader.reload()

    assert log_lines.find("config.reload_failed")[0]["problem"] == "`logging.content.to`: no"
    assert scene.reloader.settings == scene.source.load()
    assert scene.reloader.numbers.generation == 1


async def test_many_signals_are_read_once_more(scene: Scene, log_lines: LogLines) -> None:
    """K06: at 50 Hz; the last change is read whatever was under way."""
    reading = [asyncio.ensure_future(scene.reloader.reload()) for _ in range(50)]
    await asyncio.gather(*reading)

    assert len(scene.applied) == len(log_lines.find("config.reloaded")) == 2


async def test_one_of_several_processes_speaks(scene: Scene, log_lines: LogLines) -> None:
    """The others count."""
    done: list[str] = []
    quiet = Reloader(
        scene.source,
        scene.source.load(),
        scene.apply,
        speaks=False,
        when_done=lambda: done.append("done"),
    )
    await quiet.reload()
    scene.write("x: 1\n")
    await quiet.reload()

    assert log_lines.lines == []
    assert done == ["done", "done"]
    assert (quiet.numbers.generation, quiet.numbers.failures) == (2, 1)


async def test_who_begins_later_goes_on_with_it(scene: Scene) -> None:
    """Of a failure too: the file is no better because a worker has died."""
    await scene.reloader.reload()
    scene.write("x: 1\n")
    await scene.reloader.reload()

    source = scene.reloader.hand_on()

    scene.write("logging: {level: error}\n")
    later = Reloader(source, scene.reloader.settings, scene.apply, speaks=False)
    before = later.numbers
    await later.reload()
    assert (before.generation, before.has_failed) == (2, True)
    assert (later.numbers.generation, later.numbers.has_failed) == (3, False)


def test_what_the_command_line_says_comes_first() -> None:
    """Where it says something."""
    settings = override(Settings(), {"server": {"port": 9, "host": None}})

    assert (settings.server.port, settings.server.host) == (9, "127.0.0.1")
    assert list(find_changes(Settings(), settings)) == ["server.port"]
    assert list(
        find_changes(Settings(), Settings(server=ServerSpec(cors_origins=("http://a",))))
    ) == ["server.cors_origins"]
