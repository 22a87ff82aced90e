"""Reloading gateway.yaml while the gateway runs.

The rule here: only the `logging` block takes effect, completely or not at all. Other changes are
named in the log and wait for the next start. A mistake in the file changes nothing.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog
from pydantic import BaseModel

from gateway.config.load import SETTINGS_FILE, load_settings
from gateway.config.problems import ConfigError, Problem
from gateway.config.settings import Settings
from gateway.config.spec import Spec
from gateway.config.text import is_there
from gateway.core.config_numbers import ConfigNumbers
from gateway.core.tasks import Tasks
from gateway.telemetry.content_log import ContentFileError

Overrides = Mapping[str, Mapping[str, object]]
SpecT = TypeVar("SpecT", bound=Spec)

STANDARD_INPUT = 0
RELOADED = "logging"
NAMED = ("server", "admin", RELOADED)  # blocks that the command line can override

_log = structlog.get_logger()


class WatchedFile(msgspec.Struct, frozen=True):
    """A file that is read only at the start, and a digest of its contents then."""

    path: Path
    digest: bytes | None  # None: it could not be read again, as a pipe cannot

    def has_changed(self) -> bool:
        """Whether it has changed or disappeared since."""
        return self.digest is not None and _digest_of(self.path) != self.digest


class Source(msgspec.Struct, frozen=True):
    """Where the settings of a process come from."""

    path: Path | None = None  # None: ./gateway.yaml, if there is one
    overrides: Overrides = {}
    generation: int = 1  # how often the file had been read successfully when the process began
    has_failed: bool = False  # whether the last reading before that failed
    registry: WatchedFile | None = None

    def load(self) -> Settings:
        """The settings as they are in the file now, with the command line's overrides.

        ConfigError; the current settings then stay in force.
        """
        path = self.path or SETTINGS_FILE
        if path.exists() and not path.is_file():  # reading a pipe would block
            raise ConfigError(
                [Problem(str(path), 1, 1, "", "is not a file that can be read again")]
            )
        return override(load_settings(self.path), self.overrides)

    def find_unread(self) -> list[str]:
        """The other files that have changed, which are read only at the next start."""
        if self.registry is None or not self.registry.has_changed():
            return []
        return [str(self.registry.path)]


def find_source(path: Path | None, overrides: Overrides, registry: Path | None = None) -> Source:
    """Where the settings come from; a file that exists at the start must still exist at a reload.

    `registry` is the file that the providers were read from.
    """
    if path is None and is_there(SETTINGS_FILE):
        path = SETTINGS_FILE
    watched = None if registry is None else WatchedFile(registry, _digest_of(registry))
    return Source(path, overrides, registry=watched)


def override(settings: Settings, overrides: Overrides) -> Settings:
    """The settings with the command line's overrides."""
    given = {name: _replace(getattr(settings, name), overrides.get(name, {})) for name in NAMED}
    asked = overrides.get("server", {})
    if asked.get("host") is not None or asked.get("port") is not None:
        # An address on the command line wins over a socket in the file.
        given["server"] = given["server"].model_copy(update={"unix_socket": None})
    return settings.model_copy(update=given)


class Reloader:
    """Reloads the file when told to, never twice at the same time.

    `apply` puts settings into force; if it raises ContentFileError, nothing has changed. Only one
    of several processes logs the result (`speaks`). `when_begun` and `when_done` are always called.
    """

    def __init__(
        self,
        source: Source,
        settings: Settings,
        apply: Callable[[Settings], None],
        *,
        speaks: bool = True,
        when_begun: Callable[[], None] = lambda: None,
        when_done: Callable[[], None] = lambda: None,
    ) -> None:
        self._source = source
        self._settings = settings
        self._apply = apply
        self._speaks = speaks
        self._when_begun = when_begun
        self._when_done = when_done
        self._failures = 0
        self._failed = source.has_failed
        self._is_waiting = False
        self._generation = source.generation
        self._busy = asyncio.Lock()

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._settings

    @property
    def numbers(self) -> ConfigNumbers:
        """How often the file was read, for the metrics."""
        return ConfigNumbers(self._generation, self._failures, has_failed=self._failed)

    def hand_on(self) -> Source:
        """The source for a new process, with the counts so far."""
        return msgspec.structs.replace(
            self._source, generation=self._generation, has_failed=self._failed
        )

    def hear(self, tasks: Tasks, stop: Callable[[], object]) -> None:
        """Reload at each SIGHUP; if that means that the terminal has closed, stop instead."""
        has_terminal = os.isatty(STANDARD_INPUT)

        def take_signal() -> None:
            if has_terminal and not os.isatty(STANDARD_INPUT):
                stop()
            else:
                tasks.spawn("reload", self.reload())

        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, take_signal)
        # Blocked since the start, so that none is lost or ends the process before it is handled.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])

    async def reload(self) -> None:
        """Read the file and put its `logging` block into force."""
        if self._is_waiting:  # the waiting reload will read the newest file
            return
        self._is_waiting = True
        async with self._busy:
            self._is_waiting = False
            self._when_begun()
            try:
                found = await asyncio.to_thread(self._source.load)
                unread = await asyncio.to_thread(self._source.find_unread)
                self._put_in_force(found, unread)
            except ConfigError as error:
                self._note_failure(str(error.problems[0]), len(error.problems))
            except (ContentFileError, OSError) as error:
                self._note_failure(str(error), 1)
            except BaseException:  # a bug of ours, reported by the task's owner
                self._note_failed()
                raise
            finally:  # systemd waits to be told
                self._when_done()

    def _put_in_force(self, found: Settings, unread: Sequence[str]) -> None:
        changed = list(find_changes(self._settings.logging, found.logging, f"{RELOADED}."))
        self._apply(found)
        self._settings = self._settings.model_copy(update={RELOADED: found.logging})
        self._generation += 1
        self._failed = False
        if self._speaks:
            _log.info("config.reloaded", generation=self._generation, settings=changed)
            waiting = [*find_changes(self._settings, found), *unread]
            if waiting:
                _log.warning("config.needs_restart", settings=waiting)

    def _note_failed(self) -> None:
        self._failures += 1
        self._failed = True

    def _note_failure(self, problem: str, count: int) -> None:
        self._note_failed()
        if self._speaks:
            _log.error("config.reload_failed", problem=problem, count=count)


def find_changes(before: BaseModel, after: BaseModel, prefix: str = "") -> Iterator[str]:
    """The settings that differ, such as `server.port`; for blocks in lists the list's name."""
    for name in type(before).model_fields:
        old, new = getattr(before, name), getattr(after, name)
        if old == new:
            continue
        if isinstance(old, BaseModel) and type(old) is type(new):
            yield from find_changes(old, new, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _digest_of(path: Path) -> bytes | None:
    try:
        return sha256(path.read_bytes()).digest() if path.is_file() else None
    except OSError:
        return None


def _replace(spec: SpecT, given: Mapping[str, object]) -> SpecT:
    return spec.model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )
