"""What a caller reads when no credential can be shown."""

from collections.abc import Callable

import pytest

from gateway.config.registry import Provider
from gateway.core.dialect import Dialect
from gateway.core.errors import InternalError
from gateway.credentials.refusals import explain_refusal, render_wait
from tests.unit.credentials.conftest import Bench, answer

OpenBench = Callable[[int], Bench]

LIMITED = answer(429, retry_after="9.2")
REFUSED = answer(401)
SPENT = answer(402)


def explain(bench: Bench, dialect: Dialect = Dialect.OPENAI, **fields: object) -> InternalError:
    """The error of a pool that has nothing to give."""
    entry = {"name": "groq", "base_url": "https://api.groq.com/openai/v1", **fields}
    return explain_refusal(bench.pool, Provider.model_validate(entry), "m", dialect)


def test_when_all_rest_the_time_is_true(open_bench: OpenBench) -> None:
    """Rounded up: who comes a moment early would be sent away again."""
    bench = open_bench(2)
    bench.fail(0, LIMITED)
    bench.fail(1, REFUSED)

    error = explain(bench)

    assert (error.status, error.code, error.type) == (
        429,
        "credentials_resting",
        "rate_limit_error",
    )
    assert error.headers == {"Retry-After": "10"}
    assert error.public.endswith("its limits are reached; try again in 10 seconds.")
    assert error.detail == "K0 resting, K1 set_aside"


def test_what_is_said_is_about_the_model_that_was_asked_for(open_bench: OpenBench) -> None:
    """It waits for a limit, whatever another one was refused for."""
    bench = open_bench(2)
    for number in (0, 1):
        bench.fail(number, REFUSED, "broken")
        bench.fail(number, LIMITED, "m")

    error = explain(bench)

    assert (error.code, error.headers) == ("credentials_resting", {"Retry-After": "10"})


def test_a_used_up_quota_is_for_whoever_runs_the_gateway(open_bench: OpenBench) -> None:
    """Waiting does not refill it."""
    bench = open_bench(2)
    bench.fail(0, SPENT)
    bench.fail(1, SPENT)

    error = explain(bench)

    assert (error.status, error.code) == (429, "credentials_spent")
    assert error.headers == {"Retry-After": "600"}
    assert "its operator" in error.public


@pytest.mark.parametrize(
    ("dialect", "rule", "said"),
    [
        (Dialect.TEXT, "status", "Groq API Key is incorrect. Please fix it in your profile"),
        (Dialect.TEXT, "never", "Groq does not accept any of the gateway's credentials;"),
        (Dialect.TEXT, "text", "Groq does not accept any of the gateway's credentials;"),
        (Dialect.OPENAI, "status", "Groq does not accept any of the gateway's credentials;"),
    ],
)
def test_that_all_are_refused_is_said_as_the_dialect_says_it(
    open_bench: OpenBench, dialect: Dialect, rule: str, said: str
) -> None:
    """The chat front end's sentence where the registry lets it, the plain one elsewhere."""
    bench = open_bench(2)
    bench.fail(0, REFUSED)
    bench.fail(1, REFUSED)

    error = explain(bench, dialect, incorrect_key=rule)

    assert (error.status, error.code) == (500, "credentials_refused")
    assert error.public.startswith(said)
    assert "Retry-After" not in error.headers
    assert error.detail == "K0 set_aside, K1 set_aside"


def test_a_wait_is_never_nothing() -> None:
    """SDKs take 0 for no answer to the question."""
    assert [render_wait(seconds) for seconds in (0.0, 0.2, 1.0, 1.01)] == ["1", "1", "1", "2"]
