"""Carriers: lanes, parts, pace, what is known of their links."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Id = sa.Uuid(as_uuid=False).with_variant(sa.String(36), "sqlite")
Micros = sa.BigInteger()


def upgrade() -> None:
    """Add the tables and columns; an earlier program would claim messages for whatever carrier it has."""
    _message_columns()
    _receipt_columns()
    _parts_table()
    _carrier_tables()
    op.execute("UPDATE schema_version SET version = 3, oldest_reader = 3")


def _where(condition: str) -> dict[str, Any]:
    clause = sa.text(condition)
    return {"postgresql_where": clause, "sqlite_where": clause}


def _name_receipt_keys(table: str) -> None:
    """As `domain.receipt.normal` makes them of the ids that there are yet, which are all of the sandbox."""
    keyed = sa.table(table, sa.column("receipt_key"), sa.column("carrier_message_id"))
    op.execute(sa.update(keyed).values(receipt_key=sa.func.lower(sa.func.ltrim(keyed.c.carrier_message_id, "0"))))


def _message_columns() -> None:
    for name, comment in (
        ("receipt_key", "the normal form of that id; null for several parts, which have their own"),
        ("progress", "JSON: Progress; null unless a part of it is known to be taken"),
        ("media", "JSON: array of Media, as they were fetched for the carrier"),
    ):
        op.add_column("messages", sa.Column(name, sa.Text(), comment=comment))
    if op.get_context().dialect.supports_comments:
        _describe("carrier", "who is to be given it; once it left, who was")
        _describe("carrier_message_id", "as the carrier wrote it; of several parts that of the first")
    _name_receipt_keys("messages")
    op.drop_index("ix_messages_carrier_message", "messages")
    keyed = _where("receipt_key IS NOT NULL")
    op.create_index("ix_messages_receipt_key", "messages", ["receipt_key", "carrier"], **keyed)
    op.create_index("ix_messages_lane", "messages", ["carrier", "due_at"], **_where("due_at IS NOT NULL"))
    # A claim must go along its lane: by this one it would walk through the backlog of every other carrier.
    op.drop_index("ix_messages_due", "messages")
    waiting = _where("due_at IS NOT NULL AND valid_until > 0")
    op.create_index("ix_messages_valid_until", "messages", ["valid_until"], **waiting)
    op.create_index("ix_messages_in_doubt", "messages", ["recipient", "carrier"], **_where("in_doubt"))


def _describe(column: str, comment: str) -> None:
    op.alter_column("messages", column, comment=comment, existing_type=sa.Text())


def _receipt_columns() -> None:
    key = sa.Column(
        "receipt_key", sa.Text(), nullable=False, server_default="", comment="the normal form of carrier_message_id"
    )
    op.add_column("receipts", key)
    for name, comment in (
        ("recipient", "whom its message went to, where the carrier says so"),
        ("sender", "whom it came from, likewise"),
        ("text", "the beginning of the message, where the carrier repeats it"),
    ):
        op.add_column("receipts", sa.Column(name, sa.Text(), comment=comment))
    _name_receipt_keys("receipts")
    op.drop_index("ix_receipts_unmatched", "receipts")
    op.create_index("ix_receipts_unmatched", "receipts", ["receipt_key", "carrier"], **_where("message_id IS NULL"))
    op.create_index("ix_receipts_unmatched_id", "receipts", ["id"], **_where("message_id IS NULL"))


def _parts_table() -> None:
    op.create_table(
        "message_parts",
        sa.Column("message_id", Id, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="from 1"),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("carrier", sa.Text(), nullable=False),
        sa.Column("carrier_message_id", sa.Text(), nullable=False),
        sa.Column("receipt_key", sa.Text(), nullable=False, comment="the normal form of that id"),
        sa.Column("change", sa.Text(), comment="what its receipt said; null until there is one"),
        sa.Column("error", sa.Text(), comment="JSON: DeliveryError"),
        sa.Column("at", Micros),
        sa.PrimaryKeyConstraint("message_id", "number", name="pk_message_parts"),
    )
    op.create_index("ix_message_parts_receipt_key", "message_parts", ["receipt_key", "carrier"])


def _carrier_tables() -> None:
    op.create_table(
        "pace",
        sa.Column("key", sa.Text(), nullable=False, comment="a sender, an account or a carrier"),
        sa.Column("next_at", Micros, nullable=False, comment="its next free slot"),
        sa.PrimaryKeyConstraint("key", name="pk_pace"),
    )
    op.create_table(
        "carrier_states",
        sa.Column("node", Id, nullable=False, comment="the process that says so"),
        sa.Column("carrier", sa.Text(), nullable=False),
        sa.Column("up", sa.Boolean(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="JSON: CarrierState"),
        sa.Column("at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("node", "carrier", name="pk_carrier_states"),
    )
    op.create_table(
        "pending_parts",
        sa.Column("carrier", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False, comment="what the parts of one inbound message have in common"),
        sa.Column("content", sa.LargeBinary(), nullable=False, comment="the carrier's own"),
        sa.Column("changed_at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("carrier", "key", name="pk_pending_parts"),
    )
    op.create_index("ix_pending_parts_changed", "pending_parts", ["carrier", "changed_at"])
