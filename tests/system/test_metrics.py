"""What a stream looks like in the numbers."""

import asyncio
import json
import re

from gateway.app import RELAY
from tests.plugins.gateway import Gateway
from tests.plugins.raw_caller import Caller
from tests.plugins.scene import V1, body_of, raw_request

STALL_S = 0.2
STALLED = {"count": 6, "stall": {"after_tokens": 2, "for_s": STALL_S}}


def value(text: str, series: str) -> float:
    """One number of a scrape."""
    found = re.search(rf"^{re.escape(series)} (.*)$", text, re.MULTILINE)
    assert found, series
    return float(found[1])


async def test_what_is_waited_for_is_not_what_the_gateway_adds(gateway: Gateway) -> None:
    """Or every caller on a train would be an alert, and every connection that is opened."""
    slow, other = (json.dumps(body_of(V1, directive)).encode() for directive in ("plain", STALLED))
    head = (f"POST {V1} HTTP/1.1", "Connection: close")

    async with Caller(gateway.port) as caller, Caller(gateway.port) as bystander:
        expect = f"Content-Length: {len(slow)}", "Expect: 100-continue"
        await caller.send(raw_request(*head, *expect))
        await caller.read_until(b"100 Continue")
        await bystander.send(raw_request(*head, f"Content-Length: {len(other)}", body=other))
        await bystander.read_to_end()  # takes as long as the stall
        await caller.send(slow)
        await caller.read_to_end()
    first, last = await gateway.log.wait_for_settled(2)

    assert last["first_content_s"] >= STALL_S / 2
    for line in (first, last):
        assert 0 < line["added_s"] < STALL_S / 2
    text = gateway.metrics
    assert value(text, 'gateway_added_seconds_sum{provider="sim"}') < STALL_S
    assert value(text, 'gateway_first_content_seconds_sum{provider="sim"}') >= STALL_S / 2


async def test_a_stall_of_the_provider_is_seen_and_is_not_ours(gateway: Gateway) -> None:
    """Who is slow is the question that the numbers are for."""
    noted = asyncio.get_running_loop().create_future()
    body = json.dumps(body_of(V1, STALLED)).encode()
    length = f"Content-Length: {len(body)}"

    async with Caller(gateway.port) as caller:
        await caller.send(
            raw_request(f"POST {V1} HTTP/1.1", length, "Connection: close", body=body)
        )
        await caller.read_until(b"word1")
        gateway.service.app[RELAY].time_next_chunk(noted.set_result)
        in_flight = value(gateway.metrics, 'gateway_upstream_in_flight{provider="sim"}')
        await caller.read_to_end()
    added_s = await asyncio.wait_for(noted, 10)

    await gateway.log.wait_for_settled()
    text, labels = gateway.metrics, '{provider="sim"}'
    # The gap ends when the stall does, and begins when the chunk before it was read, which a busy
    # machine does late. No other gap is of that size: the provider writes without a pause.
    seen_s = STALL_S / 2
    assert value(text, f"gateway_chunk_gap_longest_seconds_sum{labels}") >= seen_s
    assert value(text, f"gateway_chunk_gap_seconds_sum{labels}") >= seen_s / 5
    assert value(text, f"gateway_upstream_first_content_seconds_count{labels}") == 1
    assert in_flight == 1
    assert 0 < added_s < STALL_S
