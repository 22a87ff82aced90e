"""What a middleware refuses with is what the caller reads, and nobody is left without an answer.

The rule here: it holds wherever the middleware stands, and the log line says the same.
"""

import pytest
from aiohttp.typedefs import Middleware

from gateway.plugins.loading import name_of
from tests.faults.conftest import OpenScene
from tests.faults.test_saboteurs import HEADERS, find
from tests.plugins.saboteurs_refusing import (
    LONELY,
    REFUSALS,
    SENTENCE,
    answer_with_the_same,
    refuse_for_now,
)
from tests.plugins.scene import Scene, error_of, header_of

PLACES = [
    {"before": "write_access_log"},
    {"before": "render_errors"},
    {"after": "authenticate"},
    {"after": "enforce_limits"},
]


async def open_refusing(open_scene: OpenScene, refusal: Middleware, place: dict[str, str]) -> Scene:
    """A scene with that middleware in its place."""
    use = f"tests.plugins.saboteurs_refusing:{name_of(refusal)}"
    scene = await open_scene(settings={"middleware": [{"use": use, **place}]})
    scene.gateway.allowed_words = ("Traceback",)
    return scene


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("refusal", REFUSALS, ids=name_of)
async def test_a_refusal_is_said_in_its_own_words(
    open_scene: OpenScene, refusal: Middleware, place: dict[str, str]
) -> None:
    """Its sentence, status and headers: "There is nothing at this path" would be a lie."""
    scene = await open_refusing(open_scene, refusal, place)
    is_for_now = refusal is refuse_for_now

    heard = await scene.ask("plain", headers=HEADERS)

    line = await scene.settled()
    code = "internal_error" if is_for_now else "invalid_request"
    assert error_of(heard) == (503 if is_for_now else 404, code)
    assert heard.json["error"]["message"] == SENTENCE
    assert header_of(heard, "retry-after") == ("7" if is_for_now else None)
    assert (line["status"], line["outcome"]) == (heard.status, "rejected")
    assert line["error_code"] == code


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("mistake", LONELY, ids=name_of)
async def test_a_connection_of_its_own_is_not_the_callers(
    open_scene: OpenScene, mistake: Middleware, place: dict[str, str]
) -> None:
    """K08: the caller is there and waits; without a word in the log nobody would find out why."""
    scene = await open_refusing(open_scene, mistake, place)

    heard = await scene.ask("plain", headers=HEADERS)

    line = await scene.settled()
    assert error_of(heard) == (500, "plugin_error")
    assert (line["status"], line["outcome"]) == (500, "rejected")
    assert line["error_code"] == "plugin_error"
    assert [line["middleware"] for line in find(scene, "middleware.failed")] == [name_of(mistake)]


@pytest.mark.parametrize("place", PLACES, ids=str)
async def test_a_response_is_good_for_one_request(
    open_scene: OpenScene, place: dict[str, str]
) -> None:
    """K08: aiohttp sends nothing for one that was sent before, and the caller would wait."""
    scene = await open_refusing(open_scene, answer_with_the_same, place)

    heard = [await scene.ask("plain", headers=HEADERS) for _ in range(2)]

    assert error_of(heard[1]) == (500, "plugin_error")
    (failed,) = find(scene, "middleware.failed")[-1:]
    assert "each request needs its own" in str(failed)
