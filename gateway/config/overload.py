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
        description=(
            "Whether to watch the load of the process. `max_in_flight` applies in any case."
        ),
    )
    max_in_flight: PositiveInt = Field(
        default=10_000, description="Most requests in progress at a time, in each process."
    )
    max_lag_s: PositiveFloat = Field(
        default=0.25,
        description=(
            "How far the event loop may lag. If it lags by two fifths of that for a "
            "second, fewer requests are admitted."
        ),
    )
    max_memory_share: Share = Field(
        default=0.85,
        description=(
            "Share of the memory of the machine or container, divided among the workers, "
            "above which requests are refused."
        ),
    )
    max_files_share: Share = Field(
        default=0.8,
        description=(
            "Share of the files that the process may open, above which requests are refused."
        ),
    )
