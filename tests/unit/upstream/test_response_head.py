"""Which heads are accepted, and what they say about the connection."""

import pytest

from gateway.upstream.response_head import (
    HeadError,
    check_head,
    find_header,
    is_framed_by_eof,
    parse_keep_alive_s,
)

LENGTH = (b"content-length", b"2")
CHUNKED = (b"transfer-encoding", b"chunked")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("status", [200, 204, 404, 529, 599])
def test_final_statuses_of_http_1_are_accepted(version: str, status: int) -> None:
    """Providers use statuses that no list has, such as 498 and 529."""
    check_head(version, status, [LENGTH])


@pytest.mark.parametrize(
    ("version", "status", "headers"),
    [
        ("0.9", 200, []),
        ("2.0", 200, []),
        ("1.1", 101, []),
        ("1.1", 99, []),
        ("1.1", 600, []),
        ("1.1", 200, [(b"transfer-encoding", b"gzip, chunked")]),
        ("1.1", 200, [(b"transfer-encoding", b"gzip"), CHUNKED]),
        ("1.1", 200, [CHUNKED, CHUNKED]),
        ("1.1", 200, [(b"transfer-encoding", b"")]),
        ("1.1", 200, [(b"transfer-encoding", b"identity")]),
    ],
)
def test_what_two_readers_could_take_in_two_ways_is_refused(version, status, headers) -> None:
    """A body that ends elsewhere for somebody else is how answers get swapped."""
    with pytest.raises(HeadError):
        check_head(version, status, headers)


def test_the_name_of_a_coding_has_no_case() -> None:
    """RFC 9112, 7."""
    check_head("1.1", 200, [(b"transfer-encoding", b" Chunked ")])


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, [], True),
        (200, [(b"content-type", b"text/event-stream")], True),
        (500, [], True),
        (200, [LENGTH], False),
        (200, [CHUNKED], False),
        (204, [], False),
        (304, [], False),
    ],
)
def test_the_headers_say_whether_only_the_end_of_the_connection_ends_the_body(
    status: int, headers: list[tuple[bytes, bytes]], *, expected: bool
) -> None:
    """A close ends such a body cleanly, and cuts every other."""
    assert is_framed_by_eof(status, headers) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"timeout=5", 5.0),
        (b"timeout=5, max=100", 5.0),
        (b"max=100,Timeout=75", 75.0),
        (b"timeout=0", 0.0),
        (b"timeout=99999999999999", 999999999.0),
        (b"timeout=-1", None),
        (b"timeout=", None),
        (b"timeout=abc", None),
        (b"max=100", None),
        (b"", None),
    ],
)
def test_the_providers_own_idle_limit_is_read(value: bytes, expected: float | None) -> None:
    """Reusing a connection past it means a failed first try."""
    assert parse_keep_alive_s([(b"keep-alive", value)]) == expected


def test_a_header_is_found_by_its_lower_case_name() -> None:
    """The first of several counts, without the blanks around it."""
    headers = [(b"a", b" 1 "), (b"a", b"2")]

    assert (find_header(headers, b"a"), find_header(headers, b"b")) == (b"1", b"")
