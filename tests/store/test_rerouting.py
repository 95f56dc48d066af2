"""Waiting messages given to another carrier, and how carriers stand in every process."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import update

from heliograph.domain.carriers import CarrierState, LinkState
from heliograph.domain.ids import MessageId
from heliograph.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant
from heliograph.domain.lifecycle import Change, Status
from heliograph.domain.message import Message, Progress
from heliograph.domain.outcome import LEASE_LOST
from heliograph.store.claims import Claim
from heliograph.store.lapses import Recovered, Recovery
from heliograph.store.messages import Cancellation
from heliograph.store.outcomes import Outcome
from heliograph.store.rerouting import Reroute
from heliograph.store.store import Store
from heliograph.store.tables import messages
from tests.builders import accepted, advance, claim, epoch, new_id
from tests.store.doubting import doubted, repeated
from tests.store.histories import history, overdue, read

ROUNDS = 200


async def move(store: Store, message: Message, before: str | None = "sandbox", after: str = "other") -> bool:
    return await store.reroute(Reroute(message.id, before, after))


async def carrier_of(store: Store, message: Message) -> str | None:
    return (await read(store, message)).carrier


def ids(found: Sequence[Message]) -> list[MessageId]:
    return [each.id for each in found]


# ------------------------------------------------------------------------------------------------------- what is moved


async def test_what_waits_is_moved_and_is_the_other_carriers_to_claim(store: Store) -> None:
    message = await overdue(store)
    assert await move(store, message)
    assert (await claim(store))[1] == []
    assert ids((await claim(store, carrier="other"))[1]) == [message.id]


async def test_moving_is_no_change_of_its_status(store: Store) -> None:
    message = await overdue(store)
    await move(store, message)
    assert await history(store, message) == []


async def test_what_waits_for_another_try_is_moved(store: Store) -> None:
    message = await overdue(store)
    token, _ = await claim(store)
    now = store.clock.now()
    await store.record(Outcome(message.id, token, Change.DEFER, now, due_at=now))
    assert await move(store, message)


async def test_what_waits_for_somebody_else_by_now_is_left(store: Store) -> None:
    message = await overdue(store)
    assert await move(store, message)
    assert not await move(store, message, after="third")
    assert not await move(store, message, before=None, after="third")
    assert await carrier_of(store, message) == "other"


async def test_what_waits_for_nobody_is_given_to_somebody(store: Store) -> None:
    message = await overdue(store, carrier=None)
    assert not await move(store, message)
    assert await move(store, message, before=None)
    assert await carrier_of(store, message) == "other"


async def test_many_are_moved_in_one_commit_each_to_its_own(store: Store) -> None:
    made = [await overdue(store) for _ in range(20)]
    await asyncio.gather(*(move(store, each, after=f"c{number}") for number, each in enumerate(made)))
    assert [await carrier_of(store, each) for each in made] == [f"c{number}" for number in range(20)]


async def test_of_two_who_move_the_same_message_in_one_commit_one_did(store: Store) -> None:
    message = await overdue(store)
    assert sum(await asyncio.gather(move(store, message), move(store, message))) == 1
    assert sum(await asyncio.gather(move(store, message, "other", "a"), move(store, message, "other", "b"))) == 1


# --------------------------------------------------------------------------------------------------------- what is not


async def taken_in_part(store: Store) -> Message:
    message = await overdue(store, parts=2)
    token, _ = await claim(store)
    now, progress = store.clock.now(), Progress("sandbox", ("a",), 2)
    await store.record(Outcome(message.id, token, Change.DEFER, now, due_at=now, progress=progress))
    return message


async def in_hand(store: Store) -> Message:
    message = await overdue(store)
    await claim(store)
    return message


async def sent(store: Store) -> Message:
    message = await overdue(store)
    token, _ = await claim(store)
    await store.record(Outcome(message.id, token, Change.ACCEPT, store.clock.now(), ids=("c1",)))
    return message


async def cancelled(store: Store) -> Message:
    message = await accepted(store)
    asked = Cancellation(message.organization_id, message.id, 0, await epoch(store))
    assert (await store.cancel(asked)).won
    return message


@pytest.mark.parametrize("make", [taken_in_part, in_hand, sent, cancelled, doubted, repeated])
async def test_what_a_carrier_has_or_may_have_is_not_moved_and_not_found(store: Store, make: Any) -> None:
    message = await make(store)
    await advance(store, MINUTE)
    assert not await move(store, message)
    assert await carrier_of(store, message) == "sandbox"
    assert await store.rerouting.waiting_for("sandbox", 10) == []
    assert await store.rerouting.stray(["other"], 10) == []


# ------------------------------------------------------------------------------------------------------- what is found


async def test_what_is_due_for_a_carrier_is_found_oldest_first(store: Store) -> None:
    made = [await overdue(store, due_at=Instant(store.clock.now() - age * SECOND)) for age in (5, 9, 7)]
    await overdue(store, carrier="other")
    await accepted(store, send_in=HOUR)
    assert ids(await store.rerouting.waiting_for("sandbox", 10)) == ids([made[1], made[2], made[0]])
    assert ids(await store.rerouting.waiting_for("sandbox", 1)) == [made[1].id]


async def test_strays_wait_for_nobody_or_for_somebody_who_is_gone(store: Store) -> None:
    names = ["b", "d", "a", "c", "e", None, "bb"]
    made = {name: await overdue(store, carrier=name) for name in names}
    found = await store.rerouting.stray(["b", "d"], 10)
    assert {each.carrier for each in found} == {"a", "c", "e", None, "bb"}
    assert {each.id for each in found} == {made[name].id for name in ("a", "c", "e", None, "bb")}


async def test_names_that_databases_sort_in_their_own_way_are_no_strays(store: Store) -> None:
    names = ["B", "a", "a-c", "ab", "a_b", "Ä", "10", "9"]
    for name in names:
        await overdue(store, carrier=name)
    assert await store.rerouting.stray(names, 10) == []
    assert {each.carrier for each in await store.rerouting.stray(names[::2], 10)} == set(names[1::2])


async def test_a_look_goes_on_after_where_the_one_before_ended(store: Store) -> None:
    moment = Instant(store.clock.now() - SECOND)
    made = {(await overdue(store, due_at=moment, carrier="gone")).id for _ in range(5)}
    found: list[Message] = []
    for expected in (2, 2, 1, 0):
        page = await store.rerouting.waiting_for("gone", 2, found[-1] if found else None)
        assert len(page) == expected
        found += page
    assert {each.id for each in found} == made
    assert ids(await store.rerouting.stray(["sandbox"], 9, found[2])) == ids(found[3:])


async def test_where_all_are_known_nothing_is_stray(store: Store) -> None:
    await overdue(store)
    assert await store.rerouting.stray(["sandbox"], 10) == []
    assert await store.rerouting.stray(["a", "sandbox", "z"], 10) == []


async def test_a_stray_that_is_not_due_is_left_until_it_is(store: Store) -> None:
    message = await accepted(store, send_in=HOUR, carrier="gone")
    assert await store.rerouting.stray(["sandbox"], 10) == []
    await advance(store, 2 * HOUR)
    assert ids(await store.rerouting.stray(["sandbox"], 10)) == [message.id]


async def test_how_much_is_due_for_a_carrier_is_counted(store: Store) -> None:
    for _ in range(3):
        await overdue(store)
    await overdue(store, carrier="other")
    await accepted(store, send_in=HOUR)
    assert await store.reports.waiting() == {"sandbox": 3, "other": 1}


async def test_a_message_of_nobodys_is_no_claims(store: Store) -> None:
    message = await overdue(store, carrier=None)
    assert (await claim(store))[1] == []
    assert await store.next_due("sandbox") is None
    assert await history(store, message) == []


async def test_what_was_in_hand_when_carriers_had_no_lanes_ends_as_unknown(store: Store) -> None:
    message = await in_hand(store)
    async with store.engine.transaction() as transaction:
        await transaction.execute(update(messages).values(carrier=None))
    await advance(store, HOUR)
    assert await store.recover(Recovery(["other"], {"sandbox": HOUR}, 10, LEASE_LOST)) == Recovered(lost=1)
    assert await history(store, message) == ["claim", "lose"]


# --------------------------------------------------------------------------------------------------------------- races


async def test_a_move_and_a_claim_race_and_one_of_them_wins(store: Store, beside: Store) -> None:
    for _ in range(ROUNDS):
        message = await overdue(store)
        asked = Claim(new_id(store), "sandbox", 10, MINUTE)
        moved, claimed = await asyncio.gather(move(beside, message), store.claim(asked))
        found = await read(store, message)
        if moved:
            assert (claimed.messages, found.carrier, found.status) == ([], "other", Status.QUEUED)
        else:
            assert ids(claimed.messages) == [message.id]
            assert (found.carrier, found.status) == ("sandbox", Status.SENDING)


async def test_a_move_and_both_carriers_claims_give_it_to_one(store: Store, beside: Store) -> None:
    for _ in range(ROUNDS // 2):
        message = await overdue(store)
        mine, theirs = (Claim(new_id(store), name, 10, MINUTE) for name in ("sandbox", "other"))
        found = asyncio.gather(store.claim(mine), beside.claim(theirs))
        _, claims = await asyncio.gather(move(beside, message), found)
        given = [each.id for claimed in claims for each in claimed.messages]
        assert given.count(message.id) <= 1
        await claim(store, carrier="other")
        assert await history(store, message) == ["claim"]


async def test_a_move_never_undoes_a_cancel(store: Store, beside: Store) -> None:
    current = await epoch(store)
    for _ in range(ROUNDS):
        message = await accepted(store, send_in=SECOND)
        asked = Cancellation(message.organization_id, message.id, 0, current)
        answer, _ = await asyncio.gather(store.cancel(asked), move(beside, message))
        assert answer.won
        assert (await read(store, message)).status is Status.CANCELLED
    await advance(store, DAY)
    assert (await claim(store))[1] == []
    assert (await claim(store, carrier="other"))[1] == []


async def test_of_two_moves_at_once_one_wins(store: Store, beside: Store) -> None:
    for _ in range(ROUNDS // 4):
        message = await overdue(store)
        moved = await asyncio.gather(move(store, message, after="one"), move(beside, message, after="two"))
        assert sorted(moved) == [False, True]
        assert await carrier_of(store, message) == ("one" if moved[0] else "two")


# -------------------------------------------------------------------------------------------------- how carriers stand


def state(name: str, *, up: bool = True, **given: Any) -> CarrierState:
    return CarrierState(name=name, kind="smpp", up=up, **given)


async def test_every_process_sees_how_carriers_stand_in_all(store: Store, beside: Store) -> None:
    mine, theirs = new_id(store), new_id(beside)
    links = (LinkState(name="trx", state="bound", since=store.clock.now(), in_flight=3, window=10),)
    await store.tell_carrier(mine, state("one", links=links, taken=7))
    await beside.tell_carrier(theirs, state("one", up=False, last_error="refused"))
    told = await store.carrier_states(Instant(0))
    assert {each.node: each.state for each in told} == {
        mine: state("one", links=links, taken=7),
        theirs: state("one", up=False, last_error="refused"),
    }


async def test_what_a_process_tells_again_takes_the_place_of_what_it_told(store: Store) -> None:
    node = new_id(store)
    await store.tell_carrier(node, state("one"))
    await asyncio.gather(
        *(store.tell_carrier(node, each) for each in (state("one", up=False), state("two"), state("one", taken=1)))
    )
    told = await store.carrier_states(Instant(0))
    assert [each.state for each in told] == [state("one", taken=1), state("two")]


async def test_what_was_told_long_ago_is_not_counted_on(store: Store) -> None:
    await store.tell_carrier(new_id(store), state("one"))
    await advance(store, MINUTE)
    await store.tell_carrier(new_id(store), state("two"))
    since = Instant(store.clock.now() - 10 * SECOND)
    assert [each.state.name for each in await store.carrier_states(since)] == ["two"]


async def test_a_process_that_stops_is_forgotten_and_no_other(store: Store) -> None:
    idle, mine, other = (new_id(store) for _ in range(3))
    await store.tell_carrier(idle, state("one"))
    await advance(store, 2 * DAY)
    await store.tell_carrier(mine, state("one"))
    await store.tell_carrier(other, state("one"))
    await store.rerouting.forget(mine)
    assert [each.node for each in await store.carrier_states(Instant(0))] == [other, idle]
