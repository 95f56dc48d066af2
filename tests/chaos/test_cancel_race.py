"""Thousands of cancels against the due instant (P1, P3, P4, P5): several nodes on one database."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Self
from urllib.parse import urlsplit

from heliograph.clock import SystemClock
from heliograph.domain.instant import MILLISECOND, SECOND, Instant
from heliograph.domain.lifecycle import Status
from heliograph.store.schema import migrate
from tests.chaos.auditor import Answer, Expected, audit, audit_pending, require_kept
from tests.chaos.evidence import Ledger, collect, pending, read_record, reading, settled
from tests.chaos.servers import CANCEL_ANSWERS, Client, Server, client, quick, serving
from tests.chaos.workload import Race, Witness, cluster, run_race, until

SENT = frozenset({Status.SENT})
CONNECTIONS = 300
WINDOW = 50 * MILLISECOND
"""How far from the due instant a cancel is sent, at most, to either side."""
APART = 5 * MILLISECOND
"""The two cancels of one message, at most."""
NOTICE = 2 * SECOND
"""From the first schedule to the due instant."""


async def test_cancel_and_send_never_both_win(prepared_database_url: str, chance: Random, scale: int) -> None:
    await migrate(prepared_database_url)
    carrier, ledger = Witness(), Ledger()
    race = Race(messages=2_000, spread=2 * SECOND, window=100 * MILLISECOND)
    async with cluster(prepared_database_url, carrier, nodes=2, dispatchers=2) as nodes:
        for _ in range(scale):
            await run_race(race, nodes, ledger, chance)
        store = nodes[0].store
        await settled(store, SENT)
        stories = await collect(store, ledger, carrier.handed)
        violations = audit(stories, Expected(unfinished=SENT)) + audit_pending(stories, await pending(store))
    require_kept(violations)
    require_both_won(ledger)


async def test_hundreds_who_cancel_at_one_instant_are_told_who_won(
    new_postgres_database: Callable[[], str], tmp_path: Path, chance: Random, scale: int
) -> None:
    url, record, ledger = new_postgres_database(), tmp_path / "record", Ledger()
    await migrate(url)
    storm, rounds = Storm(ledger), 0
    async with serving(url, quick(record, SANDBOX__ANSWER_DELAY="0"), 3) as servers, reading(url) as store:
        # A machine that is busy for a whole round lets one side win all of it, which is no race.
        while rounds < scale or not both_won(ledger):
            await storm.breaks(servers, chance)
            rounds += 1
        await settled(store)
        stories = await collect(store, ledger, read_record(record))
        violations = audit(stories) + audit_pending(stories, await pending(store))
    print(f"{rounds} rounds of {CONNECTIONS} connections; by when the cancel was sent:")
    print(storm)
    require_kept(violations)
    require_both_won(ledger)
    assert (ledger.lost, ledger.unavailable) == (0, 0)


class Storm:
    """Cancels from hundreds of connections, all within a moment around the instant at which all messages are due.

    Each message is cancelled twice, nearly at once, at two servers: both must be told the same.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._clock = SystemClock()
        self._winners: defaultdict[int, Counter[Answer]] = defaultdict(Counter)
        """By the millisecond at which the cancel was sent, from the due instant."""

    async def breaks(self, servers: Sequence[Server], chance: Random) -> None:
        """One round: schedule, connect, cancel, and ask again at the third server who won."""
        due = Instant(self._clock.now() + NOTICE)
        async with client(self._ledger, chance) as sender, AsyncExitStack() as connections:
            places = [chance.sample(servers, 3) for _ in range(CONNECTIONS // 2)]
            names = await asyncio.gather(*(self._schedule(sender, first, due) for first, _, _ in places))
            # What a busy machine was too slow for is not there.
            taken = [(name, place) for name, place in zip(names, places, strict=True) if name is not None]
            cancels = []
            for name, (_, *others) in taken:
                moment = Instant(due + chance.randint(-WINDOW, WINDOW - APART))
                for server, at in zip(others, (moment, Instant(moment + chance.randint(0, APART))), strict=True):
                    line = await connections.enter_async_context(Line.to(server))
                    cancels.append(self._cancel(line, name, due, at))
            await asyncio.gather(*cancels)
            await asyncio.gather(*(sender.cancel(first, name) for name, (first, _, _) in taken))

    async def _schedule(self, sender: Client, server: Server, due: Instant) -> str | None:
        message_id, _ = await sender.schedule(server, due - self._clock.now())
        return message_id

    async def _cancel(self, line: "Line", message_id: str, due: Instant, moment: Instant) -> None:
        await until(moment, self._clock)
        sent_at = self._clock.now()
        status = await line.delete(f"/v2/messages/{message_id}")
        assert status in CANCEL_ANSWERS, f"it was answered {status}"
        self._winners[(sent_at - due) // MILLISECOND][CANCEL_ANSWERS[status]] += 1
        await self._ledger.cancelled(message_id, CANCEL_ANSWERS[status])

    def __str__(self) -> str:
        def row(at: int, won: Counter[Answer]) -> str:
            return f"{at:+4} ms: cancelled {won[Answer.CANCELLED]:3}, sent {won[Answer.REFUSED]:3}"

        return "\n".join(row(at, won) for at, won in sorted(self._winners.items()))


class Line:
    """A connection that is open before anything is asked, so that a request is one write at its moment."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def to(cls, server: Server) -> AsyncIterator[Self]:
        """One to a server."""
        where = urlsplit(server.base_url)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        try:
            yield cls(server, reader, writer)
        finally:
            writer.close()
            await writer.wait_closed()

    async def delete(self, path: str) -> int:
        """The status of the answer."""
        head = (f"DELETE {path} HTTP/1.1", "host: test", f"authorization: Bearer {self._server.api_key}", "", "")
        self._writer.write("\r\n".join(head).encode())
        return int((await self._reader.readline()).split()[1])


def both_won(ledger: Ledger) -> bool:
    """Whether it was a race."""
    return {answers[0] for answers in ledger.cancels.values()} == {*Answer}


def require_both_won(ledger: Ledger) -> None:
    """Where one side always wins nothing was raced; how often each does is the machine's affair."""
    won = Counter(answers[0] for answers in ledger.cancels.values())
    print(f"cancelled {won[Answer.CANCELLED]}, sent {won[Answer.REFUSED]}")
    assert won[Answer.CANCELLED]
    assert won[Answer.REFUSED]
