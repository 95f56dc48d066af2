"""Changes of a messaging profile: all of it counts, at once, and none is lost."""

import asyncio
from dataclasses import replace

import pytest
from msgspec.structs import replace as with_settings
from sqlalchemy import select

from heliograph.domain.accounts import Profile
from heliograph.domain.events import endpoint_id
from heliograph.domain.instant import Instant
from heliograph.store.account_changes import NoSuchRecord
from heliograph.store.engine import open_engine
from heliograph.store.store import Store
from heliograph.store.tables import messaging_profiles
from tests.builders import epoch, make_account, new_id

HOOK = "https://a.example/hooks"
OTHER = "https://b.example/hooks"


def to_hook(profile: Profile) -> Profile:
    return replace(
        profile, name="New", settings=with_settings(profile.settings, webhook_url=HOOK), updated_at=Instant(9)
    )


def counted(profile: Profile) -> Profile:
    return replace(profile, name=str(int(profile.name) + 1))


async def test_a_profile_is_changed_at_once(store: Store) -> None:
    organization, profile = await make_account(store, smart_encoding=True)
    before = await epoch(store)
    changed = await store.changes.change_profile(organization.id, profile.id, to_hook)
    assert changed == to_hook(profile)
    assert await epoch(store) == before + 1
    assert await store.accounts.profile(organization.id, profile.id) == changed


@pytest.mark.parametrize(("urls", "first"), [((HOOK, OTHER), HOOK), (("", OTHER), OTHER), ((None, None), None)])
async def test_events_to_come_go_to_the_new_url(
    store: Store, urls: tuple[str | None, str | None], first: str | None
) -> None:
    organization, profile = await make_account(store, webhook_url="https://old.example")
    settings = with_settings(profile.settings, webhook_url=urls[0], webhook_failover_url=urls[1])
    await store.changes.change_profile(organization.id, profile.id, lambda known: replace(known, settings=settings))
    (row,) = await store.engine.fetch(select(messaging_profiles.c.webhook_endpoint))
    assert row["webhook_endpoint"] == (None if first is None else endpoint_id(organization.id, first))


async def test_of_many_changes_at_once_none_is_lost(store: Store, prepared_database_url: str) -> None:
    organization, profile = await make_account(store)
    zero = replace(profile, name="0")
    await store.changes.save_profile(zero)
    other = Store(open_engine(prepared_database_url, sandbox=True))
    try:
        both = [each.changes.change_profile(organization.id, profile.id, counted) for each in (store, other) * 25]
        names = [each.name for each in await asyncio.gather(*both)]
    finally:
        await other.engine.close()
    assert sorted(map(int, names)) == list(range(1, 51))
    await store.accounts.refresh()
    found = await store.accounts.profile(organization.id, profile.id)
    assert found == replace(zero, name="50")


async def test_a_change_that_is_refused_changes_nothing(store: Store) -> None:
    organization, profile = await make_account(store)
    before = await epoch(store)
    with pytest.raises(ValueError, match="Main"):
        await store.changes.change_profile(organization.id, profile.id, counted)
    assert await epoch(store) == before
    assert await store.accounts.profile(organization.id, profile.id) == profile


async def test_a_profile_of_another_organisation_is_not_changed(store: Store) -> None:
    organization, profile = await make_account(store)
    other, _ = await make_account(store, "Other")
    before = await epoch(store)
    for owner, which in ((other.id, profile.id), (organization.id, new_id(store))):
        with pytest.raises(NoSuchRecord):
            await store.changes.change_profile(owner, which, to_hook)
    assert await epoch(store) == before
    assert await store.accounts.profile(organization.id, profile.id) == profile
