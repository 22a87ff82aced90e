"""The block `overload` of gateway.yaml: when the gateway lets in less than is asked for.

Rule: the defaults are for a process that has its core to itself; nothing here ends an answer.
"""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from gateway.config.spec import Spec

Share = Annotated[float, Field(gt=0, le=1)]


class OverloadSpec(Spec):
    """When less is let in than is asked for."""

    enabled: bool = Field(
        default=True,
        description="Whether it is looked at how the process fares. `max_in_flight` holds anyway.",
    )
    max_in_flight: PositiveInt = Field(
        default=10_000, description="Most requests for answers at a time, in each process."
    )
    max_lag_s: PositiveFloat = Field(
        default=0.25,
        description="How late the event loop may be. Where it is two fifths "
        "of that for a second, less is let in.",
    )
    max_memory_share: Share = Field(
        default=0.85,
        description="Of the memory of the machine or container, divided by the workers.",
    )
    max_files_share: Share = Field(
        default=0.8, description="Of the files that the process may have open."
    )
