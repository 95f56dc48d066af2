"""Messages taken, read and called off: the verbs of the API's hot path.

`accept` and `cancel` are verbs of the group commit: each takes many items and answers for each. Conditions on a status
come from the table in `domain.lifecycle`.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec
from sqlalchemy import Text, false, func, literal_column, null, select, true, update
from sqlalchemy.types import TypeEngine

from heliograph import randomness
from heliograph.domain.events import EventType
from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import RANK, Change, Status, result, sources
from heliograph.domain.links import ShortLink
from heliograph.domain.message import DeliveryError, Facts, Media, Message, MessageType, Progress
from heliograph.domain.pacing import Pace, QueueFull, Slots
from heliograph.domain.spending import Budget, DaySums, limit_detail, spend_day
from heliograph.store.batch import COUNT, ID, MICROS, TEXT, Batch, Sql, scalar
from heliograph.store.engine import Engine, Row, Transaction
from heliograph.store.epochs import EPOCH, Standing, changed
from heliograph.store.links import put_links
from heliograph.store.opt_outs import holding
from heliograph.store.outbox import Announcement, Logged, Outbox, receivers
from heliograph.store.pace import hold_slots, put_slots
from heliograph.store.spending import DailySpending, days_of
from heliograph.store.tables import account_epoch, message_events, messages, opt_outs, pending_counts

SHARDS = 16
_OURS = {"claim_token", "deadline_at", "in_doubt", "receipt_key"}
MESSAGE_COLUMNS = [each for each in messages.c if each.name not in _OURS]


class Acceptance(msgspec.Struct, frozen=True):
    """Messages of one request, to be taken together or not at all."""

    messages: Sequence[Message]
    epoch: int
    """The epoch of the accounts that they were composed from."""
    max_pending: int
    paces: Sequence[Pace] = ()
    """The rates that those which are for now are subject to."""
    links: Sequence[ShortLink] = ()
    """The links that were replaced in them."""
    budget: Budget | None = None
    """The daily limit of their profile, where one is set."""


class Accepted(Enum):
    """The answer to an `Acceptance`."""

    TAKEN = "taken"
    STALE = "stale"
    """An account changed since, or a short link is taken: compose it again."""
    FULL = "full"
    """The organisation has as many scheduled messages as it may."""
    OPTED_OUT = "opted out"
    """A recipient does not want to be written to."""
    QUEUE_FULL = "queue full"
    """As many parts wait for their sender or account as may."""
    SPENT = "spent"
    """Their profile would spend more on their day than it may."""


@dataclass(frozen=True, slots=True)
class AcceptAnswer:
    """What became of an `Acceptance`: the messages as they were taken, each with its due time."""

    outcome: Accepted
    messages: Sequence[Message] = ()
    detail: str = ""
    """Why a queue is full, or how much is spent."""


class Cancellation(msgspec.Struct, frozen=True):
    """A wish to call one message off."""

    organization_id: OrganizationId
    message_id: MessageId
    cutoff: int
    """How much more than this must be left before `send_at`, in microseconds."""
    epoch: int
    limited: Collection[str] = ()
    """The profiles of the organisation that have a daily limit: what they called off is given back to them."""


@dataclass(frozen=True, slots=True)
class CancelAnswer:
    """What became of a `Cancellation`: the row as it now is, whoever won."""

    message: Message | None
    """None when the organisation has no such message."""
    won: bool
    """Whether this very call cancelled it."""
    stale: bool
    """An account changed since the caller was recognised; nothing was done."""
    now: Instant
    """The moment by the database's clock."""


def word(status: Status) -> Any:
    """A status written into a statement: it is a word of our own table, and the planner may see it."""
    return literal_column(f"'{status.value}'", Text())


def words(statuses: Sequence[Status]) -> list[Any]:
    """Several of them, for `in_`."""
    return [word(status) for status in statuses]


