"""One provider, ready to be called: the bytes that go out, and where they go."""

import asyncio
import functools
import socket
import threading
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway import __version__
from gateway.config.registry import Provider
from gateway.core.credential import Credential
from gateway.core.errors import ProviderBusyError
from gateway.core.pool_standing import PoolStanding
from gateway.simulator import Simulator
from gateway.upstream.resolver import MAX_THREADS, AddressInfo, Resolver
from gateway.upstream.upstreams import OnDemand, Upstream, Upstreams
from gateway.wire.headers import select_request_headers
from tests.plugins.raw_provider import OK, RawProvider, Recorder, answer_with

Make = Callable[..., Upstream]


def make_provider(**fields: object) -> Provider:
    """A provider of the registry."""
    usual = {"name": "groq", "base_url": "https://api.groq.com/openai/v1"}
    return Provider.model_validate({**usual, **fields})


@pytest.fixture
async def upstream_of(resolver: Resolver) -> Make:
    """An upstream of such a provider."""

    def make(**fields: object) -> Upstream:
        provider = make_provider(**fields)
        return Upstream(provider, provider.base_url, resolver)

    return make


@pytest.fixture
async def upstreams() -> AsyncIterator[Callable[..., Upstreams]]:
    """Upstreams of a registry, closed at the end."""
    opened: list[Upstreams] = []

    def make(
        *providers: Provider,
        simulator_url: str | None = None,
        make_resolver: Callable[[], Resolver] = Resolver,
    ) -> Upstreams:
        named = {provider.name: provider for provider in providers}
        opened.append(Upstreams(named, simulator_url=simulator_url, make_resolver=make_resolver))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


async def test_an_operator_s_name_for_the_gateway_stands_alone(upstream_of: Make) -> None:
    """Twice the same header is a request that two servers read in two ways."""
    request = upstream_of(headers={"user-agent": "ours/1"}).render_request(
        b"{}", None, (), stream=False
    )

    assert request.lower().count(b"user-agent:") == 1
    assert b"user-agent: ours/1\r\n" in request


async def test_a_request_is_these_bytes(upstream_of: Make) -> None:
    """All of it, in order: nothing more may leave."""
    request = upstream_of(headers={"X-Title": "Ours", "X-Empty": ""}).render_request(
        b'{"a":1}',
        Credential("GROQ_API_KEY", SecretStr("gsk-1")),
        [("traceparent", "00-a-b-01")],
        stream=True,
    )

    assert request == (
        b"POST /openai/v1/chat/completions HTTP/1.1\r\n"
        b"Host: api.groq.com\r\n"
        b"User-Agent: chat-gateway/" + __version__.encode() + b"\r\n"
        b"Content-Type: application/json\r\n"
        b"Accept-Encoding: identity\r\n"
        b"X-Title: Ours\r\n"
        b"Authorization: Bearer gsk-1\r\n"
        b"Accept: text/event-stream\r\n"
        b"traceparent: 00-a-b-01\r\n"
        b"Content-Length: 7\r\n"
        b"\r\n"
        b'{"a":1}'
    )


async def test_a_question_beside_the_answers_is_these_bytes(upstream_of: Make) -> None:
    """Its path is given; all else is as in every request."""
    upstream = upstream_of(headers={"X-Title": "Ours"}, auth={"header": "api-key"})
    credential = Credential("K", SecretStr("k"))

    listed = upstream.render_question("GET", "/openai/v1/models", credential)
    asked = upstream.render_question("POST", "/x", None, b"{}")

    assert listed == (
        b"GET /openai/v1/models HTTP/1.1\r\n"
        b"Host: api.groq.com\r\n"
        b"User-Agent: chat-gateway/" + __version__.encode() + b"\r\n"
        b"Content-Type: application/json\r\n"
        b"Accept-Encoding: identity\r\n"
        b"X-Title: Ours\r\n"
        b"api-key: k\r\n"
        b"Accept: application/json\r\n"
        b"\r\n"
    )
    assert asked.endswith(b"Accept: application/json\r\nContent-Length: 2\r\n\r\n{}")
    assert b"api-key" not in asked


async def test_no_credential_means_no_header_for_one(upstream_of: Make) -> None:
    """An empty `Bearer` is refused by hosts that need nothing."""
    request = upstream_of().render_request(b"{}", None, [], stream=False)

    assert b"authorization" not in request.lower()
    assert b"\r\nAccept: application/json\r\n" in request


async def test_a_credential_goes_where_the_registry_says(upstream_of: Make) -> None:
    """Azure wants `api-key`, without a prefix."""
    request = upstream_of(auth={"header": "api-key"}).render_request(
        b"{}", Credential("K", SecretStr("k")), [], stream=False
    )

    assert b"\r\napi-key: k\r\n" in request
    assert b"Bearer" not in request


