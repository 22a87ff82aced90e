"""An issuer is asked seldom, and what it said counts for a while."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from gateway.auth.fetching import Fetcher, FetchError, Publication
from gateway.auth.key_set import FRESH_S, REFETCH_S, RENEW_S, RETRY_S, STALE_S, KeySet, SharedSecret
from gateway.auth.method import Refusal
from gateway.auth.verifier import Verifier
from gateway.config.token_auth import JwtAuth
from gateway.core.clock import system_clock
from gateway.core.errors import AuthUnavailableError
from gateway.core.identity import Principal
from gateway.core.retry_after import SPREAD_S
from gateway.core.tasks import Tasks
from gateway.upstream.resolver import Resolver
from tests.plugins.chain import LogLines
from tests.plugins.issuer import Issuer, jwk_of

OLD, NEW = jwk_of("RS256", "old"), jwk_of("RS256", "new", 1)


class Published:
    """What an issuer publishes, on a clock of its own."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.keys: list[dict[str, Any]] = [OLD]
        self.failure: str | None = None
        self.fetches = 0
        self.was_asked = asyncio.Event()
        self.answers = asyncio.Event()
        self.answers.set()
        self.tasks = Tasks(lambda _, error: print(error))  # noqa: T201 - shown when a test fails
        self.key_set = KeySet("https://login.example.org", self.fetch, self.tasks, self.clock)

    def clock(self) -> float:
        """The time."""
        return self.now

    async def fetch(self) -> list[dict[str, Any]]:
        """Its answer."""
        self.fetches += 1
        self.was_asked.set()
        await self.answers.wait()
        if self.failure is not None:
            raise FetchError(self.failure)
        return self.keys

    async def has(self, kid: str) -> bool:
        """Whether a key is found."""
        found = await self.key_set.find(kid, "RS256") is not None
        await self.tasks.wait(5)  # what goes on beside the request
        return found


@pytest.fixture
async def published() -> AsyncIterator[Published]:
    """An issuer with one key."""
    made = Published()
    yield made
    await made.tasks.cancel()


async def test_keys_are_fetched_when_one_is_asked_for_and_kept(published: Published) -> None:
    """Nothing at the start, and nothing for each token."""
    assert published.fetches == 0
    assert [await published.has("old") for _ in range(5)] == [True] * 5
    assert published.fetches == 1


async def test_many_requests_are_one_fetch(published: Published) -> None:
    """After a start everybody comes at once."""
    published.answers.clear()
    asking = [asyncio.ensure_future(published.has("old")) for _ in range(50)]
    await published.was_asked.wait()
    published.answers.set()

    assert await asyncio.gather(*asking) == [True] * 50
    assert published.fetches == 1


async def test_a_caller_who_leaves_does_not_take_the_fetch_along(published: Published) -> None:
    """The others wait for it too."""
    published.answers.clear()
    leaving, staying = (asyncio.ensure_future(published.has("old")) for _ in range(2))
    await published.was_asked.wait()
    leaving.cancel()
    await asyncio.sleep(0)
    published.answers.set()

    assert await staying
    assert published.fetches == 1


async def test_a_new_key_is_found_by_its_first_token(published: Published) -> None:
    """Issuers change their keys when they like."""
    assert await published.has("old")
    published.now += REFETCH_S
    published.keys = [NEW]

    assert await published.has("new")
    assert not await published.has("old")  # it was withdrawn


async def test_strange_tokens_do_not_become_fetches(published: Published) -> None:
    """E09: at most one in a minute, however many come."""
    assert await published.has("old")
    for _ in range(3):
        found = await asyncio.gather(*(published.has(f"strange-{n}") for n in range(100)))
        assert not any(found)
        assert published.fetches == 1

    published.now += REFETCH_S
    await asyncio.gather(*(published.has(f"strange-{n}") for n in range(100)))
    assert published.fetches == 2


async def test_a_key_that_cannot_be_asked_for_is_not_wrong(published: Published) -> None:
    """E13: a 401 sends people to look for the mistake at their own end."""
    published.failure = "no answer"
    for _ in range(10):
        with pytest.raises(AuthUnavailableError, match="try again") as raised:
            await published.has("old")
    assert published.fetches == 1
    assert RETRY_S <= int(raised.value.headers["Retry-After"]) <= RETRY_S + SPREAD_S

    published.now += RETRY_S
    published.failure = None
    assert await published.has("old")


async def test_an_issuer_that_goes_and_comes_back_is_logged_once_each(
    published: Published, log_lines: LogLines
) -> None:
    """E13: whoever was woken by the one line waits for the other."""
    assert await published.has("old")
    published.failure = "no answer"
    for _ in range(3):
        published.now += RENEW_S
        assert await published.has("old")
    assert published.fetches == 4
    (line,) = log_lines.find("auth.keys_unavailable")
    said = (line["level"], line["issuer"], line["reason"])
    assert said == ("warning", "https://login.example.org", "no answer")
    assert not log_lines.find("auth.keys_available")

    published.failure = None
    for _ in range(3):
        published.now += RENEW_S
        assert await published.has("old")

    (line,) = log_lines.find("auth.keys_available")
    assert (line["level"], line["issuer"]) == ("info", "https://login.example.org")


