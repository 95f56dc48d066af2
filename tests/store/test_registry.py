"""The 10DLC registry: what a campaign means to its numbers, and that it counts at once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec
import pytest

from heliograph.domain.accounts import Campaign, Organization, Profile, Sender
from heliograph.domain.lifecycle import Status
from heliograph.domain.registry import Assignment, Brand, BrandDetails, CampaignDetails, RegisteredCampaign
from heliograph.server import new_sender
from heliograph.store.account_changes import AlreadyExists, NoSuchRecord
from heliograph.store.engine import open_engine
from heliograph.store.registry import (
    AssignedElsewhere,
    AssignmentFilter,
    BrandFilter,
    BrandInUse,
    CampaignEnded,
    NoSuchCampaign,
    Part,
)
from heliograph.store.store import Store
from tests.builders import accepted, claim, make_account, new_id

DETAILS = BrandDetails(
    entity_type="PRIVATE_PROFIT", display_name="ABC", country="US", email="name@example.com", vertical="RETAIL"
)
NUMBER = "+13125550100"


class Registered:
    """An organisation that registers things."""

    def __init__(self, store: Store, organization: Organization, profile: Profile) -> None:
        self.store = store
        self.id = organization.id
        self.profile = profile

    async def brand(self, **given: object) -> Brand:
        details = msgspec.structs.replace(DETAILS, **given)
        return await self.store.registry.create_brand(self.id, new_id(self.store), details, self.store.clock.now())

    async def campaign(self, brand: Brand, **given: object) -> RegisteredCampaign:
        details = msgspec.structs.replace(CampaignDetails(description="x", usecase="MARKETING", sample1="y"), **given)
        now = self.store.clock.now()
        registry = self.store.registry
        return await registry.create_campaign(self.id, brand.id, new_id(self.store), lambda _: details, now)

    async def number(self, address: str = NUMBER) -> Sender:
        sender = new_sender(self.store, self.profile, address)
        await self.store.changes.add_sender(sender, self.store.clock.now())
        return sender

    async def assign(self, number: Sender, campaign: RegisteredCampaign, *, move: bool = False) -> Assignment:
        now = self.store.clock.now()
        return await self.store.registry.assign(self.id, number.id, campaign.id, now, move=move)

    async def shown(self, address: str = NUMBER) -> Campaign | None:
        """What messages of a number show, by what is remembered unless the epoch has moved."""
        await self.store.accounts.refresh()
        sender = await self.store.accounts.sender(self.id, address)
        assert sender is not None
        return sender.campaign


@pytest.fixture
async def mine(store: Store) -> Registered:
    return Registered(store, *await make_account(store))


@pytest.fixture
async def theirs(store: Store) -> Registered:
    return Registered(store, *await make_account(store, "Other"))


def part(order: str = "createdAt", offset: int = 0, limit: int = 10) -> Part:
    return Part(order, offset, limit)


async def test_a_brand_is_found_as_it_was_registered_by_either_name(mine: Registered) -> None:
    brand = await mine.brand(website="example.com")
    for which in (brand.id, brand.tcr_id):
        assert await mine.store.registry.brand(mine.id, which) == (brand, 0)


async def test_a_campaign_is_found_as_it_was_registered_by_either_name(mine: Registered) -> None:
    campaign = await mine.campaign(await mine.brand(), sub_usecases=("2FA",), tag=("a",))
    for which in (campaign.id, campaign.tcr_id):
        assert await mine.store.registry.campaign(mine.id, which) == campaign


async def test_brands_are_filtered_and_sorted(mine: Registered) -> None:
    first = await mine.brand(display_name="B", state="NY")
    second = await mine.brand(display_name="A", country="DE", vetting_score=50)
    await mine.campaign(second)
    registry = mine.store.registry

    async def listed(order: str = "createdAt", **wanted: str) -> list[str]:
        total, found = await registry.brands(mine.id, BrandFilter(**wanted), part(order))
        assert total == len(found)
        return [each.id for each, _ in found]

    assert await listed() == [first.id, second.id]
    assert await listed("-createdAt") == [second.id, first.id]
    assert await listed("displayName") == [second.id, first.id]
    assert await listed("-assignedCampaignsCount") == [second.id, first.id]
    assert await listed("identityStatus") == [first.id, second.id]
    assert await listed("status") == [second.id, first.id]
    assert await listed(state="NY") == await listed(tcr_id=first.tcr_id) == [first.id]
    assert await listed(country="DE") == await listed(display_name="A") == await listed(id=second.id) == [second.id]
    assert await listed(entity_type="GOVERNMENT") == []
    assert await registry.brands(mine.id, BrandFilter(), part(offset=1, limit=1)) == (2, [(second, 1)])


async def test_a_reference_is_used_once_in_an_organisation(mine: Registered, theirs: Registered) -> None:
    await mine.campaign(await mine.brand(), reference_id="mine")
    with pytest.raises(AlreadyExists):
        await mine.campaign(await mine.brand(), reference_id="mine")
    await theirs.campaign(await theirs.brand(), reference_id="mine")


async def test_an_assigned_number_shows_its_campaign_at_once(mine: Registered) -> None:
    number, campaign = await mine.number(), await mine.campaign(await mine.brand())
    assert await mine.shown() is None
    assigned = await mine.assign(number, campaign)
    assert assigned.campaign == campaign
    assert await mine.shown() == Campaign(campaign.tcr_id, message_class="T")
    assert await mine.store.registry.assignment(mine.id, NUMBER) == assigned
    assert await mine.assign(number, campaign) == assigned


async def test_a_number_is_moved_only_when_that_is_meant(mine: Registered) -> None:
    number, brand = await mine.number(), await mine.brand()
    one, other = await mine.campaign(brand), await mine.campaign(brand, usecase="SOCIAL")
    with pytest.raises(NoSuchRecord):
        await mine.assign(number, one, move=True)
    before = await mine.assign(number, one)
    with pytest.raises(AssignedElsewhere, match=one.tcr_id):
        await mine.assign(number, other)
    moved = await mine.assign(number, other, move=True)
    assert (moved.campaign, moved.created_at) == (other, before.created_at)
    assert moved.updated_at > before.updated_at
    assert await mine.shown() == Campaign(other.tcr_id, message_class="S")


async def test_a_number_that_is_taken_off_shows_nothing(mine: Registered) -> None:
    number, campaign = await mine.number(), await mine.campaign(await mine.brand())
    assigned = await mine.assign(number, campaign)
    assert await mine.store.registry.unassign(mine.id, NUMBER) == assigned
    assert await mine.shown() is None
    assert await mine.store.registry.assignment(mine.id, NUMBER) is None
    with pytest.raises(NoSuchRecord):
        await mine.store.registry.unassign(mine.id, NUMBER)


async def test_the_end_of_a_campaign_takes_its_numbers_off_and_is_final(mine: Registered) -> None:
    registry, brand = mine.store.registry, await mine.brand()
    campaign, other = await mine.campaign(brand), await mine.campaign(brand)
    await mine.assign(await mine.number(), campaign)
    await mine.assign(await mine.number("+13125550101"), other)
    ended = await registry.deactivate(mine.id, campaign.id, mine.store.clock.now())
    assert not ended.active
    assert await registry.deactivate(mine.id, campaign.id, mine.store.clock.now()) == ended
    assert await mine.shown() is None
    assert await mine.shown("+13125550101") == other.of_number
    with pytest.raises(CampaignEnded):
        await mine.assign(await mine.number("+13125550102"), campaign)
    with pytest.raises(CampaignEnded):
        await registry.change_campaign(mine.id, campaign.id, lambda each: each)


async def test_a_brand_goes_when_all_its_campaigns_have_ended(mine: Registered) -> None:
    registry, brand = mine.store.registry, await mine.brand()
    campaign = await mine.campaign(brand)
    with pytest.raises(BrandInUse):
        await registry.delete_brand(mine.id, brand.id)
    await registry.deactivate(mine.id, campaign.id, mine.store.clock.now())
    await registry.delete_brand(mine.id, brand.id)
    assert await registry.brand(mine.id, brand.id) is None
    assert await registry.campaign(mine.id, campaign.id) is None
    with pytest.raises(NoSuchRecord):
        await registry.delete_brand(mine.id, brand.id)


async def test_a_vetting_counts_for_the_numbers_there_are(mine: Registered) -> None:
    brand = await mine.brand()
    campaign = await mine.campaign(brand)
    await mine.assign(await mine.number(), campaign)
    await mine.number("+13125550101")

    def vetted(each: Brand) -> Brand:
        return replace(each, details=msgspec.structs.replace(each.details, vetting_score=75))

    await mine.store.registry.change_brand(mine.id, brand.id, vetted)
    assert await mine.shown() == Campaign(campaign.tcr_id, message_class="A")
    assert await mine.shown("+13125550101") is None


async def test_a_number_that_is_removed_leaves_its_campaign(mine: Registered) -> None:
    campaign = await mine.campaign(await mine.brand())
    await mine.assign(await mine.number(), campaign)
    await mine.store.changes.remove_sender(mine.id, NUMBER)
    assert await mine.store.registry.assignment(mine.id, NUMBER) is None
    await mine.number()
    assert await mine.shown() is None


async def test_a_campaign_without_a_registry_stays_possible(mine: Registered) -> None:
    sender = replace(new_sender(mine.store, mine.profile, NUMBER), campaign=Campaign("TCPA3X7"))
    await mine.store.changes.add_sender(sender, mine.store.clock.now())
    assert await mine.shown() == Campaign("TCPA3X7")
    with pytest.raises(NoSuchRecord):
        await mine.store.registry.unassign(mine.id, NUMBER)
    assert await mine.shown() == Campaign("TCPA3X7")


async def test_assignments_are_filtered_and_sorted(mine: Registered) -> None:
    brand, other_brand = await mine.brand(), await mine.brand()
    campaign, other = await mine.campaign(brand), await mine.campaign(other_brand)
    await mine.assign(await mine.number("+13125550102"), campaign)
    await mine.assign(await mine.number("+13125550101"), other)

    async def listed(order: str = "createdAt", **wanted: str) -> list[str]:
        _, found = await mine.store.registry.assignments(mine.id, AssignmentFilter(**wanted), part(order))
        return [each.number for each in found]

    assert await listed() == ["+13125550102", "+13125550101"]
    assert await listed("phoneNumber") == ["+13125550101", "+13125550102"]
    assert await listed(campaign_id=campaign.id) == await listed(tcr_brand_id=brand.tcr_id) == ["+13125550102"]
    assert await listed(brand_id=other_brand.id) == await listed(tcr_campaign_id=other.tcr_id) == ["+13125550101"]
    assert await listed(campaign_id=other.id, brand_id=brand.id) == []
    total, found = await mine.store.registry.campaigns(mine.id, None, part("-assignedPhoneNumbersCount"))
    assert (total, [count for _, count in found]) == (2, [1, 1])
    assert (await mine.store.registry.campaigns(mine.id, brand.tcr_id, part()))[1] == [(campaign, 1)]


async def test_what_another_organisation_has_does_not_exist(mine: Registered, theirs: Registered) -> None:
    registry, now = mine.store.registry, mine.store.clock.now()
    brand = await theirs.brand()
    campaign = await theirs.campaign(brand)
    await theirs.assign(await theirs.number(), campaign)
    number = await mine.number("+13125550101")
    assert await registry.brand(mine.id, brand.id) is None
    assert await registry.campaign(mine.id, campaign.tcr_id) is None
    assert await registry.assignment(mine.id, NUMBER) is None
    assert await registry.brands(mine.id, BrandFilter(), part()) == (0, [])
    assert await registry.campaigns(mine.id, brand.id, part()) == (0, [])
    assert await registry.assignments(mine.id, AssignmentFilter(), part()) == (0, [])
    with pytest.raises(NoSuchCampaign):
        await mine.assign(number, campaign)
    for change in (
        registry.change_brand(mine.id, brand.id, lambda each: each),
        registry.delete_brand(mine.id, brand.id),
        registry.create_campaign(mine.id, brand.id, "c", lambda _: campaign.details, now),
        registry.change_campaign(mine.id, campaign.id, lambda each: each),
        registry.deactivate(mine.id, campaign.id, now),
        registry.unassign(mine.id, NUMBER),
    ):
        with pytest.raises(NoSuchRecord):
            await change
    assert await theirs.shown() == campaign.of_number


@pytest.fixture
async def strict(prepared_database_url: str, store: Store) -> AsyncIterator[Store]:
    """Another process on the database of `store`, which wants campaigns."""
    opened = Store(open_engine(prepared_database_url, sandbox=True), campaign_required=True)
    await opened.start()
    yield opened
    await opened.stop()


async def test_what_lost_its_campaign_is_not_given_to_a_carrier(mine: Registered, strict: Store) -> None:
    campaign = await mine.campaign(await mine.brand())
    gone, registered = await mine.number("+13125550101"), await mine.number("+13125550102")
    await mine.assign(registered, campaign)
    await mine.number()
    unregistered = replace(new_sender(strict, mine.profile, "+13125550103"), campaign=Campaign("C1", registered=None))
    await strict.changes.add_sender(unregistered, strict.clock.now())
    sent = {
        address: await accepted(strict, organization_id=mine.id, sender=address, recipient=recipient, send_in=None)
        for address, recipient in (
            (NUMBER, "+17735550100"),
            (gone.address, "+17735550100"),
            (registered.address, "+17735550100"),
            (unregistered.address, "+17735550100"),
            ("+18445550001", "+17735550100"),
        )
    }
    abroad = await accepted(strict, organization_id=mine.id, sender=NUMBER, recipient="+447400123456", send_in=None)
    await strict.changes.remove_sender(mine.id, gone.address)
    _, claimed = await claim(strict)
    withheld = {sent[NUMBER].id, sent[unregistered.address].id}
    assert {each.id for each in claimed} == {each.id for each in sent.values()} - withheld | {abroad.id}
    failed, _ = await strict.messages.find(mine.id, sent[NUMBER].id)
    assert failed is not None
    assert (failed.status, [each.code for each in failed.errors]) == (Status.SENDING_FAILED, ["40010"])
    assert not failed.charged


ROUNDS = 12


async def test_an_end_and_an_assignment_at_once_leave_no_number_behind(
    mine: Registered, store: Store, beside: Store
) -> None:
    number, brand = await mine.number(), await mine.brand()
    stays = await mine.campaign(brand)
    await mine.assign(number, stays)
    for _ in range(ROUNDS):
        ends = await mine.campaign(brand)
        moving = store.registry.assign(mine.id, number.id, ends.id, store.clock.now(), move=True)
        ending = beside.registry.deactivate(mine.id, ends.id, beside.clock.now())
        await asyncio.gather(moving, ending, return_exceptions=True)
        found = await store.registry.assignment(mine.id, NUMBER)
        assert await mine.shown() == (None if found is None else stays.of_number)
        if found is None:
            await mine.assign(number, stays)


async def test_a_vetting_and_an_assignment_at_once_agree_on_the_class(
    mine: Registered, store: Store, beside: Store
) -> None:
    number, brand = await mine.number(), await mine.brand()
    campaign = await mine.campaign(brand)
    for score in range(1, 100, 100 // ROUNDS):

        def vetted(each: Brand, score: int = score) -> Brand:
            return replace(each, details=msgspec.structs.replace(each.details, vetting_score=score))

        assigning = store.registry.assign(mine.id, number.id, campaign.id, store.clock.now(), move=False)
        await asyncio.gather(assigning, beside.registry.change_brand(mine.id, brand.id, vetted))
        found = await store.registry.assignment(mine.id, NUMBER)
        assert found is not None
        assert await mine.shown() == found.campaign.of_number
        await store.registry.unassign(mine.id, NUMBER)
