"""Who does not want to be written to, and what they are answered."""

from sqlalchemy import Column, ForeignKey, Index, Table, Text

from heliograph.store.tables.base import Id, Micros, metadata, where

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
    info=where("ended_at IS NULL"),
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
