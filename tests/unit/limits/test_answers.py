"""What callers are told."""

import msgspec
import pytest

from gateway.config.limit_rules import LimitSpec
from gateway.limits.answers import (
    refuse_blindly,
    refuse_for_ever,
    refuse_for_now,
    refuse_the_rest,
    refuse_unpriced,
    render_headers,
    say_duration,
)
from gateway.limits.rules import Rule, Use
from gateway.stores.counters import Standing
from tests.plugins.counters import MIDNIGHT
from tests.plugins.purse import ASKED


def uses_of(**fields: object) -> list[Use]:
    """What the usual request takes of a rule."""
    spec = LimitSpec.model_validate({"name": "few", "on": "principal", **fields})
    rule = Rule(spec, 0)
    return rule.uses(rule.find_counters(ASKED), ASKED, 50, MIDNIGHT + 3_600)


@pytest.mark.parametrize(
    ("cap", "wait_s", "code", "sentence", "retry_after"),
    [
        (
            {"requests_per_minute": 60},
            0.2,
            "request_rate_exceeded",
            "The rule few allows 60 requests a minute for each principal; try again in 1 second.",
            "1",
        ),
        (
            {"tokens_per_minute": 600, "on": "everything"},
            61.0,
            "token_rate_exceeded",
            (
                "The rule few allows 600 tokens a minute for all callers together, and this "
                "request needs about 150; try again in 61 seconds."
            ),
            "61",
        ),
        (
            {"concurrent": 3, "on": ["tenant", "model"]},
            1.0,
            "concurrency_exceeded",
            (
                "The rule few allows 3 requests at a time for each tenant and model; "
                "try again when one of them has ended."
            ),
            "1",
        ),
        (
            {"tokens_per_day": 900, "time_zone": "Europe/Paris"},
            75_600.0,
            "token_quota_exceeded",
            (
                "The rule few allows 900 tokens a day for each principal, 7 are left, and this "
                "request needs about 150; the next day begins at 2026-06-02 00:00 (Europe/Paris)."
            ),
            "75600",
        ),
        (
            {"tokens_per_month": 900},
            1.0,
            "token_quota_exceeded",
            (
                "The rule few allows 900 tokens a month for each principal, 7 are left, and this "
                "request needs about 150; try again in 1 second."
            ),
            "1",
        ),
    ],
)
def test_a_refusal_says_which_rule_and_when_to_come_back(
    cap: dict[str, object], wait_s: float, code: str, sentence: str, retry_after: str
) -> None:
    """I16: the wait is rounded up and never 0."""
    use = uses_of(**cap)[0]

    refusal = refuse_for_now(use, Standing(7, 9.0, wait_s), MIDNIGHT + 3_600)

    assert (refusal.status, refusal.code, refusal.public) == (429, code, sentence)
    assert refusal.headers["Retry-After"] == retry_after
    assert refusal.headers.get("x-should-retry") == ("false" if wait_s > 3_600 else None)


def test_an_answer_that_was_stopped_says_when_there_is_more() -> None:
    """As whole seconds, never 0; nobody should send the same again by themselves."""
    for cap, wait_s, again, retry_after in (
        ({"tokens_per_minute": 60}, 0.2, "the next tokens are there in 1 second.", "1"),
        ({"tokens_per_minute": 60}, 61.0, "the next tokens are there in 61 seconds.", "61"),
        ({"tokens_per_minute": 60}, 60.5, "the next tokens are there in 61 seconds.", "61"),
        ({"tokens_per_day": 60}, 82_800.0, "the next day begins at 2026-06-02 00:00", "82800"),
    ):
        use = uses_of(**cap)[0]

        refusal = refuse_the_rest(use, Standing(0, 9.0, wait_s), MIDNIGHT + 3_600)

        assert again in refusal.public, cap
        assert refusal.headers == {"Retry-After": retry_after, "x-should-retry": "false"}, cap


