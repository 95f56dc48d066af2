"""Who may send, as whom, and what is kept of them."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text

from heliograph.store.tables.base import Id, Micros, metadata

account_epoch = Table(
    "account_epoch",
    metadata,
    Column("epoch", BigInteger, nullable=False, comment="raised by every change of an account; caches compare it"),
    Column(
        "own", BigInteger, nullable=False, server_default="0", comment="the epoch of the last change that names whose"
    ),
    Column("general", BigInteger, nullable=False, server_default="0", comment="of the last known that does not"),
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
    Column(
        "epoch", BigInteger, nullable=False, server_default="0", index=True, comment="of the last change of its own"
    ),
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

pending_counts = Table(
    "pending_counts",
    metadata,
    Column("organization_id", Id, primary_key=True),
    Column("shard", Integer, primary_key=True, comment="processes count apart and do not wait for each other"),
    Column("count", BigInteger, nullable=False),
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

charged_before = Table(
    "charged_before",
    metadata,
    Column("organization_id", Id, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("charged", BigInteger, nullable=False, comment="for messages that are not kept any more"),
)
