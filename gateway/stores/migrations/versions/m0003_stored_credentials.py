"""Credentials of profiles and tenants, sealed."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "stored_credentials",
        sa.Column("owner", sa.String(400), primary_key=True),
        sa.Column("field", sa.String(128), primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("key", sa.Integer, nullable=False),
        sa.Column("key_check", sa.LargeBinary(8), nullable=False),
        sa.Column("data_key", sa.LargeBinary, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("set_at", sa.BigInteger, nullable=False),
        sa.Column("worked_at", sa.BigInteger),
        sa.Column("failed_at", sa.BigInteger),
    )
    op.create_index("ix_stored_credentials_version", "stored_credentials", ["version"], unique=True)
    op.create_index("ix_stored_credentials_key", "stored_credentials", ["key"])
