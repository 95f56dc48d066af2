"""A sender of events with an account of its own, on both databases, and a receiver; nothing runs by itself."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from heliograph.domain.accounts import Organization, Profile
from heliograph.domain.delivery import DeliveryStatus, Tries
from heliograph.domain.events import EventType
from heliograph.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant
from heliograph.domain.lifecycle import Change
from heliograph.domain.message import Facts, Message
from heliograph.domain.receipt import Receipt
from heliograph.domain.text import Encoding
from heliograph.outgoing import OutgoingHttp, OutgoingOptions
from heliograph.store.deliveries import DeliveryFilter, DeliveryReport
from heliograph.store.engine import open_engine
from heliograph.store.lanes import EndpointState
from heliograph.store.messages import Accepted
from heliograph.store.outcomes import Outcome
from heliograph.store.store import Store
from heliograph.store.tables import message_events
from heliograph.webhooks.sender import WebhookOptions, WebhookSender
from tests.builders import MANY, accept, advance, claim, make_account, make_message, new_id
from tests.webhooks.receiver import Receiver, receiving

# Long enough for a machine that does much else; who waits for the end of it says a shorter one.
PATIENT = 20 * SECOND
# A wait of five minutes and more outlasts every test: it is over when a test moves the clock, however slow the machine.
TRIES = Tries(per_url=3, retry_base=10 * MINUTE, retry_max=DAY)
OPTIONS = WebhookOptions(
    timeout=PATIENT,
    timeout_v1=PATIENT,
    tries=TRIES,
    window=128,
    endpoint_window=32,
    lease=10 * MINUTE,
    poll_interval=SECOND // 5,
)
OUTGOING = OutgoingOptions(loopback=True, connect=PATIENT)
OWN_URL = "/own"
PROFILE = Facts(Encoding.GSM7, 13)
"""Of a message that came without URLs."""


def own(url: str, failover: str | None = None, **given: Any) -> Facts:
    """The facts of a message that came with URLs."""
    return Facts(Encoding.GSM7, 13, webhook_url=url, webhook_failover_url=failover, own_webhooks=True, **given)


@dataclass
class Desk:
    """An organisation with a profile that names no URL, and the sender that tells it of its messages."""

    store: Store
    receiver: Receiver
    sender: WebhookSender
    organization: Organization
    profile: Profile

    async def message(self, facts: Facts | None = None, **given: Any) -> Message:
        """A message that was taken, to be sent at once; its own URL is `/own` unless facts are given."""
        message = self.made(facts, **given)
        assert await accept(self.store, message) is Accepted.TAKEN
        return message

    async def messages(self, count: int, facts: Facts) -> list[Message]:
        """Many of them."""
        made = [self.made(facts) for _ in range(count)]
        await asyncio.gather(*(accept(self.store, each, max_pending=MANY) for each in made))
        return made

    def made(self, facts: Facts | None = None, **given: Any) -> Message:
        """A message of this desk, not yet taken."""
        whose = {"organization_id": self.organization.id, "profile_id": self.profile.id}
        told = facts or own(self.receiver.url(OWN_URL))
        # The database's clock decides what is due, and may be a moment behind ours.
        now = {} if "send_in" in given else {"send_in": None, "due_at": Instant(self.store.clock.now() - SECOND)}
        return make_message(self.store, **{**now, **whose, "facts": told, **given})

    async def refused(self, facts: Facts | None = None, **given: Any) -> Message:
        """A message that its carrier refused: one event, `message.finalized`."""
        message = await self.message(facts, **given)
        await self.outcome(Change.REFUSE)
        return message

    async def refuse_all(self, count: int, facts: Facts) -> list[Message]:
        """Many of them: an event each."""
        made = await self.messages(count, facts)
        await self.outcome(Change.REFUSE, limit=count)
        return made

    async def outcome(self, change: Change, *, limit: int = 100, **given: Any) -> None:
        """Claim what is due, and record an outcome of it."""
        token, claimed = await claim(self.store, limit=limit)
        assert claimed
        now = self.store.clock.now()
        outcomes = [Outcome(each.id, token, change, now, **given) for each in claimed]
        assert all(await asyncio.gather(*map(self.store.record, outcomes)))

    async def sent(self, facts: Facts | None = None, **given: Any) -> Message:
        """A message that its carrier took, under its own id: one event, `message.sent`."""
        message = await self.message(facts, **given)
        await self.accept_of_carrier()
        return message

    async def accept_of_carrier(self) -> None:
        """The carrier takes what is due."""
        token, claimed = await claim(self.store)
        assert claimed
        now = self.store.clock.now()
        for each in claimed:
            deadline = Instant(now + HOUR)
            took = Outcome(each.id, token, Change.ACCEPT, now, ids=(f"c-{each.id}",), deadline_at=deadline)
            assert await self.store.record(took)

    async def receipt(self, message: Message, change: Change) -> None:
        """The carrier says what became of a message."""
        now = self.store.clock.now()
        await self.store.keep_receipt(Receipt(new_id(self.store), "sandbox", f"c-{message.id}", change, now))

    async def set_profile(self, **settings: Any) -> None:
        """Change the settings of the profile."""
        changed = msgspec.structs.replace(self.profile.settings, **settings)
        self.profile = replace(self.profile, settings=changed, updated_at=self.store.clock.now())
        await self.store.changes.save_profile(self.profile)

    async def settle(self) -> None:
        """Make all attempts that are due."""
        await self.sender.settle()

    async def later(self, micros: int) -> None:
        """Move the clock, and make all attempts that are due then."""
        await advance(self.store, micros)
        await self.settle()

    async def play_out(self) -> None:
        """Make attempts, moving the clock from one to the next, until nothing waits."""
        await self.settle()
        while any(each.status is DeliveryStatus.PENDING for each in await self.all_reports()):
            now = self.store.clock.now()
            due = await self.store.lanes.next_due(now)
            await self.later(0 if due is None else due - now)

    async def all_reports(self) -> Sequence[DeliveryReport]:
        """What is on record of all deliveries, newest first, untried ones too."""
        _, tried = await self.store.deliveries.page(self.organization.id, DeliveryFilter(), 0, MANY)
        pending = DeliveryFilter(status=DeliveryStatus.PENDING)
        _, waiting = await self.store.deliveries.page(self.organization.id, pending, 0, MANY)
        return [*{each.delivery.id: each for each in [*waiting, *tried]}.values()]

    async def report(self) -> DeliveryReport:
        """What is on record of the only delivery."""
        [report] = await self.all_reports()
        return report

    async def logged(self, message: Message) -> Mapping[Change, str]:
        """The event ids of a message's changes."""
        log = message_events.c
        rows = await self.store.engine.fetch(select(log.id, log.change).where(log.message_id == message.id))
        return {Change(row["change"]): str(row["id"]) for row in rows}

    async def endpoint(self, path: str) -> EndpointState | None:
        """What is kept of an endpoint."""
        known = {each.url: each for each in await self.store.lanes.endpoints(self.organization.id)}
        return known.get(self.receiver.url(path))

    def events(self, path: str | None = None) -> list[str]:
        """The types of the events that came, in their order."""
        came = self.receiver.requests if path is None else self.receiver.at(path)
        return [each.event for each in came]


