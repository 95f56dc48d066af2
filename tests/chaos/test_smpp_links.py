"""Links that are cut, silence, late answers, throttling, and an SMSC that is killed (P1 to P5)."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from random import Random

from heliograph.domain.lifecycle import Status
from tests.chaos.auditor import Story, is_unknown, require_kept
from tests.chaos.evidence import Ledger, reading, settled
from tests.chaos.servers import Disaster, client, serving, storm
from tests.chaos.smpp_auditor import is_spent
from tests.chaos.smpp_centre import centre
from tests.chaos.smpp_evidence import audited, doubted, settled_doubts
from tests.chaos.smpp_servers import (
    BETWEEN,
    BINDS,
    CROWD,
    DELAYED,
    FULL,
    Letters,
    dropped_full,
    over_smpp,
    prepare,
    silent_for_long,
    smsc_killed,
    throttled,
    unbound,
)

LATE = ("--late-every", "50", "--late-delay", "1s")
"""Longer than an answer is waited for."""
NO_RECEIPTS = ("--receipt-missing-every", "1")
BURST = 60
"""More than fits into the windows."""


async def test_links_that_are_cut_or_silent_lose_nothing_and_double_nothing(
    prepared_database_url: str, tmp_path: Path, chance: Random, scale: int
) -> None:
    account, ledger = await prepare(prepared_database_url), Ledger()
    async with centre(tmp_path / "record", DELAYED + LATE) as smsc, reading(prepared_database_url) as store:
        on_links = (throttled, dropped_full, unbound, silent_for_long, smsc_killed)
        disasters: Sequence[Disaster] = [partial(each, smsc) for each in on_links] * scale
        async with serving(prepared_database_url, over_smpp(tmp_path, smsc.port), account=account) as (server,):
            await storm(server, ledger, chance, disasters, Letters(chance), crowd=CROWD, between=BETWEEN)
            await settled(store)
        await smsc.stop()
        stories, violations = await audited(store, ledger, smsc.submits())
    require_kept(violations)
    assert doubted(stories), "nothing was under way when the links were cut or silent"
    assert any(was_settled_late(story) for story in stories), "no late answer was taken"
    assert (ledger.lost, ledger.unavailable) == (0, 0)


async def test_what_a_throttling_carrier_never_took_expires_and_what_it_may_have_is_unknown(
    prepared_database_url: str, tmp_path: Path, chance: Random
) -> None:
    account, ledger = await prepare(prepared_database_url), Ledger()
    async with centre(tmp_path / "record", NO_RECEIPTS) as smsc, reading(prepared_database_url) as store:
        settings = over_smpp(tmp_path, smsc.port, validity="12s", settle_after="1s")
        async with (
            serving(prepared_database_url, settings, account=account) as (server,),
            client(ledger, chance, Letters(chance, {})) as sender,
        ):
            async with asyncio.TaskGroup() as burst:
                burst.create_task(smsc.silent_until(FULL, BINDS))
                for _ in range(BURST):
                    burst.create_task(sender.send(server))
            smsc.does("throttle on")
            smsc.does("drop")
            smsc.does("silence off")
            await settled(store)
        await smsc.stop()
        stories, violations = await audited(store, ledger, smsc.submits())
    require_kept(violations)
    expired = [story for story in stories if story.row and story.row.status is Status.EXPIRED]
    assert any(story.submits for story in expired), "nothing was refused before it expired"
    assert sum(map(is_unknown, stories)) == sum(any(map(is_spent, story.submits)) for story in stories) > 0


def was_settled_late(story: Story) -> bool:
    """An answer that came after nobody waited for it any more told that it was taken."""
    return bool(settled_doubts([story])) and any(each.answer == "late" for each in story.submits)
