"""The 10DLC registry, by the provider's Python SDK, unchanged, with both of its clients."""

from typing import Any

import pytest
import telnyx

from tests.sdk.conftest import Sdk, Service

BRAND = {
    "entity_type": "PRIVATE_PROFIT",
    "display_name": "ABC Mobile",
    "company_name": "ABC Inc.",
    "country": "US",
    "email": "name@example.com",
    "vertical": "TECHNOLOGY",
}
CAMPAIGN = {"description": "News of ours", "usecase": "MARKETING", "sample1": "Sale! Reply STOP to end."}


@pytest.fixture
async def brand(strict_sdk: Sdk) -> Any:
    return await strict_sdk("messaging_10dlc.brand.create", **BRAND)


@pytest.fixture
async def campaign(strict_sdk: Sdk, brand: Any) -> Any:
    return await strict_sdk("messaging_10dlc.campaign_builder.submit", brand_id=brand.brand_id, **CAMPAIGN)


@pytest.fixture
def number(service: Service) -> str:
    return service.accounts.sender(service.accounts.sandbox()[1])


async def listed(sdk: Sdk, method: str, **wanted: Any) -> list[Any]:
    """Everything that a list gives: clients of both kinds go through the pages by themselves."""
    call = sdk.client.messaging_10dlc
    for name in method.split("."):
        call = getattr(call, name)
    pages = call(**wanted)
    if hasattr(pages, "__aiter__"):
        return [each async for each in pages]
    return list(pages)


async def test_a_brand_is_created_and_retrieved(strict_sdk: Sdk, brand: Any) -> None:
    assert (brand.status, brand.identity_status, brand.display_name) == ("OK", "VERIFIED", "ABC Mobile")
    found = await strict_sdk("messaging_10dlc.brand.retrieve", brand.brand_id)
    assert (found.brand_id, found.tcr_brand_id, found.company_name) == (brand.brand_id, brand.tcr_brand_id, "ABC Inc.")
    assert found.assigned_campaigns_count == 0


async def test_a_brand_is_updated(strict_sdk: Sdk, brand: Any) -> None:
    given = {**BRAND, "display_name": "New"}
    changed = await strict_sdk("messaging_10dlc.brand.update", brand.brand_id, **given, website="https://example.com")
    assert (changed.display_name, changed.website) == ("New", "https://example.com")


async def test_brands_are_listed_over_pages(strict_sdk: Sdk, brand: Any) -> None:
    name = f"Listed {brand.tcr_brand_id}"
    made = [await strict_sdk("messaging_10dlc.brand.create", **{**BRAND, "display_name": name}) for _ in range(3)]
    found = await listed(strict_sdk, "brand.list", display_name=name, records_per_page=2, sort="createdAt")
    assert [each.brand_id for each in found] == [each.brand_id for each in made]


async def test_a_brand_is_deleted_once_its_campaigns_have_ended(strict_sdk: Sdk, brand: Any, campaign: Any) -> None:
    with pytest.raises(telnyx.BadRequestError) as refused:
        await strict_sdk("messaging_10dlc.brand.delete", brand.brand_id)
    body: Any = refused.value.body
    assert body["errors"][0]["code"] == "40332"
    ended = await strict_sdk("messaging_10dlc.campaign.deactivate", campaign.campaign_id)
    assert (ended.record_type, ended.time > 1_700_000_000) == ("campaign", True)
    assert await strict_sdk("messaging_10dlc.brand.delete", brand.brand_id) is None
    with pytest.raises(telnyx.NotFoundError):
        await strict_sdk("messaging_10dlc.brand.retrieve", brand.brand_id)


async def test_a_campaign_is_submitted_and_retrieved(strict_sdk: Sdk, brand: Any, campaign: Any) -> None:
    assert (campaign.status, campaign.usecase, campaign.brand_id) == ("ACTIVE", "MARKETING", brand.brand_id)
    found = await strict_sdk("messaging_10dlc.campaign.retrieve", campaign.campaign_id)
    assert (found.campaign_id, found.tcr_campaign_id) == (campaign.campaign_id, campaign.tcr_campaign_id)
    assert (found.brand_display_name, found.is_t_mobile_registered) == ("ABC Mobile", True)


async def test_a_campaign_is_updated(strict_sdk: Sdk, campaign: Any) -> None:
    changed = await strict_sdk("messaging_10dlc.campaign.update", campaign.campaign_id, sample2="Another one")
    assert (changed.sample1, changed.sample2) == (CAMPAIGN["sample1"], "Another one")


async def test_campaigns_are_listed_over_pages(strict_sdk: Sdk, brand: Any, campaign: Any) -> None:
    other = await strict_sdk("messaging_10dlc.campaign_builder.submit", brand_id=brand.brand_id, **CAMPAIGN)
    found = await listed(strict_sdk, "campaign.list", brand_id=brand.brand_id, records_per_page=1)
    assert [each.campaign_id for each in found] == [other.campaign_id, campaign.campaign_id]


async def test_a_number_is_assigned_retrieved_and_listed(strict_sdk: Sdk, campaign: Any, number: str) -> None:
    resource = "messaging_10dlc.phone_number_campaigns"
    made = await strict_sdk(f"{resource}.create", phone_number=number, campaign_id=campaign.campaign_id)
    assert (made.phone_number, made.assignment_status) == (number, "ASSIGNED")
    found = await strict_sdk(f"{resource}.retrieve", number)
    assert (found.campaign_id, found.tcr_campaign_id) == (campaign.campaign_id, campaign.tcr_campaign_id)
    wanted = {"telnyx_campaign_id": campaign.campaign_id}
    (only,) = await listed(strict_sdk, "phone_number_campaigns.list", filter=wanted)
    assert only.phone_number == number
    sent = await strict_sdk("messages.send", from_=number, to="+17735550100", text="Hello")
    assert sent.data.tcr_campaign_id == campaign.tcr_campaign_id


async def test_a_number_is_moved_and_taken_off(strict_sdk: Sdk, brand: Any, campaign: Any, number: str) -> None:
    resource = "messaging_10dlc.phone_number_campaigns"
    await strict_sdk(f"{resource}.create", phone_number=number, campaign_id=campaign.campaign_id)
    other = await strict_sdk("messaging_10dlc.campaign_builder.submit", brand_id=brand.brand_id, **CAMPAIGN)
    wanted = {"phone_number": number, "campaign_id": other.campaign_id}
    moved = await strict_sdk(f"{resource}.update", number, **wanted)
    assert moved.campaign_id == other.campaign_id
    gone = await strict_sdk(f"{resource}.delete", number)
    assert gone.assignment_status == "PENDING_UNASSIGNMENT"
    with pytest.raises(telnyx.NotFoundError):
        await strict_sdk(f"{resource}.retrieve", number)


async def test_the_words_of_a_field_are_listed(strict_sdk: Sdk) -> None:
    assert "TECHNOLOGY" in await strict_sdk("messaging_10dlc.get_enum", "vertical")
