"""A copy of a request, and what it has in common with the first; whole: tests/faults."""

import gc
import weakref

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.plugins.api import RESPONSE_HEADERS
from gateway.plugins.copies import link_copy, note_prepared_copy, unlink_copy
from gateway.plugins.keys import CREDENTIAL, PREPARED, PROMPT
from gateway.wire.completions_request import read_completions

PROMPT_READ = read_completions(
    b'{"model": "groq/m", "messages": [{"role": "user", "content": "Hi"}]}'
)


def make_copies() -> list[web.Request]:
    """A request, a copy of it and a copy of that, as two middlewares pass them on."""
    requests = [make_mocked_request("GET", "/")]
    for _ in range(2):
        requests.append(requests[-1].clone())
        link_copy(requests[-1], requests[-2])
    return requests


async def test_an_answer_to_the_last_is_one_to_all() -> None:
    """The connection is the same."""
    requests = make_copies()
    response = web.Response()

    await note_prepared_copy(requests[-1], response)

    assert [request.get(PREPARED) for request in requests[:-1]] == [response, response]


async def test_there_is_no_second_one() -> None:
    """Also where the second copy was made before the first was answered."""
    request = make_mocked_request("GET", "/")
    copies = [request.clone(), request.clone()]
    for copy in copies:
        link_copy(copy, request)
    await note_prepared_copy(copies[0], web.Response())

    with pytest.raises(RuntimeError, match="no second one"):
        await note_prepared_copy(copies[1], web.Response())


def test_what_was_written_on_one_is_on_the_other() -> None:
    """The middleware's headers, and what those further in have found out."""
    request = make_mocked_request("GET", "/")
    copy = request.clone()
    copy[RESPONSE_HEADERS] = {"X-Team": "sales"}

    link_copy(copy, request)
    copy[CREDENTIAL] = None
    unlink_copy(copy, request)

    assert request[RESPONSE_HEADERS] == {"X-Team": "sales"}
    assert CREDENTIAL in request


@pytest.mark.parametrize("is_sent", [True, False])
def test_a_prompt_is_let_go_with_the_copy(*, is_sent: bool) -> None:
    """A stream may last an hour; where nothing was sent, the handler may be called again."""
    request = make_mocked_request("POST", "/")
    request[PROMPT] = PROMPT_READ
    copy = request.clone()

    link_copy(copy, request)
    was_held = PROMPT in request
    if is_sent:
        del copy[PROMPT]  # as the relay does when the answer begins
    unlink_copy(copy, request)

    assert (was_held, PROMPT in request) == (False, not is_sent)


async def test_the_request_itself_is_no_copy() -> None:
    """It is what nearly every middleware passes on."""
    request = make_mocked_request("GET", "/")

    link_copy(request, request)
    await note_prepared_copy(request, web.Response())
    unlink_copy(request, request)

    assert not list(request)


async def test_a_copy_leaves_no_cycle() -> None:
    """What it holds, its body among it, would stay until the next collection."""
    request = make_mocked_request("GET", "/")
    copy = request.clone()
    gone = weakref.ref(copy)
    response = web.Response()
    gc.collect()
    gc.disable()

    try:
        link_copy(copy, request)
        copy[PREPARED] = response
        unlink_copy(copy, request)
        del copy

        assert gone() is None
    finally:
        gc.enable()
