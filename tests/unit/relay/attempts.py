"""One try at one upstream, on a connection that is not there.

The rule here: what is asked of the connection is noted, and the test says what comes from it.
"""

import asyncio
import json
import math

from gateway.config.provider_blocks import TimeoutsSpec
from gateway.core.errors import UpstreamError
from gateway.core.upstream_errors import UpstreamConnectError
from gateway.relay.attempt import Attempt, AttemptLimits
from gateway.relay.deadlines import Deadlines
from gateway.relay.pumps import OpenAIPump, Pump

TIMEOUT_S = 20  # ends a test that hangs
SHORT_S = 0.02
SSE = [(b"content-type", b"text/event-stream"), (b"x-request-id", b"r-1")]
DONE = b"data: [DONE]\n\n"
COMMENT = b": wait\n\n"


def event(value: object) -> bytes:
    """One event with this data."""
    return f"data: {json.dumps(value)}\n\n".encode()


def text(content: str) -> bytes:
    """One event with a delta of text."""
    return event({"choices": [{"index": 0, "delta": {"content": content}}]})


STOP = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})


class Line:
    """A connection that notes what is asked of it."""

    def __init__(self, *, fails: bool = False, unsent_bytes: int = 0) -> None:
        self.asked: list[str] = []
        self.unsent_bytes = unsent_bytes
        self._fails = fails

    def send(self, request: bytes, receiver: object) -> None:
        """Note it, or fail."""
        assert request
        assert receiver
        if self._fails:
            raise UpstreamConnectError("closed")
        self.asked.append("send")

    def pause(self) -> None:
        """Note it."""
        self.asked.append("pause")

    def resume(self) -> None:
        """Note it."""
        self.asked.append("resume")

    def release(self, _: object) -> None:
        """Note it."""
        self.asked.append("release")

    def abort(self) -> None:
        """Note it."""
        self.asked.append("abort")


def make_attempt(
    pump: Pump | None = None, line: Line | None = None, *, bytes_max: int = 10_000, **clock: float
) -> tuple[Attempt, Line]:
    """An attempt on such a connection, its deadlines far away."""
    line = line or Line()
    now = asyncio.get_running_loop().time()
    spec = TimeoutsSpec(
        request_body_s=clock.pop("request_body_s", 900), idle_s=clock.pop("idle_s", 900)
    )
    total_at = now + clock.pop("total_s", 900)
    commit_at = now + clock.pop("commit_s", math.inf)
    first_content_s = clock.pop("first_content_s", 900)
    deadlines = Deadlines("Groq", spec, first_content_s, total_at, commit_at, **clock)
    limits = AttemptLimits("Groq", bytes_max, bytes_max, ["gsk-secret"])
    return Attempt(line, pump, deadlines, limits), line


def start_stream(pump: Pump | None = None, **fields: float) -> tuple[Attempt, Line]:
    """A stream whose head has come."""
    attempt, line = make_attempt(pump or OpenAIPump(wants_usage=True), **fields)
    attempt.start(b"request")
    attempt.on_head(200, SSE)
    return attempt, line


def held(attempt: Attempt) -> bytes:
    """What would go downstream."""
    return b"".join(attempt.downstream._held)  # noqa: SLF001 - the caller's side is not open here


async def over(attempt: Attempt) -> UpstreamError | None:
    """Wait for its end; its error."""
    async with asyncio.timeout(TIMEOUT_S):
        await attempt.ended
    return attempt.found.error
