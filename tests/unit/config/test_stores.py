"""Where the database is, and what is never said of it."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from gateway.config.load import load_settings
from gateway.config.stores import (
    StoresError,
    StoresSpec,
    check_pepper,
    decode_encryption_key,
    find_database,
)

PASSWORD = "canary/password@1"
PEPPER = "canary-pepper-canary-pepper-canary-1"


def test_by_default_it_is_a_file_beside_the_settings(tmp_path: Path) -> None:
    """Wherever the command is run from."""
    settings = tmp_path / "gateway.yaml"
    settings.write_text("server: {port: 1}\n")

    address = load_settings(settings).stores.find_database({})

    assert (address.file, address.url) == (tmp_path / "gateway.db", None)


@pytest.mark.parametrize(
    ("written", "file"),
    [
        ("sqlite:///keys/a b.db", "/etc/gateway/keys/a b.db"),
        ("sqlite:////var/lib/gateway.db", "/var/lib/gateway.db"),
        ("${DB}", "/srv/x.db"),
    ],
)
def test_a_path_is_seen_from_the_directory_of_the_settings(written: str, file: str) -> None:
    """Unless it says where it begins."""
    spec = StoresSpec(database=written).placed_in(Path("/etc/gateway"))

    assert spec.find_database({"DB": "sqlite:////srv/x.db"}).file == Path(file)


def test_a_variable_in_an_address_is_one_part_of_it() -> None:
    """A password may hold what has a meaning in an address, and is not shown."""
    spec = StoresSpec(database="postgresql://gw:${PW}@db.example.org:5432/gateway?sslmode=require")

    address = spec.find_database({"PW": PASSWORD})

    assert address.url == SecretStr(
        "postgresql://gw:canary%2Fpassword%401@db.example.org:5432/gateway?sslmode=require"
    )
    assert address.shown == "postgresql://db.example.org/gateway"
    assert "canary" not in repr(address) + str(spec)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "gateway.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///x?mode=memory",
        "mysql://x/y",
        "postgresql://host",
        "postgresql+psycopg://host/name",
    ],
)
def test_what_is_no_address_is_refused(written: str) -> None:
    """When the file is checked."""
    with pytest.raises(ValidationError, match="needs to be sqlite:///"):
        StoresSpec(database=written)


def test_a_variable_may_be_a_part_of_a_path() -> None:
    """Its slashes are slashes there."""
    spec = StoresSpec(database="sqlite:///${DIR}/x.db")

    assert spec.find_database({"DIR": "/srv/a?#"}).file == Path("/srv/a?#/x.db")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("postgresql://gw@db/x?sslmode=require&channel_binding=require", "`channel_binding`"),
        ("postgresql://gw@db/x?pgbouncer=true", "`pgbouncer` that is not known here; leave it out"),
        ("postgresql://gw@db/x?password=canary", "`password`"),
        ("postgresql://gw@db/x?CANARY%3Dx", "a parameter that is not known"),
        ("postgresql://gw@db/x?sslmode=requires", "`sslmode` of disable, allow"),
        ("postgresql://gw@/x?host=a&target_session_attrs=rw", "`target_session_attrs` of any"),
        ("postgresql://gw@/x?host=a&port=x", "a `port` from 1 to 65535"),
        ("postgresql://gw@/x?host=a,b&port=5432,65536", "a `port` from 1 to 65535"),
        ("postgresql://gw@db:port/x", "needs to be sqlite:///"),
    ],
)
def test_what_the_driver_does_not_take_is_said(written: str, message: str) -> None:
    """It raised a TypeError when the first connection was made, or passed over what was meant."""
    with pytest.raises(ValidationError, match=message) as refused:
        StoresSpec(database=written)
    assert "canary" not in str(refused.value).lower()
    with pytest.raises(StoresError, match=message):
        StoresSpec(database="${DB}").find_database({"DB": written})


def test_an_address_may_be_written_as_hosters_do() -> None:
    """The driver takes both words; a pooler at another port is another server."""
    spec = StoresSpec(database="postgres://gw:${PW}@db:${PORT}/x")

    address = spec.find_database({"PW": PASSWORD, "PORT": "6543"})

    assert address.shown == "postgresql://db:6543/x"
    six = StoresSpec(database="postgresql://gw@[::1]:6543/x").find_database({})
    assert six.shown == "postgresql://[::1]:6543/x"
    with pytest.raises(StoresError, match="with its variables filled in it needs to be"):
        spec.find_database({"PW": PASSWORD, "PORT": "x"})


def test_a_password_does_not_stand_in_the_file() -> None:
    """Files are copied, committed and mailed."""
    with pytest.raises(ValidationError, match=r"write \$\{VARIABLE\}") as refused:
        StoresSpec(database=f"postgresql://gw:{PASSWORD.replace('/', '')}@db/gateway")

    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("written", "environ", "message"),
    [
        ("${DB}", {}, r"the variable \$\{DB\}"),
        ("${DB}", {"DB": f"mysql://gw:{PASSWORD}@db/x"}, "needs to be sqlite:///"),
        ("postgresql://gw:${PW}@db/x", {"PW": " "}, r"the variable \$\{PW\}"),
        ("postgresql://gw:${PW}@db/x", {"PW": "canary \x00"}, "control character"),
    ],
)
def test_a_variable_that_does_not_do_is_named(
    written: str, environ: dict[str, str], message: str
) -> None:
    """And not quoted (K07)."""
    with pytest.raises(StoresError, match=message) as refused:
        StoresSpec(database=written).find_database(environ)

    assert "canary" not in str(refused.value)


def test_peppers_come_from_variables_and_files(tmp_path: Path) -> None:
    """By version."""
    file = tmp_path / "pepper"
    file.write_text(f"{PEPPER}\n")
    spec = StoresSpec(peppers={"10": "${P}", "9": f"file:{file}"})

    found = spec.find_peppers({"P": PEPPER[::-1]})

    assert found == {9: SecretStr(PEPPER), 10: SecretStr(PEPPER[::-1])}
    assert StoresSpec().find_peppers({}) is None


@pytest.mark.parametrize("environ", [{}, {"P": ""}, {"P": "canary"}, {"P": "canary ü" * 10}])
def test_a_pepper_that_is_none_is_refused(environ: dict[str, str]) -> None:
    """An HMAC with an empty key verifies too (E15)."""
    with pytest.raises(StoresError, match="P") as refused:
        StoresSpec(peppers={"1": "${P}"}).find_peppers(environ)

    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    "peppers", [{"1": PEPPER}, {"0": "${P}"}, {"x": "${P}"}, {"1": "file:relative"}, {}]
)
def test_a_pepper_does_not_stand_in_the_file(peppers: dict[str, str]) -> None:
    """Only where it is."""
    with pytest.raises(ValidationError) as refused:
        StoresSpec(peppers=peppers)

    assert "canary" not in str(refused.value)


def test_a_short_pepper_says_how_to_make_one() -> None:
    """Whoever reads it pastes the line."""
    with pytest.raises(StoresError, match="openssl rand -hex 32"):
        check_pepper("x" * 31, "the file")
    check_pepper("x" * 32, "the file")


@pytest.mark.parametrize(
    ("written", "shown", "port", "database", "is_tls"),
    [
        ("redis://cache.example.org", "redis://cache.example.org:6379/0", 6379, 0, False),
        ("redis://u:${PW}@h:7000/3", "redis://h:7000/3", 7000, 3, False),
        ("rediss://:${PW}@[::1]/1", "rediss://[::1]:6379/1", 6379, 1, True),
        ("${ALL}", "redis://h:6379/0", 6379, 0, False),
    ],
)
def test_an_address_of_redis_is_shown_without_who_asks(
    written: str, shown: str, port: int, database: int, is_tls: object
) -> None:
    """L01: neither in a log line nor in an error."""
    spec = StoresSpec(counters=written)

    address = spec.find_counters({"PW": PASSWORD, "ALL": "redis://u:canary%2Fpassword%401@h"})

    assert address is not None
    assert (address.shown, address.port) == (shown, port)
    assert (address.database, address.is_tls) == (database, is_tls)
    assert address.password is None or address.password.get_secret_value() == PASSWORD
    assert "canary" not in repr(address) + str(spec)


def test_a_socket_of_redis_has_a_path() -> None:
    """And perhaps a number."""
    address = StoresSpec(counters="unix:///run/redis/socket?db=2").find_counters({})

    assert address is not None
    assert (address.path, address.database) == ("/run/redis/socket", 2)
    assert StoresSpec().find_counters({}) is None


@pytest.mark.parametrize(
    "written",
    [
        "",
        "Memory",
        "redis://",
        "redis://h:x",
        "redis://h/a",
        "http://h",
        "unix://x",
        "redis://h?a=b",
    ],
)
def test_what_is_no_place_to_count_is_refused(written: str) -> None:
    """With what it needs to be."""
    with pytest.raises(ValidationError, match="needs to be memory, redis://"):
        StoresSpec(counters=written)


def test_a_password_of_redis_is_not_written_out() -> None:
    """And one that a variable brings in the wrong form is not repeated."""
    with pytest.raises(ValidationError, match="contains a password"):
        StoresSpec(counters="redis://u:plain@h")
    with pytest.raises(StoresError, match=r"what \$\{ALL\} holds needs to be") as refused:
        StoresSpec(counters="${ALL}").find_counters({"ALL": f"redis://u:{PASSWORD}"})
    assert "canary" not in str(refused.value)


KEY = "00ff" * 16


def test_encryption_keys_come_from_variables_and_files(tmp_path: Path) -> None:
    """By version; unset, there are none and a file is made."""
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    spec = StoresSpec(encryption_keys={"10": "${K}", "9": f"file:{file}"})

    found = spec.find_encryption_keys({"K": "A" * 43 + "="})

    assert found == {9: SecretStr(KEY), 10: SecretStr("A" * 43 + "=")}
    assert StoresSpec().find_encryption_keys({}) is None


@pytest.mark.parametrize("value", ["", "canary", KEY[:-1], KEY + "0", "canary!!" * 8])
def test_an_encryption_key_that_is_none_is_refused(value: str) -> None:
    """With its variable, and not with what it holds (E15)."""
    with pytest.raises(StoresError, match=r"stores\.encryption_keys: .*K") as refused:
        StoresSpec(encryption_keys={"1": "${K}"}).find_encryption_keys({"K": value})

    assert "canary" not in str(refused.value)


def test_a_key_is_32_bytes_in_hexadecimal_or_base64() -> None:
    """As `openssl rand` writes it, also with the letters of URLs."""
    assert decode_encryption_key("fb" * 32, "here") == b"\xfb" * 32
    assert decode_encryption_key("-" * 42 + "8=", "here") == decode_encryption_key(
        "+" * 42 + "8=", "here"
    )
    with pytest.raises(StoresError, match="here is not an encryption key"):
        decode_encryption_key("A" * 44, "here")


def test_an_address_of_another_block_names_its_field() -> None:
    """Whoever reads it looks there."""
    with pytest.raises(StoresError, match=r"profiles\.database needs the variable"):
        find_database("${NO_SUCH}", {}, field="profiles.database")


def test_what_is_secret_is_known_to_the_log() -> None:
    """Drivers quote what they were given; what cannot be found is missed where it is needed."""
    spec = StoresSpec(
        database="postgresql://me:${DB}@h/x",
        counters="redis://:${REDIS}@h/0",
        peppers={"1": "${PEPPER}"},
        encryption_keys={"1": "${NO_SUCH}"},
    )
    environ = {"DB": "pass/word", "REDIS": PASSWORD, "PEPPER": "p" * 32}

    assert spec.find_secrets(environ) == ["pass/word", "pass%2Fword", PASSWORD, "p" * 32]
    assert spec.find_secrets({}) == []
    assert StoresSpec().find_secrets({}) == []
    assert StoresSpec(database="${ALL}").find_secrets({"ALL": "postgresql://[/x"}) == []
