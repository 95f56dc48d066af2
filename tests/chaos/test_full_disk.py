"""The disk of the database is full for a while (P1 to P5): what cannot be kept is answered 503, and nothing is lost.

Nobody repairs anything: there is room again, and it goes on. Only a PostgreSQL whose write-ahead log has no room gives
up, and is started again as by whoever looks after it. The record of the carrier is on another disk.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import aiohttp
import pytest

from heliograph.clock import SystemClock, monotonic
from heliograph.domain.instant import SECOND, Instant
from tests.chaos.auditor import is_unknown, require_kept
from tests.chaos.evidence import Ledger, reading, seen, settled
from tests.chaos.servers import HELIOGRAPH, Client, Server, client, serving, storm
from tests.chaos.small_disks import MIB, SmallDisk, SmallPostgres, small_disk, small_postgres, why_none
from tests.chaos.smpp_centre import centre
from tests.chaos.smpp_evidence import audited, doubted
from tests.chaos.smpp_servers import BETWEEN, CROWD, DELAYED, PATIENT, Letters, new_file, over_smpp, prepare

REFUSED = 4
"""503 that clients get while a disk is full, at least."""
IMPATIENT = (sys.executable, "-m", "tests.chaos.impatient")
"""A server that tells its clients after a second what it would tell them after five: for the short form."""
PLANNED = 8
SOON = SECOND
"""When what is scheduled before a disk is full falls due: it is full for at least as long as a server is patient."""
READS = 20
LINES_A_SECOND = 30
"""What a server may log while it cannot write. One that tried again without a pause would log thousands."""
BUSY = 0.5
"""How much of a processor it may use meanwhile, beside what it does for the messages that it could take after all."""
A_MESSAGE = 0.005
"""Seconds of a processor that one of those may cost, all of its way."""
NEVER_OVER: dict[str, object] = {**PATIENT, "lease": "120s"}
"""No lease ends while a disk is full: what is known of a message must not end as unknown."""


@pytest.fixture
def mountable() -> None:
    """Small disks can be mounted."""
    if (why := why_none()) is not None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)


@pytest.fixture
def own_disk(mountable: None, tmp_path: Path) -> Iterator[SmallDisk]:
    """For a file of SQLite."""
    with small_disk(tmp_path / "disk", 48 * MIB) as disk:
        yield disk


@pytest.fixture
def own_postgres(mountable: None) -> Iterator[SmallPostgres]:
    """A server on two disks of its own."""
    with small_postgres(192 * MIB, 48 * MIB) as server:
        yield server


async def test_a_full_disk_under_sqlite_loses_nothing(
    own_disk: SmallDisk, tmp_path: Path, chance: Random, scale: int
) -> None:
    log = await weather(new_file(own_disk.folder), tmp_path, chance, [partial(full, own_disk)] * scale, scale)
    assert "database or disk is full" in log


async def test_a_full_disk_under_the_tables_of_postgresql_loses_nothing(
    own_postgres: SmallPostgres, tmp_path: Path, chance: Random, scale: int
) -> None:
    log = await weather(own_postgres.url, tmp_path, chance, [partial(full, own_postgres.data)] * scale, scale)
    assert "No space left on device" in log


async def test_a_full_disk_under_the_log_of_postgresql_loses_nothing(
    own_postgres: SmallPostgres, tmp_path: Path, chance: Random, scale: int
) -> None:
    await weather(own_postgres.url, tmp_path, chance, [partial(log_full, own_postgres)] * scale, scale)
    assert "No space left on device" in own_postgres.log


# ----------------------------------------------------------------------------------------------------------- disasters


@dataclass(frozen=True, slots=True)
class Run:
    """Who sends, and what they were told."""

    ledger: Ledger
    sender: Client
    session: aiohttp.ClientSession


Filled = Callable[[Run, Server], Awaitable[None]]


async def full(disk: SmallDisk, run: Run, server: Server) -> None:
    """Nothing more can be written down; what was, can be read."""
    async with minds_changed(run, server):
        with calm(run, server):
            async with disk.kept_full():
                await refused(run)
                await read(run, server, {200})


async def log_full(postgres: SmallPostgres, run: Run, server: Server) -> None:
    """No change can be logged: PostgreSQL panics. It may recover on what is left of its log, and panic once more."""
    panics = postgres.log.count("PANIC")
    async with minds_changed(run, server):
        with calm(run, server):
            async with postgres.wal.kept_full():
                await refused(run)
                await read(run, server, {200, 503})
            assert postgres.log.count("PANIC") > panics, "there was room in its log after all"
            await postgres.come_back()


@asynccontextmanager
async def minds_changed(run: Run, server: Server) -> AsyncIterator[None]:
    """Messages that fall due meanwhile: a third is called off before, and a third is asked to be when it is too late
    to write that down, until there is an answer.
    """
    planned = await asyncio.gather(*(run.sender.schedule(server, SOON) for _ in range(3 * PLANNED)))
    ids = [message_id for message_id, _ in planned if message_id is not None]
    await asyncio.gather(*(run.sender.cancel(server, each) for each in ids[::3]))
    async with asyncio.TaskGroup() as cancels:
        for each in ids[1::3]:
            cancels.create_task(run.sender.change_mind(each, Instant(SystemClock().now() + SOON // 2), [server]))
        yield


async def refused(run: Run) -> None:
    """Return once so many more clients were told that it cannot be done now."""
    wanted = run.ledger.unavailable + REFUSED

    async def enough() -> bool:
        return run.ledger.unavailable >= wanted

    await seen(enough)


async def read(run: Run, server: Server, statuses: Collection[int]) -> None:
    """Read some of what was acknowledged, each answered by one of these."""
    for message_id in sorted(run.ledger.acknowledged)[-READS:]:
        status, _ = await server.ask(run.session, "GET", f"/messages/{message_id}")
        assert status in statuses


@contextmanager
def calm(run: Run, server: Server) -> Iterator[None]:
    """A server tries again and again, with pauses, and says so in some lines.

    PostgreSQL comes back between two panics, and then there is work.
    """
    began, used, lines = monotonic(), processor_time(server.pid), server.written.count("\n")
    taken = len(run.ledger.acknowledged)
    yield
    seconds = (monotonic() - began) / SECOND
    used, lines = processor_time(server.pid) - used, server.written.count("\n") - lines
    taken = len(run.ledger.acknowledged) - taken
    print(f"full for {seconds:.1f} s: {used:.2f} s of a processor, {lines} lines of log, {taken} messages taken")
    assert used < BUSY * seconds + A_MESSAGE * taken
    assert lines < LINES_A_SECOND * seconds


def processor_time(pid: int) -> float:
    """Seconds that a process has used (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def weather(url: str, folder: Path, chance: Random, disasters: Sequence[Filled], scale: int) -> str:
    """Let it storm, wait until all is final, and audit; what the server has logged."""
    account, ledger, letters = await prepare(url), Ledger(), Letters(chance)
    program = IMPATIENT if scale == 1 else HELIOGRAPH
    async with centre(folder / "record", DELAYED) as smsc, reading(url) as store:
        settings = over_smpp(folder, smsc.port, **NEVER_OVER)
        async with (
            serving(url, settings, account=account, program=program) as (server,),
            client(ledger, chance, letters) as sender,
            aiohttp.ClientSession() as session,
        ):
            run = Run(ledger, sender, session)
            befall = [partial(each, run) for each in disasters]
            await storm(server, ledger, chance, befall, letters, crowd=CROWD, between=BETWEEN)
            await settled(store)
        await smsc.stop()
        stories, violations = await audited(store, ledger, smsc.submits())
    require_kept(violations)
    assert ledger.lost == 0, "the server itself did not go down"
    assert not any(map(is_unknown, stories)), "what the carrier answered was not kept until there was room"
    assert not doubted(stories)
    assert "never retrieved" not in server.log, "a task ended with an error that nobody saw"
    return server.log
