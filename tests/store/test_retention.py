"""What is past its time is forgotten, and nothing else."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Table, func, insert, select, text, update
from sqlalchemy.engine import make_url

from heliograph import randomness
from heliograph.domain.carriers import CarrierState
from heliograph.domain.ids import OrganizationId, uuid7
from heliograph.domain.instant import DAY, HOUR, Instant
from heliograph.domain.lifecycle import Status
from heliograph.domain.nodes import FORGOTTEN, Node, Role
from heliograph.store.engine import open_engine
from heliograph.store.partition_ddl import PARTITIONED, day_name
from heliograph.store.partitions import AHEAD, Partitions
from heliograph.store.retention import Ages, Forgotten
from heliograph.store.schema import UnusableSchema
from heliograph.store.store import Store
from heliograph.store.tables import (
    link_clicks,
    message_events,
    message_parts,
    messages,
    opt_outs,
    receipts,
    short_links,
    webhook_attempts,
    webhook_deliveries,
)
from tests.builders import advance, new_id
from tests.store.conftest import running

ORGANIZATION = "00000000-0000-7000-8000-000000000001"
COST = 510


def at(now: int, days: float) -> Instant:
    return Instant(now + int(days * DAY))


def message(made: Instant, status: Status = Status.DELIVERED, **given: Any) -> dict[str, Any]:
    waits = status in {Status.SCHEDULED, Status.QUEUED}
    row = {
        "id": randomness.new_id(made),
        "organization_id": ORGANIZATION,
        "profile_id": ORGANIZATION,
        "type": "SMS",
        "status": status.value,
        "sender": "+18445550001",
        "recipient": "+18665550001",
        "parts": 1,
        "rate": 205,
        "carrier_fee": 305,
        "received_at": made,
        "valid_until": made + HOUR,
        "due_at": made + HOUR if waits else None,
        "deadline_at": made + HOUR if status in {Status.SENDING, Status.SENT} else None,
        "attempts": 0,
        "in_doubt": False,
        "left_at": None if waits else made,
        "facts": '{"encoding": "GSM-7", "num_chars": 5}',
    }
    return row | given


def event_of(row: dict[str, Any]) -> dict[str, Any]:
    made = row["received_at"]
    return {"message_id": row["id"], "id": randomness.new_id(made), "change": "claim", "status": "sending", "at": made}


def part_of(row: dict[str, Any]) -> dict[str, Any]:
    said = {"carrier": "busy", "carrier_message_id": "1", "receipt_key": "1"}
    return {"message_id": row["id"], "number": 1, "total": 1, **said}


def delivery(made: Instant, message_id: str | None, due_at: Instant | None = None) -> dict[str, Any]:
    return {
        "id": randomness.new_id(made),
        "event_id": randomness.new_id(made),
        "organization_id": ORGANIZATION,
        "profile_id": ORGANIZATION,
        "message_id": message_id,
        "event_type": "message.finalized",
        "status": "pending" if due_at else "delivered",
        "occurred_at": made,
        "endpoint": "e",
        "due_at": due_at,
        "position": 0,
        "tries": 0,
        "attempts": 0,
    }


def attempt_of(row: dict[str, Any]) -> dict[str, Any]:
    made = row["occurred_at"]
    said = {"delivered": True, "url": "https://example.com", "errors": "[]", "request_headers": "[]"}
    return {
        "id": randomness.new_id(made),
        "delivery_id": row["id"],
        "started_at": made,
        "finished_at": made,
        **said,
    }


def receipt(made: Instant) -> dict[str, Any]:
    said = {"carrier": "busy", "carrier_message_id": "r", "receipt_key": "r", "change": "deliver"}
    return {"id": randomness.new_id(made), "at": made, **said}


async def put(store: Store, table: Table, *rows: dict[str, Any]) -> None:
    async with store.engine.transaction() as transaction:
        for row in rows:
            await transaction.execute(insert(table).values(row))


async def put_messages(store: Store, *rows: dict[str, Any]) -> None:
    await put(store, messages, *rows)
    await put(store, message_events, *map(event_of, rows))
    await put(store, message_parts, *map(part_of, rows))


async def ids(store: Store, table: Table, column: str = "id") -> set[str]:
    return {str(row[column]) for row in await store.engine.fetch(select(table.c[column]))}


def partitioned(store: Store) -> bool:
    return store.partitions.usable


async def lay_out(store: Store, days: int = 15) -> Instant:
    """A store that has run for so many days: its first partition ended long ago. Now, by the database's clock."""
    now = store.clock.now()
    if partitioned(store):
        async with store.engine.transaction() as transaction:
            for table in PARTITIONED:
                await transaction.execute(text(f"DROP TABLE {table}_first"))
        store.clock.offset -= (days + AHEAD) * DAY
        for _ in range(days + AHEAD):
            await store.partitions.make_ahead()
            store.clock.offset += DAY
        await store.partitions.make_ahead()
    return now


