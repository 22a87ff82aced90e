"""One downstream request and its outcome.

The rule here: an exchange is settled exactly once. `settle` is idempotent, and whoever
notices the end first (handler, upstream connection, deadline, shutdown) calls it; the
observers run then, never again.
"""

import asyncio
import enum
from collections.abc import Callable

import msgspec
from pydantic import SecretStr

from gateway.core.attempts import AttemptRecord
from gateway.core.content import Content
from gateway.core.cost import Cost, Price, price_usage
from gateway.core.dialect import Dialect
from gateway.core.errors import GatewayError
from gateway.core.identity import Principal
from gateway.core.trace import Trace
from gateway.core.usage import Usage

# What is read beside the bytes that came, and what is written and thought: no model does more.
UNSEEN_TOKENS = 200_000


class Outcome(enum.StrEnum):
    """How an exchange ended; a closed list."""

    FINISHED = "finished"
    CLIENT_GONE = "client_gone"
    UPSTREAM_FAILED = "upstream_failed"
    POLICY_STOPPED = "policy_stopped"
    REJECTED = "rejected"
    LOST = "lost"


Observer = Callable[["Exchange"], None]


class Exchange(msgspec.Struct, eq=False):
    """The record of one downstream request, filled in as it goes through the chain.

    Times are seconds of `core.clock.monotonic`.
    """

    request_id: str
    started_at: float
    method: str
    path: str
    client_address: str
    observers: tuple[Observer, ...]
    dialect: Dialect = Dialect.TEXT
    principal: Principal | None = None
    provider: str = ""
    model: str = ""
    credential_id: str = ""  # which credential the provider was shown
    credential_version: int = 0  # which value of a stored one; 0: not one of those
    credential_secret: SecretStr | None = (
        None  # a caller's own, which must not stand in a line about it
    )
    is_at_callers_address: bool = False  # what answers there may say anything, also of usage
    stream: bool = False
    status: int = 0
    outcome: Outcome | None = None
    error_code: str = ""
    error_detail: str = ""
    refused_by: str = ""  # the rule of `limits` that refused it
    would_refuse: tuple[str, ...] = ()  # rules that are tried out and would have
    attempts: int = 0
    attempt_records: list[AttemptRecord] = []
    bytes_in: int = 0
    bytes_out: int = 0
    chunks: int = 0
    prompt_tokens: int = 0  # estimated, for attempts that nobody counts
    price: Price | None = None  # of the model that is asked, as it was when the request came
    usage: Usage | None = None  # of all attempts that are billed, together
    cost: Cost | None = None  # of that, at our price
    spent_micros: int | None = None  # the same as it is booked: the provider's word before ours
    ending: Outcome | None = None  # what it will be settled as, once its response is out
    detached: bool = False  # the caller left and the answer is read to its end: the relay settles
    upstream_request_id: str = ""
    upstream_started_at: float = 0.0  # the request of the last attempt went out
    waited_s: float = 0.0  # until then, for others: the caller's body, a connection to be opened
    upstream_headed_at: float = 0.0  # its status line arrived
    first_content_at: float = 0.0  # its first content arrived
    first_relayed_at: float = 0.0  # that content was written downstream
    last_content_at: float = 0.0  # its last content arrived, or a wait for the caller ended
    longest_gap_s: float = 0.0  # between two pieces of it, or the last and where it was cut
    held_back_s: float = 0.0  # of all gaps: waits for a caller who did not keep up
    upstream_ended_at: float = 0.0
    ended_at: float = 0.0
    labels: dict[str, str] = {}  # what plugins add to the log line
    trace: Trace | None = None  # where it stands in one, while there is tracing
    content: Content | None = None  # what is said, where that is logged

    def note_attempt(self, record: AttemptRecord) -> None:
        """Another attempt begins."""
        self.attempts += 1
        self.attempt_records.append(record)

    def take_back_attempt(self) -> None:
        """The attempt that was noted last is not made."""
        self.attempts -= 1
        self.attempt_records.pop()

    def note_failed_attempt(self, error: GatewayError, *, at: float) -> None:
        """The last attempt has failed; another may follow."""
        record = self.attempt_records[-1]
        record.note_error(error)
        record.ended_at = record.ended_at or at

    def note_usage(self, usage: Usage) -> None:
        """Count what one attempt is billed for; to be called once for each attempt."""
        usage = self.believe(usage)
        cost = price_usage(usage, self.price)
        spent = usage.provider_cost_micros
        if spent is None and cost is not None:
            spent = cost.micros
        if spent is not None:
            self.spent_micros = (self.spent_micros or 0) + spent
        if cost is not None:
            self.cost = cost if self.cost is None else self.cost.plus(cost)
        if self.attempt_records:
            record = self.attempt_records[-1]
            record.usage, record.cost = usage, cost
        self.usage = usage if self.usage is None else self.usage.plus(usage)

    def believe(self, usage: Usage) -> Usage:
        """The same, from a caller's own address no more than can be."""
        if self.is_at_callers_address:
            return usage.at_most(self.bytes_in + UNSEEN_TOKENS, UNSEEN_TOKENS)
        return usage

    def note_would_refuse(self, rule: str) -> None:
        """A rule that is tried out would have refused this, or stopped it; each is named once."""
        if rule not in self.would_refuse:
            self.would_refuse += (rule,)

    def settle(self, outcome: Outcome, *, at: float) -> bool:
        """Fix the outcome and tell the observers; False when that was done before."""
        if self.outcome is not None:
            return False
        self.outcome = outcome
        self.ended_at = at
        for observe in self.observers:
            try:
                observe(self)
            except Exception as error:  # noqa: BLE001 - observation fails open, and aloud
                report_failure(error)
        return True


def report_failure(error: Exception) -> None:
    """Say that an observer failed; it keeps nobody else from hearing."""
    asyncio.get_running_loop().call_exception_handler(
        {"message": "An observer of exchanges failed", "exception": error}
    )
