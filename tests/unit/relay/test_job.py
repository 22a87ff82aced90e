"""What an exchange needs to be relayed, gathered for each dialect."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from pydantic import SecretStr

from gateway.config.registry import Provider
from gateway.config.settings import Settings
from gateway.core.credential import Credential
from gateway.core.dialect import Dialect
from gateway.core.exchange import Exchange
from gateway.core.held_bodies import HeldBodies, HeldBody
from gateway.core.trace import Trace
from gateway.core.upstream_errors import UpstreamCutError
from gateway.limits.limiter import GRANT, Grant
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import CALL, CREDENTIAL, HELD_BODY, PROMPT, Call
from gateway.relay.attempt import Attempt
from gateway.relay.job import STREAM_HEADERS, Job, make_job
from gateway.relay.pumps import OpenAIPump, TextPump
from gateway.relay.watched_attempt import WatchedAttempt
from gateway.upstream.connection import Connection
from gateway.upstream.upstreams import Upstreams
from gateway.wire.chat_request import read_chat
from gateway.wire.completions_request import read_completions
from tests.plugins.purse import Purse, make_allowance

MESSAGES = [{"role": "user", "content": "Hi"}]
TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


class Desk:
    """Makes jobs for one provider."""

    def __init__(self) -> None:
        self.held = HeldBodies(2**20)
        self._opened: list[Upstreams] = []

    def make(
        self,
        dialect: Dialect,
        body: dict[str, Any],
        output_cap: int | None = None,
        **fields: object,
    ) -> Job:
        """The job of a request with this body."""
        usual = {"name": "groq", "base_url": "https://api.groq.com/openai/v1"}
        provider = Provider.model_validate({**usual, **fields})
        self._opened.append(Upstreams({"groq": provider}, simulator_url=None))
        request = make_mocked_request(
            "POST",
            "/",
            headers={"Cookie": "a=b", "Authorization": "Bearer k", "traceparent": TRACE},
        )
        self._fill_in(request, dialect, provider, json.dumps(body).encode())
        request[GRANT] = Grant({}, output_cap)
        return make_job(request, self._opened[-1]["groq"], Settings())

    def _fill_in(
        self, request: web.Request, dialect: Dialect, provider: Provider, body: bytes
    ) -> None:
        request[EXCHANGE] = Exchange("req-1", 100.0, "POST", "/", "127.0.0.1", ())
        request[CREDENTIAL] = Credential("GROQ_API_KEY", SecretStr("gsk-1"))
        request[HELD_BODY] = HeldBody(self.held)
        request[HELD_BODY].keep(len(body))
        if dialect is Dialect.TEXT:
            chat = request[PROMPT] = read_chat(body)
            request[CALL] = Call(dialect, provider, chat.model, stream=True, wants_usage=False)
        else:
            read = request[PROMPT] = read_completions(body)
            request[CALL] = Call(dialect, provider, read.model, read.stream, read.wants_usage)

    def close(self) -> None:
        """Close every upstream."""
        for upstreams in self._opened:
            upstreams.close()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A desk, closed at the end."""
    opened = Desk()
    yield opened
    opened.close()


def openai(**fields: object) -> dict[str, Any]:
    """A body in the OpenAI dialect."""
    return {"model": "groq/m", "messages": MESSAGES, **fields}


CHAT = {"chatSettings": {"model": "m", "temperature": 0.5}, "messages": MESSAGES}


async def test_the_callers_headers_stay_behind(desk: Desk) -> None:
    """Their key and their cookies are for us; only a trace crosses."""
    request = desk.make(Dialect.OPENAI, openai()).request

    head = request.partition(b"\r\n\r\n")[0].lower()
    assert b"cookie" not in head
    assert b"authorization: bearer gsk-1\r\n" in head
    assert head.count(b"authorization") == 1
    assert f"traceparent: {TRACE}".encode() in head


async def test_the_credential_is_what_must_not_be_quoted(desk: Desk) -> None:
    """Providers echo it in their errors."""
    assert desk.make(Dialect.OPENAI, openai()).secrets == ("gsk-1",)


async def test_the_model_goes_upstream_without_the_provider(desk: Desk) -> None:
    """The rest of the body is the caller's own."""
    body = desk.make(Dialect.OPENAI, openai(x=1.50)).request.partition(b"\r\n\r\n")[2]

    assert json.loads(body) == {"model": "m", "messages": MESSAGES, "x": 1.5}


