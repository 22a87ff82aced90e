"""Headers that cross the gateway."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.headers import (
    MAX_HEADERS,
    asked_wait_s,
    parse_retry_after,
    select_request_headers,
    select_response_headers,
)

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOW = 1_792_567_660.0  # Wed, 21 Oct 2026 07:27:40 GMT


def test_only_listed_request_headers_go_upstream():
    """A caller must not choose our credential, account, host or framing."""
    given = [
        ("Host", "evil"),
        ("Authorization", "Bearer gw_x"),
        ("X-Api-Key", "x"),
        ("api-key", "x"),
        ("OpenAI-Organization", "org"),
        ("anthropic-beta", "x"),
        ("Cookie", "a=b"),
        ("Accept-Language", "de"),
        ("Accept-Encoding", "gzip"),
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("TE", "trailers"),
        ("X-Forwarded-For", "1.2.3.4"),
        ("X-Request-ID", "mine"),
        ("x-stainless-lang", "python"),
        ("User-Agent", "curl"),
        ("baggage", "a=b"),
        ("Idempotency-Key", "abc-123"),
        ("Traceparent", TRACEPARENT),
        ("tracestate", "vendor=value, a@b=1"),
    ]

    assert select_request_headers(given) == [
        ("traceparent", TRACEPARENT),
        ("tracestate", "vendor=value, a@b=1"),
    ]


@pytest.mark.parametrize(
    "given",
    [
        [("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT)],
        # What a version to come says behind the ids may hold a comma, so the two look like one.
        [("traceparent", f"01{TRACEPARENT[2:]}-more"), ("traceparent", TRACEPARENT)],
        [("traceparent", TRACEPARENT), ("Connection", "keep-alive, Traceparent")],
        [("traceparent", TRACEPARENT), ("connection", "close"), ("connection", "traceparent")],
        [("traceparent", TRACEPARENT.upper())],
        [("traceparent", "ff" + TRACEPARENT[2:])],
        [("traceparent", "00-" + "0" * 32 + TRACEPARENT[35:])],
        [("traceparent", TRACEPARENT + "\n")],
        [("traceparent", "x" * 10_000)],
        [("tracestate", "vendor=value")],
    ],
)
def test_what_is_malformed_repeated_or_for_this_hop_stays(given):
    """A header that two servers could read in two ways is not worth forwarding."""
    assert select_request_headers(given) == []


@pytest.mark.parametrize(
    "state",
    [
        "",
        "a",
        "A=1",
        "a=1=2",
        "a=ü",
        "a=" + "x" * 600,
        "a=1,b",
        ",".join(["a=1"] * 33),
        f"a={'x' * 255},b={'x' * 253}",
    ],
)
def test_a_bad_tracestate_does_not_cost_the_trace(state):
    """W3C Trace Context: it is dropped alone."""
    given = [("traceparent", TRACEPARENT), ("tracestate", state)]

    assert select_request_headers(given) == [("traceparent", TRACEPARENT)]


@pytest.mark.parametrize(
    "state", [",".join(["a=1"] * 32), f"a={'x' * 255},b={'x' * 252}", "a=1, ,b=2"]
)
def test_a_tracestate_at_its_limits_goes_upstream(state):
    """W3C Trace Context: 32 members, 512 characters, and members may be empty."""
    given = [("traceparent", TRACEPARENT), ("tracestate", state)]

    assert select_request_headers(given) == given


def test_a_trace_without_a_state_is_sent_without_one():
    """An empty header would be one that nobody sent."""
    given = [("traceparent", TRACEPARENT)]

    assert select_request_headers(given) == given


def test_tracestate_may_be_in_several_lines():
    """It is a list, and lists may be split."""
    given = [("traceparent", TRACEPARENT), ("tracestate", "a=1"), ("tracestate", "b=2")]

    assert select_request_headers(given)[1] == ("tracestate", "a=1,b=2")


def test_only_listed_response_headers_come_back():
    """`X-Accel-Redirect` from a provider would make nginx serve a file of ours."""
    given = [
        ("Set-Cookie", "a=b"),
        ("Location", "/x"),
        ("Server", "x"),
        ("X-Accel-Redirect", "/secret"),
        ("X-Accel-Buffering", "yes"),
        ("Alt-Svc", "h3"),
        ("openai-organization", "org"),
        ("Content-Length", "5"),
        ("Content-Encoding", "gzip"),
        ("Access-Control-Allow-Origin", "*"),
        ("Strict-Transport-Security", "x"),
        ("X-RateLimit-Reset-Tokens", "2m59.56s"),
        ("anthropic-ratelimit-requests-reset", "2026-01-01T00:00:00Z"),
        ("x-tokenlimit-remaining", "9"),
        ("RateLimit-Remaining", "8"),
        ("x-ratelimit-of-1024", "x" * 1024),
        ("ratelimit", '"api";r=999;t=295'),
        ("RateLimit-Policy", '"default";q=100;w=60'),
        ("Retry-After", "30"),
        ("retry-after-ms", "1500"),
        ("openai-processing-ms", "12"),
        ("x-request-id", "req_1"),
    ]

    assert select_response_headers(given) == [
        ("x-ratelimit-reset-tokens", "2m59.56s"),
        ("anthropic-ratelimit-requests-reset", "2026-01-01T00:00:00Z"),
        ("x-tokenlimit-remaining", "9"),
        ("ratelimit-remaining", "8"),
        ("x-ratelimit-of-1024", "x" * 1024),
        ("ratelimit", '"api";r=999;t=295'),
        ("ratelimit-policy", '"default";q=100;w=60'),
        ("retry-after", "30"),
        ("retry-after-ms", "1500"),
        ("openai-processing-ms", "12"),
        ("x-upstream-request-id", "req_1"),
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([("request-id", "a")], "a"),
        ([("X-Generation-Id", "a")], "a"),
        ([("mistral-correlation-id", "a")], "a"),
        ([("inference-id", "a")], "a"),
        ([("inference-id", "b"), ("x-request-id", "a")], "a"),
        ([("x-request-id", ""), ("request-id", "a")], "a"),
        ([("x-request-id", "a"), ("x-request-id", "b")], "a"),
    ],
)
def test_the_providers_request_id_has_one_name(given, expected):
    """It is what a provider's support asks for, and never taken for ours."""
    assert select_response_headers(given) == [("x-upstream-request-id", expected)]


