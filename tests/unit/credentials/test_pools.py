"""Which exchange holds which credential, from its first attempt to its end."""

import pytest
import structlog

from gateway.config.registry import Provider
from gateway.core.dialect import Dialect
from gateway.core.errors import CredentialsRefusedError, CredentialsRestingError
from gateway.core.exchange import Exchange, Outcome
from gateway.core.upstream_errors import UpstreamAnswerError, UpstreamConnectError
from gateway.credentials.pools import Pools
from gateway.plugins.keys import Call
from tests.unit.credentials.conftest import Hand, answer, credentials_of


def limited() -> UpstreamAnswerError:
    """A 429; the pool changes what it says of waiting."""
    return answer(429, retry_after="10")


def refused() -> UpstreamAnswerError:
    """A 401."""
    return answer(401)


class Desk:
    """Pools of two providers, and exchanges with them."""

    def __init__(self) -> None:
        self.hand = Hand()
        self.pools = Pools(
            {"groq": credentials_of(3), "lone": credentials_of(1)}, self.hand.clock, self.hand.wall
        )

    def call(self, provider: str = "groq", model: str = "m", retries: int = 2) -> Call:
        """A call to a provider."""
        entry = Provider(name=provider, base_url="https://llm.example.org/v1", retries=retries)
        return Call(Dialect.OPENAI, entry, model, stream=False, wants_usage=False)

    def open(self) -> Exchange:
        """An exchange that gives back what it took when it is settled."""
        return Exchange("r", 0.0, "POST", "/", "unix", (self.pools.settle,), Dialect.OPENAI)

    def take_all(self, call: Call) -> list[Exchange]:
        """Three exchanges, of which each has a credential of its own."""
        exchanges = [self.open() for _ in range(3)]
        for exchange in exchanges:
            self.pools.take(exchange, call)
        return exchanges

    def loads(self) -> list[int]:
        """Requests in flight on each."""
        return [standing.in_flight for standing in self.pools.standings()]


@pytest.fixture
def desk() -> Desk:
    """Three credentials for `groq`, one for `lone`."""
    return Desk()


def test_a_credential_is_held_until_its_exchange_is_settled(desk: Desk) -> None:
    """Once, whoever notices the end."""
    exchange = desk.open()

    credential = desk.pools.take(exchange, desk.call())

    assert credential is not None
    assert exchange.credential_id == credential.id == "K0"
    assert (desk.loads(), desk.pools.held) == ([1, 0, 0, 0], 1)
    exchange.settle(Outcome.CLIENT_GONE, at=1.0)
    exchange.settle(Outcome.FINISHED, at=2.0)
    desk.pools.settle(exchange)
    assert (desk.loads(), desk.pools.held) == ([0, 0, 0, 0], 0)


def test_whoever_asks_twice_holds_one(desk: Desk) -> None:
    """A middleware that calls its handler again must not leak a place."""
    exchange = desk.open()

    desk.pools.take(exchange, desk.call())
    desk.pools.take(exchange, desk.call())

    assert sum(desk.loads()) == 1


def test_a_provider_without_credentials_has_no_pool(desk: Desk) -> None:
    """A server in the same room, for one; nothing is held, and nothing blamed."""
    exchange, call = desk.open(), desk.call("free")

    assert desk.pools.take(exchange, call) is None
    assert desk.pools.note_failure(exchange, call, limited()) is None
    desk.pools.note_success(exchange, call)
    assert desk.pools.take_again(exchange, call) is None
    assert desk.pools.held == 0


def test_a_further_attempt_shows_another_one(desk: Desk) -> None:
    """At once, and the load goes with it."""
    exchange, call = desk.open(), desk.call()
    desk.pools.take(exchange, call)

    wait_s = desk.pools.note_failure(exchange, call, limited())
    credential = desk.pools.take_again(exchange, call)

    assert wait_s == 0.0
    assert credential is not None
    assert (credential.id, exchange.credential_id) == ("K1", "K1")
    assert desk.loads() == [0, 1, 0, 0]


def test_after_a_failure_that_is_not_its_own_the_same_one_is_shown(desk: Desk) -> None:
    """Nothing is rendered anew for a connection that broke."""
    exchange, call = desk.open(), desk.call()
    first = desk.pools.take(exchange, call)

    assert desk.pools.note_failure(exchange, call, UpstreamConnectError("No.")) is None
    assert desk.pools.take_again(exchange, call) is first


