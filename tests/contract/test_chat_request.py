"""What a chat front end may send, and what of it reaches the provider.

The rule here: bodies upstream are compared byte by byte; only what the contract names is in them.
"""

import json
from typing import Any

import pytest

from gateway.simulator import Simulator
from tests.contract.calls import HELLO, ask, chat, chat_body, header_of, simulated
from tests.plugins.gateway import CREDENTIAL, Gateway
from tests.plugins.raw_caller import Heard

CHAT = "/api/chat/sim"
ANSWER = simulated(tokens=["Yes"])
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def refused(heard: Heard) -> dict[str, Any]:
    """The body of a 400."""
    assert heard.status == 400, heard.raw
    assert header_of(heard, "content-type") == "application/json; charset=utf-8"
    value: dict[str, Any] = heard.json
    return value


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Type: text/plain;charset=UTF-8",),
        ("Content-Type: application/json",),
        ("Content-Type: application/x-www-form-urlencoded",),
        ("Content-Type: multipart/form-data; boundary=x",),
        ("Content-Type: nonsense",),
        (),
    ],
    ids=lambda headers: headers[0] if headers else "none",
)
async def test_the_body_is_json_whatever_its_content_type(
    single: Gateway, headers: tuple[str, ...]
) -> None:
    """A browser's fetch with a string body says text/plain; nobody reads that header."""
    heard = await ask(single, CHAT, chat_body(ANSWER), *headers)

    assert (heard.status, heard.chunks) == (200, [b"Yes"])


async def test_the_request_upstream_is_these_bytes(single: Gateway, simulator: Simulator) -> None:
    """What the front end knows of its user beside the messages is not the provider's business."""
    body = (
        b'{"customModelId":"","messages":[ {"role":"system","content":"Today is 1/2/2026."},'
        b'{"role":"user","content":"Gr\\u00fc\\u00dfe \xc3\xa4"} ],"chatSettings":{"model":"plain",'
        b'"prompt":"p","temperature":0.50,"contextLength":4096,"includeProfileContext":true,'
        b'"includeWorkspaceInstructions":true,"embeddingsProvider":"openai"}}'
    )

    heard = await ask(single, CHAT, body)

    assert heard.status == 200
    assert simulator.journal.last.body == (
        b'{"model":"plain","messages":[ {"role":"system","content":"Today is 1/2/2026."},'
        b'{"role":"user","content":"Gr\\u00fc\\u00dfe \xc3\xa4"} ],"temperature":0.50,'
        b'"stream":true,"stream_options":{"include_usage":true}}'
    )


async def test_the_headers_upstream_are_the_gateway_s_own(
    single: Gateway, simulator: Simulator
) -> None:
    """Cookies, addresses and client headers of a user must not end up with a provider."""
    await ask(
        single,
        CHAT,
        chat_body(),
        "Cookie: sb-127-auth-token=secret",
        "Origin: http://127.0.0.1",
        "User-Agent: Mozilla/5.0",
        "X-Middleware-Subrequest: app/api/chat/route",
        "X-Stainless-Lang: js",
        "X-Simulate: unavailable",
        "Idempotency-Key: 1",
    )

    sent = {name.lower(): value for name, value in simulator.journal.last.headers}
    assert sent.keys() <= {
        "host",
        "authorization",
        "content-type",
        "content-length",
        "accept",
        "accept-encoding",
        "user-agent",
        "connection",
    }
    assert sent["authorization"] == f"Bearer {CREDENTIAL}"
    assert sent["content-type"] == "application/json"
    assert "mozilla" not in sent.get("user-agent", "").lower()


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": [{"type": "text", "text": "What is this?"}]}],
        [
            {"role": "system", "content": "Today is 1/2/2026."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": PIXEL}},
                ],
            },
        ],
        [*HELLO, {"role": "assistant", "content": "Hello."}, *HELLO],
        [{"role": "user", "content": ""}],
    ],
)
async def test_messages_go_upstream_as_they_came(
    single: Gateway, simulator: Simulator, messages: list[dict[str, Any]]
) -> None:
    """Text or parts, with images or without: what the model reads is what the user wrote."""
    heard = await chat(single, ANSWER, messages=messages)

    assert heard.status == 200
    assert json.loads(simulator.journal.last.body)["messages"] == messages


async def test_gemini_s_shape_becomes_openai_s(single: Gateway, simulator: Simulator) -> None:
    """For provider google the front end sends Gemini's messages, to whatever is behind it."""
    messages = [
        {"role": "user", "parts": [{"text": "Be brief."}]},
        {"role": "model", "parts": [{"text": "Yes."}]},
        {
            "role": "user",
            "parts": [
                {"text": "What is this?"},
                {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
            ],
        },
    ]

    heard = await chat(single, ANSWER, messages=messages)

    assert heard.status == 200
    assert json.loads(simulator.journal.last.body)["messages"] == [
        {"role": "user", "content": "Be brief."},
        {"role": "assistant", "content": "Yes."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": PIXEL}},
            ],
        },
    ]


