"""Accounts, what is remembered of them, and that a change counts at once."""

import pytest

from heliograph.domain.accounts import Campaign, Organization, Profile, RuleOverrides, Sender
from heliograph.domain.address import AddressKind
from heliograph.store.account_changes import AlreadyExists, NoSuchRecord
from heliograph.store.accounts import ApiKey
from heliograph.store.store import Store
from tests.builders import make_account, new_id


async def add_sender(store: Store, profile: Profile, address: str = "+18445550001", **given: object) -> Sender:
    values: dict[str, object] = {
        "id": new_id(store),
        "organization_id": profile.organization_id,
        "profile_id": profile.id,
        "address": address,
        "kind": AddressKind.TOLL_FREE,
        "country": "US",
        "carrier": "Heliograph",
        "line_type": "VoIP",
        "tags": ("Greetings",),
        "campaign": Campaign("TCPA3X7"),
    }
    sender = Sender(**(values | given))  # type: ignore[arg-type]  # any field may be given
    await store.changes.add_sender(sender, store.clock.now())
    return sender


async def make_key(store: Store, organization: Organization) -> ApiKey:
    key = ApiKey("0123456789abcdef", organization, "ci", "ab" * 32, store.clock.now())
    await store.changes.create_key(key)
    return key


async def test_a_sender_is_found_as_it_was_added(store: Store) -> None:
    organization, profile = await make_account(store)
    sender = await add_sender(store, profile)
    assert await store.accounts.sender(organization.id, sender.address) == sender


async def test_a_profile_is_found_as_it_was_made(store: Store) -> None:
    organization, profile = await make_account(store, webhook_url="https://example.com/hooks", smart_encoding=True)
    assert await store.accounts.profile(organization.id, profile.id) == profile


async def test_a_number_belongs_to_one_organisation(store: Store) -> None:
    _, mine = await make_account(store, "Acme")
    _, theirs = await make_account(store, "Other")
    await add_sender(store, mine)
    with pytest.raises(AlreadyExists):
        await add_sender(store, theirs)


async def test_an_alphanumeric_sender_may_be_of_many_profiles(store: Store) -> None:
    _, mine = await make_account(store, "Acme")
    _, theirs = await make_account(store, "Other")
    for profile in (mine, theirs):
        await add_sender(store, profile, "Acme Inc", kind=AddressKind.ALPHANUMERIC)
    found = await store.accounts.sender(theirs.organization_id, "Acme Inc", theirs.id)
    assert found is not None
    assert found.profile_id == theirs.id


async def test_what_is_remembered_is_forgotten_when_an_account_changes(store: Store) -> None:
    organization, _ = await make_account(store)
    key = await make_key(store, organization)
    assert await store.accounts.key(key.id) == key
    await store.changes.revoke_key(key.id, store.clock.now())
    assert await store.accounts.refresh()
    revoked = await store.accounts.key(key.id)
    assert revoked is not None
    assert revoked.revoked_at is not None


async def test_revoking_twice_keeps_the_first_moment(store: Store) -> None:
    organization, _ = await make_account(store)
    key = await make_key(store, organization)
    first = store.clock.now()
    await store.changes.revoke_key(key.id, first)
    await store.changes.revoke_key(key.id, store.clock.now())
    assert [each.revoked_at for each in await store.listing.keys()] == [first]


async def test_an_unknown_key_cannot_be_revoked(store: Store) -> None:
    with pytest.raises(NoSuchRecord):
        await store.changes.revoke_key("0" * 16, store.clock.now())


async def test_rules_of_its_own_are_read_with_the_organisation(store: Store) -> None:
    organization, _ = await make_account(store)
    await store.changes.set_rules(organization.id, RuleOverrides(cancel_cutoff=0, max_pending=5))
    found = await store.listing.organization("Acme")
    assert found is not None
    assert found.overrides == RuleOverrides(cancel_cutoff=0, max_pending=5)


async def test_the_pool_of_a_profile_has_its_numbers_only(store: Store) -> None:
    _, profile = await make_account(store)
    number = await add_sender(store, profile)
    await add_sender(store, profile, "12345", kind=AddressKind.SHORT_CODE)
    assert await store.accounts.pool(profile.organization_id, profile.id) == [number]


async def test_profiles_are_listed_newest_first_by_pages_and_filters(store: Store) -> None:
    organization, _ = await make_account(store)
    total, page = await store.listing.profiles(organization.id, 0, 1, {"contains": "mai"})
    assert (total, [each.name for each in page]) == (1, ["Main"])
    assert await store.listing.profiles(organization.id, 0, 1, {"contains": "m%"}) == (0, [])


async def test_a_name_is_given_once(store: Store) -> None:
    await make_account(store, "Acme")
    with pytest.raises(AlreadyExists):
        await make_account(store, "Acme")
