"""Webhook deliveries and changes of profiles by the provider's Python SDK, unchanged, with both of its clients."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import telnyx
from telnyx.types import WebhookDelivery

from heliograph.domain.accounts import Profile
from tests.sdk.conftest import Sdk, Service
from tests.webhook_receiver import Receiver
from tests.wire import NO_SUCH_ID, TO

HOOK = "/hooks"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Takes what it is not told to refuse."""
    with Receiver() as started:
        yield started


@pytest.fixture
def profile(service: Service, receiver: Receiver) -> Profile:
    """A profile of the caller's whose events go there."""
    organization, _ = service.accounts.sandbox()
    return service.accounts.profile(organization, webhook_url=receiver.url(HOOK))


@pytest.fixture
def number(service: Service, profile: Profile) -> str:
    """A number of that profile."""
    return service.accounts.sender(profile)


async def test_a_delivery_is_listed_and_read_as_the_sdk_has_it(
    strict_sdk: Sdk, service: Service, receiver: Receiver, number: str
) -> None:
    receiver.answer(HOOK, 500, "Oops", X_Why="so")
    service.tester.send(from_=number, to=TO)
    service.tester.advance_to(service.tester.time(hours=1))
    wanted = {"attempts": {"contains": receiver.url(HOOK)}, "event_type": "message.sent,message.finalized"}
    listed = (await strict_sdk("webhook_deliveries.list", filter=wanted)).data
    assert {each.webhook.event_type for each in listed} == {"message.sent", "message.finalized"}
    (tried_again,) = [each for each in listed if len(each.attempts) == 2]
    read: Any = (await strict_sdk("webhook_deliveries.retrieve", tried_again.id)).data
    assert (type(read), read) == (WebhookDelivery, tried_again)
    assert (read.status, read.webhook.record_type, read.record_type) == ("delivered", "event", "webhook_delivery")
    good, bad = read.attempts
    assert [(each.status, each.errors, each.http.response.status) for each in (good, bad)] == [
        ("delivered", [], 200),
        ("failed", [75500], 500),
    ]
    assert (bad.http.response.body, ["X-Why", "so"] in bad.http.response.headers) == ("Oops", True)
    assert bad.http.request.url == receiver.url(HOOK)
    moments = [read.started_at, bad.started_at, bad.finished_at, good.started_at, good.finished_at]
    assert all(isinstance(each, datetime) for each in moments)
    assert (moments, read.finished_at) == (sorted(moments), good.finished_at)


async def test_deliveries_are_found_by_every_filter(
    strict_sdk: Sdk, service: Service, receiver: Receiver, number: str
) -> None:
    service.tester.send(from_=number, to=TO, text="Grüße, 100 %")
    service.tester.settle()
    every: dict[str, Any] = {
        "status": {"eq": "delivered"},
        "event_type": "message.sent",
        "webhook": {"contains": "Grüße, 100 %"},
        "attempts": {"contains": receiver.url(HOOK)},
    }
    (only,) = (await strict_sdk("webhook_deliveries.list", filter=every)).data
    for name in ("started_at", "finished_at"):
        moment = getattr(only, name).isoformat()
        every[name] = {"gte": moment, "lte": moment}
    assert (await strict_sdk("webhook_deliveries.list", filter=every)).data == [only]
    assert (await strict_sdk("webhook_deliveries.list", filter={**every, "status": {"eq": "failed"}})).data == []


async def test_what_is_under_way_fits_the_models(
    strict_sdk: Sdk, service: Service, receiver: Receiver, number: str
) -> None:
    for _ in range(4):  # a slow machine may come to the second try of each
        receiver.answer(HOOK, 503)
    service.tester.send(from_=number, to=TO)
    service.tester.settle()
    listed = (await strict_sdk("webhook_deliveries.list", filter={"attempts": {"contains": receiver.url(HOOK)}})).data
    assert [(each.status, each.finished_at) for each in listed] == [("failed", None)] * 2


async def test_the_sdk_goes_through_every_page_of_deliveries(
    sdk: Sdk, service: Service, receiver: Receiver, number: str
) -> None:
    for _ in range(3):
        service.tester.send(from_=number, to=TO)
    service.tester.settle()
    wanted = {"attempts": {"contains": receiver.url(HOOK)}}
    page, found = await sdk("webhook_deliveries.list", filter=wanted, page_size=4), []
    while True:
        found += [each.id for each in page.data]
        if not page.has_next_page():
            break
        page = await Sdk(page)("get_next_page")
    assert (len(found), found) == (6, sorted(set(found), reverse=True))


async def test_a_delivery_is_replayed_by_a_plain_call_of_the_sdk(
    sdk: Sdk, service: Service, receiver: Receiver, number: str
) -> None:
    service.tester.send(from_=number, to=TO)
    service.tester.settle()
    wanted = {"attempts": {"contains": receiver.url(HOOK)}}
    delivery = (await sdk("webhook_deliveries.list", filter=wanted)).data[0]
    await sdk("post", f"/webhook_deliveries/{delivery.id}/replay", cast_to=object)
    service.tester.settle()
    assert [each.data["id"] for each in receiver.told].count(delivery.webhook.id) == 2


async def test_bad_questions_raise_what_the_sdk_has_for_them(sdk: Sdk) -> None:
    with pytest.raises(telnyx.NotFoundError):
        await sdk("webhook_deliveries.retrieve", NO_SUCH_ID)
    with pytest.raises(telnyx.BadRequestError):
        await sdk("webhook_deliveries.list", filter={"status": {"eq": "lost"}})


async def test_a_profile_is_changed_as_the_sdk_has_it(strict_sdk: Sdk, profile: Profile) -> None:
    pool = {"long_code_weight": 1, "toll_free_weight": 10, "skip_unhealthy": True, "sticky_sender": True}
    given: dict[str, Any] = {"name": "New", "number_pool_settings": pool, "whitelisted_destinations": ["US"]}
    after = (await strict_sdk("messaging_profiles.update", profile.id, **given)).data
    assert (after.name, after.whitelisted_destinations, after.webhook_url) == (
        "New",
        ["US"],
        profile.settings.webhook_url,
    )
    assert after.number_pool_settings.sticky_sender is True
    off = (await strict_sdk("messaging_profiles.update", profile.id, number_pool_settings=None, webhook_url=None)).data
    assert (off.number_pool_settings, off.webhook_url, off.name) == (None, "", "New")
    assert (await strict_sdk("messaging_profiles.retrieve", profile.id)).data == off


async def test_bad_changes_of_a_profile_raise_what_the_sdk_has_for_them(sdk: Sdk, profile: Profile) -> None:
    with pytest.raises(telnyx.BadRequestError):
        await sdk("messaging_profiles.update", profile.id, webhook_url="nowhere")
    with pytest.raises(telnyx.NotFoundError):
        await sdk("messaging_profiles.update", NO_SUCH_ID, name="New")
