"""The place for limits holds what it promises; tests/faults/test_i_limits.py has the rest."""

import pytest
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.app import CHAIN
from gateway.config.limit_rules import LimitSpec
from gateway.config.registry import Model, Provider
from gateway.config.settings import ServerSpec, Settings
from gateway.config.stores import StoresSpec
from gateway.limits.limiter import Limiter
from gateway.middleware.enforce_limits import (
    LIMITER,
    IdleRuleError,
    UnsharedCountersError,
    enforce_limits,
    refuse_idle_rules,
    refuse_unshared_counters,
)
from gateway.plugins.api import EXCHANGE
from gateway.plugins.keys import CALL, CREDENTIAL
from gateway.stores.memory_counters import MemoryCounters
from tests.plugins.chain import StartChain, make_registry

CHAT = b'{"chatSettings":{"model":"m"},"messages":[{"role":"user","content":"Hi"}]}'


async def test_everything_is_known_where_it_stands(start_chain: StartChain) -> None:
    """A middleware of an operator's own, set after it, decides by these."""
    seen = []

    @web.middleware
    async def look(request: web.Request, handler: Handler) -> web.StreamResponse:
        principal = request[EXCHANGE].principal
        seen.append((principal is not None, request[CALL].model, CREDENTIAL in request))
        return await handler(request)

    chain = await start_chain(chain=(*CHAIN, look))

    reply = await chain.ask("POST", "/api/chat/groq", body=CHAT)

    assert (reply.status, seen) == (200, [(True, "m", True)])
    assert CHAIN[-1] is enforce_limits


async def test_without_rules_nothing_is_asked(start_chain: StartChain) -> None:
    """An operator who limits nothing pays nothing."""
    chain = await start_chain()

    reply = await chain.ask("POST", "/api/chat/groq", body=CHAT)

    assert reply.status == 200
    assert chain.runner.app[LIMITER] is None
    assert not [name for name in reply.headers if "ratelimit" in name]


async def test_a_request_for_no_answer_is_not_counted(start_chain: StartChain) -> None:
    """A page that lists models costs nothing."""
    rule = LimitSpec(name="few", on="everything", requests_per_minute=1)
    chain = await start_chain(limiter=Limiter([rule], MemoryCounters()))

    statuses = [(await chain.ask()).status for _ in range(3)]
    first, second = [await chain.ask("POST", "/api/chat/groq", body=CHAT) for _ in range(2)]

    assert statuses == [200, 200, 200]
    assert (first.status, first.headers["x-ratelimit-remaining-requests"]) == (200, "0")
    assert (second.status, second.headers["retry-after"]) == (429, "60")
    assert second.json()["error"]["code"] == "request_rate_exceeded"


def test_a_rule_for_a_provider_that_is_not_there_stops_the_start() -> None:
    """I12: a slip in a name, and the limit is none."""
    rule = {"name": "few", "on": "everything", "concurrent": 1}
    right = Settings.model_validate({"limits": [{**rule, "match": {"provider": "groq"}}]})
    wrong = Settings.model_validate({"limits": [{**rule, "match": {"provider": ["grok"]}}]})

    refuse_idle_rules(right, make_registry())
    refuse_idle_rules(Settings(), make_registry())

    with pytest.raises(IdleRuleError, match=r"few .*a provider grok.*did you mean groq"):
        refuse_idle_rules(wrong, make_registry())


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ({"model": "fast"}, "write large-2"),
        ({"model": ["large-2", "one/fast"]}, "write large-2 and `provider: one`"),
        ({"model": "one/large-2"}, "write large-2 and `provider: one`"),
        ({"model": "large-2"}, ""),
        ({"model": ["large-2", "fast"]}, ""),  # an id that is not in the registry, beside it
        ({"model": "one/of-nobody"}, ""),  # callers may ask for ids that are not in the registry
        ({"model": "one/large-2", "provider": "many"}, ""),  # where it is an id
        ({"model": "two/fast"}, ""),  # as one that `many` may have
    ],
)
def test_a_rule_for_a_model_by_another_name_stops_the_start(
    match: dict[str, object], said: str
) -> None:
    """I12: rules see the id at the provider, so by its alias it would limit nobody."""
    rule = {"name": "few", "on": "everything", "concurrent": 1, "match": match}
    settings = Settings.model_validate({"limits": [rule]})
    fast, other = Model(id="large-2", alias="fast"), Model(id="two/other")
    registry = make_registry(
        **{
            name: Provider(name=name, base_url="https://llm.example.org/v1", models=(model,))
            for name, model in (("one", fast), ("two", fast), ("many", other))
        }
    )

    if said:
        with pytest.raises(IdleRuleError, match=f"few .*{said}"):
            refuse_idle_rules(settings, registry)
    else:
        refuse_idle_rules(settings, registry)


