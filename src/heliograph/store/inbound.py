"""Messages that came in, and what follows from them in the same transaction: opt-outs, replies, events."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec
from sqlalchemy import null, select, true, update
from sqlalchemy.types import TypeEngine

from heliograph import randomness
from heliograph.domain.events import EventType
from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.inbound import InboundFacts, InboundMessage, Operation
from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import Change, result, sources
from heliograph.domain.message import Message, MessageType
from heliograph.domain.outcome import opted_out
from heliograph.store.batch import COUNT, ID, MICROS, TEXT, Batch, Sql
from heliograph.store.engine import Engine, Row, Transaction
from heliograph.store.epochs import EPOCH, Standing, changed
from heliograph.store.messages import MESSAGE_COLUMNS, OPTED_OUT, MessageVerbs, word, words
from heliograph.store.opt_outs import in_scope
from heliograph.store.outbox import LOG, Announcement, Logged, Outbox
from heliograph.store.tables import account_epoch, inbound_messages, messages, opt_outs, refused_inbound

RECEIVE, RECEIVED = "receive", "received"
"""Change and status in the log of an inbound message, which has no others."""


@dataclass(frozen=True, slots=True)
class Reception:
    """A message that came in, and what is to follow from it."""

    message: InboundMessage
    epoch: int
    """The epoch of the accounts that it was judged by."""
    keyword: str | None = None
    """As it was recognised, for the opt-out that it makes."""
    reply: Message | None = None
    cancel_pending: bool = True
    """Whether a STOP calls off what waits for its sender."""


class Received(Enum):
    """The answer to a `Reception`."""

    KEPT = "kept"
    KNOWN = "known"
    """It was kept before."""
    STALE = "stale"
    """An account changed since: look it up again."""


@dataclass(frozen=True, slots=True)
class RefusedInbound:
    """A message for a number that is nobody's."""

    id: str
    carrier: str
    sender: str
    recipient: str
    reason: str
    at: Instant


_KEPT: Mapping[str, TypeEngine[Any]] = {
    "id": ID,
    "organization_id": ID,
    "profile_id": ID,
    "type": TEXT,
    "sender": TEXT,
    "recipient": TEXT,
    "text": TEXT,
    "parts": COUNT,
    "received_at": MICROS,
    "carrier": TEXT,
    "carrier_reference": TEXT,
    "operation": TEXT,
    "facts": TEXT,
}
_REFUSED: Mapping[str, TypeEngine[Any]] = {
    "id": ID,
    "carrier": TEXT,
    "sender": TEXT,
    "recipient": TEXT,
    "reason": TEXT,
    "at": MICROS,
}
_HELD: Mapping[str, TypeEngine[Any]] = {
    "id": ID,
    "organization_id": ID,
    "profile_id": ID,
    "sender": TEXT,
    "recipient": TEXT,
    "keyword": TEXT,
    "created_at": MICROS,
}


def _insert(table: Any, names: Sequence[str]) -> Any:
    def build(sql: Sql) -> Any:
        rows = select(*[sql.rows.c[name] for name in names]).where(true())
        insert = sql.insert(table).from_select(list(names), rows, include_defaults=False)
        return insert.on_conflict_do_nothing().returning(table.c.id)

    return build


def _end(sql: Sql) -> Any:
    rows, held = sql.rows.c, opt_outs.c
    mine = (held.organization_id == rows.organization_id) & (held.recipient == rows.recipient)
    return (
        update(opt_outs)
        .where(mine, held.ended_at.is_(None), in_scope(rows.profile_id, held.profile_id))
        .values(ended_at=sql.now)
        .returning(held.id)
    )


def _call_off(sql: Sql) -> Any:
    """What another transaction has hold of is left to it.

    It is being claimed, so it went before the STOP; or cancelled. Should that come to nothing, its claim finds the
    opt-out.
    """
    rows, waiting = sql.rows.c, messages.c
    found = (
        select(waiting.id)
        .join_from(messages, sql.rows, waiting.recipient == rows.recipient)
        .where(
            waiting.organization_id == rows.organization_id,
            waiting.due_at.is_not(None),
            waiting.status.in_(words(sources(Change.OPT_OUT))),
            waiting.answers.is_(None),
            in_scope(waiting.profile_id, rows.profile_id),
        )
        .with_for_update(skip_locked=True, of=messages)
        .cte("found")
    )
    return (
        update(messages)
        .where(waiting.id.in_(sql.few(found)))
        .values(status=word(result(Change.OPT_OUT)), due_at=null())
        .returning(*MESSAGE_COLUMNS, sql.now.label("now"))
    )


