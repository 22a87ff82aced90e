"""Tests of finding credentials and filling headers."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.config.credentials import (
    CredentialError,
    check_reference,
    fill_headers,
    find_credentials,
    find_repeated,
    find_unsendable,
    is_header_written_out,
    is_written_out,
    say_where,
)
from gateway.config.registry import Provider

CANARY = "sk-canary-5f2a"


def provider_with(credential: str | None = None) -> Provider:
    """Return a provider whose credential is said to be there."""
    secret = None if credential is None else SecretStr(credential)
    return Provider(name="mine", base_url="https://llm.example.org/v1", credential=secret)


def found(credential: str | None, environ: dict[str, str]) -> str | None:
    """Return the credential in the clear, so that it can be compared."""
    one = find_credentials(provider_with(credential), environ)
    return one[0].secret.get_secret_value() if one else None


def test_the_derived_variable_is_read_when_nothing_is_written() -> None:
    """Two lines are a provider, so the third place to look must be known."""
    assert found(None, {"MINE_API_KEY": CANARY}) == CANARY


def test_a_named_variable_wins_over_the_derived_one() -> None:
    """Whoever names a variable means that one and no other."""
    environ = {"MINE_API_KEY": "other", "SPECIAL": CANARY}

    assert found("${SPECIAL}", environ) == CANARY
    assert found("${MISSING}", environ) is None


@pytest.mark.parametrize("blank", ["", " ", "\t\r\n", '""', "''"])
def test_a_blank_variable_is_not_set(blank: str) -> None:
    """Compose files set variables to nothing; a Bearer without a key is a 401 that puzzles.

    Docker's `--env-file` keeps the quotes around nothing too.
    """
    assert found(None, {"MINE_API_KEY": blank}) is None
    assert found("${SPECIAL}", {"SPECIAL": blank}) is None


def test_white_space_around_a_credential_is_not_part_of_it() -> None:
    """Files written by `echo`, and .env files from Windows, end in a line break."""
    assert found(None, {"MINE_API_KEY": f" {CANARY}\r\n"}) == CANARY


def test_a_file_is_read_at_its_path(tmp_path: Path) -> None:
    """Secrets mounted as files never appear in a process listing."""
    file = tmp_path / "key"
    file.write_text(f"{CANARY}\n")

    assert found(f"file:{file}", {}) == CANARY


def test_an_empty_file_holds_no_credential(tmp_path: Path) -> None:
    """An unset secret is often mounted as an empty file."""
    file = tmp_path / "key"
    file.write_text("\n")

    assert found(f"file:{file}", {}) is None


def test_a_variable_may_be_a_file_in_the_directory_of_secrets(tmp_path: Path) -> None:
    """LoadCredential= and mounted secrets: the registry is the same, and no process shows it."""
    (tmp_path / "MINE_API_KEY").write_text(f"{CANARY}\n")
    (tmp_path / "SPECIAL").write_text("special")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}

    assert found(None, environ) == CANARY
    assert found("${SPECIAL}", environ) == "special"
    assert found("${MISSING}", environ) is None
    assert fill_headers({"X-Mine": "a ${SPECIAL}"}, environ) == {"X-Mine": "a special"}


def test_a_variable_that_is_set_wins_over_its_file(tmp_path: Path) -> None:
    """Whoever sets one for a single start means it; a blank one is not set."""
    (tmp_path / "MINE_API_KEY").write_text("in-the-file")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}

    assert found(None, {**environ, "MINE_API_KEY": CANARY}) == CANARY
    assert found(None, {**environ, "MINE_API_KEY": " "}) == "in-the-file"


def test_a_secret_that_cannot_be_read_is_said_to_be_there(tmp_path: Path) -> None:
    """Taken for one that is not set, it would be looked for in the wrong place."""
    (tmp_path / "MINE_API_KEY").mkdir()
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}

    with pytest.raises(CredentialError, match=f"the file {tmp_path}/MINE_API_KEY cannot be read"):
        found(None, environ)
    with pytest.raises(CredentialError, match="cannot be read: Not a directory"):
        found(None, {"CREDENTIALS_DIRECTORY": __file__})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file"),
        (b"\xff\xfe", "not text"),
        (b"a" * 70_000, "too large"),
        (CANARY.encode() + b"\nsecond line", "white space"),
    ],
)
def test_a_file_that_holds_no_credential_is_named(
    content: bytes | None, reason: str, tmp_path: Path
) -> None:
    """The operator named that file, so going on without it would surprise."""
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(CredentialError, match=reason) as caught:
        found(f"file:{file}", {})

    assert str(file) in str(caught.value)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("quote", ["'", '"'])
def test_quotes_around_a_credential_are_no_part_of_it(quote: str) -> None:
    """Docker's `--env-file` keeps those of a .env file, and the provider would say "incorrect"."""
    with pytest.raises(CredentialError, match="MINE_API_KEY holds quotes around") as caught:
        found(None, {"MINE_API_KEY": f"{quote}{CANARY}{quote}"})

    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("inside", ["\r\n", "\n", "\x00", " ", "ü"])
