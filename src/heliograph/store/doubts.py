"""Messages in doubt: nobody has them in hand, and whether their carrier has them is not known (promise P3).

    sending, in doubt --late answer----------------------------> sent
                      --a receipt that can be for no other-----> sent, and what the receipt says
                      --neither until its deadline-------------> delivery_unconfirmed (store/lapses.py)

A receipt names an id that nobody was told. It is taken for a message in doubt only when it names both numbers, when it
can be about no other message between them, and when neither its time nor its text speaks against it. Others that it can
be about are those in doubt, those that were given up as unknown lately, those of which a part is known, and those that
somebody is handing over just now: a receipt may overtake the answer that tells its id.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, literal_column, null, select, union_all, update

from heliograph.domain.ids import MessageId
from heliograph.domain.instant import DAY, MINUTE, Instant
from heliograph.domain.lifecycle import Change, Status, result
from heliograph.domain.message import Progress
from heliograph.domain.receipt import forms
from heliograph.store.batch import ID, MICROS, TEXT, Batch, Sql
from heliograph.store.engine import Row, Transaction
from heliograph.store.messages import MESSAGE_COLUMNS, to_message, word
from heliograph.store.outbox import REPORTED_COLUMNS, Logged, Outbox
from heliograph.store.outcomes import TOLD_COLUMNS, OutcomeVerbs, ids_of, progress_text, receipt_key
from heliograph.store.receipts import Search
from heliograph.store.tables import messages

AHEAD = MINUTE
"""How much earlier than a message left its receipt may say that it arrived: carriers' clocks, and whole minutes."""
RIVAL = DAY
"""How long after it left a message that was given up as unknown may still be what a receipt is about."""
LONGEST_LEASE = 10 * MINUTE
"""What is in hand is looked for among what has a deadline before so long; the upkeep sees to it that this is little."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """A carrier says that it has a message that was in doubt."""

    message_id: MessageId
    carrier: str
    ids: tuple[str | None, ...]
    """Of each part that it answers for; None elsewhere. As long as the message has parts."""
    at: Instant
    deadline_at: Instant | None
    """Until when its receipt is awaited; None where none comes."""
    left_at: Instant | None = None
    """When its bytes were given to the carrier, where that is known and may not be on record."""


def _doubtful() -> Any:
    """In doubt, and in nobody's hands."""
    return literal_column("in_doubt") & messages.c.claim_token.is_(None) & (messages.c.status == word(Status.SENDING))


def _in_doubt(sql: Sql) -> Any:
    rows = sql.rows.c
    doubtful = (messages.c.id == rows.id) & (messages.c.carrier == rows.carrier) & _doubtful()
    joined = messages.join(sql.rows, doubtful)
    return select(messages.c.id, messages.c.progress).select_from(joined).with_for_update(of=messages)


def _between(sql: Sql) -> Any:
    """What a receipt between two numbers may be about, if it is about nothing that has an id yet.

    Three questions, for each is answered by an index of its own: what is or was in doubt, what waits for another try
    with a part of it taken, and what is in hand.
    """
    rows = sql.rows.c
    same = (messages.c.recipient == rows.recipient) & (messages.c.sender == rows.sender)
    waits_in_part = messages.c.due_at.is_not(None) & messages.c.progress.is_not(None)
    in_hand = messages.c.claim_token.is_not(None) & (messages.c.deadline_at <= sql.now + LONGEST_LEASE)
    questions: Sequence[Any] = (literal_column("in_doubt"), waits_in_part, in_hand)
    columns = (rows.name, messages.c.claim_token, messages.c.in_doubt, messages.c.deadline_at, *MESSAGE_COLUMNS)
    here = same & (messages.c.carrier == rows.carrier)
    return union_all(*[select(*columns).select_from(messages.join(sql.rows, here & each)) for each in questions])


