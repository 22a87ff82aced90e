"""One downstream request and its outcome.

The rule here: an exchange is settled exactly once. Whoever notices the end first (handler, upstream
connection, deadline, shutdown) calls `settle`, which runs the observers; later calls do nothing.
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

# Tokens that may be used without being visible in the bytes: read besides the request's body, or
# written as hidden reasoning. No model uses more.
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
    """The record of one downstream request, filled in as it passes through the chain.

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
    credential_id: str = ""  # the credential that the provider was sent
    credential_version: int = 0  # identifies the value of a stored one; 0: not stored
    credential_secret: SecretStr | None = (
        None  # a caller's own, which must not appear in a log line
    )
    is_at_callers_address: bool = False  # the answering server is not trusted, not even about usage
    stream: bool = False
    status: int = 0
    outcome: Outcome | None = None
    error_code: str = ""
    error_detail: str = ""
    refused_by: str = ""  # the rule of `limits` that refused it
    would_refuse: tuple[str, ...] = ()  # dry-run rules that would have refused it
    attempts: int = 0
    attempt_records: list[AttemptRecord] = []
    bytes_in: int = 0
    bytes_out: int = 0
    chunks: int = 0
    prompt_tokens: int = 0  # estimated, for attempts without a provider's count
    price: Price | None = None  # the model's price when the request arrived
    usage: Usage | None = None  # the sum over all billed attempts
    cost: Cost | None = None  # the cost of that usage, at our price
    spent_micros: int | None = None  # what is booked: the provider's cost if it names one
    ending: Outcome | None = None  # how it will be settled once its response is sent
    detached: bool = False  # the caller left, the answer is read on, and the relay settles it
    upstream_request_id: str = ""
    upstream_started_at: float = 0.0  # when the last attempt's request was sent
    waited_s: float = 0.0  # time before that spent waiting: for the body, for a new connection
    upstream_headed_at: float = 0.0  # when its status line arrived
    first_content_at: float = 0.0  # when its first content arrived
    first_relayed_at: float = 0.0  # when that content was written downstream
    last_content_at: float = 0.0  # when content last arrived, or a wait for the caller ended
    longest_gap_s: float = 0.0  # between two pieces of content, or the last one and a cut
    held_back_s: float = 0.0  # total time spent waiting for a caller who did not keep up
    upstream_ended_at: float = 0.0
    ended_at: float = 0.0
    labels: dict[str, str] = {}  # what plugins add to the log line
    trace: Trace | None = None  # its place in a trace, if tracing is on
    content: Content | None = None  # its text, if that is logged

    def note_attempt(self, record: AttemptRecord) -> None:
        """Note that another attempt begins."""
        self.attempts += 1
        self.attempt_records.append(record)

    def take_back_attempt(self) -> None:
        """Undo the last `note_attempt`: that attempt is not made."""
        self.attempts -= 1
        self.attempt_records.pop()

    def note_failed_attempt(self, error: GatewayError, *, at: float) -> None:
        """Note that the last attempt has failed; another may follow."""
        record = self.attempt_records[-1]
        record.note_error(error)
        record.ended_at = record.ended_at or at

    def note_usage(self, usage: Usage) -> None:
        """Add what one attempt is billed for; called once for each attempt."""
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
        """The usage, limited to what is possible if it comes from a caller's own address."""
        if self.is_at_callers_address:
            return usage.at_most(self.bytes_in + UNSEEN_TOKENS, UNSEEN_TOKENS)
        return usage

    def note_would_refuse(self, rule: str) -> None:
        """Note that a dry-run rule would have refused or stopped this; each is named once."""
        if rule not in self.would_refuse:
            self.would_refuse += (rule,)

    def settle(self, outcome: Outcome, *, at: float) -> bool:
        """Fix the outcome and tell the observers; False if that was already done."""
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
    """Report that an observer failed; the other observers are still told."""
    asyncio.get_running_loop().call_exception_handler(
        {"message": "An observer of exchanges failed", "exception": error}
    )
