"""Processes register themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

Id = sa.Uuid(as_uuid=False).with_variant(sa.String(36), "sqlite")
Micros = sa.BigInteger()


def upgrade() -> None:
    """Add the table; an earlier program neither reads nor misses it."""
    op.create_table(
        "nodes",
        sa.Column("id", Id, primary_key=True),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("carriers", sa.Text(), nullable=False, comment="JSON: array of strings"),
        sa.Column("in_hand", sa.Integer(), nullable=False),
        sa.Column("started_at", Micros, nullable=False),
        sa.Column("heard_at", Micros, nullable=False),
    )
    op.execute("UPDATE schema_version SET version = 5, oldest_reader = 4")
