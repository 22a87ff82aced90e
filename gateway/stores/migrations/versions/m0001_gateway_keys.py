"""Keys of the gateway, and their secrets."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "gateway_keys",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("groups", sa.JSON, nullable=False),
        sa.Column("providers", sa.JSON, nullable=False),
        sa.Column("models", sa.JSON, nullable=False),
        sa.Column("networks", sa.JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("disabled_at", sa.BigInteger),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_gateway_keys_revision", "gateway_keys", ["revision"])
    op.create_table(
        "gateway_key_secrets",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column(
            "name",
            sa.String(128),
            sa.ForeignKey("gateway_keys.name", name="gateway_key_secrets_name"),
            nullable=False,
        ),
        sa.Column("pepper", sa.Integer, nullable=False),
        sa.Column("prefix", sa.String(8), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
    )
    op.create_index("ix_gateway_key_secrets_name", "gateway_key_secrets", ["name"])
