"""Tests of the blocks of a provider's entry."""

from decimal import Decimal

import pytest
from pydantic import ValidationError

from gateway.config.provider_blocks import (
    AuthSpec,
    BreakerSpec,
    Model,
    ParamsSpec,
    TimeoutsSpec,
    TlsSpec,
)


def test_the_bearer_prefix_belongs_to_the_authorization_header() -> None:
    """Azure reads a bare key from `api-key`; two lines of YAML are to be enough for it."""
    assert AuthSpec().prefix == "Bearer "
    assert AuthSpec(header="authorization").prefix == "Bearer "
    assert AuthSpec(header="api-key").prefix == ""
    assert AuthSpec(header="X-Key", prefix="Key ").prefix == "Key "


@pytest.mark.parametrize("header", ["", "a b", "a:b", "a\r\nb", "ü"])
def test_a_header_name_is_a_token(header: str) -> None:
    """Anything else would be read as the end of the header (RFC 9110, 5.1)."""
    with pytest.raises(ValidationError):
        AuthSpec(header=header)


@pytest.mark.parametrize("prefix", ["a\nb", "\x00", "ü"])
def test_a_prefix_is_one_line_of_ascii(prefix: str) -> None:
    """It stands in a request's head."""
    with pytest.raises(ValidationError):
        AuthSpec(prefix=prefix)


def test_an_unknown_host_gets_a_temperature_and_no_cap() -> None:
    """A cap that is too large is refused; no cap is understood by every host."""
    assert ParamsSpec().send == ("temperature",)


def test_a_field_of_every_message_can_be_dropped() -> None:
    """Groq answers 400 to `messages[].name`."""
    assert ParamsSpec(drop=("seed", "messages[].name")).drop[1] == "messages[].name"

    with pytest.raises(ValidationError):
        ParamsSpec(drop=("messages[0].name",))


def test_a_whole_number_stays_one() -> None:
    """`"n": 1.0` is refused by hosts that want an integer."""
    cap = ParamsSpec.model_validate({"cap": {"n": 1, "temperature": 1.5}}).cap

    assert repr(cap) == "{'n': 1, 'temperature': 1.5}"


def test_a_price_is_exact() -> None:
    """Money in binary fractions does not add up."""
    model = Model.model_validate_json('{"id": "a", "price_in_usd_per_mtok": 0.59}')

    assert model.price_in_usd_per_mtok == Decimal("0.59")


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "ä", "a" * 257])
def test_a_model_id_is_plain_text(name: str) -> None:
    """It goes into log lines, headers and metrics."""
    with pytest.raises(ValidationError):
        Model(id=name)


def test_the_deadlines_are_those_of_the_design() -> None:
    """Changing one changes what every provider without `timeouts` does."""
    assert TimeoutsSpec().model_dump() == {
        "connect_s": 5,
        "tls_s": 5,
        "request_body_s": 30,
        "first_content_s": 120,
        "reply_s": 600,
        "idle_s": 60,
        "write_stall_s": 30,
        "total_s": 3600,
        "keep_alive_s": 15,
    }


def test_a_wait_for_a_stream_that_is_written_counts_for_whole_replies_too() -> None:
    """Whoever says that a host is slow, or must not be, says it of every answer."""
    assert TimeoutsSpec(first_content_s=5).reply_s == 5
    assert TimeoutsSpec(first_content_s=5, reply_s=60).reply_s == 60


def test_verification_cannot_be_switched_off() -> None:
    """A field for that would be found by whoever meets a certificate error."""
    assert set(TlsSpec.model_fields) == {"ca_file", "server_name"}


def test_a_breaker_s_longest_time_is_not_shorter_than_its_first() -> None:
    """One of the two is a mistake, and which one is not ours to guess."""
    with pytest.raises(ValidationError, match="max_open_s"):
        BreakerSpec.model_validate({"open_s": 90})

    assert BreakerSpec.model_validate({"open_s": 90, "max_open_s": 90}).open_s == 90


@pytest.mark.parametrize("share", [0, 1.01])
def test_a_breaker_opens_at_some_share(share: float) -> None:
    """At none it would always be open; above all it never would, and that is `enabled: false`."""
    with pytest.raises(ValidationError):
        BreakerSpec.model_validate({"failure_share": share})


@pytest.mark.parametrize("header", ["Host", "content-length", "Transfer-Encoding", "User-Agent"])
def test_a_credential_goes_into_a_header_of_its_own(header: str) -> None:
    """In another it would break the request, or become part of the next one."""
    with pytest.raises(ValidationError, match="belongs to the connection"):
        AuthSpec(header=header)


@pytest.mark.parametrize(
    "params",
    [
        {"set": {"stream": False}},
        {"drop": ("stream",)},
        {"rename": {"stream": "streaming"}},
        {"rename": {"streaming": "stream"}},
    ],
)
def test_no_rule_decides_whether_an_answer_is_a_stream(params: dict[str, object]) -> None:
    """The provider would answer in a form that was not asked for: 502, every time."""
    with pytest.raises(ValidationError, match="up to the caller"):
        ParamsSpec.model_validate(params)
