"""What others are told: keys, deliveries, attempts and endpoints."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from heliograph.store.tables.base import Id, Micros, by_day_of, metadata, where

webhook_keys = Table(
    "webhook_keys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", Id, ForeignKey("organizations.id"), nullable=False, index=True),
    Column("private_key", Text, nullable=False, comment="Ed25519 seed in base64"),
    Column("secret", Text, nullable=False, comment="Standard Webhooks: whsec_ and base64"),
    Column("created_at", Micros, nullable=False),
    Column("signs_from", Micros, nullable=False),
    Column("retires_at", Micros, comment="null until a rotation names its end"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("event_id", Id, nullable=False),
    Column("organization_id", Id, nullable=False),
    Column("profile_id", Id, nullable=False),
    Column("message_id", Id, comment="null for an event of its profile alone"),
    Column("event_type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("occurred_at", Micros, nullable=False),
    Column("endpoint", String(32), nullable=False, comment="endpoint_id of the URL to be tried next"),
    Column(
        "due_at", Micros, comment="from when it may be claimed; the end of the lease while claimed; null at the end"
    ),
    Column("claim_token", Id),
    Column("position", Integer, nullable=False, comment="which of its URLs is tried"),
    Column("tries", Integer, nullable=False, comment="at that URL"),
    Column("attempts", Integer, nullable=False),
    Column("started_at", Micros),
    Column("finished_at", Micros),
    Column("replay_url", Text, comment="where a replay goes instead of the URLs of its message"),
    Column("webhook", Text, comment="JSON: the event as it was first sent"),
    Column("reason", Text, comment="why it ended without an attempt"),
    Index("ix_webhook_deliveries_organization", "organization_id", "id"),
    Index("ix_webhook_deliveries_event", "event_id"),
    info=by_day_of("id"),
)
Index(
    "ix_webhook_deliveries_due",
    webhook_deliveries.c.endpoint,
    webhook_deliveries.c.due_at,
    info=where("due_at IS NOT NULL"),
)

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("delivery_id", Id, nullable=False, index=True),
    Column("delivered", Boolean, nullable=False),
    Column("url", Text, nullable=False),
    Column("started_at", Micros, nullable=False),
    Column("finished_at", Micros, nullable=False),
    Column("errors", Text, nullable=False, comment="JSON: array of integers, 75xxx"),
    Column("request_headers", Text, nullable=False, comment="JSON: array of pairs"),
    Column("response_status", Integer),
    Column("response_headers", Text, comment="JSON: array of pairs"),
    Column("response_body", Text),
    Column("detail", Text, comment="why there was no answer"),
    info=by_day_of("id"),
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", String(32), primary_key=True, comment="endpoint_id of the organisation and the URL"),
    Column("organization_id", Id, nullable=False, index=True),
    Column("url", Text, nullable=False),
    Column("paused_until", Micros),
    Column("disabled_at", Micros),
    Column("reason", Text),
)