@pytest.mark.parametrize(
    ("base_url", "host", "path"),
    [
        ("https://h.example/v1/", b"h.example", b"/v1/chat/completions"),
        ("https://h.example", b"h.example", b"/chat/completions"),
        ("http://h.example:8000/v1", b"h.example:8000", b"/v1/chat/completions"),
        ("https://h.example:443/a%20b", b"h.example:443", b"/a%20b/chat/completions"),
    ],
)
async def test_the_address_is_that_of_the_registry(
    upstream_of: Make, base_url: str, host: bytes, path: bytes
) -> None:
    """A slash at its end is not doubled, a port is part of the host."""
    request = upstream_of(base_url=base_url).render_request(b"{}", None, [], stream=False)

    assert request.startswith(b"POST " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\n")


async def test_the_length_is_that_of_the_bytes(upstream_of: Make) -> None:
    """A length in characters cuts the body of everybody who is not English."""
    body = '{"a":"é😀"}'.encode()

    request = upstream_of().render_request(body, None, [], stream=False)

    assert request.endswith(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


@functools.cache
def groq() -> Upstream:
    """One upstream for many examples: a TLS context takes its time."""
    provider = make_provider()
    return Upstream(provider, provider.base_url, Resolver())


names = st.sampled_from(["traceparent", "tracestate", "X-Api-Key", "Host", "a\r\nb", "Cookie"])
values = st.text(st.characters(codec="latin-1"), max_size=60) | st.sampled_from(
    ["00-" + "a" * 32 + "-" + "b" * 16 + "-01", "k=v\r\nX-Evil: 1", "k=v,\n", "a=b"]
)


@given(st.lists(st.tuples(names, values), max_size=4))
def test_nothing_that_a_caller_sends_adds_a_line(headers: list[tuple[str, str]]) -> None:
    """A line of theirs could be a second request, with our credential."""
    request = groq().render_request(b"", None, select_request_headers(headers), stream=True)

    lines = request.split(b"\r\n")[6:-2]
    assert b"\n" not in b"".join(lines)
    assert {line.split(b":")[0] for line in lines} <= {
        b"traceparent",
        b"tracestate",
        b"Content-Length",
    }


async def test_the_demo_provider_leads_to_the_simulator(
    upstreams: Callable[..., Upstreams],
) -> None:
    """It needs no key, no internet, and no `allow_private` of the operator."""
    demo = make_provider(name="demo", base_url="simulator:")
    async with Simulator() as simulator:
        upstream = upstreams(demo, simulator_url=simulator.base_url)["demo"]
        connection = await upstream.take_connection()
        recorder = Recorder()
        connection.send(upstream.render_request(b"{}", None, [], stream=False), recorder)
        await recorder.wait()
        connection.abort()

    assert simulator.journal.last.path == "/v1/chat/completions"
    assert recorder.calls[0] == "head"


async def test_without_a_simulator_there_is_no_demo(upstreams: Callable[..., Upstreams]) -> None:
    """Commands that open no listener still read the registry."""
    opened = upstreams(make_provider(), make_provider(name="demo", base_url="simulator:"))

    assert opened["groq"].provider.name == "groq"
    with pytest.raises(KeyError):
        opened["demo"]


async def test_a_proxy_in_the_environment_is_not_used(
    upstreams: Callable[..., Upstreams], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever sets it for a shell would get every prompt and credential (fault H05)."""
    async with RawProvider(answer_with(OK)) as provider, RawProvider(answer_with(OK)) as decoy:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{decoy.port}")
        groq = make_provider(base_url=f"http://127.0.0.1:{provider.port}", allow_private=True)
        upstream = upstreams(groq)["groq"]
        connection = await upstream.take_connection()
        recorder = Recorder()
        connection.send(upstream.render_request(b"{}", None, [], stream=False), recorder)
        await recorder.wait()

        assert (provider.connections, decoy.connections, recorder.body) == (1, 0, b"ok")


async def test_one_provider_at_its_cap_leaves_the_others_alone(
    upstreams: Callable[..., Upstreams],
) -> None:
    """A slow provider must not take the connections of a quick one (fault F19)."""
    async with RawProvider(answer_with(OK)) as provider:
        url = f"http://127.0.0.1:{provider.port}"
        slow = make_provider(name="slow", base_url=url, allow_private=True, max_connections=1)
        quick = make_provider(name="quick", base_url=url, allow_private=True, max_connections=1)
        opened = upstreams(slow, quick)
        await opened["slow"].take_connection()

        assert (await opened["quick"].take_connection()).is_open


async def test_closing_closes_what_is_open(upstreams: Callable[..., Upstreams]) -> None:
    """The process ends without waiting for providers."""
    async with RawProvider(answer_with(OK)) as provider:
        url = f"http://127.0.0.1:{provider.port}"
        opened = upstreams(make_provider(base_url=url, allow_private=True))
        connection = await opened["groq"].take_connection()
        opened.close()
        await provider.wait_until_left()
        await asyncio.sleep(0)

        assert not connection.is_open


def at(url: str, name: str = "custom") -> Provider:
    """A provider at an address that a caller wrote down; here it may be private."""
    return make_provider(name=name, base_url=url, allow_private=True)


async def test_a_provider_of_the_registry_has_its_own_upstream(
    upstreams: Callable[..., Upstreams],
) -> None:
    """And the same at another address has another; the caller's own has none of its own."""
    ours = make_provider(name="azure", base_url="https://ours.example.org/v1")
    custom = make_provider(name="custom", base_url="models:")
    made = upstreams(ours, custom)
    elsewhere = at("https://mine.example.org/v1", "azure")

    assert made.find(ours) is made["azure"]
    found = made.find(elsewhere)
    assert found is not made["azure"]
    assert found.provider is elsewhere
    assert made.find(at("https://mine.example.org/v1", "azure")) is found
    assert made.find(at("https://mine.example.org/v1")) is not found
    with pytest.raises(KeyError):
        made["custom"]


async def test_upstreams_that_are_not_in_use_make_room(resolver: Resolver) -> None:
    """The one that was asked for longest ago goes first, and closes what it has."""
    async with RawProvider(answer_with(OK)) as provider:
        on_demand = OnDemand(resolver, most=2)
        first = on_demand.find(at(f"http://127.0.0.1:{provider.port}/1"))
        recorder = Recorder()
        connection = await first.take_connection()
        connection.send(first.render_request(b"{}", None, (), stream=False), recorder)
        await recorder.wait()
        second = on_demand.find(at(f"http://127.0.0.1:{provider.port}/2"))
        assert on_demand.find(at(f"http://127.0.0.1:{provider.port}/1")) is first
        third = on_demand.find(at(f"http://127.0.0.1:{provider.port}/3"))

        assert list(on_demand) == [first, third]
        assert on_demand.find(at(f"http://127.0.0.1:{provider.port}/4")) is not second
        assert not connection.is_open
        for upstream in on_demand:
            upstream.pool.close()


async def test_upstreams_in_use_are_not_taken_away(resolver: Resolver) -> None:
    """There is no room then, and that is said at once."""
    async with RawProvider(answer_with(OK)) as provider:
        on_demand = OnDemand(resolver, most=1)
        busy = on_demand.find(at(f"http://127.0.0.1:{provider.port}/1"))
        connection = await busy.take_connection()

        with pytest.raises(ProviderBusyError) as refused:
            on_demand.find(at(f"http://127.0.0.1:{provider.port}/2"))

        assert 1 <= int(refused.value.headers["Retry-After"]) <= 4
        assert on_demand.find(at(f"http://127.0.0.1:{provider.port}/1")) is busy
        connection.abort()
        busy.pool.close()


async def test_one_tls_context_serves_all_addresses(resolver: Resolver) -> None:
    """A megabyte and ten milliseconds for each would be an attack."""
    on_demand = OnDemand(resolver)
    contexts = {
        id(on_demand.find(at(f"https://{name}.example.org/v1")).pool._target.tls)  # noqa: SLF001 - to see it
        for name in ("a", "b", "c")
    }

    assert len(contexts) == 1


async def test_connections_are_counted_for_each_provider(
    upstreams: Callable[..., Upstreams],
) -> None:
    """Those at callers' own addresses are one provider's."""
    async with RawProvider(answer_with(OK)) as provider:
        url = f"http://127.0.0.1:{provider.port}"
        groq = make_provider(base_url=url, allow_private=True, max_connections=7)
        opened = upstreams(groq)
        busy = await opened["groq"].take_connection()
        own = groq.model_copy(update={"base_url": f"{url}/own"})
        kept = await opened.find(own).take_connection()
        recorder = Recorder()
        kept.send(opened.find(own).render_request(b"{}", None, [], stream=False), recorder)
        await recorder.wait()

        assert list(opened.standings()) == [PoolStanding("groq", 1, 1, 0, 14)]
        busy.abort()


async def test_names_that_callers_write_down_keep_no_provider_waiting(
    upstreams: Callable[..., Upstreams],
) -> None:
    """A name server that says nothing takes a thread for 10 s; a caller may name a thousand."""
    answer, asked = threading.Event(), threading.Semaphore(0)

    def look_up(host: str, port: int) -> list[AddressInfo]:
        if host.endswith("slow.example"):
            asked.release()
            answer.wait()
        return [(int(socket.AF_INET), int(socket.SOCK_STREAM), 6, "", ("127.0.0.1", port))]

    async with RawProvider(answer_with(OK)) as provider:
        port = provider.port
        ours = make_provider(base_url=f"http://groq.example:{port}", allow_private=True)
        opened = upstreams(ours, make_resolver=functools.partial(Resolver, look_up))
        slow = [at(f"http://{place}.slow.example") for place in range(MAX_THREADS)]
        waiting = [asyncio.ensure_future(opened.find(one).take_connection()) for one in slow]
        try:
            for _ in slow:
                await asyncio.to_thread(asked.acquire)
            with_their_headers = ours.model_copy(update={"headers": {"X-Organization": "theirs"}})

            for provider_of_ours in (ours, with_their_headers):
                connection = await opened.find(provider_of_ours).take_connection()
                assert connection.is_open
        finally:
            answer.set()
            for each in waiting:
                each.cancel()
            await asyncio.wait(waiting)
