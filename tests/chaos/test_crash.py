"""kill -9 and SIGTERM of a server under load (P1, P2, P3, P5)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from heliograph.store.schema import migrate
from tests.chaos.auditor import Expected, Story, audit, audit_pending, is_unknown, require_kept
from tests.chaos.evidence import Ledger, collect, most_arrivals, pending, read_record, reading, settled, summary
from tests.chaos.servers import Disaster, Server, quick, serving, storm

CRASHES = 2


async def test_a_killed_server_keeps_its_promises(
    prepared_database_url: str, tmp_path: Path, chance: Random, scale: int
) -> None:
    settings = quick(tmp_path / "record")
    ledger, stories = await weather(prepared_database_url, settings, chance, [Server.crash_and_start] * CRASHES * scale)
    assert ledger.lost > 0, "no request was under way when the server was killed"
    assert any(map(is_unknown, stories)), "no submit was under way when the server was killed"


async def test_a_carrier_that_takes_repeats_gets_everything_and_shows_each_message_once(
    prepared_database_url: str, tmp_path: Path, chance: Random, scale: int
) -> None:
    settings = quick(tmp_path / "record", SANDBOX__REPEAT_SAFE="true")
    disasters = [Server.crash_and_start] * CRASHES * scale
    _, stories = await weather(prepared_database_url, settings, chance, disasters, Expected(repeats=True))
    assert any(len(story.handed) > 1 for story in stories), "nothing had to be repeated"
    assert not any(map(is_unknown, stories))
    async with reading(prepared_database_url) as store:
        assert await most_arrivals(store) == 1


async def test_a_server_that_is_stopped_leaves_nothing_in_doubt(
    prepared_database_url: str, tmp_path: Path, chance: Random, scale: int
) -> None:
    settings = quick(tmp_path / "record", DISPATCH__LEASE="30s")
    _, stories = await weather(prepared_database_url, settings, chance, [Server.stop_and_start] * 2 * scale)
    assert not any(map(is_unknown, stories))


AS_USUAL = Expected()


async def weather(
    url: str, settings: Mapping[str, str], chance: Random, disasters: Sequence[Disaster], expected: Expected = AS_USUAL
) -> tuple[Ledger, list[Story]]:
    """Let it storm, wait until all is final, and audit."""
    await migrate(url)
    ledger = Ledger()
    async with serving(url, settings) as (server,), reading(url) as store:
        await storm(server, ledger, chance, disasters)
        await settled(store)
        stories = await collect(store, ledger, read_record(Path(settings["SANDBOX__RECORD_FILE"])))
        violations = audit(stories, expected) + audit_pending(stories, await pending(store))
    print(summary(ledger, stories))
    require_kept(violations)
    return ledger, stories
