"""What callers are told about limits: a message if they are refused, and headers in any case.

The rule here: waiting times are rounded up, so that a caller who waits that long is let in.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil
from operator import attrgetter

import msgspec
from multidict import istr

from gateway.core.errors import (
    BodyLimitExceededError,
    BudgetExceededError,
    ConcurrencyExceededError,
    DownstreamError,
    InternalError,
    LimitsUnavailableError,
    ModelUnpricedError,
    OutputLimitExceededError,
    RequestNeverFitsError,
    RequestRateExceededError,
    TokenQuotaExceededError,
    TokenRateExceededError,
)
from gateway.core.money import say_usd
from gateway.core.retry_after import come_back
from gateway.limits.asked import Asked
from gateway.limits.rules import Cap, Rule, Use
from gateway.stores.counters import SOON_S, CounterKind, Standing

# Rounding errors of floats are not rounded up; stores let in callers who are early by this much.
DUST_S = 1e-6
MINUTE = 60
HOUR = 3600
UNCOUNTED_S = 5  # the interval at which we check whether Redis is back
# `istr`, because aiohttp would convert each name to it: 5,000 instructions for these eight.
RATE_LIMIT, RATE_LIMIT_POLICY = istr("RateLimit"), istr("RateLimit-Policy")
# SDKs retry a 429 by themselves, twice within seconds, which is useless if the wait is hours.
NO_RETRY = {"x-should-retry": "false"}
# The error for an answer that was stopped, and what was used up.
STOPS: dict[CounterKind, tuple[type[DownstreamError], str]] = {
    CounterKind.TOKENS: (TokenRateExceededError, "tokens a minute"),
    CounterKind.QUOTA: (TokenQuotaExceededError, "tokens"),
    CounterKind.MONEY: (BudgetExceededError, "money"),
}


def refuse_body(rule: Rule) -> DownstreamError:
    """The error for a body that is larger than a rule allows."""
    return BodyLimitExceededError(
        f"The body is larger than the {rule.max_body_bytes} bytes that the rule {rule.name} "
        "allows; send fewer or smaller parts.",
        detail=f"rule={rule.name}",
    )


def refuse_output(rule: Rule, asked: Asked) -> DownstreamError:
    """The error for a request that asks for a longer answer than a rule allows."""
    return OutputLimitExceededError(
        f"The rule {rule.name} allows answers of {rule.max_output_tokens} tokens, and more are "
        f"asked for; lower `{asked.output_field}`.",
        param=asked.output_field,
        detail=f"rule={rule.name} max_output_tokens={rule.max_output_tokens}",
    )


def refuse_unpriced(rule: Rule, asked: Asked) -> DownstreamError:
    """The error for a model without a price under a rule that counts money."""
    return ModelUnpricedError(
        f"The rule {rule.name} counts money, and {asked.model} of {asked.provider} has no price; "
        "ask for a model that has one, or have whoever runs the gateway write its "
        "`price_in_usd_per_mtok` and `price_out_usd_per_mtok` into providers.yaml.",
        param="model",
        detail=f"rule={rule.name} unpriced=refuse",
    )


def refuse_for_ever(use: Use, asked: Asked) -> DownstreamError:
    """The error for a request that needs more than a counter ever holds."""
    cap = use.cap
    if cap.counts_money:
        return RequestNeverFitsError(
            f"This request may cost up to {say_usd(use.charge.cost)}, and the rule {cap.rule} "
            f"allows {say_usd(cap.capacity)} a {cap.unit}; "
            f"shorten the prompt or lower `{asked.output_field}`.",
            detail=f"rule={cap.rule} cap={cap.label}",
        )
    answer = use.charge.cost - asked.prompt_tokens
    remedy = "shorten the prompt" + (f" or lower `{asked.output_field}`" if answer > 0 else "")
    return RequestNeverFitsError(
        f"This request needs about {use.charge.cost} tokens ({asked.prompt_tokens} for its prompt, "
        f"{max(answer, 0)} for its answer), and the rule {cap.rule} allows at "
        f"most {cap.capacity} at once; {remedy}.",
        detail=f"rule={cap.rule} cap={cap.label}",
    )


def refuse_for_now(use: Use, standing: Standing, now: float) -> DownstreamError:
    """The error for a request that will fit later; `now` is POSIX time."""
    cap, wait_s = use.cap, max(ceil(standing.wait_s - DUST_S), 1)
    headers = {"Retry-After": str(wait_s)}
    again = f"try again in {_say_wait(wait_s)}"
    if cap.counts_money and cap.calendar is not None:
        _, ends_at = cap.calendar.window(now)
        again = (
            "try again when an answer under way has ended, "
            f"or when the next {cap.unit} begins at {cap.calendar.say(ends_at)}"
        )
    if cap.kind is CounterKind.PLACES:
        again = "try again when one of them has ended"
    if cap.calendar is not None and standing.wait_s > SOON_S:
        again = f"the next {cap.unit} begins at {cap.calendar.say(now + standing.wait_s)}"
        headers |= NO_RETRY
    kind, sentence = _say_refusal(use, standing)
    return kind(
        f"{sentence}; {again}.",
        detail=f"rule={cap.rule} cap={cap.label} remaining={standing.remaining}",
        headers=headers,
    )


def refuse_the_rest(use: Use, standing: Standing, now: float) -> DownstreamError:
    """The error for an answer that used up what a rule had left; `now` is POSIX time."""
    cap, wait_s = use.cap, max(ceil(standing.wait_s - DUST_S), 1)
    kind, what = STOPS[cap.kind]
    again = f"the next tokens are there in {_say_wait(wait_s)}"
    if cap.calendar is not None:
        _, ends_at = cap.calendar.window(now)
        again = f"the next {cap.unit} begins at {cap.calendar.say(ends_at)}"
    return kind(
        f"The answer was stopped: it has used what the rule {cap.rule} had left of {what} "
        f"{cap.whom}; {again}.",
        detail=f"rule={cap.rule} cap={cap.label} remaining={standing.remaining}",
        headers={"Retry-After": str(wait_s)} | NO_RETRY,
    )


def refuse_blindly(rule: Rule) -> InternalError:
    """The error for a request that cannot be counted because Redis is down."""
    return LimitsUnavailableError(
        "The gateway cannot count requests just now, and does not let any in uncounted; "
        "try again in a moment.",
        detail=f"rule={rule.name}: the counters do not answer",
        headers=come_back(UNCOUNTED_S),
    )


def _say_refusal(use: Use, standing: Standing) -> tuple[type[DownstreamError], str]:
    cap, needed = use.cap, f"this request needs about {use.charge.cost}"
    rule = f"The rule {cap.rule}"
    match cap.kind:
        case CounterKind.REQUESTS:
            sentence = f"{rule} allows {_say_requests(cap)} a minute {cap.whom}"
            return RequestRateExceededError, sentence
        case CounterKind.TOKENS:
            sentence = f"{rule} allows {cap.written} tokens a minute {cap.whom}, and {needed}"
            return TokenRateExceededError, sentence
        case CounterKind.PLACES:
            sentence = f"{rule} allows {_say_requests(cap)} at a time {cap.whom}"
            return ConcurrencyExceededError, sentence
        case CounterKind.QUOTA:
            sentence = f"{rule} allows {cap.written} tokens a {cap.unit} {cap.whom}"
            left = f"{standing.remaining} are left, and {needed}"
            return TokenQuotaExceededError, f"{sentence}, {left}"
        case CounterKind.MONEY:
            sentence = f"{rule} allows {say_usd(cap.written)} a {cap.unit} {cap.whom}"
            left = f"{say_usd(standing.remaining)} are left, and this request may cost "
            return BudgetExceededError, f"{sentence}, {left}{say_usd(use.charge.cost)}"


def _say_requests(cap: Cap) -> str:
    return "1 request" if cap.written == 1 else f"{cap.written} requests"


def render_headers(
    uses: Sequence[Use], standings: Sequence[Standing], wording: "Wording | None" = None
) -> dict[str, str]:
    """The headers that say how much is left of all rules, except dry-run rules.

    OpenAI's headers hold one number each: that of the counter with the least left. `RateLimit` and
    `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11) list all counters. A counter that
    refuses says when there is more, and `Retry-After` is never earlier than that (section 6 there).
    Pass the `wording` of the caps in use if it is already known.
    """
    if wording is None:
        wording = word(tuple(map(_cap_of, uses)))
    if wording.told is not None:
        standings = [_find_tightest(standings, places) for places in wording.told]
    if not standings:
        return {}
    told: list[int] = []
    for one in standings:
        told.append(one.remaining)
        told.append(ceil((one.wait_s or one.reset_s) - DUST_S))
    headers: dict[str, str] = {
        RATE_LIMIT_POLICY: wording.policy,
        RATE_LIMIT: wording.template % tuple(told),
    }
    for names, place, others in wording.units:
        tightest = place
        for other in others:
            if standings[other].remaining < standings[tightest].remaining:
                tightest = other
        headers[names.limit] = wording.capacities[tightest]
        headers[names.remaining] = str(standings[tightest].remaining)
        headers[names.reset] = say_duration(standings[tightest].reset_s)
    return headers


_cap_of = attrgetter("cap")


class _Names(msgspec.Struct, frozen=True):
    """The names of OpenAI's three headers for one unit."""

    limit: istr
    remaining: istr
    reset: istr


_NAMES = {
    unit: _Names(*(istr(f"x-ratelimit-{what}-{unit}") for what in ("limit", "remaining", "reset")))
    for unit in ("requests", "tokens")
}


class Wording(msgspec.Struct, frozen=True):
    """The part of some caps' headers that does not depend on use; places are indexes of caps."""

    # The places of each cap that is not a dry run: a cap occurs several times if the caller is in
    # several groups. None if every cap occurs once and all are reported.
    told: Sequence[Sequence[int]] | None
    policy: str
    template: str  # for each its label, how much is left, and in how many seconds there is more
    capacities: Sequence[str]
    units: Sequence[tuple[_Names, int, Sequence[int]]]  # a unit's first cap, and the others


@lru_cache(maxsize=1_024)  # there are few combinations; saves 3 of 7 µs for four rules
def word(caps: tuple[Cap, ...]) -> Wording:
    """The wording of these caps, whatever has been used."""
    places_of: dict[Cap, list[int]] = {}
    for place, cap in enumerate(caps):
        if not cap.is_tried_out:
            places_of.setdefault(cap, []).append(place)
    shown = list(places_of)
    units = []
    for unit, names in _NAMES.items():
        places = [place for place, cap in enumerate(shown) if cap.unit == unit]
        if places:
            units.append((names, places[0], places[1:]))
    return Wording(
        told=None if len(shown) == len(caps) else list(places_of.values()),
        policy=", ".join([cap.policy for cap in shown]),
        template=", ".join([f'"{cap.label}";r=%d;t=%d' for cap in shown]),
        capacities=[str(cap.capacity) for cap in shown],
        units=units,
    )


def _find_tightest(standings: Sequence[Standing], places: Sequence[int]) -> Standing:
    """The counter of one cap with the longest wait, or else with the least left."""
    return max((standings[place] for place in places), key=lambda one: (one.wait_s, -one.remaining))


_MILLISECONDS = [f"{number}ms" for number in range(1001)]  # halves the cost of writing them


def say_duration(seconds: float) -> str:
    """A time as OpenAI writes it: 20ms, 1s, 6m0s."""
    if seconds < 1.0:
        return _MILLISECONDS[ceil((seconds - DUST_S) * 1000.0)] if seconds > 0.0 else "0ms"
    whole = ceil(seconds - DUST_S)
    minutes, seconds_left = divmod(whole, MINUTE)
    hours, minutes_left = divmod(minutes, MINUTE)
    if hours:
        return f"{hours}h{minutes_left}m{seconds_left}s"
    return f"{minutes}m{seconds_left}s" if minutes else f"{seconds_left}s"


def _say_wait(seconds: int) -> str:
    if seconds < 2 * MINUTE:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    if seconds < 2 * HOUR:
        return f"{ceil(seconds / MINUTE)} minutes"
    return f"{ceil(seconds / HOUR)} hours"
