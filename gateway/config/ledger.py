"""The block `ledger` of gateway.yaml: what is kept of each exchange, and what happens when not.

Rule: what is kept is on its way to the database of `stores`; here is only how it gets there.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt

from gateway.config.spec import Spec

GIBIBYTE = 1024 * 1024 * 1024


class LedgerSpec(Spec):
    """Who used what, and what it cost."""

    enabled: bool | None = Field(
        default=None,
        description="Whether it is kept. Unset: as soon as this block, `limits` or stored keys are "
        "written.",
    )
    journal: str = Field(
        default="gateway.journal",
        min_length=1,
        description="Directory for what is not in the database yet, from the directory of this "
        "file; on a local disk that survives a restart.",
    )
    fsync_ms: PositiveInt = Field(
        default=50,
        description="How much a power failure may take, in milliseconds. A killed process loses "
        "nothing.",
    )
    max_backlog_bytes: PositiveInt = Field(
        default=GIBIBYTE,
        description="Largest journal, while the database takes nothing; an exchange is about 1 KB.",
    )
    on_full: Literal["serve", "refuse"] = Field(
        default="serve",
        description="What happens to requests when nothing can be written: relayed and counted "
        "as unwritten, or answered 503.",
    )
    refusals_per_minute: NonNegativeInt = Field(
        default=0,
        description="Requests of known callers that are booked although they were refused or left "
        "before anything went to a provider; at most so many a minute, in each process.",
    )

    @property
    def directory(self) -> Path:
        """Where journals are."""
        return Path(self.journal)

    def placed_in(self, directory: Path) -> Self:
        """The same with the path as seen from this directory."""
        return self.model_copy(update={"journal": str(directory / self.journal)})