@pytest.mark.parametrize("number", ["0", "1", "0.5", "1.0", "1e0", "7E-1", "0.70000000000000001"])
async def test_the_temperature_keeps_its_text(
    single: Gateway, simulator: Simulator, number: str
) -> None:
    """A number that is parsed and printed again may be another one."""
    body = json.dumps(chat_body(ANSWER)).replace("0.5", number, 1).encode()

    await ask(single, CHAT, body)

    assert f'"temperature":{number},'.encode() in simulator.journal.last.body


@pytest.mark.parametrize("settings", [{"model": ANSWER}, {"model": ANSWER, "temperature": None}])
async def test_without_a_temperature_none_is_sent(
    single: Gateway, simulator: Simulator, settings: dict[str, Any]
) -> None:
    """The provider's default is not ours to choose."""
    heard = await chat(single, chatSettings=settings)

    assert heard.status == 200
    assert "temperature" not in json.loads(simulator.journal.last.body)


@pytest.mark.parametrize("model_id", ["", None, "0c7f1a52-7a6e-4a53-8f0e-000000000000"])
async def test_a_custom_model_id_changes_nothing(single: Gateway, model_id: str | None) -> None:
    """It is an id of the front end's own tables, which the gateway does not have."""
    heard = await chat(single, ANSWER, customModelId=model_id)

    assert (heard.status, heard.chunks) == (200, [b"Yes"])


async def test_twelve_mebibytes_of_images_are_taken(single: Gateway, simulator: Simulator) -> None:
    """Images ride along on every turn; the original took as much."""
    url = "data:image/png;base64," + "A" * (12 * 1024 * 1024)
    parts = [{"type": "image_url", "image_url": {"url": url}}]

    heard = await chat(single, ANSWER, messages=[{"role": "user", "content": parts}])

    assert (heard.status, heard.chunks) == (200, [b"Yes"])
    assert url.encode() in simulator.journal.last.body


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"hello", "invalid_json"),
        (b"[]", "invalid_json"),
        (b'"x"', "invalid_json"),
        (b"null", "invalid_json"),
        (b"{}{}", "invalid_json"),
        (b'{"messages":[],"messages":[]}', "invalid_json"),
        (b'{"chatSettings":{"model":"m","temperature":NaN}}', "invalid_json"),
        (b'\xef\xbb\xbf{"chatSettings":{}}', "invalid_json"),
        ('{"chatSettings":{}}'.encode("utf-16"), "invalid_json"),
        (b'{"chatSettings":"\xff"}', "invalid_json"),
        (b'{"chatSettings":"\\ud800"}', "invalid_json"),
        (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", "invalid_json"),
        (b"{}", "invalid_request"),
    ],
)
async def test_a_body_that_is_no_request_is_400_as_json(
    single: Gateway, simulator: Simulator, body: bytes, code: str
) -> None:
    """The original answered with an HTML page, of which its user saw nothing."""
    heard = await ask(single, CHAT, body)

    value = refused(heard)
    assert value["message"]
    assert value["error"]["code"] == code
    assert simulator.journal.count == 0


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"chatSettings": None}, "`chatSettings`"),
        ({"chatSettings": []}, "`chatSettings`"),
        ({"chatSettings": {"model": 7}}, "`chatSettings.model`"),
        ({"chatSettings": {"model": "m", "temperature": "hot"}}, "`chatSettings.temperature`"),
        ({"chatSettings": {"model": "m", "temperature": True}}, "`chatSettings.temperature`"),
        ({"messages": None}, "`messages`"),
        ({"messages": "Hi"}, "`messages`"),
        ({"messages": []}, "`messages`"),
        ({"messages": ["Hi"]}, "`messages[0]`"),
        ({"messages": [{"content": "Hi"}]}, "`messages[0].role`"),
        ({"messages": [*HELLO, {"role": "user"}]}, "`messages[1].content`"),
        ({"messages": [{"role": "user", "content": 7}]}, "`messages[0].content`"),
        ({"messages": [{"role": "user", "content": ["Hi"]}]}, "`messages[0].content[0]`"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "`messages[0].content[0].text`",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "audio"}]}]},
            "`messages[0].content[0].type`",
        ),
        ({"messages": [{"role": "user", "parts": []}]}, "`messages[0].parts`"),
        ({"messages": [{"role": "system", "parts": [{"text": "x"}]}]}, "`messages[0].role`"),
        ({"messages": [{"role": "user", "parts": [{}]}]}, "`messages[0].parts[0]`"),
        ({"customModelId": 7}, "`customModelId`"),
    ],
    ids=str,
)
async def test_a_wrong_field_is_named(single: Gateway, fields: dict[str, Any], place: str) -> None:
    """A sentence that names the place saves whoever writes a front end an hour."""
    value = refused(await chat(single, **fields))

    assert place in value["message"]
    assert value["error"]["code"] == "invalid_request"


async def test_a_missing_model_is_400_where_there_is_no_default(single: Gateway) -> None:
    """The two-line provider has none; the sentence says so."""
    value = refused(await chat(single, ""))

    assert value["message"] == "`chatSettings.model` names no model, and Sim has no default."
