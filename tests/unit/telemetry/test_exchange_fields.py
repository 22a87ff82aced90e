"""The fields of the one line."""

import json
from decimal import Decimal

from pydantic import SecretStr

from gateway.core.cost import make_price
from gateway.core.dialect import Dialect
from gateway.core.exchange import Exchange, Outcome
from gateway.core.identity import Principal
from gateway.core.usage import Usage
from gateway.telemetry.exchange_fields import added_s, describe_exchange


def make_exchange(**fields: object) -> Exchange:
    """A finished stream of two seconds."""
    exchange = Exchange("r1", 100.0, "POST", "/v1/chat/completions", "10.0.0.9", ())
    known: dict[str, object] = {
        "dialect": Dialect.OPENAI,
        "principal": Principal("alice", "gateway_key"),
        "provider": "groq",
        "model": "llama",
        "stream": True,
        "status": 200,
        "outcome": Outcome.FINISHED,
        "attempts": 1,
        "usage": Usage(12, 34, "provider"),
        "upstream_started_at": 100.001,
        "first_content_at": 100.5,
        "first_relayed_at": 100.502,
        "upstream_ended_at": 101.999,
        "ended_at": 102.0,
    }
    for name, value in (known | fields).items():
        setattr(exchange, name, value)
    return exchange


def test_every_field_that_operators_search_by_is_there() -> None:
    """The issue names them; dashboards are built on the names."""
    assert list(describe_exchange(make_exchange())) == [
        "request_id",
        "principal",
        "provider",
        "model",
        "credential_id",
        "dialect",
        "stream",
        "status",
        "outcome",
        "error_code",
        "error_detail",
        "refused_by",
        "would_refuse",
        "bytes_in",
        "bytes_out",
        "chunks",
        "tokens_in",
        "tokens_out",
        "tokens_source",
        "tokens_cached",
        "tokens_reasoning",
        "cost_micros",
        "price_version",
        "first_content_s",
        "upstream_s",
        "added_s",
        "duration_s",
        "client",
        "method",
        "path",
        "attempts",
        "upstream_request_id",
        "trace_id",
    ]


def test_the_cost_is_what_is_booked() -> None:
    """And says which prices it was computed with, when it was."""
    exchange = make_exchange(usage=None, price=make_price(Decimal(1), Decimal(2)))
    exchange.note_usage(Usage(12, 34, "provider", 8, 30, 99))

    described = describe_exchange(exchange)

    assert (described["tokens_cached"], described["tokens_reasoning"]) == (8, 30)
    assert described["cost_micros"] == 99
    assert described["price_version"] == exchange.price.version


def test_times_are_differences_in_seconds() -> None:
    """The loop's clock says nothing to a reader."""
    fields = describe_exchange(make_exchange())

    assert [
        fields[name] for name in ("first_content_s", "upstream_s", "added_s", "duration_s")
    ] == [
        0.5,
        1.998,
        0.003,
        2.0,
    ]


def test_what_did_not_happen_is_null() -> None:
    """Zero would be a measurement."""
    exchange = Exchange("r1", 100.0, "GET", "/", "unix", ())
    exchange.ended_at = 100.1

    fields = describe_exchange(exchange)

    times = ("first_content_s", "upstream_s", "added_s")
    refusal = ("error_code", "error_detail", "refused_by")
    others = ("principal", "provider", "tokens_in", "upstream_request_id", "trace_id")
    names = (*times, *refusal, *others)
    assert [fields[name] for name in names] == [None] * len(names)
    assert json.dumps(fields)


def test_what_was_waited_for_is_not_our_time() -> None:
    """A caller's slow line and a far provider's handshake are nobody's fault here."""
    exchange = make_exchange(started_at=99.0, waited_s=1.0)

    assert added_s(exchange) == 0.003
    assert describe_exchange(exchange)["first_content_s"] == 1.5


def test_failed_attempts_are_not_our_time() -> None:
    """Added time is what the gateway is judged by."""
    assert added_s(make_exchange(attempts=3)) is None


def test_a_stream_that_began_before_its_content_has_no_wait() -> None:
    """The head left when the time to wait was over."""
    assert added_s(make_exchange(first_relayed_at=100.2)) == 0.001


def test_what_plugins_say_comes_last() -> None:
    """Under one name, so that it can hide nothing of ours."""
    exchange = make_exchange(labels={"status": "mine"})

    fields = describe_exchange(exchange)

    assert (fields["status"], fields["labels"]) == (200, {"status": "mine"})


def test_the_credential_of_the_call_is_taken_out_wherever_it_stands() -> None:
    """Of a caller's own the log knows nothing before, and it looks like nothing in particular."""
    secret = "canary.of.alice.0a1b"
    exchange = make_exchange(
        credential_secret=SecretStr(secret),
        model=f"m {secret}",
        error_detail=f"No such user: {secret}.",
        path=f"/api/profile/keys/{secret}",
        upstream_request_id=secret,
        labels={secret: "x", "note": f"<{secret}>", "plain": "y"},
    )

    fields = describe_exchange(exchange)

    assert secret not in json.dumps(fields)
    assert fields["error_detail"] == "No such user: …0a1b."
    assert fields["labels"]["plain"] == "y"
    numbered = make_exchange(credential_secret=SecretStr(secret), labels={"n": 5, "key": secret})
    assert describe_exchange(numbered)["labels"] == {"n": "5", "key": "…0a1b"}
    untouched = make_exchange(credential_secret=SecretStr(secret), labels={"team": "a"})
    assert describe_exchange(untouched) == describe_exchange(make_exchange(labels={"team": "a"}))
