"""The event log and the outbox: what happened to messages, and who is still to be told.

    change of a message --log--> one event id --> a delivery, in the same transaction (promise P6)
    event of a profile --announce_profile---------> a delivery that holds what it says

What becomes of a delivery is in `store/lanes.py`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import and_, func, literal_column, select, true
from sqlalchemy.types import TypeEngine

from heliograph import randomness
from heliograph.bodies import webhook
from heliograph.domain.delivery import DeliveryStatus
from heliograph.domain.events import EventType, endpoint_id, own_urls, reported
from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import Change, result
from heliograph.domain.message import Facts
from heliograph.store.batch import FLAG, ID, MICROS, TEXT, Batch, Sql
from heliograph.store.engine import Engine, Row, Transaction
from heliograph.store.tables import (
    message_events,
    messages,
    messaging_profiles,
    webhook_deliveries,
)

REPORTED_COLUMNS = [messages.c.id, messages.c.organization_id, messages.c.profile_id, messages.c.facts]
"""What a change must know of its message, so that it can be reported."""


class Logged(NamedTuple):
    """A change for the event log."""

    message: Row
    """`REPORTED_COLUMNS`, among others."""
    change: Change
    at: Instant
    detail: str | None


class Announcement(NamedTuple):
    """An event that somebody may want to hear of."""

    event_id: str
    event: EventType
    organization_id: OrganizationId
    profile_id: ProfileId
    message_id: MessageId
    at: Instant
    own_url: str | None
    """The first URL that came with the message."""
    use_profile: bool
    """Whether the profile's URLs are asked too."""


class ProfileEvent(NamedTuple):
    """An event that is not a message's: it goes to the URLs of its profile."""

    event_id: str
    """A UUIDv7; given again, it is the same event."""
    event: EventType
    organization_id: OrganizationId
    profile_id: ProfileId
    at: Instant
    payload: Mapping[str, str]
    """What it says; texts by name (Contract 3.2)."""


_LOGGED: Mapping[str, TypeEngine[Any]] = {
    "id": ID,
    "message_id": ID,
    "change": TEXT,
    "status": TEXT,
    "at": MICROS,
    "detail": TEXT,
}
_ANNOUNCED: Mapping[str, TypeEngine[Any]] = {
    "id": ID,
    "event_id": ID,
    "organization_id": ID,
    "profile_id": ID,
    "message_id": ID,
    "event_type": TEXT,
    "occurred_at": MICROS,
}
_KEPT: Mapping[str, TypeEngine[Any]] = {
    "event_id": ID,
    "organization_id": ID,
    "profile_id": ID,
    "event_type": TEXT,
    "occurred_at": MICROS,
    "webhook": TEXT,
}
_NONE: Any = literal_column("0")
_PENDING: Any = literal_column(f"'{DeliveryStatus.PENDING}'")


def _log(sql: Sql) -> Any:
    names = list(_LOGGED)
    return sql.insert(message_events).from_select(names, select(*[sql.rows.c[name] for name in names]).where(true()))


def _announce(sql: Sql) -> Any:
    rows, profiles = sql.rows.c, messaging_profiles.c
    given = sql.rows.outerjoin(messaging_profiles, and_(profiles.id == rows.profile_id, rows.use_profile))
    endpoint = func.coalesce(rows.endpoint, profiles.webhook_endpoint)
    own = [rows[name] for name in _ANNOUNCED]
    begin = {"status": _PENDING, "due_at": sql.now, "position": literal_column("0"), "tries": literal_column("0")}
    begun = [value.label(name) for name, value in begin.items()]
    chosen = select(*own, endpoint.label("endpoint"), *begun, literal_column("0").label("attempts"))
    return (
        sql.insert(webhook_deliveries)
        .from_select(
            [*_ANNOUNCED, "endpoint", *begin, "attempts"], chosen.select_from(given).where(endpoint.is_not(None))
        )
        .returning(webhook_deliveries.c.id)
    )


