"""`heliograph migrate`: the database, made or brought to the version of this program."""

import argparse
import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

from heliograph.commands.arguments import Commands, add_command
from heliograph.commands.failure import CommandFailed
from heliograph.server import open_store
from heliograph.settings import Settings
from heliograph.store.health import migrated_version, require_answer
from heliograph.store.schema import migrate, require_usable
from heliograph.store.tables import SCHEMA_VERSION


def declare(commands: Commands) -> None:
    """Add the command."""
    add_command(commands, "migrate", "bring the database to this version", _migrate)


def _migrate(_given: argparse.Namespace, settings: Settings) -> int:
    try:
        before = asyncio.run(_until_terminated(_migrate_from(settings)))
    except asyncio.CancelledError:
        raise CommandFailed("The migration was called off, and what it had begun is taken back.") from None
    if before is None:
        print("The database was made.")
    elif before < SCHEMA_VERSION:
        print(f"The database was brought from version {before} to {SCHEMA_VERSION}.")
    else:
        print(f"The database is at version {before} already.")
    return 0


async def _until_terminated(migrating: Coroutine[Any, Any, int | None]) -> int | None:
    """Call it off at SIGTERM, as Ctrl-C does: a database that is prepared and not migrated soon refuses what is new."""
    task = asyncio.ensure_future(migrating)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


async def _migrate_from(settings: Settings) -> int | None:
    """Migrate; the version before, if any. Raises `UnusableSchema` when this program is too old for the database."""
    engine = open_store(settings).engine
    try:
        await require_answer(engine)
        before = await migrated_version(engine)
        await migrate(settings.database.url)
        await require_usable(engine)
        return before
    finally:
        await engine.close()
