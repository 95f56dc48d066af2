"""What monitors and proxies are told: whether a process lives, and whether it can do its work now."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from sqlalchemy import event, update

from heliograph.api.app import create_health_app
from heliograph.store.engine import Engine, open_engine
from heliograph.store.tables import SCHEMA_VERSION, schema_version
from tests.lines import Line

MONITORS = 20


class Asked:
    """A process with its database, and a monitor of it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(create_health_app(engine)), base_url="http://process"
        )

    async def get(self, path: str) -> tuple[int, str]:
        answer = await self._client.get(path)
        return answer.status_code, answer.text

    async def until(self, status: int) -> None:
        """Return once it is ready, or is not any more."""
        async with asyncio.timeout(60):
            while (await self.get("/readyz"))[0] != status:
                continue

    async def close(self) -> None:
        await self._client.aclose()
        await self.engine.close()


@pytest.fixture
async def until_end() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def asked(until_end: AsyncExitStack, url: str) -> Asked:
    made = Asked(open_engine(url))
    until_end.push_async_callback(made.close)
    return made


async def test_a_process_whose_database_answers_is_ready(until_end: AsyncExitStack, prepared_database_url: str) -> None:
    process = await asked(until_end, prepared_database_url)
    assert await process.get("/healthz") == (200, "ok\n")
    assert await process.get("/readyz") == (200, "ready\n")


async def test_a_database_that_was_not_migrated_is_said_so(until_end: AsyncExitStack, database_url: str) -> None:
    process = await asked(until_end, database_url)
    status, text = await process.get("/readyz")
    assert (status, "run 'heliograph migrate' first" in text) == (503, True)
    assert (await process.get("/healthz"))[0] == 200


async def test_a_database_that_was_migrated_too_far_is_said_so(
    until_end: AsyncExitStack, prepared_database_url: str
) -> None:
    process = await asked(until_end, prepared_database_url)
    await process.until(200)
    async with process.engine.transaction() as transaction:
        later = update(schema_version).values(version=SCHEMA_VERSION + 1, oldest_reader=SCHEMA_VERSION + 1)
        await transaction.execute(later)
    await process.until(503)
    assert "by a newer Heliograph" in (await process.get("/readyz"))[1]


@pytest.mark.parametrize("database_kind", ["postgresql"])
async def test_a_silent_database_keeps_no_monitor_waiting(
    until_end: AsyncExitStack, prepared_database_url: str
) -> None:
    line = Line(prepared_database_url)
    process = await asked(until_end, await until_end.enter_async_context(line.laid()))
    await process.until(200)
    line.carries.clear()
    await process.until(503)
    assert await process.get("/readyz") == (503, "not ready: the database does not answer\n")
    assert (await process.get("/healthz"))[0] == 200
    line.carries.set()
    await process.until(200)


async def test_where_nobody_answers_is_not_told_to_everybody(until_end: AsyncExitStack, tmp_path: Path) -> None:
    process = await asked(until_end, f"postgresql://postgres@/h?host={tmp_path}")
    assert await process.get("/readyz") == (503, "not ready: the database does not answer\n")


async def test_many_monitors_cost_the_database_one_look(until_end: AsyncExitStack, prepared_database_url: str) -> None:
    process, statements = await asked(until_end, prepared_database_url), []
    event.listen(process.engine.sqlalchemy.sync_engine, "before_cursor_execute", lambda *said: statements.append(said))
    await process.get("/readyz")
    once = len(statements)
    other = await asked(until_end, prepared_database_url)
    event.listen(other.engine.sqlalchemy.sync_engine, "before_cursor_execute", lambda *said: statements.append(said))
    answers = await asyncio.gather(*(other.get("/readyz") for _ in range(MONITORS)))
    assert answers == [(200, "ready\n")] * MONITORS
    assert len(statements) == 2 * once
