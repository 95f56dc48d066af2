"""Processes register themselves; the epoch of accounts is told for each organisation."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

Id = sa.Uuid(as_uuid=False).with_variant(sa.String(36), "sqlite")
Micros = sa.BigInteger()


def upgrade() -> None:
    """Add a table and columns; an earlier program neither reads nor misses them."""
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
    _epochs()
    op.execute("UPDATE schema_version SET version = 5, oldest_reader = 4")


def _epochs() -> None:
    """What is known at the start is no change of one organisation: both begin where the epoch stands."""
    told = {"own": "the epoch of the last change that names whose", "general": "of the last known that does not"}
    for name, comment in told.items():
        column = sa.Column(name, sa.BigInteger(), nullable=False, server_default="0", comment=comment)
        op.add_column("account_epoch", column)
    op.execute("UPDATE account_epoch SET own = epoch, general = epoch")
    epoch = sa.Column(
        "epoch", sa.BigInteger(), nullable=False, server_default="0", comment="of the last change of its own"
    )
    op.add_column("organizations", epoch)
    op.create_index("ix_organizations_epoch", "organizations", ["epoch"])
