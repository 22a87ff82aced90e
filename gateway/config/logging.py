"""The block `logging` of gateway.yaml: what is logged, where, and how it looks.

Rule: what was said in an exchange is logged for those who are named, and never beside other lines.
"""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, StringConstraints

from gateway.config import forms
from gateway.config.spec import Spec
from gateway.core.events import EVENTS
from gateway.core.events.exchange import CONTENT

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE
STDERR = "stderr"
ALL = "all"
# What elsewhere stands for standard output, or for the other word.
_OTHER_STREAMS = frozenset({"-", "stdout"})

LogFormat = Literal["auto", "json", "console", "logfmt"]
LogLevel = Literal["debug", "info", "warning", "error"]


def _check_event(name: str) -> str:
    names = [event for event in EVENTS if event != CONTENT]  # that has a block of its own
    if name not in names:
        near = get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]}?" if near else "docs/operate/logs.md lists them"
        raise ValueError(f"there is no such event; {hint}")
    return name


def _check_place(to: str) -> str:
    if to.lower() in _OTHER_STREAMS:
        raise ValueError(f"needs to be a file, or {STDERR}; a file of that name is ./{to}")
    if to.lower() == STDERR and to != STDERR:
        raise ValueError(f"write {STDERR}; a file of that name is ./{to}")
    return to


def _check_principal(name: str) -> str:
    if name == ALL:
        raise ValueError(f"means everybody where it stands alone: write `principals: {ALL}`")
    return name


EventName = Annotated[str, AfterValidator(_check_event)]
LoggedPrincipal = Annotated[
    str,
    StringConstraints(pattern=forms.LOGGED_PRINCIPAL),
    AfterValidator(_check_principal),
]


class EventLogSpec(Spec):
    """What is done with the lines of one event."""

    level: LogLevel | None = Field(
        default=None, description="Level of its lines. Unset: the event's own."
    )
    sample: float = Field(
        default=1,
        ge=0,
        le=1,
        description=(
            "Share of its lines that is written: 0.1 is every tenth. The request's id "
            "decides, so that the lines of one request stay together."
        ),
    )
    keep_failed: bool = Field(
        default=True,
        description=(
            "Whether `sample` keeps what failed or was refused: every line of an exchange "
            "that was not `finished`, and every warning or error about a request."
        ),
    )


class ContentLogSpec(Spec):
    """Prompts and answers, for some or all who call."""

    to: Annotated[str, AfterValidator(_check_place)] = Field(
        min_length=1,
        description="A file, relative to this one, or `stderr`. Never standard output.",
    )
    principals: Literal["all"] | tuple[LoggedPrincipal, ...] = Field(
        description=(
            "Whose prompts and answers: a list of principals as named in the log, or `all`."
        )
    )
    max_bytes: PositiveInt = Field(
        default=4 * KIBIBYTE,
        le=MEBIBYTE,
        description="Longest prompt, and longest answer; anything longer is truncated.",
    )


class LoggingSpec(Spec):
    """What is logged, and how it looks."""

    format: LogFormat = Field(
        default="auto",
        description=(
            "JSON lines, coloured text, or `key=value` pairs; `auto` is coloured text on "
            "a terminal and JSON elsewhere."
        ),
    )
    level: LogLevel = Field(default="info", description="The lowest level that is still written.")
    events: dict[EventName, EventLogSpec] = Field(
        default={},
        description="For single events, by name: another level, or only a sample of the lines.",
    )
    buffer_bytes: PositiveInt = Field(
        default=8 * MEBIBYTE,
        ge=64 * KIBIBYTE,
        description=(
            "How much may wait while the lines cannot be written; more is dropped and counted."
        ),
    )
    content: ContentLogSpec | None = Field(
        default=None, description="Prompts and answers. Unset: none is logged."
    )

    def placed_in(self, directory: Path) -> Self:
        """The same with the path of the content's file as seen from this directory."""
        if self.content is None or self.content.to == STDERR:
            return self
        placed = self.content.model_copy(update={"to": str(directory / self.content.to)})
        return self.model_copy(update={"content": placed})
