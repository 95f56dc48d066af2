"""The simulated carrier: its handsets and the receipts that it owes."""

from sqlalchemy import Column, Table, Text

from heliograph.store.tables.base import Id, Micros, metadata

handset_messages = Table(
    "handset_messages",
    metadata,
    Column("id", Id, primary_key=True),
    Column("message_id", Id, nullable=False, index=True),
    Column("handset", Text, nullable=False, index=True),
    Column("sender", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("subject", Text),
    Column("text", Text),
    Column("segments", Text, nullable=False, comment="JSON: array of strings"),
    Column("media_urls", Text, nullable=False, comment="JSON: array of strings"),
    Column("arrived_at", Micros, nullable=False),
)

sandbox_receipts = Table(
    "sandbox_receipts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("carrier_message_id", Text, nullable=False),
    Column("change", Text, nullable=False),
    Column("error", Text, comment="JSON: DeliveryError"),
    Column("due_at", Micros, nullable=False, index=True),
)
