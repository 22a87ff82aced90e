"""The keys that tokens of one issuer are signed with.

The rule here: an issuer is asked seldom, by one request at a time, and however many strange tokens
arrive. What it answered last counts until it answers again, for a bounded time; and where a key
might be there and cannot be fetched, nobody is told that a token is wrong.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import jwt
import structlog
from pydantic import SecretStr

from gateway.auth.fetching import FetchError, Jwk
from gateway.core.clock import Clock, monotonic
from gateway.core.errors import AuthUnavailableError
from gateway.core.retry_after import come_back
from gateway.core.tasks import Tasks

FRESH_S = 600.0  # then they have to be fetched again
RENEW_S = 480.0  # from here on that is done beside a request, so that none waits
STALE_S = 3600.0  # and this long they count while that fails
REFETCH_S = 60.0  # at most this often for a key that is not there
RETRY_S = 5.0  # after a failure

Key = jwt.PyJWK | bytes
Fetch = Callable[[], Awaitable[Sequence[Jwk]]]

_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
# The public part; a key with more in it than it should have is still a public one to us.
_PUBLIC_FIELDS = frozenset({"kty", "n", "e", "crv", "x", "y"})

_log = structlog.get_logger()


class SharedSecret:
    """The secret that both sides know."""

    def __init__(self, secret: SecretStr) -> None:
        self._secret = secret.get_secret_value().encode()

    async def find(self, kid: str | None, algorithm: str) -> Key | None:  # noqa: ARG002 - there is one
        """It."""
        return self._secret


class KeySet:
    """The keys that an issuer publishes, fetched when one is asked for."""

    def __init__(self, issuer: str, fetch: Fetch, tasks: Tasks, clock: Clock = monotonic) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._tasks = tasks
        self._clock = clock
        self._published: Sequence[Jwk] = ()
        self._built: dict[tuple[str | None, str], Key | None] = {}
        self._fetched_at = float("-inf")
        self._next_fetch_at = float("-inf")
        self._failure: str | None = None  # of the last fetch
        self._running: asyncio.Future[None] | None = None

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key of that id for that algorithm; None when the issuer does not publish it.

        AuthUnavailableError when it may, and cannot be asked.
        """
        key = self._look_up(kid, algorithm)
        age_s = self._clock() - self._fetched_at
        if key is None or age_s >= RENEW_S:
            self._start_fetch()
        if key is not None and age_s < FRESH_S:
            return key
        is_known = key is not None and age_s < FRESH_S + STALE_S
        # While the issuer is away nobody waits again for a key that is known.
        if self._running is not None and not (is_known and self._failure is not None):
            # Shielded: a caller who leaves must not take it from the others.
            await asyncio.shield(self._running)
        if self._failure is None:
            return self._look_up(kid, algorithm)
        if is_known:
            return key
        raise AuthUnavailableError(
            "The gateway cannot check this token just now, because the keys of its issuer "
            "cannot be fetched; try again shortly.",
            detail=f"keys of {self._issuer}: {self._failure}",
            headers=come_back(RETRY_S),
        )

    def _start_fetch(self) -> None:
        """Fetch, unless that is going on or was done a moment ago."""
        if self._running is None and self._clock() >= self._next_fetch_at:
            self._running = asyncio.get_running_loop().create_future()
            self._tasks.spawn("auth.fetch_keys", self._refresh(self._running))

    async def _refresh(self, running: asyncio.Future[None]) -> None:
        failure: str | None = "the fetch was given up"
        try:
            published = await self._fetch()
            if not any(_is_for_signatures(key) for key in published):
                raise FetchError("no key for signatures is published")  # noqa: TRY301 - like any other
            self._published, self._built = published, {}
            self._fetched_at = self._clock()
            failure = None
        except FetchError as error:
            failure = str(error)
        finally:
            self._note(failure)
            self._running = None
            running.set_result(None)

    def _note(self, failure: str | None) -> None:
        wait_s = REFETCH_S if failure is None else RETRY_S
        self._next_fetch_at = self._clock() + wait_s
        if (failure is None) != (self._failure is None):  # once for each change
            if failure is None:
                _log.info("auth.keys_available", issuer=self._issuer)
            else:
                _log.warning("auth.keys_unavailable", issuer=self._issuer, reason=failure)
        self._failure = failure

    def _look_up(self, kid: str | None, algorithm: str) -> Key | None:
        """The one published key that fits; several without an id are nobody's."""
        built = self._built.get((kid, algorithm))
        if built is not None:
            return built
        fitting = [
            key
            for key in self._published
            if (kid is None or key.get("kid") == kid) and _fits(key, algorithm)
        ]
        # The same one twice is one: some publish a key once for each of their tenants.
        is_one = bool(fitting) and all(_public(key) == _public(fitting[0]) for key in fitting[1:])
        key = _build(fitting[0], algorithm) if is_one else None
        if key is not None:  # what is not there is not kept: anybody can ask for that
            self._built[kid, algorithm] = key
        return key


def _is_for_signatures(key: Jwk) -> bool:
    operations = key.get("key_ops")
    return (
        key.get("kty") in _KEY_TYPES.values()
        and _is_or_unsaid(key, "use", "sig")
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
    )


def _fits(key: Jwk, algorithm: str) -> bool:
    return (
        _is_for_signatures(key)
        and key["kty"] == _KEY_TYPES.get(algorithm[:2])
        and _is_or_unsaid(key, "alg", algorithm)
    )


def _is_or_unsaid(key: Jwk, name: str, wanted: str) -> bool:
    """Whether a member says this, or nothing; it may hold any JSON, which no set can look for."""
    said = key.get(name)
    return said is None or said == wanted


def _public(key: Jwk) -> Jwk:
    return {name: value for name, value in key.items() if name in _PUBLIC_FIELDS}


def _build(key: Jwk, algorithm: str) -> Key | None:
    try:
        return jwt.PyJWK(_public(key), algorithm)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None  # published, and not a key
