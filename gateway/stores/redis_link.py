"""One connection to Redis, over which calls of one script are made.

The rule here: one task sends all calls in order and reads all their answers; a caller may leave at
any time. If Redis fails, only that task keeps trying. Meanwhile calls that need an answer fail at
once, and those that need none are kept for later.
"""

import asyncio
import contextlib
import hashlib
import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec
import structlog
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.exceptions import (
    AskError,
    AuthenticationError,
    NoScriptError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from gateway.config.stores import RedisAddress
from gateway.core.tasks import Tasks
from gateway.stores.errors import StoreDownError, StoreError

TIMEOUT_S = 0.25
"""What a batch of calls may take, and connecting where somebody waits for it."""

PROBE_TIMES = 4  # timeouts allowed for a probe, as no caller waits: it is five round trips

HELD_UP_S = 0.05  # a timer this late means that this process was stopped or overloaded
TRIES = 2
BATCH = 256
# Calls without an answer are sent with the next call that needs one, or after this time at the
# latest. That halves the number of batches.
TOLD_WITHIN_S = 0.005
KEPT = 50_000  # calls without an answer; beyond that the oldest are dropped
FIRST_PROBE_S = 0.25
LAST_PROBE_S = 5.0
PROBE_JITTER = 0.2  # so that not all processes try at once
ALL_BACK_S = LAST_PROBE_S * (1 + PROBE_JITTER) + PROBE_TIMES * TIMEOUT_S
"""After this every process has asked once more, if one has been answered."""

# If Redis goes down again before it was up for this long, we try less and less often.
PROVEN_S = 10.0
FOREVER = math.inf

State = Literal["up", "down", "probing"]
Argument = str | bytes | int

# Error answers about Redis itself and not about the call, by their first word: temporary ones, and
# those that waiting does not fix. Any other is a bug of ours. If a permission is missing inside a
# script, Valkey answers the first of the two sentences and Redis 7.0 the other.
_PASSING = (
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "OOM",
    "READONLY",
    "TRYAGAIN",
)
_LASTING = (
    "ASK ",  # a cluster at the stages of moving keys to another node
    "non local key",
    "MOVED",
    "NOAUTH",
    "NOPERM",
    "WRONGPASS",
    "WRONGTYPE",
    "unknown command",
    "ACL failure in script",
    "The user executing the script",
)
_ABOUT_REDIS = _PASSING + _LASTING
_NOT_KNOWN = object()  # stands for an answer: Redis does not know the script

_log = structlog.get_logger()


class _Call(msgspec.Struct, eq=False):
    """One call of the script."""

    operation: str
    arguments: Sequence[Argument]
    waiter: asyncio.Future[Any] | None  # None: it needs no answer
    now: str = ""
    was_sent: bool = False


class RedisLink:
    """Calls of one script on one Redis."""

    def __init__(
        self,
        address: RedisAddress,
        script: str,
        key: str,
        *,
        now: Callable[[], str] = str,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Make one; `now` gives the time for the script, empty for Redis's own clock."""
        self._timeout_s = timeout_s
        self._address = address
        self._script = script
        sha = hashlib.sha1(script.encode()).hexdigest()  # noqa: S324 - Redis names scripts by it
        self._head = b"".join(_pack(word) for word in ("EVALSHA", sha, 1, key))
        self._now = now
        self._tasks = Tasks(self._crashed)
        self._calls: deque[_Call] = deque()
        self._under_way: list[_Call] = []
        self._was_asked = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None  # set once the task runs
        self._due: asyncio.TimerHandle | None = None  # sends the calls without answer at the latest
        self._is_closing = asyncio.Event()
        self._connection: AbstractConnection | None = None
        self._probe_s = FIRST_PROBE_S
        self._up_since = 0.0
        self.state: State = "up"
        self.lost = 0  # calls that were kept and then dropped
        self._unsaid = 0  # how many of those are not in the log yet
        self._is_losing = False  # whether any were dropped since it last came back
        self.when_down: Callable[[str], None] = _ignore  # called with the reason
        self.when_up: Callable[[], None] = _ignore

    @property
    def is_up(self) -> bool:
        """Whether Redis is up, as far as we know."""
        return self.state == "up"

    @property
    def shown(self) -> str:
        """Redis's address without user and password."""
        return self._address.shown

    @property
    def kept(self) -> int:
        """How many calls have not been answered."""
        return len(self._calls)

    async def open(self, *, is_required: bool) -> None:
        """Connect; StoreError if that can never work, StoreDownError if it is down and required."""
        try:
            await self._probe()
        except (RedisError, OSError) as error:  # TimeoutError is one of OSError
            reason = _say(error)
            await self._hang_up()
            if isinstance(error, AuthenticationError | ResponseError) and not _has(error, _PASSING):
                raise StoreError(f"stores.counters: {self.shown} refuses: {reason}") from None
            if is_required:
                raise StoreDownError(
                    f"stores.counters: {self.shown} does not answer ({reason}). Start Redis first, "
                    "or write `stores: {require_counters: false}` to start without it."
                ) from None
            self._go_down(reason)
        self._speak()

    async def call(self, operation: str, *arguments: Argument) -> Any:  # noqa: ANN401 - its answer
        """Call the script and return its answer; StoreDownError if Redis does not answer."""
        if not self.is_up:
            raise StoreDownError(f"{self.shown} does not answer")
        self._speak()
        waiter = asyncio.get_running_loop().create_future()
        self._calls.append(_Call(operation, arguments, waiter, self._now()))
        self._was_asked.set()
        return await waiter

    def tell(self, operation: str, *arguments: Argument) -> None:
        """Queue a call that needs no answer; calls stay in order, and count once if sent again."""
        if len(self._calls) >= KEPT:
            self._give_up(self._calls.popleft())
        self._calls.append(_Call(operation, arguments, None, self._now()))
        if self._loop is not None and self._due is None:
            self._due = self._loop.call_later(TOLD_WITHIN_S, self._hurry)

    async def close(self) -> None:
        """Wait until queued calls are done, unless Redis is down; then disconnect."""
        self._is_closing.set()
        if self._due is not None:
            self._due.cancel()
        self._hurry()
        if self._calls and not len(self._tasks):
            self._speak()
        while not await self._tasks.wait(self._timeout_s):
            pass  # this ends: each batch has a deadline
        await self._hang_up()
        self._lose(len(self._calls))
        self._calls.clear()
        self._say_lost()

    def _hurry(self) -> None:
        self._due = None
        self._was_asked.set()

    def _speak(self) -> None:
        if not len(self._tasks):
            self._loop = asyncio.get_running_loop()
            self._tasks.spawn("speak_to_redis", self._run())

    async def _run(self) -> None:
        while True:
            if not self.is_up:
                if self._is_closing.is_set():
                    return
                await self._wait_and_probe()
            elif self._calls:
                self._under_way = self._next_batch()
                await self._send(self._under_way)
                self._under_way = []
            elif self._is_closing.is_set():
                return
            else:
                self._was_asked.clear()
                await self._was_asked.wait()

    def _next_batch(self) -> list[_Call]:
        batch: list[_Call] = []
        while self._calls and len(batch) < BATCH:
            call = self._calls.popleft()
            if call.waiter is None or not call.waiter.done():  # else its caller left
                batch.append(call)
        return batch

    async def _send(self, batch: list[_Call]) -> None:
        """Send a batch until it is answered, or note that Redis is down."""
        loop = asyncio.get_running_loop()
        left = batch
        tries = 0
        while left:
            tries += 1
            was_open = self._connection is not None
            deadline = loop.time() + self._timeout_s
            try:
                async with asyncio.timeout_at(deadline):
                    left = await self._exchange(left)
            except (RedisError, OSError) as error:
                await self._hang_up()
                # An idle connection may have been closed since, and if this process was held up, a
                # timeout proves nothing. Try once more on a new connection.
                is_stale = was_open and type(error) in {RedisConnectionError, ConnectionResetError}
                was_held_up = loop.time() > deadline + HELD_UP_S
                if tries == TRIES or not (is_stale or was_held_up):
                    self._calls.extendleft(reversed(left))
                    self._go_down(_say(error))
                    return

    async def _exchange(self, batch: list[_Call]) -> list[_Call]:
        """Send calls and deliver the answers; returns the calls that must be sent again."""
        connection = self._connection or await self._connect(self._timeout_s)
        packed = [self._command(call) for call in batch]
        for call in batch:
            call.was_sent = True
        await connection.send_packed_command(packed, check_health=False)
        answers = [await _read(connection) for _ in batch]
        again: list[_Call] = []
        failure: Any = None
        for call, answer in zip(batch, answers, strict=True):
            if answer is _NOT_KNOWN or _has(answer, _ABOUT_REDIS):
                call.was_sent = False  # Redis did not run it
                again.append(call)
                failure = failure if answer is _NOT_KNOWN else answer
            elif isinstance(answer, ResponseError):
                self._blame(call, answer)
            elif call.waiter is not None and not call.waiter.done():
                call.waiter.set_result(answer)
        batch[:] = again
        if failure is not None:
            raise failure
        if again:  # Redis was restarted, or its scripts were flushed
            await self._load(connection)
        return again

    def _command(self, call: _Call) -> bytes:
        """A call in Redis's protocol; redis-py takes 10 µs to write one, this takes 3."""
        arguments = (call.operation, call.now, "1" if call.was_sent else "", *call.arguments)
        pieces = [b"*%d\r\n" % (4 + len(arguments)), self._head]
        pieces += [_pack(argument) for argument in arguments]
        return b"".join(pieces)

    async def _connect(self, timeout_s: float) -> AbstractConnection:
        connection = _make_connection(self._address, timeout_s)
        self._connection = connection
        try:
            await connection.connect()  # type: ignore[no-untyped-call]  # it has none
        except RedisConnectionError as error:
            # On a Unix socket redis-py wraps the error of a wrong password in a connection error.
            if isinstance(error.__cause__, RedisError):
                raise error.__cause__ from None
            raise
        await self._load(connection)
        return connection

    async def _load(self, connection: AbstractConnection) -> None:
        await connection.send_command("SCRIPT", "LOAD", self._script, check_health=False)
        await connection.read_response(timeout=FOREVER)

    async def _probe(self) -> None:
        """Connect and write something; a read-only replica or a full Redis fails here."""
        async with asyncio.timeout(self._timeout_s * PROBE_TIMES):
            connection = await self._connect(self._timeout_s * PROBE_TIMES)
            command = self._command(_Call("probe", (), None))
            await connection.send_packed_command(command, check_health=False)
            await connection.read_response(timeout=FOREVER)

    async def _wait_and_probe(self) -> None:
        jitter = random.uniform(1 - PROBE_JITTER, 1 + PROBE_JITTER)  # noqa: S311 - no secret
        pause_s = self._probe_s * jitter
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_closing.wait(), pause_s)
            return
        self.state = "probing"
        await self._hang_up()
        try:
            await self._probe()
        except (RedisError, OSError):
            await self._hang_up()
            self.state = "down"
            self._probe_s = min(self._probe_s * 2, LAST_PROBE_S)
            return
        self.state = "up"
        self._up_since = asyncio.get_running_loop().time()
        self._say_lost()
        self._is_losing = False
        self.when_up()

    def _go_down(self, reason: str) -> None:
        was_up_s = asyncio.get_running_loop().time() - self._up_since
        if was_up_s >= PROVEN_S:
            self._probe_s = FIRST_PROBE_S
        else:
            self._probe_s = min(self._probe_s * 2, LAST_PROBE_S)
        self.state = "down"
        kept = [call for call in self._calls if call.waiter is None]
        waiters = [call.waiter for call in self._calls if call.waiter is not None]
        self._calls = deque(kept)
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(StoreDownError(f"{self.shown}: {reason}"))
        self.when_down(reason)

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(RedisError, OSError):
                await connection.disconnect(nowait=True)

    def _blame(self, call: _Call, error: ResponseError) -> None:
        """Fail one call that the script cannot handle; the others are not affected."""
        _log.error("counters.script_failed", operation=call.operation, error=str(error))
        if call.waiter is None:
            self._give_up(call)
        elif not call.waiter.done():
            call.waiter.set_exception(StoreDownError(f"{self.shown}: {error}"))

    def _give_up(self, call: _Call) -> None:
        if call.waiter is not None:
            if not call.waiter.done():
                call.waiter.set_exception(StoreDownError(f"{self.shown} has too much to do"))
            return
        self._lose(1)
        if not self._is_losing:  # when it is over there is a line for all others
            self._is_losing = True
            self._say_lost()

    def _lose(self, count: int) -> None:
        self.lost += count
        self._unsaid += count

    def _say_lost(self) -> None:
        if self._unsaid:
            _log.warning("counters.settlements_lost", redis=self.shown, count=self._unsaid)
        self._unsaid = 0

    def _crashed(self, task: str, error: BaseException) -> None:
        _log.error("task.crashed", task=task, exc_info=error)
        for call in self._under_way:  # one of them may be the cause, and would be again
            self._give_up(call)
        self._go_down("a mistake of ours")
        if not self._is_closing.is_set():
            self._speak()


def _ignore(*_: object) -> None:
    """Do nothing."""


def _make_connection(address: RedisAddress, timeout_s: float) -> AbstractConnection:
    """A connection without redis-py's own retries, which are ten attempts of five seconds each."""
    password = address.password
    shared: dict[str, Any] = {
        "db": address.database,
        "username": address.user,
        "password": None if password is None else password.get_secret_value(),
        "socket_connect_timeout": timeout_s,
        # No timeout per read: the sending task has a deadline for the whole batch.
        "socket_timeout": None,
        "health_check_interval": 0,
        "retry": None,
        "protocol": 2,
        "driver_info": None,
    }
    if address.path is not None:
        return UnixDomainSocketConnection(path=address.path, **shared)
    kind = SSLConnection if address.is_tls else Connection
    return kind(host=address.host, port=address.port, **shared)


async def _read(connection: AbstractConnection) -> Any:  # noqa: ANN401 - whatever was asked for
    try:
        return await connection.read_response(timeout=FOREVER)
    except NoScriptError:
        return _NOT_KNOWN
    except ResponseError as error:
        return error


def _pack(argument: Argument) -> bytes:
    text = argument if type(argument) is bytes else str(argument).encode()
    return b"$%d\r\n%b\r\n" % (len(text), text)


def _has(answer: object, words: Iterable[str]) -> bool:
    """Whether an answer is an error with one of these words.

    In Redis 6 the word is in the middle if a script failed because of it.
    """
    if not isinstance(answer, RedisError):
        return False
    text = f"{answer.status_code} {answer}"
    return any(word in text for word in words)


def _say(error: BaseException) -> str:
    """The reason, in our words or Redis's; neither contains the password."""
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return "it did not answer in time"
    if isinstance(error, AskError):  # MOVED is one; unclear without its first word
        return f"{error.status_code} {error}"
    return str(error) or type(error).__name__
