"""Where callers' own credentials are, and what is not said in vain."""

import pytest
from pydantic import ValidationError

from gateway.config.profiles import ProfilesSpec
from gateway.config.settings import Settings

COOKIE = {"kind": "supabase_cookie", "url": "https://abc.supabase.co"}
TABLE = {"source": "postgres", "database": "${SUPABASE_DATABASE}"}


def token(issuer: str, prefix: str = "") -> dict[str, object]:
    """An entry for tokens."""
    return {
        "kind": "jwt",
        "issuer": issuer,
        "audience": "gateway",
        "algorithms": ["RS256"],
        "prefix": prefix,
    }


def settings_of(*auth: dict[str, object], **profiles: object) -> Settings:
    """Settings with a table of profiles."""
    return Settings.model_validate({"auth": auth, "profiles": {**TABLE, **profiles}})


def test_without_the_block_there_are_none() -> None:
    """A gateway that looks nothing up opens nothing."""
    assert Settings().profiles is None


def test_the_password_of_the_table_is_known_to_the_log() -> None:
    """It is not that of `stores`."""
    environ = {"SUPABASE_DATABASE": "postgresql://me:hunter2hunter2@db.example.org/postgres"}

    assert ProfilesSpec.model_validate(TABLE).find_secrets(environ) == ["hunter2hunter2"]
    assert ProfilesSpec(source="stored").find_secrets(environ) == []


def test_the_defaults_are_those_of_chatbot_ui() -> None:
    """Whoever has it writes where its database is, and nothing else."""
    spec = ProfilesSpec.model_validate(TABLE)

    assert (spec.table, spec.id, spec.models, spec.tenants) == (
        "profiles",
        "user_id",
        "models",
        False,
    )
    assert ProfilesSpec(source="stored").tenants


@pytest.mark.parametrize("field", ["database", "table", "id", "models", "prefix"])
def test_what_is_for_a_table_is_refused_without_one(field: str) -> None:
    """Whoever wrote it relies on it."""
    value = "${DB}" if field == "database" else "x"
    with pytest.raises(ValidationError, match=f"{field}: is for `source: postgres`"):
        ProfilesSpec.model_validate({"source": "stored", field: value})


@pytest.mark.parametrize("name", ["", 'a"b', "a b", "a;b", "a.b", "1a", "a" * 64, "ä"])
def test_a_name_in_the_database_is_a_plain_one(name: str) -> None:
    """It is quoted all the same."""
    for field in ("table", "id", "models"):
        with pytest.raises(ValidationError):
            ProfilesSpec.model_validate({**TABLE, field: name})


@pytest.mark.parametrize(
    "database", ["sqlite:///x.db", "mysql://x/y", "postgresql://u:canary@h/d", "x"]
)
def test_the_database_is_a_server_without_a_password(database: str) -> None:
    """Which is in a variable."""
    with pytest.raises(ValidationError) as refused:
        ProfilesSpec.model_validate({**TABLE, "database": database})

    assert "canary" not in str(refused.value)


def test_it_is_known_whose_profiles_they_are() -> None:
    """The same subject at another issuer is somebody else."""
    both = ({**COOKIE, "prefix": "s:"}, token("https://other.example.org", "other:"))
    two = (token("https://a.example.org", "a:"), token("https://b.example.org", "b:"))

    assert settings_of(*both).profile_prefix == "s:"
    assert settings_of(COOKIE).profile_prefix == ""
    assert settings_of(token("https://a.example.org", "a:")).profile_prefix == "a:"
    assert settings_of(*two, prefix="b:").profile_prefix == "b:"
    with pytest.raises(ValidationError, match=r"several issuers; write `profiles\.prefix`"):
        settings_of(*two)
    with pytest.raises(ValidationError, match="not the `prefix` of any entry"):
        settings_of(*two, prefix="c:")


def test_a_table_needs_users_with_tokens() -> None:
    """Nobody else has a subject."""
    with pytest.raises(ValidationError, match="needs `supabase_cookie` or `jwt`"):
        settings_of({"kind": "anonymous", "requests_per_minute": 60, "concurrent": 10})


def test_a_table_is_not_in_sqlite() -> None:
    """Where the database is left out, it is that of `stores`."""
    profiles = {"source": "postgres"}
    with pytest.raises(ValidationError, match=r"needs? `profiles\.database`"):
        Settings.model_validate({"auth": [COOKIE], "profiles": profiles})

    stores = {"database": "postgresql://gw@db.example.org/front"}
    both = {"auth": [COOKIE], "profiles": profiles, "stores": stores}
    assert Settings.model_validate(both).profiles is not None


@pytest.mark.parametrize("prefixes", [("", "x:"), ("x:", "x:y:"), ("x", "xx")])
@pytest.mark.parametrize("profiles", [{"source": "stored"}, TABLE])
def test_no_issuer_can_name_another_ones_users(
    prefixes: tuple[str, str], profiles: dict[str, object]
) -> None:
    """`x:bob` of one would have the profile of the other's `bob`."""
    first, second = prefixes
    auth = [token("https://a.example.org", first), token("https://b.example.org", second)]

    with pytest.raises(ValidationError, match="known by their owners' names"):
        Settings.model_validate({"auth": auth, "profiles": profiles})
    Settings.model_validate({"auth": auth})
    Settings.model_validate({"auth": [COOKIE], "profiles": profiles})