_INSERTED: Mapping[str, TypeEngine[Any]] = {
    "id": ID,
    "organization_id": ID,
    "profile_id": ID,
    "group_id": ID,
    "type": TEXT,
    "status": TEXT,
    "sender": TEXT,
    "recipient": TEXT,
    "text": TEXT,
    "parts": COUNT,
    "rate": MICROS,
    "carrier_fee": MICROS,
    "received_at": MICROS,
    "send_at": MICROS,
    "valid_until": MICROS,
    "due_at": MICROS,
    "carrier": TEXT,
    "facts": TEXT,
    "answers": ID,
}


def _insert(sql: Sql) -> Any:
    columns = [sql.rows.c[name] for name in _INSERTED]
    rows = select(*columns, literal_column("0").label("attempts"), false().label("in_doubt")).where(true())
    return (
        sql.insert(messages)
        .from_select([*_INSERTED, "attempts", "in_doubt"], rows, include_defaults=False)
        .on_conflict_do_nothing(index_elements=["id"])
        .returning(messages.c.id)
    )


def _pending(sql: Sql) -> Any:
    counted = select(func.coalesce(func.sum(pending_counts.c.count), 0))
    mine = counted.where(pending_counts.c.organization_id == sql.rows.c.organization_id).scalar_subquery()
    held = opt_outs.c
    any_held = select(held.id).where(held.organization_id == sql.rows.c.organization_id, held.ended_at.is_(None))
    found = (mine.label("pending"), any_held.exists().label("opt_outs"), EPOCH.label("epoch"))
    return select(sql.rows.c.organization_id, *found, changed(sql.rows.c.organization_id).label("changed"))


def _opted_out(sql: Sql) -> Any:
    rows = sql.rows.c
    return select(rows.id).where(holding(rows.organization_id, rows.profile_id, rows.recipient))


def _count_pending(sql: Sql) -> Any:
    rows = select(sql.rows.c.organization_id, scalar("shard", COUNT), sql.rows.c.change).where(true())
    insert = sql.insert(pending_counts).from_select(["organization_id", "shard", "count"], rows)
    return insert.on_conflict_do_update(
        index_elements=["organization_id", "shard"],
        set_={"count": pending_counts.c.count + insert.excluded.count},
    )


def _cancel(sql: Sql) -> Any:
    return (
        update(messages)
        .where(
            messages.c.id == sql.rows.c.id,
            messages.c.organization_id == sql.rows.c.organization_id,
            messages.c.status.in_(words(sources(Change.CANCEL))),
            messages.c.send_at - sql.passing > sql.rows.c.cutoff,
            sql.rows.c.epoch.between(changed(sql.rows.c.organization_id), EPOCH),
        )
        .values(status=word(result(Change.CANCEL)), due_at=null())
        .returning(*MESSAGE_COLUMNS, sql.now.label("now"))
    )


def _refuse(sql: Sql) -> Any:
    """Scheduled messages that it is too late to cancel, written as they are.

    So whoever is cancelling one at this moment, in another process, is waited for, and whoever gets to it later finds
    it changed and looks at the clock again: no cancel that was refused is followed by one that is not (P1).
    """
    rows = sql.rows.c
    mine = (messages.c.id == rows.id) & (messages.c.organization_id == rows.organization_id)
    return (
        update(messages)
        .where(mine, messages.c.status.in_(words(sources(Change.CANCEL))))
        .values(status=messages.c.status)
    )


def _read(sql: Sql) -> Any:
    found = (messages.c.id == sql.rows.c.id) & (messages.c.organization_id == sql.rows.c.organization_id)
    joined = sql.rows.outerjoin(messages, found)
    asked = (sql.rows.c.id.label("wanted"), sql.rows.c.organization_id.label("asked_by"))
    stands = (EPOCH.label("epoch"), changed(sql.rows.c.organization_id).label("changed"))
    return select(*asked, *MESSAGE_COLUMNS, *stands, sql.now.label("now")).select_from(joined)


def _known(sql: Sql) -> Any:
    return select(messages.c.id).join(sql.rows, sql.rows.c.id == messages.c.id)


def _as_taken(sql: Sql) -> Any:
    return select(*MESSAGE_COLUMNS).join(sql.rows, sql.rows.c.id == messages.c.id)


