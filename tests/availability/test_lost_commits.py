"""COMMITs whose answer is lost (P1 to P5): what became of them is read again, never guessed."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from heliograph.store.schema import migrate
from tests.availability.cutting import Cut, cutting
from tests.chaos.auditor import audit, audit_pending, require_kept
from tests.chaos.evidence import Ledger, collect, pending, read_record, reading, settled, summary
from tests.chaos.servers import Server, quick, serving, storm
from tests.databases import fresh_database, lent_server

RATE = 0.08


@pytest.fixture
def own_database() -> Iterator[str]:
    """On a server of our own: the proxy needs its socket."""
    with lent_server() as admin, fresh_database(admin) as url:
        yield url


async def test_commits_whose_answers_are_lost_lose_and_repeat_nothing(
    own_database: str, tmp_path: Path, chance: Random, scale: int
) -> None:
    record, ledger = tmp_path / "record", Ledger()
    await migrate(own_database)

    async def nothing(_: Server) -> None:
        """The cuts are disaster enough."""

    async with cutting(own_database, chance, 0) as (proxy, url):
        settings = quick(record, DISPATCH__LEASE="10s")
        async with serving(url, settings, count=2) as (server, other):
            proxy.rate = RATE
            await storm(server, ledger, chance, [nothing] * 3 * scale, others=[other])
            proxy.rate = 0
            async with reading(own_database) as store:
                await settled(store)
                stories = await collect(store, ledger, read_record(record))
                violations = audit(stories) + audit_pending(stories, await pending(store))
    cuts = {cut.name.lower(): count for cut, count in proxy.cuts.items() if cut is not Cut.NONE}
    print(summary(ledger, stories), "cuts:", cuts)
    require_kept(violations)
    assert cuts, "no COMMIT was cut"
    assert "never retrieved" not in server.log + other.log
