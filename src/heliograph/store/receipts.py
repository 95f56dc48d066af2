"""Receipts of carriers: each is kept, matched to its message when that is known, and changes it once.

    receipt --its id, in any of its forms--> a message, or a part of one
            --else its two numbers---------> the one message in doubt between them (promise P3)

An id is believed as it stands. The same id guessed in another form, hexadecimal for decimal, is believed only of the
recipient that the receipt names. What no message is known for is kept and shown.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import literal_column, null, select, true, union_all, update
from sqlalchemy.types import TypeEngine

from heliograph.domain.ids import MessageId
from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import Change, Status, result, sources
from heliograph.domain.message import DeliveryError
from heliograph.domain.receipt import PartOutcome, Receipt, fold, forms, normal
from heliograph.store.batch import COUNT, ID, MICROS, TEXT, Batch, Sql, scalar
from heliograph.store.engine import Row, Transaction
from heliograph.store.messages import words
from heliograph.store.outbox import REPORTED_COLUMNS, Logged, Outbox
from heliograph.store.tables import message_parts, messages, receipts


class GivenId(NamedTuple):
    """The id that a carrier gave a message, or one part of it."""

    message_id: MessageId
    carrier: str
    number: int
    total: int
    carrier_id: str
    recipient: str
    since: str
    """An id: receipts made before it are for an earlier message, as carriers use their ids again."""


class _Found(NamedTuple):
    """A receipt, and what it may be about."""

    receipt: Mapping[str, Any]
    message_id: str
    number: int
    """0 for a message of one part."""
    exact: bool
    same_recipient: bool
    awaited: bool

    @property
    def believable(self) -> bool:
        return self.exact or self.same_recipient

    @property
    def merit(self) -> tuple[bool, bool, bool, str]:
        """Carriers use ids again after a while, so the newest message of several is the likely one."""
        return self.exact, self.same_recipient, self.awaited, self.message_id


_KEPT: Mapping[str, TypeEngine[Any]] = {
    "id": ID,
    "carrier": TEXT,
    "carrier_message_id": TEXT,
    "change": TEXT,
    "error": TEXT,
    "at": MICROS,
    "receipt_key": TEXT,
    "recipient": TEXT,
    "sender": TEXT,
    "text": TEXT,
}
_COLUMNS = [receipts.c[name] for name in ("id", "change", "error", "at", "recipient")]


def _keep(sql: Sql) -> Any:
    rows = select(*[sql.rows.c[name] for name in _KEPT]).where(true())
    return sql.insert(receipts).from_select(list(_KEPT), rows).on_conflict_do_nothing(index_elements=["id"])


def _owners(keys: Any) -> Any:
    """Messages and parts by (`receipt_key`, `carrier`) of `keys`; `name` and `exact` of a row of it are passed on."""
    asked = (keys.c.name, keys.c.exact)
    of_one = select(
        *asked, messages.c.id.label("message_id"), literal_column("0").label("number"), messages.c.recipient,
        messages.c.status,
    ).select_from(
        keys.join(messages, (messages.c.receipt_key == keys.c.receipt_key) & (messages.c.carrier == keys.c.carrier))
    )  # fmt: skip
    parts = message_parts.c
    of_several = select(
        *asked, parts.message_id, parts.number, messages.c.recipient, messages.c.status
    ).select_from(
        keys.join(
            message_parts, (parts.receipt_key == keys.c.receipt_key) & (parts.carrier == keys.c.carrier)
        ).join(messages, messages.c.id == parts.message_id)
    )  # fmt: skip
    return union_all(of_one, of_several)


def _waiting(sql: Sql) -> Any:
    """Receipts that know no message yet and wait under one of these ids."""
    rows = sql.rows.c
    same = (receipts.c.receipt_key == rows.receipt_key) & (receipts.c.carrier == rows.carrier)
    joined = receipts.join(sql.rows, same)
    asked = (rows.message_id, rows.number, rows.exact, rows.recipient.label("went_to"))
    waits = receipts.c.message_id.is_(None) & (receipts.c.id > rows.since)
    return select(*_COLUMNS, *asked).select_from(joined).where(waits)


def _unmatched(_sql: Sql) -> Any:
    columns = [receipts.c[name] for name in _KEPT]
    recent = (receipts.c.id > scalar("since", ID)) & receipts.c.message_id.is_(None)
    # The newest: among many that are nobody's, one that crossed is found at the next look, not an hour later.
    return select(*columns).where(recent).order_by(receipts.c.id.desc()).limit(scalar("limit"))


def _bind(sql: Sql) -> Any:
    rows = sql.rows.c
    free = (receipts.c.id == rows.id) & receipts.c.message_id.is_(None)
    return update(receipts).where(free).values(message_id=rows.message_id).returning(receipts.c.id)


def _apply(sql: Sql) -> Any:
    return (
        update(messages)
        .where(messages.c.id == sql.rows.c.message_id, messages.c.status.in_(words(sources(Change.DELIVER))))
        .values(status=sql.rows.c.status, completed_at=sql.rows.c.at, deadline_at=null(), errors=sql.rows.c.errors)
        .returning(*REPORTED_COLUMNS)
    )


def _mark(sql: Sql) -> Any:
    rows, parts = sql.rows.c, message_parts.c
    untold = (parts.message_id == rows.message_id) & (parts.number == rows.number) & parts.change.is_(None)
    return update(message_parts).where(untold).values(change=rows.change, error=rows.error, at=rows.at)


def _lock(sql: Sql) -> Any:
    """Messages of which parts are told: two transactions, each with one part, must not both miss the other's."""
    mine = messages.c.id.in_(select(sql.rows.c.message_id))
    return select(messages.c.id).where(mine).order_by(messages.c.id).with_for_update()