async def test_a_chat_becomes_a_stream_with_usage_asked_for(desk: Desk) -> None:
    """The front end says neither."""
    body = desk.make(Dialect.TEXT, CHAT).request.partition(b"\r\n\r\n")[2]

    assert json.loads(body) == {
        "model": "m",
        "messages": MESSAGES,
        "temperature": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("fields", "max_tokens"),
    [
        ({"models": [{"id": "m", "max_output": 7}], "max_output": 9}, 7),
        ({"models": [{"id": "m"}], "max_output": 9}, None),
        ({"models": [{"id": "other", "max_output": 7}], "max_output": 9}, 9),
        ({}, None),
    ],
)
async def test_the_output_cap_is_the_models(
    desk: Desk, fields: dict[str, object], max_tokens: int | None
) -> None:
    """An unknown model gets the provider's default, never a crash."""
    send = {"params": {"send": ["max_tokens"]}}
    body = desk.make(Dialect.TEXT, CHAT, **send, **fields).request.partition(b"\r\n\r\n")[2]

    assert json.loads(body).get("max_tokens") == max_tokens


@pytest.mark.parametrize(("of_registry", "of_rule"), [(None, 7), (9, 7)])
async def test_a_rule_of_limits_shortens_the_answer_further(
    desk: Desk, of_registry: int | None, of_rule: int
) -> None:
    """In both dialects; where the model has less, its plan says so."""
    entry = {"params": {"send": ["max_tokens"]}, "max_output": of_registry}

    chat = desk.make(Dialect.TEXT, CHAT, of_rule, **entry).request.partition(b"\r\n\r\n")[2]
    completion = desk.make(Dialect.OPENAI, openai(), of_rule).request.partition(b"\r\n\r\n")[2]

    assert json.loads(chat)["max_tokens"] == 7
    assert json.loads(completion)["max_tokens"] == 7


async def test_each_dialect_has_its_own_pump_and_headers(desk: Desk) -> None:
    """Everything that differs is decided here."""
    stream = desk.make(Dialect.OPENAI, openai(stream=True))
    whole = desk.make(Dialect.OPENAI, openai())
    chat = desk.make(Dialect.TEXT, CHAT)

    pumps = [job._make_pump() for job in (stream, whole, chat)]  # noqa: SLF001 - what an attempt is given

    assert [type(pump) for pump in pumps] == [OpenAIPump, type(None), TextPump]
    assert STREAM_HEADERS[Dialect.OPENAI]["Content-Type"] == "text/event-stream; charset=utf-8"
    assert STREAM_HEADERS[Dialect.TEXT]["Content-Type"] == "text/plain; charset=utf-8"
    assert STREAM_HEADERS[Dialect.TEXT]["x-experimental-stream-data"] == "false"
    assert all(headers["X-Accel-Buffering"] == "no" for headers in STREAM_HEADERS.values())


async def test_the_head_waits_longest_in_the_dialect_that_has_no_comments(desk: Desk) -> None:
    """`/v1` may send comments after its head; the chat front end would show them."""
    jobs = [
        desk.make(Dialect.OPENAI, openai(stream=True)),
        desk.make(Dialect.TEXT, CHAT),
        desk.make(Dialect.OPENAI, openai()),
    ]

    for job in jobs:
        assert job.asked_at > 0.0
        job.asked_at = 107.0  # seven seconds of upload, in which nobody waits for an answer
    clocks = [job._make_deadlines() for job in jobs]  # noqa: SLF001 - what an attempt is given

    never = float("inf")
    assert [clock.commit_at for clock in clocks] == [117.0, 152.0, never]
    assert [clock.comment_every_s for clock in clocks] == [15.0, never, never]
    assert [clock.first_content_s for clock in clocks] == [120.0, 120.0, 600.0]
    assert {clock.total_at for clock in clocks} == {3700.0}


