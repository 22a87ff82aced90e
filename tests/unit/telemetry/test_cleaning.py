"""No log line holds a credential, a second line or a megabyte."""

import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest

from gateway.telemetry.cleaning import MAX_CHARS, MAX_ITEMS, REDACTED, Cleaner, escape_invisible

SECRET = "hunter2hunter2hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Basic {SECRET}",
        f"authorization={SECRET}",
        f"'x-api-key': '{SECRET}'",
        f'{{"Authorization": "Bearer {SECRET}"}}',
        f"Set-Cookie: {SECRET}; Path=/",
        f"https://llm.example.org/v1?key={SECRET}",
        f"sk-proj-{SECRET}",
        f"Bearer {SECRET}",
        f"Authorization: Token {SECRET}",
        f"Authorization: Bearer <{SECRET}>",
        f"Authorization: Bearer <key>{SECRET}",
        f"Authorization: Bearer <key>.{SECRET}",
        f"Authorization: Bearer <key>{SECRET}`; Bearer <{SECRET}>, Bearer <token>-{SECRET}",
        f'Authorization: Digest username="me", response="{SECRET}"',
        f"Proxy-Authorization: AWS4-HMAC-SHA256 Credential=me/x, Signature={SECRET}",
        f"Cookie: theme=dark; session={SECRET}",
        f'Cookie: sb-auth-token=["x","{SECRET}"]',
        f"{{'Cookie': 'theme=dark; session={SECRET}', 'Host': 'x'}}",
        f"<CIMultiDictProxy('Host': 'x', 'Set-Cookie': 'a=b; c={SECRET}')>",
        f"((b'Cookie', b'a=b; c={SECRET}'), (b'Host', b'x'))",
        f'{{"authorization":"it\\"s {SECRET}"}}',
        f'"{{\\"x-api-key\\": \\"is {SECRET}\\"}}"',
        f'"authorization": Basic {SECRET}',
        f"x-goog-api-key: {SECRET}",
        f"X-Auth-Token: {SECRET}",
        f"https://chat.example.org/callback?token={SECRET}&state=x",
        f"host=db user=me password={SECRET} dbname=x",
        f'{{"password": "is {SECRET}"}}',
        f"{{'refresh_token': '{SECRET}'}}",
        f"postgresql://me:{SECRET}@db/x",
    ],
)
def test_what_looks_like_a_credential_goes(text: str) -> None:
    """Errors of libraries and providers quote whatever they were given."""
    assert SECRET not in str(Cleaner().clean(text))


@pytest.mark.parametrize(
    "text",
    [
        "gateway.yaml:3:5: auth.0.secret: needs to be ${VARIABLE}",
        "stores.database: contains a password; write ${VARIABLE} instead",
        "The maximum is 8192 tokens. Tokens: 9000.",
        "expected one of 'token', 'password'",
        "The cookie is missing, and no authorization either.",
        "token=",
        "A key of this gateway is needed, as `Authorization: Bearer <key>`; none was sent.",
        "A token is needed, as `Authorization: Bearer <token>`; none was sent.",
        "Send it as Authorization: Bearer <credential>.",
    ],
)
def test_what_is_said_about_credentials_stays(text: str) -> None:
    """Whoever has to mend it needs to read what is wrong."""
    assert Cleaner().clean(text) == text


def test_what_stands_beside_a_credential_stays() -> None:
    """The sentence that providers have for a missing one, and the headers around it."""
    said = "use an Authorization header (Authorization: Bearer YOUR_KEY_HERE), or a password"
    headers = "{'Cookie': 'a=b; c=d', 'Host': 'x'}"

    assert (
        Cleaner().clean(said)
        == f"use an Authorization header (Authorization: {REDACTED}), or a password"
    )
    assert Cleaner().clean(headers) == f"{{'Cookie': '{REDACTED}', 'Host': 'x'}}"
    assert Cleaner().clean(Cleaner().clean(headers)) == Cleaner().clean(headers)


def test_what_stands_across_a_cut_is_found() -> None:
    """Half of a credential would not be, and a traceback is cut at its beginning."""
    jwt = "eyJhbGciOiJI." + "eyJzdWIiOiIx" * 20 + "." + "x" * 100
    cleaner = Cleaner()

    assert "eyJzdWIi" not in str(cleaner.clean("a " * 500 + jwt))
    assert "eyJzdWIi" not in str(cleaner.clean(b"a " * 500 + jwt.encode()))
    assert "z" * 100 not in cleaner.clean_exception(f"sk-proj-{'z' * 900}\n" + "a " * 4_000)
    assert SECRET[:9] not in str(Cleaner([SECRET * 80]).clean("a " * 500 + SECRET * 80))


