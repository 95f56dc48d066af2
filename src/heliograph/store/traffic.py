"""Messages of both directions in one order, for records, reports and figures. Read only.

A stretch of time becomes a range of ids (UUIDv7), so that every statement goes along `(organization_id, id)`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Text,
    and_,
    case,
    false,
    func,
    literal_column,
    null,
    or_,
    select,
    text,
    true,
    union_all,
)

from heliograph.domain.accounts import Profile
from heliograph.domain.delivery import DeliveryStatus
from heliograph.domain.ids import RANDOM_BITS, OrganizationId, ProfileId, uuid7
from heliograph.domain.instant import SECOND, Instant
from heliograph.domain.lifecycle import FINAL, Status
from heliograph.domain.periods import TimeFrame
from heliograph.domain.reports import (
    ERRORS,
    FAILED,
    ON_RECORD,
    Direction,
    Record,
    RecordStatus,
    RecordType,
    Usage,
    inbound_record,
    outbound_record,
)
from heliograph.store.accounts import to_profile
from heliograph.store.between import ANY_TIME, Between, within
from heliograph.store.charges import amount, before, charged, currency, fact
from heliograph.store.engine import Engine
from heliograph.store.inbound import to_inbound
from heliograph.store.messages import MESSAGE_COLUMNS, to_message, word, words
from heliograph.store.redaction import shown_number
from heliograph.store.tables import (
    inbound_messages,
    message_events,
    messages,
    messaging_profiles,
    senders,
    webhook_deliveries,
)

SLACK = 2 * SECOND
"""How far the moment in an id may lie from that of its message: ids of one process never go back."""
BOTH = (Direction.INBOUND, Direction.OUTBOUND)


class Condition(NamedTuple):
    """What is asked of one attribute: `eq`, `contains`, `starts_with`, `ends_with`, `gt`, `gte`, `lt`, `lte`, `in`."""

    name: str
    operator: str
    value: Any


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Which records are wanted."""

    created: Between = ANY_TIME
    directions: Collection[Direction] = BOTH
    conditions: Sequence[Condition] = ()
    """All of these hold."""
    any_of: Sequence[Sequence[Condition]] = ()
    """And of these, where there are any, one group holds as a whole."""

    @classmethod
    def of(cls, created: Between, profiles: Sequence[str]) -> "RecordFilter":
        """Everything within a time, or only that of some profiles."""
        return cls(created, conditions=[Condition("profile_id", "in", list(profiles))] if profiles else ())


class Told(NamedTuple):
    """What a detail record says beyond its message."""

    webhook: Mapping[str, DeliveryStatus]
    """What became of the last event of each message, where somebody was to hear of it."""
    ours: Collection[str]
    """Which of the addresses are numbers of the same organisation: of others nobody is told (promise P7)."""


class Course(NamedTuple):
    """Messages of a profile in one step of time; `at` is where the step begins."""

    profile_id: ProfileId
    at: Instant
    sent: int
    delivered: int
    errors: int
    unconfirmed: int
    received: int


class Spent(NamedTuple):
    """In 1/100000 of the currency."""

    charged: int
    pending: int
    """Of what is scheduled and will be charged when it is released."""


PATIENCE = 20.0
"""Seconds that a request waits for what reads many rows."""