INSERT = Batch(_INSERTED, _insert)
PENDING = Batch({"organization_id": ID}, _pending)
OPTED_OUT = Batch({"id": ID, "organization_id": ID, "profile_id": ID, "recipient": TEXT}, _opted_out)
COUNT_PENDING = Batch({"organization_id": ID, "change": MICROS}, _count_pending)
CANCEL = Batch({"id": ID, "organization_id": ID, "cutoff": MICROS, "epoch": MICROS}, _cancel)
REFUSE = Batch({"id": ID, "organization_id": ID}, _refuse)
READ = Batch({"id": ID, "organization_id": ID}, _read)
KNOWN = Batch({"id": ID}, _known)
AS_TAKEN = Batch({"id": ID}, _as_taken)


class MessageVerbs:
    """What can be done to messages on behalf of a caller."""

    def __init__(self, engine: Engine, outbox: Outbox, *, account_wide: bool = False) -> None:
        self._engine = engine
        self._outbox = outbox
        self._spending = DailySpending(outbox)
        self.account_wide = account_wide
        self.released: Callable[[], None] = lambda: None
        """Called after a commit that put down a message of our own that is due at once."""
        self._shard = randomness.below(SHARDS)

    async def accept(self, transaction: Transaction, items: Sequence[Acceptance]) -> Sequence[AcceptAnswer]:
        """Take messages; they are on disk when the transaction is."""
        organizations = list({item.messages[0].organization_id for item in items})
        rows = await transaction.batch(PENDING, [(each,) for each in organizations])
        # What this transaction has counted itself is in no row yet.
        counted = transaction.tallied(self._put_pending)
        pending = {name: int(row["pending"]) + counted[name] for row in rows for name in [str(row["organization_id"])]}
        standing = {str(row["organization_id"]): Standing(row["changed"], row["epoch"]) for row in rows}
        unwanted = await self._unwanted(transaction, items) if any(row["opt_outs"] for row in rows) else ()
        answers = [_admit(item, standing, pending, unwanted) for item in items]
        if any(answer is not Accepted.TAKEN for answer in answers):
            answers = await _admit_known(transaction, items, answers)
        given: Sequence[AcceptAnswer] = [
            AcceptAnswer(answer, item.messages) for item, answer in zip(items, answers, strict=True)
        ]
        if any(item.paces or item.budget for item in items):
            given = await self._granted(transaction, items, given)
        if any(item.links for item in items):
            given = await _linked(transaction, items, given)
        taken = [message for answer in given if answer.outcome is Accepted.TAKEN for message in answer.messages]
        if taken:
            await self.insert(transaction, taken)
        return given

    async def _granted(
        self, transaction: Transaction, items: Sequence[Acceptance], answers: Sequence[AcceptAnswer]
    ) -> Sequence[AcceptAnswer]:
        """Judge what is admitted by the limits of profiles and the rates of senders, one after the other.

        Sums and slots are held for all of them at once: in one order everywhere, no two transactions wait in a circle.
        """
        wanted = [
            item
            for item, answer in zip(items, answers, strict=True)
            if answer.outcome is Accepted.TAKEN and (item.budget or _is_paced(item))
        ]
        if not wanted:
            return answers
        limited = [item.messages for item in wanted if item.budget]
        held = await self._spending.hold(transaction, days_of(limited)) if limited else None
        sums = held.sums if held else None
        paces = [pace for item in wanted if _is_paced(item) for pace in item.paces]
        slots = await hold_slots(transaction, paces) if paces else None
        granted = dict(await _taken_before(transaction, wanted))
        for item in wanted:
            if (name := item.messages[0].id) not in granted:
                granted[name] = _grant(item, sums, slots)
        if slots:
            await put_slots(transaction, slots.next_at)
        if held:
            owners = {each[0].profile_id: each[0].organization_id for each in limited}
            await self._spending.put(transaction, held, owners)
        return [
            granted.get(item.messages[0].id, answer) if answer.outcome is Accepted.TAKEN else answer
            for item, answer in zip(items, answers, strict=True)
        ]

    async def unwanted(self, messages: Sequence[Message]) -> Sequence[str]:
        """Those recipients of some messages that an opt-out stands against now."""
        async with self._engine.transaction() as transaction:
            found = await self._opted_out(transaction, messages)
        return [each.recipient for each in messages if each.id in found]

    async def _unwanted(self, transaction: Transaction, items: Sequence[Acceptance]) -> Collection[str]:
        return await self._opted_out(transaction, [message for item in items for message in item.messages])

    async def _opted_out(self, transaction: Transaction, messages: Sequence[Message]) -> Collection[str]:
        rows = [(each.id, each.organization_id, each.profile_id, each.recipient) for each in messages]
        found = await transaction.batch(OPTED_OUT, rows, account_wide=self.account_wide)
        return {str(row["id"]) for row in found}

    async def cancel(self, transaction: Transaction, items: Sequence[Cancellation]) -> Sequence[CancelAnswer]:
        """Call messages off: one conditional write, and the row either way."""
        wanted = sorted({(item.message_id, item.organization_id, item.cutoff, item.epoch) for item in items})
        won = {str(row["id"]): row for row in await transaction.batch(CANCEL, wanted)}
        if won:
            changes = [Logged(row, Change.CANCEL, row["now"], None) for row in won.values()]
            await self._outbox.log(transaction, changes)
            counts = Counter(OrganizationId(str(row["organization_id"])) for row in won.values())
            self.count_pending(transaction, counts, -1)
            limited = {profile_id for item in items for profile_id in item.limited}
            if limited:
                self.give_back(transaction, [row for row in won.values() if str(row["profile_id"]) in limited])
        asked = {(item.message_id, item.organization_id) for item in items}
        lost = asked - {(message_id, str(row["organization_id"])) for message_id, row in won.items()}
        others = await _others(transaction, lost) if lost else {}
        return [_cancel_answer(item, won, others) for item in items]

    def count_pending(self, transaction: Transaction, counts: Mapping[OrganizationId, int], sign: int) -> None:
        """Count scheduled messages of organisations up or down; put down right before the commit."""
        transaction.tally(self._put_pending, {name: sign * count for name, count in counts.items()})

    async def _put_pending(self, transaction: Transaction, changes: Mapping[str, int]) -> None:
        await transaction.batch(COUNT_PENDING, list(changes.items()), shard=self._shard)

    def give_back(self, transaction: Transaction, rows: Sequence[Row]) -> None:
        """Take messages that are not charged after all off what their profiles have spent; `MESSAGE_COLUMNS`."""
        self._spending.give_back(transaction, map(to_message, rows))

    async def find(self, organization_id: OrganizationId, message_id: MessageId) -> tuple[Message | None, Standing]:
        """A message of an organisation, and how its accounts stand at that moment."""
        statement = (
            select(*MESSAGE_COLUMNS, account_epoch.c.epoch, changed(organization_id).label("changed"))
            .select_from(account_epoch)
            .outerjoin(messages, (messages.c.id == message_id) & (messages.c.organization_id == organization_id))
        )
        row = (await self._engine.fetch(statement))[0]
        return (None if row["id"] is None else to_message(row)), Standing(row["changed"], row["epoch"])

    async def group(self, organization_id: OrganizationId, group_id: MessageId) -> Sequence[Message]:
        """The messages of a group MMS, in the order of its recipients."""
        statement = select(*MESSAGE_COLUMNS).where(
            messages.c.group_id == group_id, messages.c.organization_id == organization_id
        )
        return [to_message(row) for row in await self._engine.fetch(statement.order_by(messages.c.id))]

    async def timeline(self, message_id: MessageId) -> Sequence[Row]:
        """The event log of a message: `id`, `change`, `status`, `at`, `detail`, oldest first."""
        log = message_events.c
        statement = select(log.id, log.change, log.status, log.at, log.detail)
        return in_order(await self._engine.fetch(statement.where(log.message_id == message_id)))

    async def insert(self, transaction: Transaction, taken: Sequence[Message]) -> None:
        """Put messages down; one that is there already (its commit's answer was lost) is left as it is."""
        rows = await transaction.batch(INSERT, [_to_row(message) for message in taken])
        new = {str(row["id"]) for row in rows}
        scheduled = [each for each in taken if each.status is Status.SCHEDULED and each.id in new]
        self.count_pending(transaction, Counter(each.organization_id for each in scheduled), 1)
        if self._outbox.wants(EventType.SCHEDULED):
            await self._outbox.announce(transaction, [self._scheduled(each) for each in scheduled])

    def _scheduled(self, message: Message) -> Announcement:
        return Announcement(
            randomness.new_id(self._engine.clock.now()),
            EventType.SCHEDULED,
            message.organization_id,
            message.profile_id,
            message.id,
            message.received_at,
            *receivers(message.facts),
        )