@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    "piece", ["cookie:'", "authorization: a, b=", "password=", 'x-api-key":', "token\\"]
)
def test_hostile_text_takes_no_time(piece: str) -> None:
    """The loop cleans what somebody else made up."""
    Cleaner().redact(piece * 50_000)


class Unprintable:
    """A name of somebody's that cannot be shown."""

    def __str__(self) -> str:
        """Fail."""
        raise RuntimeError("not now")


def test_what_no_line_can_hold_is_shown_as_text() -> None:
    """A block that holds itself, a number of a thousand digits, a name that is none."""
    own: dict[object, object] = {}
    own["own"] = own
    cleaned = Cleaner().clean({"own": own, "huge": 1 << 10_000, "large": 1 << 70, Unprintable(): 1})

    assert len(json.dumps(cleaned)) < 2 * MAX_CHARS
    assert isinstance(cleaned, dict)
    assert cleaned["large"] == str(1 << 70)


def test_credentials_in_use_go_whatever_they_look_like() -> None:
    """Somebody's own server takes any word for a key."""
    cleaned = str(Cleaner([SECRET]).clean(f"refused: {SECRET}!"))

    assert SECRET not in cleaned
    assert cleaned.startswith("refused: ")


@pytest.mark.parametrize("secret", [SECRET, 'pa"ss/w\\ rd+1=', "pässwörd-pässwörd", "12345678"])
def test_credentials_in_use_go_in_other_forms_too(secret: str) -> None:
    """An address, a text in quotes and a header of Basic's hold them, and errors quote those."""
    cleaner = Cleaner([secret])
    forms = {quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
    encoded = (
        f"{before}{secret}{after}" for before in ("", "a", "ab") for after in ("", ":", ":x")
    )
    for text in encoded:
        forms |= {b64encode(text.encode()).decode(), urlsafe_b64encode(text.encode()).decode()}

    for form in forms:
        cleaned = str(cleaner.clean(f"refused: {form}"))
        assert len(cleaned) <= len("refused: ") + 12, (form, cleaned)


def test_names_that_mean_a_credential_hide_their_value() -> None:
    """At any depth."""
    names = ("X-API-Key", "groq_api_key", "DB_PASSWORD", "X-Session-Token", "token")

    cleaned = Cleaner().clean({"headers": [dict.fromkeys(names, SECRET), {"tokens": "3"}]})

    assert cleaned == {"headers": [dict.fromkeys(names, REDACTED), {"tokens": "3"}]}


@pytest.mark.parametrize("char", ["\n", "\r", "\x1b", "\x00", "\u2028", "\u202e", "\x85", "\udc80"])
def test_what_is_not_seen_is_written_out(char: str) -> None:
    """A line break forges a line, an escape sequence repaints the terminal."""
    cleaned = str(Cleaner().clean(f"a{char}b"))

    assert cleaned.isprintable()
    assert cleaned.encode()


def test_a_long_text_is_cut() -> None:
    """A model's name of a megabyte is not a line of the log."""
    assert len(str(Cleaner().clean("x" * 1_000_000))) == MAX_CHARS + 1


def test_a_long_list_is_cut() -> None:
    """So is a list."""
    assert Cleaner().clean(list(range(1_000))) == list(range(MAX_ITEMS))


@pytest.mark.parametrize("value", [None, True, 3, 1.5, "plain", ["a"], {"a": 1}])
def test_what_needs_no_cleaning_stays(value: object) -> None:
    """Numbers remain numbers."""
    assert Cleaner().clean(value) == value


def test_anything_else_becomes_text() -> None:
    """The line has to be written whatever somebody logs."""
    cleaned = Cleaner().clean({"bytes": b"a\xff", "object": ValueError("x\n")})

    assert json.dumps(cleaned)
    assert isinstance(cleaned, dict)
    assert cleaned["bytes"] == "a\xff"


def test_a_traceback_keeps_its_lines() -> None:
    """It is read by people; only what stands in a line is cleaned."""
    cleaned = Cleaner().clean_exception(f"Traceback\n  File\x1b\nValueError: sk-proj-{SECRET}")

    assert cleaned.count("\n") == 2
    assert "\x1b" not in cleaned
    assert SECRET not in cleaned


def test_printable_text_is_not_touched() -> None:
    """Names are written in many alphabets."""
    assert escape_invisible("Grüße, 世界 🙂") == "Grüße, 世界 🙂"
