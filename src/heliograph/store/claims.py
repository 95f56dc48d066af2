"""What is due, taken for one carrier: the messages of its lane, in the order they fell due.

    scheduled, its time come --release, where senders have rates--> queued, due at its slot --claim--> sending

A claim takes what is due and marks it `sending` under a token and a lease, in one statement. A lane is `carrier` and
`due_at` of the messages that are planned for it, so the backlog of a carrier that rests is not even looked at by the
others. A carrier's throughput, and the rates of senders, are next free slots that are moved in the transaction that
gives them out. A release has a transaction of its own: one that held the slots of senders twice, for a release and then
for what is accepted beside it, could wait in a circle with another.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from sqlalchemy import null, select, update

from heliograph.domain.accounts import Campaign
from heliograph.domain.address import BadAddress, parse_destination, parse_sender
from heliograph.domain.errors import Code
from heliograph.domain.ids import MessageId
from heliograph.domain.instant import MILLISECOND, Instant
from heliograph.domain.lifecycle import Change, Status, result, sources
from heliograph.domain.message import DeliveryError, Message
from heliograph.domain.outcome import delivery_error, opted_out, unknown_before
from heliograph.domain.pacing import Pace, Slots, carrier_key, room_until
from heliograph.domain.registry import needs_campaign, not_registered_detail
from heliograph.store.batch import ID, MICROS, TEXT, Batch, Sql, scalar
from heliograph.store.engine import Engine, Row, Transaction
from heliograph.store.messages import MESSAGE_COLUMNS, OPTED_OUT, MessageVerbs, to_message, word, words
from heliograph.store.outbox import REPORTED_COLUMNS, Logged, Outbox
from heliograph.store.outcomes import Outcome, OutcomeVerbs
from heliograph.store.pace import hold_slots, put_slots
from heliograph.store.tables import messages, senders

WITHHELD_ROUNDS = 20
"""How often one claim asks again when everybody it was given a message for has opted out."""
HORIZON = 250 * MILLISECOND
"""As much as a carrier's throughput lets through in this time may leave at once."""

PacesOf = Callable[[Message], Sequence[Pace]]


@dataclass(slots=True)
class Claim:
    """A dispatcher's wish for work."""

    token: str
    """New for every claim."""
    carrier: str
    limit: int
    lease: int
    """How long the messages are this dispatcher's, in microseconds."""
    interval: int = 0
    """Microseconds that the carrier wants between two parts; 0 is without bound."""
    paces: PacesOf | None = None
    """The rates that scheduled messages are released under before they are claimed; None where there are none."""
    asked: bool = False
    """Set when the database was asked: a commit whose answer was lost may have given us messages already."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim was given."""

    messages: Sequence[Message]
    at: Instant
    """When, by the database's clock: not before anything in it was due."""
    again_at: Instant | None = None
    """When the carrier may be given more, where its throughput bounded this claim."""
    in_doubt: Collection[str] = ()
    """Which of the messages its carrier may have by an earlier try."""


def _due(sql: Sql, statuses: Sequence[Status]) -> Any:
    return (
        select(messages.c.id)
        .where(
            messages.c.carrier == scalar("carrier", TEXT),
            messages.c.due_at <= sql.now,
            messages.c.valid_until > sql.now,
            messages.c.status.in_(words(statuses)),
        )
        .order_by(messages.c.due_at)
        .limit(scalar("limit"))
        .with_for_update(skip_locked=True)
    )


def _claim(sql: Sql, statuses: Sequence[Status]) -> Any:
    due = _due(sql, statuses).cte("due")
    return (
        update(messages)
        .where(messages.c.id.in_(sql.few(due)))
        .values(
            status=word(result(Change.CLAIM)),
            claim_token=scalar("token", ID),
            deadline_at=sql.now + scalar("lease"),
            due_at=null(),
            attempts=messages.c.attempts + 1,
        )
        .returning(*MESSAGE_COLUMNS, messages.c.in_doubt, sql.now.label("now"))
    )


def _released(sql: Sql) -> Any:
    """Where senders have rates: what has its slot. A scheduled message gets it first, whenever it falls due."""
    return _claim(sql, [each for each in sources(Change.CLAIM) if each is not Status.SCHEDULED])


def _held(sql: Sql) -> Any:
    held = (messages.c.deadline_at > sql.now) & (messages.c.claim_token == scalar("token", ID))
    return select(*MESSAGE_COLUMNS, messages.c.in_doubt, sql.now.label("now")).where(held)


def _ripe(sql: Sql) -> Any:
    """Scheduled messages whose time has come: locked, so that their slots are given out once."""
    due = _due(sql, [Status.SCHEDULED])
    return due.with_only_columns(*MESSAGE_COLUMNS, sql.now.label("now"))


