"""What is told of messages afterwards: detail records, and reports made of them (Contract 10).

A record is there from the moment a message was handed to a carrier, or came to an end without that: what still waits,
and what was cancelled, has none and costs nothing.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from re import compile as regex
from typing import Any, NamedTuple

import msgspec

from heliograph.domain.accounts import Profile
from heliograph.domain.address import AddressKind, BadAddress, country_of, parse_sender
from heliograph.domain.ids import OrganizationId, ProfileId
from heliograph.domain.inbound import InboundMessage
from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import Status
from heliograph.domain.message import Message
from heliograph.domain.pricing import amount_text
from heliograph.domain.redaction import redacted, redacted_inbound


class Direction(StrEnum):
    """`direction` of a record."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class RecordStatus(StrEnum):
    """`status` of a record."""

    DELIVERED = "delivered"
    FAILED = "failed"
    """A receipt says so, or it waited too long."""
    GW_REJECT = "gw_reject"
    """The carrier refused it."""
    GW_TIMEOUT = "gw_timeout"
    """Nobody knows whether the carrier took it."""
    DLR_UNCONFIRMED = "dlr_unconfirmed"
    """The carrier took it, and no receipt has come; one may still come while the record has no `completed_at`."""
    DLR_TIMEOUT = "dlr_timeout"
    """Not told apart from `dlr_unconfirmed` here."""
    RECEIVED = "received"


class RecordType(StrEnum):
    """How far a record is, as batch reports choose by it."""

    COMPLETED = "COMPLETED"
    INCOMPLETE = "INCOMPLETE"
    ERRORS = "ERRORS"


ON_RECORD = (
    Status.SENT,
    Status.DELIVERED,
    Status.DELIVERY_FAILED,
    Status.DELIVERY_UNCONFIRMED,
    Status.SENDING_FAILED,
    Status.EXPIRED,
)
"""The statuses in which a message has a record."""
FAILED = (Status.DELIVERY_FAILED, Status.EXPIRED)
ERRORS = (*FAILED, Status.SENDING_FAILED)


def record_status(status: Status, *, taken: bool) -> RecordStatus:
    """The word for a message on record; `taken` is whether the carrier is known to have taken it."""
    if status is Status.DELIVERED:
        return RecordStatus.DELIVERED
    if status in FAILED:
        return RecordStatus.FAILED
    if status is Status.SENDING_FAILED:
        return RecordStatus.GW_REJECT
    return RecordStatus.DLR_UNCONFIRMED if taken else RecordStatus.GW_TIMEOUT


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One message, in either direction, as records and reports show it: redacted where its profile wants that."""

    id: str
    direction: Direction
    organization_id: OrganizationId
    profile_id: ProfileId
    profile_name: str
    type: str
    status: RecordStatus
    sender: str
    recipient: str
    text: str | None
    parts: int
    rate: int
    """Of the whole message, in 1/100000 of the currency; so is `carrier_fee`. Both are 0 where it cost nothing."""
    carrier_fee: int
    currency: str
    country: str | None
    """Of the recipient."""
    source_country: str | None
    carrier: str
    """The person's."""
    created_at: Instant
    sent_at: Instant | None
    completed_at: Instant | None
    errors: tuple[str, ...]
    tags: tuple[str, ...]
    webhook_url: str | None
    webhook_failover_url: str | None

    @property
    def cost(self) -> int:
        """Contract 9: fee and rate."""
        return self.rate + self.carrier_fee

    @property
    def updated_at(self) -> Instant:
        """When it last changed."""
        return max(self.created_at, self.sent_at or self.created_at, self.completed_at or self.created_at)

    def each_part(self, amount: int) -> int:
        """What of an amount falls to one part: rates are told for one."""
        return amount // max(1, self.parts)


def outbound_record(message: Message, profile: Profile | None) -> Record:
    """The record of a message that is on record; `profile` is None when it is no longer kept."""
    shown = redacted(message, profile.settings if profile else None)
    facts = shown.facts
    return Record(
        id=shown.id,
        direction=Direction.OUTBOUND,
        organization_id=shown.organization_id,
        profile_id=shown.profile_id,
        profile_name=profile.name if profile else "",
        type=shown.type,
        status=record_status(shown.status, taken=shown.sent_at is not None),
        sender=shown.sender,
        recipient=shown.recipient,
        text=shown.text,
        parts=shown.parts,
        rate=shown.rate if shown.charged else 0,
        carrier_fee=shown.carrier_fee if shown.charged else 0,
        currency=facts.currency,
        country=country_of(message.recipient),
        source_country=country_of(message.sender),
        carrier=facts.to_carrier,
        created_at=shown.received_at,
        sent_at=shown.sent_at,
        completed_at=shown.completed_at,
        errors=tuple(each.code for each in shown.errors),
        tags=facts.tags,
        webhook_url=facts.webhook_url,
        webhook_failover_url=facts.webhook_failover_url,
    )