class Traffic:
    """Reads what went out and what came in."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def count(self, organization_id: OrganizationId, wanted: RecordFilter) -> int:
        """How many records pass the filter."""
        total: Any = literal_column("0", BigInteger())
        for branch, where in self._branches(organization_id, wanted):
            counted = select(func.count()).select_from(branch.table).where(*where)
            total = total + counted.scalar_subquery()
        return int((await self._engine.survey(select(total.label("count")), PATIENCE))[0]["count"])

    async def page(
        self, organization_id: OrganizationId, wanted: RecordFilter, offset: int, limit: int, *, newest: bool = True
    ) -> Sequence[Record]:
        """One page of records, the newest or the oldest first."""
        return await self._records(await self._ids(self._listed(organization_id, wanted, newest, limit, offset)))

    async def after(
        self, organization_id: OrganizationId, wanted: RecordFilter, last: str | None, limit: int
    ) -> tuple[Sequence[Record], str | None]:
        """The records that follow an id, oldest first, for a reader of all; and where to go on, None at the end."""
        # For who has time: the pages of a report.
        ids = await self._ids(self._listed(organization_id, wanted, False, limit, 0, last), None)
        return await self._records(ids), ids[-1][0] if len(ids) == limit else None

    async def told(self, organization_id: OrganizationId, records: Sequence[Record]) -> Told:
        """What else is known of some records."""
        ids = [each.id for each in records]
        told, made = message_events.c, webhook_deliveries
        latest = (
            select(told.message_id, made.c.status)
            .join(made, made.c.event_id == told.id)
            .where(told.message_id.in_(ids), made.c.replay_url.is_(None))
            .order_by(made.c.id)
        )
        found = await self._engine.fetch(latest) if ids else ()
        numbers = sorted({each.recipient for each in records} | {each.sender for each in records})
        mine = (senders.c.organization_id == organization_id) & (senders.c.scope == "")
        own = select(senders.c.address).where(mine, senders.c.address.in_(numbers))
        ours = await self._engine.fetch(own) if numbers else ()
        webhook = {str(row["message_id"]): DeliveryStatus(row["status"]) for row in found}
        return Told(webhook, {row["address"] for row in ours})

    async def usage(
        self, organization_id: OrganizationId, wanted: RecordFilter, *, by_tags: bool, patience: float | None = PATIENCE
    ) -> Sequence[Usage]:
        """Records counted by everything that a usage report may add up by; a job has no `patience` to lose."""
        branches = []
        for branch, where in self._branches(organization_id, wanted):
            tags = func.coalesce(branch.attributes["tags"], literal_column("''")) if by_tags else literal_column("''")
            keys = [
                literal_column(f"'{branch.direction}'", Text()).label("direction"),
                branch.table.c.type.label("type"),
                branch.attributes["status"].label("status"),
                branch.number.label("number"),
                branch.table.c.profile_id.label("profile_id"),
                tags.label("tags"),
                branch.attributes["currency"].label("currency"),
            ]
            sums = [
                func.count().label("messages"),
                _count_if(branch.counted["sent"]).label("sent"),
                _sum(branch.table.c.parts).label("parts"),
                _sum(branch.cost).label("cost"),
                _sum(branch.carrier_fee).label("carrier_fee"),
            ]
            branches.append(select(*keys, *sums).where(*where).group_by(text("1, 2, 3, 4, 5, 6, 7")))
        rows = await self._engine.survey(union_all(*branches), patience) if branches else ()
        return [
            Usage(
                Direction(row["direction"]),
                row["type"],
                RecordStatus(row["status"]),
                row["number"],
                str(row["profile_id"]),
                ",".join(_texts(row["tags"])) if row["tags"] else "",
                row["currency"],
                *(int(row[name]) for name in ("messages", "sent", "parts", "cost", "carrier_fee")),
            )
            for row in rows
        ]

    async def course(
        self, organization_id: OrganizationId, now: Instant, frame: TimeFrame, profile_id: ProfileId | None = None
    ) -> Sequence[Course]:
        """How many messages each profile sent and got in each step of the frame that ends now; none for idle steps."""
        wanted = RecordFilter(Between(Instant(now - frame.length), now))
        if profile_id is not None:
            wanted = RecordFilter(wanted.created, conditions=(Condition("profile_id", "eq", profile_id),))
        step = literal_column(str(frame.step), BigInteger())
        branches = []
        for branch, where in self._branches(organization_id, wanted):
            at = (branch.table.c.received_at - branch.table.c.received_at % step).label("at")
            keys = [branch.table.c.profile_id.label("profile_id"), at]
            counted = [_count_if(condition).label(name) for name, condition in branch.counted.items()]
            branches.append(select(*keys, *counted).where(*where).group_by(text("1, 2")))
        sums = union_all(*branches).subquery()
        names = list(Course._fields[2:])
        statement = select(sums.c.profile_id, sums.c.at, *(_sum(sums.c[name]).label(name) for name in names))
        rows = await self._engine.survey(statement.group_by(sums.c.profile_id, sums.c.at).order_by(sums.c.at), PATIENCE)
        return [
            Course(ProfileId(str(row["profile_id"])), Instant(row["at"]), *(int(row[name]) for name in names))
            for row in rows
        ]

    async def numbers(self, organization_id: OrganizationId) -> Mapping[ProfileId, int]:
        """How many numbers and short codes each profile has."""
        mine = (senders.c.organization_id == organization_id) & senders.c.profile_id.is_not(None)
        counted = select(senders.c.profile_id, func.count().label("count"))
        rows = await self._engine.fetch(counted.where(mine, senders.c.scope == "").group_by(senders.c.profile_id))
        return {ProfileId(str(row["profile_id"])): row["count"] for row in rows}

    async def spent(self, organization_id: OrganizationId, of: str) -> Spent:
        """What the messages of an organisation cost in one currency, those that are not kept any more with them."""
        cost = messages.c.rate + messages.c.carrier_fee
        scheduled = messages.c.status == word(Status.SCHEDULED)
        mine = (messages.c.organization_id == organization_id) & (currency(self._engine, messages.c.facts) == of)
        sums = [
            (_sum(amount(messages.c)) + before(organization_id, of)).label("charged"),
            _sum(case((scheduled, cost), else_=0)).label("pending"),
        ]
        row = (await self._engine.survey(select(*sums).where(mine), PATIENCE))[0]
        return Spent(int(row["charged"]), int(row["pending"]))

    def _listed(
        self,
        organization_id: OrganizationId,
        wanted: RecordFilter,
        newest: bool,
        limit: int,
        offset: int,
        last: str | None = None,
    ) -> Any:
        chosen = []
        for branch, where in self._branches(organization_id, wanted):
            column, direction = branch.table.c.id, literal_column(f"'{branch.direction}'", Text())
            further = [column > last] if last is not None else []
            found = select(column.label("id"), direction.label("direction")).where(*where, *further)
            # Each direction is cut off by itself: PostgreSQL does not merge along indexes where there are conditions.
            cut = found.order_by(column.desc() if newest else column).limit(offset + limit).subquery()
            chosen.append(select(cut.c.id, cut.c.direction))
        if not chosen:
            return None
        listed: Any = union_all(*chosen) if len(chosen) > 1 else chosen[0]
        order = listed.selected_columns.id
        return listed.order_by(order.desc() if newest else order).offset(offset).limit(limit)

    async def _ids(self, statement: Any, patience: float | None = PATIENCE) -> Sequence[tuple[str, Direction]]:
        rows = await self._engine.survey(statement, patience) if statement is not None else ()
        return [(str(row["id"]), Direction(row["direction"])) for row in rows]

    async def _records(self, ids: Sequence[tuple[str, Direction]]) -> Sequence[Record]:
        """Records in the order of their ids."""
        sent = [each for each, direction in ids if direction is Direction.OUTBOUND]
        got = [each for each, direction in ids if direction is Direction.INBOUND]
        outbound = [to_message(row) for row in await self._rows(select(*MESSAGE_COLUMNS), messages.c.id, sent)]
        found = await self._rows(select(*inbound_messages.c), inbound_messages.c.id, got)
        inbound = [to_inbound(row) for row in found]
        of = await self._profiles({each.profile_id for each in outbound} | {each.profile_id for each in inbound})
        records = [outbound_record(each, of.get(each.profile_id)) for each in outbound if each.status in ON_RECORD]
        records += [inbound_record(each, of.get(each.profile_id)) for each in inbound]
        known = {each.id: each for each in records}
        return [known[each] for each, _ in ids if each in known]

    async def _rows(self, statement: Select[Any], column: ColumnElement[Any], ids: Sequence[str]) -> Sequence[Any]:
        return await self._engine.fetch(statement.where(column.in_(ids))) if ids else ()

    async def _profiles(self, ids: Collection[str]) -> Mapping[ProfileId, Profile]:
        """Those that are deleted too: what was sent under them is still theirs."""
        rows = await self._rows(select(*messaging_profiles.c), messaging_profiles.c.id, sorted(ids))
        return {each.id: each for each in map(to_profile, rows)}

    def _branches(
        self, organization_id: OrganizationId, wanted: RecordFilter
    ) -> Iterator[tuple["_Branch", list[ColumnElement[bool]]]]:
        for branch in (self._outbound(organization_id), self._inbound(organization_id)):
            if branch.direction not in wanted.directions:
                continue
            table = branch.table.c
            mine = [table.organization_id == organization_id, branch.on_record]
            mine += [*_ids_within(table.id, wanted.created), *within(table.received_at, wanted.created)]
            mine += [_holds(branch, each) for each in wanted.conditions]
            if wanted.any_of:
                mine.append(or_(*(and_(*(_holds(branch, each) for each in group)) for group in wanted.any_of)))
            yield branch, mine

    def _outbound(self, organization_id: OrganizationId) -> "_Branch":
        status, taken = messages.c.status, messages.c.sent_at.is_not(None)
        named = case(
            (status == word(Status.DELIVERED), _word(RecordStatus.DELIVERED)),
            (status.in_(words(FAILED)), _word(RecordStatus.FAILED)),
            (status == word(Status.SENDING_FAILED), _word(RecordStatus.GW_REJECT)),
            (taken, _word(RecordStatus.DLR_UNCONFIRMED)),
            else_=_word(RecordStatus.GW_TIMEOUT),
        )
        kind = case(
            (status == word(Status.SENT), _word(RecordType.INCOMPLETE)),
            (status.in_(words(ERRORS)), _word(RecordType.ERRORS)),
            else_=_word(RecordType.COMPLETED),
        )
        attributes = {
            "status": named,
            "record_type": kind,
            "sent_at": messages.c.sent_at,
            "completed_at": messages.c.completed_at,
            "errors": messages.c.errors,
            "cld": shown_number(
                messages.c.recipient, messages.c.profile_id, organization_id, status.in_(words(sorted(FINAL)))
            ),
        }
        return _Branch(
            Direction.OUTBOUND,
            messages,
            {**self._common(messages), **attributes},
            on_record=status.in_(words(ON_RECORD)),
            number=messages.c.sender,
            cost=amount(messages.c),
            carrier_fee=case((charged(messages.c), messages.c.carrier_fee), else_=0),
            counted={
                "sent": taken,
                "delivered": status == word(Status.DELIVERED),
                "errors": status.in_(words(ERRORS)),
                "unconfirmed": status == word(Status.DELIVERY_UNCONFIRMED),
                "received": false(),
            },
        )

    def _inbound(self, organization_id: OrganizationId) -> "_Branch":
        inbound = inbound_messages.c
        attributes = {
            "status": _word(RecordStatus.RECEIVED),
            "record_type": _word(RecordType.COMPLETED),
            "sent_at": null(),
            "completed_at": inbound_messages.c.received_at,
            "errors": null(),
            "cli": shown_number(inbound.sender, inbound.profile_id, organization_id, true()),
        }
        nothing = literal_column("0", BigInteger())
        return _Branch(
            Direction.INBOUND,
            inbound_messages,
            {**self._common(inbound_messages), **attributes},
            on_record=true(),
            number=inbound_messages.c.recipient,
            cost=nothing,
            carrier_fee=nothing,
            counted={name: false() for name in Course._fields[2:]} | {"received": true()},
        )

    def _common(self, table: Any) -> dict[str, Any]:
        named = select(messaging_profiles.c.name).where(messaging_profiles.c.id == table.c.profile_id)
        return {
            "uuid": table.c.id,
            "cli": table.c.sender,
            "cld": table.c.recipient,
            "message_type": table.c.type,
            "parts": table.c.parts,
            "profile_id": table.c.profile_id,
            "profile_name": named.scalar_subquery(),
            "tags": fact(self._engine, table.c.facts, "tags"),
            "currency": currency(self._engine, table.c.facts),
        }


@dataclass(frozen=True, slots=True)
class _Branch:
    """One direction: its table, and what stands in it for each attribute of a record."""

    direction: Direction
    table: Any
    attributes: Mapping[str, Any]
    on_record: ColumnElement[bool]
    number: ColumnElement[Any]
    cost: ColumnElement[Any]
    carrier_fee: ColumnElement[Any]
    counted: Mapping[str, ColumnElement[bool]]


def _holds(branch: _Branch, asked: Condition) -> Any:
    column: Any = branch.attributes[asked.name]
    if asked.name in {"tags", "errors"}:
        # An array in JSON: each of its texts stands between quotes.
        inner = msgspec.json.encode(asked.value).decode()
        return column.contains(inner, autoescape=True)
    match asked.operator:
        case "contains":
            return column.contains(asked.value, autoescape=True)
        case "starts_with":
            return column.startswith(asked.value, autoescape=True)
        case "ends_with":
            return column.endswith(asked.value, autoescape=True)
        case "in":
            return column.in_(asked.value)
    return _COMPARED[asked.operator](column, asked.value)


_COMPARED: Mapping[str, Any] = {
    "eq": lambda column, value: column == value,
    "gt": lambda column, value: column > value,
    "gte": lambda column, value: column >= value,
    "lt": lambda column, value: column < value,
    "lte": lambda column, value: column <= value,
}


def _ids_within(column: ColumnElement[Any], moments: Between) -> Iterator[ColumnElement[bool]]:
    if moments.first is not None:
        yield column >= uuid7(Instant(max(0, moments.first - SLACK)), 0)
    if moments.last is not None:
        yield column <= uuid7(Instant(max(0, moments.last + SLACK)), (1 << RANDOM_BITS) - 1)


def _word(name: str) -> ColumnElement[str]:
    return literal_column(f"'{name}'", Text())


def _sum(column: Any) -> ColumnElement[Any]:
    return func.coalesce(func.sum(column), literal_column("0"))


def _count_if(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return _sum(case((condition, 1), else_=0))


_texts = msgspec.json.Decoder(list[str]).decode
