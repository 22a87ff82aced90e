"""What a request asks for."""

import json

import pytest

from gateway.config.registry import Provider
from gateway.core.dialect import Dialect
from gateway.core.errors import InvalidRequestError
from gateway.core.exchange import Exchange
from gateway.core.identity import ANONYMOUS, Principal
from gateway.limits.asked import Asked, count_address, read_asked
from gateway.plugins.keys import Call
from gateway.wire.chat_request import read_chat
from gateway.wire.completions_request import read_completions

MESSAGES = [{"role": "user", "content": "x" * 366}]


ALICE = Principal("alice", "gateway_key", "acme", ("staff",))


def make_exchange(principal: Principal, **fields: object) -> Exchange:
    """An exchange of somebody's."""
    exchange = Exchange("r", 1.0, "POST", "/", "unix", ())
    exchange.principal = principal
    for name, value in fields.items():
        setattr(exchange, name, value)
    return exchange


def read(body: dict[str, object], by: Principal = ALICE, **provider: object) -> Asked:
    """What is read of a request that the chain has read."""
    entry = Provider.model_validate(
        {"name": "groq", "base_url": "https://api.groq.com/openai/v1", **provider}
    )
    raw = json.dumps(body).encode()
    is_chat = "chatSettings" in body
    dialect = Dialect.TEXT if is_chat else Dialect.OPENAI
    return read_asked(
        make_exchange(by, model="m", bytes_in=len(raw), prompt_tokens=92),
        Call(dialect, entry, "m", stream=False, wants_usage=False),
        read_chat(raw) if is_chat else read_completions(raw),
    )


def completion(**fields: object) -> dict[str, object]:
    """The body of a request on `/v1`."""
    return {"model": "groq/m", "messages": MESSAGES, **fields}


def test_who_asks_for_what_is_read_off_the_chain() -> None:
    """A rule looks at nothing else."""
    asked = read(completion(max_tokens=50, n=3))

    assert (asked.principal, asked.tenant, asked.groups) == ("alice", "acme", ("staff",))
    assert (asked.provider, asked.model) == ("groq", "m")
    assert (asked.key, asked.is_anonymous) == ("alice", False)
    assert asked.body_bytes > 366
    assert asked.prompt_tokens == 92
    assert (asked.output_tokens, asked.asked_output_tokens, asked.choices) == (50, 50, 3)


def test_a_model_is_called_as_it_is_noted() -> None:
    """A counter in Redis bears its name, and some write their key there."""
    entry = Provider.model_validate({"name": "groq", "base_url": "https://a.example.org/v1"})
    call = Call(Dialect.OPENAI, entry, "sk-canary-0123456789", stream=False, wants_usage=False)
    noted = make_exchange(ALICE, model="sk-…6789")

    asked = read_asked(noted, call, read_completions(json.dumps(completion()).encode()))

    assert asked.model == "sk-…6789"


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({}, None),
        ({"max_tokens": None}, None),
        ({"max_tokens": 7, "max_completion_tokens": 9}, 9),
        ({"max_completion_tokens": 9}, 9),
        ({"max_tokens": 0}, None),
        ({"max_tokens": 0, "max_completion_tokens": 9}, 9),
    ],
)
def test_the_longest_answer_is_what_the_caller_allows(
    fields: dict[str, object], output: int | None
) -> None:
    """The larger of two, whichever the provider listens to; to some of them 0 is no limit."""
    assert read(completion(**fields)).output_tokens == output


def test_what_the_registry_caps_is_not_set_aside() -> None:
    """The provider is asked for no more."""
    asked = read(completion(max_tokens=9_000), params={"cap": {"max_tokens": 100}})

    assert (asked.output_tokens, asked.asked_output_tokens) == (100, 9_000)


def test_as_many_answers_as_are_asked_for_and_one_where_nobody_says() -> None:
    """Null is what SDKs write for what is not given."""
    for fields, choices in (({}, 1), ({"n": None}, 1), ({"n": 1}, 1), ({"n": 3}, 3)):
        assert read(completion(**fields)).choices == choices, fields


@pytest.mark.parametrize("value", ["4096", 1.5, 1e9, True, -1, [1]])
def test_a_length_that_a_provider_may_read_in_its_own_way_is_refused(value: object) -> None:
    """A caller could otherwise ask for more than a rule allows."""
    with pytest.raises(InvalidRequestError, match="max_tokens"):
        read(completion(max_tokens=value))


def test_on_the_chat_path_the_registry_says_how_long_an_answer_gets() -> None:
    """The contract has no field for it."""
    chat: dict[str, object] = {"chatSettings": {"model": "m"}, "messages": MESSAGES}

    asked = read(chat, max_output=400, params={"send": ["max_tokens"]})
    unsent = read(chat, max_output=400, params={"send": ["temperature"]})

    assert (asked.output_tokens, asked.asked_output_tokens) == (400, None)
    assert unsent.output_tokens is None
    assert asked.prompt_tokens == 92


def test_who_shows_no_key_of_the_gateway_has_none() -> None:
    """A rule about keys is not about tokens of others, whose names may be the same."""
    assert read(completion(), by=Principal("alice", "jwt")).key == ""
    assert read(completion(), by=ANONYMOUS).is_anonymous


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1%eth0", "2001:db8:1:2::/64"),
        ("unix", "unix"),
    ],
)
def test_a_house_is_one_address(address: str, counted: str) -> None:
    """Whoever has one address of IPv6 has 2^64 of them."""
    assert count_address(address) == counted
