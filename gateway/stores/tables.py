"""The tables, as SQLAlchemy knows them.

The rule here: a change of these is a migration in `migrations/versions` and a new `SCHEMA`; a test
holds the three together.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

SCHEMA = "0004"

metadata = MetaData()

gateway_keys = Table(
    "gateway_keys",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("groups", JSON, nullable=False),
    Column("providers", JSON, nullable=False),
    Column("models", JSON, nullable=False),
    Column("networks", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),  # Unix seconds, as all times here
    Column("expires_at", BigInteger),
    Column("disabled_at", BigInteger),
    # Counts changes of any key, so that a gateway asks for those since its last look.
    Column("revision", BigInteger, nullable=False, index=True),
)

gateway_key_secrets = Table(
    "gateway_key_secrets",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column(
        "name",
        String(128),
        ForeignKey("gateway_keys.name", name="gateway_key_secrets_name"),
        nullable=False,
        index=True,
    ),
    Column("pepper", Integer, nullable=False),
    Column("prefix", String(8), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
)

pepper_checks = Table(
    "pepper_checks",
    metadata,
    Column("pepper", Integer, primary_key=True, autoincrement=False),  # its version
    Column("pepper_check", LargeBinary(8), nullable=False),
)

# Times of the ledger are Unix milliseconds.
ledger_exchanges = Table(
    "ledger_exchanges",
    metadata,
    Column("id", Text, primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("principal_kind", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("dialect", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("started_at_ms", BigInteger, nullable=False, index=True),
    Column("duration_ms", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error_code", Text, nullable=False),
    Column("first_content_ms", BigInteger),
    Column("bytes_in", BigInteger, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    sqlite_with_rowid=False,  # rows are kept by their key, which grows: half the writing
)

ledger_attempts = Table(
    "ledger_attempts",
    metadata,
    Column(
        "exchange_id",
        Text,
        ForeignKey("ledger_exchanges.id", name="ledger_attempts_exchange"),
        primary_key=True,
    ),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("credential_id", Text, nullable=False),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error_code", Text, nullable=False),
    Column("upstream_request_id", Text, nullable=False),
    Column("tokens_in", BigInteger),
    Column("tokens_out", BigInteger),
    Column("tokens_cached", BigInteger),
    Column("tokens_reasoning", BigInteger),
    Column("tokens_source", Text),
    Column("cost_micros", BigInteger),
    Column("price_version", Text),
    Column("provider_cost_micros", BigInteger),
    sqlite_with_rowid=False,
)

stored_credentials = Table(
    "stored_credentials",
    metadata,
    Column("owner", String(400), primary_key=True),
    Column("field", String(128), primary_key=True),
    Column("version", BigInteger, nullable=False, index=True, unique=True),
    Column("key", Integer, nullable=False, index=True),  # the version of the encryption key
    Column("key_check", LargeBinary(8), nullable=False),
    Column("data_key", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("set_at", BigInteger, nullable=False),
    Column("worked_at", BigInteger),
    Column("failed_at", BigInteger),
)
