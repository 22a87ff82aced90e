"""Somebody else's tables are read as they are, and never written."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from gateway.stores.errors import SchemaError, StoreDownError
from gateway.stores.opening_credentials import open_supabase_profiles
from gateway.stores.profiles import Columns
from gateway.stores.supabase_profiles import SupabaseProfiles
from tests.plugins.front_end_tables import FrontEndTables

FIELDS = frozenset({"groq_api_key", "openai_api_key", "azure_openai_endpoint", "xai_api_key"})
SECRET = "sk-canary-of-a-user-77aa"

Open = Callable[..., Awaitable[SupabaseProfiles]]


@pytest.fixture
async def opening(front_end: FrontEndTables) -> AsyncIterator[Open]:
    """Opens the tables; closed after the test."""
    opened: list[SupabaseProfiles] = []

    async def open_them(
        table: str = "profiles",
        id_: str = "user_id",
        models: str | None = "models",
        *,
        needs_models: bool = True,
    ) -> SupabaseProfiles:
        columns = Columns(table, id_, FIELDS, models, needs_models=needs_models)
        opened.append(
            await open_supabase_profiles(
                "${DB}", columns, {"DB": front_end.address}, field="profiles.database", timeout_s=10
            )
        )
        return opened[-1]

    yield open_them
    for one in opened:
        await one.close()


async def test_everybody_has_what_they_have_set(front_end: FrontEndTables, opening: Open) -> None:
    """In one question for many; an empty text and blanks are not set, and blanks are no part."""
    alice = front_end.add_profile(groq_api_key=f" {SECRET}\n", openai_api_key="")
    bob = front_end.add_profile(groq_api_key="  ", openai_api_key='sk-bob\'s \\ "key"')
    carol = front_end.add_profile()
    profiles = await opening()

    found = await profiles.fetch_profiles([carol, alice, bob, str(uuid.UUID(int=99))])

    shown = {
        user: {name: value.get_secret_value() for name, value in profile.items()}
        for user, profile in found.items()
    }
    assert shown == {
        alice: {"groq_api_key": SECRET},
        bob: {"openai_api_key": 'sk-bob\'s \\ "key"'},
        carol: {},
    }
    assert SECRET not in repr(found)
    assert profiles.fields == FIELDS - {"xai_api_key"}


@pytest.mark.parametrize(
    "subject", ["", "alice", "' OR 1=1 --", "{%s}", "urn:uuid:%s", "%s ", "%%s"]
)
async def test_a_subject_that_is_no_id_finds_nothing(
    front_end: FrontEndTables, opening: Open, subject: str
) -> None:
    """Also one that reads as somebody's id in another way."""
    alice = front_end.add_profile(groq_api_key=SECRET)
    profiles = await opening()

    asked = subject.replace("%s", alice)
    assert await profiles.fetch_profiles([asked]) == {}
    assert set(await profiles.fetch_profiles([asked, alice.upper(), alice])) == {alice}
    assert await profiles.fetch_models([(asked, asked)]) == {}


async def test_a_model_is_its_owners(front_end: FrontEndTables, opening: Open) -> None:
    """Found by both at once; what belongs to somebody else is not there (E16)."""
    alice, bob = front_end.add_profile(), front_end.add_profile()
    hers = front_end.add_model(alice, "https://a.example.org/v1", "a/model", f" {SECRET} ")
    his = front_end.add_model(bob, "https://b.example.org/v1")
    profiles = await opening()

    found = await profiles.fetch_models([(alice, hers), (bob, his), (alice, his), (bob, hers)])

    assert set(found) == {(alice, hers), (bob, his)}
    row = found[alice, hers]
    assert (row.base_url, row.model_id, row.context_length) == (
        "https://a.example.org/v1",
        "a/model",
        4096,
    )
    assert row.api_key is not None
    assert row.api_key.get_secret_value() == SECRET
    assert found[bob, his].api_key is None
    assert SECRET not in repr(found)


async def test_ids_may_be_texts_too(front_end: FrontEndTables, opening: Open) -> None:
    """Of a front end of one's own; names with capitals are quoted."""
    front_end.run('CREATE TABLE "People" ("Who" text PRIMARY KEY, groq_api_key text);')
    front_end.run(f"""INSERT INTO "People" VALUES ('al"ice', '{SECRET}');""")  # noqa: S608 - ours

    profiles = await opening("People", "Who", None)

    found = await profiles.fetch_profiles(['al"ice', "nobody"])

    assert list(found) == ['al"ice']
    assert not profiles.has_models
    assert await profiles.fetch_models([("a", "b")]) == {}