def _settle(sql: Sql) -> Any:
    rows = sql.rows.c
    return (
        update(messages)
        .where(messages.c.id == rows.id, _doubtful())
        .values(
            status=word(result(Change.ACCEPT)),
            due_at=null(),
            deadline_at=rows.deadline_at,
            left_at=func.coalesce(messages.c.left_at, rows.left_at),
            sent_at=rows.at,
            # Of a single try all is known now; of several, another may have reached the carrier too.
            in_doubt=messages.c.attempts > 1,
            carrier_message_id=rows.carrier_message_id,
            receipt_key=rows.receipt_key,
            progress=null(),
            errors=null(),
        )
        .returning(*REPORTED_COLUMNS, *TOLD_COLUMNS)
    )


def _progress(sql: Sql) -> Any:
    return update(messages).where(messages.c.id == sql.rows.c.id).values(progress=sql.rows.c.progress)


IN_DOUBT = Batch({"id": ID, "carrier": TEXT}, _in_doubt)
BETWEEN = Batch({"name": ID, "carrier": TEXT, "recipient": TEXT, "sender": TEXT}, _between)
SETTLE = Batch(
    {
        "id": ID,
        "at": MICROS,
        "deadline_at": MICROS,
        "left_at": MICROS,
        "carrier_message_id": TEXT,
        "receipt_key": TEXT,
    },
    _settle,
)
PROGRESS = Batch({"id": ID, "progress": TEXT}, _progress)


class DoubtVerbs:
    """Verbs of the group commit."""

    def __init__(self, outbox: Outbox, outcomes: OutcomeVerbs) -> None:
        self._outbox = outbox
        self._outcomes = outcomes

    async def settle(self, transaction: Transaction, items: Sequence[Settlement]) -> Sequence[bool]:
        """Take late answers; whether each was for a message in doubt.

        A message of which every part is known to be taken is sent; so it is when `rather_twice` wanted it given again
        and nobody has it in hand yet. Several answers for one message, one for each of its parts, may come at once.
        """
        merged: dict[str, Settlement] = {}
        for item in items:
            before = merged.get(item.message_id)
            merged[item.message_id] = item if before is None else _merged(before, item.ids)
        wanted = sorted((item.message_id, item.carrier) for item in merged.values())
        rows = {str(row["id"]): row for row in await transaction.batch(IN_DOUBT, wanted)}
        await self._settle(transaction, [_merged(merged[name], ids_of(row)) for name, row in sorted(rows.items())])
        return [item.message_id in rows for item in items]

    async def settle_by_receipt(self, transaction: Transaction, receipts: Sequence[Row], search: Search) -> int:
        """Look for messages in doubt that receipts of unknown ids can only be about; how many were settled.

        What was in hand when the ids were looked for, and is in hand no more, may have got the id since: before a
        message is settled they are looked for again.
        """
        alone = {str(row["id"]): row for row in _alone(receipts)}
        if not alone:
            return 0
        asked = [(name, row["carrier"], row["recipient"], row["sender"]) for name, row in sorted(alone.items())]
        found: dict[str, dict[str, Row]] = {}
        for row in await transaction.batch(BETWEEN, asked):
            found.setdefault(str(row["name"]), {})[str(row["id"])] = row
        settled = {
            name: each for name, rows in found.items() if (each := _settlement(list(rows.values()), alone[name]))
        }
        if not settled:
            return 0
        crossed = await search([alone[name] for name in settled])
        wanted = [each for name, each in settled.items() if name not in crossed]
        return len(crossed) + await self._settle(transaction, wanted)

    async def _settle(self, transaction: Transaction, items: Sequence[Settlement]) -> int:
        """Keep what carriers say; how many messages are sent by that."""
        partly = [(item.message_id, progress_text(item.carrier, item.ids)) for item in items if None in item.ids]
        if partly:
            await transaction.batch(PROGRESS, partly)
        whole = {item.message_id: (item, ids) for item in items if (ids := _all_known(item.ids))}
        if not whole:
            return 0
        rows = await transaction.batch(SETTLE, [_settled_row(item, ids) for item, ids in whole.values()])
        known = {MessageId(str(row["id"])): row for row in rows}
        settled = [(row, *whole[name]) for name, row in known.items()]
        await self._outbox.log(
            transaction, [Logged(row, Change.ACCEPT, item.at, ", ".join(ids)) for row, item, ids in settled]
        )
        await self._outcomes.told(transaction, {item.message_id: (row, ids) for row, item, ids in settled})
        return len(settled)


