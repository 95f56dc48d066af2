"""Every table there is. Times are `Instant`s (microseconds since 1970, UTC), money is in 1/100000 of its currency.

Migrations are tested to lead to exactly this.
"""

from heliograph.store.tables.accounts import (
    account_epoch,
    api_keys,
    charged_before,
    messaging_profiles,
    number_health,
    organizations,
    pending_counts,
    profile_spend,
    senders,
    sticky_senders,
)
from heliograph.store.tables.base import OLDEST_READER, SCHEMA_VERSION, Id, Micros, metadata
from heliograph.store.tables.consent import autoresponses, opt_outs
from heliograph.store.tables.links import link_clicks, short_links
from heliograph.store.tables.messages import (
    inbound_messages,
    message_events,
    message_parts,
    messages,
    receipts,
    refused_inbound,
)
from heliograph.store.tables.registry import brands, campaigns, phone_number_campaigns
from heliograph.store.tables.sandbox import handset_messages, sandbox_receipts
from heliograph.store.tables.service import (
    carrier_states,
    job_pages,
    jobs,
    nodes,
    pace,
    pending_parts,
    schema_version,
    test_clock,
)
from heliograph.store.tables.webhooks import webhook_attempts, webhook_deliveries, webhook_endpoints, webhook_keys

__all__ = [
    "OLDEST_READER",
    "SCHEMA_VERSION",
    "Id",
    "Micros",
    "account_epoch",
    "api_keys",
    "autoresponses",
    "brands",
    "campaigns",
    "carrier_states",
    "charged_before",
    "handset_messages",
    "inbound_messages",
    "job_pages",
    "jobs",
    "link_clicks",
    "message_events",
    "message_parts",
    "messages",
    "messaging_profiles",
    "metadata",
    "nodes",
    "number_health",
    "opt_outs",
    "organizations",
    "pace",
    "pending_counts",
    "pending_parts",
    "phone_number_campaigns",
    "profile_spend",
    "receipts",
    "refused_inbound",
    "sandbox_receipts",
    "schema_version",
    "senders",
    "short_links",
    "sticky_senders",
    "test_clock",
    "webhook_attempts",
    "webhook_deliveries",
    "webhook_endpoints",
    "webhook_keys",
]