def test_what_others_found_out_meanwhile_counts_for_a_further_attempt(desk: Desk) -> None:
    """A request that waits before it tries again should not show what was revoked meanwhile."""
    waiting, other, call = desk.open(), desk.open(), desk.call()
    first = desk.pools.take(waiting, call)
    for _ in range(2):
        desk.pools.take(desk.open(), call)
    desk.pools.take(other, call)
    assert other.credential_id == waiting.credential_id

    desk.pools.note_failure(other, call, answer(401))

    assert desk.pools.take_again(waiting, call) is not first


def test_the_only_credential_is_shown_again(desk: Desk) -> None:
    """The usual rules for further attempts are for the provider's own word."""
    exchange, call = desk.open(), desk.call("lone")
    first = desk.pools.take(exchange, call)
    error = answer(429, retry_after="10", x_ratelimit_limit="5")

    assert desk.pools.note_failure(exchange, call, error) is None
    assert desk.pools.take_again(exchange, call) is first
    assert error.headers["retry-after"] == "10"


def test_the_time_that_a_caller_is_told_is_that_of_the_whole_pool(desk: Desk) -> None:
    """The last one that was asked may be the last one to come back."""
    call = desk.call()
    errors = []
    for seconds in ("30.5", "12", "60"):
        exchange = desk.open()
        desk.pools.take(exchange, call)
        error = answer(429, retry_after=seconds, retry_after_ms="1", x_ratelimit_limit="5")
        error.headers = {**error.headers, "retry-after-ms": f"{float(seconds) * 1000:g}"}
        errors.append(error)
        desk.pools.note_failure(exchange, call, error)

    assert errors[-1].headers == {"retry-after": "12", "x-ratelimit-limit": "5"}


@pytest.mark.parametrize("status", [401, 402])
def test_a_refused_one_does_not_hide_that_another_rests(desk: Desk, status: int) -> None:
    """Who comes again in time is served, so a caller is told when."""
    call = desk.call()
    exchanges = desk.take_all(call)
    desk.pools.note_failure(exchanges[0], call, answer(429, retry_after="7"))
    desk.pools.note_failure(exchanges[1], call, answer(status))
    last = answer(status)
    desk.pools.note_failure(exchanges[2], call, last)

    told = desk.pools.explain_last(exchanges[2], call, last)

    assert isinstance(told, CredentialsRestingError)
    assert told.headers["Retry-After"] == last.headers["retry-after"] == "7"


def test_what_is_no_refusal_of_one_among_others_is_told_as_it_is(desk: Desk) -> None:
    """Nor one after which another could be shown, or none rests."""
    lone, one, two, three = (desk.open() for _ in range(4))
    desk.pools.take(lone, desk.call("lone"))
    call, gone = desk.call(), answer(401)
    for exchange in (one, two, three):
        desk.pools.take(exchange, call)
    desk.pools.note_failure(lone, desk.call("lone"), gone)
    assert desk.pools.explain_last(lone, desk.call("lone"), gone) is None
    assert desk.pools.explain_last(desk.open(), call, gone) is None

    desk.pools.note_failure(one, call, gone)
    assert desk.pools.explain_last(one, call, gone) is None  # two more are well
    desk.pools.note_failure(two, call, gone)
    desk.pools.note_failure(three, call, gone)
    assert desk.pools.explain_last(three, call, gone) is None  # none of them rests
    assert desk.pools.explain_last(three, call, UpstreamConnectError("No.")) is None
    assert desk.pools.explain_last(three, call, limited()) is None


def test_what_is_no_refusal_is_told_as_it_is_where_all_rest(desk: Desk) -> None:
    """It is what happened to this caller; that the others rest is for whoever comes next."""
    call = desk.call()
    exchanges = desk.take_all(call)
    for exchange in exchanges:
        desk.pools.note_failure(exchange, call, limited())

    assert desk.pools.explain_last(exchanges[2], call, limited()) is None
    assert desk.pools.explain_last(exchanges[2], call, UpstreamConnectError("No.")) is None


def test_what_can_be_waited_for_is_said(desk: Desk) -> None:
    """A refused credential is worth a moment's wait when another one is about to be free."""
    call = desk.call()
    exchanges = desk.take_all(call)
    desk.pools.note_failure(exchanges[0], call, answer(401))
    desk.pools.note_failure(exchanges[1], call, answer(429, retry_after="2"))

    assert desk.pools.note_failure(exchanges[2], call, answer(401)) == 2.0


