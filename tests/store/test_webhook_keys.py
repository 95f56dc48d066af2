"""The keys of webhooks on both databases: one first key whoever asks, and rotations one at a time."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator

import pytest

from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import HOUR, Instant
from heliograph.domain.signing_keys import SECRET_PREFIX, RotationUnderWay, WebhookKey
from heliograph.store.account_changes import NoSuchRecord
from heliograph.store.engine import open_engine
from heliograph.store.store import Store
from tests.builders import make_account

NOBODY = OrganizationId("00000000-0000-7000-8000-000000000009")
SERVERS = 4
ROUNDS = 10


@pytest.fixture
async def servers(store: Store, prepared_database_url: str) -> AsyncIterator[list[Store]]:
    """Several stores on the database of `store`, as several servers have them."""
    opened = [Store(open_engine(prepared_database_url, sandbox=True)) for _ in range(SERVERS)]
    for each in opened:
        await each.start()
    yield opened
    for each in opened:
        await each.stop()


async def organization_of(store: Store, name: str = "Acme") -> OrganizationId:
    organization, _ = await make_account(store, name)
    return organization.id


async def keys_of(store: Store, organization: OrganizationId) -> list[WebhookKey]:
    return list(await store.webhook_keys.of(organization, store.clock.now()))


async def ensure(store: Store, organization: OrganizationId) -> list[WebhookKey]:
    return list(await store.webhook_keys.ensure(organization, store.clock.now()))


async def rotate(store: Store, organization: OrganizationId, overlap: int = HOUR) -> list[WebhookKey]:
    return list(await store.webhook_keys.rotate(organization, store.clock.now(), overlap))


async def test_an_organisation_has_no_key_before_it_needs_one(store: Store) -> None:
    assert await keys_of(store, await organization_of(store)) == []


async def test_the_first_key_is_made_once_and_kept(store: Store) -> None:
    organization = await organization_of(store)
    made = await ensure(store, organization)
    assert len(made) == 1
    assert made[0].signs_from == made[0].created_at
    assert made == await ensure(store, organization) == await keys_of(store, organization)


async def test_a_key_is_drawn_of_the_sizes_that_verifiers_want(store: Store) -> None:
    (key,) = await ensure(store, await organization_of(store))
    assert key.secret.startswith(SECRET_PREFIX)
    secret = b64decode(key.secret.removeprefix(SECRET_PREFIX), validate=True)
    seed = b64decode(key.private_key, validate=True)
    assert (len(seed), len(secret)) == (32, 32)
    assert seed != secret


async def test_two_organisations_share_no_key(store: Store) -> None:
    first, second = await organization_of(store, "Acme"), await organization_of(store, "Bolt")
    (mine,), (theirs,) = await ensure(store, first), await ensure(store, second)
    assert (mine.organization_id, theirs.organization_id) == (first, second)
    assert mine.private_key != theirs.private_key
    assert mine.secret != theirs.secret
    await rotate(store, first, 0)
    assert await keys_of(store, second) == [theirs]


async def test_servers_that_make_the_first_key_at_once_have_the_same(store: Store, servers: list[Store]) -> None:
    for index in range(ROUNDS):
        organization = await organization_of(store, f"Acme {index}")
        made = await asyncio.gather(*[ensure(each, organization) for each in servers])
        assert made == [await keys_of(store, organization)] * SERVERS
        assert len(made[0]) == 1


async def test_a_rotation_keeps_the_old_key_for_twice_the_overlap(store: Store) -> None:
    organization = await organization_of(store)
    (old,) = await ensure(store, organization)
    kept, new = await rotate(store, organization)
    assert (kept.id, kept.retires_at) == (old.id, new.created_at + 2 * HOUR)
    assert (new.signs_from, new.retires_at) == (new.created_at + HOUR, None)
    assert await keys_of(store, organization) == [kept, new]
    end = new.created_at + 2 * HOUR
    assert await store.webhook_keys.of(organization, Instant(end - 1)) == [kept, new]
    assert await store.webhook_keys.of(organization, Instant(end)) == [new]


async def test_a_compromised_key_is_gone_at_once(store: Store) -> None:
    organization = await organization_of(store)
    await ensure(store, organization)
    await rotate(store, organization)
    made = await rotate(store, organization, 0)
    assert len(made) == 1
    assert await keys_of(store, organization) == made


async def test_a_rotation_before_the_first_key_makes_it(store: Store) -> None:
    (key,) = await rotate(store, await organization_of(store))
    assert key.signs_from == key.created_at


async def test_a_refused_rotation_changes_nothing(store: Store) -> None:
    organization = await organization_of(store)
    await ensure(store, organization)
    keys = await rotate(store, organization)
    with pytest.raises(RotationUnderWay):
        await rotate(store, organization)
    with pytest.raises(ValueError, match="an overlap of"):
        await rotate(store, organization, -1)
    assert await keys_of(store, organization) == keys


async def test_of_rotations_at_once_one_is_done(store: Store, servers: list[Store]) -> None:
    for index in range(ROUNDS):
        organization = await organization_of(store, f"Acme {index}")
        await ensure(store, organization)
        done = await asyncio.gather(*[rotate(each, organization) for each in servers], return_exceptions=True)
        refused = [each for each in done if isinstance(each, RotationUnderWay)]
        assert len(refused) == SERVERS - 1
        assert await keys_of(store, organization) in done


async def test_an_unknown_organisation_gets_no_key(store: Store) -> None:
    with pytest.raises(NoSuchRecord):
        await ensure(store, NOBODY)
    with pytest.raises(NoSuchRecord):
        await rotate(store, NOBODY)
    assert await keys_of(store, NOBODY) == []