def _alone(receipts: Sequence[Row]) -> list[Row]:
    """The receipts between whose two numbers there is none of another id: who is to say which of two is whose?

    A carrier whose `deliver_sm` was not answered sends it again: of several of one id the first is taken.
    """
    between: defaultdict[tuple[str, str, str], dict[str, Row]] = defaultdict(dict)
    for row in sorted(receipts, key=_id, reverse=True):
        if row["recipient"] and row["sender"]:
            between[row["carrier"], row["recipient"], row["sender"]][row["receipt_key"]] = row
    return [row for rows in between.values() if len(rows) == 1 for row in rows.values()]


def _id(row: Row) -> str:
    return str(row["id"])


def _settlement(rows: Sequence[Row], receipt: Row) -> Settlement | None:
    """The one doubt that a receipt of an unknown id settles; None where something speaks against it."""
    rivals = [row for row in rows if row["status"] == Status.SENDING or _left_at(row) > receipt["at"] - RIVAL]
    if len(rivals) != 1:
        return None
    (row,) = rivals
    left_at = _left_at(row)
    if not _in_nobodys_hands(row) or left_at > receipt["at"] + AHEAD:
        return None
    message = to_message(row)
    if not _begins(message.body or "", receipt["text"] or ""):
        return None
    before = message.progress or Progress(receipt["carrier"], (None,) * message.parts, message.parts)
    if len(before.ids) != before.total or before.ids.count(None) != 1 or _is_of(receipt, before.ids):
        return None
    ids = tuple(each or receipt["carrier_message_id"] for each in before.ids)
    # The other parts' receipts are awaited as long as the doubt would have been.
    deadline_at = Instant(row["deadline_at"] or row["valid_until"])
    return Settlement(message.id, receipt["carrier"], ids, Instant(max(left_at, receipt["at"])), deadline_at)


def _left_at(row: Row) -> int:
    """When a message left, or could at the earliest."""
    return int(row["left_at"] or row["send_at"] or row["received_at"])


def _in_nobodys_hands(row: Row) -> bool:
    return bool(row["in_doubt"]) and row["claim_token"] is None and row["status"] == Status.SENDING


def _is_of(receipt: Row, ids: Sequence[str | None]) -> bool:
    """Whether a receipt may be about a part whose id is known."""
    known = {form for each in ids if each is not None for form in forms(each)}
    return not known.isdisjoint(forms(receipt["carrier_message_id"]))


def _begins(body: str, told: str) -> bool:
    """Whether a carrier's repetition of a text, which is cut and often damaged, is no other text's."""
    letters = [each for each in told if each.isascii() and each.isalnum()]
    own = [each for each in body if each.isascii() and each.isalnum()]
    return all(one == other for one, other in zip(own, letters, strict=False))


def _merged(item: Settlement, ids: Sequence[str | None]) -> Settlement:
    """What both know of the parts, by their places."""
    places = max(len(item.ids), len(ids))
    pairs = zip(_padded(item.ids, places), _padded(ids, places), strict=True)
    return replace(item, ids=tuple(one or other for one, other in pairs))


def _padded(ids: Sequence[str | None], places: int) -> list[str | None]:
    return [*ids, *[None] * (places - len(ids))]


def _all_known(ids: Sequence[str | None]) -> tuple[str, ...] | None:
    known = tuple(each for each in ids if each is not None)
    return known if len(known) == len(ids) else None


def _settled_row(item: Settlement, ids: Sequence[str]) -> tuple[Any, ...]:
    return (item.message_id, item.at, item.deadline_at, item.left_at, ids[0], receipt_key(ids))
