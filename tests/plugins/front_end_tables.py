"""The tables of a chat front end on Supabase, as chatbot-ui's migrations leave them.

The rule here: columns that the gateway does not read are there all the same.
"""

import itertools
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from tests.plugins.postgresql import PostgresqlServer

KEY_COLUMNS = (
    "anthropic_api_key",
    "azure_openai_35_turbo_id",
    "azure_openai_45_turbo_id",
    "azure_openai_45_vision_id",
    "azure_openai_embeddings_id",
    "azure_openai_api_key",
    "azure_openai_endpoint",
    "google_gemini_api_key",
    "groq_api_key",
    "mistral_api_key",
    "openai_api_key",
    "openai_organization_id",
    "openrouter_api_key",
    "perplexity_api_key",
)

TABLES = f"""
CREATE TABLE profiles (
  id uuid PRIMARY KEY, user_id uuid UNIQUE NOT NULL, created_at timestamptz DEFAULT now(),
  updated_at timestamptz, bio text NOT NULL DEFAULT '', has_onboarded boolean DEFAULT false,
  use_azure_openai boolean NOT NULL DEFAULT false, username text UNIQUE,
  {", ".join(f"{column} text" for column in KEY_COLUMNS)}
);
CREATE TABLE models (
  id uuid PRIMARY KEY, user_id uuid NOT NULL, folder_id uuid, created_at timestamptz,
  sharing text NOT NULL DEFAULT 'private', api_key text NOT NULL, base_url text NOT NULL,
  description text NOT NULL DEFAULT '', model_id text NOT NULL, name text NOT NULL DEFAULT '',
  context_length int NOT NULL DEFAULT 4096
);
"""


@dataclass
class FrontEndTables:
    """One database with both tables."""

    server: PostgresqlServer
    address: str
    database: str
    _numbers: itertools.count = field(default_factory=lambda: itertools.count(1))

    def run(self, sql: str) -> None:
        """Run statements in the database as its owner would."""
        self.server.run_in(self.database, sql)

    def add_profile(self, **columns: str | None) -> str:
        """A user who has set these; the rest is as the front end leaves it. Gives their id."""
        user = str(uuid.UUID(int=next(self._numbers)))
        self.run(f"INSERT INTO profiles (id, user_id) VALUES ('{user}', '{user}');")  # noqa: S608 - ours
        empty = dict.fromkeys(set(KEY_COLUMNS) - {"groq_api_key", "openrouter_api_key"}, "")
        self.set_profile(user, **{**empty, **columns})
        return user

    def set_profile(self, user: str, **columns: str | None) -> None:
        """Change what a user has set."""
        self.run(f"UPDATE profiles SET {_assign(columns)} WHERE user_id = '{user}';")  # noqa: S608 - ours

    def add_model(self, user: str, base_url: str, model_id: str = "plain", key: str = "") -> str:
        """A model of a user's own. Gives its id."""
        model = str(uuid.UUID(int=2**64 + next(self._numbers)))
        values = ", ".join(map(_quote, (model, user, base_url, model_id, key)))
        columns = "id, user_id, base_url, model_id, api_key"
        self.run(f"INSERT INTO models ({columns}) VALUES ({values});")  # noqa: S608 - ours
        return model

    def end_connections(self) -> None:
        """Cut everybody off."""
        whose = f"datname = '{self.database}'"
        self.server.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {whose};")  # noqa: S608 - ours


def _assign(columns: Mapping[str, str | None]) -> str:
    return ", ".join(f'"{name}" = {_quote(value)}' for name, value in columns.items())


def _quote(value: str | None) -> str:
    if value is None:
        return "NULL"
    return "E'" + json.dumps(value, ensure_ascii=False)[1:-1].replace("'", "''") + "'"


@pytest.fixture
def front_end(postgresql: PostgresqlServer) -> FrontEndTables:
    """Both tables, empty."""
    address = postgresql.make_database()
    database = urlsplit(address).path.removeprefix("/")
    tables = FrontEndTables(postgresql, address, database)
    tables.run(TABLES)
    return tables
