"""Short links on both databases: kept with their message, followed, counted once."""

import asyncio
from typing import Any

from sqlalchemy import func, select, update

from heliograph.domain.delivery import DeliveryStatus
from heliograph.domain.events import EventType
from heliograph.domain.lifecycle import Status
from heliograph.domain.links import ShortLink
from heliograph.domain.message import Message
from heliograph.store.deliveries import DeliveryFilter
from heliograph.store.links import Click
from heliograph.store.messages import Acceptance, Accepted, Cancellation
from heliograph.store.store import Store
from heliograph.store.tables import messages, short_links
from tests.builders import MANY, epoch, make_account, make_message, new_id, status_of

URL = "https://example.com/offer?a=1"


def link_of(message: Message, slug: str = "Abcdefghij", *, send_webhooks: bool = False) -> ShortLink:
    """A link of a message."""
    whose = (message.organization_id, message.profile_id, message.id, message.recipient)
    return ShortLink(slug, *whose, URL, send_webhooks, message.received_at)


async def taken(store: Store, message: Message, *links: ShortLink) -> Accepted:
    return (await store.accept(Acceptance([message], await epoch(store), MANY, links=links))).outcome


def click_on(store: Store, link: ShortLink, user_agent: str | None = "Browser/1") -> Click:
    return Click(new_id(store), link, store.clock.now(), user_agent)


async def count(store: Store, table: Any) -> int:
    (row,) = await store.engine.fetch(select(func.count().label("count")).select_from(table))
    return int(row["count"])


async def test_a_link_is_kept_with_its_message_and_found_by_its_slug(store: Store, beside: Store) -> None:
    message = make_message(store)
    link = link_of(message)
    assert await taken(store, message, link) is Accepted.TAKEN
    assert await beside.links.find(link.slug) == link
    assert await beside.links.find("Abcdefghik") is None
    assert await beside.links.find("abcdefghij") is None
    assert await beside.links.of_message(message.id) == [link]


async def test_a_request_that_is_given_again_has_its_links_once(store: Store) -> None:
    message = make_message(store)
    link = link_of(message)
    assert [await taken(store, message, link) for _ in range(2)] == [Accepted.TAKEN] * 2
    assert await count(store, short_links) == 1


async def test_links_of_a_message_that_is_refused_are_not_kept(store: Store) -> None:
    message = make_message(store)
    full = Acceptance([message], await epoch(store), 0, links=[link_of(message)])
    assert (await store.accept(full)).outcome is Accepted.FULL
    assert await count(store, short_links) == 0


async def test_a_slug_that_is_another_messages_makes_it_compose_again(store: Store) -> None:
    first, second, third = (make_message(store) for _ in range(3))
    assert await taken(store, first, link_of(first)) is Accepted.TAKEN
    both = [taken(store, second, link_of(second)), taken(store, third, link_of(third, "Zbcdefghij"))]
    assert await asyncio.gather(*both) == [Accepted.STALE, Accepted.TAKEN]
    found = await store.links.find("Abcdefghij")
    assert found is not None
    assert found.message_id == first.id
    assert (await store.messages.find(second.organization_id, second.id))[0] is None


async def test_links_of_a_message_that_was_cancelled_lead_nowhere(store: Store) -> None:
    message = make_message(store)
    await taken(store, message, link_of(message))
    await store.cancel(Cancellation(message.organization_id, message.id, 0, await epoch(store)))
    assert await status_of(store, message) is Status.CANCELLED
    assert await store.links.find("Abcdefghij") is None


async def test_links_lead_on_whatever_else_becomes_of_their_message(store: Store) -> None:
    message = make_message(store)
    await taken(store, message, link_of(message))
    for status in Status:
        if status is not Status.CANCELLED:
            async with store.engine.transaction() as transaction:
                await transaction.execute(update(messages).values(status=status.value))
            assert await store.links.find("Abcdefghij") is not None


async def test_a_click_is_kept_and_told_once_however_often_it_is_given(store: Store) -> None:
    organization, profile = await make_account(store, webhook_url="https://a.example/hooks")
    message = make_message(store, organization_id=organization.id, profile_id=profile.id)
    link = link_of(message, send_webhooks=True)
    await taken(store, message, link)
    first, second = click_on(store, link), click_on(store, link, None)
    await asyncio.gather(*(store.click(each) for each in (first, first, second)))
    await store.click(first)
    kept = await store.links.clicks(link.slug)
    assert [(str(each["id"]), each["at"], each["user_agent"]) for each in kept] == [
        (first.id, first.at, "Browser/1"),
        (second.id, second.at, None),
    ]
    wanted = DeliveryFilter(status=DeliveryStatus.PENDING, events=[EventType.LINK_CLICKED])
    _, told = await store.deliveries.page(organization.id, wanted, 0, 9)
    assert {each.delivery.event_id for each in told} == {first.id, second.id}


async def test_a_click_that_nobody_wants_to_hear_of_is_no_event(store: Store) -> None:
    organization, profile = await make_account(store, webhook_url="https://a.example/hooks")
    message = make_message(store, organization_id=organization.id, profile_id=profile.id)
    await taken(store, message, link_of(message))
    await store.click(click_on(store, link_of(message)))
    wanted = DeliveryFilter(status=DeliveryStatus.PENDING)
    assert await store.deliveries.page(organization.id, wanted, 0, 9) == (0, [])


async def test_many_clicks_share_commits(store: Store) -> None:
    message = make_message(store)
    await taken(store, message, link_of(message))
    before = store.writer.commits
    await asyncio.gather(*(store.click(click_on(store, link_of(message))) for _ in range(200)))
    assert store.writer.commits - before <= 2
    assert len(await store.links.clicks("Abcdefghij")) == 200