async def _others(transaction: Transaction, lost: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Row]:
    """What became of the messages that a cancel did not win, by message and organisation."""

    async def read(names: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Row]:
        rows = await transaction.batch(READ, sorted(names))
        return {(str(row["wanted"]), str(row["asked_by"])): row for row in rows}

    found = await read(lost)
    late = [name for name, row in found.items() if row["status"] == Status.SCHEDULED]
    if not late:
        return found
    await transaction.batch(REFUSE, sorted(late))
    return {**found, **await read(late)}


def _admit(
    item: Acceptance, standing: Mapping[str, Standing], pending: dict[str, int], unwanted: Collection[str]
) -> Accepted:
    if not standing[item.messages[0].organization_id].holds(item.epoch):
        return Accepted.STALE
    if any(each.id in unwanted for each in item.messages):
        return Accepted.OPTED_OUT
    first = item.messages[0]
    if first.status is Status.SCHEDULED:
        if pending[first.organization_id] + len(item.messages) > item.max_pending:
            return Accepted.FULL
        pending[first.organization_id] += len(item.messages)
    return Accepted.TAKEN


async def _linked(
    transaction: Transaction, items: Sequence[Acceptance], answers: Sequence[AcceptAnswer]
) -> list[AcceptAnswer]:
    """Put down the short links of what is taken; what has one that is another message's is composed again."""
    pairs = list(zip(items, answers, strict=True))
    links = [link for item, answer in pairs if answer.outcome is Accepted.TAKEN for link in item.links]
    unlucky = await put_links(transaction, links) if links else ()
    lost = [any(link.message_id in unlucky for link in item.links) for item in items]
    return [AcceptAnswer(Accepted.STALE) if again else answer for (_, answer), again in zip(pairs, lost, strict=True)]


