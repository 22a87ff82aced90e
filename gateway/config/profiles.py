"""Where callers' own credentials are: `profiles` in gateway.yaml.

Rule: nothing is looked up anywhere unless this block is written.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from gateway.config import forms
from gateway.config.mistakes import Mistake, refuse
from gateway.config.spec import Spec
from gateway.config.stores import check_database, find_password

SqlName = Annotated[str, StringConstraints(pattern=forms.SQL_NAME)]
Prefix = Annotated[str, StringConstraints(pattern=forms.PRINCIPAL_PREFIX)]

_OF_TABLES = ("database", "table", "id", "models", "prefix")


class ProfilesSpec(Spec):
    """Credentials of those who call, and of their tenants."""

    source: Literal["stored", "postgres"] = Field(
        description=(
            "`stored`: encrypted in the database of `stores`. `postgres`: the table of a "
            "chat front end on Supabase, such as chatbot-ui; read only."
        )
    )
    tenants: bool = Field(
        default_factory=lambda fields: fields.get("source") == "stored",
        description=(
            "Whether tenants have credentials too, set with `gateway credentials set "
            "--tenant` in the database of `stores`. Default: true with `stored`, false "
            "with `postgres`."
        ),
    )
    database: str | None = Field(
        default=None,
        description=(
            "With `postgres`: database of the table, written like `stores.database`. "
            "Unset: that database."
        ),
    )
    table: SqlName = Field(default="profiles", description="With `postgres`: name of the table.")
    id: SqlName = Field(
        default="user_id",
        description="With `postgres`: column that holds the subject of a caller's token.",
    )
    models: SqlName | None = Field(
        default="models",
        description=(
            "With `postgres`: table of the users' own models, for `custom`; null: they "
            "have none. If it is set, the table has to exist."
        ),
    )
    prefix: Prefix | None = Field(
        default=None,
        description=(
            "With `postgres`: `prefix` of the entry in `auth` that these users belong to. "
            "Unset: that of `supabase_cookie`, or of the only `jwt`."
        ),
    )

    def find_secrets(self, environ: Mapping[str, str] | None = None) -> list[str]:
        """The password of the table's database, where it is one of its own."""
        return [] if self.database is None else find_password(self.database, environ)

    @field_validator("database")
    @classmethod
    def _is_a_server(cls, database: str | None) -> str | None:
        if database is not None:
            check_database(database)
            if database.startswith("sqlite:"):
                raise ValueError("needs to be postgresql://<user>@<host>/<name>, or ${VARIABLE}")
        return database

    @model_validator(mode="after")
    def _says_nothing_in_vain(self) -> Self:
        if self.source == "stored":
            message = "is for `source: postgres`; leave it out"
            in_vain = (name for name in _OF_TABLES if name in self.model_fields_set)
            refuse(Mistake((name,), message, at_key=True) for name in in_vain)
        return self
