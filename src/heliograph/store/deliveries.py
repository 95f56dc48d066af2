"""Deliveries of events as their organisation sees them: listed, read, replayed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Text, and_, cast, exists, func, insert, not_, or_, select

from heliograph import randomness
from heliograph.domain.delivery import DeliveryStatus
from heliograph.domain.events import OF_PROFILES, EventType, endpoint_id, urls_for
from heliograph.domain.ids import MessageId, OrganizationId
from heliograph.domain.inbound import InboundMessage
from heliograph.domain.instant import Instant
from heliograph.domain.message import Message
from heliograph.store.accounts import to_profile
from heliograph.store.between import ANY_TIME, Between, within
from heliograph.store.engine import Engine, Row, Transaction
from heliograph.store.inbound import to_inbound
from heliograph.store.lanes import Attempt, Delivery, to_delivery
from heliograph.store.messages import MESSAGE_COLUMNS, to_message
from heliograph.store.outbox import Outbox
from heliograph.store.partitions import nothing_goes
from heliograph.store.redaction import hiding_profiles
from heliograph.store.tables import (
    inbound_messages,
    messages,
    messaging_profiles,
    webhook_attempts,
    webhook_deliveries,
)

PATIENCE = 20.0
"""Seconds that a request waits for what may read every delivery of an organisation."""
REPLAYS_AT_ONCE = 1_000
"""Events that one request replays at most: each costs a row."""


class NothingToTell(Exception):
    """An event was never sent, and its message is no longer kept: nobody knows what it says."""


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """A delivery with all its attempts, newest first."""

    delivery: Delivery
    status: DeliveryStatus
    started_at: Instant | None
    finished_at: Instant | None
    reason: str | None
    attempts: Sequence[Attempt]
    subject: Message | InboundMessage | None = None
    """What an event tells of that was not tried yet, as far as it is kept."""


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries are wanted; None stands for all."""

    status: DeliveryStatus | None = None
    events: Sequence[str] | None = None
    webhook: str | None = None
    """A text within the event."""
    attempts: str | None = None
    """A text within one of the attempts: its URL, its headers, its answer."""
    started: Between = ANY_TIME
    finished: Between = ANY_TIME


