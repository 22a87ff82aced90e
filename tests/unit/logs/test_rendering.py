"""Lines as they are shown."""

import json
from typing import Any

import pytest

from gateway.logs.rendering import Render, make_console, render_json, render_logfmt
from tests.plugins.log_lines import line_of, other, settled

# A terminal's title, colours, a line of one's own, the direction of writing, C1, beyond 16 bits.
HOSTILE = "\x1b]0;owned\x07\x1b[31m\r\n\u202e\x9b31m\u2028\U000e0041 é"
EVERY = [render_json, render_logfmt, make_console(colours=False), make_console(colours=True)]


def shown(render: Render, fields: dict[str, Any]) -> str:
    """Give what is shown of a line."""
    return render(line_of(fields), fields)


@pytest.mark.parametrize("render", EVERY, ids=["json", "logfmt", "console", "colours"])
@pytest.mark.parametrize(
    "fields",
    [
        settled(model=HOSTILE, principal=HOSTILE, outcome=HOSTILE, labels={HOSTILE: HOSTILE}),
        settled(status=HOSTILE),
        other(HOSTILE, reason=HOSTILE),
        other("x", timestamp=HOSTILE, level=HOSTILE),
        other("x") | {HOSTILE: [HOSTILE]},
        other("request.crashed", exception=f"Traceback\n  {HOSTILE}"),
    ],
    ids=["exchange", "status", "event", "head", "field", "exception"],
)
def test_nothing_in_a_line_commands_the_terminal(render: Render, fields: dict[str, Any]) -> None:
    """L02: a model's name is what a caller wrote."""
    text = shown(render, fields)

    for colour in ("\x1b[0m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"):
        text = text.replace(colour, "") if render is EVERY[3] else text
    lines = text.split("\n")
    assert all(line.isprintable() for line in lines)
    # Only a traceback has lines, and none of those can pass for a line of the log.
    assert all(line.startswith("    ") for line in lines[1:])


def test_our_own_colours_are_not_left_on() -> None:
    """The line after a red one is not red."""
    text = shown(make_console(colours=True), settled(outcome="upstream_failed"))

    assert "\x1b[31m200 upstream_failed\x1b[0m" in text
    assert "\x1b" not in shown(make_console(colours=False), settled(outcome="upstream_failed"))


def test_json_is_as_it_was_written() -> None:
    """Numbers keep their digits, fields their order."""
    line = b'{"timestamp":"t","event":"e","x":0.10,"a":1e3,"name":"\xc3\xa9"}'

    assert render_json(b"host gateway[1]: " + line, json.loads(line)) == line.decode()


@pytest.mark.parametrize("text", [HOSTILE, "\x7f", "a\tb"])
def test_json_stays_json_of_the_same_content(text: str) -> None:
    """What is written out is read back."""
    fields = settled(model=text)

    assert json.loads(shown(render_json, fields)) == fields


def test_space_between_tokens_is_no_content() -> None:
    """Another program may have written the line anew."""
    fields = settled()

    assert json.loads(render_json(json.dumps(fields, indent="\t").encode(), fields)) == fields


def test_pairs_become_json() -> None:
    """`gateway logs --format json` is JSON, whatever the file is."""
    fields = settled(model="a b")

    assert json.loads(render_json(render_logfmt(b"", fields).encode(), fields)) == fields


def test_logfmt_leaves_out_what_says_nothing() -> None:
    """And quotes what would be read as something else."""
    fields = other("x", a=None, b="two words", c='a "quote"', d="k=v", e="", f=1.5, g=True)

    assert shown(render_logfmt, fields) == (
        'timestamp=2026-11-28T12:00:00.000Z level=info event=x b="two words" '
        'c="a \\"quote\\"" d="k=v" e="" f=1.5 g=true'
    )


def test_people_see_of_an_exchange_what_matters() -> None:
    """One line on a screen, the ending first."""
    text = shown(make_console(colours=False), settled(status=502, outcome="upstream_failed"))

    assert text.startswith(
        "2026-11-28T12:00:00.000Z info    502 upstream_failed provider=groq model=llama"
    )
    assert "bytes_in" not in text


def test_people_see_everything_of_another_line() -> None:
    """With its traceback below it."""
    text = shown(
        make_console(colours=False),
        other("task.crashed", level="error", task="flush", exception="Traceback\n  File"),
    )

    assert text == (
        "2026-11-28T12:00:00.000Z error   task.crashed task=flush\n    Traceback\n      File"
    )
