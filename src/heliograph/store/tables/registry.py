"""Brands and campaigns for 10DLC."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, String, Table, Text

from heliograph.store.tables.base import Id, Micros, metadata

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
