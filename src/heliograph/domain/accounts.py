"""Who sends, and from what: organisations, their profiles and their sending addresses."""

from dataclasses import dataclass, replace

import msgspec

from heliograph.domain.address import AddressKind
from heliograph.domain.ids import OrganizationId, ProfileId
from heliograph.domain.instant import Instant
from heliograph.domain.schedule import ScheduleRules

ANYWHERE = "*"


@dataclass(frozen=True, slots=True)
class RuleOverrides:
    """What an organisation has of its own; None means the server's setting. Microseconds, and a count."""

    min_lead: int | None = None
    max_lead: int | None = None
    cancel_cutoff: int | None = None
    max_pending: int | None = None

    def over(self, rules: ScheduleRules) -> ScheduleRules:
        """The server's rules with these in their place."""
        own = {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}
        return replace(rules, **own) if own else rules


@dataclass(frozen=True, slots=True)
class Organization:
    """A tenant: everything else belongs to exactly one (promise P7)."""

    id: OrganizationId
    name: str
    overrides: RuleOverrides = RuleOverrides()


class NumberPool(msgspec.Struct, frozen=True):
    """How a profile picks a number for a message without `from` (Contract 6.2)."""

    long_code_weight: float
    toll_free_weight: float
    skip_unhealthy: bool
    sticky_sender: bool = False
    geomatch: bool = False


class UrlShortener(msgspec.Struct, frozen=True):
    """Which links of a text are replaced, and where the short ones lead through (Contract 6.3)."""

    domain: str
    prefix: str = ""
    replace_blacklist_only: bool = False
    send_webhooks: bool = False


class ProfileSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller sets on a messaging profile, with the provider's defaults (Contract 6.1)."""

    enabled: bool = True
    webhook_url: str | None = None
    webhook_failover_url: str | None = None
    webhook_api_version: str = "2"
    whitelisted_destinations: tuple[str, ...] = (ANYWHERE,)
    number_pool_settings: NumberPool | None = None
    url_shortener_settings: UrlShortener | None = None
    alpha_sender: str | None = None
    daily_spend_limit: str | None = None
    daily_spend_limit_enabled: bool = False
    mms_fall_back_to_sms: bool = False
    mms_transcoding: bool = False
    mobile_only: bool = False
    smart_encoding: bool = False
    health_webhook_url: str | None = None
    ai_assistant_id: str | None = None
    resource_group_id: str | None = None
    v1_secret: str = ""
    redaction_enabled: bool = False
    redaction_level: int = 2


@dataclass(frozen=True, slots=True)
class Profile:
    """A messaging profile."""

    id: ProfileId
    organization_id: OrganizationId
    name: str
    settings: ProfileSettings
    created_at: Instant
    updated_at: Instant


class Campaign(msgspec.Struct, frozen=True):
    """The 10DLC campaign of a number, for the `tcr_*` fields of its messages (Contract 9)."""

    id: str
    billable: bool = True
    registered: str | None = "REGISTERED"
    message_class: str | None = None
    """Its class of throughput; None for one that is not in the registry."""


@dataclass(frozen=True, slots=True)
class Sender:
    """An address that an organisation may send from."""

    id: str
    organization_id: OrganizationId
    profile_id: ProfileId | None
    address: str
    kind: AddressKind
    country: str | None
    carrier: str
    line_type: str
    tags: tuple[str, ...] = ()
    campaign: Campaign | None = None
    us_long_code_fallback: str | None = None
    """Of an alphanumeric sender: the number that takes its place where none may be sent from (Contract 4.2)."""
