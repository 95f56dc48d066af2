"""Who looks seldom is told of what is due soon, and looks at once."""

from asyncio import Event
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from httpx import ASGITransport, AsyncClient

from heliograph.api.app import create_app
from heliograph.api.context import ApiContext
from heliograph.dispatch.dispatcher import Dispatcher
from heliograph.domain.instant import DAY, HOUR, SECOND, Instant, to_text
from heliograph.domain.schedule import ScheduleRules
from heliograph.server import new_key, new_sender
from heliograph.store.store import Store
from tests.builders import PLANNER, accepted, make_account, new_id, status_of
from tests.dispatch.conftest import TABLES, Build

NUMBER = "+18445550001"


@dataclass
class Desk:
    """An API, and what it tells those who send."""

    store: Store
    client: AsyncClient
    released: Event

    async def send(self, **given: str) -> None:
        body = {"from": NUMBER, "to": "+18665550001", "text": "Hello."} | given
        answer = await self.client.post("/v2/messages", json=body)
        assert answer.status_code == 200, answer.text

    def after(self, micros: int) -> str:
        return to_text(Instant(self.store.clock.now() + micros))


@pytest.fixture
async def desk(store: Store) -> AsyncIterator[Desk]:
    organization, profile = await make_account(store)
    await store.changes.add_sender(new_sender(store, profile, NUMBER), store.clock.now())
    released = Event()
    # On a busy machine a second is over before it is looked at.
    rules = ScheduleRules(min_lead=-HOUR, max_lead=DAY, cancel_cutoff=0, max_pending=10)
    context = ApiContext(store, TABLES, rules, HOUR, DAY, 10_000, released.set, planner=PLANNER)
    headers = {"authorization": f"Bearer {await new_key(store, organization, 'test')}"}
    app = ASGITransport(app=create_app(context))
    async with AsyncClient(transport=app, base_url="http://here", headers=headers) as client:
        yield Desk(store, client, released)


async def test_what_is_sent_at_once_is_told(desk: Desk) -> None:
    await desk.send()
    assert desk.released.is_set()


async def test_what_falls_due_before_the_next_look_is_told(desk: Desk) -> None:
    await desk.send(send_at=desk.after(SECOND))
    assert desk.released.is_set()


async def test_what_falls_due_later_is_found_by_looking(desk: Desk) -> None:
    await desk.send(send_at=desk.after(HOUR))
    assert not desk.released.is_set()


async def test_a_dispatcher_that_is_woken_looks_at_once(build: Build) -> None:
    house = build(poll_interval=HOUR)
    dispatcher: Dispatcher = house.dispatcher
    await dispatcher.start()
    await dispatcher.wait_passed(1)
    message = await accepted(house.store, send_in=None, id=new_id(house.store))
    dispatcher.wake()
    await dispatcher.wait_passed(2)
    await dispatcher.stop()
    assert (await status_of(house.store, message)).value in {"sent", "delivered"}


async def test_it_waits_no_longer_than_until_the_next_is_due(build: Build) -> None:
    house = build(poll_interval=HOUR)
    assert await house.dispatcher.run_pass() == HOUR
    await accepted(house.store, send_in=SECOND * 100)
    assert 0 < await house.dispatcher.run_pass() <= SECOND * 100
