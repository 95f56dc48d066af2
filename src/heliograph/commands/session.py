"""A command's session with the store, and the records that its arguments name."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from heliograph.commands.arguments import Run
from heliograph.commands.failure import CommandFailed
from heliograph.domain.accounts import Organization, Profile
from heliograph.domain.ids import canonical_uuid
from heliograph.server import open_store
from heliograph.settings import Settings
from heliograph.store.health import missing_file, require_answer
from heliograph.store.schema import UnusableSchema, require_usable
from heliograph.store.store import Store

Work: TypeAlias = Callable[[argparse.Namespace, Settings, Store], Awaitable[None]]
"""What a command does with the store."""


def with_store(work: Work) -> Run:
    """A command that works on the store, and has failed only when it raises."""

    def run(given: argparse.Namespace, settings: Settings) -> int:
        asyncio.run(_work(work, given, settings))
        return 0

    return run


async def _work(work: Work, given: argparse.Namespace, settings: Settings) -> None:
    async with opened(settings) as store:
        await work(given, settings, store)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Store]:
    """The store, started. Raises `UnusableSchema` and `StoreUnavailable`."""
    if file := missing_file(settings.database.url):
        raise UnusableSchema(
            f"There is no file {file}: name the database of your server with --database. "
            "'heliograph migrate' makes a new one."
        )
    store = open_store(settings)
    try:
        await require_answer(store.engine)
        await require_usable(store.engine)
        await store.start()
        yield store
    finally:
        await store.stop()


async def choose_organization(store: Store, name: str | None) -> Organization:
    """The organisation of that name or id, or the only one there is. Raises `CommandFailed`."""
    known = await store.listing.organizations()
    names = ", ".join(each.name for each in known)
    if not known:
        raise CommandFailed("There is no organisation yet: make one with 'heliograph organizations create NAME'.")
    if name is None:
        if len(known) == 1:
            return known[0]
        raise CommandFailed(f"Name one of the organisations with --organization: {names}.")
    found = await store.listing.organization(name)
    if found is None:
        raise CommandFailed(f"There is no organisation '{name}'; there are: {names}.")
    return found


async def find_profile(store: Store, organization: Organization, profile_id: str) -> Profile:
    """A profile of the organisation. Raises `CommandFailed`."""
    canonical = canonical_uuid(profile_id)
    profile = await store.accounts.profile(organization.id, canonical) if canonical else None
    if profile is None:
        raise CommandFailed(f"There is no messaging profile '{profile_id}' of {organization.name}.")
    return profile