async def forget(store: Store, now: Instant, days: float = 10) -> Forgotten:
    """All that is past its time."""
    ages = Ages(at(now, -days), at(now, -90), at(now, -30))
    total = Forgotten()
    while True:
        done = await store.retention.forget(ages)
        total = Forgotten(
            total.partitions + done.partitions, total.messages + done.messages, total.others + done.others
        )
        if not done.full:
            return total


async def charged(store: Store) -> int:
    return (await store.traffic.spent(OrganizationId(ORGANIZATION), "USD")).charged


async def test_what_is_over_goes_with_everything_that_tells_of_it(store: Store) -> None:
    now = await lay_out(store)
    old, new = message(at(now, -12)), message(at(now, -1))
    await put_messages(store, old, new)
    told = [delivery(each["received_at"], each["id"]) for each in (old, new)]
    await put(store, webhook_deliveries, *told)
    await put(store, webhook_attempts, *map(attempt_of, told))
    kept = receipt(at(now, -1))
    await put(store, receipts, receipt(at(now, -12)), kept)
    assert await charged(store) == 2 * COST
    done = await forget(store, now)
    assert bool(done.partitions) == partitioned(store)
    for table in (messages, message_events, message_parts):
        column = "id" if table is messages else "message_id"
        assert await ids(store, table, column) == {new["id"]}, table.name
    assert await ids(store, webhook_deliveries) == {told[1]["id"]}
    assert await ids(store, webhook_attempts, "delivery_id") == {told[1]["id"]}
    assert await ids(store, receipts) == {kept["id"]}
    assert await charged(store) == 2 * COST


PENDING = [Status.SCHEDULED, Status.QUEUED, Status.SENDING, Status.SENT]


@pytest.mark.parametrize("status", PENDING)
async def test_what_is_pending_stays_however_old(store: Store, status: Status) -> None:
    now = await lay_out(store)
    waiting, beside = message(at(now, -14.5), status), message(at(now, -14.5))
    await put_messages(store, waiting, beside)
    await forget(store, now)
    assert await ids(store, messages) == {waiting["id"]}
    assert await ids(store, message_events, "message_id") == {waiting["id"]}
    assert await ids(store, message_parts, "message_id") == {waiting["id"]}
    assert await charged(store) == COST * (2 if status is not Status.SCHEDULED else 1)


