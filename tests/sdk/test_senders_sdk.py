"""Profiles, numbers and senders by the provider's Python SDK, unchanged, every answer held to its models."""

from itertools import count
from typing import Any

import pytest
from telnyx import NotFoundError, UnprocessableEntityError
from telnyx.types import AlphanumericSenderID, NumberLookupRetrieveResponse
from telnyx.types.bulk_messaging_settings_update_phone_numbers import BulkMessagingSettingsUpdatePhoneNumbers
from telnyx.types.messaging_messaging_profile import MessagingMessagingProfile
from telnyx.types.shared import PhoneNumberWithMessagingSettings, ShortCode

from tests.sdk.conftest import Sdk, Service

_FREE = count(1000)


async def all_of(pages: Any) -> list[Any]:
    """The items of a list, page after page, by either client."""
    if hasattr(pages, "__aiter__"):
        return [each async for each in pages]
    return list(pages)


@pytest.fixture
async def profile(strict_sdk: Sdk) -> Any:
    """A new profile."""
    return (await strict_sdk("messaging_profiles.create", name="Own", whitelisted_destinations=["*"])).data


@pytest.fixture
def number(service: Service) -> str:
    """A number of the sandbox's organisation, on its own profile."""
    _, profile = service.accounts.sandbox()
    return service.accounts.sender(profile)


@pytest.fixture
def code(service: Service) -> str:
    """A short code, likewise."""
    _, profile = service.accounts.sandbox()
    return service.accounts.sender(profile, f"7{next(_FREE):05d}")


async def test_a_profile_is_changed_given_a_secret_and_deleted(strict_sdk: Sdk, profile: Any) -> None:
    pool = {"long_code_weight": 1, "toll_free_weight": 2, "skip_unhealthy": False}
    changed = (await strict_sdk("messaging_profiles.update", profile.id, number_pool_settings=pool)).data
    assert isinstance(changed, MessagingMessagingProfile)
    assert changed.number_pool_settings is not None
    assert changed.number_pool_settings.toll_free_weight == 2
    renewed = (await strict_sdk("messaging_profiles.actions.regenerate_secret", profile.id)).data
    assert isinstance(renewed, MessagingMessagingProfile)
    assert renewed.v1_secret not in {None, profile.v1_secret}
    gone = (await strict_sdk("messaging_profiles.delete", profile.id)).data
    assert isinstance(gone, MessagingMessagingProfile)
    assert (gone.id, gone.v1_secret) == (profile.id, renewed.v1_secret)
    with pytest.raises(NotFoundError):
        await strict_sdk("messaging_profiles.retrieve", profile.id)


async def test_a_number_is_read_found_and_put_on_a_profile(strict_sdk: Sdk, profile: Any, number: str) -> None:
    known = (await strict_sdk("phone_numbers.messaging.retrieve", number)).data
    assert isinstance(known, PhoneNumberWithMessagingSettings)
    assert known.health is not None
    assert (known.phone_number, known.type, known.health.spam_ratio) == (number, "longcode", 0)
    found = await all_of(await strict_sdk("phone_numbers.messaging.list", filter_phone_number=number, page_size=1))
    assert [each.id for each in found] == [known.id]
    change = {"messaging_profile_id": profile.id, "messaging_product": "A2P", "tags": ["sdk"]}
    moved = (await strict_sdk("phone_numbers.messaging.update", known.id, **change)).data
    assert (moved.messaging_profile_id, moved.tags) == (profile.id, ["sdk"])
    (its,) = await all_of(await strict_sdk("messaging_profiles.list_phone_numbers", profile.id))
    assert isinstance(its, PhoneNumberWithMessagingSettings)
    assert its == moved


async def test_numbers_are_listed_by_filters_and_sorted(strict_sdk: Sdk, profile: Any, service: Service) -> None:
    numbers = sorted(service.accounts.sender(service.accounts.sandbox()[1]) for _ in range(3))
    for each in numbers:
        await strict_sdk("phone_numbers.messaging.update", each, messaging_profile_id=profile.id)
    wanted = {"filter_messaging_profile_id": profile.id, "filter_type": "longcode", "page_size": 2}
    contains = {"filter_phone_number_contains": "312555", "sort_phone_number": "desc"}
    found = await all_of(await strict_sdk("phone_numbers.messaging.list", **wanted, **contains))
    assert [each.phone_number for each in found] == numbers[::-1]


async def test_a_short_code_is_read_found_and_put_on_a_profile(strict_sdk: Sdk, profile: Any, code: str) -> None:
    known = (await strict_sdk("phone_numbers.messaging.retrieve", code)).data
    moved = (await strict_sdk("short_codes.update", known.id, messaging_profile_id=profile.id, tags=["sdk"])).data
    assert isinstance(moved, ShortCode)
    assert (moved.short_code, moved.messaging_profile_id, moved.tags) == (code, profile.id, ["sdk"])
    assert (await strict_sdk("short_codes.retrieve", known.id)).data == moved
    for pages in (
        await strict_sdk("short_codes.list", filter={"messaging_profile_id": profile.id}),
        await strict_sdk("messaging_profiles.list_short_codes", profile.id),
    ):
        assert await all_of(pages) == [moved]


async def test_an_alphanumeric_sender_is_added_found_and_deleted(strict_sdk: Sdk, profile: Any, number: str) -> None:
    wanted = {"alphanumeric_sender_id": "Acme", "messaging_profile_id": profile.id, "us_long_code_fallback": number}
    made = (await strict_sdk("alphanumeric_sender_ids.create", **wanted)).data
    assert isinstance(made, AlphanumericSenderID)
    assert (made.alphanumeric_sender_id, made.us_long_code_fallback) == ("Acme", number)
    assert (await strict_sdk("alphanumeric_sender_ids.retrieve", made.id)).data == made
    for pages in (
        await strict_sdk("alphanumeric_sender_ids.list", filter_messaging_profile_id=profile.id),
        await strict_sdk("messaging_profiles.list_alphanumeric_sender_ids", profile.id),
    ):
        assert await all_of(pages) == [made]
    assert (await strict_sdk("alphanumeric_sender_ids.delete", made.id)).data == made
    with pytest.raises(NotFoundError):
        await strict_sdk("alphanumeric_sender_ids.retrieve", made.id)


async def test_many_numbers_are_put_on_a_profile(strict_sdk: Sdk, profile: Any, number: str, service: Service) -> None:
    wanted = {"messaging_profile_id": profile.id, "numbers": [number, "+13125559999"], "assign_only": True}
    begun = (await strict_sdk("messaging_numbers_bulk_updates.create", **wanted)).data
    assert isinstance(begun, BulkMessagingSettingsUpdatePhoneNumbers)
    service.tester.settle()
    ended = (await strict_sdk("messaging_numbers_bulk_updates.retrieve", begun.order_id)).data
    assert (ended.order_id, ended.success, ended.failed, ended.pending) == (
        begun.order_id,
        [number],
        ["+13125559999"],
        [],
    )


async def test_a_number_is_looked_up(strict_sdk: Sdk) -> None:
    answer = await strict_sdk("number_lookup.retrieve", "+33612345678", type="carrier")
    assert isinstance(answer, NumberLookupRetrieveResponse)
    found: Any = answer.data
    assert (found.country_code, found.carrier.type, found.carrier.mobile_network_code) == ("FR", "mobile", "06")
    assert found.portability.ported_status == ""
    with pytest.raises(UnprocessableEntityError):
        await strict_sdk("number_lookup.retrieve", "12345")
