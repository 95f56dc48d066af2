"""A claim whose answer was lost: what it was given is in nobody's hands, and must not end as unknown (promise P2).

And an outcome whose answer was lost: it stands.
"""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from heliograph.dispatch.dispatcher import LEASE_MARGIN
from heliograph.domain.instant import HOUR
from heliograph.domain.lifecycle import Status
from heliograph.store.claims import Claim, Claimed
from heliograph.store.engine import StoreUnavailable
from heliograph.store.outcomes import Outcome
from heliograph.store.store import Store
from tests.builders import status_of
from tests.dispatch.scripted import Depot, Scripted, depot
from tests.store.histories import history, overdue


class Road:
    """The way to the database: the answers of some claims do not come back."""

    def __init__(self, store: Store) -> None:
        self.asked: list[Claim] = []
        self.lost = 0
        self.cut = False
        """Whether what is asked does not even arrive."""
        self._claim = store.claim
        store.claim = self.claim  # type: ignore[method-assign]  # the way to the database is cut

    async def claim(self, claim: Claim) -> Claimed:
        """Claim; the answer may be lost."""
        self.asked.append(replace(claim))
        if self.cut:
            raise StoreUnavailable("away")
        answer = await self._claim(claim)
        if self.lost:
            self.lost -= 1
            raise StoreUnavailable("away")
        return answer


async def lost_claim(house: Depot, road: Road) -> None:
    """One that was given everything, and whose answer did not come."""
    road.lost = 1
    with pytest.raises(StoreUnavailable):
        await house.dispatchers[0].claim(10)


async def test_what_a_claim_was_given_is_sent_though_its_answer_was_lost(store: Store) -> None:
    house, road = depot(store, Scripted("one")), Road(store)
    message = await overdue(store, carrier="one")
    await lost_claim(house, road)
    await house.dispatchers[0].settle()
    assert await status_of(store, message) is Status.SENT
    assert await history(store, message) == ["claim", "accept"]
    assert road.asked[0].token == road.asked[1].token


async def test_it_is_asked_again_until_it_is_answered(store: Store) -> None:
    house, road = depot(store, Scripted("one")), Road(store)
    await overdue(store, carrier="one")
    for _ in range(3):
        await lost_claim(house, road)
    assert len(await house.dispatchers[0].claim(10)) == 1
    assert len({each.token for each in road.asked}) == 1


async def test_its_lease_counts_from_the_first_time_that_it_was_asked(store: Store) -> None:
    house, road = depot(store, Scripted("one"), lease=HOUR), Road(store)
    await overdue(store, carrier="one")
    await lost_claim(house, road)
    ((_, asked_at),) = house.dispatchers[0]._unanswered
    (claimed,) = await house.dispatchers[0].claim(10)
    assert claimed.usable_until == asked_at + HOUR - int(HOUR * LEASE_MARGIN)


async def test_it_takes_nothing_new_under_its_old_lease(store: Store) -> None:
    house, road = depot(store, Scripted("one")), Road(store)
    first = await overdue(store, carrier="one")
    await lost_claim(house, road)
    second = await overdue(store, carrier="one")
    for message in (first, second):
        assert [each.message.id for each in await house.dispatchers[0].claim(10)] == [message.id]


async def test_where_it_was_given_nothing_a_new_claim_is_made(store: Store) -> None:
    house, road = depot(store, Scripted("one")), Road(store)
    await overdue(store, carrier="one")
    road.cut = True
    with pytest.raises(StoreUnavailable):
        await house.dispatchers[0].claim(10)
    road.cut = False
    (claimed,) = await house.dispatchers[0].claim(10)
    first, again, new = road.asked
    assert (again.token, again.limit) == (first.token, 0)
    assert claimed.token == new.token != first.token


async def test_two_that_ask_at_once_do_not_both_have_it(store: Store) -> None:
    house, road = depot(store, Scripted("one")), Road(store)
    await overdue(store, carrier="one")
    await lost_claim(house, road)
    answers = await asyncio.gather(*(house.dispatchers[0].claim(10) for _ in range(3)))
    assert sum(map(len, answers)) == 1


async def test_once_its_lease_is_over_it_is_left_to_the_upkeep(store: Store) -> None:
    house, road = depot(store, Scripted("one"), lease=0), Road(store)
    await overdue(store, carrier="one")
    await lost_claim(house, road)
    assert await house.dispatchers[0].claim(10) == []
    assert len({each.token for each in road.asked}) == 2


async def test_it_is_asked_for_though_the_carrier_has_no_room(store: Store) -> None:
    carrier = Scripted("one")
    house, road = depot(store, carrier), Road(store)
    message = await overdue(store, carrier="one")
    await lost_claim(house, road)
    carrier.room = 0
    await house.dispatchers[0].run_pass()
    await asyncio.gather(*house.dispatchers[0]._in_hand)
    assert await history(store, message) == ["claim", "accept"]


async def test_a_stop_hands_it_back(store: Store) -> None:
    house, road = depot(store, Scripted("one")), Road(store)
    message = await overdue(store, carrier="one")
    await lost_claim(house, road)
    await house.dispatchers[0].stop()
    assert await history(store, message) == ["claim", "hand_back"]
    assert house.given == []


async def test_a_stop_without_a_database_ends(store: Store) -> None:
    house, road = depot(store, Scripted("one")), Road(store)
    await overdue(store, carrier="one")
    await lost_claim(house, road)
    road.lost = 1
    await house.dispatchers[0].stop()
    assert house.given == []


async def test_an_outcome_whose_answer_was_lost_is_not_called_a_lost_lease(store: Store) -> None:
    house, record, lost = depot(store, Scripted("one")), store.record, [2]
    message = await overdue(store, carrier="one")

    async def record_unanswered(outcome: Outcome) -> bool:
        answer = await record(outcome)
        if lost[0]:
            lost[0] -= 1
            raise StoreUnavailable("away")
        return answer

    store.record = record_unanswered  # type: ignore[method-assign]  # the way back from the database is cut
    with capture_logs() as logs:
        await house.dispatchers[0].settle()
    assert lost == [0]
    assert "lease_lost" not in {each.get("action") for each in logs}
    assert await history(store, message) == ["claim", "accept"]
