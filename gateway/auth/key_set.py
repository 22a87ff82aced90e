"""The keys that sign the tokens of one issuer.

The rule here: an issuer is asked rarely and with one request at a time, however many unknown tokens
arrive. Its last answer is used until it answers again, up to a time limit. If a key might exist but
cannot be fetched, no token is called wrong.
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

FRESH_S = 600.0  # after this they must be fetched again
RENEW_S = 480.0  # after this they are fetched in the background, so that no request waits
STALE_S = 3600.0  # how much longer they are used while fetching fails
REFETCH_S = 60.0  # the shortest time between fetches for an unknown key
RETRY_S = 5.0  # the wait after a failure

Key = jwt.PyJWK | bytes
Fetch = Callable[[], Awaitable[Sequence[Jwk]]]

_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
# The public fields; we ignore any private ones that should not have been published.
_PUBLIC_FIELDS = frozenset({"kty", "n", "e", "crv", "x", "y"})

_log = structlog.get_logger()


class SharedSecret:
    """A secret shared with the issuer."""

    def __init__(self, secret: SecretStr) -> None:
        self._secret = secret.get_secret_value().encode()

    async def find(self, kid: str | None, algorithm: str) -> Key | None:  # noqa: ARG002 - there is one
        """The secret."""
        return self._secret


class KeySet:
    """The keys that an issuer publishes, fetched when one is needed."""

    def __init__(self, issuer: str, fetch: Fetch, tasks: Tasks, clock: Clock = monotonic) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._tasks = tasks
        self._clock = clock
        self._published: Sequence[Jwk] = ()
        self._built: dict[tuple[str | None, str], Key | None] = {}
        self._fetched_at = float("-inf")
        self._next_fetch_at = float("-inf")
        self._failure: str | None = None  # why the last fetch failed
        self._running: asyncio.Future[None] | None = None

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key of that id for that algorithm; None if the issuer does not publish it.

        AuthUnavailableError if the issuer cannot be asked whether it does.
        """
        key = self._look_up(kid, algorithm)
        age_s = self._clock() - self._fetched_at
        if key is None or age_s >= RENEW_S:
            self._start_fetch()
        if key is not None and age_s < FRESH_S:
            return key
        is_known = key is not None and age_s < FRESH_S + STALE_S
        # While the issuer is down, nobody waits again for a key that we know.
        if self._running is not None and not (is_known and self._failure is not None):
            # Shielded: a caller who leaves must not cancel it for the others.
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
        """Start a fetch, unless one is running or was made a moment ago."""
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
        if (failure is None) != (self._failure is None):  # log once for each change
            if failure is None:
                _log.info("auth.keys_available", issuer=self._issuer)
            else:
                _log.warning("auth.keys_unavailable", issuer=self._issuer, reason=failure)
        self._failure = failure

    def _look_up(self, kid: str | None, algorithm: str) -> Key | None:
        """The one published key that fits; None if several different ones do."""
        built = self._built.get((kid, algorithm))
        if built is not None:
            return built
        fitting = [
            key
            for key in self._published
            if (kid is None or key.get("kid") == kid) and _fits(key, algorithm)
        ]
        # Duplicates count once: some issuers publish a key once for each of their tenants.
        is_one = bool(fitting) and all(_public(key) == _public(fitting[0]) for key in fitting[1:])
        key = _build(fitting[0], algorithm) if is_one else None
        if key is not None:  # a miss is not cached, as anybody can cause one
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
    """Whether a member is missing or equals `wanted`; it may be any JSON, even unhashable."""
    said = key.get(name)
    return said is None or said == wanted


def _public(key: Jwk) -> Jwk:
    return {name: value for name, value in key.items() if name in _PUBLIC_FIELDS}


def _build(key: Jwk, algorithm: str) -> Key | None:
    try:
        return jwt.PyJWK(_public(key), algorithm)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None  # published, but not a valid key
