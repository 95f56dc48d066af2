"""`heliograph migrate`: the database, made or brought to the version of this program."""

import argparse
import asyncio

from heliograph.commands.arguments import Commands, add_command
from heliograph.server import open_store
from heliograph.settings import Settings
from heliograph.store.health import migrated_version, require_answer
from heliograph.store.schema import migrate, require_usable
from heliograph.store.tables import SCHEMA_VERSION


def declare(commands: Commands) -> None:
    """Add the command."""
    add_command(commands, "migrate", "bring the database to this version", _migrate)


def _migrate(_given: argparse.Namespace, settings: Settings) -> int:
    before = asyncio.run(_migrate_from(settings))
    if before is None:
        print("The database was made.")
    elif before < SCHEMA_VERSION:
        print(f"The database was brought from version {before} to {SCHEMA_VERSION}.")
    else:
        print(f"The database is at version {before} already.")
    return 0


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
