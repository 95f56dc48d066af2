"""Statements of the hot path find their rows by an index, however much there is beside them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import contextmanager
from re import compile as regex
from typing import Any

import pytest
from sqlalchemy import event, insert, text

from heliograph.domain.ids import uuid7
from heliograph.domain.instant import HOUR, MINUTE, SECOND, Instant
from heliograph.domain.lifecycle import Status
from heliograph.store.batch import Batch, array_arguments, json_arguments
from heliograph.store.claims import CLAIM, CLAIM_RELEASED, HELD, RIPE, Claim
from heliograph.store.doubts import BETWEEN, IN_DOUBT
from heliograph.store.lapses import DOUBT, EXPIRE, LOSE, LOSE_OVERDUE, LOSE_UNSETTLED, RECOVER
from heliograph.store.number_health import look as measured
from heliograph.store.receipts import APPLY, MARK, OWNERS, PARTS_OF, UNMATCHED, WAITING
from heliograph.store.rerouting import MOVE
from heliograph.store.store import Store
from heliograph.store.tables import message_parts, messages, receipts
from tests.builders import make_message, new_id
from tests.store.conftest import Filled

ORGANIZATION = "00000000-0000-7000-8000-000000000001"
LANE, KEY = "ix_messages_lane", "ix_messages_receipt_key"
PARTS_KEY, UNMATCHED_KEY = "ix_message_parts_receipt_key", "ix_receipts_unmatched"
UNMATCHED_ID = "ix_receipts_unmatched_id"
IN_DOUBT_INDEX, WAITING_INDEX = "ix_messages_in_doubt", "ix_messages_waiting_recipient"
VALID_UNTIL, DEADLINE = "ix_messages_valid_until", "ix_messages_deadline"
RIVALS = [IN_DOUBT_INDEX, WAITING_INDEX, DEADLINE]
MANY = 20_000
SORT = regex(r"(Sort  \(|USE TEMP B-TREE FOR ORDER BY)")
WHOLE = regex(r"(Seq Scan on|SCAN) (messages|message_parts|receipts)( |$)(?!USING (COVERING )?INDEX)")
CLAIMING = {"token": uuid7(Instant(0), 1), "carrier": "busy", "limit": 64, "lease": MINUTE}
AN_ID = uuid7(Instant(0), 2)


def _message(number: int, now: Instant) -> dict[str, Any]:
    """Of twenty: nine wait for a carrier that rests, one for a busy one, one is in hand or in doubt, nine are over."""
    place = number % 20
    waits, over = place < 10, place > 10
    age = number * SECOND
    status = Status.QUEUED if waits else Status.SENDING if not over else Status.SENT if place > 17 else Status.DELIVERED
    return {
        "id": uuid7(Instant(now - age), number),
        "organization_id": ORGANIZATION,
        "profile_id": ORGANIZATION,
        "type": "SMS",
        "status": status.value,
        "sender": "+18445550001",
        "recipient": f"+1866{number % 5000:07}",
        "parts": 1,
        "rate": 0,
        "carrier_fee": 0,
        "received_at": now - age,
        "valid_until": now + HOUR,
        "due_at": now - age if waits else None,
        "deadline_at": None if waits or status is Status.DELIVERED else now + age,
        "claim_token": uuid7(now, number) if place == 10 and number % 3 else None,
        "attempts": 0 if waits else 1,
        "in_doubt": place == 10 and number % 3 == 0,
        "carrier": "resting" if place < 9 else "busy",
        "receipt_key": f"{number:x}" if over else None,
        "carrier_message_id": f"{number:x}" if over else None,
        "facts": '{"encoding": "GSM-7", "num_chars": 5}',
    }


def _part(number: int) -> dict[str, Any]:
    return {
        "message_id": uuid7(Instant(number // 2), number // 2),
        "number": number % 2 + 1,
        "total": 2,
        "carrier": "busy",
        "carrier_message_id": f"p{number}",
        "receipt_key": f"p{number}",
    }


def _receipt(number: int, now: Instant) -> dict[str, Any]:
    return {
        "id": uuid7(Instant(now - number * SECOND), number),
        "carrier": "busy",
        "carrier_message_id": f"r{number}",
        "receipt_key": f"r{number}",
        "change": "deliver",
        "at": now,
        "message_id": None if number % 10 == 0 else AN_ID,
    }


async def backlog(store: Store) -> None:
    """Fill a database, and let it know its sizes."""
    now = store.clock.now()
    async with store.engine.transaction() as transaction:
        for table, rows in (
            (messages, [_message(number, now) for number in range(MANY)]),
            (message_parts, [_part(number) for number in range(MANY // 2)]),
            (receipts, [_receipt(number, now) for number in range(MANY // 2)]),
        ):
            await transaction.execute(insert(table), rows)
        await transaction.execute(text("ANALYZE"))


@pytest.fixture
async def busy(filled: Filled) -> AsyncIterator[Store]:
    """A store with a backlog, whose database knows its sizes."""
    async with filled(backlog) as opened:
        yield opened


def literal(value: Any) -> str:
    """A value within a statement."""
    if value is None:
        return "NULL"
    if isinstance(value, list | tuple):
        return f"'{{{','.join('NULL' if each is None else quoted(each) for each in value)}}}'"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


def quoted(element: Any) -> str:
    """An element within an array within a text."""
    escaped = str(element).replace("\\", "\\\\").replace('"', '\\"').replace("'", "''")
    return f'"{escaped}"'


async def explained(store: Store, sql: str, arguments: Sequence[Any]) -> list[str]:
    """How the database means to run a statement; PostgreSQL also once it stops to look at the arguments."""
    async with store.engine.sqlalchemy.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        if store.engine.sqlalchemy.dialect.name == "sqlite":
            found = await driver.execute_fetchall(f"EXPLAIN QUERY PLAN {sql}", tuple(arguments))
            return ["\n".join(row[3] for row in found)]
        looked = await driver.fetch(f"EXPLAIN {sql}", *arguments)
        await driver.execute(f"SET plan_cache_mode = force_generic_plan; PREPARE asked AS {sql}")
        # The values as they are: of null nothing can be, and no partition would be looked into.
        values = f"({', '.join(map(literal, arguments))})" if arguments else ""
        generic = await driver.fetch(f"EXPLAIN EXECUTE asked{values}")
        await driver.execute("DEALLOCATE asked; RESET plan_cache_mode")
        return ["\n".join(row[0] for row in each) for each in (looked, generic)]


async def plans_of(store: Store, batch: Batch, rows: Sequence[tuple[Any, ...]], **scalars: Any) -> list[str]:
    compiled = store.engine.compiled(batch)
    if store.engine.sqlalchemy.dialect.name == "postgresql":
        return await explained(store, compiled.sql, array_arguments(compiled, batch, rows, scalars))
    given = json_arguments(compiled, rows, {**store.engine.moment(), **scalars})
    return await explained(store, compiled.sql, given)


def require(plans: Sequence[str], *indexes: str) -> None:
    """Each plan uses these indexes, and the one that knows how little is asked for reads no table as a whole."""
    for plan in plans:
        assert [each for each in indexes if each not in plan] == [], plan
    lines = (line.strip().removeprefix("->").strip() for line in plans[0].splitlines())
    assert [line for line in lines if WHOLE.match(line)] == [], plans[0]


async def test_a_claim_goes_along_the_lane_of_its_carrier(busy: Store) -> None:
    for batch in (CLAIM, CLAIM_RELEASED):
        require(await plans_of(busy, batch, (), **CLAIMING), LANE)
    require(await plans_of(busy, RIPE, (), carrier="busy", limit=64), LANE)
    require(await plans_of(busy, HELD, (), token=AN_ID), DEADLINE)


async def test_a_claim_in_a_backlog_of_another_carrier_finds_its_own(busy: Store) -> None:
    claimed = await busy.claim(Claim(new_id(busy), "busy", 10, MINUTE))
    assert len(claimed.messages) == 10
    assert {each.carrier for each in claimed.messages} == {"busy"}


ASKED: list[tuple[Batch, list[tuple[Any, ...]], dict[str, Any], list[str]]] = [
    (OWNERS, [(AN_ID, "2a", "busy", 1), (AN_ID, "42", "busy", 0)], {}, [KEY, PARTS_KEY]),
    (WAITING, [(AN_ID, 0, "2a", "busy", 1, "+18665550001", AN_ID)], {}, [UNMATCHED_KEY]),
    (BETWEEN, [(AN_ID, "busy", "+18660000010", "+18445550001")], {}, RIVALS),
    (IN_DOUBT, [(AN_ID, "busy")], {}, []),
    (APPLY, [(AN_ID, "delivered", 0, None)], {}, []),
    (MARK, [(AN_ID, 1, "deliver", None, 0)], {}, []),
    (PARTS_OF, [(AN_ID,)], {}, []),
    (MOVE, [(AN_ID, "resting", "busy")], {}, []),
    (UNMATCHED, [], {"since": AN_ID, "limit": 500}, [UNMATCHED_ID]),
    (EXPIRE, [], {"limit": 10, "errors": "[]"}, [VALID_UNTIL]),
    (LOSE_OVERDUE, [], {"limit": 10, "errors": "[]"}, [VALID_UNTIL]),
    (RECOVER, [("busy",)], {"limit": 10}, [DEADLINE]),
    (DOUBT, [("busy", HOUR)], {"limit": 10, "errors": "[]"}, [DEADLINE]),
    (LOSE, [("busy", True)], {"limit": 10, "errors": "[]"}, [DEADLINE]),
    (LOSE_UNSETTLED, [("busy", False)], {"limit": 10, "errors": "[]"}, [DEADLINE]),
]


async def test_no_statement_reads_a_table_as_a_whole(busy: Store) -> None:
    for batch, rows, scalars, indexes in ASKED:
        require(await plans_of(busy, batch, rows, **scalars), *indexes)


@contextmanager
def listening(store: Store) -> Any:
    """What is read of the database in the meantime."""
    asked: list[tuple[str, Sequence[Any]]] = []

    def note(_c: Any, _cursor: Any, sql: str, arguments: Any, _context: Any, _many: bool) -> None:
        asked.append((sql, arguments))

    engine = store.engine.sqlalchemy.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield asked
    event.remove(engine, "before_cursor_execute", note)


LOOKS: list[Callable[[Store], Awaitable[object]]] = [
    lambda store: store.next_due("busy"),
    lambda store: store.rerouting.waiting_for("resting", 500),
    lambda store: store.rerouting.waiting_for("resting", 500, make_message(store, carrier="resting")),
    lambda store: store.rerouting.stray(["busy", "resting"], 500),
    lambda store: store.rerouting.stray(["busy"], 500),
    lambda store: store.sandbox.next_due(store.clock.now()),
]


async def test_looks_go_along_lanes(busy: Store) -> None:
    for look in LOOKS:
        with listening(busy) as asked:
            await look(busy)
        for sql, arguments in asked:
            require(await explained(busy, sql, arguments), LANE)


async def test_the_backlog_of_carriers_that_are_gone_is_read_in_the_order_of_its_lanes(busy: Store) -> None:
    (first,) = await busy.rerouting.waiting_for("resting", 1)
    for after in (None, first):
        with listening(busy) as asked:
            assert len(await busy.rerouting.stray([], 50, after)) == 50
        # Not what is nobody's: there is none of it here, and of nothing any plan will do.
        pages = [(sql, given) for sql, given in asked if "ORDER BY" in sql and "messages.carrier IS NULL" not in sql]
        assert len(pages) == 2
        for plan in [plan for sql, given in pages for plan in await explained(busy, sql, given)]:
            require([plan], LANE)
            lines = [line.strip().removeprefix("->").strip() for line in plan.splitlines()]
            assert [line for line in lines if SORT.match(line)] == [], plan


async def test_what_numbers_are_measured_by_is_read_from_a_moment_on(busy: Store) -> None:
    since = uuid7(Instant(busy.clock.now() - MINUTE), 0)
    with listening(busy) as asked:
        await busy.engine.survey(measured(since))
    for sql, arguments in asked:
        require(await explained(busy, sql, arguments))