async def _taken_before(transaction: Transaction, items: Sequence[Acceptance]) -> Mapping[str, AcceptAnswer]:
    """The answers, by first message, for what was taken by a commit whose answer was lost: its slots are given out.

    Looked for while slots and sums are held: such a commit may have been under way until then.
    """
    rows = await transaction.batch(AS_TAKEN, [(each.id,) for item in items for each in item.messages])
    known = {str(row["id"]): to_message(row) for row in rows}
    return {
        item.messages[0].id: AcceptAnswer(Accepted.TAKEN, [known[each.id] for each in item.messages])
        for item in items
        if item.messages[0].id in known
    }


def _is_paced(item: Acceptance) -> bool:
    return bool(item.paces) and item.messages[0].status is Status.QUEUED


def _grant(item: Acceptance, sums: DaySums | None, slots: Slots | None) -> AcceptAnswer:
    """Judge one request by the limit of its profile, then by the queues; only what passes both takes from them."""
    if item.budget and sums and not sums.allows(item.budget, item.messages):
        return AcceptAnswer(Accepted.SPENT, (), limit_detail(item.budget, sums.total(spend_day(item.messages[0]))))
    answer = AcceptAnswer(Accepted.TAKEN, item.messages)
    if slots and _is_paced(item):
        answer = _slotted(item, slots)
    if item.budget and sums and answer.outcome is Accepted.TAKEN:
        sums.spend(item.messages)
    return answer


def _slotted(item: Acceptance, slots: Slots) -> AcceptAnswer:
    """A message that is for now falls due at its slot, and its validity begins then."""
    parts = sum(each.parts for each in item.messages)
    try:
        due = slots.take(item.paces, parts)
    except QueueFull as full:
        return AcceptAnswer(Accepted.QUEUE_FULL, (), str(full))
    return AcceptAnswer(Accepted.TAKEN, [each if due == slots.now else each.postponed(due) for each in item.messages])


