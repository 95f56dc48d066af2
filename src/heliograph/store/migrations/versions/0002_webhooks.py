"""Webhooks, inbound messages, opt-outs."""

import json
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Id = sa.Uuid(as_uuid=False).with_variant(sa.String(36), "sqlite")
Micros = sa.BigInteger()


def upgrade() -> None:
    """Add the tables and columns; an earlier program would change messages without reporting it."""
    op.add_column(
        "messaging_profiles",
        sa.Column(
            "webhook_endpoint", sa.String(32), comment="endpoint_id of its first webhook URL; null when it has none"
        ),
    )
    _name_endpoints()
    op.add_column(
        "messages",
        sa.Column(
            "answers", Id, comment="the inbound message that it answers by itself; such a reply passes an opt-out"
        ),
    )
    op.create_index("ix_messages_waiting_recipient", "messages", ["recipient", "organization_id"], **_where("due_at"))
    _inbound_tables()
    _consent_tables()
    _key_table()
    _delivery_table()
    _attempt_tables()
    op.execute("UPDATE schema_version SET version = 2, oldest_reader = 2")


def _where(column: str, condition: str = "IS NOT NULL") -> dict[str, Any]:
    clause = sa.text(f"{column} {condition}")
    return {"postgresql_where": clause, "sqlite_where": clause}


def _name_endpoints() -> None:
    """Profiles that have a URL already get the name of its endpoint, as `domain.events.endpoint_id` makes it."""
    profiles = sa.table(
        "messaging_profiles", *[sa.column(each) for each in ("id", "organization_id", "settings", "webhook_endpoint")]
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(profiles)).all():
        settings = json.loads(row.settings)
        url = settings.get("webhook_url") or settings.get("webhook_failover_url")
        if url:
            endpoint = sha256(f"{row.organization_id} {url}".encode()).hexdigest()[:32]
            connection.execute(sa.update(profiles).where(profiles.c.id == row.id).values(webhook_endpoint=endpoint))


