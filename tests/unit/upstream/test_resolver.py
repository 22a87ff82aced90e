"""From a name to addresses that may be connected to."""

import asyncio
import errno
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.core.upstream_errors import UpstreamAddressError, UpstreamDnsError
from gateway.upstream.resolver import MAX_THREADS, AddressInfo, Resolver

PUBLIC = "93.184.216.34"
OTHER = "93.184.216.35"
TIMEOUT_S = 20  # ends a test that hangs

Open = Callable[..., Resolver]


def info_of(address: str, port: int = 443) -> AddressInfo:
    """What the system says of one address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return (int(family), int(socket.SOCK_STREAM), 6, "", (address, port))


class Names:
    """A name system that gives one answer after another; the last one stays."""

    def __init__(self, *answers: list[str] | OSError | UnicodeError) -> None:
        self._answers = list(answers)
        self.asked = 0
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, host: str, port: int) -> list[AddressInfo]:
        """Answer, when `go_on` is set."""
        assert host
        self.asked += 1
        assert self.go_on.wait(TIMEOUT_S)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return [info_of(address, port) for address in answer]


@pytest.fixture
async def open_resolver() -> AsyncIterator[Open]:
    """Resolvers with a name system of the test's own."""
    opened: list[Resolver] = []

    def make(names: Names, **fields: float) -> Resolver:
        opened.append(Resolver(names, **fields))
        return opened[-1]

    yield make
    for resolver in opened:
        resolver.close()


async def addresses_of(resolver: Resolver, *, allow_private: bool = False) -> list[str]:
    """The allowed addresses of some host."""
    found = await resolver.resolve("host.example", 443, label="Groq", allow_private=allow_private)
    return [info[4][0] for info in found]


async def test_addresses_keep_the_systems_order(open_resolver: Open) -> None:
    """The system has sorted them by what works here (RFC 6724)."""
    resolver = open_resolver(Names([OTHER, PUBLIC]))

    assert await addresses_of(resolver) == [OTHER, PUBLIC]


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fe80::1%eth0"],
)
async def test_a_name_that_leads_inside_is_refused(open_resolver: Open, address: str) -> None:
    """The registry's check saw the name only."""
    resolver = open_resolver(Names([address]))

    with pytest.raises(UpstreamAddressError) as caught:
        await addresses_of(resolver)

    assert address not in caught.value.public
    assert not caught.value.is_retryable


async def test_private_addresses_are_used_when_the_registry_allows_it(open_resolver: Open) -> None:
    """A model server of one's own."""
    resolver = open_resolver(Names(["127.0.0.1", "10.0.0.1"]))

    assert await addresses_of(resolver, allow_private=True) == ["127.0.0.1", "10.0.0.1"]


