"""Whether the rules of gateway.yaml can do what they say, for this registry and so many processes.

The rule here: asked before listening, and by `gateway check`. A rule that can never apply stops the
start, because whoever wrote it relies on it.
"""

from collections.abc import Mapping
from difflib import get_close_matches

from gateway.config.limit_rules import LimitSpec, words_of
from gateway.config.load import Registry
from gateway.config.registry import Provider
from gateway.config.settings import Settings
from gateway.limits.rules import make_caps


class IdleRuleError(ValueError):
    """A rule that can never apply: whoever wrote it relies on a limit that does nothing."""


class UnsharedCountersError(ValueError):
    """Several processes that would each admit as much as the rules allow in total."""


def refuse_idle_rules(settings: Settings, registry: Registry) -> None:
    """Raise if a rule is for a provider, a model or callers that do not exist.

    Called before listening.
    """
    has_keys = any(method.kind == "gateway_key" for method in settings.auth or ())
    for limit in settings.limits:
        if limit.match.key is not None and not has_keys:
            raise IdleRuleError(
                f"The rule {limit.name} of `limits` is for a key, and `auth` has no `gateway_key`: "
                "nobody shows one. Write that method, or match `principal`."
            )
        for name in sorted(words_of(limit.match.provider) or ()):
            if name not in registry.providers:
                near = get_close_matches(name, registry.providers, 1)
                raise IdleRuleError(
                    f"The rule {limit.name} of `limits` is for a provider {name}, and the registry "
                    f"has none of that name{f'; did you mean {near[0]}?' if near else '.'}"
                )
        _refuse_other_names(limit, registry.providers)
        _refuse_what_nobody_has(limit, settings)


def _refuse_other_names(limit: LimitSpec, providers: Mapping[str, Provider]) -> None:
    """Raise if a rule names a model by anything but its id, because rules see only ids.

    Unknown names are allowed: callers may ask for ids that are not in the registry.
    """
    wanted = words_of(limit.match.provider)
    asked = [one for one in providers.values() if wanted is None or one.name in wanted]
    ids = {model.id for one in asked for model in one.models}
    words = words_of(limit.match.model) or frozenset()
    for word in sorted(words - ids):
        prefix, _, rest = word.partition("/")
        # If known ids begin with this prefix, the word may be an id that is not in the registry.
        has_prefix = not any(known.startswith(f"{prefix}/") for known in ids)
        for one in asked:
            remedy = ", and both if another provider has one of that id"
            model = one.find_model(word)
            if model is not None and model.id in words:
                continue
            if model is None and has_prefix and one.name == prefix:
                model, remedy = one.find_model(rest), f" and `provider: {prefix}`"
            if model is not None:
                raise IdleRuleError(
                    f"The rule {limit.name} of `limits` is for a model {word}, and rules know a "
                    f"model by its id at the provider: write {model.id}{remedy}."
                )


def _refuse_what_nobody_has(limit: LimitSpec, settings: Settings) -> None:
    """Raise if a rule is for a tenant or a group but no method of `auth` provides one."""
    if settings.auth is None or settings.middleware or settings.wants_stored_keys:
        return  # stored keys or custom middleware may provide them
    claims = [method.claims for method in settings.token_auth]
    for word, field, is_known in (
        ("tenant", "tenant", any(one.tenant for one in claims)),
        ("group", "groups", any(one.groups for one in claims)),
    ):
        if getattr(limit.match, word) is not None and not is_known:
            raise IdleRuleError(
                f"The rule {limit.name} of `limits` is for a {word}, and no method of `auth` says "
                f"which {word} a caller is of. Write `claims: {{{field}: …}}` in one that checks "
                "tokens, or use the keys that `gateway keys create` makes."
            )


def refuse_unshared_counters(settings: Settings) -> None:
    """Raise if several workers would each count by themselves; called before listening."""
    workers = settings.server.workers
    counted = [rule.name for rule in settings.rules if make_caps(rule)]
    if workers > 1 and counted and not settings.stores.shares_counters:
        raise UnsharedCountersError(
            f"With {workers} workers the rule {counted[0]} would let in {workers} "
            "times what it says, because each worker counts in its own memory. Let them count "
            "together, and write in gateway.yaml:\n\n"
            "stores:\n  counters: redis://localhost:6379/0\n\n"
            "or start one worker:\n\nserver:\n  workers: 1\n"
        )