def _parts_of(sql: Sql) -> Any:
    parts = message_parts.c
    columns = (parts.message_id, parts.number, parts.total, parts.change, parts.error, parts.at)
    return select(*columns).where(parts.message_id.in_(select(sql.rows.c.message_id)))


KEEP = Batch(_KEPT, _keep)
OWNERS = Batch({"name": ID, "receipt_key": TEXT, "carrier": TEXT, "exact": COUNT}, lambda sql: _owners(sql.rows))
WAITING = Batch(
    {
        "message_id": ID,
        "number": COUNT,
        "receipt_key": TEXT,
        "carrier": TEXT,
        "exact": COUNT,
        "recipient": TEXT,
        "since": ID,
    },
    _waiting,
)
UNMATCHED = Batch({}, _unmatched)
BIND = Batch({"id": ID, "message_id": ID}, _bind)
APPLY = Batch({"message_id": ID, "status": TEXT, "at": MICROS, "errors": TEXT}, _apply)
MARK = Batch({"message_id": ID, "number": COUNT, "change": TEXT, "error": TEXT, "at": MICROS}, _mark)
PARTS_OF = Batch({"message_id": ID}, _parts_of)
LOCK = Batch({"message_id": ID}, _lock)

Search = Callable[[Sequence[Row]], Awaitable[set[str]]]
"""Looks once more for the messages of receipts, and applies them; the receipts that have one."""
Hook = Callable[[Transaction, Sequence[Row], Search], Awaitable[int]]


