"""`heliograph migrate` as a process that somebody stops in its middle."""

import asyncio
import signal
import sys
from collections.abc import Callable

from sqlalchemy import text

from heliograph.commands.doctor import examine
from heliograph.settings import clean_environment, load
from heliograph.store.partition_ddl import prepare
from heliograph.store.tables import webhook_attempts
from tests.store.test_schema import LEFT, WAITING, of_schema, read_on

CALLED_OFF = "heliograph: The migration was called off, and what it had begun is taken back.\n"


async def test_who_terminates_it_is_told_that_nothing_is_left(new_postgres_database: Callable[[], str]) -> None:
    url = new_postgres_database()
    words = (sys.executable, "-m", "heliograph", "migrate", "--database", url)
    async with of_schema(url, "0005") as engine, engine.sqlalchemy.connect() as reader:
        await read_on(reader, webhook_attempts)  # the last table that is prepared
        process = await asyncio.create_subprocess_exec(
            *words, env=clean_environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        while not await engine.fetch(WAITING):
            assert process.returncode is None
        assert await engine.fetch(LEFT) != []
        process.send_signal(signal.SIGTERM)
        told = await process.communicate()
        assert (process.returncode, *told) == (1, b"", CALLED_OFF.encode())
        assert await engine.fetch(LEFT) == []
        await reader.execute(text("ROLLBACK"))


async def test_the_doctor_tells_of_one_that_was_killed(new_postgres_database: Callable[[], str]) -> None:
    url = new_postgres_database()
    async with of_schema(url, "0005") as engine:
        await prepare(engine.sqlalchemy)
    report = await examine(load(environ={}, overrides={"database.url": url}))
    assert [each.advice for each in report.checks if each.name == "schema"] == ["Run 'heliograph migrate' before that."]