@pytest.mark.parametrize("address", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::"])
async def test_some_addresses_are_never_a_provider(open_resolver: Open, address: str) -> None:
    """0.0.0.0 is what blockers answer, and it connects to this machine (fault F03)."""
    resolver = open_resolver(Names([address]))

    with pytest.raises(UpstreamAddressError):
        await addresses_of(resolver, allow_private=True)


async def test_only_the_allowed_ones_of_several_are_used(open_resolver: Open) -> None:
    """A mixed answer must not open the door."""
    resolver = open_resolver(Names(["127.0.0.1", PUBLIC, "10.0.0.1"]))

    assert await addresses_of(resolver) == [PUBLIC]


async def test_a_name_that_changes_its_mind_is_checked_again(open_resolver: Open) -> None:
    """DNS rebinding: public when it is checked, loopback when it is used (fault H03)."""
    resolver = open_resolver(Names([PUBLIC], ["127.0.0.1"]), ttl_s=0.0)

    assert await addresses_of(resolver) == [PUBLIC]
    with pytest.raises(UpstreamAddressError):
        await addresses_of(resolver)


async def test_a_cached_answer_is_checked_for_each_provider(open_resolver: Open) -> None:
    """One provider may go inside, another with the same host may not."""
    resolver = open_resolver(Names(["127.0.0.1"]))

    assert await addresses_of(resolver, allow_private=True) == ["127.0.0.1"]
    with pytest.raises(UpstreamAddressError):
        await addresses_of(resolver)


async def test_an_answer_is_kept_for_a_while_and_then_asked_again(open_resolver: Open) -> None:
    """A look-up for each connection is slow; one for ever misses a provider that moves (F20)."""
    kept, gone = Names([PUBLIC]), Names([PUBLIC], [OTHER])
    long, short = open_resolver(kept), open_resolver(gone, ttl_s=0.0)

    assert [await addresses_of(long) for _ in range(3)] == [[PUBLIC]] * 3
    assert [await addresses_of(short) for _ in range(2)] == [[PUBLIC], [OTHER]]
    assert (kept.asked, gone.asked) == (1, 2)


async def test_an_answer_that_led_to_nobody_is_asked_for_again_sooner(open_resolver: Open) -> None:
    """A provider that has moved is found by the next attempt, not ten seconds later (F20)."""
    moved, down = Names([PUBLIC], [OTHER]), Names([PUBLIC], [OTHER])
    resolver, careful = open_resolver(moved, doubted_ttl_s=0.0), open_resolver(down)
    resolver.doubt("host.example", 443)  # of what is not known there is nothing to doubt

    for one in (resolver, careful):
        assert await addresses_of(one) == [PUBLIC]
        one.doubt("host.example", 443)

    assert await addresses_of(resolver) == [OTHER]
    assert await addresses_of(careful) == [PUBLIC]  # a storm of attempts is none of look-ups


async def test_names_are_forgotten_rather_than_kept_without_end(open_resolver: Open) -> None:
    """Callers may write down another host in every request."""
    names = Names([PUBLIC])
    resolver = open_resolver(names, max_names=3)

    for number in (0, 1, 2, 3, 4, 4, 0):
        await resolver.resolve(f"{number}.example", 443, label="Groq", allow_private=False)

    assert names.asked == 6
    assert len(resolver._cache) == 3  # noqa: SLF001 - what is held is seen nowhere else


async def test_many_who_ask_at_once_are_one_look_up(open_resolver: Open) -> None:
    """A burst after a pause must not be a burst on the name server."""
    names = Names([PUBLIC])
    names.go_on.clear()
    resolver = open_resolver(names)

    waiting = [asyncio.ensure_future(addresses_of(resolver)) for _ in range(20)]
    await asyncio.sleep(0)
    names.go_on.set()

    assert await asyncio.gather(*waiting) == [[PUBLIC]] * 20
    assert names.asked == 1


async def test_a_caller_who_leaves_does_not_take_the_look_up_along(open_resolver: Open) -> None:
    """The others still wait for it."""
    names = Names([PUBLIC])
    names.go_on.clear()
    resolver = open_resolver(names)
    leaving, staying = (asyncio.ensure_future(addresses_of(resolver)) for _ in range(2))
    await asyncio.sleep(0)

    leaving.cancel()
    await asyncio.sleep(0)
    names.go_on.set()

    assert await staying == [PUBLIC]
    assert leaving.cancelled()
    assert names.asked == 1


@pytest.mark.parametrize(
    "failure",
    [
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
        UnicodeError("label too long"),
    ],
    ids=["unknown", "temporary", "label"],
)
async def test_a_name_without_an_address_is_said_so(open_resolver: Open, failure) -> None:
    """The error names the host: the operator's first guess is a typing mistake."""
    resolver = open_resolver(Names(failure, [PUBLIC]))

    with pytest.raises(UpstreamDnsError) as caught:
        await addresses_of(resolver)

    # Whoever runs the gateway sees which name; to callers a host inside is nobody's business.
    assert caught.value.public == "The host name of Groq has no address."
    assert "host.example" in (caught.value.detail or "")
    assert caught.value.is_retryable
    # A failure is not kept: the next caller asks again.
    assert await addresses_of(resolver) == [PUBLIC]


async def test_a_label_that_is_too_long_has_no_address(resolver: Resolver) -> None:
    """Python raises UnicodeError where others answer that the name does not exist."""
    with pytest.raises(UpstreamDnsError):
        await resolver.resolve("a" * 64 + ".example", 443, label="Groq", allow_private=False)


async def test_more_names_than_threads_are_all_answered(open_resolver: Open) -> None:
    """Those that are too many wait for a thread."""
    names = Names([PUBLIC])
    names.go_on.clear()
    resolver = open_resolver(names)
    asking = [
        asyncio.ensure_future(
            resolver.resolve(f"{place}.example", 443, label="Groq", allow_private=False)
        )
        for place in range(3 * MAX_THREADS)
    ]
    await asyncio.sleep(0)
    names.go_on.set()

    assert {info[0][4][0] for info in await asyncio.gather(*asking)} == {PUBLIC}


def test_a_process_ends_before_its_name_servers_have_answered() -> None:
    """Where none answers, each name takes 10 s or more; a restart would wait for that."""
    program = """
import asyncio, threading
from gateway.upstream.resolver import Resolver

async def main():
    resolver = Resolver(lambda host, port: threading.Event().wait())
    asking = asyncio.ensure_future(resolver.resolve("a", 1, label="", allow_private=False))
    await asyncio.sleep(0)
    asking.cancel()
    resolver.close()

asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=TIMEOUT_S)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_literal_address_is_checked_like_any_other(resolver: Resolver, host: str) -> None:
    """Literals never meet a name server, and slip by checks that live there."""
    with pytest.raises(UpstreamAddressError):
        await resolver.resolve(host, 443, label="Groq", allow_private=False)

    found = await resolver.resolve(host, 443, label="Groq", allow_private=True)
    assert {info[4][1] for info in found} == {443}


@pytest.mark.parametrize("lacking", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
async def test_a_name_that_could_not_be_looked_up_here_says_nothing_of_its_host(
    open_resolver: Open, lacking: int
) -> None:
    """Or every provider's breaker opens when this machine has no file left."""
    resolver = open_resolver(Names(OSError(lacking, os.strerror(lacking))))

    with pytest.raises(UpstreamDnsError) as refused:
        await addresses_of(resolver)

    assert refused.value.is_ours


async def test_a_name_that_there_is_not_is_its_host_s_fault(open_resolver: Open) -> None:
    """Whoever looked well, and found nothing, has not failed."""
    resolver = open_resolver(Names(socket.gaierror(socket.EAI_NONAME, "not known")))

    with pytest.raises(UpstreamDnsError) as refused:
        await addresses_of(resolver)

    assert not refused.value.is_ours


async def test_where_no_thread_is_left_nobody_is_told_of_a_mistake(open_resolver: Open) -> None:
    """`pids_limit` of a container, `TasksMax` of a unit: another attempt may find one."""
    resolver = open_resolver(Names([PUBLIC]))
    before = threading.stack_size(1 << 47)  # more than any machine has
    try:
        with pytest.raises(UpstreamDnsError) as refused:
            await addresses_of(resolver)
    finally:
        threading.stack_size(before)

    assert refused.value.is_ours
    assert "can't start new thread" in (refused.value.detail or "")
    assert await addresses_of(resolver) == [PUBLIC]
