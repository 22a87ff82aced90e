"""Conditions, as they are typed."""

import pytest

from gateway.logs.conditions import ConditionError, looks_like_condition, parse_condition
from tests.plugins.log_lines import other, settled

FAILED = settled(
    status=502,
    outcome="upstream_failed",
    error_code="upstream_reset",
    duration_s=2.5,
    first_content_s=None,
    model="meta-llama/llama-3.3",
    labels={"team": "search"},
    would_refuse="minute",
    error_detail='it said "no"',
)


@pytest.mark.parametrize(
    "word",
    [
        "provider=groq",
        "provider==groq",
        "outcome!=finished",
        "status>=500",
        "status>501",
        "status<503",
        "status<=502.0",
        "status=502",
        "status~^5",
        "duration_s>2",
        "duration_s>2s",
        "duration_s>2499ms",
        "duration_s=2.5",
        "model~llama",
        "model!~gpt",
        "stream=true",
        "stream!=false",
        "event=exchange.settled",
        "level>=info",
        "level<warning",
        "timestamp>=2026-11-28T11",
        "timestamp>=2026-11",
        "timestamp>=2026",
        "timestamp<2026-11-28T14:00:00.001+02:00",
        "timestamp>=2026-11-28T14:00:00+02:00",
        "timestamp<=2026-11-28T12:00:00.000Z",
        'provider="groq"',
        'outcome!="finished"',
        'error_detail="it said \\"no\\""',
        "labels.team=search",
        "labels~search",
        "refused_by=null",
        "refused_by=",
        "refused_by!=minute",
        "error_code!=null",
        "would_refuse=minute",
        "first_content_s!~.",  # null matches nothing
    ],
)
def test_a_line_is_meant(word: str) -> None:
    """Each operator, on each kind of field."""
    assert parse_condition(word).holds(FAILED)


@pytest.mark.parametrize(
    "word",
    [
        "provider=Groq",
        "outcome=finished",
        "status<500",
        "status!=502",
        "duration_s>3s",
        "first_content_s>0",  # null is no number
        "model~gpt",
        "stream=false",
        "level>=warning",
        "timestamp>2026-11-28T14:00+02:00",
        'provider!="groq"',
        "labels.team!=search",
        "labels.tier=gold",
        "labels.tier!=gold",  # it has no such label
        "error_code=null",
        "refused_by~.",
    ],
)
def test_a_line_is_not_meant(word: str) -> None:
    """The other way round."""
    assert not parse_condition(word).holds(FAILED)


def test_a_line_without_the_field_is_never_meant() -> None:
    """`outcome!=finished` asks for exchanges, not for the start of the gateway."""
    started = other("gateway.started")

    assert not parse_condition("outcome!=finished").holds(started)
    assert not parse_condition("error_code=null").holds(started)
    assert not parse_condition("labels.team!=x").holds(settled())


def test_one_of_several_values_is_enough() -> None:
    """`rules` is a list."""
    recalled = other("limits.recalled", rules=["day", "month"])

    assert parse_condition("rules=day").holds(recalled)
    assert parse_condition("rules~^mon").holds(recalled)
    assert not parse_condition("rules!=day").holds(recalled)


def test_a_number_may_be_large_and_exact() -> None:
    """Counters go past what a float holds."""
    many = settled(cost_micros=2**53 + 1)

    assert parse_condition(f"cost_micros={2**53 + 1}").holds(many)
    assert not parse_condition(f"cost_micros={2**53}").holds(many)


@pytest.mark.parametrize("value", [None, "fast", True, [1], {"a": 1}])
def test_a_value_of_another_kind_is_no_error(value: object) -> None:
    """Somebody else may have written the line."""
    assert not parse_condition("duration_s>1").holds(settled(duration_s=value))
    assert not parse_condition("duration_s=7").holds(settled(duration_s=value))
    parse_condition("duration_s~7").holds(settled(duration_s=value))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("providr=groq", "Did you mean provider?"),
        ("provider>groq", "provider is text"),
        ("status>=many", "status is a number, such as 500"),
        ("status>=nan", "status is a number"),
        ("duration_s>fast", "2, 2s or 500ms"),
        ("model~(", "no regular expression"),
        ("stream=yes", "true or false"),
        ("level>=loud", "levels are debug, info"),
        ("level=warn", "levels are debug, info"),
        ("level!=warn", "levels are debug, info"),
        ("timestamp>=noon", "a date such as 2026-11-01"),
        ("timestamp>=2026-13-45", "a date such as 2026-11-01"),
        ("timestamp<2026-02-30", "a date such as 2026-11-01"),
        ("timestamp<=2026-13", "a date such as 2026-11-01"),
        ("timestamp>2026-11-28T24", "a date such as 2026-11-01"),
        ("timestamp>2026-11-28T24:00", "a date such as 2026-11-01"),
        ("provider", "write FIELD=VALUE"),
    ],
)
def test_a_mistake_is_said_with_its_word(word: str, said: str) -> None:
    """One of several conditions is wrong: which, and how it is written."""
    with pytest.raises(ConditionError) as caught:
        parse_condition(word)

    assert repr(word) in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize("word", ["gateway.log", "-", "/var/log/a=b.log", "./a=b", "", "=x"])
def test_a_path_is_no_condition(word: str) -> None:
    """Files and conditions stand side by side on the command line."""
    assert not looks_like_condition(word)
