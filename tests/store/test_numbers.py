"""Senders as their owner changes them: what moves, what goes along with it, and what stays."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import insert, select

from heliograph.domain.accounts import Profile, Sender
from heliograph.domain.address import AddressKind
from heliograph.domain.consent import Autoresponse, AutoresponseOp
from heliograph.domain.ids import ProfileId
from heliograph.domain.instant import Instant
from heliograph.domain.number_health import NumberHealth
from heliograph.domain.senders import own_sender
from heliograph.store.account_changes import AlreadyExists, NoSuchFallback, NoSuchRecord
from heliograph.store.numbers import NUMBERS, UNASSIGNED, NoSuchProfile, SenderChange, SenderFilter
from heliograph.store.store import Store
from heliograph.store.tables import autoresponses, number_health, senders, sticky_senders
from tests.builders import epoch, make_account, new_id

NUMBER = "+13125550101"
OTHER = "+13125550102"
NAME = "Acme Inc"
ANY = SenderFilter(NUMBERS)


async def add(store: Store, profile: Profile, address: str = NUMBER, **given: Any) -> Sender:
    owner = given.pop("profile_id", profile.id)
    sender = own_sender(new_id(store), profile.organization_id, owner, address)
    for name, value in given.items():
        object.__setattr__(sender, name, value)
    await store.changes.add_sender(sender, store.clock.now())
    return sender


async def another_profile(store: Store, profile: Profile) -> Profile:
    now = store.clock.now()
    made = Profile(ProfileId(new_id(store)), profile.organization_id, "Second", profile.settings, now, now)
    await store.changes.save_profile(made)
    return made


async def put(store: Store, table: Any, **values: Any) -> None:
    async with store.engine.transaction() as transaction:
        await transaction.execute(insert(table).values(**values))


async def chosen(store: Store, profile: Profile, sender: str = NUMBER) -> None:
    """Somebody whom a number of the pool writes to."""
    await put(store, sticky_senders, profile_id=profile.id, recipient="+15550001", sender=sender, until=Instant(2**50))


async def count(store: Store, table: Any) -> int:
    return len(await store.engine.fetch(select(table)))


async def addresses(store: Store, profile: Profile, wanted: SenderFilter) -> list[str]:
    total, page = await store.senders.page(profile.organization_id, wanted, 0, 100)
    assert total == len(page)
    return [each.sender.address for each in page]


async def profile_of(store: Store, profile: Profile, address: str = NUMBER) -> str | None:
    kept = await store.senders.find(profile.organization_id, NUMBERS, address=address)
    assert kept is not None
    return kept.sender.profile_id


async def test_a_number_is_found_as_it_was_added_by_its_id_and_by_its_digits(store: Store) -> None:
    _, profile = await make_account(store)
    sender = await add(store, profile)
    for named in ({"sender_id": sender.id}, {"address": NUMBER}):
        kept = await store.senders.find(profile.organization_id, NUMBERS, **named)
        assert kept is not None
        assert (kept.sender, kept.health) == (sender, NumberHealth())
        assert kept.created_at == kept.updated_at


async def test_what_was_measured_of_a_number_is_read_with_it(store: Store) -> None:
    _, profile = await make_account(store)
    await add(store, profile)
    counts = {"sent": 10, "received": 5, "delivered": 6, "finished": 8, "spam": 1}
    owner = {"sender": NUMBER, "organization_id": profile.organization_id}
    await put(store, number_health, **owner, **counts, measured_at=Instant(1))
    (kept,) = (await store.senders.page(profile.organization_id, ANY, 0, 10))[1]
    assert kept.health == NumberHealth(**counts)


async def test_senders_are_listed_by_filters_and_in_order(store: Store) -> None:
    _, profile = await make_account(store)
    for address in (NUMBER, "+18005550101", "12345", NAME):
        await add(store, profile, address)
    await add(store, profile, OTHER, profile_id=None)
    assert await addresses(store, profile, ANY) == [OTHER, "12345", "+18005550101", NUMBER]
    assert await addresses(store, profile, ANY._replace(descending=False)) == [NUMBER, OTHER, "+18005550101", "12345"]
    assert await addresses(store, profile, SenderFilter([AddressKind.ALPHANUMERIC])) == [NAME]
    assert await addresses(store, profile, ANY._replace(profile_id=UNASSIGNED)) == [OTHER]
    assert await addresses(store, profile, ANY._replace(profile_id=profile.id, contains="555")) == [
        "+18005550101",
        NUMBER,
    ]
    assert await addresses(store, profile, ANY._replace(addresses=[OTHER, "12345", "99999"])) == [OTHER, "12345"]
    total, page = await store.senders.page(profile.organization_id, ANY, 1, 2)
    assert (total, [each.sender.address for each in page]) == (4, ["12345", "+18005550101"])


async def test_of_another_organisation_nothing_is_found_changed_or_removed(store: Store) -> None:
    _, profile = await make_account(store)
    other, _ = await make_account(store, "Other")
    sender = await add(store, profile)
    before = await epoch(store)
    assert await store.senders.page(other.id, ANY, 0, 10) == (0, [])
    assert await store.senders.find(other.id, NUMBERS, address=NUMBER) is None
    assert await store.senders.assign(other.id, UNASSIGNED, [NUMBER], Instant(1)) == frozenset()
    with pytest.raises(NoSuchRecord):
        await store.senders.change(other.id, sender.id, SenderChange(UNASSIGNED), Instant(1))
    with pytest.raises(NoSuchRecord):
        await store.senders.remove(other.id, sender.id)
    assert (await epoch(store), await profile_of(store, profile)) == (before, profile.id)


async def test_a_change_counts_at_once_and_leaves_what_it_does_not_name(store: Store) -> None:
    organization, profile = await make_account(store)
    sender = await add(store, profile, tags=("a",))
    assert await store.accounts.sender(organization.id, NUMBER) == sender
    await store.senders.change(organization.id, sender.id, SenderChange(tags=("b", "c")), store.clock.now())
    await store.senders.change(organization.id, sender.id, SenderChange(UNASSIGNED), store.clock.now())
    assert await store.accounts.refresh()
    found = await store.accounts.sender(organization.id, NUMBER)
    assert found is not None
    assert (found.profile_id, found.tags) == (None, ("b", "c"))
    kept = await store.senders.find(organization.id, NUMBERS, address=NUMBER)
    assert kept is not None
    assert kept.updated_at > kept.created_at


async def test_a_number_that_moves_forgets_whom_it_wrote_to_and_one_that_stays_does_not(store: Store) -> None:
    organization, profile = await make_account(store)
    sender = await add(store, profile)
    await chosen(store, profile)
    await store.senders.change(organization.id, sender.id, SenderChange(profile.id, ("x",)), Instant(1))
    await store.senders.assign(organization.id, profile.id, [NUMBER], Instant(1))
    assert await count(store, sticky_senders) == 1
    await store.senders.assign(organization.id, UNASSIGNED, [NUMBER], Instant(1))
    assert await count(store, sticky_senders) == 0


async def test_many_numbers_are_assigned_at_once_and_those_that_are_there_are_told(store: Store) -> None:
    organization, profile = await make_account(store)
    second = await another_profile(store, profile)
    for address in (NUMBER, OTHER):
        await add(store, profile, address)
    await add(store, profile, NAME)
    wanted = [NUMBER, "+13125559999", OTHER, NAME]
    before = await epoch(store)
    assert await store.senders.assign(organization.id, second.id, wanted, Instant(7)) == {NUMBER, OTHER}
    assert [await profile_of(store, profile, each) for each in (NUMBER, OTHER)] == [second.id] * 2
    assert await store.senders.assign(organization.id, second.id, wanted, Instant(8)) == {NUMBER, OTHER}
    assert await epoch(store) == before + 1


@pytest.mark.parametrize("deleted", [True, False])
async def test_nothing_is_put_on_a_profile_that_is_not_there(store: Store, *, deleted: bool) -> None:
    organization, profile = await make_account(store)
    gone = await another_profile(store, profile)
    sender = await add(store, profile)
    if deleted:
        await store.changes.delete_profile(organization.id, gone.id, store.clock.now())
    nowhere = gone.id if deleted else new_id(store)
    with pytest.raises(NoSuchProfile):
        await store.senders.change(organization.id, sender.id, SenderChange(nowhere), Instant(1))
    with pytest.raises(NoSuchProfile):
        await store.senders.assign(organization.id, nowhere, [NUMBER], Instant(1))
    with pytest.raises(NoSuchRecord):
        await add(store, profile, OTHER, profile_id=ProfileId(nowhere))
    assert await profile_of(store, profile) == profile.id


async def test_a_number_goes_with_what_refers_to_it(store: Store) -> None:
    organization, profile = await make_account(store)
    sender = await add(store, profile)
    name = await add(store, profile, NAME, us_long_code_fallback=NUMBER)
    await chosen(store, profile)
    removed = await store.senders.remove(organization.id, sender.id)
    assert removed.sender == sender
    assert await count(store, sticky_senders) == 0
    found = await store.senders.find(organization.id, [AddressKind.ALPHANUMERIC], sender_id=name.id)
    assert found is not None
    assert found.sender.us_long_code_fallback is None
    with pytest.raises(NoSuchRecord):
        await store.senders.remove(organization.id, sender.id)


@pytest.mark.parametrize(
    ("fallback", "whose"),
    [("+13125559999", ""), ("+18005550101", "own"), ("12345", "own"), ("+447700900123", "own"), (NUMBER, "other")],
)
async def test_a_fallback_is_an_own_us_long_code(store: Store, fallback: str, whose: str) -> None:
    _, profile = await make_account(store)
    _, theirs = await make_account(store, "Other")
    if whose:
        await add(store, profile if whose == "own" else theirs, fallback)
    with pytest.raises(NoSuchFallback):
        await add(store, profile, NAME, us_long_code_fallback=fallback)
    assert await addresses(store, profile, SenderFilter([AddressKind.ALPHANUMERIC])) == []


async def test_a_deleted_profile_is_nowhere_and_what_was_on_it_is_free_or_gone(store: Store) -> None:
    organization, profile = await make_account(store, webhook_url="https://a.example")
    second = await another_profile(store, profile)
    for each in (profile, second):
        await add(store, each, NAME)
    await add(store, profile)
    await add(store, second, OTHER)
    await chosen(store, profile)
    now = store.clock.now()
    reply = Autoresponse(
        id=new_id(store),
        organization_id=organization.id,
        profile_id=profile.id,
        op=AutoresponseOp.STOP,
        keywords=("STOP",),
        country_code="*",
        resp_text=None,
        created_at=now,
        updated_at=now,
    )
    await store.consent.create_autoresponse(reply)
    before = await epoch(store)
    assert await store.changes.delete_profile(organization.id, profile.id, now) == profile
    assert await epoch(store) == before + 1
    assert await store.accounts.profile(organization.id, profile.id) is None
    assert (await store.listing.profiles(organization.id, 0, 10, {})) == (1, [second])
    rows = await store.engine.fetch(select(senders.c.address, senders.c.profile_id).order_by(senders.c.address))
    assert [(row["address"], row["profile_id"]) for row in rows] == [
        (NUMBER, None),
        (OTHER, second.id),
        (NAME, second.id),
    ]
    assert [await count(store, each) for each in (sticky_senders, autoresponses)] == [0, 0]
    with pytest.raises(NoSuchRecord):
        await store.consent.create_autoresponse(reply)


async def test_what_was_sent_under_a_deleted_profile_is_still_reported_to_its_urls(store: Store) -> None:
    organization, profile = await make_account(store, webhook_url="https://a.example")
    await store.changes.delete_profile(organization.id, profile.id, store.clock.now())
    assert await store.accounts.profile_ever(organization.id, profile.id) == profile


async def test_a_profile_is_deleted_once_and_not_by_others(store: Store) -> None:
    organization, profile = await make_account(store)
    other, _ = await make_account(store, "Other")
    with pytest.raises(NoSuchRecord):
        await store.changes.delete_profile(other.id, profile.id, store.clock.now())
    await store.changes.delete_profile(organization.id, profile.id, store.clock.now())
    for change in (
        store.changes.delete_profile(organization.id, profile.id, store.clock.now()),
        store.changes.change_profile(organization.id, profile.id, lambda known: known),
    ):
        with pytest.raises(NoSuchRecord):
            await change


async def test_numbers_that_come_while_a_profile_goes_are_not_left_on_it(store: Store, beside: Store) -> None:
    organization, profile = await make_account(store)
    numbers = [f"+131255502{index:02d}" for index in range(20)]
    for address in numbers[:10]:
        await add(store, profile, address, profile_id=None)

    async def come(index: int) -> None:
        if index < 10:
            await beside.senders.assign(organization.id, profile.id, [numbers[index]], Instant(1))
        else:
            await add(beside, profile, numbers[index])

    going = store.changes.delete_profile(organization.id, profile.id, store.clock.now())
    ended = await asyncio.gather(*map(come, range(5)), going, *map(come, range(5, 20)), return_exceptions=True)
    assert all(each is None or isinstance(each, Profile | NoSuchRecord) for each in ended), ended
    rows = await store.engine.fetch(select(senders.c.profile_id))
    assert {row["profile_id"] for row in rows} == {None}


async def test_two_who_add_a_number_at_once_are_told_apart(store: Store, beside: Store) -> None:
    _, mine = await make_account(store, "Acme")
    _, theirs = await make_account(store, "Other")
    ended = await asyncio.gather(add(store, mine), add(beside, theirs), return_exceptions=True)
    assert sorted(type(each).__name__ for each in ended) == [AlreadyExists.__name__, Sender.__name__]
