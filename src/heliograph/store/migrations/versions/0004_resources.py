"""What a team sets up around its messages: pools, spending, links, the registry, jobs."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Id = sa.Uuid(as_uuid=False).with_variant(sa.String(36), "sqlite")
Micros = sa.BigInteger()


def upgrade() -> None:
    """Add the tables and columns; an earlier program would go by profiles that are deleted."""
    _account_columns()
    _clear_shorteners()
    _message_indexes()
    _pool_tables()
    _link_tables()
    _registry_tables()
    _jobs_table()
    op.execute("UPDATE schema_version SET version = 4, oldest_reader = 4")


def _account_columns() -> None:
    deleted = sa.Column("deleted_at", Micros, comment="its row stays for what was sent under it")
    op.add_column("messaging_profiles", deleted)
    fallback = sa.Column(
        "us_long_code_fallback",
        sa.Text(),
        comment="sent from in place of an alphanumeric sender that may not go there",
    )
    op.add_column("senders", fallback)
    op.add_column("senders", sa.Column("updated_at", Micros, nullable=False, server_default="0", comment="0 for never"))


def _clear_shorteners() -> None:
    """Whatever was set for links had no effect and was not judged; it is set anew."""
    profiles = sa.table("messaging_profiles", sa.column("id", Id), sa.column("settings", sa.Text()))
    connection = op.get_bind()
    for profile_id, text in connection.execute(sa.select(profiles.c.id, profiles.c.settings)).all():
        settings = json.loads(text)
        if settings.get("url_shortener_settings") is not None:
            # Without spaces, as the program writes it: some of it is looked for by its text.
            settings["url_shortener_settings"] = None
            cleared = json.dumps(settings, separators=(",", ":"), ensure_ascii=False)
            connection.execute(sa.update(profiles).where(profiles.c.id == profile_id).values(settings=cleared))


def _message_indexes() -> None:
    op.create_index("ix_messages_organization", "messages", ["organization_id", "id"])
    op.create_index("ix_inbound_messages_organization", "inbound_messages", ["organization_id", "id"])
    with op.batch_alter_table("webhook_deliveries") as table:
        table.alter_column(
            "message_id", existing_type=Id, nullable=True, comment="null for an event of its profile alone"
        )


def _pool_tables() -> None:
    op.create_table(
        "sticky_senders",
        sa.Column("profile_id", Id, nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False, comment="the number of the pool that writes to them"),
        sa.Column("until", Micros, nullable=False, comment="renewed with each message"),
        sa.PrimaryKeyConstraint("profile_id", "recipient", name="pk_sticky_senders"),
    )
    op.create_index("ix_sticky_senders_sender", "sticky_senders", ["sender"])
    op.create_index("ix_sticky_senders_until", "sticky_senders", ["until"])
    op.create_table(
        "number_health",
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("organization_id", Id, nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("delivered", sa.BigInteger(), nullable=False),
        sa.Column("finished", sa.BigInteger(), nullable=False, comment="delivered or failed"),
        sa.Column("spam", sa.BigInteger(), nullable=False, comment="refused as spam"),
        sa.Column("measured_at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("sender", "organization_id", name="pk_number_health"),
    )
    op.create_table(
        "profile_spend",
        sa.Column("profile_id", Id, nullable=False),
        sa.Column("day", sa.Integer(), nullable=False, comment="days since 1970, UTC"),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("told_at", Micros, comment="when the profile was told that its limit is reached"),
        sa.PrimaryKeyConstraint("profile_id", "day", name="pk_profile_spend"),
    )


def _link_tables() -> None:
    op.create_table(
        "short_links",
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("organization_id", Id, nullable=False),
        sa.Column("profile_id", Id, nullable=False),
        sa.Column("message_id", Id, nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("send_webhooks", sa.Boolean(), nullable=False),
        sa.Column("created_at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("slug", name="pk_short_links"),
    )
    op.create_index("ix_short_links_message_id", "short_links", ["message_id"])
    op.create_table(
        "link_clicks",
        sa.Column("id", Id, nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("at", Micros, nullable=False),
        sa.Column("user_agent", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_link_clicks"),
    )
    op.create_index("ix_link_clicks_slug", "link_clicks", ["slug"])


def _registry_tables() -> None:
    op.create_table(
        "brands",
        *_registered(),
        sa.Column("display_name", sa.Text(), nullable=False, comment="as in its content, like the four that follow"),
        sa.Column("entity_type", sa.Text(), nullable=False),
        sa.Column("identity_status", sa.Text(), nullable=False),
        sa.Column("country", sa.Text(), nullable=False),
        sa.Column("state", sa.Text()),
        sa.Column("tcr_id", sa.String(16), nullable=False),
        sa.Column("content", sa.Text(), nullable=False, comment="JSON: BrandDetails"),
        sa.PrimaryKeyConstraint("id", name="pk_brands"),
    )
    op.create_index("ix_brands_organization_id", "brands", ["organization_id"])
    op.create_index("uq_brands_tcr_id", "brands", ["tcr_id"], unique=True)
    op.create_table(
        "campaigns",
        *_registered(),
        sa.Column("brand_id", sa.String(36), nullable=False),
        sa.Column("tcr_id", sa.String(16), nullable=False, comment="what messages show"),
        sa.Column("reference_id", sa.Text(), comment="the caller's own"),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False, comment="JSON: CampaignDetails"),
        sa.PrimaryKeyConstraint("id", name="pk_campaigns"),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name="fk_campaigns_brand_id"),
    )
    op.create_index("ix_campaigns_organization_id", "campaigns", ["organization_id"])
    op.create_index("ix_campaigns_brand_id", "campaigns", ["brand_id"])
    op.create_index("uq_campaigns_tcr_id", "campaigns", ["tcr_id"], unique=True)
    op.create_index("uq_campaigns_reference", "campaigns", ["organization_id", "reference_id"], unique=True)
    op.create_table(
        "phone_number_campaigns",
        sa.Column("sender_id", Id, nullable=False),
        sa.Column("organization_id", Id, nullable=False),
        sa.Column("campaign_id", sa.String(36), nullable=False),
        sa.Column("created_at", Micros, nullable=False),
        sa.Column("updated_at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("sender_id", name="pk_phone_number_campaigns"),
        sa.ForeignKeyConstraint(
            ["sender_id"], ["senders.id"], name="fk_phone_number_campaigns_sender_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name="fk_phone_number_campaigns_campaign_id"),
    )
    op.create_index("ix_phone_number_campaigns_organization_id", "phone_number_campaigns", ["organization_id"])
    op.create_index("ix_phone_number_campaigns_campaign_id", "phone_number_campaigns", ["campaign_id"])


def _registered() -> list[Any]:
    return [
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("organization_id", Id, nullable=False),
        sa.Column("created_at", Micros, nullable=False),
        sa.Column("updated_at", Micros, nullable=False),
    ]


def _jobs_table() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", Id, nullable=False),
        sa.Column("organization_id", Id, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("wish", sa.Text(), nullable=False, comment="JSON: what is to be done"),
        sa.Column("result", sa.Text(), comment="JSON: what became of it, so far"),
        sa.Column("reason", sa.Text(), comment="why it failed"),
        sa.Column(
            "due_at",
            Micros,
            comment="from when it may be claimed; the end of the lease while claimed; null at the end",
        ),
        sa.Column("claim_token", Id),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", Micros, nullable=False),
        sa.Column("updated_at", Micros, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    op.create_index("ix_jobs_organization", "jobs", ["organization_id", "kind", "id"])
    waiting = sa.text("due_at IS NOT NULL")
    op.create_index("ix_jobs_due", "jobs", ["due_at"], postgresql_where=waiting, sqlite_where=waiting)
    op.create_table(
        "job_pages",
        sa.Column("job_id", Id, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="from 0"),
        sa.Column("content", sa.Text(), nullable=False, comment="a piece of the file that it made"),
        sa.PrimaryKeyConstraint("job_id", "number", name="pk_job_pages"),
    )