def _announce_kept(sql: Sql) -> Any:
    rows, profiles = sql.rows.c, messaging_profiles.c
    own = [rows[name] for name in _KEPT]
    begin = {"status": _PENDING, "due_at": sql.now, **dict.fromkeys(("position", "tries", "attempts"), _NONE)}
    begun = [value.label(name) for name, value in begin.items()]
    # Of the delivery and of its event the id is the same, so that an event that is given again is found.
    chosen = select(rows.event_id, *own, profiles.webhook_endpoint, *begun)
    told = chosen.select_from(sql.rows.join(messaging_profiles, profiles.id == rows.profile_id))
    return (
        sql.insert(webhook_deliveries)
        .from_select(["id", *_KEPT, "endpoint", *begin], told.where(profiles.webhook_endpoint.is_not(None)))
        .on_conflict_do_nothing(index_elements=["id"])
        .returning(webhook_deliveries.c.id)
    )


LOG = Batch(_LOGGED, _log)
ANNOUNCE = Batch({**_ANNOUNCED, "endpoint": TEXT, "use_profile": FLAG}, _announce)
ANNOUNCE_KEPT = Batch(_KEPT, _announce_kept)


class Outbox:
    """Writes events down, with a delivery for each that somebody is to hear of."""

    def __init__(self, engine: Engine, optional: Collection[EventType] = ()) -> None:
        self._engine = engine
        self._optional = frozenset(optional)
        self.announced: Callable[[], None] = lambda: None
        """Called after a commit that made deliveries."""

    def wants(self, event: EventType) -> bool:
        """Whether an optional event is asked for."""
        return event in self._optional

    async def log(self, transaction: Transaction, changes: Sequence[Logged]) -> None:
        """Write changes to the event log, each under its one event id, and announce those that are reported (P6)."""
        if not changes:
            return
        now = self._engine.clock.now()
        ids = [randomness.new_id(now) for _ in changes]
        rows = [
            (event_id, str(each.message["id"]), each.change, result(each.change), each.at, each.detail)
            for event_id, each in zip(ids, changes, strict=True)
        ]
        await transaction.batch(LOG, rows)
        told = [
            (event_id, each, reported(each.change, self._optional)) for event_id, each in zip(ids, changes, strict=True)
        ]
        await self.announce(
            transaction, [_announcement(event_id, each, event) for event_id, each, event in told if event]
        )

    async def announce(self, transaction: Transaction, announcements: Sequence[Announcement]) -> None:
        """Make a delivery for each event that has somewhere to go."""
        rows = [_announced_row(each, self._engine.clock.now()) for each in announcements if _has_receiver(each)]
        if rows and await transaction.batch(ANNOUNCE, rows):
            transaction.then(self.announced)

    async def announce_profile(self, transaction: Transaction, events: Sequence[ProfileEvent]) -> None:
        """Make a delivery for each event of a profile that has a URL now; given again, there is still one.

        They say what version 2 says, for profiles of version 1 too, which knows no such event.
        """
        rows = [_kept_row(each) for each in events]
        if rows and await transaction.batch(ANNOUNCE_KEPT, rows):
            transaction.then(self.announced)


def _announcement(event_id: str, logged: Logged, event: EventType) -> Announcement:
    row = logged.message
    facts = _facts(row["facts"])
    return Announcement(
        event_id,
        event,
        OrganizationId(str(row["organization_id"])),
        ProfileId(str(row["profile_id"])),
        MessageId(str(row["id"])),
        logged.at,
        *receivers(facts),
    )


def receivers(facts: Facts) -> tuple[str | None, bool]:
    """Who may want to hear of a message that we send: `own_url` and `use_profile` of its announcement."""
    return next(iter(own_urls(facts)), None), facts.use_profile_webhooks


_facts = msgspec.json.Decoder(Facts).decode


def _has_receiver(announcement: Announcement) -> bool:
    return announcement.own_url is not None or announcement.use_profile


def _kept_row(each: ProfileEvent) -> tuple[Any, ...]:
    """The columns of `_KEPT`, in their order."""
    told = webhook(each.event_id, each.event, each.at, each.payload)
    return (each.event_id, each.organization_id, each.profile_id, each.event, each.at, told.decode())


def _announced_row(each: Announcement, now: Instant) -> tuple[Any, ...]:
    return (
        randomness.new_id(now),
        each.event_id,
        each.organization_id,
        each.profile_id,
        each.message_id,
        each.event,
        each.at,
        None if each.own_url is None else endpoint_id(each.organization_id, each.own_url),
        each.use_profile,
    )
