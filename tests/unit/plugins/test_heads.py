"""What a middleware writes on a head is undone when no head can carry it; whole: tests/faults."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.plugins.api import RESPONSE_HEADERS
from gateway.plugins.heads import HeadWatch


def make_request() -> web.Request:
    """A request to whose answer something is to be added already."""
    request = make_mocked_request("GET", "/")
    request[RESPONSE_HEADERS] = {"Server": "gateway"}
    return request


@pytest.mark.parametrize("value", ["", "sales", "a\tb", "Größe", "x" * 10_000])
def test_what_can_be_sent_stays(value: str) -> None:
    """Text of any language and length."""
    request = make_request()
    watch = HeadWatch(request)

    request[RESPONSE_HEADERS]["X-Team"] = value

    assert watch.take_back() is None
    assert request[RESPONSE_HEADERS] == {"Server": "gateway", "X-Team": value}


@pytest.mark.parametrize("value", [5, None, b"x", "a\r\nb", "a\n", "a\0", "\x7f", "\ud800"])
def test_a_value_that_cannot_is_undone_and_not_quoted(value: object) -> None:
    """It may be a secret, and what is wrong with it goes to the log."""
    request = make_request()
    added = request[RESPONSE_HEADERS]
    watch = HeadWatch(request)

    added["X-Team"] = value  # type: ignore[assignment]
    wrong = watch.take_back()

    assert str(wrong).startswith("The header X-Team ")
    assert str(wrong).endswith((", not str.", " holds a control character."))
    assert request[RESPONSE_HEADERS] is added
    assert added == {"Server": "gateway"}
    assert watch.take_back() is None


@pytest.mark.parametrize(
    "name", ["", "X Team", "X:Team", "Größe", "X\r\nTeam", 5, "content-length"]
)
def test_so_is_a_name(name: object) -> None:
    """And the two that say where an answer ends, which its writer knows."""
    request = make_request()
    watch = HeadWatch(request)

    request[RESPONSE_HEADERS][name] = "5"  # type: ignore[index]

    assert watch.take_back() is not None
    assert request[RESPONSE_HEADERS] == {"Server": "gateway"}


def test_another_dict_will_do_and_nothing_else() -> None:
    """Whoever stands further in writes into it."""
    request = make_request()
    watch = HeadWatch(request)

    request[RESPONSE_HEADERS] = {"X-Team": "sales"}
    assert watch.take_back() is None

    request[RESPONSE_HEADERS] = []  # type: ignore[assignment]
    assert watch.take_back() == "RESPONSE_HEADERS was made list, not dict."
    assert request[RESPONSE_HEADERS] == {"Server": "gateway"}


def test_what_others_have_added_is_theirs() -> None:
    """The limits say how much is left while the handler runs."""
    request = make_request()
    watch = HeadWatch(request)
    request[RESPONSE_HEADERS]["X-Left"] = "3"
    watch.keep()

    request[RESPONSE_HEADERS]["X-Team"] = 5  # type: ignore[assignment]

    assert watch.take_back() is not None
    assert request[RESPONSE_HEADERS] == {"Server": "gateway", "X-Left": "3"}


@pytest.mark.parametrize(("name", "value"), [("X-Team", 5), ("X-Team", "a\nb"), ("", "a")])
def test_an_answer_s_own_headers_are_looked_at_too(name: str, value: object) -> None:
    """They are written by the same hand."""
    response = web.Response(headers={"X-Other": "1"})
    response.headers[name] = value  # type: ignore[assignment]

    assert HeadWatch(make_request()).take_back(response) is not None
    assert name not in response.headers
    assert response.headers["X-Other"] == "1"


def test_a_request_without_any_is_none_of_its_business() -> None:
    """The chain sets them for every request."""
    assert HeadWatch(make_mocked_request("GET", "/")).take_back(web.Response()) is None
