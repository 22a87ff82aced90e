"""Group L, labels: whatever callers write, the series are counted on beforehand.

The rule here: what is invented differs in everything that a caller can write.
"""

import json
import re

from gateway.app import METRICS
from gateway.core.exchange import Exchange, Outcome
from gateway.core.identity import Principal
from gateway.telemetry.model_names import FREE_PER_PROVIDER
from tests.faults.conftest import OpenScene
from tests.plugins.scene import V1, raw_request

INVENTED = 100_000
SENT = 200
CODES = ("", "provider_not_found", "upstream_rejected", "client_stalled")


def count_series(text: str) -> int:
    """How many lines have a value."""
    return len(re.findall(r"^[a-z]", text, re.MULTILINE))


async def test_invented_names_make_no_series(open_scene: OpenScene) -> None:
    """L03: models, providers, tenants, paths, programs and statuses, a hundred thousand of each."""
    scene = await open_scene()
    await scene.ask("plain", model="sim/m")
    before = count_series(scene.gateway.metrics)

    await scene.send(b"".join(invent(number) for number in range(SENT)))
    observe = scene.gateway.service.app[METRICS].observe
    for number in range(INVENTED):
        observe(make_exchange(number))

    text = scene.gateway.metrics
    assert "invented" not in re.sub('model="invented-[0-9]+"', "", text)
    models = set(re.findall('model="(invented-[0-9]+)"', text))
    assert len(models) <= FREE_PER_PROVIDER
    # Two providers, each with models of its own: by outcome, status and code.
    assert count_series(text) - before < 3_000


def invent(number: int) -> bytes:
    """A request that names what nobody has heard of."""
    body = json.dumps({"model": f"invented-{number}/x", "messages": []}).encode()
    close = ("Connection: close",) if number == SENT - 1 else ()
    return raw_request(
        f"POST {V1}?invented-{number} HTTP/1.1",
        f"User-Agent: invented-{number}",
        f"Content-Length: {len(body)}",
        *close,
        body=body,
    )


def make_exchange(number: int) -> Exchange:
    """One that was settled, whose names are invented."""
    exchange = Exchange(f"r{number}", 1.0, "POST", "/", f"10.0.0.{number}", ())
    exchange.provider = ("sim", f"invented-{number}", "")[number % 3]
    exchange.model = f"invented-{number}"
    exchange.principal = Principal(f"invented-{number}", "jwt", tenant=f"invented-{number}")
    exchange.status = 200 if number % 2 else 400 + number % 200
    exchange.first_content_at = 1.5 if number % 2 else 0.0
    exchange.error_code = CODES[number % len(CODES)]
    exchange.settle(tuple(Outcome)[number % len(Outcome)], at=2.0)
    return exchange
