"""Tests of the settings and their defaults."""

import pytest
from pydantic import ValidationError

from gateway.config.settings import GatewayKeyAuth, Settings
from tests.plugins.anybody import ANYBODY, ENTRY

DIGEST = "sha256:" + "a" * 64


def test_the_defaults_are_safe_on_a_laptop() -> None:
    """A first start without any file must not open a port to others."""
    settings = Settings()

    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8080)
    assert (settings.admin.host, settings.admin.port) == ("127.0.0.1", 8081)
    assert settings.auth is None
    assert settings.server.cors_origins == ()
    assert settings.server.max_body_bytes == 32 * 1024 * 1024
    assert settings.commit.v1_max_wait_s == 10
    assert settings.commit.chat_max_wait_s == 45
    assert settings.commit.keep_alive_comment_s == 15
    assert (settings.logging.format, settings.logging.level) == ("auto", "info")


def test_the_methods_keep_their_order() -> None:
    """The first that recognises a caller wins; anonymous recognises everybody."""
    settings = Settings.model_validate(
        {"auth": [{"kind": "gateway_key", "keys": {"alice": DIGEST}}, ENTRY]}
    )

    assert settings.auth == (
        GatewayKeyAuth(kind="gateway_key", keys={"alice": DIGEST}),
        ANYBODY,
    )


def test_an_empty_list_of_methods_is_refused() -> None:
    """It could mean nobody or everybody; both have a clearer form."""
    with pytest.raises(ValidationError, match="too_short"):
        Settings.model_validate({"auth": []})


@pytest.mark.parametrize(
    "digest", ["", "a" * 64, "sha256:" + "A" * 64, "sha256:" + "a" * 63, "md5:" + "a" * 32]
)
def test_a_key_is_written_as_its_hash(digest: str) -> None:
    """A key in clear in the file would be as good as the key."""
    with pytest.raises(ValidationError):
        GatewayKeyAuth(kind="gateway_key", keys={"alice": digest})


def test_two_names_cannot_share_a_key() -> None:
    """Whose limit would a call count against?"""
    with pytest.raises(ValidationError, match="alice and bob the same key"):
        GatewayKeyAuth(kind="gateway_key", keys={"alice": DIGEST, "bob": DIGEST})


def test_the_largest_body_fits_into_the_sum() -> None:
    """Otherwise it would be told to come back for ever."""
    with pytest.raises(ValidationError, match="has to be at least `max_body_bytes`"):
        Settings.model_validate({"server": {"max_bodies_bytes": 1_000}})


@pytest.mark.parametrize(
    "origin",
    [
        *("*", "null", "https://*.example.org", "https://a.example.org/", "a.example.org"),
        *("file://a", "https://A.example.org", "https://a.example.org:443", "http://[::1]:80"),
    ],
)
def test_an_origin_is_exact(origin: str) -> None:
    """A star lets every page on the internet spend the credentials; others no browser sends."""
    with pytest.raises(ValidationError):
        Settings.model_validate({"server": {"cors_origins": [origin]}})


@pytest.mark.parametrize("host", ["0.0.0.0:8080", "localhost:8080", "[::]", "http://0.0.0.0"])
def test_a_host_to_listen_on_has_no_port(host: str) -> None:
    """It has a key of its own; a start would say that there is no such host."""
    with pytest.raises(ValidationError):
        Settings.model_validate({"server": {"host": host}})


@pytest.mark.parametrize("host", ["127.0.0.1", "::", "::1", "fe80::1:2", "::ffff:127.0.0.1", "a_b"])
def test_a_host_to_listen_on_is_a_name_or_an_address(host: str) -> None:
    """Of either kind of address."""
    assert Settings.model_validate({"server": {"host": host}}).server.host == host


@pytest.mark.parametrize(
    "origin",
    [
        *("https://chat.example.org", "http://localhost:3000", "http://[::1]:3000"),
        *("http://a:443", "https://a:80", "http://[fe80::80]"),
    ],
)
def test_a_plain_origin_is_taken(origin: str) -> None:
    """What browsers send in `Origin`."""
    settings = Settings.model_validate({"server": {"cors_origins": [origin]}})

    assert settings.server.cors_origins == (origin,)


@pytest.mark.parametrize("place", [{}, {"after": "a", "before": "b"}])
def test_a_middleware_has_exactly_one_place(place: dict[str, str]) -> None:
    """Between two others there may be more than one."""
    with pytest.raises(ValidationError, match="either `after` or `before`"):
        Settings.model_validate({"middleware": [{"use": "plugins.hello:stamp", **place}]})


@pytest.mark.parametrize(
    "use", ["plugins.hello", "plugins/hello.py:stamp", ":stamp", "a:", "a:b.c"]
)
def test_a_middleware_is_named_as_module_and_name(use: str) -> None:
    """What cannot be imported is found before anything listens."""
    with pytest.raises(ValidationError):
        Settings.model_validate({"middleware": [{"use": use, "after": "authenticate"}]})


def test_the_hashes_of_keys_are_not_printed() -> None:
    """A weak key can be guessed from its hash."""
    assert DIGEST not in repr(GatewayKeyAuth(kind="gateway_key", keys={"alice": DIGEST}))


def test_a_worker_may_be_late_for_a_second() -> None:
    """A timeout that every large body passes would kill worker after worker."""
    with pytest.raises(ValidationError, match="0, for never, or 1 at least"):
        Settings.model_validate({"server": {"worker_timeout_s": 0.5}})

    for allowed in (0, 1, 60):
        settings = Settings.model_validate({"server": {"worker_timeout_s": allowed}})
        assert settings.server.worker_timeout_s == allowed
