"""The wall clock of a node is put an hour and a day ahead and back while it works (P1 to P5).

On PostgreSQL there is one clock, the database's: a node whose own is wrong does everything at the true time. On SQLite
it is the machine's: what it shows is believed, and no step loses a message, sends one twice or brings back what was
called off. The SMSC is another process, with the true time.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import ColumnElement, func, select

from heliograph.clock import SystemClock
from heliograph.domain.instant import DAY, HOUR, MILLISECOND, SECOND, Instant
from heliograph.domain.lifecycle import FINAL, Status
from heliograph.store.messages import words
from heliograph.store.store import Store
from heliograph.store.tables import messages
from tests.chaos.auditor import (
    Answer,
    Expected,
    Story,
    Violation,
    audit,
    audit_pending,
    cancel_is_final,
    refusal_is_final,
    require_kept,
)
from tests.chaos.evidence import Ledger, count_in, made_at, pending, reading, seen
from tests.chaos.servers import HELIOGRAPH, Client, Compose, Disaster, Server, client, serving, storm
from tests.chaos.smpp_auditor import RULES
from tests.chaos.smpp_centre import SmscProcess, centre
from tests.chaos.smpp_evidence import audited, collect_over_smpp, doubted, told
from tests.chaos.smpp_servers import CROWD, DELAYED, PATIENT, Letters, new_file, over_smpp, prepare
from tests.chaos.wall_clocks import NEAR, WallClock, library
from tests.chaos.workload import until
from tests.webhooks.receiver import Request, calling, receiving

ON_ONE_NODE = (HOUR, -HOUR, DAY, -DAY)
ON_SQLITE = (HOUR, 0, DAY, 0, DAY)
"""It ends where the clock was furthest ahead: what waited for that must not have been forgotten."""
BETWEEN = (40, 80)
"""Answers that clients get between two steps."""
TOLERATED = 300 * SECOND
"""Receivers refuse a signature whose time is further off (Contract 3.4)."""
LIMITED = {"HTTP__REQUESTS_PER_SECOND": "1000"}
"""More than clients make: nobody is ever told to wait."""
FAR = (HOUR // 2, DAY // 2, 3 * DAY)
"""How far ahead some messages are scheduled: due when the clock is an hour ahead, a day, and never."""
PLANNED = 8
"""How many for each of these, before each step; every second is called off."""
REFUSING = (*DELAYED, "--refuse", "RX_T_APPN=3")
"""Every third submit is refused for now: messages are claimed more than once, and some when the clock is put back."""
CHANGE_MIND = 0.7
PENDING = Expected(unfinished=frozenset({Status.SCHEDULED}))


@pytest.fixture
def wall(tmp_path: Path) -> WallClock:
    """A wall clock that can be set."""
    found = library()
    if found is None:
        why = "not installed: libfaketime (apt-get install libfaketime)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    return WallClock(found, tmp_path)


# ---------------------------------------------------------------------------------------------------------- postgresql


async def test_a_node_with_a_wrong_clock_does_all_at_the_true_time(
    new_postgres_database: Callable[[], str], wall: WallClock, tmp_path: Path, chance: Random, scale: int
) -> None:
    url, ledger, attempts = new_postgres_database(), Ledger(), Attempts()
    account, began = await prepare(url), SystemClock().now()
    letters, left = Letters(chance), set[str]()

    async def step(ahead: int, server: Server) -> None:
        await wall.step(ahead, server)
        async with client(ledger, chance, letters) as sender:
            left.update(await schedule_far(sender, server, ledger))

    steps: Sequence[Disaster] = [partial(step, ahead) for ahead in ON_ONE_NODE] * scale
    async with centre(tmp_path / "record", DELAYED) as smsc, reading(url) as store, receiving() as receiver:
        receiver.otherwise(calling(attempts.note))
        settings = over_smpp(tmp_path, smsc.port, **PATIENT) | LIMITED | {"OUTGOING__ALLOW": "127.0.0.1/32"}
        async with (
            serving(url, settings, account=account, program=wall.under(HELIOGRAPH)) as (stepped,),
            serving(url, settings, account=account) as (right,),
        ):
            load = partial(load_both, stepped, right, ledger, chance, letters, receiver.url("/events"))
            # One that starts with a wrong clock is none the wiser.
            await load([*steps, Server.stop_and_start])
            await seen(partial(remain, store, len(left)))
        await smsc.stop()
        stories, violations = await audited(store, ledger, smsc.submits(), PENDING)
    require_kept(violations + list(audit_times(stories, began, SystemClock().now())))
    assert scheduled(stories) == left, "what is due in half an hour is not due by the clock of a node"
    assert not doubted(stories), "a lease was judged by the clock of a node"
    attempts.require_believed()


async def schedule_far(sender: Client, server: Server, ledger: Ledger) -> set[str]:
    """Schedule messages for half an hour later, and call every second off: the others."""
    left: set[str] = set()
    for number in range(PLANNED):
        message_id, _ = await sender.schedule(server, HOUR // 2)
        assert message_id is not None
        if number % 2:
            await sender.cancel(server, message_id)
            assert ledger.cancels[message_id] == [Answer.CANCELLED]
        else:
            left.add(message_id)
    return left


async def remain(store: Store, count: int) -> bool:
    """Whether only so many messages are not final."""
    return await count_in(store, frozenset(Status) - FINAL) == count


def scheduled(stories: Sequence[Story]) -> set[str]:
    """The messages that are left so."""
    return {story.message_id for story in stories if story.row and story.row.status is Status.SCHEDULED}


async def load_both(
    stepped: Server,
    right: Server,
    ledger: Ledger,
    chance: Random,
    compose: Compose,
    hook: str,
    steps: Sequence[Disaster],
) -> None:
    """Load two servers until one of them has gone through this, with cancels at both for what was taken by either."""
    over = asyncio.Event()

    async def end(_: Server) -> None:
        await over.wait()

    fill = partial(
        storm, ledger=ledger, chance=chance, compose=compose, crowd=CROWD // 2, between=BETWEEN, webhook_url=hook
    )
    async with asyncio.TaskGroup() as both:
        both.create_task(fill(right, disasters=[end], others=[stepped]))
        await fill(stepped, disasters=steps, others=[right])
        over.set()


class Attempts:
    """By how much the time in a webhook is ahead of the true time when it comes."""

    def __init__(self) -> None:
        self.ahead: list[int] = []

    def note(self, request: Request) -> None:
        """One came."""
        self.ahead.append(int(request.headers["telnyx-timestamp"]) * SECOND - SystemClock().now())

    def require_believed(self) -> None:
        """Each was signed at a time that its receiver accepts."""
        assert self.ahead
        print(f"webhooks: {len(self.ahead)}, off by {max(map(abs, self.ahead)) / SECOND:.1f} s at most")
        assert max(map(abs, self.ahead)) <= TOLERATED


def audit_times(stories: Sequence[Story], began: Instant, ended: Instant) -> list[Violation]:
    """Whatever a node wrote down, it wrote the true time, in ids too."""
    return [
        Violation("P4", story.message_id, f"{name} is {at - began} us after the run began")
        for story in stories
        for name, at in _times(story)
        if not began - NEAR <= at <= ended + NEAR
    ]


def _times(story: Story) -> list[tuple[str, Instant]]:
    row = story.row
    written = {} if row is None else {"left": row.left_at, "sent": row.sent_at, "completed": row.completed_at}
    known = [(name, at) for name, at in written.items() if at is not None]
    known += [] if row is None else [("received", row.received_at)]
    return [*known, ("its id", made_at(story.message_id)), *(("an event", at) for at in story.logged_at)]


# -------------------------------------------------------------------------------------------------------------- sqlite


async def test_the_machines_clock_is_believed_and_nothing_is_lost_by_a_step(
    wall: WallClock, tmp_path: Path, chance: Random, scale: int
) -> None:
    url, ledger, letters = new_file(tmp_path), TimedLedger(), Dated(Letters(chance))
    account = await prepare(url)
    async with centre(tmp_path / "record", REFUSING) as smsc, reading(url) as store:
        settings = over_smpp(tmp_path, smsc.port, **{**PATIENT, "validity": "72h"}) | LIMITED
        async with (
            serving(url, settings, account=account, program=wall.under(HELIOGRAPH)) as (server,),
            client(ledger, chance, letters, wall) as sender,
        ):
            plan = Plan(wall, store, server, sender, ledger, chance)
            await plan.go_through(ON_SQLITE * scale)
            await seen(plan.all_due_has_ended)
        await smsc.stop()
        stories, violations = await machine_audited(store, ledger, smsc, wall, letters)
    require_kept(violations)
    assert scheduled(stories) == plan.ahead


class Dated:
    """Letters of which it is known since when they can have been under way, by the true time."""

    def __init__(self, letters: Letters) -> None:
        self._letters = letters
        self.since: dict[str, Instant] = {}

    def __call__(self) -> Mapping[str, str]:
        """The next."""
        letter = self._letters()
        self.since[letter["text"]] = SystemClock().now()
        return letter


class TimedLedger(Ledger):
    """A ledger that says when a cancel was answered last, by the true time."""

    def __init__(self) -> None:
        super().__init__()
        self.cancelled_at: dict[str, Instant] = {}

    async def cancelled(self, message_id: str, answer: Answer) -> None:
        """A cancel was answered."""
        self.cancelled_at[message_id] = SystemClock().now()
        await super().cancelled(message_id, answer)


class Plan:
    """Clients, messages for long after, and steps between them."""

    def __init__(
        self, wall: WallClock, store: Store, server: Server, sender: Client, ledger: Ledger, chance: Random
    ) -> None:
        self._wall = wall
        self._store = store
        self._server = server
        self._sender = sender
        self._ledger = ledger
        self._chance = chance
        self._planned: dict[str, Instant] = {}

    @property
    def ahead(self) -> set[str]:
        """What was scheduled for long after, was not called off, and is not due yet."""
        return {message_id for message_id, send_at in self._planned.items() if send_at > self._wall.now()}

    async def go_through(self, steps: Sequence[int]) -> None:
        """Put the clock so far ahead of the true time, one after the other; after each, what it says is due leaves."""
        calm = asyncio.Event()
        async with asyncio.TaskGroup() as clients:
            for _ in range(CROWD):
                clients.create_task(self._be_busy(calm))
            for ahead in steps:
                await asyncio.gather(*(self._schedule_far(number) for number in range(PLANNED)))
                await self._ledger.more_answers(self._chance.randint(*BETWEEN))
                await self._wall.step(ahead, self._server)
                await seen(self._due_has_left)
            await self._ledger.more_answers(BETWEEN[0])
            calm.set()

    async def _be_busy(self, calm: asyncio.Event) -> None:
        """Send, schedule, and cancel most of it when it falls due, if the clock goes on."""
        true, chance = SystemClock(), self._chance
        while not calm.is_set():
            await self._sender.send(self._server)
            lead = chance.randint(50, 500) * MILLISECOND
            message_id, _ = await self._sender.schedule(self._server, lead)
            if message_id is not None and chance.random() < CHANGE_MIND:
                moment = Instant(true.now() + lead + chance.randint(-100, 20) * MILLISECOND)
                await until(moment, true)
                await self._sender.cancel(self._server, message_id)
                await self._sender.cancel(self._server, message_id)

    async def _schedule_far(self, number: int) -> None:
        for lead in FAR:
            message_id, send_at = await self._sender.schedule(self._server, lead)
            assert message_id is not None
            if number % 2:
                await self._sender.cancel(self._server, message_id)
            else:
                self._planned[message_id] = send_at

    async def _due_has_left(self) -> bool:
        """Whether nothing that was scheduled for long before now waits."""
        return await self._count(messages.c.send_at < self._wall.now() - NEAR, [Status.SCHEDULED]) == 0

    async def all_due_has_ended(self) -> bool:
        """Whether nothing but the future is waited for."""
        past = func.coalesce(messages.c.send_at, 0) <= self._wall.now()
        return await self._count(past, [each for each in Status if each not in FINAL]) == 0

    async def _count(self, condition: ColumnElement[bool], statuses: Sequence[Status]) -> int:
        found = select(func.count().label("count")).where(condition, messages.c.status.in_(words(statuses)))
        return int((await self._store.engine.fetch(found))[0]["count"])


async def machine_audited(
    store: Store, ledger: TimedLedger, smsc: SmscProcess, wall: WallClock, letters: Dated
) -> tuple[list[Story], list[Violation]]:
    """The stories and what was broken; early is what left before the machine's clock can have shown its time.

    What it was too late to call off may be called off once the clock was put back: it is not too late any more.
    """
    stories = await collect_over_smpp(store, ledger, smsc.submits())
    steadily: list[Story] = []
    for story in stories:
        since = letters.since[story.row.text or ""] if story.row else wall.history[0].since
        story.handed = [replace(each, at=wall.latest(since, each.at)) for each in story.handed if each.at is not None]
        if not wall.was_put_back(since, ledger.cancelled_at.get(story.message_id, since)):
            steadily.append(story)
    print(told(ledger, stories))
    violations = audit(stories, PENDING, {**RULES, "P1": (cancel_is_final,)})
    violations += audit(steadily, promises={"P1": (refusal_is_final,)})
    return stories, violations + audit_pending(stories, await pending(store))
