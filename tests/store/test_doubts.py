"""Messages of which nobody knows whether their carrier has them: what settles that, and what ends it."""

import asyncio
from typing import Any

from sqlalchemy import select

from heliograph.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant
from heliograph.domain.lifecycle import Change, Status
from heliograph.domain.message import Message, Progress
from heliograph.domain.outcome import LEASE_LOST, NEVER_ANSWERED, NEVER_SETTLED
from heliograph.store.doubts import Settlement
from heliograph.store.lapses import Recovered, Recovery
from heliograph.store.outcomes import Outcome
from heliograph.store.store import Store
from heliograph.store.tables import message_events
from tests.builders import accepted, advance, claim, new_id
from tests.store.doubting import (
    EXPIRY,
    SETTLES,
    UNKNOWN,
    doubted,
    in_doubt,
    late,
    lost_lease,
    repeated,
    reported,
)
from tests.store.histories import history, overdue, read

# -------------------------------------------------------------------------------------------------------- late answers


async def test_a_late_answer_settles_a_doubt(store: Store) -> None:
    message = await doubted(store)
    assert await late(store, message, "c1")
    found = await read(store, message)
    assert (found.status, found.errors, found.carrier_message_id) == (Status.SENT, (), "c1")
    assert found.sent_at is not None
    assert await history(store, message) == ["claim", "doubt", "accept"]
    assert (await store.reports.overview()).unknown == 0


async def test_what_a_late_answer_settled_has_its_receipt_by_its_id(store: Store) -> None:
    message = await doubted(store)
    await late(store, message, "c1")
    await reported(store, message, "c1", recipient=None, sender=None)
    assert await history(store, message) == ["claim", "doubt", "accept", "deliver"]


async def test_a_receipt_that_came_before_the_late_answer_is_applied_with_it(store: Store) -> None:
    message = await doubted(store)
    await reported(store, message, "c1", recipient=None, sender=None)
    assert await in_doubt(store, message)
    await late(store, message, "c1")
    assert await history(store, message) == ["claim", "doubt", "accept", "deliver"]


async def test_the_receipt_of_what_was_settled_is_awaited_like_any_other(store: Store) -> None:
    message = await doubted(store)
    await late(store, message, "c1")
    await advance(store, 2 * HOUR)
    assert await store.unconfirm(100) == 1
    assert await history(store, message) == ["claim", "doubt", "accept", "unconfirm"]


async def test_a_doubt_is_settled_once(store: Store) -> None:
    message = await doubted(store)
    assert await late(store, message, "c1")
    assert not await late(store, message, "c2")
    assert (await read(store, message)).carrier_message_id == "c1"
    assert await history(store, message) == ["claim", "doubt", "accept"]


async def test_two_late_answers_in_one_commit_settle_it_once(store: Store) -> None:
    message = await doubted(store)
    await asyncio.gather(late(store, message, "c1"), late(store, message, "c1"))
    assert await history(store, message) == ["claim", "doubt", "accept"]


async def test_a_late_answer_of_another_carrier_settles_nothing(store: Store) -> None:
    message = await doubted(store)
    assert not await late(store, message, "c1", carrier="other")
    assert await in_doubt(store, message)


async def test_a_late_answer_for_a_message_that_is_unknown_here_settles_nothing(store: Store) -> None:
    message = await doubted(store)
    stranger = Settlement(type(message.id)(new_id(store)), "sandbox", ("c1",), store.clock.now(), None)
    assert not await store.settle(stranger)


async def test_a_late_answer_for_what_is_in_hand_settles_nothing(store: Store) -> None:
    message = await overdue(store)
    token, _ = await claim(store)
    assert not await late(store, message, "c1")
    assert await store.record(Outcome(message.id, token, Change.ACCEPT, store.clock.now(), ids=("c2",)))


async def test_a_late_answer_after_the_end_changes_nothing(store: Store) -> None:
    message = await doubted(store)
    await advance(store, 2 * HOUR)
    await store.recover(SETTLES)
    assert not await late(store, message, "c1")
    found = await read(store, message)
    assert (found.status, found.errors) == (Status.DELIVERY_UNCONFIRMED, (UNKNOWN,))
    assert await history(store, message) == ["claim", "doubt", "lose"]


async def test_a_late_answer_stops_the_repeat_that_an_operator_wanted(store: Store) -> None:
    message = await repeated(store)
    assert await late(store, message, "c1")
    await advance(store, MINUTE)
    assert (await claim(store))[1] == []
    assert await history(store, message) == ["claim", "defer", "accept"]


