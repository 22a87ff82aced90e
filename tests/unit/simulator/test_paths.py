"""What each path answers when nobody told it anything."""

import pytest

from gateway.simulator import PRESETS


async def test_models_lists_demo_and_the_presets(peer, make_request):
    """A gateway shows this list to its callers."""
    heard = await peer.send(make_request(method="GET", path="/v1/models"))

    names = [card["id"] for card in heard.json["data"]]
    assert names == ["demo", *sorted(PRESETS)]


@pytest.mark.parametrize(("name", "status"), [("demo", 200), ("bench", 200), ("nobody", 404)])
async def test_one_model_is_found_by_name(peer, make_request, name, status):
    """Clients ask for one to see whether it is there."""
    heard = await peer.send(make_request(method="GET", path=f"/v1/models/{name}"))

    assert heard.status == status


@pytest.mark.parametrize(
    ("request_parts", "status", "code"),
    [
        (("GET", "/v1/nothing", b""), 404, "unknown_url"),
        (("POST", "/v1/embeddings", b"{}"), 404, "unknown_url"),
        (("GET", "/v1/chat/completions", b""), 405, "method_not_supported"),
        (("POST", "/v1/chat/completions", b"{"), 400, "invalid_json"),
        (("POST", "/v1/chat/completions", b"{}"), 400, "missing_parameter"),
    ],
)
async def test_a_wrong_request_is_refused_as_openai_does(
    peer, make_request, request_parts, status, code
):
    """A gateway that sends nonsense should hear of it."""
    method, path, body = request_parts

    heard = await peer.send(make_request(body, method=method, path=path))

    assert (heard.status, heard.json["error"]["code"]) == (status, code)


async def test_the_path_that_is_not_there_is_named(peer, make_request):
    """The root is one: who asks for it has forgotten the rest of the address."""
    heard = await peer.send(make_request(method="GET", path="/"))

    assert heard.json["error"]["message"] == "Unknown request URL: GET /."


async def test_a_directive_works_on_any_path(peer, make_request):
    """Whatever a gateway passes through can be tested."""
    heard = await peer.send(make_request(b'{"simulate":{"body":"abc"}}', path="/v1/embeddings"))

    assert heard.body == b"abc"


async def test_a_directive_can_want_a_credential(ask):
    """One test can have its provider reject a credential, and leave the others alone."""
    heard = await ask({"credential": "sk-right", "text": "Hi"})

    assert heard.status == 401
    assert "WWW-Authenticate: Bearer" in heard.head


async def test_a_redirect_has_the_status_asked_for(ask):
    """307 and 308 would repeat the body elsewhere, credential and all."""
    heard = await ask({"redirect_to": "file:///etc/passwd", "redirect_status": 307})

    assert heard.status == 307
    assert "Location: file:///etc/passwd" in heard.head
