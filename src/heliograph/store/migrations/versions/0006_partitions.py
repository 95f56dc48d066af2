"""Message tables in partitions by day, and what organisations were charged for messages that are not kept any more.

On PostgreSQL no row is copied: each table as it was becomes the first partition, with its indexes.
"""

import sqlalchemy as sa
from alembic import op

from heliograph.store.partition_ddl import EVENTS_BY_MESSAGE, adopt

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

Id = sa.Uuid(as_uuid=False).with_variant(sa.String(36), "sqlite")


def upgrade() -> None:
    """An earlier program works on partitions as on tables, and reads no more than it did."""
    _events_by_message()
    op.create_table(
        "charged_before",
        sa.Column("organization_id", Id, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("charged", sa.BigInteger(), nullable=False, comment="for messages that are not kept any more"),
        sa.PrimaryKeyConstraint("organization_id", "currency", name="pk_charged_before"),
    )
    if op.get_bind().dialect.name == "postgresql":
        adopt(op.get_bind())
    op.execute("UPDATE schema_version SET version = 6, oldest_reader = 4")


def _events_by_message() -> None:
    """A partition is told by the key, and events lie with their messages; so they are found without another index."""
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_events()
        return
    # Made beforehand where there are many rows (store/partition_ddl.py).
    op.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS {EVENTS_BY_MESSAGE} ON message_events (message_id, id)")
    op.execute("ALTER TABLE message_events DROP CONSTRAINT pk_message_events")
    primary = f"CONSTRAINT pk_message_events PRIMARY KEY USING INDEX {EVENTS_BY_MESSAGE}"
    op.execute(f"ALTER TABLE message_events ADD {primary}")
    op.execute("DROP INDEX ix_message_events_message_id")


def _rebuild_events() -> None:
    """SQLite changes no primary key in place."""
    op.rename_table("message_events", "message_events_before")
    op.create_table(
        "message_events",
        sa.Column("message_id", Id, nullable=False),
        sa.Column("id", Id, nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.Text()),
        sa.PrimaryKeyConstraint("message_id", "id", name="pk_message_events"),
    )
    columns = "message_id, id, change, status, at, detail"
    op.execute(f"INSERT INTO message_events ({columns}) SELECT {columns} FROM message_events_before")  # noqa: S608 - names of ours
    op.drop_table("message_events_before")
