"""Short links in messages, and who followed them."""

from sqlalchemy import Boolean, Column, Table, Text

from heliograph.store.tables.base import Id, Micros, metadata

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
