"""A header that no head can carry is the mistake of whoever added it, and known as such.

The rule here: the caller is answered with the status that the log line says.
"""

from typing import Any

import pytest
from aiohttp.typedefs import Middleware

from gateway.plugins.loading import name_of
from tests.faults.conftest import OpenScene
from tests.faults.test_saboteurs import HEADERS, find, open_sabotaged
from tests.plugins.saboteurs import WRONG_HEADERS, WRONG_HEADERS_AFTERWARDS
from tests.plugins.scene import PATHS, Scene, error_of, header_of

PLACES = ["assign_request_id", "write_access_log", "render_errors", "authenticate", "check_key"]


def logged(scene: Scene, mistake: Middleware) -> list[Any]:
    """Under which request ids the log names the middleware."""
    lines = find(scene, "middleware.failed")
    assert {line["middleware"] for line in lines} <= {name_of(mistake)}
    return [line["request_id"] for line in lines]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("mistake", WRONG_HEADERS, ids=name_of)
async def test_a_wrong_header_is_a_500_that_names_the_middleware(
    open_scene: OpenScene, mistake: Middleware, place: str, *, stream: bool
) -> None:
    """Nothing would be sent at all, and the log line would say 200."""
    scene = await open_sabotaged(open_scene, mistake, place)

    heard = await scene.ask("plain", stream=stream, headers=HEADERS)

    line = await scene.settled()
    assert error_of(heard) == (500, "plugin_error")
    assert name_of(mistake) in str(heard.json)
    assert (line["status"], line["error_code"]) == (500, "plugin_error")
    assert line["outcome"] == "rejected"
    assert logged(scene, mistake) == [line["request_id"]]
    assert not header_of(heard, "x-team")


@pytest.mark.parametrize("path", PATHS)
async def test_it_is_said_in_the_callers_dialect(open_scene: OpenScene, path: str) -> None:
    """One of them shows its users what it is told."""
    scene = await open_sabotaged(open_scene, WRONG_HEADERS[0], "authenticate")

    heard = await scene.ask("plain", path, headers=HEADERS)

    assert heard.status == 500
    assert name_of(WRONG_HEADERS[0]) in heard.body.decode()


@pytest.mark.parametrize("place", ["write_access_log", "render_errors", "authenticate"])
@pytest.mark.parametrize("mistake", WRONG_HEADERS_AFTERWARDS, ids=name_of)
async def test_so_is_one_that_is_added_to_an_answer(
    open_scene: OpenScene, mistake: Middleware, place: str
) -> None:
    """Where there is one already that has not begun."""
    scene = await open_sabotaged(open_scene, mistake, place)

    heard = await scene.ask("plain", stream=False, headers=HEADERS)

    line = await scene.settled()
    assert heard.status == line["status"] == 500
    assert line["error_code"] == "plugin_error"
    assert logged(scene, mistake) == [line["request_id"]]


@pytest.mark.parametrize("mistake", WRONG_HEADERS_AFTERWARDS, ids=name_of)
async def test_where_the_log_line_is_written_the_answer_goes_out_without_it(
    open_scene: OpenScene, mistake: Middleware
) -> None:
    """The line says 200, and so does the answer."""
    scene = await open_sabotaged(open_scene, mistake, "assign_request_id")

    heard = await scene.ask("plain", stream=False, headers=HEADERS)

    line = await scene.settled()
    assert heard.status == line["status"] == 200
    assert not header_of(heard, "x-team")
    assert logged(scene, mistake) == [line["request_id"]]


async def test_a_stream_that_has_gone_out_is_not_cut_for_it(open_scene: OpenScene) -> None:
    """Its head left without that header, and nothing is wrong with the rest."""
    (mistake, _) = WRONG_HEADERS_AFTERWARDS
    scene = await open_sabotaged(open_scene, mistake, "authenticate")

    heard = await scene.ask("plain", headers=HEADERS)

    line = await scene.settled()
    assert (heard.status, heard.is_whole, line["outcome"]) == (200, True, "finished")
    assert logged(scene, mistake) == [line["request_id"]]