@pytest.mark.parametrize("value", ["0", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_wait_comes_back_in_the_form_it_was_given(value):
    """A date is as good as seconds."""
    assert select_response_headers([("retry-after", value)]) == [("retry-after", value)]


@pytest.mark.parametrize(
    "header",
    [
        ("x-ratelimit-a", "1\r\nset-cookie: a=b"),
        ("x-ratelimit-a", "1\x00"),
        ("x-ratelimit-a", "ü"),
        ("x-ratelimit-a", "x" * 1025),
        ("x-request-id", "a\nb"),
        ("retry-after", "soon"),
        ("retry-after", "-1"),
        ("retry-after-ms", "Wed, 21 Oct 2026 07:28:00 GMT"),
    ],
)
def test_values_are_checked_again(header):
    """A value that ends the header early would write headers of its own."""
    assert select_response_headers([header]) == []


def test_the_number_of_headers_is_bounded():
    """A prefix is open-ended; the list must not be."""
    given = [(f"x-ratelimit-{index}", "1") for index in range(1000)]

    assert len(select_response_headers(given)) == MAX_HEADERS


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("5", 5.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        ("86401", 86_400.0),
        ("9" * 30, 86_400.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 20.0),
        ("Wednesday, 21-Oct-26 07:28:00 GMT", 20.0),
        ("Wed Oct 21 07:28:00 2026", 20.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400.0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("-1", None),
        ("1e9", None),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        ("120 seconds", None),
        ("Fri, 99 Dec 2026 00:00:00 GMT", None),
        ("9" * 5000, None),
        (f"Mon, 01 Jan {'9' * 30} 00:00:00 GMT", None),
        (f"Mon, 01 Jan 2026 00:00:00 +{'9' * 30}", None),
    ],
)
def test_retry_after_is_read_defensively(value, expected):
    """A provider's slip must neither stall us nor make us hammer it."""
    assert parse_retry_after(value, now=NOW) == expected


@given(
    value=st.text(max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, ?\d+ [A-Z][a-z]{2} \d+ [\d:]+ ?.*")
)
def test_retry_after_never_raises(value):
    """It comes from outside."""
    seconds = parse_retry_after(value, now=NOW)

    assert seconds is None or 0 <= seconds <= 86_400


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "120000"}, 120.0),
        ({"retry-after-ms": "9" * 30}, 86_400.0),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": "-1"}, None),
    ],
)
def test_the_more_exact_form_of_a_wait_counts(
    headers: dict[str, str], expected: float | None
) -> None:
    """Azure and OpenAI send both, and milliseconds are not to be taken for seconds."""
    assert asked_wait_s(headers, now=0.0) == expected