def test_none_that_can_be_shown_is_an_error_and_holds_nothing(desk: Desk) -> None:
    """Before limits are asked and anything is sent."""
    call = desk.call()
    for kind, make in ((CredentialsRestingError, limited), (CredentialsRefusedError, refused)):
        for _ in range(3):
            exchange = desk.open()
            desk.pools.take(exchange, call)
            desk.pools.note_failure(exchange, call, make())
            exchange.settle(Outcome.UPSTREAM_FAILED, at=1.0)
        late = desk.open()

        with pytest.raises(kind):
            desk.pools.take(late, call)

        assert (late.credential_id, desk.pools.held) == ("", 0)
        desk.hand.now += 10.0


def test_a_further_attempt_that_finds_none_holds_nothing(desk: Desk) -> None:
    """Others may have been faster."""
    call = desk.call()
    exchanges = desk.take_all(call)
    for exchange in exchanges:
        desk.pools.note_failure(exchange, call, limited())

    with pytest.raises(CredentialsRestingError):
        desk.pools.take_again(exchanges[0], call)

    assert desk.pools.held == 2


def test_a_further_attempt_tries_no_refused_one_while_another_works(desk: Desk) -> None:
    """Nobody knows whether there will be yet another attempt."""
    refused_one, exchange = desk.open(), desk.open()
    desk.pools.take(refused_one, desk.call())
    desk.pools.note_failure(refused_one, desk.call(), answer(401))
    refused_one.settle(Outcome.UPSTREAM_FAILED, at=1.0)
    desk.pools.take(exchange, desk.call())
    desk.pools.note_failure(exchange, desk.call(), limited())
    desk.hand.now += 600.0
    desk.pools.note_failure(exchange, desk.call(), limited())

    desk.pools.take_again(exchange, desk.call())

    assert exchange.credential_id == "K2"


def test_only_who_has_a_further_attempt_tries_a_refused_one(desk: Desk) -> None:
    """`retries: 0` asks for no risk."""
    exchange = desk.open()
    desk.pools.take(exchange, desk.call())
    desk.pools.note_failure(exchange, desk.call(), answer(401))
    desk.hand.now += 600.0

    careful, brave = desk.open(), desk.open()
    desk.pools.take(careful, desk.call(retries=0))
    desk.pools.take(brave, desk.call(retries=1))

    assert (careful.credential_id, brave.credential_id) == ("K1", "K0")
    desk.pools.note_success(brave, desk.call())
    assert next(desk.pools.standings()).state == "ok"


def test_each_change_of_state_is_one_line_without_the_credential(desk: Desk) -> None:
    """What an operator is told, and what an alert is written on."""
    call = desk.call()
    exchanges = [desk.open() for _ in range(6)]
    for exchange in exchanges:
        desk.pools.take(exchange, call)

    with structlog.testing.capture_logs() as lines:
        for exchange, error in zip(
            exchanges, (limited(), answer(402), answer(401)) * 2, strict=True
        ):
            desk.pools.note_failure(exchange, call, error)
        desk.hand.now += 10.0
        list(desk.pools.standings())

    assert [(line["event"], line["log_level"], line["credential_id"]) for line in lines] == [
        ("credential.rested", "info", "K0"),
        ("credential.spent", "warning", "K1"),
        ("credential.set_aside", "warning", "K2"),
        ("credential.recovered", "info", "K0"),
    ]
    assert lines[0]["for_s"] == 10.0
    assert (lines[2]["provider"], lines[2]["status"]) == ("groq", 401)
    assert lines[2]["error_code"] == "upstream_credential_rejected"
    assert "sk-" not in repr(lines)


def test_an_operator_may_say_that_a_credential_is_well(desk: Desk) -> None:
    """Who has mended it at the provider need not wait, nor restart."""
    exchanges = [desk.open() for _ in range(3)]
    for exchange, error in zip(exchanges, (refused(), limited(), answer(402)), strict=True):
        desk.pools.take(exchange, desk.call())
        desk.pools.note_failure(exchange, desk.call(), error)

    assert desk.pools.restore("groq", "K0") == ["K0"]
    assert desk.pools.restore("groq", "K0") == []
    assert [one.state for one in desk.pools.standings()] == ["ok", "resting", "spent", "ok"]
    assert desk.pools.restore("groq", None) == ["K1", "K2"]
    assert [one.state for one in desk.pools.standings()] == ["ok"] * 4

    nexts = [desk.open() for _ in range(3)]
    for exchange in nexts:
        desk.pools.take(exchange, desk.call())
    assert sorted(exchange.credential_id for exchange in nexts) == ["K0", "K1", "K2"]


def test_a_credential_that_is_not_there_is_not_restored(desk: Desk) -> None:
    """A typing error is said."""
    assert desk.pools.restore("groq", "K9") is None
    assert desk.pools.restore("none", None) is None