async def test_a_day_with_something_pending_waits_for_it_as_a_whole(store: Store) -> None:
    if not partitioned(store):
        pytest.skip("no partitions here")
    now = await lay_out(store)
    made = Instant((now - 11 * DAY) // DAY * DAY)  # its day ended less than `HELD` before the retention
    await put_messages(store, message(made, Status.SENT), message(made))
    assert (await forget(store, now)).messages == 0
    assert len(await ids(store, messages)) == 2


async def test_a_message_that_a_webhook_is_still_to_tell_of_stays(store: Store) -> None:
    now = await lay_out(store)
    told_of, beside = message(at(now, -14.5)), message(at(now, -14.5))
    await put_messages(store, told_of, beside)
    due = delivery(at(now, -14.4), told_of["id"], due_at=now)
    await put(store, webhook_deliveries, due)
    await put(store, webhook_attempts, attempt_of(due))
    await forget(store, now)
    assert await ids(store, messages) == {told_of["id"]}
    assert await ids(store, webhook_deliveries) == {due["id"]}
    assert await ids(store, webhook_attempts, "delivery_id") == {due["id"]}


async def test_what_a_profile_alone_is_still_to_be_told_stays(store: Store) -> None:
    now = await lay_out(store)
    due, beside = delivery(at(now, -14.4), None, due_at=now), delivery(at(now, -14.4), None)
    await put(store, webhook_deliveries, due)
    await forget(store, now)
    assert await ids(store, webhook_deliveries) == {due["id"]}
    await put(store, webhook_deliveries, beside)
    async with store.engine.transaction() as transaction:
        await transaction.execute(update(webhook_deliveries).values(due_at=None))
    await forget(store, now)
    assert await ids(store, webhook_deliveries) == set()


async def test_who_does_not_want_to_be_written_to_is_never_forgotten(store: Store) -> None:
    now = await lay_out(store)
    said = {"organization_id": ORGANIZATION, "profile_id": ORGANIZATION, "sender": "s", "recipient": "r"}
    made = at(now, -4000)
    await put(store, opt_outs, {"id": uuid7(made, 1), "created_at": made, **said})
    await forget(store, now)
    assert len(await ids(store, opt_outs)) == 1


async def test_the_link_of_a_cancelled_message_leads_nowhere_when_the_message_is_gone(store: Store) -> None:
    now = await lay_out(store)
    gone, sent = message(at(now, -12), Status.CANCELLED), message(at(now, -12))
    await put_messages(store, gone, sent)
    for slug, row in (("gone", gone), ("sent", sent)):
        said = {"organization_id": ORGANIZATION, "profile_id": ORGANIZATION, "recipient": "r", "url": "u"}
        linked = {"slug": slug, "message_id": row["id"], "send_webhooks": False, "created_at": row["received_at"]}
        await put(store, short_links, {**said, **linked})
    await forget(store, now)
    assert await store.links.find("gone") is None
    assert await store.links.find("sent") is not None


async def test_links_and_clicks_go_after_their_own_time(store: Store) -> None:
    now = await lay_out(store)
    for days in (-91, -89):
        made = at(now, days)
        said = {"organization_id": ORGANIZATION, "profile_id": ORGANIZATION, "recipient": "r", "url": "u"}
        linked = {"slug": str(days), "message_id": uuid7(made, 1), "send_webhooks": False, "created_at": made}
        await put(store, short_links, {**said, **linked})
        await put(store, link_clicks, {"id": uuid7(made, 2), "slug": str(days), "at": made})
    await forget(store, now)
    assert await ids(store, short_links, "slug") == {"-89"}
    assert await ids(store, link_clicks, "slug") == {"-89"}


async def test_the_link_of_what_still_waits_stays_however_old(store: Store) -> None:
    now = await lay_out(store)
    waiting = message(at(now, -91), Status.SCHEDULED)
    await put_messages(store, waiting)
    said = {"organization_id": ORGANIZATION, "profile_id": ORGANIZATION, "recipient": "r", "url": "u"}
    linked = {"slug": "s", "message_id": waiting["id"], "send_webhooks": False, "created_at": waiting["received_at"]}
    await put(store, short_links, {**said, **linked})
    await forget(store, now)
    assert await store.links.find("s") is not None


async def test_many_go_in_batches_and_each_charge_is_counted_once(store: Store, beside: Store) -> None:
    now = await lay_out(store)
    made = at(now, -12) if not partitioned(store) else at(now, -40)  # of no day: it strayed
    many = [message(made) for _ in range(700)]
    async with store.engine.transaction() as transaction:
        await transaction.execute(insert(messages), many)
    total = await charged(store)
    for each in (store, beside, store):
        await forget(each, now)
    assert await ids(store, messages) == set()
    assert await charged(beside) == total == 700 * COST


async def test_a_process_that_was_silent_for_long_goes_with_all_it_told(store: Store) -> None:
    now, vanished, alive = await lay_out(store), new_id(store), new_id(store)
    for each in (vanished, alive):
        await store.nodes.tell(Node(each, Role.WORKER, "a.example", 7, "1.2"))
        await store.tell_carrier(each, CarrierState(name="sandbox", kind="sandbox", up=True, steady=True))
    await advance(store, FORGOTTEN // 2)
    await forget(store, now)
    assert len(await store.nodes.all()) == 2
    await advance(store, FORGOTTEN)
    # It tells that it is there, and of its carrier nothing: that has nothing new to tell.
    await store.nodes.tell(Node(alive, Role.WORKER, "a.example", 7, "1.2"))
    await forget(store, now)
    assert [each.id for each in await store.nodes.all()] == [alive]
    assert [each.node for each in await store.carrier_states(Instant(0))] == [alive]


async def names(store: Store) -> Sequence[str]:
    return [part.name for parts in (await store.partitions.known()).values() for part in parts]


async def test_coming_days_have_their_partitions_however_many_make_them(prepared_database_url: str) -> None:
    async with running(prepared_database_url) as store:
        if not partitioned(store):
            assert await store.partitions.make_ahead() == []
            return
        assert await store.partitions.make_ahead() == []  # the first reaches so far
        store.clock.offset += 5 * DAY
        today = store.clock.now() // DAY
        made = await store.partitions.make_ahead()
        assert made == [day_name(table, today + ahead) for table in PARTITIONED for ahead in range(AHEAD + 1)]
        assert await store.partitions.make_ahead() == []
        assert set(made) < set(await names(store))
        # What the new ones have is what the table has: the same indexes, attached.
        count = select(func.count().label("count")).select_from(text("pg_index JOIN pg_class ON oid = indrelid"))
        counts = [
            (await store.engine.fetch(count.where(text(f"relname = '{name}'"))))[0]["count"]
            for name in ("messages", day_name("messages", today))
        ]
        assert counts[0] == counts[1] > 5


async def test_who_does_not_own_the_tables_is_told_what_to_do(store: Store, prepared_database_url: str) -> None:
    if not partitioned(store):
        pytest.skip("no partitions here")
    role = f"limited_{new_id(store).replace('-', '')}"
    async with store.engine.transaction() as transaction:
        await transaction.execute(text(f"CREATE ROLE {role} LOGIN"))
        await transaction.execute(text(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"))
    limited = open_engine(make_url(prepared_database_url).set(username=role).render_as_string(hide_password=False))
    assert await Partitions(limited).make_ahead() == []  # nothing is missing, so nothing is needed
    limited.clock.offset += 5 * DAY
    with pytest.raises(UnusableSchema, match="heliograph migrate"):
        await Partitions(limited).make_ahead()
    await limited.close()
    async with store.engine.transaction() as transaction:
        await transaction.execute(text(f"DROP OWNED BY {role}"))
        await transaction.execute(text(f"DROP ROLE {role}"))


async def test_a_day_that_came_before_its_partition_stays_with_the_ids_of_no_day(store: Store) -> None:
    if not partitioned(store):
        pytest.skip("no partitions here")
    store.clock.offset += 20 * DAY
    early = message(store.clock.now())
    await put_messages(store, early)
    made = await store.partitions.make_ahead()
    assert day_name("messages", store.clock.now() // DAY) not in made
    assert day_name("receipts", store.clock.now() // DAY) in made
    assert await ids(store, messages) == {early["id"]}
    later = message(Instant(store.clock.now() + DAY))
    await put_messages(store, later)
    found = await store.engine.fetch(text(f"TABLE {day_name('messages', store.clock.now() // DAY + 1)}"))
    assert [str(row["id"]) for row in found] == [later["id"]]
    assert new_id(store)
