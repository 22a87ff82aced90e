"""Requests that two servers may read in two ways, each with another one hidden behind it.

The rule here: whoever reads the odd one in another way than its sender meant would serve the hidden
one, to `/smuggled`.
"""

import json
from dataclasses import dataclass

from tests.plugins.scene import AUTHORIZATION, V1, body_of, raw_request

POST = f"POST {V1} HTTP/1.1"
BODY = json.dumps(body_of(V1, "plain", stream=False)).encode()
LENGTH = f"Content-Length: {len(BODY)}"
CHUNK = f"{len(BODY):x}\r\n".encode() + BODY + b"\r\n"
CHUNKED_BODY = CHUNK + b"0\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"
SMUGGLED = raw_request("GET /smuggled HTTP/1.1", "Connection: close")


@dataclass(frozen=True)
class Odd:
    """A request that must not be served, and how it is refused."""

    row: str
    raw: bytes
    status: int = 400
    code: str = "malformed_request"


def odd(row: str, *headers: str, body: bytes = b"", **answer) -> Odd:
    """A POST with these headers, and another request behind it."""
    return Odd(row, raw_request(POST, *headers, body=body) + SMUGGLED, **answer)


def odd_head(row: str, head: str, **answer) -> Odd:
    """A head that is written as it stands."""
    return Odd(row, head.encode("latin-1") + SMUGGLED, **answer)


KEYED = f"{POST}\r\nHost: 127.0.0.1\r\n{AUTHORIZATION}\r\n"

ODD = [
    odd("B01 length and chunked", LENGTH, CHUNKED, body=CHUNKED_BODY),
    odd("B01 chunked and length", CHUNKED, "Content-Length: 5", body=CHUNKED_BODY),
    odd("B02 xchunked", "Transfer-Encoding: xchunked", body=CHUNKED_BODY),
    odd("B02 chunked, identity", "Transfer-Encoding: chunked, identity", body=CHUNKED_BODY),
    odd("B02 space before colon", "Transfer-Encoding : chunked", body=CHUNKED_BODY),
    odd("B02 twice", CHUNKED, CHUNKED, body=CHUNKED_BODY),
    odd("B02 vertical tab", "Transfer-Encoding: \x0bchunked", body=CHUNKED_BODY),
    odd("B02 twice in one", "Transfer-Encoding: chunked, chunked", body=CHUNKED_BODY),
    odd("B03 two lengths", LENGTH, "Content-Length: 5", body=BODY),
    odd("B03 two equal lengths", LENGTH, LENGTH, body=BODY),
    odd("B03 plus", "Content-Length: +5", body=b"12345"),
    odd("B03 minus", "Content-Length: -1"),
    odd("B03 list", "Content-Length: 2, 2", body=b"{}"),
    odd("B03 huge", "Content-Length: 100000000000000000000000"),
    odd("B03 hexadecimal", "Content-Length: 0x5", body=b"12345"),
    odd("B04 gzip, chunked", "Transfer-Encoding: gzip, chunked", body=CHUNKED_BODY),
    odd("B04 gzip", "Transfer-Encoding: gzip", body=CHUNKED_BODY),
    odd_head("B05 bare line feeds", KEYED.replace("\r\n", "\n") + "\n"),
    odd_head("B05 bare carriage return", KEYED + "X-A: a\rX-B: b\r\n\r\n"),
    odd_head("B05 folded", KEYED + "X-A: a\r\n b\r\n\r\n"),
    odd_head("B05 nul", KEYED + "X-A: a\0b\r\n\r\n"),
    odd_head("B05 space in a name", KEYED + "X A: a\r\n\r\n"),
    odd_head("B05 no colon", KEYED + "XA\r\n\r\n"),
    odd_head("B06 two hosts", KEYED + "Host: evil\r\n\r\n"),
    odd_head("B06 no host", f"{POST}\r\n{AUTHORIZATION}\r\n\r\n"),
    odd("B12 chunk size overflow", CHUNKED, body=b"fffffffffffffffff\r\n" + BODY),
    odd("B12 chunk size of words", CHUNKED, body=b"five\r\n12345\r\n0\r\n\r\n"),
    odd("B12 chunk size negative", CHUNKED, body=b"-5\r\n12345\r\n0\r\n\r\n"),
    odd_head("B17 lower case", KEYED.replace("POST", "post") + "\r\n"),
    odd_head("B17 no version", f"POST {V1}\r\n\r\n"),
    odd_head("B17 version 2", KEYED.replace("HTTP/1.1", "HTTP/2.0") + "\r\n"),
    odd_head("B09 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
]

# Read in one way only, so they are served or refused like any other.
PLAIN = [
    Odd("B07 absolute", raw_request(f"POST http://evil.example{V1} HTTP/1.1"), 400, "invalid_path"),
    Odd("B16 twice", raw_request(POST, "Authorization: Bearer x"), 400, "ambiguous_auth"),
    Odd("B16 two keys", raw_request(POST, "X-Api-Key: other"), 400, "ambiguous_auth"),
    Odd("B17 TRACE", raw_request(f"TRACE {V1} HTTP/1.1"), 405, "method_not_allowed"),
    Odd("B17 PUT", raw_request(f"PUT {V1} HTTP/1.1"), 405, "method_not_allowed"),
    Odd("B17 GET", raw_request(f"GET {V1} HTTP/1.1"), 405, "method_not_allowed"),
    Odd("B17 CONNECT", raw_request("CONNECT 127.0.0.1:22 HTTP/1.1"), 400, "invalid_path"),
    Odd("B17 OPTIONS *", raw_request("OPTIONS * HTTP/1.1"), 400, "invalid_path"),
]
