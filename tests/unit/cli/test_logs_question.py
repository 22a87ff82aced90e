"""What `gateway logs` understands of its words and options."""

from pathlib import Path
from typing import Any

import pytest
import typer

from gateway.cli.logs_question import STDIN, Asked, read_question
from tests.plugins.log_lines import settled


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where an operator stands."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_and_conditions_stand_in_any_order() -> None:
    """Nobody has to remember which comes first."""
    question = read_question(Asked(words=["status=502", "a.log", "provider=groq", "b.log"]))

    assert question.paths == (Path("a.log"), Path("b.log"))
    assert question.choice.takes(settled(status=502))
    assert not question.choice.takes(settled(status=502, provider="openai"))


def test_a_file_that_is_named_goes_before_the_usual_one() -> None:
    """GATEWAY_LOG_FILE is for when nobody says which."""
    usual = [Path("usual.log")]

    assert read_question(Asked(words=["status=502"], files=usual)).paths == (Path("usual.log"),)
    assert read_question(Asked(words=["a.log"], files=usual)).paths == (Path("a.log"),)


def test_without_a_file_it_is_what_is_piped_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """As every other program of this kind."""
    with Path("piped").open("w+") as piped:
        monkeypatch.setattr("sys.stdin", piped)

        assert read_question(Asked()).paths == (STDIN,)
        assert read_question(Asked(words=["-"], rotated=True)).paths == (STDIN,)


def test_rotated_files_are_found_once(directory: Path) -> None:
    """Also where a shell has named them already."""
    for name in ("a.log", "a.log.1"):
        (directory / name).touch()

    question = read_question(Asked(words=["a.log", "a.log.1"], rotated=True))

    assert question.paths == (Path("a.log.1"), Path("a.log"))


@pytest.mark.parametrize(
    ("asked", "option", "said"),
    [
        ({"form": "xml"}, "--format", "console, json, logfmt"),
        ({"by": ["hat"]}, "--by", "'hat' is none of provider"),
        ({"by": [], "follow": True}, "--follow", "nothing to sum up"),
        ({"by": [], "limit": 1}, "--limit", "covers all lines"),
        ({"by": [], "form": "logfmt"}, "--format", "a table or json"),
        ({"slow": "2"}, "--slow", "500ms"),
        ({"since": "yesterday"}, "--since", "2026-11-01"),
        ({"until": "7y"}, "--until", "7d"),
        ({"words": ["providr=groq"]}, "FIELD=VALUE", "Did you mean provider?"),
        ({"words": ["status"]}, "FIELD=VALUE", "'status>=500'"),
    ],
)
def test_a_mistake_is_said(asked: dict[str, Any], option: str, said: str) -> None:
    """With the option that has it."""
    with pytest.raises(typer.BadParameter) as caught:
        read_question(Asked(**({"words": ["a.log"]} | asked)))

    assert caught.value.param_hint == option
    assert said in caught.value.message


def test_a_file_that_looks_like_a_condition_is_told_how_to_be_one(directory: Path) -> None:
    """`./` before it."""
    (directory / "logs=old").touch()

    with pytest.raises(typer.BadParameter, match=r"\./logs=old"):
        read_question(Asked(words=["logs=old"]))
    assert read_question(Asked(words=["./logs=old"])).paths == (Path("logs=old"),)


def test_several_groups_may_be_one_word() -> None:
    """As for `gateway usage`."""
    assert read_question(Asked(words=["a.log"], by=["provider,model", "day"])).by == (
        "provider",
        "model",
        "day",
    )
