"""Entries that would let in whoever can write a token do not load."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import check_file, known_secrets, load_settings
from gateway.config.problems import ConfigError
from gateway.config.settings import Settings
from gateway.config.token_auth import JwtAuth, SupabaseCookieAuth
from tests.plugins.chain import CREDENTIAL, make_registry

SECRET = "canary-secret-that-is-long-enough-for-it"
ISSUER = "https://login.example.org"
JWT = {"kind": "jwt", "issuer": ISSUER, "audience": "chat", "algorithms": ["RS256"]}
HMAC = {**JWT, "algorithms": ["HS256"], "secret": "${ISSUER_SECRET}"}
COOKIE = {"kind": "supabase_cookie", "url": "https://abc.supabase.co/"}


def write(tmp_path: Path, *auth: dict[str, Any], mode: int = 0o644) -> Path:
    """A gateway.yaml with these entries."""
    path = tmp_path / "gateway.yaml"
    path.write_text(yaml.safe_dump({"auth": list(auth)}))
    path.chmod(mode)
    return path


def mistakes(tmp_path: Path, *auth: dict[str, Any]) -> str:
    """What `gateway check` says of these entries."""
    with pytest.raises(ConfigError) as raised:
        check_file(write(tmp_path, *auth))
    return "\n".join(str(problem) for problem in raised.value.problems)


def test_four_lines_are_enough(tmp_path: Path) -> None:
    """The rest is as issuers usually have it."""
    (entry,) = load_settings(write(tmp_path, JWT), {}).token_auth

    assert isinstance(entry, JwtAuth)
    assert (entry.claims.principal, entry.claims.tenant, entry.claims.groups) == ("sub", None, None)
    assert (entry.leeway_s, entry.jwks_url, entry.allow_private) == (30, None, False)


@pytest.mark.parametrize(
    ("url", "cookie", "issuer"),
    [
        ("https://abc.supabase.co/", "sb-abc-auth-token", "https://abc.supabase.co/auth/v1"),
        ("http://127.0.0.1:54321", "sb-127-auth-token", "http://127.0.0.1:54321/auth/v1"),
        ("http://localhost:8000", "sb-localhost-auth-token", "http://localhost:8000/auth/v1"),
    ],
)
def test_a_project_s_address_says_the_rest(url: str, cookie: str, issuer: str) -> None:
    """As its libraries do it: chat-contract 2."""
    entry = SupabaseCookieAuth.model_validate({**COOKIE, "url": url, "secret": "${S}"})

    assert (entry.cookie, entry.issuer, entry.audience) == (cookie, issuer, "authenticated")
    assert (entry.algorithms, entry.jwks_url) == (("HS256",), None)


def test_without_a_secret_a_project_publishes_its_keys() -> None:
    """Newer projects sign with keys that they publish."""
    entry = SupabaseCookieAuth.model_validate(COOKIE)

    assert entry.algorithms == ("ES256", "RS256")
    assert entry.jwks_url == "https://abc.supabase.co/auth/v1/.well-known/jwks.json"


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({**JWT, "algorithms": ["none"]}, "algorithms[0]: needs to be one of RS256"),
        ({**JWT, "algorithms": []}, "is empty"),
        ({**JWT, "algorithms": ["RS256", "HS256"]}, "mixes HMAC"),
        ({**JWT, "algorithms": ["HS256"]}, "needs `secret`"),
        ({**JWT, "secret": "${S}"}, "needs HS256"),
        ({**HMAC, "jwks_url": f"{ISSUER}/keys"}, "both `secret` and `jwks_url`"),
        ({**HMAC, "secret": SECRET}, "holds the secret itself"),
        ({**HMAC, "secret": ""}, "is empty"),
        ({**HMAC, "secret": "file:relative"}, "absolute path"),
        ({**JWT, "issuer": "http://login.example.org"}, "`issuer` needs to start with https"),
        ({**JWT, "issuer": "https://127.0.0.1"}, "allow_private"),
        ({**JWT, "issuer": "login"}, "`issuer` needs to start with http"),
        ({**JWT, "jwks_url": "http://login.example.org/k"}, "`jwks_url` needs to start with https"),
        ({**JWT, "jwks_url": "https://localhost/k"}, "allow_private"),
        ({**JWT, "jwks_url": "file:///keys"}, "needs to start with http"),
        ({**JWT, "leeway_s": 61}, "60 or less"),
        ({**JWT, "leeway_s": -1}, "0 or more"),
        ({**JWT, "audience": ""}, "too short"),
        ({**JWT, "claims": {"principal": ""}}, "needs to be a claim"),
        ({**JWT, "prefix": "a b"}, "needs to be letters"),
        ({**JWT, "verify": False}, "unknown key"),
        ({"kind": "jwt"}, "is missing; write who issues the tokens"),
        ({**COOKIE, "url": "abc"}, "needs to start with http"),
        ({**COOKIE, "url": "http://abc.example.org"}, "`jwks_url` needs to start with https"),
        ({**COOKIE, "algorithms": ["HS256"]}, "needs `secret`"),
        ({**COOKIE, "secret": "${A} ${B}"}, "one variable"),
        ({**COOKIE, "cookie": "a=b"}, "needs to be the name of a cookie"),
        ({**COOKIE, "claims": {"groups": "user_metadata.roles"}}, "app_metadata"),
    ],
    ids=str,
)
def test_what_is_unsafe_does_not_load(tmp_path: Path, entry: dict[str, Any], says: str) -> None:
    """With the line to mend, and without what stands there."""
    printed = mistakes(tmp_path, entry)

    assert says in printed
    assert SECRET not in printed
    assert "Error" not in printed


def test_two_issuers_cannot_name_the_same_person(tmp_path: Path) -> None:
    """Whoever is `ann` at one of them would have the limits and credentials of the other's."""
    other = {**JWT, "issuer": "https://partner.example.org"}

    assert "write `prefix`" in mistakes(tmp_path, JWT, other)
    check_file(write(tmp_path, JWT, {**other, "prefix": "partner:"}))
    check_file(write(tmp_path, JWT, {**JWT, "audience": "another"}))