class Office:
    """Opens desks on one database, each with a store and connections of its own, as several processes have."""

    def __init__(self, url: str, receiver: Receiver, until_end: AsyncExitStack) -> None:
        self._url = url
        self._receiver = receiver
        self._until_end = until_end

    async def desk(
        self,
        name: str = "Acme",
        *,
        optional: Collection[EventType] = (),
        outgoing: OutgoingOptions = OUTGOING,
        **options: Any,
    ) -> Desk:
        """A new organisation and its sender, with some options changed."""
        store = await self._store(optional)
        organization, profile = await make_account(store, name)
        sender = await self._sender(store, outgoing, options)
        return Desk(store, self._receiver, sender, organization, profile)

    async def beside(self, desk: Desk, **options: Any) -> Desk:
        """Another sender for the same organisation."""
        store = await self._store(())
        return replace(desk, store=store, sender=await self._sender(store, OUTGOING, options))

    async def _store(self, optional: Collection[EventType]) -> Store:
        store = Store(open_engine(self._url, sandbox=True), optional_events=optional)
        await store.start()
        self._until_end.push_async_callback(store.stop)
        return store

    async def _sender(self, store: Store, outgoing: OutgoingOptions, options: dict[str, Any]) -> WebhookSender:
        http = OutgoingHttp(outgoing)
        await http.start()
        self._until_end.push_async_callback(http.stop)
        sender = WebhookSender(store, http, replace(OPTIONS, **options))
        self._until_end.push_async_callback(sender.stop)
        return sender


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that answers 200 until it is told otherwise."""
    async with receiving() as listening:
        yield listening


@pytest.fixture
async def office(prepared_database_url: str, receiver: Receiver) -> AsyncIterator[Office]:
    """Desks on a fresh database."""
    async with AsyncExitStack() as until_end:
        yield Office(prepared_database_url, receiver, until_end)


@pytest.fixture
async def desk(office: Office) -> Desk:
    """One desk, with time enough for every attempt."""
    return await office.desk()