def test_a_rule_for_keys_where_nobody_shows_one_stops_the_start() -> None:
    """I12: it would limit nobody."""
    rule = {"name": "r", "on": "key", "match": {"key": "batch"}, "concurrent": 1}
    keys = {"kind": "gateway_key"}
    refuse_idle_rules(Settings.model_validate({"limits": [rule], "auth": [keys]}), make_registry())

    with pytest.raises(IdleRuleError, match="`auth` has no `gateway_key`"):
        refuse_idle_rules(Settings.model_validate({"limits": [rule]}), make_registry())


JWT = {"kind": "jwt", "issuer": "https://id.example.org", "audience": "a", "algorithms": ["RS256"]}


@pytest.mark.parametrize("word", ["tenant", "group"])
@pytest.mark.parametrize(
    ("method", "is_refused"),
    [
        (JWT, True),
        (JWT | {"claims": {"tenant": "org", "groups": "roles"}}, False),
        ({"kind": "gateway_key", "keys": {"alice": f"sha256:{64 * 'a'}"}}, True),
        ({"kind": "gateway_key"}, False),
    ],
)
def test_a_rule_for_what_no_caller_can_have_stops_the_start(
    word: str, method: dict[str, object], *, is_refused: bool
) -> None:
    """I12: `claims.groups` was forgotten, and the limit is none."""
    rule = {"name": "few", "on": "everything", "concurrent": 1, "match": {word: "staff"}}
    settings = Settings.model_validate({"limits": [rule], "auth": [method]})
    own = {"use": "my:middleware", "after": "authenticate"}  # it may know
    recognised = Settings.model_validate({"limits": [rule], "auth": [method], "middleware": [own]})

    refuse_idle_rules(recognised, make_registry())
    if is_refused:
        with pytest.raises(IdleRuleError, match=f"few .*is for a {word}, and no method of `auth`"):
            refuse_idle_rules(settings, make_registry())
    else:
        refuse_idle_rules(settings, make_registry())


@pytest.mark.parametrize(
    ("workers", "counters", "rule", "is_refused"),
    [
        (1, "memory", {"concurrent": 1}, False),
        (2, "memory", {"concurrent": 1}, True),
        (2, "memory", {"max_body_bytes": 1}, False),  # counts nothing
        (2, "redis://localhost", {"concurrent": 1}, False),
    ],
)
def test_workers_that_count_for_themselves_stop_the_start(
    workers: int, counters: str, rule: dict[str, int], *, is_refused: bool
) -> None:
    """Twice what the rule says would be let in, and nothing would show it."""
    settings = Settings(
        server=ServerSpec(workers=workers),
        stores=StoresSpec(counters=counters),
        limits=(LimitSpec(name="few", on="principal", **rule),),
    )

    if is_refused:
        with pytest.raises(UnsharedCountersError, match="counters: redis://"):
            refuse_unshared_counters(settings)
    else:
        refuse_unshared_counters(settings)