def _release(sql: Sql) -> Any:
    rows = sql.rows.c
    return (
        update(messages)
        .where(messages.c.id == rows.id, messages.c.status.in_(words(sources(Change.RELEASE))))
        .values(status=word(result(Change.RELEASE)), due_at=rows.due_at, valid_until=rows.valid_until)
        .returning(*REPORTED_COLUMNS, sql.now.label("now"))
    )


def _campaign_of(sql: Sql) -> Any:
    rows = sql.rows.c
    mine = (senders.c.organization_id == rows.organization_id) & (senders.c.scope == "")
    return select(rows.id, senders.c.campaign).join(senders, mine & (senders.c.address == rows.sender))


CAMPAIGN_OF = Batch({"id": ID, "organization_id": ID, "sender": TEXT}, _campaign_of)
CLAIM = Batch({}, lambda sql: _claim(sql, sources(Change.CLAIM)))
CLAIM_RELEASED = Batch({}, _released)
HELD = Batch({}, _held)
RIPE = Batch({}, _ripe)
RELEASE = Batch({"id": ID, "due_at": MICROS, "valid_until": MICROS}, _release)


class ClaimVerbs:
    """A verb of the group commit, and the release before it."""

    def __init__(self, engine: Engine, verbs: MessageVerbs, outbox: Outbox, outcomes: OutcomeVerbs) -> None:
        self._engine = engine
        self._verbs = verbs
        self._outbox = outbox
        self._outcomes = outcomes
        self.campaign_required = False
        """Whether a US long code needs a campaign when its message is about to leave."""

    async def claim(self, transaction: Transaction, items: Sequence[Claim]) -> Sequence[Claimed]:
        """What is due, in the order it fell due, at most `limit` messages for each claim."""
        claimed: dict[int, Claimed] = {}
        # In the order of carriers, whose slots are held until the commit: no two transactions wait in a circle.
        for index in sorted(range(len(items)), key=lambda index: items[index].carrier):
            claimed[index] = await self._claim(transaction, items[index])
        return [claimed[index] for index in range(len(items))]

    async def _claim(self, transaction: Transaction, item: Claim) -> Claimed:
        if item.asked and (held := await transaction.batch(HELD, (), token=item.token)):
            return _claimed(held)
        item.asked = True
        if item.interval:
            return await self._within_throughput(transaction, item)
        return _claimed(await self._wanted(transaction, item, item.limit))

    async def _within_throughput(self, transaction: Transaction, item: Claim) -> Claimed:
        """At most as many messages as the carrier has slots for until the horizon; each takes one for every part."""
        pace = Pace(carrier_key(item.carrier), item.interval, 0)
        slots = await hold_slots(transaction, [pace])
        room = room_until(slots.next_at[pace.key], slots.now, item.interval, HORIZON)
        rows = await self._wanted(transaction, item, min(item.limit, room)) if room else ()
        if rows:
            slots.take([pace], sum(row["parts"] for row in rows))
            await put_slots(transaction, slots.next_at)
        claimed = _claimed(rows)
        again_at = Instant(max(slots.now, slots.next_at[pace.key] - HORIZON))
        return replace(claimed, again_at=again_at if len(rows) >= room else None)

    async def _wanted(self, transaction: Transaction, item: Claim, limit: int) -> Sequence[Row]:
        for _ in range(WITHHELD_ROUNDS):
            rows, wanted = await self._take(transaction, item, limit)
            # An empty claim says that nothing is due, and what stands behind messages that are withheld may be.
            if wanted or not rows:
                return wanted
        return ()

    async def _take(self, transaction: Transaction, item: Claim, limit: int) -> tuple[Sequence[Row], Sequence[Row]]:
        """What was due, and what of it may be sent: what may not be any more is let go of."""
        given = {"token": item.token, "carrier": item.carrier, "limit": limit, "lease": item.lease}
        rows = await transaction.batch(CLAIM if item.paces is None else CLAIM_RELEASED, (), **given)
        if not rows:
            return rows, rows
        reasons = await self._reasons(transaction, rows)
        withheld = [_withheld(row, item.token, reasons[str(row["id"])]) for row in rows if str(row["id"]) in reasons]
        # One call for both entries of what is withheld: only ids that are made together are sure to be in order.
        changes = [Logged(row, Change.CLAIM, row["now"], item.carrier) for row in rows]
        await self._outbox.log(transaction, changes + await self._outcomes.put_down(transaction, withheld))
        scheduled = (each for each in map(to_message, rows) if each.send_at is not None and each.attempts == 1)
        self._verbs.count_pending(transaction, Counter(each.organization_id for each in scheduled), -1)
        free = {each.message_id for each in withheld if each.change is Change.REFUSE}
        self._verbs.give_back(transaction, [row for row in rows if str(row["id"]) in free])
        return rows, [row for row in rows if str(row["id"]) not in reasons]

    async def release(self, carrier: str, limit: int, paces_of: PacesOf) -> int:
        """Give scheduled messages whose time has come their slots, and queue each until then; how many.

        They still count as scheduled until they are claimed, expire, or their recipient opts out.
        """
        async with self._engine.transaction() as transaction:
            found = await transaction.batch(RIPE, (), carrier=carrier, limit=limit)
            if not found:
                return 0
            # What could not be refused any more when it was scheduled waits, however long the queue is.
            paces = {each.id: [_unlimited(pace) for pace in paces_of(each)] for each in map(to_message, found)}
            slots = await _slots(transaction, found, paces)
            released = [_slotted(each, slots, paces[each.id]) for each in sorted(map(to_message, found), key=_wanted)]
            await put_slots(transaction, slots.next_at)
            given = sorted((each.id, each.due_at, each.valid_until) for each in released)
            rows = await transaction.batch(RELEASE, given)
            await self._outbox.log(transaction, [Logged(row, Change.RELEASE, row["now"], None) for row in rows])
        return len(rows)

    async def _reasons(self, transaction: Transaction, rows: Sequence[Row]) -> Mapping[str, DeliveryError]:
        """Why some messages are not given to the carrier, by id."""
        unwanted = await self._unwanted(transaction, rows)
        unregistered = await self._unregistered(transaction, rows) if self.campaign_required else frozenset()
        reasons = {}
        for row in rows:
            which = str(row["id"])
            if which in unwanted:
                reasons[which] = opted_out(row["sender"], row["recipient"])
            elif which in unregistered:
                reasons[which] = delivery_error(Code.NOT_REGISTERED, not_registered_detail(row["sender"]))
        return reasons

    async def _unregistered(self, transaction: Transaction, rows: Sequence[Row]) -> frozenset[str]:
        """Those whose number has lost its campaign since they were taken, and needs one.

        A number that is nobody's any more is none of them: what was taken from it is still sent.
        """
        asked = [
            (str(row["id"]), str(row["organization_id"]), row["sender"]) for row in rows if _asks_for_campaign(row)
        ]
        found = await transaction.batch(CAMPAIGN_OF, asked) if asked else ()
        return frozenset(str(row["id"]) for row in found if not _registered(row["campaign"]))

    async def _unwanted(self, transaction: Transaction, rows: Sequence[Row]) -> set[str]:
        """Those whose recipient has opted out since they were taken; the confirmation of an opt-out is none of them.

        A statement of its own: on PostgreSQL it sees an opt-out that was committed while the claim was running, and
        SQLite knows the columns of RETURNING by their bare names, so that a condition there compares the columns of
        `opt_outs` with themselves.
        """
        asked = [
            (str(row["id"]), str(row["organization_id"]), str(row["profile_id"]), row["recipient"])
            for row in rows
            if row["answers"] is None
        ]
        found = await transaction.batch(OPTED_OUT, asked, account_wide=self._verbs.account_wide) if asked else ()
        return {str(row["id"]) for row in found}