def test_a_credential_that_cannot_be_a_header_names_the_variable_and_not_the_value(
    inside: str,
) -> None:
    """A line break in it would let whoever sets the variable write further headers."""
    with pytest.raises(CredentialError, match="MINE_API_KEY") as caught:
        found(None, {"MINE_API_KEY": f"{CANARY}{inside}x"})

    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "reference",
    [
        "",
        " ",
        "a b",
        "a\nb",
        "sk-${A}",
        "${A}${B}",
        "${A:-b}",
        "${}",
        "$GROQ_API_KEY",
        "file:",
        "file:a",
    ],
)
def test_a_text_that_is_neither_reference_nor_credential_is_refused(reference: str) -> None:
    """Half a reference would be sent to the provider as a key."""
    with pytest.raises(ValueError, match=r"."):
        check_reference(reference)


def test_only_a_credential_itself_counts_as_written_out() -> None:
    """A reference may stand in a file that everybody reads."""
    texts = ("${A}", "$A", "file:/a", "sk-a")

    assert [is_written_out(SecretStr(text)) for text in texts] == [False, False, False, True]
    assert not is_written_out(None)


@pytest.mark.parametrize(
    ("name", "value", "is_written"),
    [
        ("X-Api-Key", CANARY, True),
        ("Proxy-Authorization", f"Bearer {CANARY}", True),
        ("Ocp-Apim-Subscription-Key", "0123456789", True),
        ("X-Auth-Token", f"${{A:-{CANARY}}}", True),
        ("Cookie", "a=b", True),
        ("X-Functions-Key", "0123456789", True),
        ("X-Auth", "0123456789", True),
        ("X-Title", f"Bearer {CANARY}", True),
        ("X-Title", f"${{A:-{CANARY}}}", True),
        ("X-Title", "Bearer ${A_LONG_NAME}", False),
        ("X-Api-Key", "${A}", False),
        ("X-Api-Key", "${A:-}", False),
        ("Authorization", "Bearer ${A}", False),
        ("HTTP-Referer", "https://chat.example.org", False),
        ("X-Monkey", "banana", False),
        ("X-Author", "somebody", False),
    ],
)
def test_a_header_counts_as_written_out_when_its_name_says_what_it_carries(
    name: str, value: str, *, is_written: bool
) -> None:
    """A second key that a host wants is as secret as the first."""
    assert is_header_written_out(name, value) is is_written


def test_variables_in_headers_are_filled_in() -> None:
    """Account numbers and the like differ from machine to machine."""
    headers = {"X-A": "one ${A} two", "X-B": "${B:-b}", "X-C": "c"}

    filled = fill_headers(headers, {"A": "a"})

    assert filled == {"X-A": "one a two", "X-B": "b", "X-C": "c"}


def test_a_header_that_comes_out_empty_is_not_sent() -> None:
    """`OpenAI-Organization:` with nothing behind it is refused by the host."""
    assert fill_headers({"X-A": "${A:-}"}, {"A": " "}) == {}


def test_a_variable_without_a_default_has_to_be_set() -> None:
    """A header the operator asked for must not be dropped without a word."""
    with pytest.raises(CredentialError, match=r"X-A needs the environment variable A.*\$\{A:-\}"):
        fill_headers({"X-A": "${A}"}, {})


def test_what_cannot_be_used_is_said_where_it_is_named() -> None:
    """A provider's entry may be a hundred lines."""
    with pytest.raises(CredentialError) as of_a_header:
        fill_headers({"X-A": "${A}"}, {})
    with pytest.raises(CredentialError) as of_a_file:
        find_credentials(provider_with("file:/nowhere/key"), {})
    with pytest.raises(CredentialError) as of_a_default:
        find_credentials(provider_with(), {"MINE_API_KEY": "a b"})

    assert of_a_header.value.path == ("headers", "X-A")
    assert of_a_file.value.path == ("credential",)
    assert of_a_default.value.path == ()


