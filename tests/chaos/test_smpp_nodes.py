"""Several servers with an SMSC in common: cancels at any of them, kills, and cut links (P1 to P5)."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random

from heliograph.store.store import Store
from tests.chaos.auditor import require_kept
from tests.chaos.evidence import Ledger, reading, seen, settled
from tests.chaos.servers import Disaster, Server, serving, storm
from tests.chaos.smpp_centre import centre
from tests.chaos.smpp_evidence import audited, doubted
from tests.chaos.smpp_servers import (
    BETWEEN,
    CROWD,
    DELAYED,
    SHARED,
    Letters,
    in_doubt,
    killed_claiming,
    over_smpp,
    prepare,
    unbound,
)
from tests.chaos.test_cancel_race import require_both_won


async def test_servers_that_share_a_carrier_keep_their_promises_together(
    new_postgres_database: Callable[[], str], tmp_path: Path, chance: Random, scale: int
) -> None:
    url, ledger = new_postgres_database(), Ledger()
    account, letters = await prepare(url), Letters(chance, MOSTLY_SHARED)
    async with centre(tmp_path / "record", DELAYED) as smsc, reading(url) as store:
        async with serving(url, over_smpp(tmp_path, smsc.port), 2, account) as (one, other):
            crashes: Sequence[Disaster] = [partial(killed_claiming, store), Server.crash_and_start] * scale
            cuts: Sequence[Disaster] = [partial(unbound, smsc), partial(doubts_begun, store, ledger)] * scale
            await asyncio.gather(
                storm(one, ledger, chance, crashes, letters, others=[other], crowd=CROWD, between=BETWEEN),
                storm(other, ledger, chance, cuts, letters, others=[one], crowd=CROWD, between=BETWEEN),
            )
            await settled(store)
        await smsc.stop()
        stories, violations = await audited(store, ledger, smsc.submits())
    require_kept(violations)
    require_both_won(ledger)
    assert doubted(stories), "nothing was under way when a server was killed"


async def doubts_begun(store: Store, ledger: Ledger, _server: Server) -> None:
    """No disaster: messages go on to the same numbers while a lease ends, or for so many answers."""
    before = await in_doubt(store)
    begun = asyncio.ensure_future(seen(lambda: more_in_doubt(store, before)))
    enough = asyncio.ensure_future(ledger.more_answers(300))
    await asyncio.wait([begun, enough], return_when=asyncio.FIRST_COMPLETED)
    for each in (begun, enough):
        each.cancel()
    await asyncio.wait([begun, enough])


async def more_in_doubt(store: Store, before: int) -> bool:
    """Whether more messages are in doubt than before."""
    return await in_doubt(store) > before


MOSTLY_SHARED = {number: 3 * share for number, share in SHARED.items()}
"""So that receipts come for numbers between which something else is in doubt, and over the links of another server."""