def test_one_is_said_as_one() -> None:
    """A sentence that people read."""
    for cap, said in (
        ({"requests_per_minute": 1}, "allows 1 request a minute for each"),
        ({"concurrent": 1}, "allows 1 request at a time for each"),
    ):
        refusal = refuse_for_now(uses_of(**cap)[0], Standing(0, 9.0, 1.0), MIDNIGHT)

        assert said in refusal.public


@pytest.mark.parametrize(
    ("wait_s", "again", "headers"),
    [
        (
            75_600.0,
            "the next day begins at 2026-06-02 00:00 (Europe/Paris)",
            {"Retry-After": "75600", "x-should-retry": "false"},
        ),
        (
            1.0,
            (
                "try again when an answer under way has ended, or when the next day begins at "
                "2026-06-02 00:00 (Europe/Paris)"
            ),
            {"Retry-After": "1"},
        ),
    ],
)
def test_a_spent_budget_is_402_and_says_when_it_resets(
    wait_s: float, again: str, headers: dict[str, str]
) -> None:
    """No SDK is to try that again, unless what is missing is only set aside for others."""
    use = uses_of(money_per_day="2.50", time_zone="Europe/Paris")[0]

    refusal = refuse_for_now(use, Standing(7, 9.0, wait_s), MIDNIGHT + 3_600)

    assert (refusal.status, refusal.code) == (402, "budget_exceeded")
    assert refusal.public == (
        "The rule few allows 2.50 USD a day for each principal, 0.000007 USD are left, and this "
        f"request may cost 0.00105 USD; {again}."
    )
    assert dict(refusal.headers) == headers


def test_what_costs_more_than_a_budget_never_fits() -> None:
    """I15: in money."""
    refusal = refuse_for_ever(uses_of(money_per_day="0.001")[0], ASKED)

    assert (refusal.status, refusal.code) == (400, "request_never_fits")
    assert refusal.public == (
        "This request may cost up to 0.00105 USD, and the rule few allows 0.001 USD a day; "
        "shorten the prompt or lower `max_tokens`."
    )


def test_what_has_no_price_is_told_how_to_get_one() -> None:
    """I11: to the caller, who can ask for another model, and to whoever runs the gateway."""
    rule = Rule(LimitSpec(name="few", on="principal", money_per_day=1), 0)

    refusal = refuse_unpriced(rule, ASKED)

    assert (refusal.status, refusal.code, refusal.param) == (403, "model_unpriced", "model")
    assert "llama of groq has no price" in refusal.public


def test_money_is_never_told_as_if_it_were_tokens() -> None:
    """A client that reads OpenAI's headers would plan with a million tokens for a dollar."""
    uses = uses_of(money_per_day=1, money_per_month=2)

    headers = render_headers(uses, [Standing(5, 9.0, 0.0), Standing(6, 9.0, 0.0)])

    assert headers == {
        "RateLimit-Policy": '"few-money-day";q=1000000;w=86400;qu="usd-micros", '
        '"few-money-month";q=2000000;w=2592000;qu="usd-micros"',
        "RateLimit": '"few-money-day";r=5;t=9, "few-money-month";r=6;t=9',
    }


def test_what_never_fits_is_not_a_matter_of_waiting() -> None:
    """I15: no Retry-After, and what to make smaller."""
    refusal = refuse_for_ever(uses_of(tokens_per_minute=120)[0], ASKED)

    assert (refusal.status, refusal.code) == (400, "request_never_fits")
    assert refusal.public == (
        "This request needs about 150 tokens (100 for its prompt, 50 for its answer), and the rule "
        "few allows at most 120 at once; shorten the prompt or lower `max_tokens`."
    )
    assert "Retry-After" not in refusal.headers


def test_an_outage_is_not_the_callers_fault() -> None:
    """5.2: 503 and not 429, and the log says which rule it was."""
    rule = Rule(LimitSpec(name="few", on="principal", concurrent=1), 0)

    refusal = refuse_blindly(rule)

    assert (refusal.status, refusal.code) == (503, "limits_unavailable")
    assert 5 <= int(refusal.headers["Retry-After"]) <= 9
    assert refusal.detail == "rule=few: the counters do not answer"