def _unlimited(pace: Pace) -> Pace:
    return replace(pace, queue=0)


async def _slots(transaction: Transaction, found: Sequence[Row], paces: Mapping[MessageId, Sequence[Pace]]) -> Slots:
    wanted = [pace for each in paces.values() for pace in each]
    return await hold_slots(transaction, wanted) if wanted else Slots({}, Instant(found[0]["now"]))


def _slotted(message: Message, slots: Slots, paces: Sequence[Pace]) -> Message:
    """The message with its slot; one whose slot has come stays due at its time."""
    due = slots.take(paces, message.parts)
    return message if due == slots.now else message.postponed(due)


def _wanted(message: Message) -> tuple[Instant, str]:
    return message.received_at if message.send_at is None else message.send_at, message.id


def _claimed(rows: Sequence[Row]) -> Claimed:
    found = sorted(map(to_message, rows), key=_wanted)
    in_doubt = frozenset(str(row["id"]) for row in rows if row["in_doubt"])
    return Claimed(found, rows[0]["now"] if rows else Instant(0), in_doubt=in_doubt)


def _asks_for_campaign(row: Row) -> bool:
    """An address that newer tables of numbers refuse was in order when its message was taken: it holds up no lane."""
    try:
        return needs_campaign(parse_sender(row["sender"]), parse_destination(row["recipient"]))
    except BadAddress:
        return False


def _registered(campaign: str | None) -> bool:
    """Whether a number's campaign, as it is kept with it, is a registered one."""
    return campaign is not None and msgspec.json.decode(campaign, type=Campaign).registered is not None


def _withheld(row: Row, token: str, error: DeliveryError) -> Outcome:
    """A message that may not be sent is not given to a carrier; an earlier try of it may have been taken."""
    change = Change.REFUSE
    if row["in_doubt"] or row["progress"]:
        change, error = Change.LOSE, unknown_before(error)
    return Outcome(MessageId(str(row["id"])), token, change, row["now"], error=error)
