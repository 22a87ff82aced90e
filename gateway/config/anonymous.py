"""The entry `anonymous` of `auth`: callers that show nothing, and how much they may ask for.

Rule: whoever lets in everybody writes down how much that may be.
"""

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from gateway.config.limit_rules import Count, LimitSpec, Usd
from gateway.config.spec import Spec

TOGETHER = "anonymous"  # names of rules, as answers and metrics show them
EACH_ADDRESS = "anonymous-address"
LINE = (
    "{kind: anonymous, requests_per_minute: 60, concurrent: 10, "
    "per_address: {requests_per_minute: 10, concurrent: 2}}"
)


class AnonymousLimitSpec(LimitSpec):
    """A rule for those who show nothing, whatever others are called."""


class AnonymousLimits(Spec):
    """How much may be asked for by those who show nothing."""

    requests_per_minute: Count | None = Field(
        default=None, description="Requests per minute, spread evenly."
    )
    concurrent: Count | None = Field(
        default=None, description="Requests in progress at the same time."
    )
    tokens_per_minute: Count | None = Field(
        default=None, description="Tokens of prompts and answers per minute, spread evenly."
    )
    tokens_per_day: Count | None = Field(
        default=None, description="Tokens per day, from midnight to midnight UTC."
    )
    money_per_day: Usd | None = Field(
        default=None, description="US dollars per day, from midnight to midnight UTC."
    )

    def make_rule(self, name: str, on: Literal["everything", "address"]) -> LimitSpec:
        """The rule that these numbers are."""
        caps = {cap: getattr(self, cap) for cap in AnonymousLimits.model_fields}
        return AnonymousLimitSpec.model_validate({"name": name, "on": on, **caps})


class AddressLimits(AnonymousLimits):
    """The same for each address."""

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if not any(getattr(self, cap) for cap in AnonymousLimits.model_fields):
            raise ValueError(f"sets no limit; write one of {', '.join(type(self).model_fields)}")
        return self


class _Kind(Spec):
    """What comes first in the entry."""

    kind: Literal["anonymous"] = Field(
        description=(
            "Everybody, without a key. The limits are for all of them together; "
            "`requests_per_minute` and `concurrent` are required."
        )
    )


class AnonymousAuth(AnonymousLimits, _Kind):
    """Callers that show nothing; the numbers beside `kind` are for all of them together."""

    # For editors; whoever leaves one out is told why it is needed.
    model_config = ConfigDict(
        json_schema_extra={"required": ["kind", "requests_per_minute", "concurrent"]}
    )

    per_address: AddressLimits | None = Field(
        default=None,
        description="What each address may ask for of that; of IPv6 each network of 64 bits.",
    )

    @property
    def rules(self) -> tuple[LimitSpec, ...]:
        """The rules that this entry brings along."""
        together = self.make_rule(TOGETHER, "everything")
        if self.per_address is None:
            return (together,)
        return together, self.per_address.make_rule(EACH_ADDRESS, "address")

    @model_validator(mode="after")
    def _has_limits_of_its_own(self) -> Self:
        if self.requests_per_minute is None or self.concurrent is None:
            raise ValueError(
                "lets in everybody, so it needs `requests_per_minute` and `concurrent`; "
                f"write {LINE}"
            )
        return self
