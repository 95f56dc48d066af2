"""What a run leaves behind: the answers clients got, what the carrier noted, what stands in the database."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import func, select

from heliograph.domain.instant import MILLISECOND, Instant
from heliograph.domain.lifecycle import FINAL, Change, Status
from heliograph.service import Loop
from heliograph.store.engine import Row, open_engine
from heliograph.store.inbound import RECEIVE
from heliograph.store.messages import MESSAGE_COLUMNS, in_order, to_message
from heliograph.store.store import Store
from heliograph.store.tables import handset_messages, message_events, messages, pending_counts
from tests.chaos.auditor import Answer, Handed, Story, is_unknown

LOOK_AGAIN = 20 * MILLISECOND


class Ledger:
    """What clients were told."""

    def __init__(self) -> None:
        self.acknowledged: set[str] = set()
        self.cancels: defaultdict[str, list[Answer]] = defaultdict(list)
        self.send_at: dict[str, Instant] = {}
        """For when what was acknowledged was scheduled."""
        self.reads: defaultdict[str, list[str]] = defaultdict(list)
        """What became of a message as clients read it, one read after the answer to the one before."""
        self.answers = 0
        self.lost = 0
        """Requests whose answer never came."""
        self.unavailable = 0
        """Answers that said that nobody knows (503)."""
        self._changed = asyncio.Condition()

    async def took(self, message_id: str) -> None:
        """A message was acknowledged."""
        self.acknowledged.add(message_id)
        await self.answered()

    async def read(self, message_id: str, status: str) -> None:
        """A read was answered."""
        self.reads[message_id].append(status)
        await self.answered()

    async def cancelled(self, message_id: str, answer: Answer) -> None:
        """A cancel was answered."""
        self.cancels[message_id].append(answer)
        await self.answered()

    async def answered(self) -> None:
        """An answer came, whatever it was."""
        async with self._changed:
            self.answers += 1
            self._changed.notify_all()

    async def more_answers(self, count: int) -> None:
        """Return once `count` more answers have come."""
        await self.reached(self.answers + count)

    async def reached(self, count: int) -> None:
        """Return once `count` answers have come in all."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.answers >= count)


class _Watch(Loop):
    """Looks again and again, until it has seen what it looks for."""

    name = "watch"

    def __init__(self, look: Callable[[], Awaitable[bool]], pause: int) -> None:
        super().__init__()
        self._look = look
        self._pause = pause
        self.seen = asyncio.Event()

    async def run_pass(self) -> int:
        if await self._look():
            self.seen.set()
        return self._pause


async def seen(look: Callable[[], Awaitable[bool]], pause: int = LOOK_AGAIN) -> None:
    """Return once `look` has answered true: the signal for what happens in another process."""
    watch = _Watch(look, pause)
    await watch.start()
    try:
        await watch.seen.wait()
    finally:
        await watch.stop()


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[Store]:
    """A store to look into from outside; it writes nothing."""
    store = Store(open_engine(url, pool_size=2, sandbox=True))
    try:
        yield store
    finally:
        await store.engine.close()


async def count_in(store: Store, statuses: Iterable[Status]) -> int:
    """How many messages are in one of these statuses."""
    wanted = messages.c.status.in_([status.value for status in statuses])
    rows = await store.engine.fetch(select(func.count().label("count")).where(wanted))
    return int(rows[0]["count"])


async def settled(store: Store, unfinished: frozenset[Status] = frozenset()) -> None:
    """Return once every message is final, or in a status in which it may be left."""
    waiting = frozenset(Status) - FINAL - unfinished

    async def look() -> bool:
        return await count_in(store, waiting) == 0

    await seen(look)


async def collect(store: Store, ledger: Ledger, handed: Iterable[Handed]) -> list[Story]:
    """The story of every message that a client, the carrier or the database knows of."""
    stories: dict[str, Story] = {}

    def story(message_id: str) -> Story:
        return stories.setdefault(message_id, Story(message_id))

    for row in await store.engine.fetch(select(*MESSAGE_COLUMNS)):
        message = to_message(row)
        story(message.id).row = message
    for message_id in ledger.acknowledged:
        story(message_id).acknowledged = True
    for message_id, answers in ledger.cancels.items():
        story(message_id).cancels = answers
    for each in handed:
        story(each.message_id).handed.append(each)
    for log in (await _logs(store)).values():
        for row in in_order(log):
            told = story(str(row["message_id"]))
            told.log.append((Change(row["change"]), Status(row["status"])))
            told.logged_at.append(made_at(str(row["id"])))
    return list(stories.values())


async def _logs(store: Store) -> Mapping[str, list[Row]]:
    """The event logs of what was sent, by message; `in_order` is how `MessageVerbs.timeline` shows them."""
    log = message_events.c
    statement = select(log.id, log.message_id, log.change, log.status).where(log.change != RECEIVE)
    logs: defaultdict[str, list[Row]] = defaultdict(list)
    for row in await store.engine.fetch(statement.order_by(log.message_id)):
        logs[str(row["message_id"])].append(row)
    return logs


def made_at(uuid7: str) -> Instant:
    """When an id was made, to the millisecond."""
    return Instant(int(uuid7.replace("-", "")[:12], 16) * MILLISECOND)


async def pending(store: Store) -> int:
    """The counter of scheduled messages."""
    counted: Any = select(func.coalesce(func.sum(pending_counts.c.count), 0).label("count"))
    return int((await store.engine.fetch(counted))[0]["count"])


def read_record(path: Path) -> list[Handed]:
    """The record file of the simulated carrier, oldest first."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    # An earlier version does not say when.
    return [Handed(line["id"], line["attempt"], line.get("at")) for line in map(msgspec.json.decode, lines)]


def summary(ledger: Ledger, stories: Sequence[Story]) -> str:
    """How much happened."""
    statuses = Counter(story.row.status.value for story in stories if story.row)
    told = {"acknowledged": len(ledger.acknowledged), "answers lost": ledger.lost, "503": ledger.unavailable}
    handed = sum(len(story.handed) for story in stories)
    seen = {"given to the carrier": handed, "unknown": sum(map(is_unknown, stories))}
    return ", ".join(f"{name} {count}" for name, count in (told | seen | dict(statuses)).items())


async def most_arrivals(store: Store) -> int:
    """How often the message that arrived most often is on its handset."""
    arrivals = func.count().label("arrivals")
    grouped = select(handset_messages.c.message_id, arrivals).group_by(handset_messages.c.message_id)
    return int((await store.engine.fetch(grouped.order_by(arrivals.desc()).limit(1)))[0]["arrivals"])