async def test_a_late_answer_does_not_stop_a_repeat_that_is_under_way(store: Store) -> None:
    message = await repeated(store)
    await advance(store, MINUTE)
    token, _ = await claim(store)
    assert not await late(store, message, "c1")
    assert await store.record(Outcome(message.id, token, Change.ACCEPT, store.clock.now(), ids=("c2",)))
    assert await history(store, message) == ["claim", "defer", "claim", "accept"]


async def test_what_is_only_deferred_is_not_in_doubt(store: Store) -> None:
    message = await overdue(store)
    token, _ = await claim(store)
    await store.record(Outcome(message.id, token, Change.DEFER, store.clock.now(), due_at=store.clock.now()))
    assert not await late(store, message, "c1")


async def test_where_no_receipts_come_a_settled_message_stays_sent(store: Store) -> None:
    message = await doubted(store)
    assert await store.settle(Settlement(message.id, "sandbox", ("c1",), store.clock.now(), None))
    await advance(store, 100 * DAY)
    assert await store.unconfirm(100) == 0
    assert await history(store, message) == ["claim", "doubt", "accept"]


async def test_a_late_answer_tells_when_it_left_where_that_was_not_known(store: Store) -> None:
    message = await lost_lease(store)
    left_at = message.received_at
    await store.settle(Settlement(message.id, "sandbox", ("c1",), store.clock.now(), None, left_at))
    assert (await read(store, message)).left_at == left_at


# ------------------------------------------------------------------------------------------------------ several parts


async def test_the_missing_part_settles_a_message_of_several(store: Store) -> None:
    message = await doubted(store, "a", None, "c", total=3)
    assert await late(store, message, None, "b", None)
    assert await history(store, message) == ["claim", "doubt", "accept"]
    for each in "cab":
        await reported(store, message, each, recipient=None)
    assert await history(store, message) == ["claim", "doubt", "accept", "deliver"]


async def test_as_long_as_one_part_is_unknown_it_stays_in_doubt(store: Store) -> None:
    message = await doubted(store, "a", None, None, total=3)
    assert await late(store, message, None, "b", None)
    assert await in_doubt(store, message)
    assert (await read(store, message)).progress == Progress("sandbox", ("a", "b", None), 3)
    assert await late(store, message, None, None, "c")
    assert await history(store, message) == ["claim", "doubt", "accept"]


async def test_answers_for_each_part_may_come_together(store: Store) -> None:
    message = await doubted(store, None, None, total=2)
    answers = await asyncio.gather(late(store, message, "a", None), late(store, message, None, "b"))
    assert list(answers) == [True, True]
    assert await history(store, message) == ["claim", "doubt", "accept"]


async def test_a_part_that_never_left_leaves_a_message_in_doubt(store: Store) -> None:
    message = await doubted(store, "a", None, total=3)
    assert await late(store, message, None, "b")
    assert await in_doubt(store, message)
    assert (await read(store, message)).progress == Progress("sandbox", ("a", "b", None), 3)


async def test_what_was_known_of_a_part_is_not_replaced(store: Store) -> None:
    message = await doubted(store, "a", None, total=2)
    await late(store, message, "x", "b")
    await reported(store, message, "b", recipient=None)
    await reported(store, message, "x", recipient=None)
    assert await history(store, message) == ["claim", "doubt", "accept", "deliver"]


# --------------------------------------------------------------------------------------- the end of the wait, of leases


async def final_events(store: Store, message: Message) -> list[Any]:
    mine = message_events.c.message_id == message.id
    rows = await store.engine.fetch(select(message_events.c.status).where(mine))
    return [row["status"] for row in rows if row["status"] == Status.DELIVERY_UNCONFIRMED.value]


async def test_what_nothing_settles_ends_as_unknown_and_is_told_once(store: Store, beside: Store) -> None:
    message = await doubted(store)
    await advance(store, HOUR + SECOND)
    await beside.engine.synchronize_clock()
    await asyncio.gather(*(node.recover(SETTLES) for _ in range(3) for node in (store, beside)))
    found = await read(store, message)
    assert (found.status, found.errors) == (Status.DELIVERY_UNCONFIRMED, (UNKNOWN,))
    assert found.completed_at is not None
    assert len(await final_events(store, message)) == 1
    assert await history(store, message) == ["claim", "doubt", "lose"]


async def test_before_its_time_is_over_a_doubt_is_left_alone(store: Store) -> None:
    message = await doubted(store)
    await advance(store, HOUR - MINUTE)
    assert await store.recover(SETTLES) == Recovered()
    assert await in_doubt(store, message)


