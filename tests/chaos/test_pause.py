"""A server that is paused for longer than its lease while it hands messages over (P1, P3, P5)."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from heliograph.carrier_settings import SANDBOX
from heliograph.domain.instant import MILLISECOND
from heliograph.store.engine import open_engine
from heliograph.store.messages import Acceptance, Accepted
from heliograph.store.schema import migrate
from heliograph.store.store import Store
from tests.chaos.auditor import Expected, Handed, audit, is_unknown, require_kept
from tests.chaos.evidence import Ledger, collect, most_arrivals, read_record, reading, seen, settled
from tests.chaos.servers import quick, serving
from tests.chaos.workload import NO_LIMIT, new_message

MESSAGES = 1_000


@pytest.mark.parametrize("repeats", [False, True], ids=["never twice", "repeat safe"])
async def test_a_paused_server_does_nothing_to_what_was_decided_meanwhile(
    new_postgres_database: Callable[[], str], tmp_path: Path, *, repeats: bool
) -> None:
    url, record = new_postgres_database(), tmp_path / "record"
    await migrate(url)
    settings = quick(record, SANDBOX__REPEAT_SAFE=str(repeats).lower())
    async with serving(url, settings | {"DISPATCH__WINDOW": str(MESSAGES)}) as (paused,), reading(url) as store:
        await make_due(url)
        await seen(lambda: has_lines(record), MILLISECOND)
        paused.pause()
        async with serving(url, settings):
            await settled(store)
            decided, handed = await collect(store, Ledger(), []), read_record(record)
            paused.resume()
            await paused.stop()
        assert await collect(store, Ledger(), []) == decided
        assert await most_arrivals(store) == 1
        stories = await collect(store, Ledger(), read_record(record))
    require_kept(audit(stories, Expected(repeats=repeats)))
    require_halted(handed, read_record(record))
    assert sum(map(is_unknown, stories)) == (0 if repeats else MESSAGES)
    assert "lease_lost" in paused.log


def require_halted(before: Sequence[Handed], after: Sequence[Handed]) -> None:
    """The paused server was halfway, and did not go on.

    One message may follow: a process can be halted between its look at the lease and the write.
    """
    assert 0 < sum(each.attempt == 1 for each in before) < MESSAGES
    assert len(after) - len(before) <= 1


async def make_due(url: str) -> None:
    """Messages that are all due at the same moment, from a node that sends nothing."""
    store = Store(open_engine(url, sandbox=True))
    await store.start()
    await store.accounts.refresh()
    now = store.clock.now()
    batch = [new_message(now, None, SANDBOX) for _ in range(MESSAGES)]
    assert (await store.accept(Acceptance(batch, store.accounts.epoch, NO_LIMIT))).outcome is Accepted.TAKEN
    await store.stop()


async def has_lines(record: Path) -> bool:
    """Whether the carrier was given anything."""
    return record.exists() and record.stat().st_size > 0
