"""What Apache alone does, with the configuration that ships.

The rule here: nobody needs a gateway behind it.
"""

import pytest

from tests.plugins.proxies.apache import OWN_ERRORS
from tests.plugins.proxies.row import BELOW, CHAT, V1, only_linux, send
from tests.plugins.proxies.running import Proxy
from tests.plugins.scene import error_of, header_of, raw_request

pytestmark = [only_linux(), pytest.mark.parametrize("proxy", ["apache"], indirect=True)]


@pytest.mark.parametrize("status", OWN_ERRORS)
async def test_whatever_apache_refuses_is_json_in_both_dialects(proxy: Proxy, status: int) -> None:
    """A page in HTML, labelled as JSON, is read by no SDK and by no front end."""
    for dialect in ("v1", "api"):
        head = f"GET {BELOW}/{dialect}/own-error-{status} HTTP/1.1"
        raw = raw_request(head, "Connection: close", "X-Request-ID: call-3")
        heard = await send(proxy, raw, port=proxy.beside_port)

        found, code = error_of(heard)
        assert (found, bool(code)) == (status, True)
        assert header_of(heard, "content-type") == "application/json"
        assert ("message" in heard.json) == (dialect == "api")
        assert (heard.json if dialect == "v1" else heard.json["error"])["request_id"] == "call-3"


@pytest.mark.parametrize("path", [V1, CHAT])
async def test_what_is_expected_in_vain_is_said_as_json(proxy: Proxy, path: str) -> None:
    """Apache refuses it before it knows what the request is, or has a name for it."""
    raw = raw_request(f"POST {path} HTTP/1.1", "Expect: wonders", "Content-Length: 0")

    heard = await send(proxy, raw.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    assert (heard.status, heard.json["error"]["code"]) == (417, "malformed_request")
    assert heard.json["message"] == "Nothing but `100-continue` can be expected here."
    assert header_of(heard, "content-type") == "application/json"