async def test_a_lost_lease_is_a_doubt_where_the_carrier_may_tell(store: Store) -> None:
    message = await lost_lease(store)
    found = await read(store, message)
    assert (found.status, found.errors) == (Status.SENDING, (LEASE_LOST,))
    assert await history(store, message) == ["claim", "doubt"]
    await reported(store, message, "c1")
    assert await history(store, message) == ["claim", "doubt", "accept", "deliver"]


async def test_a_lost_lease_that_nothing_settles_ends_as_unknown(store: Store) -> None:
    message = await lost_lease(store)
    await advance(store, HOUR + SECOND)
    assert await store.recover(SETTLES) == Recovered(lost=1)
    assert await history(store, message) == ["claim", "doubt", "lose"]
    reasons = [row["detail"] for row in await store.messages.timeline(message.id)]
    assert reasons[1:] == [LEASE_LOST.detail, NEVER_SETTLED.detail]


async def test_a_doubt_about_a_carrier_that_is_unknown_here_is_left_to_those_who_know_it(store: Store) -> None:
    message = await doubted(store)
    elsewhere = Recovery([], {"tells": HOUR}, 100, LEASE_LOST, ["other"])
    await advance(store, HOUR + MINUTE)
    assert await store.recover(elsewhere) == Recovered()
    await late(store, message, "c1")
    assert await history(store, message) == ["claim", "doubt", "accept"]


async def test_each_carrier_has_its_own_way_with_a_lost_lease(store: Store) -> None:
    made = {name: await overdue(store, carrier=name) for name in ("again", "tells", "neither", "both")}
    for name in made:
        await claim(store, carrier=name, lease=0)
    known = ["again", "tells", "neither", "both"]
    await store.recover(Recovery(["again", "both"], {"tells": HOUR, "both": HOUR}, 100, LEASE_LOST, known))
    ends = {name: (await history(store, message))[-1] for name, message in made.items()}
    assert ends == {"again": "recover", "tells": "doubt", "neither": "lose", "both": "recover"}


async def test_more_leases_than_one_look_takes_all_end_in_doubt(store: Store) -> None:
    made = [await overdue(store) for _ in range(7)]
    await claim(store, lease=0)
    looks = [await store.recover(Recovery([], {"sandbox": HOUR}, 3, LEASE_LOST)) for _ in range(3)]
    assert looks == [Recovered(doubted=3), Recovered(doubted=3), Recovered(doubted=1)]
    assert [(await history(store, each))[-1] for each in made] == ["doubt"] * 7


async def test_a_scheduled_message_in_doubt_cannot_have_arrived_before_its_time(store: Store) -> None:
    message = await accepted(store, send_in=HOUR)
    await advance(store, HOUR)
    await claim(store, lease=0)
    await store.recover(SETTLES)
    await reported(store, message, "c1", at=Instant(store.clock.now() - 30 * MINUTE))
    assert (await read(store, message)).status is Status.SENDING


async def test_what_a_carrier_has_in_part_does_not_expire_as_unsent(store: Store) -> None:
    message = await overdue(store, parts=2)
    token, _ = await claim(store)
    now, progress = store.clock.now(), Progress("sandbox", ("a",), 2)
    await store.record(Outcome(message.id, token, Change.DEFER, now, due_at=now, progress=progress))
    await advance(store, 2 * HOUR)
    assert await store.expire(EXPIRY) == (0, 1)
    assert (await read(store, message)).errors == (NEVER_ANSWERED,)
    assert await history(store, message) == ["claim", "defer", "lose"]


async def test_a_repeat_that_was_not_made_in_time_ends_as_unknown(store: Store) -> None:
    message = await repeated(store)
    await advance(store, 2 * HOUR)
    assert await store.expire(EXPIRY) == (0, 1)
    assert await history(store, message) == ["claim", "defer", "lose"]


async def test_late_answers_and_the_end_of_the_wait_race_and_one_of_them_wins(store: Store, beside: Store) -> None:
    made = [await doubted(store, recipient=f"+1866555{number:04}") for number in range(60)]
    await advance(store, HOUR + SECOND)
    await beside.engine.synchronize_clock()
    settled = asyncio.gather(*(late(store, each, f"c{index}") for index, each in enumerate(made)))
    ended = asyncio.gather(*(beside.recover(Recovery([], {"sandbox": HOUR}, 7, LEASE_LOST)) for _ in range(12)))
    answers, _ = await asyncio.gather(settled, ended)
    ends = [(await history(store, each))[2:] for each in made]
    assert ends == [["accept"] if answer else ["lose"] for answer in answers]
