"""`gateway healthcheck`: ask a gateway on this machine how it is, for images that have no curl.

The rule here: it imports the standard library alone, for it runs every few seconds beside the
gateway and on its memory.
"""

import json
import sys
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

OK = 200
MAX_BYTES = 64 * 1024
WHERE = "--url or GATEWAY_ADMIN_URL sets the address; `gateway serve` prints it as `admin`."


def check_health(url: str, *, live: bool, timeout_s: float) -> int:
    """Print what it says; 0 when that is good news, 1 when it is not or nobody answers."""
    path = "/healthz" if live else "/readyz"
    try:
        status, said = _ask(url, path, timeout_s)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except (OSError, HTTPException) as error:
        sys.stderr.write(f"No admin listener answers at {url}: {_reason_of(error)}. {WHERE}\n")
        return 1
    sys.stdout.write(f"{said}\n")
    return 0 if status == OK else 1


def _ask(url: str, path: str, timeout_s: float) -> tuple[int, str]:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("--url needs to be the admin listener's, such as http://127.0.0.1:8081")
    connection = HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(MAX_BYTES)
    finally:
        connection.close()
    return answer.status, _status_in(body) or f"status {answer.status}: no admin listener. {WHERE}"


def _reason_of(error: Exception) -> str:
    """The system's words; of what came instead of HTTP the kind alone, for it may be anything."""
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return type(error).__name__


def _status_in(body: bytes) -> str | None:
    """The word that explains the answer; None when it is no answer of a gateway's."""
    try:
        said = json.loads(body)
    except ValueError:
        return None
    status = said.get("status") if isinstance(said, dict) else None
    return status if isinstance(status, str) and status.isprintable() else None