async def _admit_known(
    transaction: Transaction, items: Sequence[Acceptance], answers: Sequence[Accepted]
) -> list[Accepted]:
    """Answer again what was taken by a commit whose answer was lost: it must not now be refused."""
    found = await transaction.batch(KNOWN, [(item.messages[0].id,) for item in items])
    known = {str(row["id"]) for row in found}
    pairs = zip(items, answers, strict=True)
    return [Accepted.TAKEN if item.messages[0].id in known else answer for item, answer in pairs]


def _cancel_answer(item: Cancellation, won: Mapping[str, Row], others: Mapping[tuple[str, str], Row]) -> CancelAnswer:
    row = others.get((item.message_id, item.organization_id))
    if row is None:
        row = won[item.message_id]
        return CancelAnswer(to_message(row), won=True, stale=False, now=row["now"])
    message = None if row["id"] is None else to_message(row)
    standing = Standing(row["changed"], row["epoch"])
    return CancelAnswer(message, won=False, stale=not standing.holds(item.epoch), now=row["now"])


def _to_row(message: Message) -> tuple[Any, ...]:
    """The columns of `_INSERTED`, in their order."""
    return (
        message.id,
        message.organization_id,
        message.profile_id,
        message.group_id,
        message.type,
        message.status,
        message.sender,
        message.recipient,
        message.text,
        message.parts,
        message.rate,
        message.carrier_fee,
        message.received_at,
        message.send_at,
        message.valid_until,
        message.due_at,
        message.carrier,
        _encode(message.facts).decode(),
        message.answers,
    )


_encode = msgspec.json.Encoder().encode
_facts = msgspec.json.Decoder(Facts).decode
_errors = msgspec.json.Decoder(tuple[DeliveryError, ...]).decode
_media = msgspec.json.Decoder(tuple[Media, ...]).decode
_progress = msgspec.json.Decoder(Progress).decode


def in_order(log: Sequence[Row]) -> Sequence[Row]:
    """The log of one message in the order in which it happened.

    Ids are made by the processes, whose copies of the database's clock may be milliseconds apart: a receipt that one
    takes right after another was told that the message was taken may have the earlier id, and so may all that is done
    after a machine's clock was put back. Statuses never go back (P5), and a claim comes before what became of it.
    """
    told: Counter[tuple[str, bool]] = Counter()
    places = []
    for row in sorted(log, key=lambda row: str(row["id"])):
        kind = (row["status"], row["change"] != Change.CLAIM)
        places.append(((RANK.get(row["status"], 0), told[kind], kind[1]), row))
        told[kind] += 1
    return [row for _, row in sorted(places, key=lambda place: place[0])]


def to_message(row: Row) -> Message:
    """A row of `MESSAGE_COLUMNS` as the domain knows it."""
    return Message(
        id=MessageId(str(row["id"])),
        organization_id=OrganizationId(str(row["organization_id"])),
        profile_id=ProfileId(str(row["profile_id"])),
        group_id=None if row["group_id"] is None else MessageId(str(row["group_id"])),
        type=MessageType(row["type"]),
        status=Status(row["status"]),
        sender=row["sender"],
        recipient=row["recipient"],
        text=row["text"],
        parts=row["parts"],
        rate=row["rate"],
        carrier_fee=row["carrier_fee"],
        received_at=row["received_at"],
        send_at=row["send_at"],
        valid_until=row["valid_until"],
        due_at=row["due_at"],
        left_at=row["left_at"],
        sent_at=row["sent_at"],
        completed_at=row["completed_at"],
        attempts=row["attempts"],
        carrier=row["carrier"],
        carrier_message_id=row["carrier_message_id"],
        errors=_errors(row["errors"]) if row["errors"] else (),
        facts=_facts(row["facts"]),
        progress=_progress(row["progress"]) if row["progress"] else None,
        fetched=_media(row["media"]) if row["media"] else None,
        answers=None if row["answers"] is None else MessageId(str(row["answers"])),
    )
