"""What became of messages that were claimed, recorded under their claim's token.

An outcome counts only under its token: whoever lost the lease cannot write over what the upkeep decided (P1, P3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import func, null, or_, select, true, update
from sqlalchemy.types import TypeEngine

from heliograph.domain.ids import MessageId, uuid7
from heliograph.domain.instant import MINUTE, Instant
from heliograph.domain.lifecycle import FINAL, Change, Status, result, sources
from heliograph.domain.message import DeliveryError, Media, Progress
from heliograph.domain.receipt import normal
from heliograph.store.batch import COUNT, FLAG, ID, MICROS, TEXT, Batch, Sql
from heliograph.store.engine import Row, Transaction
from heliograph.store.messages import AS_TAKEN, MessageVerbs, to_message, words
from heliograph.store.outbox import REPORTED_COLUMNS, Logged, Outbox
from heliograph.store.receipts import GivenId, ReceiptVerbs
from heliograph.store.tables import message_events, message_parts, messages

TOLD_COLUMNS = [messages.c.carrier, messages.c.recipient, messages.c.received_at, messages.c.send_at]
"""What `told` must know of a message."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one claimed message, or of one try."""

    message_id: MessageId
    token: str
    change: Change
    at: Instant
    left_at: Instant | None = None
    due_at: Instant | None = None
    """When it may be claimed again; None when it may not."""
    in_doubt: bool = False
    """This try may have reached the carrier."""
    deadline_at: Instant | None = None
    """Until when a receipt is awaited, or what settles a doubt."""
    carrier: str | None = None
    """Who is to be given it next; None leaves it with whom it is."""
    ids: tuple[str, ...] = ()
    """The carrier's id of each part of a message that it took."""
    progress: Progress | None = None
    """What it has of a message that it did not take as a whole, and may yet."""
    media: tuple[Media, ...] | None = None
    error: DeliveryError | None = None
    """Goes into `errors[]`."""
    detail: str | None = None
    """For the log, where there is no error and no id."""


def _record(sql: Sql) -> Any:
    rows = sql.rows.c
    return (
        update(messages)
        .where(
            messages.c.id == rows.id,
            messages.c.claim_token == rows.token,
            messages.c.status.in_(words(sources(Change.ACCEPT))),
        )
        .values(
            status=rows.status,
            claim_token=null(),
            due_at=rows.due_at,
            deadline_at=rows.deadline_at,
            left_at=func.coalesce(rows.left_at, messages.c.left_at),
            in_doubt=or_(messages.c.in_doubt, rows.in_doubt),
            sent_at=rows.sent_at,
            completed_at=rows.completed_at,
            carrier=func.coalesce(rows.carrier, messages.c.carrier),
            carrier_message_id=func.coalesce(rows.carrier_message_id, messages.c.carrier_message_id),
            receipt_key=rows.receipt_key,
            progress=rows.progress,
            media=func.coalesce(rows.media, messages.c.media),
            errors=func.coalesce(rows.errors, messages.c.errors),
        )
        .returning(*REPORTED_COLUMNS, *TOLD_COLUMNS)
    )


def _keep_parts(sql: Sql) -> Any:
    names = list(_PARTS)
    rows = select(*[sql.rows.c[name] for name in names]).where(true())
    insert = sql.insert(message_parts).from_select(names, rows, include_defaults=False)
    return insert.on_conflict_do_nothing(index_elements=["message_id", "number"])


def _logged(sql: Sql) -> Any:
    """Outcomes that stand in the log: a change of a message at that microsecond, with all that is said of it."""
    rows, log = sql.rows.c, message_events.c
    same = (log.message_id == rows.id) & (log.change == rows.change) & (log.at == rows.at)
    said = log.detail.is_not_distinct_from(rows.detail)
    return select(rows.id).select_from(sql.rows.join(message_events, same & said))


_PARTS: Mapping[str, TypeEngine[Any]] = {
    "message_id": ID,
    "number": COUNT,
    "total": COUNT,
    "carrier": TEXT,
    "carrier_message_id": TEXT,
    "receipt_key": TEXT,
}
RECORD = Batch(
    {
        "id": ID,
        "token": ID,
        "status": TEXT,
        "due_at": MICROS,
        "deadline_at": MICROS,
        "left_at": MICROS,
        "in_doubt": FLAG,
        "sent_at": MICROS,
        "completed_at": MICROS,
        "carrier": TEXT,
        "carrier_message_id": TEXT,
        "receipt_key": TEXT,
        "progress": TEXT,
        "media": TEXT,
        "errors": TEXT,
    },
    _record,
)
KEEP_PARTS = Batch(_PARTS, _keep_parts)
LOGGED = Batch({"id": ID, "change": TEXT, "at": MICROS, "detail": TEXT}, _logged)