def test_a_variable_that_cannot_be_a_header_is_named() -> None:
    """A line break in it would be a second header."""
    with pytest.raises(CredentialError, match="variable A cannot go into the header X-A") as caught:
        fill_headers({"X-A": "${A}"}, {"A": f"{CANARY}\r\nX-B: 1"})

    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("value", ["a\nb", "ü", "${", "${A", "${1}", "${A:b}", "x${}"])
def test_a_header_that_cannot_be_sent_is_refused(value: str) -> None:
    """Found at the start, not in the first request."""
    (found,) = find_unsendable({"X-B": "b", "X-A": value})

    assert found.path == ("X-A",)


@pytest.mark.parametrize(
    ("written", "name"),
    [(None, "MINE_API_KEY"), ("${SPECIAL}", "SPECIAL"), (CANARY, "written out")],
)
def test_a_credential_is_called_by_where_it_is(written: str | None, name: str) -> None:
    """Logs and the ledger say which one was used, and nothing of what it is."""
    environ = {"MINE_API_KEY": CANARY, "SPECIAL": CANARY}

    credentials = find_credentials(provider_with(written), environ)

    assert [credential.id for credential in credentials] == [name]


def test_a_credential_of_a_file_is_called_by_the_file(tmp_path: Path) -> None:
    """The path is what an operator knows it by."""
    file = tmp_path / "key"
    file.write_text(CANARY)

    credentials = find_credentials(provider_with(f"file:{file}"), {})

    assert [credential.id for credential in credentials] == [f"file:{file}"]


A, B = "${A}", "${B}"


def several(*references: str) -> Provider:
    """Return a provider with these under `credentials`."""
    written = tuple(map(SecretStr, references))
    return Provider(name="mine", base_url="https://llm.example.org/v1", credentials=written)


def test_several_credentials_are_found_in_order_and_by_their_own_names(tmp_path: Path) -> None:
    """The log says which of them was shown."""
    file = tmp_path / "key"
    file.write_text("three")
    environ = {"A": "one", "B": "two", "MINE_API_KEY": "never"}

    found = find_credentials(several(A, B, f"file:{file}", "sk-four", "sk-five"), environ)

    assert [(one.id, one.secret.get_secret_value()) for one in found] == [
        ("A", "one"),
        ("B", "two"),
        (f"file:{file}", "three"),
        ("written out 4", "sk-four"),
        ("written out 5", "sk-five"),
    ]


def test_of_several_credentials_those_that_are_not_set_are_left_out() -> None:
    """A machine with one of two variables serves with that one."""
    assert [one.id for one in find_credentials(several(A, B), {"B": "two"})] == ["B"]
    assert find_credentials(several(A, B), {"MINE_API_KEY": "never", "A": " "}) == ()


def test_two_names_of_one_value_are_a_mistake() -> None:
    """They share one limit at the provider, and half of the pool would not be there."""
    with pytest.raises(CredentialError, match="B holds the same value as A") as caught:
        find_credentials(several(A, B), {"A": CANARY, "B": f" {CANARY}\n"})

    assert caught.value.path == ("credentials", 1)
    assert CANARY not in str(caught.value)


def test_a_broken_credential_of_several_is_named_with_its_place() -> None:
    """Which of ten it is decides where to look."""
    with pytest.raises(CredentialError, match="the environment variable B") as caught:
        find_credentials(several(A, B), {"A": "one", "B": f"{CANARY} x"})

    assert caught.value.path == ("credentials", 1)


@pytest.mark.parametrize(
    ("text", "said"), [(A, "A is written twice"), (CANARY, "credential is written twice")]
)
def test_the_same_reference_twice_is_a_mistake(text: str, said: str) -> None:
    """Found without the environment; a value that is written out is not repeated."""
    (found,) = find_repeated([SecretStr(B), SecretStr(text), SecretStr(text)])

    assert found.path == (2,)
    assert said in found.message
    assert CANARY not in found.message


@pytest.mark.parametrize(
    ("provider", "where"),
    [
        (provider_with(), "the environment variable MINE_API_KEY"),
        (provider_with("${SPECIAL}"), "the environment variable SPECIAL"),
        (provider_with("file:/run/key"), "file:/run/key"),
        (several(A), "the environment variable A"),
        (several(A, B, "file:/run/key"), "one of A, B, file:/run/key"),
    ],
)
def test_where_a_credential_would_be_is_said(provider: Provider, where: str) -> None:
    """K07: whoever reads that there is none has to know what to set."""
    assert say_where(provider) == where