def _explain(sql: Sql) -> Any:
    """Each called-off message names its own sender in its error, so this follows the statement that found them."""
    return update(messages).where(messages.c.id == sql.rows.c.id).values(errors=sql.rows.c.errors)


def _known(sql: Sql) -> Any:
    return select(inbound_messages.c.id).join(sql.rows, sql.rows.c.id == inbound_messages.c.id)


def _standing(sql: Sql) -> Any:
    owner = sql.rows.c.organization_id
    return select(owner, changed(owner).label("changed"), EPOCH.label("epoch"))


KEEP = Batch(_KEPT, _insert(inbound_messages, list(_KEPT)))
KNOWN = Batch({"id": ID}, _known)
REFUSE = Batch(_REFUSED, _insert(refused_inbound, list(_REFUSED)))
HOLD = Batch(_HELD, _insert(opt_outs, list(_HELD)))
END = Batch({"organization_id": ID, "profile_id": ID, "recipient": TEXT}, _end)
CALL_OFF = Batch({"organization_id": ID, "profile_id": ID, "recipient": TEXT}, _call_off)
EXPLAIN = Batch({"id": ID, "errors": TEXT}, _explain)
STANDING = Batch({"organization_id": ID}, _standing)


class InboundVerbs:
    """What is done with messages that come in."""

    def __init__(self, engine: Engine, verbs: MessageVerbs, outbox: Outbox) -> None:
        self._engine = engine
        self._verbs = verbs
        self._outbox = outbox

    async def receive(self, transaction: Transaction, items: Sequence[Reception]) -> Sequence[Received]:
        """Keep messages with all that follows from them; a verb of the group commit."""
        owners = sorted({item.message.organization_id for item in items})
        rows = await transaction.batch(STANDING, [(each,) for each in owners])
        standing = {str(row["organization_id"]): Standing(row["changed"], row["epoch"]) for row in rows}
        current = [item for item in items if standing[item.message.organization_id].holds(item.epoch)]
        stale = [item for item in items if not standing[item.message.organization_id].holds(item.epoch)]
        rows = await transaction.batch(KEEP, [_to_row(item.message) for item in current]) if current else ()
        new = {str(row["id"]) for row in rows}
        kept = [item for item in current if item.message.id in new]
        await self._tell(transaction, [item.message for item in kept])
        await self._follow(transaction, kept)
        known = await self._known(transaction, stale)
        known |= {item.message.id for item in current}
        return [
            Received.KEPT if item.message.id in new else Received.KNOWN if item.message.id in known else Received.STALE
            for item in items
        ]

    async def _known(self, transaction: Transaction, stale: Sequence[Reception]) -> set[str]:
        """Those that a commit kept whose answer was lost: they must not be judged and kept again."""
        rows = await transaction.batch(KNOWN, [(item.message.id,) for item in stale]) if stale else ()
        return {str(row["id"]) for row in rows}

    async def refuse(self, transaction: Transaction, items: Sequence[RefusedInbound]) -> Sequence[None]:
        """Keep that messages were refused; a verb of the group commit."""
        rows = [(item.id, item.carrier, item.sender, item.recipient, item.reason, item.at) for item in items]
        await transaction.batch(REFUSE, rows)
        return [None] * len(items)

    async def find(
        self, organization_id: OrganizationId, message_id: MessageId
    ) -> tuple[InboundMessage | None, Standing]:
        """An inbound message of an organisation, and how its accounts stand at that moment."""
        mine = (inbound_messages.c.id == message_id) & (inbound_messages.c.organization_id == organization_id)
        stands = (account_epoch.c.epoch, changed(organization_id).label("changed"))
        statement = select(*inbound_messages.c, *stands).select_from(account_epoch.outerjoin(inbound_messages, mine))
        row = (await self._engine.fetch(statement))[0]
        return (None if row["id"] is None else to_inbound(row)), Standing(row["changed"], row["epoch"])

    async def kept(self, carrier: str, reference: str) -> InboundMessage | None:
        """What a carrier handed over under an id of its own; None when that was not kept."""
        kept = inbound_messages.c
        statement = select(*kept).where(kept.carrier == carrier, kept.carrier_reference == reference)
        rows = await self._engine.fetch(statement)
        return to_inbound(rows[0]) if rows else None

    async def refused(self, limit: int) -> Sequence[RefusedInbound]:
        """The messages last refused, newest first."""
        statement = select(*refused_inbound.c).order_by(refused_inbound.c.id.desc()).limit(limit)
        return [RefusedInbound(**{**row, "id": str(row["id"])}) for row in await self._engine.fetch(statement)]

    async def _tell(self, transaction: Transaction, kept: Sequence[InboundMessage]) -> None:
        """Log the arrivals, and announce them to their profiles."""
        if not kept:
            return
        now = self._engine.clock.now()
        ids = [randomness.new_id(now) for _ in kept]
        logged = [
            (event_id, each.id, RECEIVE, RECEIVED, each.received_at, each.operation)
            for event_id, each in zip(ids, kept, strict=True)
        ]
        await transaction.batch(LOG, logged)
        told = [_announcement(event_id, each) for event_id, each in zip(ids, kept, strict=True)]
        await self._outbox.announce(transaction, told)

    async def _follow(self, transaction: Transaction, kept: Sequence[Reception]) -> None:
        """What their keywords ask for.

        Opt-outs first, by person: only there may one transaction wait for another, and it holds no message then.
        """
        replies = []
        for item in sorted(kept, key=_person):
            answered = await self._consent(transaction, item)
            if answered and item.reply is not None:
                replies.append(item.reply)
        stopped = [item for item in kept if item.message.operation is Operation.STOP and item.cancel_pending]
        await self._call_off(transaction, sorted({_whose(item) for item in stopped}))
        if replies:
            await self._verbs.insert(transaction, replies)
            transaction.then(self._verbs.released)

    async def _consent(self, transaction: Transaction, item: Reception) -> bool:
        """Begin or end an opt-out where that is asked for; whether to answer.

        Somebody who has opted out gets one confirmation, however often they say so.
        """
        message, scope = item.message, {"account_wide": self._verbs.account_wide}
        if message.operation is Operation.STOP:
            before = await transaction.batch(OPTED_OUT, [(message.id, *_whose(item))], **scope)
            # Another process may be about to commit the same, unseen by us: the database lets one of us put it down.
            made = await transaction.batch(HOLD, [_held_row(item)])
            return bool(made) and not before
        if message.operation is Operation.START:
            await transaction.batch(END, [_whose(item)], **scope)
        return True

    async def _call_off(self, transaction: Transaction, people: Sequence[tuple[Any, ...]]) -> None:
        if not people:
            return
        rows = await transaction.batch(CALL_OFF, people, account_wide=self._verbs.account_wide)
        if not rows:
            return
        errors = {str(row["id"]): opted_out(row["sender"], row["recipient"]) for row in rows}
        await transaction.batch(EXPLAIN, [(name, _encode([error]).decode()) for name, error in sorted(errors.items())])
        logged = [Logged(row, Change.OPT_OUT, row["now"], errors[str(row["id"])].detail) for row in rows]
        await self._outbox.log(transaction, logged)
        scheduled = (row for row in rows if row["send_at"] is not None)
        counts = Counter(OrganizationId(str(row["organization_id"])) for row in scheduled)
        self._verbs.count_pending(transaction, counts, -1)
        self._verbs.give_back(transaction, rows)


