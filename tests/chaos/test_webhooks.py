"""kill -9, SIGSTOP and a receiver that is away: every event arrives, under its one id (P6)."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from sqlalchemy import func, select

from heliograph.domain.delivery import DeliveryStatus
from heliograph.domain.events import EventType, reported
from heliograph.domain.lifecycle import Change
from heliograph.store.schema import migrate
from heliograph.store.store import Store
from heliograph.store.tables import message_events, webhook_deliveries
from tests.chaos.auditor import Violation, require_kept
from tests.chaos.evidence import Ledger, reading, seen, settled
from tests.chaos.servers import Disaster, Server, client, quick, serving, storm
from tests.webhooks.receiver import Receiver, Request, answer, calling, held, receiving

IN_FLIGHT = 20
"""How many attempts a server is killed in the middle of, at least."""
MESSAGES = 200
WINDOW = 32


async def test_a_server_killed_within_attempts_and_before_their_record_tells_everything(
    prepared_database_url: str, tmp_path: Path, chance: Random, scale: int
) -> None:
    answered: list[Request] = []
    async with receiving() as receiver:
        within, before = partial(kill_in_flight, receiver), partial(kill_before_record, receiver, answered)
        told = await weather(prepared_database_url, tmp_path, chance, receiver, [within, before] * scale)
    assert told.repeated >= IN_FLIGHT, "no attempt was in flight when the server was killed"
    assert len(answered) == scale
    assert all(told.arrivals[each.event_id] > 1 for each in answered), "an answer was on record before the kill"


async def test_a_receiver_that_is_away_for_half_of_it_is_told_everything(
    prepared_database_url: str, tmp_path: Path, chance: Random, scale: int
) -> None:
    async with receiving() as receiver:
        url = receiver.url("/events")
        await receiver.down()
        disasters: list[Disaster] = [Server.crash_and_start, *[partial(return_of, receiver)] * scale]
        told = await weather(prepared_database_url, tmp_path, chance, receiver, disasters, url)
    assert told.failed_attempts > 0, "nothing was tried while the receiver was away"


async def test_a_paused_server_tells_nothing_under_another_id(
    new_postgres_database: Callable[[], str], tmp_path: Path, chance: Random
) -> None:
    url, settings = new_postgres_database(), events_quick(tmp_path)
    await migrate(url)
    gate = asyncio.Event()
    async with receiving() as receiver, serving(url, settings) as (paused,), reading(url) as store:
        receiver.otherwise(held(gate))
        await send(paused, chance, receiver.url("/events"))
        await settled(store)
        await receiver.holds(WINDOW)
        paused.pause()
        gate.set()
        async with serving(url, settings):
            await all_told(store)
            before = await deliveries(store)
            paused.resume()
            await paused.stop()
            assert await deliveries(store) == before
        told = await evidence(store, receiver.requests)
    print(told)
    require_kept(list(audit_events(told)))
    assert WINDOW <= told.repeated < told.arrived
    assert "webhook_lease_lost" in paused.log


# ------------------------------------------------------------------------------------------------------- disasters


async def kill_in_flight(receiver: Receiver, server: Server) -> None:
    """The receiver gives no answer until the server is dead."""
    gate = asyncio.Event()
    receiver.otherwise(held(gate))
    await receiver.holds(IN_FLIGHT)
    server.kill()
    receiver.otherwise(answer())
    gate.set()
    await server.come_back()


async def kill_before_record(receiver: Receiver, answered: list[Request], server: Server) -> None:
    """The server is killed in the moment in which the receiver has answered."""
    killed = asyncio.Event()

    def kill(request: Request) -> None:
        if not killed.is_set():
            server.kill()
            answered.append(request)
            killed.set()

    receiver.otherwise(calling(kill))
    await killed.wait()
    receiver.otherwise(answer())
    await server.come_back()


async def return_of(receiver: Receiver, server: Server) -> None:
    """The receiver is back, and the server has not noticed anything."""
    await receiver.up()


def events_quick(folder: Path) -> dict[str, str]:
    """Settings under which a lost attempt is made again after two seconds, and none is ever given up."""
    return quick(
        folder / "record",
        SANDBOX__ANSWER_DELAY="0",
        WEBHOOKS__TIMEOUT="1s",
        WEBHOOKS__TIMEOUT_V1="1s",
        WEBHOOKS__LEASE="2s",
        WEBHOOKS__TRIES="100",
        WEBHOOKS__RETRY_BASE="50ms",
        WEBHOOKS__RETRY_MAX="500ms",
        WEBHOOKS__ENDPOINT_WINDOW=str(WINDOW),
    )


async def weather(
    url: str,
    folder: Path,
    chance: Random,
    receiver: Receiver,
    disasters: Sequence[Disaster],
    hook: str | None = None,
) -> "Told":
    """Let it storm, wait until all is final and told, and audit."""
    await migrate(url)
    async with serving(url, events_quick(folder)) as (server,), reading(url) as store:
        await storm(server, Ledger(), chance, disasters, webhook_url=hook or receiver.url("/events"))
        await settled(store)
        await all_told(store)
        told = await evidence(store, receiver.requests)
    print(told)
    require_kept(list(audit_events(told)))
    return told


async def send(server: Server, chance: Random, hook: str) -> None:
    """Messages, each of which is told of."""
    async with client(Ledger(), chance, webhook_url=hook) as sender:
        await asyncio.gather(*(sender.send(server) for _ in range(MESSAGES)))


# -------------------------------------------------------------------------------------------------------- evidence


@dataclass(frozen=True, slots=True)
class Event:
    """What the log says of an event, or what a receiver was told."""

    message_id: str
    type: str


@dataclass(slots=True)
class Told:
    """What was to be told, and what was."""

    events: Mapping[str, Event]
    """By id, from the log of the messages."""
    deliveries: Mapping[str, tuple[str, int]]
    """Status, and attempts on record, by the id of their event."""
    requests: Sequence[Request] = field(repr=False)

    @property
    def arrivals(self) -> Counter[str]:
        """How often each event arrived."""
        return Counter(each.headers["webhook-id"] for each in self.requests)

    @property
    def arrived(self) -> int:
        """Events that arrived."""
        return len(self.arrivals)

    @property
    def repeated(self) -> int:
        """Events that arrived more than once."""
        return sum(count > 1 for count in self.arrivals.values())

    @property
    def failed_attempts(self) -> int:
        """Attempts on record beside the one that was taken."""
        return sum(attempts - 1 for _, attempts in self.deliveries.values())

    def __str__(self) -> str:
        counts = {"events": len(self.events), "arrived": self.arrived, "repeated": self.repeated}
        counts |= {"requests": len(self.requests), "failed attempts": self.failed_attempts}
        return ", ".join(f"{name} {count}" for name, count in counts.items())


async def evidence(store: Store, requests: Sequence[Request]) -> Told:
    """Everything that stands in the database and at the receiver."""
    log = message_events.c
    rows = await store.engine.fetch(select(log.id, log.message_id, log.change))
    told = [(row, reported(Change(row["change"]), ())) for row in rows]
    events = {str(row["id"]): Event(str(row["message_id"]), event) for row, event in told if event is not None}
    return Told(events, await deliveries(store), list(requests))


async def deliveries(store: Store) -> Mapping[str, tuple[str, int]]:
    """Status and number of attempts of every delivery, by the id of its event."""
    kept = webhook_deliveries.c
    rows = await store.engine.fetch(select(kept.event_id, kept.status, kept.attempts))
    assert len({row["event_id"] for row in rows}) == len(rows), "an event has two deliveries"
    return {str(row["event_id"]): (row["status"], row["attempts"]) for row in rows}


async def all_told(store: Store) -> None:
    """Return once no delivery waits."""
    waiting = webhook_deliveries.c.status == DeliveryStatus.PENDING.value

    async def look() -> bool:
        rows = await store.engine.fetch(select(func.count().label("count")).where(waiting))
        return bool(rows[0]["count"] == 0)

    await seen(look)


def audit_events(told: Told) -> Iterator[Violation]:
    """P6: each event arrived, under its id; what arrived was an event; and what is on record says so."""
    for event_id, event in told.events.items():
        if not told.arrivals[event_id]:
            yield Violation("P6", event.message_id, f"{event.type} {event_id} never arrived")
        status, attempts = told.deliveries.get(event_id, ("not there", 0))
        if status != DeliveryStatus.DELIVERED or not attempts:
            yield Violation("P6", event.message_id, f"{event.type} {event_id} is {status} after {attempts} attempts")
    first: dict[str, Request] = {}
    for each in told.requests:
        yield from _audit_request(told, each, first.setdefault(each.headers["webhook-id"], each))


def _audit_request(told: Told, request: Request, first: Request) -> Iterator[Violation]:
    data = request.told["data"]
    named = Event(data["payload"]["id"], EventType(data["event_type"]))
    if not request.headers["webhook-id"] == data["id"] == first.event_id:
        yield Violation("P6", named.message_id, f"{data['id']} came as {request.headers['webhook-id']}")
    if told.events.get(data["id"]) != named:
        yield Violation("P6", named.message_id, f"{data['id']} is {told.events.get(data['id'])} in the log")
    if request.data != first.data:
        yield Violation("P6", named.message_id, f"{data['id']} said {first.data!r}, then {request.data!r}")
