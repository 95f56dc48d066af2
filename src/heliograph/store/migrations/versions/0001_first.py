"""The first schema."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Id = sa.Uuid(as_uuid=False).with_variant(sa.String(36), "sqlite")
Micros = sa.BigInteger()
PRESENT: dict[str, dict[str, Any]] = {
    name: {"postgresql_where": sa.text(f"{name} IS NOT NULL"), "sqlite_where": sa.text(f"{name} IS NOT NULL")}
    for name in ("due_at", "deadline_at", "group_id", "carrier_message_id")
}
UNMATCHED: dict[str, Any] = {
    "postgresql_where": sa.text("message_id IS NULL"),
    "sqlite_where": sa.text("message_id IS NULL"),
}


def upgrade() -> None:
    """Make every table, and the rows that there is exactly one of."""
    _service_tables()
    _account_tables()
    _message_tables()
    _sandbox_tables()
    op.execute("INSERT INTO schema_version (version, oldest_reader) VALUES (1, 1)")
    op.execute("INSERT INTO test_clock (ahead) VALUES (0)")
    op.execute("INSERT INTO account_epoch (epoch) VALUES (0)")


def _service_tables() -> None:
    op.create_table(
        "schema_version",
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("oldest_reader", sa.Integer, nullable=False),
    )
    op.create_table("test_clock", sa.Column("ahead", Micros, nullable=False))
    op.create_table(
        "account_epoch",
        sa.Column("epoch", Micros, nullable=False, comment="raised by every change of an account; caches compare it"),
    )


def _account_tables() -> None:
    op.create_table(
        "organizations",
        sa.Column("id", Id, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("min_lead", Micros),
        sa.Column("max_lead", Micros),
        sa.Column("cancel_cutoff", Micros),
        sa.Column("max_pending", Micros),
        sa.Column("created_at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_organizations"),
        sa.UniqueConstraint("name", name="uq_organizations_name"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("organization_id", Id, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False, comment="SHA-256 of the secret, in hex"),
        sa.Column("created_at", Micros, nullable=False),
        sa.Column("revoked_at", Micros),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_api_keys_organization_id"),
    )
    op.create_index("ix_api_keys_organization_id", "api_keys", ["organization_id"])
    op.create_table(
        "messaging_profiles",
        sa.Column("id", Id, nullable=False),
        sa.Column("organization_id", Id, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("settings", sa.Text, nullable=False, comment="JSON: ProfileSettings"),
        sa.Column("created_at", Micros, nullable=False),
        sa.Column("updated_at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_messaging_profiles"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_messaging_profiles_organization_id"
        ),
    )
    op.create_index("ix_messaging_profiles_organization_id", "messaging_profiles", ["organization_id"])
    _senders()


def _senders() -> None:
    op.create_table(
        "senders",
        sa.Column("id", Id, nullable=False),
        sa.Column("organization_id", Id, nullable=False),
        sa.Column("profile_id", Id),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False, comment="'' for numbers; the profile for alphanumeric senders"),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("country", sa.String(2)),
        sa.Column("carrier", sa.Text, nullable=False),
        sa.Column("line_type", sa.Text, nullable=False),
        sa.Column("tags", sa.Text, nullable=False, comment="JSON: array of strings"),
        sa.Column("campaign", sa.Text, comment="JSON: Campaign"),
        sa.Column("created_at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_senders"),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_senders_organization_id"),
        sa.ForeignKeyConstraint(["profile_id"], ["messaging_profiles.id"], name="fk_senders_profile_id"),
    )
    op.create_index("ix_senders_organization_id", "senders", ["organization_id"])
    op.create_index("ix_senders_profile_id", "senders", ["profile_id"])
    op.create_index("uq_senders_address_scope", "senders", ["address", "scope"], unique=True)


def _message_tables() -> None:
    op.create_table(
        "messages",
        sa.Column("id", Id, nullable=False),
        sa.Column("organization_id", Id, nullable=False),
        sa.Column("profile_id", Id, nullable=False),
        sa.Column("group_id", Id),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("text", sa.Text),
        sa.Column("parts", sa.Integer, nullable=False),
        sa.Column("rate", Micros, nullable=False),
        sa.Column("carrier_fee", Micros, nullable=False),
        sa.Column("received_at", Micros, nullable=False),
        sa.Column("send_at", Micros),
        sa.Column("valid_until", Micros, nullable=False),
        sa.Column("due_at", Micros, comment="from when it may be claimed; null while claimed and after the last try"),
        sa.Column(
            "deadline_at",
            Micros,
            comment="end of the lease while claimed; end of the wait for a receipt once sent",
        ),
        sa.Column("claim_token", Id),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("in_doubt", sa.Boolean, nullable=False, comment="an earlier try may have reached the carrier"),
        sa.Column("left_at", Micros),
        sa.Column("sent_at", Micros),
        sa.Column("completed_at", Micros),
        sa.Column("carrier", sa.Text),
        sa.Column("carrier_message_id", sa.Text),
        sa.Column("errors", sa.Text, comment="JSON: array of DeliveryError"),
        sa.Column("facts", sa.Text, nullable=False, comment="JSON: Facts"),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
    )
    op.create_index("ix_messages_due", "messages", ["due_at"], **PRESENT["due_at"])
    op.create_index("ix_messages_deadline", "messages", ["deadline_at"], **PRESENT["deadline_at"])
    op.create_index("ix_messages_group", "messages", ["group_id"], **PRESENT["group_id"])
    both = ["carrier_message_id", "carrier"]
    op.create_index("ix_messages_carrier_message", "messages", both, **PRESENT["carrier_message_id"])
    _event_tables()


def _event_tables() -> None:
    op.create_table(
        "message_events",
        sa.Column("id", Id, nullable=False),
        sa.Column("message_id", Id, nullable=False),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("at", Micros, nullable=False),
        sa.Column("detail", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_message_events"),
    )
    op.create_index("ix_message_events_message_id", "message_events", ["message_id"])
    op.create_table(
        "pending_counts",
        sa.Column("organization_id", Id, nullable=False),
        sa.Column(
            "shard",
            sa.Integer,
            nullable=False,
            comment="processes count apart and do not wait for each other",
        ),
        sa.Column("count", Micros, nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "shard", name="pk_pending_counts"),
    )
    op.create_table(
        "receipts",
        sa.Column("id", Id, nullable=False),
        sa.Column("carrier", sa.Text, nullable=False),
        sa.Column("carrier_message_id", sa.Text, nullable=False),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("error", sa.Text, comment="JSON: DeliveryError"),
        sa.Column("at", Micros, nullable=False),
        sa.Column("message_id", Id, comment="null until its message is known"),
        sa.PrimaryKeyConstraint("id", name="pk_receipts"),
    )
    op.create_index("ix_receipts_unmatched", "receipts", ["carrier_message_id", "carrier"], **UNMATCHED)


def _sandbox_tables() -> None:
    op.create_table(
        "handset_messages",
        sa.Column("id", Id, nullable=False),
        sa.Column("message_id", Id, nullable=False),
        sa.Column("handset", sa.Text, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("text", sa.Text),
        sa.Column("segments", sa.Text, nullable=False, comment="JSON: array of strings"),
        sa.Column("media_urls", sa.Text, nullable=False, comment="JSON: array of strings"),
        sa.Column("arrived_at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_handset_messages"),
    )
    op.create_index("ix_handset_messages_message_id", "handset_messages", ["message_id"])
    op.create_index("ix_handset_messages_handset", "handset_messages", ["handset"])
    op.create_table(
        "sandbox_receipts",
        sa.Column("id", Id, nullable=False),
        sa.Column("carrier_message_id", sa.Text, nullable=False),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("error", sa.Text, comment="JSON: DeliveryError"),
        sa.Column("due_at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sandbox_receipts"),
    )
    op.create_index("ix_sandbox_receipts_due_at", "sandbox_receipts", ["due_at"])