class DeliveryBook:
    """Reads deliveries, and begins them anew."""

    def __init__(self, engine: Engine, outbox: Outbox) -> None:
        self._engine = engine
        self._outbox = outbox

    async def replay(
        self, organization_id: OrganizationId, delivery: Delivery, url: str | None
    ) -> DeliveryReport | None:
        """Deliver an event again under its own id: to `url`, or else to the first URL that it would go to now.

        None when it has none. A replay goes to that one URL, also when that endpoint is turned off. Raises
        `NothingToTell`.
        """
        wanted = await self._targets([delivery], url)
        if not wanted:
            return None
        if not (begun := await self._begin(wanted)):
            raise NothingToTell
        return await self.find(organization_id, begun[0])

    async def replay_since(
        self,
        organization_id: OrganizationId,
        since: Instant,
        events: Sequence[str] | None,
        url: str | None,
        *,
        only_failed: bool = False,
    ) -> int:
        """Deliver every event since a moment again, oldest first; how many had something to say and somewhere to go.

        With `only_failed` those that were given up and that no replay has brought since.
        """
        kept = webhook_deliveries.c
        where = [kept.organization_id == organization_id, kept.occurred_at >= since, kept.replay_url.is_(None)]
        if events is not None:
            where.append(kept.event_type.in_(events))
        if only_failed:
            where.append(given_up())
        last, begun = "", 0
        while True:
            statement = select(*kept).where(*where).order_by(kept.id).limit(REPLAYS_AT_ONCE)
            rows = await self._engine.fetch(statement.where(kept.id > last) if last else statement)
            deliveries = [to_delivery(row) for row in rows]
            begun += len(await self._begin(await self._targets(deliveries, url)))
            if len(rows) < REPLAYS_AT_ONCE:
                return begun
            last = deliveries[-1].id

    async def _targets(self, deliveries: Sequence[Delivery], url: str | None) -> Sequence[tuple[Delivery, str]]:
        """Those that have somewhere to go, and where."""
        first = {} if url is not None else await self._first_urls(deliveries)
        return [(each, target) for each in deliveries if (target := url or first.get(each.id)) is not None]

    async def _begin(self, wanted: Sequence[tuple[Delivery, str]]) -> Sequence[str]:
        """Make deliveries of the events of others; the ids of those that have something to say."""
        if not wanted:
            return ()
        now = self._engine.clock.now()
        async with self._engine.transaction() as transaction:
            untold = await _untold(transaction, [each for each, _ in wanted])
            told = [(each, target) for each, target in wanted if each.id not in untold]
            rows = [_replay_row(each, target, randomness.new_id(now), now) for each, target in told]
            if rows:
                await transaction.execute(insert(webhook_deliveries), rows)
                transaction.then(self._outbox.announced)
        return [row["id"] for row in rows]

    async def _first_urls(self, deliveries: Sequence[Delivery]) -> Mapping[str, str]:
        subjects = await self.subjects(deliveries)
        wanted = {each.profile_id for each in deliveries}
        found = select(*messaging_profiles.c).where(messaging_profiles.c.id.in_(wanted))
        profiles = {each.id: each for each in map(to_profile, await self._engine.fetch(found))}
        urls = {}
        for each in deliveries:
            subject, profile = subject_of(each, subjects), profiles.get(each.profile_id)
            facts = subject.facts if isinstance(subject, Message) else None
            urls[each.id] = next(iter(urls_for(facts, profile.settings if profile else None)), None)
        return {name: url for name, url in urls.items() if url is not None}

    async def subjects(self, deliveries: Sequence[Delivery]) -> Mapping[MessageId, Message | InboundMessage]:
        """The messages that deliveries tell of, as far as they are kept."""
        inbound = [each.message_id for each in deliveries if each.message_id and each.event is EventType.RECEIVED]
        outbound = [each.message_id for each in deliveries if each.message_id and each.event not in OF_PROFILES]
        found: dict[MessageId, Message | InboundMessage] = {}
        if outbound:
            rows = await self._engine.fetch(select(*MESSAGE_COLUMNS).where(messages.c.id.in_(outbound)))
            found |= {each.id: each for each in map(to_message, rows)}
        if inbound:
            rows = await self._engine.fetch(select(*inbound_messages.c).where(inbound_messages.c.id.in_(inbound)))
            found |= {each.id: each for each in map(to_inbound, rows)}
        return found

    async def page(
        self, organization_id: OrganizationId, wanted: DeliveryFilter, offset: int, limit: int
    ) -> tuple[int, Sequence[DeliveryReport]]:
        """How many deliveries pass the filter, and one page of them, newest first."""
        kept = webhook_deliveries.c
        where = [kept.organization_id == organization_id, *_conditions(organization_id, wanted)]
        counted = select(func.count().label("count")).select_from(webhook_deliveries).where(*where)
        total = (await self._engine.survey(counted, PATIENCE))[0]["count"]
        statement = select(*kept).where(*where).order_by(kept.id.desc()).offset(offset).limit(limit)
        return total, await self._reports(await self._engine.survey(statement, PATIENCE))

    async def find(self, organization_id: OrganizationId, delivery_id: str) -> DeliveryReport | None:
        """One delivery of an organisation."""
        kept = webhook_deliveries.c
        mine = (kept.id == delivery_id) & (kept.organization_id == organization_id)
        reports = await self._reports(await self._engine.fetch(select(*kept).where(mine)))
        return reports[0] if reports else None

    async def _reports(self, rows: Sequence[Row]) -> Sequence[DeliveryReport]:
        made = webhook_attempts.c
        mine = made.delivery_id.in_([str(row["id"]) for row in rows])
        newest = select(*made).where(mine).order_by(made.id.desc())
        attempts: dict[str, list[Attempt]] = {}
        for row in await self._engine.fetch(newest) if rows else ():
            attempts.setdefault(str(row["delivery_id"]), []).append(_to_attempt(row))
        reports = [_to_report(row, attempts.get(str(row["id"]), [])) for row in rows]
        untried = [each.delivery for each in reports if each.delivery.webhook is None]
        subjects = await self.subjects(untried) if untried else {}
        return [replace(each, subject=subject_of(each.delivery, subjects)) for each in reports]


async def _untold(transaction: Transaction, deliveries: Sequence[Delivery]) -> Collection[str]:
    """Those that hold no event yet, and whose message is gone.

    The others' messages stay until the commit, and then for what is to tell of them: who forgets looks for that.
    """
    by_message = [(each.id, each.message_id) for each in deliveries if each.webhook is None and each.message_id]
    if not by_message:
        return ()
    await nothing_goes(transaction)
    wanted = {message_id for _, message_id in by_message}
    kept: set[str] = set()
    for table in (messages, inbound_messages):
        found = await transaction.execute(select(table.c.id).where(table.c.id.in_(wanted)))
        kept.update(str(row.id) for row in found)
    return {delivery_id for delivery_id, message_id in by_message if message_id not in kept}


