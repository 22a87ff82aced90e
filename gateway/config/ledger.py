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
        description=(
            "Whether there is a ledger. Unset: if this block, `limits` or stored keys are "
            "configured."
        ),
    )
    journal: str = Field(
        default="gateway.journal",
        min_length=1,
        description=(
            "Directory for what is not in the database yet, relative to this file; it "
            "must be on a local disk that survives a restart."
        ),
    )
    fsync_ms: PositiveInt = Field(
        default=50,
        description=(
            "How many milliseconds of entries a power failure may lose. A killed process "
            "loses nothing."
        ),
    )
    max_backlog_bytes: PositiveInt = Field(
        default=GIBIBYTE,
        description=(
            "Largest size of the journal while the database cannot be written; an "
            "exchange takes about 1 KB."
        ),
    )
    on_full: Literal["serve", "refuse"] = Field(
        default="serve",
        description=(
            "What happens to requests when nothing can be written: `serve` relays them "
            "and counts them as unwritten, `refuse` answers 503."
        ),
    )
    refusals_per_minute: NonNegativeInt = Field(
        default=0,
        description=(
            "How many requests per minute and process to book although they ended before "
            "anything was sent to a provider: those of known callers that were refused or "
            "hung up."
        ),
    )

    @property
    def directory(self) -> Path:
        """Where journals are."""
        return Path(self.journal)

    def placed_in(self, directory: Path) -> Self:
        """The same with the path as seen from this directory."""
        return self.model_copy(update={"journal": str(directory / self.journal)})
