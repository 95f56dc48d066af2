"""Receipts that never come are asked for, at a real SMSC, before nothing is awaited any more."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from heliograph.carriers.smpp.carrier import SmppCarrier
from heliograph.carriers.smpp.options import SmppOptions
from heliograph.carriers.smpp.smsc import Smsc
from heliograph.carriers.smpp.smsc_script import Final, Script
from heliograph.dispatch.dispatcher import Dispatcher
from heliograph.dispatch.inquiry import INTERVAL, Inquiry
from heliograph.dispatch.reception import Receptionist, ReceptionOptions
from heliograph.domain.instant import HOUR, MINUTE
from heliograph.domain.lifecycle import Status
from heliograph.domain.message import Message
from heliograph.domain.receipt import Receipt
from heliograph.store.store import Store
from tests.builders import MANY, PLANNER, accepted, advance, status_of
from tests.dispatch.conftest import OPTIONS, TABLES
from tests.dispatch.scripted import Scripted, depot

LONG = "x" * 400
SILENT = Script(receipt_missing_every=1)


@asynccontextmanager
async def sending(store: Store, script: Script, *, query: bool = True) -> AsyncIterator[tuple[Dispatcher, Inquiry]]:
    """A carrier that is bound to an SMSC whose receipts get lost, and who asks it."""
    async with Smsc(script) as smsc:
        options = SmppOptions(
            name="smpp", host="127.0.0.1", port=smsc.port, system_id="me", password="secret", query=query
        )
        carrier = SmppCarrier(options, store.parts, store.clock)
        inbox = Receptionist(store, TABLES, ReceptionOptions(HOUR, HOUR, cancel_pending=True, replies=True), PLANNER)
        dispatcher = Dispatcher(store, carrier, replace(OPTIONS, unconfirmed_after=HOUR))
        bound = asyncio.Event()
        carrier.changed = bound.set
        await carrier.start(inbox)
        try:
            while not carrier.up:
                bound.clear()
                await bound.wait()
            yield dispatcher, Inquiry(store, carrier, inbox, HOUR)
        finally:
            await carrier.stop()


async def test_what_was_delivered_and_not_told_is_asked_for_before_the_wait_is_over(store: Store) -> None:
    async with sending(store, SILENT) as (dispatcher, inquiry):
        message = await accepted(store, send_in=None, carrier="smpp")
        await dispatcher.settle()
        assert await inquiry.run_pass() == INTERVAL
        assert await status_of(store, message) is Status.SENT
        await advance(store, 56 * MINUTE)
        await inquiry.run_pass()
        assert await status_of(store, message) is Status.DELIVERED


async def test_each_part_is_asked_for(store: Store) -> None:
    async with sending(store, SILENT) as (dispatcher, inquiry):
        message = await accepted(store, send_in=None, carrier="smpp", text=LONG, parts=3)
        await dispatcher.settle()
        await advance(store, 56 * MINUTE)
        await inquiry.run_pass()
        assert await status_of(store, message) is Status.DELIVERED


async def test_a_failure_is_told_too(store: Store) -> None:
    async with sending(store, replace(SILENT, final=Final.UNDELIV)) as (dispatcher, inquiry):
        message = await accepted(store, send_in=None, carrier="smpp")
        await dispatcher.settle()
        await advance(store, 56 * MINUTE)
        await inquiry.run_pass()
        assert await status_of(store, message) is Status.DELIVERY_FAILED


async def test_a_carrier_that_does_not_know_changes_nothing(store: Store) -> None:
    async with sending(store, replace(SILENT, final=Final.UNKNOWN)) as (dispatcher, inquiry):
        message = await accepted(store, send_in=None, carrier="smpp")
        await dispatcher.settle()
        await advance(store, 56 * MINUTE)
        await inquiry.run_pass()
        assert await status_of(store, message) is Status.SENT
        await advance(store, 5 * MINUTE)
        assert await store.unconfirm(10) == 1
        assert await status_of(store, message) is Status.DELIVERY_UNCONFIRMED


class Asked:
    """Counts what it is asked, and goes down after some of it."""

    name = "one"
    up = True
    room = 1

    def __init__(self, answers: int = MANY) -> None:
        self.asked = 0
        self._answers = answers

    async def query(self, message: Message, ids: Sequence[str]) -> Sequence[Receipt]:
        """Nothing is known."""
        self.asked += 1
        self.up = self.asked < self._answers
        return []


async def unconfirmed(store: Store, count: int) -> None:
    """Messages whose receipts are nearly given up."""
    house = depot(store, Scripted("one"), unconfirmed_after=MINUTE)
    for _ in range(count):
        await accepted(store, send_in=None, carrier="one")
    await house.settle()


def inquiry_of(store: Store, carrier: Asked) -> Inquiry:
    options = ReceptionOptions(HOUR, HOUR, cancel_pending=True, replies=True)
    return Inquiry(store, carrier, Receptionist(store, TABLES, options, PLANNER), HOUR)


@pytest.mark.parametrize(("up", "room"), [(False, 0), (True, 0), (False, 1)])
async def test_while_it_is_down_or_rests_nothing_is_asked_in_vain(store: Store, up: bool, room: int) -> None:
    await unconfirmed(store, 1)
    carrier = Asked()
    inquiry = inquiry_of(store, carrier)
    carrier.up, carrier.room = up, room
    assert await inquiry.run_pass() == INTERVAL
    assert carrier.asked == 0
    carrier.up, carrier.room = True, 1
    for _ in range(2):
        await inquiry.run_pass()
    assert carrier.asked == 1


async def test_when_it_goes_down_the_rest_is_asked_later(store: Store) -> None:
    await unconfirmed(store, 3)
    carrier = Asked(2)
    inquiry = inquiry_of(store, carrier)
    assert await inquiry.run_pass() == INTERVAL
    assert carrier.asked == 2
    carrier.up = True
    await inquiry.run_pass()
    assert carrier.asked == 3
