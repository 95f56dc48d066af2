"""kill -9 at named points of real servers under load, one point after another (P1 to P6)."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import pytest

from heliograph.domain.lifecycle import Status
from tests.chaos import doomed
from tests.chaos.auditor import Story, audit, audit_pending, is_unknown, require_kept
from tests.chaos.doomed import POINTS, Fallen
from tests.chaos.evidence import Ledger, collect, pending, read_record, reading, seen, settled, summary
from tests.chaos.servers import HELIOGRAPH, Account, Server, serving, storm
from tests.chaos.smpp_servers import prepare
from tests.chaos.test_webhooks import Told, all_told, audit_events, events_quick, evidence
from tests.webhooks.receiver import Receiver, receiving

CROWD = 8
LIVING = 30
"""Answers that clients get of the server that is whole again."""
AT_ONCE = (0, 0)

TAKING = (
    doomed.ACCEPT_BEFORE,
    doomed.ACCEPT_SENT,
    doomed.ACCEPT_AFTER,
    doomed.CANCEL_BEFORE,
    doomed.CANCEL_AFTER,
    doomed.HALF_A_BATCH,
)
SENDING = (doomed.CLAIM_BEFORE, doomed.SUBMIT, doomed.OUTCOME_BEFORE, doomed.OUTCOME_AFTER)
RECOVERING = (doomed.CLAIM_AFTER, doomed.UPKEEP, doomed.RECOVER_BEFORE, doomed.RECOVER_AFTER)
"""In this order: the first leaves what the others find."""
TELLING = (doomed.RECEIPT_BEFORE, doomed.RECEIPT_AFTER, doomed.WEBHOOK_BEFORE, doomed.WEBHOOK_AFTER)


def taking(chance: Random) -> Sequence[str]:
    """In any order."""
    return chance.sample(TAKING, len(TAKING))


def sending(chance: Random) -> Sequence[str]:
    """In any order, and then what is done about those who died."""
    return [*chance.sample(SENDING, len(SENDING)), *RECOVERING]


def telling(chance: Random) -> Sequence[str]:
    """In any order."""
    return chance.sample(TELLING, len(TELLING))


@pytest.mark.parametrize("stage", [taking, sending, telling])
async def test_servers_killed_at_named_points_keep_their_promises(
    prepared_database_url: str, tmp_path: Path, chance: Random, scale: int, stage: Callable[[Random], Sequence[str]]
) -> None:
    points = [point for _ in range(scale) for point in stage(chance)]
    async with receiving() as receiver:
        run = await fall_one_after_another(prepared_database_url, tmp_path, chance, points, receiver)
    assert [each.doomed for each in run.fallen] == points
    require_consequences(run)


async def test_an_api_process_killed_at_a_named_point_keeps_its_promises(
    new_postgres_database: Callable[[], str], tmp_path: Path, chance: Random, scale: int
) -> None:
    for number, point in enumerate(chance.choices(TAKING, k=scale)):
        folder = tmp_path / str(number)
        folder.mkdir()
        run = await one_of_two_falls(new_postgres_database(), folder, chance, point)
        assert [each.doomed for each in run.fallen] == [point]
        require_consequences(run)


# ------------------------------------------------------------------------------------------------------ what they leave


@dataclass(frozen=True, slots=True)
class Run:
    """What is left of one, audited."""

    fallen: Sequence[Fallen]
    stories: Mapping[str, Story]
    told: Told | None = None


def _never_there(story: Story) -> bool:
    return story.row is None and not story.handed


def _there(story: Story) -> bool:
    return story.row is not None


def _cancelled(story: Story) -> bool:
    return story.row is not None and story.row.status is Status.CANCELLED and not story.handed


def _unknown_and_not_sent(story: Story) -> bool:
    return is_unknown(story) and not story.handed


def _unknown_and_sent(story: Story) -> bool:
    return is_unknown(story) and len(story.handed) == 1


def _known_and_sent(story: Story) -> bool:
    return not is_unknown(story) and len(story.handed) == 1


def _told_or_unknown(story: Story) -> bool:
    told = {Status.DELIVERED, Status.DELIVERY_FAILED}
    return is_unknown(story) or (story.row is not None and story.row.status in told)


CONSEQUENCES: Mapping[str, Callable[[Story], bool]] = {
    doomed.ACCEPT_BEFORE: _never_there,
    doomed.ACCEPT_AFTER: _there,
    doomed.CANCEL_AFTER: _cancelled,
    doomed.HALF_A_BATCH: _never_there,
    doomed.CLAIM_AFTER: _unknown_and_not_sent,
    doomed.SUBMIT: _unknown_and_sent,
    doomed.OUTCOME_BEFORE: _unknown_and_sent,
    doomed.OUTCOME_AFTER: _known_and_sent,
    doomed.RECEIPT_BEFORE: _told_or_unknown,
    doomed.RECEIPT_AFTER: _told_or_unknown,
}
"""What must be true at the end of every message that a server had in hand when it fell."""


def require_consequences(run: Run) -> None:
    """Where a server fell says what became of what it had in hand: it did fall there, and that is what was left."""
    for each in run.fallen:
        mine = [run.stories.get(name, Story(name)) for name in each.about]
        if check := CONSEQUENCES.get(each.doomed):
            assert all(map(check, mine)), (each.doomed, [story for story in mine if not check(story)])
        if each.doomed == doomed.ACCEPT_SENT:
            assert len({story.row is None for story in mine}) == 1, "half of a commit is there"
        if each.doomed == doomed.WEBHOOK_BEFORE and run.told:
            assert all(run.told.arrivals[name] > 1 for name in each.about), "an attempt was on record before its commit"


# ----------------------------------------------------------------------------------------------------------------- runs


async def fall_one_after_another(
    url: str, folder: Path, chance: Random, points: Sequence[str], receiver: Receiver
) -> Run:
    """Under one load, one server after another on one database dies at its point; the last one is whole."""
    programs = [*(doomed.program(point, chance.randint(1, POINTS[point].most)) for point in points), HELIOGRAPH]
    ledger, settings = Ledger(), events_quick(folder) | {"SANDBOX__ANSWER_DELAY": "20ms"}
    async with serving(url, settings, program=programs[0]) as (server,), reading(url) as store:
        disasters = [partial(falls, each) for each in programs[1:]]
        hook, live = receiver.url("/events"), partial(lives, ledger)
        await storm(server, ledger, chance, [*disasters, live], crowd=CROWD, between=AT_ONCE, webhook_url=hook)
        await settled(store)
        await all_told(store)
        told = await evidence(store, receiver.requests)
        stories = await collect(store, ledger, read_record(folder / "record"))
        violations = audit(stories) + audit_pending(stories, await pending(store))
    print(f"{len(points)} fell, {summary(ledger, stories)}, {told}")
    require_kept([*violations, *audit_events(told)])
    return Run(doomed.fallen(server.log), {each.message_id: each for each in stories}, told)


async def falls(then: Sequence[str], server: Server) -> None:
    """The server dies at its point, unless it did so before it accepted requests, and the next stands up."""
    if server.up.is_set():
        assert await server.ends() == -signal.SIGKILL
    server.program = then
    assert await server.begin() or then != HELIOGRAPH


async def lives(ledger: Ledger, _server: Server) -> None:
    """It goes on."""
    await ledger.more_answers(LIVING)


async def one_of_two_falls(url: str, folder: Path, chance: Random, point: str) -> Run:
    """One of two API processes dies at its point; the other goes on, it is begun again, and a worker sends."""
    account, ledger, record = await prepare(url), Ledger(), folder / "record"
    async with family(url, events_quick(folder), account, point, chance) as api, reading(url) as store:
        await storm(api, ledger, chance, [child_falls, partial(lives, ledger)], between=AT_ONCE)
        await settled(store)
        stories = await collect(store, ledger, read_record(record))
        violations = audit(stories) + audit_pending(stories, await pending(store))
    print(f"{point}, {summary(ledger, stories)}")
    require_kept(violations)
    return Run(doomed.fallen(api.log), {each.message_id: each for each in stories})


@asynccontextmanager
async def family(
    url: str, settings: Mapping[str, str], account: Account, point: str, chance: Random
) -> AsyncIterator[Server]:
    """Two API processes on one address, of which the first is doomed, and a worker."""
    shared = {**settings, "SANDBOX__ENABLED": "true"}
    api, worker = Server(url, shared, account), Server(url, shared, account)
    api.role, api.options = "api", ("--processes", "2")
    api.program = doomed.program(point, chance.randint(1, POINTS[point].most))
    worker.role = "worker"
    try:
        await asyncio.gather(api.start(), worker.start())
        yield api
    finally:
        for each in (api, worker):
            if each.up.is_set():
                await each.stop()


async def child_falls(api: Server) -> None:
    """One of its children has died at its point."""

    async def look() -> bool:
        return any(_ended(line) for line in api.written.splitlines())

    await seen(look)
    assert api.up.is_set()


def _ended(line: str) -> bool:
    told = json.loads(line) if line.startswith("{") else {}
    return told.get("action") == "process_ended" and told["status"] == -signal.SIGKILL