class ReceiptVerbs:
    """Verbs of the group commit."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self.ownerless: Hook = _nothing
        """Given the receipts that no message is known for: they may settle a doubt; how many did."""

    async def keep(self, transaction: Transaction, items: Sequence[Receipt]) -> Sequence[None]:
        """Keep receipts, and apply those whose message is known.

        One that comes before the carrier's answer waits for `match_given`; so does one for an id nobody knows.
        """
        await transaction.batch(KEEP, [_row(item) for item in items])
        asked = [_as_row(item) for item in {item.id: item for item in items}.values()]
        others = {item.id: item.other_ids for item in items if item.other_ids}
        await self._match(transaction, asked, others)
        return [None] * len(items)

    async def match(self, transaction: Transaction, items: Sequence[tuple[str, int]]) -> Sequence[int]:
        """Apply receipts made since an id that crossed with their message's id or settle a doubt: at most so many.

        How many did.
        """
        counts = []
        for since, limit in items:
            rows = await transaction.batch(UNMATCHED, (), since=since, limit=limit)
            counts.append(await self._match(transaction, rows, {}) if rows else 0)
        return counts

    async def match_given(self, transaction: Transaction, given: Iterable[GivenId]) -> None:
        """Apply what receipts wait for these ids."""
        rows = [
            (
                each.message_id,
                each.number if each.total > 1 else 0,
                key,
                each.carrier,
                int(first),
                each.recipient,
                each.since,
            )
            for each in given
            for first, key in _keys(each.carrier_id)
        ]
        if not rows:
            return
        found = [
            _Found(
                row,
                str(row["message_id"]),
                row["number"],
                exact=bool(row["exact"]),
                same_recipient=row["recipient"] == row["went_to"],
                awaited=True,
            )
            for row in await transaction.batch(WAITING, rows)
        ]
        await self._settle(transaction, found)

    async def _match(self, transaction: Transaction, rows: Sequence[Row], others: Mapping[str, Sequence[str]]) -> int:
        async def search(rows: Sequence[Row]) -> set[str]:
            return await self._search(transaction, rows, others)

        matched = await search(rows)
        ownerless = [row for row in rows if str(row["id"]) not in matched]
        settled = await self.ownerless(transaction, ownerless, search) if ownerless else 0
        return len(matched) + settled

    async def _search(
        self, transaction: Transaction, rows: Sequence[Row], others: Mapping[str, Sequence[str]]
    ) -> set[str]:
        """Apply receipts whose message is known by an id; which they are."""
        asked = {
            (str(row["id"]), key, row["carrier"], int(first))
            for row in rows
            for each in (row["carrier_message_id"], *others.get(str(row["id"]), ()))
            for first, key in _keys(each)
        }
        by_id = {str(row["id"]): row for row in rows}
        owners = await transaction.batch(OWNERS, sorted(asked)) if asked else ()
        found = [_found(by_id[str(owner["name"])], owner) for owner in owners]
        return await self._settle(transaction, found)

    async def _settle(self, transaction: Transaction, found: Sequence[_Found]) -> set[str]:
        """Apply each receipt to the likeliest of what it may be about; those that have found a message."""
        best: dict[str, _Found] = {}
        for each in sorted((each for each in found if each.believable), key=_merit):
            best[str(each.receipt["id"])] = each
        if not best:
            return set()
        bound = await transaction.batch(BIND, sorted((name, each.message_id) for name, each in best.items()))
        new = sorted(str(row["id"]) for row in bound)
        await self._apply_whole(transaction, [best[name] for name in new if not best[name].number])
        await self._apply_parts(transaction, [best[name] for name in new if best[name].number])
        return set(best)

    async def _apply_whole(self, transaction: Transaction, found: Sequence[_Found]) -> None:
        """Of several receipts for one message the first decides; the others are kept beside it."""
        first = {each.message_id: each.receipt for each in reversed(found)}
        await self._apply(transaction, {name: _outcome(receipt) for name, receipt in first.items()})

    async def _apply_parts(self, transaction: Transaction, found: Sequence[_Found]) -> None:
        if not found:
            return
        told = {(each.message_id, each.number): each.receipt for each in reversed(found)}
        marks = [(*part, row["change"], row["error"], row["at"]) for part, row in sorted(told.items())]
        wanted = [(name,) for name in sorted({each.message_id for each in found})]
        await transaction.batch(LOCK, wanted)
        await transaction.batch(MARK, marks)
        parts: dict[str, list[PartOutcome | None]] = {}
        for row in await transaction.batch(PARTS_OF, wanted):
            places = parts.setdefault(str(row["message_id"]), [None] * row["total"])
            places[row["number"] - 1] = _outcome(row) if row["change"] else None
        folded = {name: outcome for name, places in parts.items() if (outcome := fold(places))}
        await self._apply(transaction, folded)

    async def _apply(self, transaction: Transaction, outcomes: Mapping[str, PartOutcome]) -> None:
        if not outcomes:
            return
        rows = [(name, result(each.change), each.at, _errors(each.error)) for name, each in sorted(outcomes.items())]
        applied = [(row, outcomes[str(row["id"])]) for row in await transaction.batch(APPLY, rows)]
        changes = [
            Logged(row, each.change, each.at, each.error.detail if each.error else None) for row, each in applied
        ]
        await self._outbox.log(transaction, changes)


async def _nothing(_transaction: Transaction, _rows: Sequence[Row], _search: Search) -> int:
    return 0


def _merit(each: _Found) -> tuple[bool, bool, bool, str]:
    return each.merit


def _keys(carrier_id: str) -> Iterable[tuple[bool, str]]:
    """Where an id may be found: as it stands, then guesses."""
    return ((not index, form) for index, form in enumerate(forms(carrier_id)))


def _found(receipt: Row, owner: Row) -> _Found:
    return _Found(
        receipt,
        str(owner["message_id"]),
        owner["number"],
        exact=bool(owner["exact"]),
        same_recipient=receipt["recipient"] == owner["recipient"],
        awaited=owner["status"] == Status.SENT.value,
    )


def _outcome(row: Row) -> PartOutcome:
    error = msgspec.json.decode(row["error"], type=DeliveryError) if row["error"] else None
    return PartOutcome(Change(row["change"]), Instant(row["at"]), error)


def _errors(error: DeliveryError | None) -> str | None:
    return msgspec.json.encode([error]).decode() if error else None


def _as_row(item: Receipt) -> Row:
    return dict(zip(_KEPT, _row(item), strict=True))


def _row(item: Receipt) -> tuple[Any, ...]:
    """The columns of `_KEPT`, in their order."""
    error = msgspec.json.encode(item.error).decode() if item.error else None
    return (
        item.id,
        item.carrier,
        item.carrier_message_id,
        item.change,
        error,
        item.at,
        normal(item.carrier_message_id),
        item.recipient,
        item.sender,
        item.text,
    )
