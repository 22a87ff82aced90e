"""The tables, as SQLAlchemy knows them.

The rule here: a change of these is a migration in `migrations/versions` and a new `SCHEMA`; a test
holds the three together.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)

SCHEMA = "0002"

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