def test_the_headers_say_how_every_number_stands() -> None:
    """OpenAI's names for their clients, the draft's for others."""
    uses = uses_of(
        requests_per_minute=60,
        request_burst=10,
        tokens_per_minute=6_000,
        concurrent=5,
        tokens_per_day=9_000,
    )
    standings = [
        Standing(9, 0.98, 0.0),
        Standing(5_850, 361.2, 0.0),
        Standing(4, 1.0, 0.0),
        Standing(8_850, 82_800.0, 0.0),
    ]

    assert render_headers(uses, standings) == {
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "9",
        "x-ratelimit-reset-requests": "980ms",
        "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "5850",
        "x-ratelimit-reset-tokens": "6m2s",
        "RateLimit-Policy": '"few-requests";q=10;w=10;qu="requests", '
        '"few-tokens";q=6000;w=60;qu="tokens", "few-concurrent";q=5;qu="concurrent-requests", '
        '"few-day";q=9000;w=86400;qu="tokens"',
        "RateLimit": '"few-requests";r=9;t=1, "few-tokens";r=5850;t=362, '
        '"few-concurrent";r=4;t=1, "few-day";r=8850;t=82800',
    }


def test_what_refuses_says_when_there_is_more() -> None:
    """I16: in the words of the draft, `Retry-After` is not earlier than the end of that window."""
    uses = uses_of(requests_per_minute=6, tokens_per_day=9_000)
    standings = [Standing(0, 60.0, 9.2), Standing(8_850, 82_800.0, 0.0)]

    told = render_headers(uses, standings)["RateLimit"]

    assert told == '"few-requests";r=0;t=10, "few-day";r=8850;t=82800'
    refusal = refuse_for_now(uses[0], standings[0], MIDNIGHT)
    assert refusal.headers["Retry-After"] == "10"


def test_of_two_rules_the_tighter_one_is_told() -> None:
    """A caller plans by it."""
    uses = [*uses_of(requests_per_minute=60), *uses_of(requests_per_minute=6)]

    headers = render_headers(uses, [Standing(50, 10.0, 0.0), Standing(2, 40.0, 0.0)])

    assert headers["x-ratelimit-remaining-requests"] == "2"
    assert headers["x-ratelimit-limit-requests"] == "6"


def test_a_caller_in_many_groups_is_told_each_number_once() -> None:
    """Of the group with the least left: two hundred would be more than proxies take of a head."""
    groups = tuple(f"g{number}" for number in range(200))
    asked = msgspec.structs.replace(ASKED, groups=groups)
    spec = LimitSpec.model_validate({"name": "team", "on": "group", "requests_per_minute": 60})
    rule = Rule(spec, 0)
    uses = rule.uses(rule.find_counters(asked), asked, None, MIDNIGHT)
    standings = [Standing(50, 10.0, 0.0)] * len(uses)
    policy = '"team-requests";q=60;w=60;qu="requests"'

    standings[120] = Standing(7, 53.0, 0.0)
    least_left = render_headers(uses, standings)
    standings[130] = Standing(0, 60.0, 1.0)
    refused = render_headers(uses, standings)

    assert (least_left["RateLimit-Policy"], least_left["RateLimit"]) == (
        policy,
        '"team-requests";r=7;t=53',
    )
    assert least_left["x-ratelimit-remaining-requests"] == "7"
    assert (refused["RateLimit-Policy"], refused["RateLimit"]) == (
        policy,
        '"team-requests";r=0;t=1',
    )


def test_rules_that_are_tried_out_are_not_mentioned() -> None:
    """A caller would slow down for nothing."""
    assert render_headers(uses_of(concurrent=1, dry_run=True), [Standing(0, 1.0, 1.0)]) == {}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-2.0, "0ms"),
        (0, "0ms"),
        (0.0121, "13ms"),
        (0.9999, "1000ms"),
        (1, "1s"),
        (59.2, "1m0s"),
        (360, "6m0s"),
        (7_325, "2h2m5s"),
    ],
)
def test_times_are_written_as_openai_does(seconds: float, said: str) -> None:
    """Clients have a parser for it."""
    assert say_duration(seconds) == said