def _inbound_tables() -> None:
    op.create_table(
        "inbound_messages",
        sa.Column("id", Id, nullable=False),
        sa.Column("organization_id", Id, nullable=False),
        sa.Column("profile_id", Id, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("text", sa.Text),
        sa.Column("parts", sa.Integer, nullable=False),
        sa.Column("received_at", Micros, nullable=False),
        sa.Column("carrier", sa.Text, nullable=False),
        sa.Column("carrier_reference", sa.Text, comment="the carrier's own id: what it hands over twice is kept once"),
        sa.Column("operation", sa.Text, comment="autoresponse_type: STOP, START or HELP"),
        sa.Column("facts", sa.Text, nullable=False, comment="JSON: InboundFacts"),
        sa.PrimaryKeyConstraint("id", name="pk_inbound_messages"),
    )
    op.create_index(
        "uq_inbound_messages_carrier_reference",
        "inbound_messages",
        ["carrier", "carrier_reference"],
        unique=True,
        **_where("carrier_reference"),
    )
    op.create_table(
        "refused_inbound",
        sa.Column("id", Id, nullable=False),
        sa.Column("carrier", sa.Text, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_refused_inbound"),
    )


def _consent_tables() -> None:
    op.create_table(
        "opt_outs",
        sa.Column("id", Id, nullable=False),
        sa.Column("organization_id", Id, nullable=False),
        sa.Column("profile_id", Id, nullable=False),
        sa.Column("sender", sa.Text, nullable=False, comment="our number that the person wrote to"),
        sa.Column("recipient", sa.Text, nullable=False, comment="the person"),
        sa.Column("keyword", sa.Text),
        sa.Column("created_at", Micros, nullable=False),
        sa.Column("ended_at", Micros, comment="when they opted in again; null while it holds"),
        sa.PrimaryKeyConstraint("id", name="pk_opt_outs"),
    )
    holding = ["organization_id", "recipient", "profile_id", "sender"]
    op.create_index("uq_opt_outs_holding", "opt_outs", holding, unique=True, **_where("ended_at", "IS NULL"))
    op.create_table(
        "autoresponses",
        sa.Column("id", Id, nullable=False),
        sa.Column("organization_id", Id, nullable=False),
        sa.Column("profile_id", Id, nullable=False),
        sa.Column("op", sa.Text, nullable=False),
        sa.Column("keywords", sa.Text, nullable=False, comment="JSON: array of strings"),
        sa.Column("country_code", sa.Text, nullable=False),
        sa.Column("resp_text", sa.Text),
        sa.Column("created_at", Micros, nullable=False),
        sa.Column("updated_at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_autoresponses"),
        sa.ForeignKeyConstraint(["profile_id"], ["messaging_profiles.id"], name="fk_autoresponses_profile_id"),
    )
    op.create_index("ix_autoresponses_profile_id", "autoresponses", ["profile_id"])


def _key_table() -> None:
    op.create_table(
        "webhook_keys",
        sa.Column("id", Id, nullable=False),
        sa.Column("organization_id", Id, nullable=False),
        sa.Column("private_key", sa.Text, nullable=False, comment="Ed25519 seed in base64"),
        sa.Column("secret", sa.Text, nullable=False, comment="Standard Webhooks: whsec_ and base64"),
        sa.Column("created_at", Micros, nullable=False),
        sa.Column("signs_from", Micros, nullable=False),
        sa.Column("retires_at", Micros, comment="null until a rotation names its end"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_keys"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_webhook_keys_organization_id"),
    )
    op.create_index("ix_webhook_keys_organization_id", "webhook_keys", ["organization_id"])


def _delivery_table() -> None:
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", Id, nullable=False),
        sa.Column("event_id", Id, nullable=False),
        sa.Column("organization_id", Id, nullable=False),
        sa.Column("profile_id", Id, nullable=False),
        sa.Column("message_id", Id, nullable=False),
        sa.Column("event_type", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("occurred_at", Micros, nullable=False),
        sa.Column("endpoint", sa.String(32), nullable=False, comment="endpoint_id of the URL to be tried next"),
        sa.Column(
            "due_at",
            Micros,
            comment="from when it may be claimed; the end of the lease while claimed; null at the end",
        ),
        sa.Column("claim_token", Id),
        sa.Column("position", sa.Integer, nullable=False, comment="which of its URLs is tried"),
        sa.Column("tries", sa.Integer, nullable=False, comment="at that URL"),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("started_at", Micros),
        sa.Column("finished_at", Micros),
        sa.Column("replay_url", sa.Text, comment="where a replay goes instead of the URLs of its message"),
        sa.Column("webhook", sa.Text, comment="JSON: the event as it was first sent"),
        sa.Column("reason", sa.Text, comment="why it ended without an attempt"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_deliveries"),
    )
    op.create_index("ix_webhook_deliveries_organization", "webhook_deliveries", ["organization_id", "id"])
    op.create_index("ix_webhook_deliveries_event", "webhook_deliveries", ["event_id"])
    op.create_index("ix_webhook_deliveries_due", "webhook_deliveries", ["endpoint", "due_at"], **_where("due_at"))


def _attempt_tables() -> None:
    op.create_table(
        "webhook_attempts",
        sa.Column("id", Id, nullable=False),
        sa.Column("delivery_id", Id, nullable=False),
        sa.Column("delivered", sa.Boolean, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("started_at", Micros, nullable=False),
        sa.Column("finished_at", Micros, nullable=False),
        sa.Column("errors", sa.Text, nullable=False, comment="JSON: array of integers, 75xxx"),
        sa.Column("request_headers", sa.Text, nullable=False, comment="JSON: array of pairs"),
        sa.Column("response_status", sa.Integer),
        sa.Column("response_headers", sa.Text, comment="JSON: array of pairs"),
        sa.Column("response_body", sa.Text),
        sa.Column("detail", sa.Text, comment="why there was no answer"),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_attempts"),
    )
    op.create_index("ix_webhook_attempts_delivery_id", "webhook_attempts", ["delivery_id"])
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.String(32), nullable=False, comment="endpoint_id of the organisation and the URL"),
        sa.Column("organization_id", Id, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("paused_until", Micros),
        sa.Column("disabled_at", Micros),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_endpoints"),
    )
    op.create_index("ix_webhook_endpoints_organization_id", "webhook_endpoints", ["organization_id"])
