"""kill -9 and SIGTERM of a server that sends over SMPP, at named points and at any (P1 to P5)."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random

from heliograph.store.store import Store
from tests.chaos.auditor import Story, is_unknown, require_kept
from tests.chaos.evidence import Ledger, reading, settled
from tests.chaos.servers import Disaster, Server, serving, storm
from tests.chaos.smpp_centre import SmscProcess, centre
from tests.chaos.smpp_evidence import audited, doubted, settled_doubts
from tests.chaos.smpp_servers import (
    BETWEEN,
    CROWD,
    DELAYED,
    PATIENT,
    USUAL,
    Letters,
    killed_claiming,
    killed_unanswered,
    killed_unrecorded,
    new_file,
    over_smpp,
    prepare,
)

Disasters = Callable[[SmscProcess, Store], Sequence[Disaster]]


async def test_a_server_killed_at_each_point_of_a_submit_keeps_its_promises(
    prepared_database_url: str, tmp_path: Path, chance: Random, scale: int
) -> None:
    def disasters(smsc: SmscProcess, store: Store) -> Sequence[Disaster]:
        claiming, unanswered = partial(killed_claiming, store), partial(killed_unanswered, smsc)
        unrecorded = partial(killed_unrecorded, smsc, prepared_database_url)
        return [claiming, unanswered, unrecorded, Server.crash_and_start] * scale

    ledger, stories = await weather(prepared_database_url, tmp_path, chance, disasters)
    assert ledger.lost > 0, "no request was under way when the server was killed"
    assert doubted(stories), "no submit was under way when the server was killed"
    assert settled_doubts(stories), "no receipt told what had become of a message"
    assert any(map(is_unknown, stories)), "nothing remained unknown: nobody could have told of those for one number"


async def test_a_server_that_is_stopped_waits_for_answers_and_leaves_nothing_in_doubt(
    tmp_path: Path, chance: Random, scale: int
) -> None:
    _, stories = await weather(
        new_file(tmp_path), tmp_path, chance, lambda *_: [Server.stop_and_start] * scale, PATIENT
    )
    assert doubted(stories) == []
    assert not any(map(is_unknown, stories))


async def weather(
    url: str, folder: Path, chance: Random, disasters: Disasters, own: Mapping[str, object] = USUAL
) -> tuple[Ledger, list[Story]]:
    """Let it storm, wait until all is final, and audit."""
    account, ledger = await prepare(url), Ledger()
    async with centre(folder / "record", DELAYED) as smsc, reading(url) as store:
        async with serving(url, over_smpp(folder, smsc.port, **own), account=account) as (server,):
            await storm(server, ledger, chance, disasters(smsc, store), Letters(chance), crowd=CROWD, between=BETWEEN)
            await settled(store)
        await smsc.stop()
        stories, violations = await audited(store, ledger, smsc.submits())
    require_kept(violations)
    return ledger, stories
