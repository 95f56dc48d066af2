"""Messages in both directions, and what carriers say of them."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text

from heliograph.store.tables.base import Id, Micros, by_day_of, metadata, where

messages = Table(
    "messages",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", Id, nullable=False),
    Column("profile_id", Id, nullable=False),
    Column("group_id", Id),
    Column("type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("text", Text),
    Column("parts", Integer, nullable=False),
    Column("rate", BigInteger, nullable=False),
    Column("carrier_fee", BigInteger, nullable=False),
    Column("received_at", Micros, nullable=False),
    Column("send_at", Micros),
    Column("valid_until", Micros, nullable=False),
    Column("due_at", Micros, comment="from when it may be claimed; null while claimed and after the last try"),
    Column("deadline_at", Micros, comment="end of the lease while claimed; end of the wait for a receipt once sent"),
    Column("claim_token", Id),
    Column("attempts", Integer, nullable=False),
    Column("in_doubt", Boolean, nullable=False, comment="an earlier try may have reached the carrier"),
    Column("left_at", Micros),
    Column("sent_at", Micros),
    Column("completed_at", Micros),
    Column("carrier", Text, comment="who is to be given it; once it left, who was"),
    Column("carrier_message_id", Text, comment="as the carrier wrote it; of several parts that of the first"),
    Column("receipt_key", Text, comment="the normal form of that id; null for several parts, which have their own"),
    Column("progress", Text, comment="JSON: Progress; null unless a part of it is known to be taken"),
    Column("media", Text, comment="JSON: array of Media, as they were fetched for the carrier"),
    Column("errors", Text, comment="JSON: array of DeliveryError"),
    Column("facts", Text, nullable=False, comment="JSON: Facts"),
    Column("answers", Id, comment="the inbound message that it answers by itself; such a reply passes an opt-out"),
    Index("ix_messages_organization", "organization_id", "id"),
    info=by_day_of("id"),
)

# For those alone who ask for `valid_until > 0`: a claim goes along its lane, whatever the planner makes of its figures.
Index(
    "ix_messages_valid_until",
    messages.c.valid_until,
    info=where("due_at IS NOT NULL AND valid_until > 0"),
)
Index(
    "ix_messages_deadline",
    messages.c.deadline_at,
    info=where("deadline_at IS NOT NULL"),
)
Index(
    "ix_messages_group",
    messages.c.group_id,
    info=where("group_id IS NOT NULL"),
)
Index(
    "ix_messages_receipt_key",
    messages.c.receipt_key,
    messages.c.carrier,
    info=where("receipt_key IS NOT NULL"),
)
Index(
    "ix_messages_lane",
    messages.c.carrier,
    messages.c.due_at,
    info=where("due_at IS NOT NULL"),
)
Index(
    "ix_messages_in_doubt",
    messages.c.recipient,
    messages.c.carrier,
    info=where("in_doubt"),
)
Index(
    "ix_messages_waiting_recipient",
    messages.c.recipient,
    messages.c.organization_id,
    info=where("due_at IS NOT NULL"),
)

message_parts = Table(
    "message_parts",
    metadata,
    Column("message_id", Id, primary_key=True),
    Column("number", Integer, primary_key=True, comment="from 1"),
    Column("total", Integer, nullable=False),
    Column("carrier", Text, nullable=False),
    Column("carrier_message_id", Text, nullable=False),
    Column("receipt_key", Text, nullable=False, comment="the normal form of that id"),
    Column("change", Text, comment="what its receipt said; null until there is one"),
    Column("error", Text, comment="JSON: DeliveryError"),
    Column("at", Micros),
    Index("ix_message_parts_receipt_key", "receipt_key", "carrier"),
    info=by_day_of("message_id"),
)

message_events = Table(
    "message_events",
    metadata,
    Column("message_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("change", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("at", Micros, nullable=False),
    Column("detail", Text),
    info=by_day_of("message_id"),
)

receipts = Table(
    "receipts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("carrier", Text, nullable=False),
    Column("carrier_message_id", Text, nullable=False),
    Column("change", Text, nullable=False),
    Column("error", Text, comment="JSON: DeliveryError"),
    Column("at", Micros, nullable=False),
    Column("message_id", Id, comment="null until its message is known"),
    Column("receipt_key", Text, nullable=False, server_default="", comment="the normal form of carrier_message_id"),
    Column("recipient", Text, comment="whom its message went to, where the carrier says so"),
    Column("sender", Text, comment="whom it came from, likewise"),
    Column("text", Text, comment="the beginning of the message, where the carrier repeats it"),
    info=by_day_of("id"),
)
Index(
    "ix_receipts_unmatched",
    receipts.c.receipt_key,
    receipts.c.carrier,
    info=where("message_id IS NULL"),
)
Index(
    "ix_receipts_unmatched_id",
    receipts.c.id,
    info=where("message_id IS NULL"),
)

inbound_messages = Table(
    "inbound_messages",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", Id, nullable=False),
    Column("profile_id", Id, nullable=False),
    Column("type", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("text", Text),
    Column("parts", Integer, nullable=False),
    Column("received_at", Micros, nullable=False),
    Column("carrier", Text, nullable=False),
    Column("carrier_reference", Text, comment="the carrier's own id: what it hands over twice is kept once"),
    Column("operation", Text, comment="autoresponse_type: STOP, START or HELP"),
    Column("facts", Text, nullable=False, comment="JSON: InboundFacts"),
    Index("ix_inbound_messages_organization", "organization_id", "id"),
)
Index(
    "uq_inbound_messages_carrier_reference",
    inbound_messages.c.carrier,
    inbound_messages.c.carrier_reference,
    unique=True,
    info=where("carrier_reference IS NOT NULL"),
)

refused_inbound = Table(
    "refused_inbound",
    metadata,
    Column("id", Id, primary_key=True),
    Column("carrier", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Micros, nullable=False),
)
