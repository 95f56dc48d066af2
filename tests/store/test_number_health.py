"""How well the messages of each number arrive, measured."""

from typing import Any

from sqlalchemy import insert, select

from heliograph.dispatch.number_health import NumberHealthCheck
from heliograph.domain.errors import Code
from heliograph.domain.ids import OrganizationId, uuid7
from heliograph.domain.instant import DAY, HOUR, MINUTE, Instant
from heliograph.domain.lifecycle import Status
from heliograph.domain.number_health import EVIDENCE, NumberHealth
from heliograph.domain.outcome import delivery_error
from heliograph.store.outcomes import errors_text
from heliograph.store.store import Store
from heliograph.store.tables import inbound_messages, messages, number_health
from tests.builders import advance, epoch, make_account

OWNER = OrganizationId("00000000-0000-7000-8000-000000000001")
ONE, TWO = "+13125550101", "+13125550102"
SPAM = errors_text(delivery_error(Code.BLOCKED_AS_SPAM, "A spam filter stopped it."))
LOST = errors_text(delivery_error(Code.UNDELIVERABLE, "It did not arrive."))
_NUMBERS = iter(range(1_000_000))


async def sent(store: Store, count: int, sender: str = ONE, *, age: int = HOUR, **given: Any) -> None:
    """Messages of a number that left some time ago."""
    at = Instant(store.clock.now() - age)
    row = {
        "organization_id": OWNER,
        "profile_id": OWNER,
        "type": "SMS",
        "status": Status.DELIVERED.value,
        "sender": sender,
        "recipient": "+18665550001",
        "parts": 1,
        "rate": 0,
        "carrier_fee": 0,
        "received_at": at,
        "valid_until": at,
        "attempts": 1,
        "in_doubt": False,
        "left_at": at,
        "facts": '{"encoding": "GSM-7", "num_chars": 5}',
    }
    rows = [{**row, **given, "id": uuid7(at, next(_NUMBERS))} for _ in range(count)]
    async with store.engine.transaction() as transaction:
        await transaction.execute(insert(messages), rows)


async def came(store: Store, count: int, recipient: str = ONE) -> None:
    at = store.clock.now()
    row = {
        "organization_id": OWNER,
        "profile_id": OWNER,
        "type": "SMS",
        "sender": "+18665550001",
        "recipient": recipient,
        "parts": 1,
        "received_at": at,
        "carrier": "sandbox",
        "facts": '{"encoding": "GSM-7", "num_chars": 5}',
    }
    async with store.engine.transaction() as transaction:
        await transaction.execute(
            insert(inbound_messages), [{**row, "id": uuid7(at, next(_NUMBERS))} for _ in range(count)]
        )


async def test_what_became_of_a_days_messages_is_counted(store: Store) -> None:
    await sent(store, 5)
    await sent(store, 3, status=Status.DELIVERY_FAILED.value, errors=SPAM)
    await sent(store, 2, status=Status.SENDING_FAILED.value, errors=LOST)
    await sent(store, 4, status=Status.SENT.value)
    await came(store, 7)
    assert await store.number_health.measure() == 1
    assert await store.number_health.of(OWNER, [ONE, TWO]) == {
        ONE: NumberHealth(sent=14, received=7, delivered=5, finished=10, spam=3)
    }


async def test_what_never_left_and_what_is_older_than_a_day_do_not_count(store: Store) -> None:
    await sent(store, 3, age=DAY + HOUR)
    await sent(store, 3, status=Status.SENDING_FAILED.value, left_at=None)
    await sent(store, 3, status=Status.CANCELLED.value, left_at=None)
    await store.number_health.measure()
    assert await store.number_health.of(OWNER, [ONE]) == {ONE: NumberHealth()}


async def test_a_number_that_is_silent_for_a_day_is_forgotten(store: Store) -> None:
    await sent(store, 1, age=0)
    await store.number_health.measure()
    await advance(store, DAY + MINUTE)
    assert await store.number_health.measure() == 0
    assert await store.engine.fetch(select(number_health.c.sender)) == []


async def test_a_number_that_turns_unhealthy_is_known_everywhere_at_once(store: Store, beside: Store) -> None:
    organization, _ = await make_account(store)
    await epoch(beside)
    assert await beside.accounts.unhealthy(organization.id) == set()
    await sent(store, EVIDENCE, TWO, status=Status.DELIVERY_FAILED.value, organization_id=organization.id)
    await sent(store, EVIDENCE, ONE, organization_id=organization.id)
    before = await epoch(beside)
    await store.number_health.measure()
    assert await epoch(beside) > before
    assert await beside.accounts.unhealthy(organization.id) == {TWO}
    assert await beside.accounts.unhealthy(OWNER) == set()


async def test_measuring_what_has_not_changed_leaves_the_accounts_alone(store: Store) -> None:
    await sent(store, EVIDENCE, status=Status.DELIVERY_FAILED.value)
    await store.number_health.measure()
    before = await epoch(store)
    await store.number_health.measure()
    assert await epoch(store) == before


async def test_of_many_processes_one_measures(store: Store, beside: Store) -> None:
    await sent(store, 1)
    await NumberHealthCheck(store, HOUR).run_pass()
    await sent(store, 1)
    other = NumberHealthCheck(beside, HOUR)
    await beside.engine.synchronize_clock()
    await other.run_pass()
    assert (await store.number_health.of(OWNER, [ONE]))[ONE].sent == 1
    await advance(beside, 2 * HOUR)
    await other.run_pass()
    assert (await store.number_health.of(OWNER, [ONE]))[ONE].sent == 2