def subject_of(
    delivery: Delivery, subjects: Mapping[MessageId, Message | InboundMessage]
) -> Message | InboundMessage | None:
    """The message that a delivery tells of; None where it is not kept, and for an event that is not a message's."""
    return None if delivery.message_id is None else subjects.get(delivery.message_id)


def given_up() -> ColumnElement[bool]:
    """That an event of `webhook_deliveries` failed for good, and that no replay was taken since."""
    again = webhook_deliveries.alias("again")
    taken = (again.c.event_id == webhook_deliveries.c.event_id) & (again.c.status == DeliveryStatus.DELIVERED.value)
    failed = (webhook_deliveries.c.status == DeliveryStatus.FAILED.value) & webhook_deliveries.c.replay_url.is_(None)
    return and_(failed, ~select(again.c.id).where(taken).exists())


def _conditions(organization_id: OrganizationId, wanted: DeliveryFilter) -> list[ColumnElement[bool]]:
    kept = webhook_deliveries.c
    where = [_status_condition(wanted.status)]
    if wanted.events is not None:
        where.append(kept.event_type.in_(wanted.events))
    if wanted.webhook is not None:
        # What is hidden of an event is not to be found by asking for it.
        where.append(_holds([kept.webhook], wanted.webhook) & kept.profile_id.not_in(hiding_profiles(organization_id)))
    if wanted.attempts is not None:
        where.append(_has_attempt_with(wanted.attempts))
    return [*where, *within(kept.started_at, wanted.started), *within(kept.finished_at, wanted.finished)]


def _status_condition(status: DeliveryStatus | None) -> ColumnElement[bool]:
    """What is under way has failed so far once it was tried; untried, it is shown to whoever asks for `pending`."""
    kept = webhook_deliveries.c
    pending, tried = kept.status == DeliveryStatus.PENDING.value, kept.attempts > 0
    if status is None:
        return or_(not_(pending), tried)
    if status is DeliveryStatus.FAILED:
        return or_(kept.status == status.value, and_(pending, tried))
    return kept.status == status.value


def _has_attempt_with(text: str) -> ColumnElement[bool]:
    """Asked of each delivery, by the index: the attempts of other organisations are not looked through."""
    made = webhook_attempts.c
    status = cast(made.response_status, Text)
    searched = (made.url, made.request_headers, status, made.response_headers, made.response_body, made.errors)
    mine = made.delivery_id == webhook_deliveries.c.id
    return exists().where(mine, _holds([*searched, made.detail], text))


def _holds(columns: Sequence[ColumnElement[Any]], text: str) -> ColumnElement[bool]:
    """Whether one of them holds a text as it stands or as JSON writes it, capital letters or not on both databases."""
    forms = {text, msgspec.json.encode(text).decode()[1:-1]}
    return or_(*[column.icontains(form, autoescape=True) for column in columns for form in sorted(forms)])


def _replay_row(delivery: Delivery, url: str, new_id: str, now: Instant) -> dict[str, Any]:
    return {
        "id": new_id,
        "event_id": delivery.event_id,
        "organization_id": delivery.organization_id,
        "profile_id": delivery.profile_id,
        "message_id": delivery.message_id,
        "event_type": delivery.event.value,
        "occurred_at": delivery.occurred_at,
        "webhook": None if delivery.webhook is None else delivery.webhook.decode(),
        "replay_url": url,
        "endpoint": endpoint_id(delivery.organization_id, url),
        "status": DeliveryStatus.PENDING.value,
        "due_at": now,
        "position": 0,
        "tries": 0,
        "attempts": 0,
    }


def _to_report(row: Row, attempts: Sequence[Attempt]) -> DeliveryReport:
    return DeliveryReport(
        to_delivery(row),
        DeliveryStatus(row["status"]),
        row["started_at"],
        row["finished_at"],
        row["reason"],
        attempts,
    )


def _to_attempt(row: Row) -> Attempt:
    headers = row["response_headers"]
    return Attempt(
        id=str(row["id"]),
        delivered=bool(row["delivered"]),
        url=row["url"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        errors=_numbers(row["errors"]),
        request_headers=_pairs(row["request_headers"]),
        response_status=row["response_status"],
        response_headers=None if headers is None else _pairs(headers),
        response_body=row["response_body"],
        detail=row["detail"],
    )


_numbers = msgspec.json.Decoder(list[int]).decode
_pairs = msgspec.json.Decoder(list[tuple[str, str]]).decode
