"""Messages that wait for a carrier which is down or gone, and how carriers stand in every process."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, and_, delete, literal, or_, select, true, tuple_, update

from heliograph.domain.carriers import CarrierState
from heliograph.domain.ids import MessageId
from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import Change, sources
from heliograph.domain.message import Message
from heliograph.store.batch import FLAG, ID, TEXT, Batch, Sql
from heliograph.store.carrier_lanes import carrier_lanes
from heliograph.store.engine import Engine, Transaction
from heliograph.store.messages import MESSAGE_COLUMNS, to_message, words
from heliograph.store.tables import carrier_states, messages


@dataclass(frozen=True, slots=True)
class Reroute:
    """A waiting message to be given to another carrier than it was planned for."""

    message_id: MessageId
    before: str | None
    after: str


@dataclass(frozen=True, slots=True)
class NodeState:
    """A carrier as one process last told of it."""

    node: str
    at: Instant
    state: CarrierState


def _move(sql: Sql) -> Any:
    """Only what still waits for the same carrier: a claim or a cancel may have been first.

    A message of which a carrier has a part stays with it, and so does one that its carrier may have: another one could
    not recognise it.
    """
    rows = sql.rows.c
    waits = messages.c.due_at.is_not(None) & messages.c.status.in_(words(sources(Change.CLAIM)))
    same = or_(messages.c.carrier == rows.before, and_(messages.c.carrier.is_(None), rows.before.is_(None)))
    mine = (messages.c.id == rows.id) & waits & same & messages.c.progress.is_(None) & ~messages.c.in_doubt
    return update(messages).where(mine).values(carrier=rows.after).returning(messages.c.id, messages.c.carrier)


def _tell(sql: Sql) -> Any:
    names = ("node", "carrier", "up", "state")
    rows = select(*[sql.rows.c[name] for name in names], sql.now).where(true())
    insert = sql.insert(carrier_states).from_select([*names, "at"], rows)
    return insert.on_conflict_do_update(
        index_elements=["node", "carrier"],
        set_={name: insert.excluded[name] for name in ("up", "state", "at")},
    )


MOVE = Batch({"id": ID, "before": TEXT, "after": TEXT}, _move)
TELL = Batch({"node": ID, "carrier": TEXT, "up": FLAG, "state": TEXT}, _tell)


class ReroutingVerbs:
    """What the rerouting reads, and its verbs of the group commit."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def move(self, transaction: Transaction, items: Sequence[Reroute]) -> Sequence[bool]:
        """Plan waiting messages for another carrier; whether each was moved: one of several that ask for the same."""
        wanted = sorted({(item.message_id, item.before, item.after) for item in items}, key=_id)
        moved = Counter((str(row["id"]), row["carrier"]) for row in await transaction.batch(MOVE, wanted))
        answers = []
        for item in items:
            answers.append(moved[item.message_id, item.after] > 0)
            moved[item.message_id, item.after] -= 1
        return answers

    async def waiting_for(self, carrier: str, limit: int, after: Message | None = None) -> Sequence[Message]:
        """What is due now and waits for a carrier that could be changed, oldest first; only what stands after one."""
        return await self._waiting(messages.c.carrier == carrier, limit, after)

    async def stray(self, carriers: Collection[str], limit: int, after: Message | None = None) -> Sequence[Message]:
        """What is due now and waits for no carrier, or for one that is none of these, in the same order."""
        rows = await self._engine.fetch(select(carrier_lanes().c.carrier))
        gone = {row["carrier"] for row in rows if row["carrier"] is not None} - set(carriers)
        lanes = [messages.c.carrier.is_(None), *(messages.c.carrier == name for name in sorted(gone))]
        # Each lane is in order already; asked for at once, all of them would be read and sorted for every page.
        found = [await self._waiting(lane, limit, after) for lane in lanes]
        return sorted((message for lane in found for message in lane), key=_place)[:limit]

    async def _waiting(self, lane: ColumnElement[bool], limit: int, after: Message | None) -> Sequence[Message]:
        due = (messages.c.due_at <= self._engine.now) & messages.c.status.in_(words(sources(Change.CLAIM)))
        free = messages.c.progress.is_(None) & ~messages.c.in_doubt
        place = (messages.c.due_at, messages.c.id)
        statement = select(*MESSAGE_COLUMNS).where(lane, due, free).order_by(*place).limit(limit)
        if after is not None:
            statement = statement.where(tuple_(*place) > tuple_(*map(literal, (after.due_at, after.id), _PLACE)))
        return [to_message(row) for row in await self._engine.fetch(statement)]

    async def tell(self, transaction: Transaction, items: Sequence[tuple[str, CarrierState]]) -> Sequence[None]:
        """Keep how carriers stand in a process."""
        rows = {(node, each.name): (node, each.name, each.up, _encode(each).decode()) for node, each in items}
        await transaction.batch(TELL, [rows[key] for key in sorted(rows)])
        return [None] * len(items)

    async def states(self, since: Instant) -> Sequence[NodeState]:
        """How carriers stand in every process that told so since a moment, newest first."""
        statement = select(*carrier_states.c).where(carrier_states.c.at >= since)
        rows = await self._engine.fetch(statement.order_by(carrier_states.c.carrier, carrier_states.c.at.desc()))
        return [NodeState(str(row["node"]), Instant(row["at"]), _state(row["state"])) for row in rows]

    async def forget(self, node: str) -> None:
        """A process tells nothing any more."""
        async with self._engine.transaction() as transaction:
            await transaction.execute(delete(carrier_states).where(carrier_states.c.node == node))


_PLACE = (messages.c.due_at.type, messages.c.id.type)
_encode = msgspec.json.Encoder().encode
_state = msgspec.json.Decoder(CarrierState).decode


def _place(message: Message) -> tuple[int, str]:
    return message.due_at or 0, message.id


def _id(row: tuple[str, str | None, str]) -> str:
    return row[0]
