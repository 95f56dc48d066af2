"""What the service keeps of itself: its version, its clock, its nodes and carriers, and its jobs."""

from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, Table, Text

from heliograph.store.tables.base import Id, Micros, metadata, where

schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, nullable=False),
    Column("oldest_reader", Integer, nullable=False),
)

test_clock = Table("test_clock", metadata, Column("ahead", Micros, nullable=False))

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

nodes = Table(
    "nodes",
    metadata,
    Column("id", Id, primary_key=True),
    Column("role", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("carriers", Text, nullable=False, comment="JSON: array of strings"),
    Column("in_hand", Integer, nullable=False),
    Column("started_at", Micros, nullable=False),
    Column("heard_at", Micros, nullable=False),
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
    info=where("due_at IS NOT NULL"),
)

job_pages = Table(
    "job_pages",
    metadata,
    Column("job_id", Id, primary_key=True),
    Column("number", Integer, primary_key=True, comment="from 0"),
    Column("content", Text, nullable=False, comment="a piece of the file that it made"),
)
