"""Two versions on one database: an upgrade under load, node by node, and a step back (P1 to P6).

    old, old --migrate while both work--> old, old on the new schema --> new beside old --> new, new --> old beside new

The old version is the last one of an earlier schema, out of the history of this repository.
"""

import asyncio
import compileall
import io
import subprocess
import sys
import tarfile
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random

import pytest

from heliograph.clock import monotonic
from heliograph.domain.instant import MILLISECOND
from heliograph.settings import clean_environment
from heliograph.store.engine import open_engine
from heliograph.store.schema import SchemaState, schema_state
from heliograph.store.tables import OLDEST_READER
from tests.chaos.auditor import audit, audit_pending, is_unknown, require_kept
from tests.chaos.evidence import Ledger, collect, pending, read_record, reading, settled, summary
from tests.chaos.servers import HELIOGRAPH, Disaster, Server, serving, storm
from tests.chaos.smpp_servers import new_file
from tests.chaos.test_webhooks import all_told, audit_events, events_quick, evidence
from tests.webhooks.receiver import receiving

ROOT = Path(__file__).parents[2]
OLD_COMMIT, OLD_SCHEMA = "97a435a", 4
CROWD = 6
BETWEEN = (20, 50)
PATIENT = {"DISPATCH__LEASE": "30s"}
"""As it is by itself: a busy machine makes more of a second than a migration does."""

Program = Sequence[str]


@pytest.fixture(scope="session")
def old_program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The command line of the old version; a skip where its history is not here, as in a shallow clone."""
    assert OLD_SCHEMA >= OLDEST_READER, "the schema of this version bears no earlier one: take a later one, or none"
    command = ["git", "-C", str(ROOT), "archive", OLD_COMMIT, "src"]
    archive = subprocess.run(command, check=False, capture_output=True)
    if archive.returncode != 0:
        pytest.skip(f"the version to upgrade from is not in the history: {archive.stderr.decode().strip()}")
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as source:
        source.extractall(folder, filter="data")
    compileall.compile_dir(folder, quiet=2)
    return ("env", f"PYTHONPATH={folder / 'src'}", sys.executable, "-m", "heliograph")


async def test_nodes_are_upgraded_one_by_one_under_load(
    new_postgres_database: Callable[[], str], old_program: Program, tmp_path: Path, chance: Random, scale: int
) -> None:
    def steps(run: "Upgrade", other: Server) -> list[Disaster]:
        to_new, to_old = (partial(run.becomes, program, other) for program in (HELIOGRAPH, old_program))
        return [run.migrate, to_new, partial(run.becomes, HELIOGRAPH, None), *[to_old, to_new] * (scale - 1), to_old]

    await upgrade(new_postgres_database(), old_program, tmp_path, chance, steps, nodes=2)


async def test_one_node_is_upgraded_under_load(
    old_program: Program, tmp_path: Path, chance: Random, scale: int
) -> None:
    def steps(run: "Upgrade", _other: Server) -> list[Disaster]:
        to_new, to_old = (partial(run.becomes, program, None) for program in (HELIOGRAPH, old_program))
        return [run.migrate, to_new, *[to_old, to_new] * (scale - 1)]

    await upgrade(new_file(tmp_path), old_program, tmp_path, chance, steps, nodes=1)


class Upgrade:
    """The steps of one, and what clients notice of each."""

    def __init__(self, url: str, ledger: "Waits") -> None:
        self._url = url
        self._ledger = ledger

    async def migrate(self, _server: Server) -> None:
        """The new version's migration, while the old one works."""
        assert await state(self._url) is SchemaState.OLD
        await self._noticed("migrated", partial(run, HELIOGRAPH, self._url))
        assert await state(self._url) is SchemaState.CURRENT

    async def becomes(self, program: Program, other: Server | None, server: Server) -> None:
        """One node is stopped, and started as this version."""
        changing = other or server
        changing.program = program
        version = "new" if program is HELIOGRAPH else "old"
        await self._noticed(f"{'the other' if other else 'the first'} node becomes {version}", changing.stop_and_start)

    async def _noticed(self, what: str, step: Callable[[], Awaitable[None]]) -> None:
        ledger, begun = self._ledger, monotonic()
        ledger.longest, before = 0, (ledger.answers, ledger.unavailable, ledger.lost)
        await step()
        took, longest = (each // MILLISECOND for each in (monotonic() - begun, ledger.longest))
        answers, unavailable, lost = (now - then for now, then in zip(ledger.counts, before, strict=True))
        print(f"{what} in {took} ms: {answers} answers, {unavailable} 503, {lost} lost, none for {longest} ms at most")


class Waits(Ledger):
    """Notes how long nobody got an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.longest = 0
        self._last = monotonic()

    @property
    def counts(self) -> tuple[int, int, int]:
        """Answers, those that said 503, and those that were lost."""
        return self.answers, self.unavailable, self.lost

    async def answered(self) -> None:
        now = monotonic()
        self.longest, self._last = max(self.longest, now - self._last), now
        await super().answered()


async def upgrade(
    url: str,
    old: Program,
    folder: Path,
    chance: Random,
    steps: Callable[[Upgrade, Server], list[Disaster]],
    *,
    nodes: int,
) -> None:
    """Take the steps under load, wait until all is final and told, and audit."""
    await run(old, url)
    ledger = Waits()
    async with receiving() as receiver, reading(url) as store:
        async with serving(url, events_quick(folder) | PATIENT, nodes, program=old) as (server, *others):
            disasters = steps(Upgrade(url, ledger), others[0] if others else server)
            hook = receiver.url("/events")
            await storm(
                server, ledger, chance, disasters, others=others, crowd=CROWD, between=BETWEEN, webhook_url=hook
            )
            await settled(store)
            await all_told(store)
        told = await evidence(store, receiver.requests)
        stories = await collect(store, ledger, read_record(folder / "record"))
        violations = audit(stories) + audit_pending(stories, await pending(store))
    print(f"{summary(ledger, stories)}, {told}")
    require_kept([*violations, *audit_events(told)])
    assert ledger.lost == 0, "nobody was killed"
    assert not any(map(is_unknown, stories)), "what was handed over was not recorded within its lease"


async def run(program: Program, url: str) -> None:
    """`migrate` by one version."""
    command = [*program, "migrate", "--database", url]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=clean_environment())
    said, log = await process.communicate()
    assert process.returncode == 0, log.decode()
    print(said.decode().strip())


async def state(url: str) -> SchemaState:
    """How the database stands to this version."""
    engine = open_engine(url)
    try:
        return await schema_state(engine)
    finally:
        await engine.close()