@pytest.mark.parametrize("type_", ["bigint", "integer", "smallint"])
async def test_ids_may_be_whole_numbers(
    front_end: FrontEndTables, opening: Open, type_: str
) -> None:
    """A text in their place made the driver refuse: 503 for everybody, whoever asked."""
    front_end.run(f"CREATE TABLE people (who {type_} PRIMARY KEY, groq_api_key text);")
    front_end.run(f"INSERT INTO people VALUES (7, '{SECRET}'), (-8, 'sk-of-minus-eight');")  # noqa: S608 - ours

    profiles = await opening("people", "who", None)

    asked = [
        "7",
        "-8",
        "07",
        " 7",
        "+7",
        "7.0",
        "\N{ARABIC-INDIC DIGIT SEVEN}",
        "alice",
        "9" * 20,
        "9" * 9000,
        str(2**63),
    ]
    assert set(await profiles.fetch_profiles(asked)) == {"7", "-8"}


async def test_what_only_the_database_takes_for_equal_is_somebody_else(
    front_end: FrontEndTables, opening: Open
) -> None:
    """Blanks here, capitals with some collations: an issuer tells them apart (E05)."""
    front_end.run(
        "CREATE TABLE people (who char(7), groq_api_key text);"
        "INSERT INTO people VALUES ('alice', 'sk-of-alice'), ('charlie', 'sk-of-charlie');"
    )

    profiles = await opening("people", "who", None)

    assert set(await profiles.fetch_profiles(["alice", "alice ", "charlie"])) == {"charlie"}


async def test_columns_of_other_types_are_passed_over(
    front_end: FrontEndTables, opening: Open
) -> None:
    """Those of an extension's type too, without a warning; a key is text or it is none."""
    front_end.run(
        "CREATE TYPE pair AS (a int, b text); CREATE DOMAIN key_text AS text;"
        "CREATE TABLE people (who uuid, odd pair, groq_api_key key_text, openai_api_key bytea);"
        "INSERT INTO people VALUES (gen_random_uuid(), (1, 'b'), 'sk-of-somebody', 'sk');"
    )

    profiles = await opening("people", "who", None)

    assert profiles.fields == {"groq_api_key"}
    with pytest.raises(
        SchemaError, match=r"column odd of the table people is of the type .*uuid, text"
    ):
        await opening("people", "odd", None)


async def test_nothing_can_be_written(front_end: FrontEndTables, opening: Open) -> None:
    """Whatever the user of the database may do."""
    alice = front_end.add_profile(groq_api_key=SECRET)
    profiles = await opening()

    with pytest.raises(StoreDownError, match="read-only"):
        async with profiles._database.look() as connection:  # noqa: SLF001 - to try it
            await connection.execute(text("UPDATE profiles SET groq_api_key = ''"))

    found = await profiles.fetch_profiles([alice])
    assert found[alice]["groq_api_key"].get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("nobodys",), "has no table nobodys"),
        (('profiles"; DROP TABLE models; --',), "has no table"),
        (("profiles", "owner_id"), "table profiles has no column owner_id"),
        (("models", "user_id"), "none of the columns that providers.yaml names"),
        (("profiles", "created_at"), "created_at of the table profiles is of the type TIMESTAMP"),
        (("profiles", "user_id", "rows"), "no table rows, .*`models: null`"),
        (("profiles", "user_id", "profiles"), "profiles lacks base_url, model_id, api_key, cont"),
    ],
)
async def test_a_table_that_is_not_as_it_should_be_stops_the_start(
    opening: Open, names: tuple[str, ...], message: str
) -> None:
    """Every name is looked for before it is used."""
    with pytest.raises(SchemaError, match=message):
        await opening(*names)
    assert (await opening()).has_models


async def test_a_front_end_without_models_is_one_too(
    front_end: FrontEndTables, opening: Open
) -> None:
    """Where nobody has written down that there are any."""
    front_end.run("DROP TABLE models;")

    profiles = await opening(needs_models=False)

    assert not profiles.has_models


async def test_a_table_that_may_not_be_read_stops_the_start(front_end: FrontEndTables) -> None:
    """Else every caller would be told to try again in a moment, for ever."""
    user = f"reader_{front_end.database}"
    front_end.run(f"CREATE ROLE {user} LOGIN; GRANT SELECT (user_id) ON profiles TO {user};")
    parts = urlsplit(front_end.address)
    address = parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}").geturl()

    async def open_them() -> SupabaseProfiles:
        columns = Columns("profiles", "user_id", FIELDS, "models")
        return await open_supabase_profiles(
            "${DB}", columns, {"DB": address}, field="profiles.database", timeout_s=10
        )

    with pytest.raises(SchemaError, match=r"permission denied for table profiles; `GRANT") as shown:
        await open_them()
    assert "(user_id, azure_openai_endpoint, groq_api_key, openai_api_key) ON" in str(shown.value)

    front_end.run(f"GRANT SELECT ON profiles TO {user};")
    with pytest.raises(SchemaError, match=r"denied for table models.*`models: null`"):
        await open_them()

    front_end.run(f"GRANT SELECT ON models TO {user};")
    await (await open_them()).close()
