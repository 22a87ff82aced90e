"""`/api/chat` with only Python's standard library.

    python3 examples/text_stream.py [URL] [PROVIDER] [MODEL]

The rule here: one decoder for the whole answer, because a character may be split in two.
"""

import codecs
import http.client
import json
import os
import sys
from urllib.parse import urlsplit

URL = "http://127.0.0.1:8080"


def main(url: str = URL, provider: str = "demo", model: str = "demo") -> int:
    """Print one answer as it arrives; return 1 if it is incomplete."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=60)
    key = os.environ.get("GATEWAY_KEY")
    question = {
        "chatSettings": {"model": model, "temperature": 0.5},
        "messages": [{"role": "user", "content": "What can you do?"}],
    }
    connection.request(
        "POST",
        f"/api/chat/{provider}",
        body=json.dumps(question),
        headers={} if key is None else {"Authorization": f"Bearer {key}"},
    )
    response = connection.getresponse()
    if response.status != http.HTTPStatus.OK:
        print(json.loads(response.read())["message"], file=sys.stderr)
        return 1
    return print_text(response)


def print_text(response: http.client.HTTPResponse) -> int:
    """Print a raw text stream; a broken one has no last chunk, which raises an exception."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while piece := response.read1(65_536):
            print(decoder.decode(piece), end="", flush=True)
    except http.client.HTTPException:
        print("\nThe answer broke off.", file=sys.stderr)
        return 1
    print("\nfinished")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