@pytest.mark.parametrize(
    ("dialect", "policy", "already_told", "expected"),
    [
        (Dialect.OPENAI, "cut", False, b'data: {"error":'),
        (Dialect.OPENAI, "cut", True, b""),
        (Dialect.TEXT, "cut", False, b""),
        (Dialect.TEXT, "notice", False, "\n\n[Groq broke off — twice.]\n".encode()),
    ],
)
async def test_the_last_words_of_a_broken_stream(
    desk: Desk, dialect: Dialect, policy: str, expected: bytes, *, already_told: bool
) -> None:
    """An error event for an SDK, a line for a person, never a `[DONE]`."""
    body = CHAT if dialect is Dialect.TEXT else openai(stream=True)
    job = desk.make(dialect, body, on_stream_error=policy)

    words = job.last_words(UpstreamCutError("Groq broke off — twice."), already_told=already_told)

    assert words.startswith(expected)
    assert bool(words) == bool(expected)
    assert b"[DONE]" not in words
    if dialect is Dialect.OPENAI and words:
        assert json.loads(words[6:])["request_id"] == "req-1"


async def test_a_prompt_is_let_go_of(desk: Desk) -> None:
    """An hour's stream holds nothing of it."""
    job = desk.make(Dialect.OPENAI, {"model": "groq/m", "messages": MESSAGES})
    assert PROMPT in job.caller
    assert desk.held.held_bytes > 0

    job.forget_request()

    assert PROMPT not in job.caller
    assert (job.request, desk.held.held_bytes) == (b"", 0)


@pytest.mark.parametrize(
    ("stream", "has_allowance", "kind"),
    [(True, False, Attempt), (False, True, Attempt), (True, True, WatchedAttempt)],
)
async def test_only_a_stream_that_a_rule_may_end_is_watched(
    desk: Desk, purse: Purse, *, stream: bool, has_allowance: bool, kind: type[Attempt]
) -> None:
    """Others pay nothing for it, not even a comparison a chunk."""
    job = desk.make(Dialect.OPENAI, openai(stream=stream))
    if has_allowance:
        job.grant = Grant({}, allowance=make_allowance(purse, held=5)[1])

    unused = Connection("Groq", on_idle=lambda _: None, on_gone=lambda _: None)

    assert type(job.make_attempt(unused)) is kind


async def test_another_credential_changes_its_header_and_nothing_else(desk: Desk) -> None:
    """The prompt is in the request once, whichever credential is shown."""
    job = desk.make(Dialect.OPENAI, openai(stream=True))
    before = job.request

    job.prepare_again(Credential("SECOND", SecretStr("gsk-second")))

    assert job.request == before.replace(b"Bearer gsk-1\r\n", b"Bearer gsk-second\r\n")
    assert job.secrets == ("gsk-second",)


async def test_the_same_credential_changes_nothing(desk: Desk) -> None:
    """Further attempts are for broken connections, as a rule."""
    job = desk.make(Dialect.OPENAI, openai())
    before = job.request

    for same in (None, job.credential):
        job.prepare_again(same)

    assert job.request is before


async def test_each_attempt_of_a_trace_shows_a_span_of_its_own(desk: Desk) -> None:
    """With the prompt as it was, and in place of what the caller had sent."""
    job = desk.make(Dialect.OPENAI, openai())
    body = job.request.partition(b"\r\n\r\n")[2]
    ids = iter(["1" * 16, "2" * 16, "3" * 16])
    job.exchange.trace = Trace("a" * 32, next(ids), True, lambda: next(ids), next(ids))  # noqa: FBT003 - a record

    first = job.make_record().trace
    job.prepare_again(None)
    second = job.make_record().trace

    assert first is not None
    assert second is not None
    assert (first.span_id, second.span_id) == ("2" * 16, "3" * 16)
    assert (second.host, second.port) == ("api.groq.com", 443)
    head, _, same = job.request.partition(b"\r\n\r\n")
    assert same == body
    assert head.count(b"traceparent") == 1
    assert f"traceparent: 00-{'a' * 32}-{'3' * 16}-01\r\n".encode() in head


async def test_an_attempt_that_is_not_recorded_has_an_id_and_no_record(desk: Desk) -> None:
    """The provider is told that nobody records it, and who asked."""
    job = desk.make(Dialect.OPENAI, openai())
    job.exchange.trace = Trace("a" * 32, "1" * 16, False, lambda: "3" * 16, "2" * 16)  # noqa: FBT003 - a record

    job.prepare_again(None)

    assert job.make_record().trace is None
    assert f"traceparent: 00-{'a' * 32}-{'3' * 16}-00\r\n".encode() in job.request