def test_a_secret_is_found_where_the_entry_says(tmp_path: Path) -> None:
    """In the environment or a file; in gateway.yaml only where nobody else reads it."""
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    for written, mode in (("${ISSUER_SECRET}", 0o644), (f"file:{secret}", 0o644), (SECRET, 0o600)):
        path = write(tmp_path, {**HMAC, "secret": written}, mode=mode)

        settings = load_settings(path, {"ISSUER_SECRET": SECRET})

        assert known_secrets(settings, make_registry()) == [CREDENTIAL, SECRET]
        assert SECRET not in repr(settings)


@pytest.mark.parametrize("value", [None, "", "  ", SECRET[:31], f"{SECRET} {SECRET}"])
def test_an_empty_or_short_secret_stops_the_start(tmp_path: Path, value: str | None) -> None:
    """E15: HMAC with an empty key verifies whatever was signed with it."""
    environ = {} if value is None else {"ISSUER_SECRET": value}

    with pytest.raises(ConfigError, match=r"auth\[0\]\.secret") as raised:
        load_settings(write(tmp_path, HMAC), environ)
    assert not value or value.strip() == "" or value not in str(raised.value)


def test_checking_a_file_needs_no_secret(tmp_path: Path) -> None:
    """It is checked where it is written, not where it runs."""
    check_file(write(tmp_path, HMAC, {**COOKIE, "prefix": "s:", "secret": "${OTHER}"}))


def test_an_authority_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    """Not the first caller."""
    path = write(tmp_path, {**JWT, "ca_file": str(tmp_path / "gone.pem")})

    with pytest.raises(ConfigError, match="no such file"):
        load_settings(path, {})


def test_settings_know_which_entries_are_tokens() -> None:
    """Others have no secret."""
    assert Settings().token_auth == ()
