"""What is read from the tables of a chat front end.

The rule here: everything that users have entered is kept wrapped as a secret, addresses too.
"""

import msgspec
from pydantic import SecretStr

Profile = dict[str, SecretStr]
"""What a user has set, by column; addresses and names among the credentials."""

ModelPlace = tuple[str, str]
"""Whose model it is, and its id."""


class Columns(msgspec.Struct, frozen=True):
    """Which tables to read, and what of them."""

    table: str
    id: str  # the column that says whose row it is
    fields: frozenset[str]  # the wanted columns; those that the table lacks are ignored
    models: str | None  # the table of the users' own models
    needs_models: bool = False  # whether that table has to be there


class ModelRow(msgspec.Struct, frozen=True):
    """A row with a model that a user has set up."""

    base_url: str
    model_id: str
    api_key: SecretStr | None
    context_length: int | None