async def test_known_keys_count_while_the_issuer_is_away(published: Published) -> None:
    """E13: for an hour, and a strange key is not told to be wrong meanwhile."""
    assert await published.has("old")
    published.failure = "no answer"
    published.now += FRESH_S
    assert await published.has("old")
    assert published.fetches == 2
    with pytest.raises(AuthUnavailableError):
        await published.has("new")

    published.now += STALE_S - 1
    assert await published.has("old")
    published.now += 1
    with pytest.raises(AuthUnavailableError):
        await published.has("old")


async def test_nobody_waits_for_keys_that_are_fetched_again_in_time(published: Published) -> None:
    """A slow issuer is noticed by nobody as long as tokens come; the fetch goes on beside them."""
    await published.has("old")
    published.was_asked.clear()
    published.answers.clear()
    published.now += RENEW_S

    async with asyncio.timeout(5):
        found = await published.key_set.find("old", "RS256")
        await published.was_asked.wait()

    assert found is not None
    published.answers.set()
    await published.tasks.wait(5)
    published.now += FRESH_S - RENEW_S
    assert await published.has("old")
    assert published.fetches == 2


async def test_a_key_that_was_withdrawn_stops_counting(published: Published) -> None:
    """Also where nobody has come since: it may have been withdrawn because it was stolen."""
    assert await published.has("old")
    published.keys = [NEW]
    published.now += FRESH_S

    assert not await published.has("old")


async def test_an_issuer_that_is_away_is_waited_for_once(published: Published) -> None:
    """Then a known key is taken at once, and the issuer is asked beside that."""
    assert await published.has("old")
    published.failure = "no answer"
    published.now += FRESH_S
    assert await published.has("old")
    published.now += RETRY_S
    published.answers.clear()

    assert await published.key_set.find("old", "RS256") is not None
    published.answers.set()
    await published.tasks.wait(5)
    assert published.fetches == 3


@pytest.mark.parametrize(
    "keys",
    [[], [{}], [{"kty": "oct", "kid": "old"}], [{**OLD, "use": "enc"}], [{"kty": ["RSA"]}]],
    ids=["none", "empty", "secret", "for encryption", "garbage"],
)
async def test_nothing_of_use_replaces_nothing(
    published: Published, keys: list[dict[str, Any]]
) -> None:
    """An issuer that is being repaired may answer with anything."""
    assert await published.has("old")
    published.keys = keys
    published.now += FRESH_S

    assert await published.has("old")
    assert await published.has("old")


async def test_a_fetch_that_crashes_lets_the_next_one_try(published: Published) -> None:
    """A mistake of ours must not be the last fetch of this process."""
    published.keys = None  # type: ignore[assignment] - what no issuer can make it
    with pytest.raises(AuthUnavailableError):
        await published.has("old")
    published.keys = [OLD]
    published.now += RETRY_S

    assert await published.has("old")


async def test_two_keys_with_one_id_are_told_apart_by_their_sort(published: Published) -> None:
    """RFC 7517, 4.5: the same id for keys of different types is allowed."""
    published.keys = [OLD, jwk_of("ES256", "old")]

    assert await published.has("old")
    assert await published.key_set.find("old", "ES256") is not None
    published.now += REFETCH_S
    published.keys = [OLD, jwk_of("RS256", "old", 1)]
    assert not await published.has("new")
    assert not await published.has("old")  # which of them, nobody can say


async def test_a_key_that_is_published_twice_is_one(published: Published) -> None:
    """Some do so for each of their tenants, or with a certificate beside the second."""
    published.keys = [OLD, {**OLD, "x5t": "abc", "issuer": "https://login.example.org/tenant-2"}]

    assert await published.has("old")
    assert await published.key_set.find(None, "RS256") is not None


async def test_a_key_that_is_written_in_an_odd_way_does_not_take_the_others_with_it(
    published: Published,
) -> None:
    """A list in place of a word raised a TypeError: no token of that issuer counted any more."""
    odd = [
        {**OLD, "kid": "odd", name: value}
        for name in ("kty", "use", "alg", "key_ops", "n")
        for value in (["sig"], {"sig": 1}, 7, True)
    ]
    published.keys = [*odd, OLD]

    assert await published.has("old")
    assert not await published.has("odd")


async def test_a_real_issuer_changes_its_keys(issuer: Issuer) -> None:
    """A token of the new key and one of the old key, before, during and after."""
    now = 0.0
    tasks, resolver = Tasks(print), Resolver()
    fetcher = Fetcher(resolver, allow_private=True, ca_file=None)
    publication = Publication(fetcher, issuer.url, issuer.keys_url)
    spec = JwtAuth.model_validate(issuer.spec(algorithms=("RS256",)))
    key_set = KeySet(issuer.url, publication.fetch_keys, tasks, lambda: now)
    verifier = Verifier(spec, key_set, system_clock)
    old, new = issuer.token(kid="old"), issuer.token(kid="new", number=1)
    issuer.keys = [OLD]
    assert isinstance(await verifier.verify(old), Principal)
    assert isinstance(await verifier.verify(new), Refusal)

    now, issuer.keys = REFETCH_S, [OLD, NEW]
    assert isinstance(await verifier.verify(new), Principal)
    assert isinstance(await verifier.verify(old), Principal)

    now, issuer.keys = REFETCH_S + FRESH_S, [NEW]
    assert isinstance(await verifier.verify(new), Principal)
    assert isinstance(await verifier.verify(old), Refusal)
    assert issuer.key_requests == 3
    resolver.close()


async def test_a_shared_secret_is_the_key_whatever_a_token_says() -> None:
    """There is one."""
    assert await SharedSecret(SecretStr("s")).find("any", "HS256") == b"s"