class OutcomeVerbs:
    """Verbs of the group commit."""

    def __init__(self, verbs: MessageVerbs, outbox: Outbox, receipts: ReceiptVerbs) -> None:
        self._verbs = verbs
        self._outbox = outbox
        self._receipts = receipts

    async def record(self, transaction: Transaction, items: Sequence[Outcome]) -> Sequence[bool]:
        """Record outcomes; False for one whose claim is no longer its token's, unless it stands already.

        A lost claim's outcome and the current one of the same message may come together: they go one after the other.
        """
        answers = [False] * len(items)
        remaining = list(enumerate(items))
        while remaining:
            first = {item.message_id: index for index, item in reversed(remaining)}
            recorded = await self._record(transaction, [items[index] for index in first.values()])
            for message_id, index in first.items():
                answers[index] = message_id in recorded
            remaining = [(index, item) for index, item in remaining if first[item.message_id] != index]
        return answers

    async def _record(self, transaction: Transaction, items: Sequence[Outcome]) -> set[str]:
        """Record outcomes of different messages; the messages of those that were recorded."""
        logged = await self.put_down(transaction, items)
        await self._outbox.log(transaction, logged)
        known = {str(each.message["id"]): each.message for each in logged}
        await self._give_back(
            transaction, [(item.message_id,) for item in items if _held_back(item) and item.message_id in known]
        )
        taken = (item for item in items if item.ids and item.message_id in known)
        await self.told(transaction, {item.message_id: (known[item.message_id], item.ids) for item in taken})
        others = [item for item in items if item.message_id not in known]
        return {*known, *(await self._recorded_before(transaction, others) if others else ())}

    async def _recorded_before(self, transaction: Transaction, items: Sequence[Outcome]) -> set[str]:
        """Those that a commit recorded whose answer was lost: it took their token away, and the log tells of them."""
        asked = sorted((item.message_id, item.change, item.at, _detail(item)) for item in items)
        return {str(row["id"]) for row in await transaction.batch(LOGGED, asked)}

    async def _give_back(self, transaction: Transaction, names: Sequence[tuple[MessageId]]) -> None:
        """Give back what was refused and never left, unless an earlier try of it did: that one is charged."""
        rows = await transaction.batch(AS_TAKEN, names) if names else ()
        self._verbs.give_back(transaction, [row for row in rows if not to_message(row).charged])

    async def put_down(self, transaction: Transaction, items: Sequence[Outcome]) -> list[Logged]:
        """Write outcomes into their messages; those that were their token's to write, for the log."""
        if not items:
            return []
        rows = await transaction.batch(RECORD, [_outcome_row(item) for item in sorted(items, key=_by_id)])
        recorded = {str(row["id"]): row for row in rows}
        return [
            Logged(recorded[item.message_id], item.change, item.at, _detail(item))
            for item in items
            if item.message_id in recorded
        ]

    async def told(self, transaction: Transaction, known: Mapping[MessageId, tuple[Row, Sequence[str]]]) -> None:
        """Take the ids of messages that their carrier has as a whole; each row has `TOLD_COLUMNS`.

        The ids of parts are kept, and receipts that overtook the answers that told them are applied.
        """
        given = [
            GivenId(name, row["carrier"], number, len(ids), each, row["recipient"], _earliest_receipt(row))
            for name, (row, ids) in known.items()
            for number, each in enumerate(ids, 1)
        ]
        parts = [each for each in given if each.total > 1]
        if parts:
            await transaction.batch(KEEP_PARTS, sorted(_part_row(each) for each in parts))
        await self._receipts.match_given(transaction, given)


def _earliest_receipt(row: Row) -> str:
    """An id that no receipt of a message was given one before; on whichever node, so that their clocks may differ."""
    wanted = row["received_at"] if row["send_at"] is None else row["send_at"]
    return uuid7(Instant(wanted - MINUTE), 0)


def _part_row(each: GivenId) -> tuple[Any, ...]:
    return (each.message_id, each.number, each.total, each.carrier, each.carrier_id, normal(each.carrier_id))


def ids_of(row: Row) -> Sequence[str | None]:
    """What is known of the parts of a message in doubt: one place for each, None where nothing is."""
    if not row["progress"]:
        return ()
    progress = msgspec.json.decode(row["progress"], type=Progress)
    return (*progress.ids, *[None] * (progress.total - len(progress.ids)))


def progress_text(carrier: str, ids: tuple[str | None, ...]) -> str:
    """The column `progress` for a message whose carrier answered for some of its parts."""
    return _encode(Progress(carrier, ids, len(ids))).decode()


_encode = msgspec.json.Encoder().encode


def receipt_key(ids: Sequence[str]) -> str | None:
    """Where the receipt of a message of one part is looked up; the parts of others have rows of their own."""
    return normal(ids[0]) if len(ids) == 1 else None


def _held_back(item: Outcome) -> bool:
    return item.change is Change.REFUSE and item.left_at is None


def _by_id(item: Outcome) -> str:
    return item.message_id


def _detail(item: Outcome) -> str | None:
    return item.error.detail if item.error else item.detail or ", ".join(item.ids) or None


def errors_text(error: DeliveryError) -> str:
    """`errors[]` with one entry."""
    return _encode([error]).decode()


def _outcome_row(item: Outcome) -> tuple[Any, ...]:
    status = result(item.change)
    return (
        item.message_id,
        item.token,
        status,
        item.due_at,
        item.deadline_at,
        item.left_at,
        item.in_doubt,
        item.at if status is Status.SENT else None,
        item.at if status in FINAL else None,
        item.carrier,
        item.ids[0] if item.ids else None,
        receipt_key(item.ids) if item.ids else None,
        _encode(item.progress).decode() if item.progress else None,
        _encode(item.media).decode() if item.media is not None else None,
        errors_text(item.error) if item.error else None,
    )
