"""The block `limits` of gateway.yaml: how much may be asked for, by whom, of what.

Rule: a rule that would limit nothing is a mistake, and so is a word that would have no effect.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    Discriminator,
    Field,
    NonNegativeInt,
    StringConstraints,
    Tag,
    field_validator,
    model_validator,
)

from gateway.config import forms
from gateway.config.mistakes import Mistake, refuse
from gateway.config.spec import Spec

Dimension = Literal["principal", "key", "tenant", "group", "address", "provider", "model"]
DimensionOrAll = Literal[
    "principal", "key", "tenant", "group", "address", "provider", "model", "everything"
]
# A number in a header has 15 digits at most (RFC 9651, section 3.3.1).
Count = Annotated[int, Field(gt=0, le=10**15 - 1)]
# Kept in millionths.
Usd = Annotated[Decimal, Field(gt=0, le=100_000_000, decimal_places=6)]
OnStoreFailure = Literal["local", "open", "closed"]
RuleName = Annotated[str, StringConstraints(pattern=forms.PROVIDER_NAME)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=256)]


def _form_of(written: object) -> str:
    """Say which member of a union is meant, so that its mistakes alone are reported."""
    return "several" if isinstance(written, list | tuple) else "one"


Words = Annotated[
    Annotated[Word, Tag("one")] | Annotated[tuple[Word, ...], Field(min_length=1), Tag("several")],
    Discriminator(_form_of),
]
Counted = Annotated[
    Annotated[DimensionOrAll, Tag("one")] | Annotated[tuple[Dimension, ...], Tag("several")],
    Discriminator(_form_of),
]

CAPS = (
    "requests_per_minute",
    "tokens_per_minute",
    "concurrent",
    "tokens_per_day",
    "tokens_per_month",
    "money_per_day",
    "money_per_month",
    "max_body_bytes",
    "max_output_tokens",
)
# What headers and counters call the money of a rule: its name, and this.
MONEY_SUFFIX = "-money"
# Those that a stream may run into on its way.
COUNTED_CAPS = tuple(cap for cap in CAPS if cap.startswith(("tokens_per_", "money_per_")))


class MatchSpec(Spec):
    """Which calls a rule is for; all that is written has to fit."""

    principal: Words | None = Field(
        default=None, description="Only these principals: one name or several."
    )
    key: Words | None = Field(default=None, description="Only gateway keys with these names.")
    tenant: Words | None = Field(default=None, description="Only principals of these tenants.")
    group: Words | None = Field(default=None, description="Only principals in one of these groups.")
    provider: Words | None = Field(default=None, description="Only these providers.")
    model: Words | None = Field(
        default=None, description="Only these models, by their id at the provider."
    )


class LimitSpec(Spec):
    """One rule. A cap that is left out is no cap."""

    name: RuleName = Field(
        description="The name of the rule in answers, headers, metrics and the log."
    )
    on: Counted = Field(
        description=(
            "What gets a count of its own, such as each principal or each model; for a "
            "list, each combination. `everything` is one count for all."
        )
    )
    match: MatchSpec = Field(
        default=MatchSpec(), description="Which calls the rule is for. Default: all."
    )
    requests_per_minute: Count | None = Field(
        default=None, description="Requests per minute, spread evenly."
    )
    request_burst: Count | None = Field(
        default=None,
        description="Requests allowed at once. Unset: `requests_per_minute`.",
    )
    tokens_per_minute: Count | None = Field(
        default=None, description="Tokens of prompts and answers per minute, spread evenly."
    )
    token_burst: Count | None = Field(
        default=None,
        description="Tokens allowed at once. Unset: `tokens_per_minute`.",
    )
    concurrent: Count | None = Field(
        default=None, description="Requests in progress at the same time."
    )
    tokens_per_day: Count | None = Field(
        default=None, description="Tokens per day, from midnight to midnight."
    )
    tokens_per_month: Count | None = Field(default=None, description="Tokens per calendar month.")
    money_per_day: Usd | None = Field(
        default=None,
        description=(
            "US dollars per day, such as `5` or `2.50`, at the prices in `providers.yaml`."
        ),
    )
    money_per_month: Usd | None = Field(default=None, description="US dollars per calendar month.")
    unpriced: Literal["refuse", "allow"] = Field(
        default="refuse",
        description=(
            "What a rule about money does with a model that has no price: refuse it, or "
            "let it through and book what the provider says it charged, which may be "
            "nothing."
        ),
    )
    time_zone: str = Field(
        default="UTC",
        description="Time zone in which days and months begin, such as `Europe/Paris`.",
    )
    reserve_output_tokens: NonNegativeInt = Field(
        default=1024,
        description=(
            "Tokens to reserve for an answer without a length limit, until its length is known."
        ),
    )
    stop_streams: bool = Field(
        default=False,
        description=(
            "Whether to end a stream when it has used up what the rule has left in tokens or money."
        ),
    )
    max_body_bytes: Count | None = Field(
        default=None, description="Largest request body; a larger one is answered 413."
    )
    max_output_tokens: Count | None = Field(
        default=None,
        description=(
            "Longest answer. A request for more is answered 400; one that asks for no "
            "length gets this one."
        ),
    )
    dry_run: bool = Field(
        default=False,
        description="Only count and log what the rule would refuse, and let it through.",
    )

    on_store_failure: OnStoreFailure = Field(
        default="local",
        description=(
            "While Redis is down: `local` allows this process its share of the limit, "
            "`open` allows everything, `closed` nothing (503)."
        ),
    )

    @field_validator("on")
    @classmethod
    def _counts_apart_once(cls, on: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not on:
            raise ValueError("is empty; write `everything` for one count for all")
        if isinstance(on, tuple):
            refuse(
                Mistake((place,), f"{what} is written twice; keep one")
                for place, what in enumerate(on)
                if what in on[:place]
            )
        return on

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, zone: str) -> str:
        if zone == "UTC":  # also where there is no database of time zones
            return zone
        try:
            ZoneInfo(zone)
        except (KeyError, OSError, ValueError):  # not found, a directory, a path
            if not available_timezones():
                raise ValueError(
                    "cannot be looked up, because this machine knows no time zones but UTC; "
                    "install its package tzdata, or `pip install tzdata`"
                ) from None
            raise ValueError(
                "is not a time zone that this machine knows; write one like Europe/Paris"
            ) from None
        return zone

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        refuse(self._find_idle_words())
        return self

    def _find_idle_words(self) -> Iterator[Mistake]:
        if all(getattr(self, cap) is None for cap in CAPS):
            yield Mistake((), f"sets no limit; write one of {', '.join(CAPS)}")
        for burst, rate in (
            ("request_burst", "requests_per_minute"),
            ("token_burst", "tokens_per_minute"),
        ):
            if getattr(self, burst) is not None and getattr(self, rate) is None:
                yield Mistake((burst,), f"needs `{rate}`", at_key=True)
        if "unpriced" in self.model_fields_set and not self.counts_money:
            message = "needs `money_per_day` or `money_per_month`"
            yield Mistake(("unpriced",), message, at_key=True)
        if self.stop_streams and not self.counts_money and not self.counts_tokens:
            message = f"needs one of {', '.join(COUNTED_CAPS)}"
            yield Mistake(("stop_streams",), message, at_key=True)

    @property
    def counts_tokens(self) -> bool:
        """Whether it limits tokens."""
        return any((self.tokens_per_minute, self.tokens_per_day, self.tokens_per_month))

    @property
    def counts_money(self) -> bool:
        """Whether it limits money."""
        return any((self.money_per_day, self.money_per_month))

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """What is counted apart; empty when it is everything together."""
        if isinstance(self.on, tuple):
            return self.on
        return () if self.on == "everything" else (self.on,)


def words_of(written: Words | None) -> frozenset[str] | None:
    """What was written, one or several, as a set; None when nothing was."""
    if written is None:
        return None
    return frozenset((written,) if isinstance(written, str) else written)