_encode = msgspec.json.Encoder().encode
_facts = msgspec.json.Decoder(InboundFacts).decode


def _to_row(message: InboundMessage) -> tuple[Any, ...]:
    """The columns of `_KEPT`, in their order."""
    own = [getattr(message, name) for name in _KEPT if name != "facts"]
    return (*own, _encode(message.facts).decode())


def to_inbound(row: Row) -> InboundMessage:
    """A row of `inbound_messages` as the domain knows it."""
    return InboundMessage(
        id=MessageId(str(row["id"])),
        organization_id=OrganizationId(str(row["organization_id"])),
        profile_id=ProfileId(str(row["profile_id"])),
        type=MessageType(row["type"]),
        sender=row["sender"],
        recipient=row["recipient"],
        text=row["text"],
        parts=row["parts"],
        received_at=Instant(row["received_at"]),
        carrier=row["carrier"],
        carrier_reference=row["carrier_reference"],
        operation=None if row["operation"] is None else Operation(row["operation"]),
        facts=_facts(row["facts"]),
    )


def _announcement(event_id: str, message: InboundMessage) -> Announcement:
    return Announcement(
        event_id,
        EventType.RECEIVED,
        message.organization_id,
        message.profile_id,
        message.id,
        message.received_at,
        own_url=None,
        use_profile=True,
    )


def _person(item: Reception) -> tuple[str, str]:
    return item.message.organization_id, item.message.sender


def _whose(item: Reception) -> tuple[str, str, str]:
    """Organisation, profile and person."""
    return item.message.organization_id, item.message.profile_id, item.message.sender


def _held_row(item: Reception) -> tuple[Any, ...]:
    message = item.message
    return (
        message.id,
        message.organization_id,
        message.profile_id,
        message.recipient,
        message.sender,
        item.keyword,
        message.received_at,
    )
