"""Every table there is. Times are `Instant`s (microseconds since 1970, UTC), money is in 1/100000 of its currency.

Migrations are tested to lead to exactly this.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    Uuid,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = Uuid(as_uuid=False).with_variant(String(36), "sqlite")
Micros = BigInteger()

SCHEMA_VERSION = 4
"""Raised with every migration."""
OLDEST_READER = 4
"""The oldest `SCHEMA_VERSION` of a program that may still use a database migrated by this one."""

schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, nullable=False),
    Column("oldest_reader", Integer, nullable=False),
)

test_clock = Table("test_clock", metadata, Column("ahead", Micros, nullable=False))

account_epoch = Table(
    "account_epoch",
    metadata,
    Column("epoch", BigInteger, nullable=False, comment="raised by every change of an account; caches compare it"),
)

organizations = Table(
    "organizations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("min_lead", Micros),
    Column("max_lead", Micros),
    Column("cancel_cutoff", Micros),
    Column("max_pending", BigInteger),
    Column("created_at", Micros, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("organization_id", Id, ForeignKey("organizations.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("secret_hash", String(64), nullable=False, comment="SHA-256 of the secret, in hex"),
    Column("created_at", Micros, nullable=False),
    Column("revoked_at", Micros),
)

messaging_profiles = Table(
    "messaging_profiles",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", Id, ForeignKey("organizations.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("settings", Text, nullable=False, comment="JSON: ProfileSettings"),
    Column("webhook_endpoint", String(32), comment="endpoint_id of its first webhook URL; null when it has none"),
    Column("created_at", Micros, nullable=False),
    Column("updated_at", Micros, nullable=False),
    Column("deleted_at", Micros, comment="its row stays for what was sent under it"),
)

senders = Table(
    "senders",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", Id, ForeignKey("organizations.id"), nullable=False, index=True),
    Column("profile_id", Id, ForeignKey("messaging_profiles.id"), index=True),
    Column("address", Text, nullable=False),
    Column("scope", Text, nullable=False, comment="'' for numbers; the profile for alphanumeric senders"),
    Column("kind", Text, nullable=False),
    Column("country", String(2)),
    Column("carrier", Text, nullable=False),
    Column("line_type", Text, nullable=False),
    Column("tags", Text, nullable=False, comment="JSON: array of strings"),
    Column("campaign", Text, comment="JSON: Campaign"),
    Column("us_long_code_fallback", Text, comment="sent from in place of an alphanumeric sender that may not go there"),
    Column("created_at", Micros, nullable=False),
    Column("updated_at", Micros, nullable=False, server_default="0", comment="0 for never"),
    Index("uq_senders_address_scope", "address", "scope", unique=True),
)

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
)
# For those alone who ask for `valid_until > 0`: a claim goes along its lane, whatever the planner makes of its figures.
Index(
    "ix_messages_valid_until",
    messages.c.valid_until,
    postgresql_where=text("due_at IS NOT NULL AND valid_until > 0"),
    sqlite_where=text("due_at IS NOT NULL AND valid_until > 0"),
)
Index(
    "ix_messages_deadline",
    messages.c.deadline_at,
    postgresql_where=text("deadline_at IS NOT NULL"),
    sqlite_where=text("deadline_at IS NOT NULL"),
)
Index(
    "ix_messages_group",
    messages.c.group_id,
    postgresql_where=text("group_id IS NOT NULL"),
    sqlite_where=text("group_id IS NOT NULL"),
)
Index(
    "ix_messages_receipt_key",
    messages.c.receipt_key,
    messages.c.carrier,
    postgresql_where=text("receipt_key IS NOT NULL"),
    sqlite_where=text("receipt_key IS NOT NULL"),
)
Index(
    "ix_messages_lane",
    messages.c.carrier,
    messages.c.due_at,
    postgresql_where=text("due_at IS NOT NULL"),
    sqlite_where=text("due_at IS NOT NULL"),
)
Index(
    "ix_messages_in_doubt",
    messages.c.recipient,
    messages.c.carrier,
    postgresql_where=text("in_doubt"),
    sqlite_where=text("in_doubt"),
)

Index(
    "ix_messages_waiting_recipient",
    messages.c.recipient,
    messages.c.organization_id,
    postgresql_where=text("due_at IS NOT NULL"),
    sqlite_where=text("due_at IS NOT NULL"),
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
)

message_events = Table(
    "message_events",
    metadata,
    Column("id", Id, primary_key=True),
    Column("message_id", Id, nullable=False, index=True),
    Column("change", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("at", Micros, nullable=False),
    Column("detail", Text),
)

pending_counts = Table(
    "pending_counts",
    metadata,
    Column("organization_id", Id, primary_key=True),
    Column("shard", Integer, primary_key=True, comment="processes count apart and do not wait for each other"),
    Column("count", BigInteger, nullable=False),
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
)
Index(
    "ix_receipts_unmatched",
    receipts.c.receipt_key,
    receipts.c.carrier,
    postgresql_where=text("message_id IS NULL"),
    sqlite_where=text("message_id IS NULL"),
)
Index(
    "ix_receipts_unmatched_id",
    receipts.c.id,
    postgresql_where=text("message_id IS NULL"),
    sqlite_where=text("message_id IS NULL"),
)

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
    postgresql_where=text("carrier_reference IS NOT NULL"),
    sqlite_where=text("carrier_reference IS NOT NULL"),
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

opt_outs = Table(
    "opt_outs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", Id, nullable=False),
    Column("profile_id", Id, nullable=False),
    Column("sender", Text, nullable=False, comment="our number that the person wrote to"),
    Column("recipient", Text, nullable=False, comment="the person"),
    Column("keyword", Text),
    Column("created_at", Micros, nullable=False),
    Column("ended_at", Micros, comment="when they opted in again; null while it holds"),
)
Index(
    "uq_opt_outs_holding",
    opt_outs.c.organization_id,
    opt_outs.c.recipient,
    opt_outs.c.profile_id,
    opt_outs.c.sender,
    unique=True,
    postgresql_where=text("ended_at IS NULL"),
    sqlite_where=text("ended_at IS NULL"),
)

autoresponses = Table(
    "autoresponses",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", Id, nullable=False),
    Column("profile_id", Id, ForeignKey("messaging_profiles.id"), nullable=False, index=True),
    Column("op", Text, nullable=False),
    Column("keywords", Text, nullable=False, comment="JSON: array of strings"),
    Column("country_code", Text, nullable=False),
    Column("resp_text", Text),
    Column("created_at", Micros, nullable=False),
    Column("updated_at", Micros, nullable=False),
)

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
)
Index(
    "ix_webhook_deliveries_due",
    webhook_deliveries.c.endpoint,
    webhook_deliveries.c.due_at,
    postgresql_where=text("due_at IS NOT NULL"),
    sqlite_where=text("due_at IS NOT NULL"),
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

pace = Table(
    "pace",
    metadata,
    Column("key", Text, primary_key=True, comment="a sender, an account or a carrier"),
    Column("next_at", Micros, nullable=False, comment="its next free slot"),
)

carrier_states = Table(
    "carrier_states",
    metadata,
    Column("node", Id, primary_key=True, comment="the process that says so"),
    Column("carrier", Text, primary_key=True),
    Column("up", Boolean, nullable=False),
    Column("state", Text, nullable=False, comment="JSON: CarrierState"),
    Column("at", Micros, nullable=False),
)

pending_parts = Table(
    "pending_parts",
    metadata,
    Column("carrier", Text, primary_key=True),
    Column("key", Text, primary_key=True, comment="what the parts of one inbound message have in common"),
    Column("content", LargeBinary, nullable=False, comment="the carrier's own"),
    Column("changed_at", Micros, nullable=False),
    Index("ix_pending_parts_changed", "carrier", "changed_at"),
)

sticky_senders = Table(
    "sticky_senders",
    metadata,
    Column("profile_id", Id, primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("sender", Text, nullable=False, comment="the number of the pool that writes to them"),
    Column("until", Micros, nullable=False, comment="renewed with each message"),
    Index("ix_sticky_senders_sender", "sender"),
    Index("ix_sticky_senders_until", "until"),
)

number_health = Table(
    "number_health",
    metadata,
    Column("sender", Text, primary_key=True),
    Column("organization_id", Id, primary_key=True),
    Column("sent", BigInteger, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("delivered", BigInteger, nullable=False),
    Column("finished", BigInteger, nullable=False, comment="delivered or failed"),
    Column("spam", BigInteger, nullable=False, comment="refused as spam"),
    Column("measured_at", Micros, nullable=False),
)

profile_spend = Table(
    "profile_spend",
    metadata,
    Column("profile_id", Id, primary_key=True),
    Column("day", Integer, primary_key=True, comment="days since 1970, UTC"),
    Column("amount", BigInteger, nullable=False),
    Column("told_at", Micros, comment="when the profile was told that its limit is reached"),
)

short_links = Table(
    "short_links",
    metadata,
    Column("slug", Text, primary_key=True),
    Column("organization_id", Id, nullable=False),
    Column("profile_id", Id, nullable=False),
    Column("message_id", Id, nullable=False, index=True),
    Column("recipient", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("send_webhooks", Boolean, nullable=False),
    Column("created_at", Micros, nullable=False),
)

link_clicks = Table(
    "link_clicks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("slug", Text, nullable=False, index=True),
    Column("at", Micros, nullable=False),
    Column("user_agent", Text),
)

brands = Table(
    "brands",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("organization_id", Id, nullable=False, index=True),
    Column("tcr_id", String(16), nullable=False),
    Column("display_name", Text, nullable=False, comment="as in its content, like the four that follow"),
    Column("entity_type", Text, nullable=False),
    Column("identity_status", Text, nullable=False),
    Column("country", Text, nullable=False),
    Column("state", Text),
    Column("content", Text, nullable=False, comment="JSON: BrandDetails"),
    Column("created_at", Micros, nullable=False),
    Column("updated_at", Micros, nullable=False),
    Index("uq_brands_tcr_id", "tcr_id", unique=True),
)

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("organization_id", Id, nullable=False, index=True),
    Column("brand_id", String(36), ForeignKey("brands.id"), nullable=False, index=True),
    Column("tcr_id", String(16), nullable=False, comment="what messages show"),
    Column("reference_id", Text, comment="the caller's own"),
    Column("active", Boolean, nullable=False),
    Column("content", Text, nullable=False, comment="JSON: CampaignDetails"),
    Column("created_at", Micros, nullable=False),
    Column("updated_at", Micros, nullable=False),
    Index("uq_campaigns_tcr_id", "tcr_id", unique=True),
    Index("uq_campaigns_reference", "organization_id", "reference_id", unique=True),
)

phone_number_campaigns = Table(
    "phone_number_campaigns",
    metadata,
    Column("sender_id", Id, ForeignKey("senders.id", ondelete="CASCADE"), primary_key=True),
    Column("organization_id", Id, nullable=False, index=True),
    Column("campaign_id", String(36), ForeignKey("campaigns.id"), nullable=False, index=True),
    Column("created_at", Micros, nullable=False),
    Column("updated_at", Micros, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", Id, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("wish", Text, nullable=False, comment="JSON: what is to be done"),
    Column("result", Text, comment="JSON: what became of it, so far"),
    Column("reason", Text, comment="why it failed"),
    Column(
        "due_at", Micros, comment="from when it may be claimed; the end of the lease while claimed; null at the end"
    ),
    Column("claim_token", Id),
    Column("attempts", Integer, nullable=False),
    Column("created_at", Micros, nullable=False),
    Column("updated_at", Micros, nullable=False),
    Index("ix_jobs_organization", "organization_id", "kind", "id"),
)
Index(
    "ix_jobs_due",
    jobs.c.due_at,
    postgresql_where=text("due_at IS NOT NULL"),
    sqlite_where=text("due_at IS NOT NULL"),
)

job_pages = Table(
    "job_pages",
    metadata,
    Column("job_id", Id, primary_key=True),
    Column("number", Integer, primary_key=True, comment="from 0"),
    Column("content", Text, nullable=False, comment="a piece of the file that it made"),
)
