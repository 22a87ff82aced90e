"""What is printed at the start."""

import shlex

import pytest
from pydantic import SecretStr

from gateway.config.load import Registry
from gateway.config.provider_blocks import Model
from gateway.config.registry import Provider
from gateway.config.settings import AnonymousAuth, GatewayKeyAuth, ServerSpec, Settings
from gateway.core.credential import Credential
from gateway.serving.banner import describe_start
from tests.plugins.anybody import ANYBODY

SECRET = "gsk_CanaryCanaryCanary"
URL = "http://127.0.0.1:8080"
KEYS = GatewayKeyAuth(kind="gateway_key", keys={"alice": f"sha256:{'0' * 64}"})
GROQ = Provider(
    name="groq", base_url="https://api.groq.com/openai/v1", models=(Model(id="it's-a-model"),)
)


def describe(registry: Registry, settings: Settings | None = None) -> list[str]:
    """The lines."""
    return describe_start(settings or Settings(), registry, url=URL, admin_url=None)


def test_credentials_are_named_and_not_shown(registry: Registry) -> None:
    """Terminals are recorded and shared."""
    with_credential = Registry(
        registry.providers, {"groq": (Credential("GROQ_API_KEY", SecretStr(SECRET)),)}
    )

    text = "\n".join(describe(with_credential))

    assert "credentials  groq" in text
    assert "need none    demo" in text
    assert SECRET not in text


def test_of_several_credentials_it_is_said_how_many_and_which(registry: Registry) -> None:
    """A pool of which one is missing looks like one that is whole, otherwise."""
    pool = (Credential("GROQ_A", SecretStr(SECRET)), Credential("GROQ_B", SecretStr("gsk-b")))

    lines = describe(Registry(registry.providers, {"groq": pool}))

    assert "credentials  groq (2: GROQ_A, GROQ_B)" in lines


def test_the_demo_is_what_to_try_first(registry: Registry) -> None:
    """It needs no key and no internet."""
    line = describe(registry)[-1]

    assert shlex.split(line)[:3] == ["curl", "-N", f"{URL}/api/chat/demo"]


def test_the_address_survives_a_shell_too(registry: Registry) -> None:
    """In zsh the brackets of an IPv6 address are a pattern; and a path may have blanks."""
    lines = describe_start(Settings(), registry, url="http://[::1]:8080", admin_url=None)
    server = ServerSpec(unix_socket="/run/my gateway/socket")

    behind = describe(registry, Settings(server=server, auth=(ANYBODY,)))[-1]

    assert "'http://[::1]:8080/api/chat/demo'" in lines[-1]
    assert shlex.split(behind)[2:4] == ["--unix-socket", "/run/my gateway/socket"]


def test_the_line_survives_a_shell() -> None:
    """A quote in a model's name must not end the argument."""
    line = describe(
        Registry({"groq": GROQ}, {"groq": (Credential("GROQ_API_KEY", SecretStr(SECRET)),)})
    )[-1]

    assert "it's-a-model" in shlex.split(line)[-1]


@pytest.mark.parametrize(
    ("auth", "wants_key"), [(None, False), ((KEYS,), True), ((KEYS, ANYBODY), False)]
)
def test_the_line_shows_a_key_where_one_is_needed(
    registry: Registry,
    auth: tuple[GatewayKeyAuth | AnonymousAuth, ...] | None,
    *,
    wants_key: bool,
) -> None:
    """Otherwise the first thing a new user sees is 401."""
    line = describe(registry, Settings(auth=auth))[-1]

    assert ("$GATEWAY_KEY" in line) == wants_key


def test_a_session_cannot_be_shown_in_a_shell(registry: Registry) -> None:
    """A line that fails is worse than none."""
    cookie = {"kind": "supabase_cookie", "url": "https://abc.supabase.co"}

    lines = describe(registry, Settings.model_validate({"auth": (cookie,)}))

    assert not any(line.startswith("curl") for line in lines)


def test_without_anything_to_call_there_is_nothing_to_try() -> None:
    """A line that fails is worse than none."""
    assert not any(line.startswith("curl") for line in describe(Registry({"groq": GROQ}, {})))


def test_a_listener_that_lets_nobody_in_says_so(registry: Registry) -> None:
    """Every request would be 401, and nobody would know why."""
    lines = describe(registry, Settings(server=ServerSpec(host="0.0.0.0")))

    assert lines[-1].startswith("callers      nobody")  # and no line that ends in 401


@pytest.mark.parametrize(
    ("url", "local"),
    [("http://0.0.0.0:80", "http://127.0.0.1:80"), ("http://[::]:80", "http://[::1]:80")],
)
def test_all_addresses_are_said_and_one_is_called(registry: Registry, url: str, local: str) -> None:
    """Whoever reads 127.0.0.1 takes it for a gateway that nobody else reaches."""
    settings = Settings(server=ServerSpec(host="0.0.0.0"), auth=(ANYBODY,))

    lines = describe_start(settings, registry, url=url, admin_url=url)

    assert lines[:2] == [f"listening    {url}", f"admin        {url}"]
    assert f"{local}/api/chat/demo" in shlex.split(lines[-1])
