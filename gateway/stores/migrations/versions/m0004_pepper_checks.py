"""What tells a pepper from others."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table; it is filled when the peppers are next there."""
    op.create_table(
        "pepper_checks",
        sa.Column("pepper", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("pepper_check", sa.LargeBinary(8), nullable=False),
    )
