"""A server that is paused for longer than its lease while submits are under way, and others that go on (P1 to P5)."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random

from heliograph.store.store import Store
from tests.chaos.auditor import Story, is_unknown, require_kept
from tests.chaos.evidence import Ledger, reading, seen, settled
from tests.chaos.servers import Server, client, serving
from tests.chaos.smpp_centre import SmscProcess, centre
from tests.chaos.smpp_evidence import audited, collect_over_smpp, doubted
from tests.chaos.smpp_servers import BINDS, Letters, in_doubt, over_smpp, prepare

MESSAGES = 200
SLOW = ("--answer-delay", "500ms", "--deliver-window", "5")
"""Answers come when the server is paused already; and its links hold back few receipts."""


async def test_a_paused_server_sends_nothing_of_what_was_decided_meanwhile(
    new_postgres_database: Callable[[], str], tmp_path: Path, chance: Random
) -> None:
    url, ledger = new_postgres_database(), Ledger()
    account = await prepare(url)
    async with centre(tmp_path / "record", SLOW) as smsc, reading(url) as store:
        settings = over_smpp(tmp_path, smsc.port)
        async with serving(url, settings, account=account) as (paused,):
            await pause_in_flight(paused, smsc, ledger, chance)
            async with serving(url, settings, account=account):
                await settled(store)
                decided, before = await facts(store), submits_of_first(smsc)
                paused.resume()
                await paused.stop()
            assert await facts(store) == decided
        # It can be halted between its look at the lease and the write.
        assert submits_of_first(smsc) - before <= 1
        await smsc.stop()
        stories, violations = await audited(store, ledger, smsc.submits())
    require_kept(violations)
    assert doubted(stories), "nothing was under way when it was paused"
    assert "lease_lost" in paused.log


async def test_a_server_that_resumes_tells_what_became_of_what_is_in_doubt(
    new_postgres_database: Callable[[], str], tmp_path: Path, chance: Random
) -> None:
    url, ledger = new_postgres_database(), Ledger()
    account = await prepare(url)
    async with centre(tmp_path / "record", SLOW) as smsc, reading(url) as store:
        settings = over_smpp(tmp_path, smsc.port)
        async with serving(url, settings, account=account) as (paused,):
            await pause_in_flight(paused, smsc, ledger, chance)
            async with serving(url, settings, account=account):
                await seen(lambda: some_in_doubt(store))
                paused.resume()
                await settled(store)
        await smsc.stop()
        stories, violations = await audited(store, ledger, smsc.submits())
    require_kept(violations)
    assert doubted(stories), "nothing was in doubt when it resumed"
    assert [story for story in stories if is_unknown(story) and is_of_one_part(story)] == []


async def pause_in_flight(server: Server, smsc: SmscProcess, ledger: Ledger, chance: Random) -> None:
    """Have it send, and pause it in the middle of that."""
    async with client(ledger, chance, Letters(chance, {})) as sender:
        await asyncio.gather(*(sender.send(server) for _ in range(MESSAGES)))
        # There is more to send than the windows hold, so they are full again at once.
        await smsc.more_submits(1)
        server.pause()


async def facts(store: Store) -> list[Story]:
    """What the database says, and nobody else."""
    return await collect_over_smpp(store, Ledger(), [])


async def some_in_doubt(store: Store) -> bool:
    """Whether the upkeep has found the lease to be over."""
    return await in_doubt(store) > 0


def submits_of_first(smsc: SmscProcess) -> int:
    """How many came over the links that were bound first."""
    return sum(each.link <= BINDS for each in smsc.submits())


def is_of_one_part(story: Story) -> bool:
    """Whether one receipt tells of it."""
    return story.row is not None and story.row.parts == 1