def inbound_record(message: InboundMessage, profile: Profile | None) -> Record:
    """The same of a message that came in. Those cost nothing."""
    shown = redacted_inbound(message, profile.settings if profile else None)
    facts = shown.facts
    return Record(
        id=shown.id,
        direction=Direction.INBOUND,
        organization_id=shown.organization_id,
        profile_id=shown.profile_id,
        profile_name=profile.name if profile else "",
        type=shown.type,
        status=RecordStatus.RECEIVED,
        sender=shown.sender,
        recipient=shown.recipient,
        text=shown.text,
        parts=shown.parts,
        rate=0,
        carrier_fee=0,
        currency=facts.currency,
        country=country_of(message.recipient),
        source_country=country_of(message.sender),
        carrier=facts.from_carrier,
        created_at=shown.received_at,
        sent_at=None,
        completed_at=shown.received_at,
        errors=(),
        tags=facts.tags,
        webhook_url=facts.webhook_url,
        webhook_failover_url=facts.webhook_failover_url,
    )


class Aggregation(StrEnum):
    """What a usage report adds up by, besides direction, message type and kind of number."""

    NO_AGGREGATION = "NO_AGGREGATION"
    PROFILE = "PROFILE"
    TAGS = "TAGS"


class Usage(NamedTuple):
    """Messages that have all of this in common, counted."""

    direction: Direction
    type: str
    status: RecordStatus
    number: str
    """Ours."""
    profile_id: str
    tags: str
    currency: str
    messages: int
    sent: int
    """Those that their carrier took."""
    parts: int
    cost: int
    carrier_fee: int


class UsageRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of a usage report; all texts, as the provider has it."""

    direction: str
    message_type: str
    tn_type: str
    currency: str
    sent: str
    delivered: str
    received: str
    parts: str
    cost: str
    carrier_passthrough_fee: str
    product: str
    connection: str = ""
    profile_id: str | None = None
    tags: str | None = None


def usage_rows(counted: Iterable[Usage], aggregation: Aggregation) -> Sequence[UsageRow]:
    """The lines of a usage report, in the order of what they are added up by."""
    sums: dict[tuple[str, ...], Counter[str]] = {}
    for each in counted:
        by = {Aggregation.PROFILE: each.profile_id, Aggregation.TAGS: each.tags}.get(aggregation, "")
        key = (each.direction, each.type, number_kind(each.number), each.currency, by)
        inbound = each.direction is Direction.INBOUND
        sums.setdefault(key, Counter()).update(
            sent=each.sent,
            received=each.messages if inbound else 0,
            delivered=each.messages if each.status is RecordStatus.DELIVERED else 0,
            parts=each.parts,
            cost=each.cost,
            carrier_fee=each.carrier_fee,
        )
    return [_usage_row(key, sums[key], aggregation) for key in sorted(sums)]


def _usage_row(key: tuple[str, ...], total: Counter[str], aggregation: Aggregation) -> UsageRow:
    direction, message_type, kind, currency, by = key
    return UsageRow(
        direction=direction,
        message_type=message_type,
        tn_type=kind,
        currency=currency,
        sent=str(total["sent"]),
        delivered=str(total["delivered"]),
        received=str(total["received"]),
        parts=str(total["parts"]),
        cost=amount_text(total["cost"], 4),
        carrier_passthrough_fee=amount_text(total["carrier_fee"], 5),
        product="messaging",
        profile_id=by if aggregation is Aggregation.PROFILE else None,
        tags=by if aggregation is Aggregation.TAGS else None,
    )


def number_kind(address: str) -> str:
    """What sort of number one of ours is, as it is known by its text."""
    try:
        return parse_sender(address).kind.value
    except BadAddress:
        return AddressKind.LONG_CODE.value


class NumberFilter(msgspec.Struct, frozen=True, omit_defaults=True):
    """One filter of a batch report; all that it names holds. Those that are an `and` come before those that are not."""

    filter_type: str
    cli: str | None = None
    cli_filter: str | None = None
    """`contains`, `starts_with` or `ends_with`; None for the whole number."""
    cld: str | None = None
    cld_filter: str | None = None
    tags_list: str | None = None


class DetailWish(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch report is to hold."""

    first: Instant
    last: Instant
    """Included."""
    secret: str
    """Stands in the address of its file."""
    directions: tuple[Direction, ...] = ()
    """All where none is named; so it is with the next two."""
    record_types: tuple[RecordType, ...] = ()
    profiles: tuple[str, ...] = ()
    filters: tuple[NumberFilter, ...] = ()
    include_message_body: bool = False
    timezone: str = "UTC"
    report_name: str = ""


class UsageWish(msgspec.Struct, frozen=True, kw_only=True):
    """What a usage report is to add up."""

    first: Instant
    last: Instant
    secret: str
    aggregation: Aggregation
    profiles: tuple[str, ...] = ()


DETAIL_REPORT = "messaging_batch_report"
USAGE_REPORT = "mdr_usage_report"
LEGACY_USAGE_REPORT = "mdr_usage_report_v2_legacy"
"""Kinds of jobs."""

_NUMBER = regex(r"\+[0-9]{1,15}")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_QUOTED = regex(r'[",\r\n]')


def csv_line(values: Iterable[Any]) -> str:
    """A line of CSV (RFC 4180), safe to open in a spreadsheet.

    A text that a spreadsheet would run as a formula gets an apostrophe before it; `+` and digits alone is a number.
    """
    return ",".join(_csv_value(str("" if each is None else each)) for each in values) + "\r\n"


def _csv_value(text: str) -> str:
    if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text
