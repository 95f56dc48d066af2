"""Next free slots, one row a key: read under a lock and put forward in the transaction that gives them out."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import literal_column, select, true, update

from heliograph.domain.instant import Instant
from heliograph.domain.pacing import Pace, Slots
from heliograph.domain.request_rate import Block, RequestRate, take
from heliograph.store.batch import MICROS, TEXT, Batch, Sql
from heliograph.store.engine import Engine, Transaction
from heliograph.store.tables import pace


def _hold(sql: Sql) -> Any:
    """Make rows that are missing, and lock all: what is read here is nobody else's to give out."""
    rows = select(sql.rows.c.key, literal_column("0")).where(true())
    insert = sql.insert(pace).from_select(["key", "next_at"], rows)
    held = insert.on_conflict_do_update(index_elements=["key"], set_={"next_at": pace.c.next_at})
    return held.returning(pace.c.key, pace.c.next_at, sql.now.label("now"))


def _put(sql: Sql) -> Any:
    return update(pace).where(pace.c.key == sql.rows.c.key).values(next_at=sql.rows.c.next_at)


HOLD = Batch({"key": TEXT}, _hold)
PUT = Batch({"key": TEXT, "next_at": MICROS}, _put)


async def hold_slots(transaction: Transaction, paces: Iterable[Pace]) -> Slots:
    """The slots of some keys, held until the transaction ends. In the order of keys: no two wait in a circle."""
    keys = sorted({each.key for each in paces})
    rows = await transaction.batch(HOLD, [(key,) for key in keys])
    return Slots({row["key"]: Instant(row["next_at"]) for row in rows}, Instant(rows[0]["now"]))


async def put_slots(transaction: Transaction, next_at: Mapping[str, Instant]) -> None:
    """Write down what was given out."""
    await transaction.batch(PUT, sorted(next_at.items()))


async def take_requests(engine: Engine, key_id: str, rate: RequestRate) -> Block:
    """A block of the requests that an API key may make, counted by the database's clock for all processes.

    In a transaction of its own: what holds slots of senders must not wait for those of keys.
    """
    async with engine.transaction() as transaction:
        key = f"requests:{key_id}"
        slots = await hold_slots(transaction, [Pace(key, rate.interval, 0)])
        block = take(rate, slots.next_at[key], slots.now)
        if block.granted:
            await put_slots(transaction, {key: block.next_at})
    return block
