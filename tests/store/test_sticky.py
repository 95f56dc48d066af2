"""Sticky senders: one number for one person, whoever asks."""

import asyncio

import msgspec
from sqlalchemy import select

from heliograph.domain.accounts import NumberPool, Profile
from heliograph.domain.ids import ProfileId
from heliograph.domain.instant import DAY, HOUR, Instant
from heliograph.server import new_sender
from heliograph.store.sticky import LASTS, StickyWish
from heliograph.store.store import Store
from heliograph.store.tables import sticky_senders
from tests.builders import advance, make_account

TO, OTHER = "+13125550001", "+13125550002"
ONE, TWO, THREE = "+13125550101", "+13125550102", "+13125550103"
PROFILE = ProfileId("00000000-0000-7000-8000-000000000002")
POOL = NumberPool(long_code_weight=1, toll_free_weight=1, skip_unhealthy=False, sticky_sender=True)


def wish(candidate: str, recipient: str = TO, **given: object) -> StickyWish:
    first = StickyWish(PROFILE, recipient, candidate, [ONE, TWO, THREE], None)
    return msgspec.structs.replace(first, **given)


async def test_the_first_number_stays(store: Store) -> None:
    assert [await store.stick(wish(each)) for each in (ONE, TWO, THREE)] == [ONE, ONE, ONE]


async def test_each_person_and_each_profile_has_its_own(store: Store) -> None:
    elsewhere = ProfileId("00000000-0000-7000-8000-000000000003")
    wanted = [wish(ONE), wish(TWO, OTHER), wish(THREE, profile_id=elsewhere)]
    assert await asyncio.gather(*map(store.stick, wanted)) == [ONE, TWO, THREE]


async def test_two_nodes_that_ask_at_once_are_told_one_number(store: Store, beside: Store) -> None:
    people = [f"+1312556{number:04}" for number in range(40)]
    wanted = [
        asker.stick(wish(candidate, person)) for person in people for asker, candidate in ((store, ONE), (beside, TWO))
    ]
    told = await asyncio.gather(*wanted)
    assert [a == b for a, b in zip(told[::2], told[1::2], strict=True)] == [True] * len(people)


async def test_many_at_once_in_one_commit_are_told_one_number(store: Store) -> None:
    assert len(set(await asyncio.gather(*(store.stick(wish(each)) for each in (ONE, TWO, THREE) * 10)))) == 1


async def test_it_lasts_eight_days_since_the_last_message(store: Store) -> None:
    await store.stick(wish(ONE))
    await advance(store, 7 * DAY)
    assert await store.stick(wish(TWO)) == ONE
    await advance(store, 7 * DAY)
    assert await store.stick(wish(TWO)) == ONE
    await advance(store, LASTS + 1)
    assert await store.stick(wish(TWO)) == TWO


async def test_a_scheduled_message_lets_it_last_from_when_it_leaves(store: Store) -> None:
    await store.stick(wish(ONE, send_at=Instant(store.clock.now() + 5 * DAY)))
    await store.stick(wish(ONE))
    await advance(store, 12 * DAY)
    assert await store.stick(wish(TWO)) == ONE


async def test_a_number_that_may_not_be_used_gives_way_to_another(store: Store) -> None:
    await store.stick(wish(ONE))
    assert await store.stick(wish(TWO, usable=[TWO, THREE])) == TWO
    assert await store.stick(wish(ONE)) == TWO


async def sticky(store: Store, profile: Profile, candidate: str) -> str:
    return await store.stick(wish(candidate, profile_id=profile.id))


async def switch(store: Store, profile: Profile, *, on: bool) -> None:
    def change(before: Profile) -> Profile:
        pool = msgspec.structs.replace(POOL, sticky_sender=on)
        settings = msgspec.structs.replace(before.settings, number_pool_settings=pool)
        return Profile(before.id, before.organization_id, before.name, settings, before.created_at, before.updated_at)

    await store.changes.change_profile(profile.organization_id, profile.id, change)


async def test_switching_it_off_and_on_forgets_everybody(store: Store) -> None:
    _, profile = await make_account(store, number_pool_settings=POOL)
    await sticky(store, profile, ONE)
    await switch(store, profile, on=True)
    assert await sticky(store, profile, TWO) == ONE
    await switch(store, profile, on=False)
    await switch(store, profile, on=True)
    assert await sticky(store, profile, TWO) == TWO


async def test_a_number_that_leaves_and_comes_back_begins_anew(store: Store) -> None:
    organization, profile = await make_account(store, number_pool_settings=POOL)
    sender = new_sender(store, profile, ONE)
    await store.changes.add_sender(sender, store.clock.now())
    await sticky(store, profile, ONE)
    await store.changes.remove_sender(organization.id, ONE)
    await store.changes.add_sender(sender, store.clock.now())
    assert await sticky(store, profile, TWO) == TWO


async def test_what_is_over_is_taken_away_in_small_steps(store: Store) -> None:
    for person in (TO, OTHER, "+13125550003"):
        await store.stick(wish(ONE, person))
    await advance(store, LASTS + HOUR)
    await store.stick(wish(TWO, OTHER))
    assert [await store.forget_sticky(store.clock.now(), 1) for _ in range(3)] == [1, 1, 0]
    rows = await store.engine.fetch(select(sticky_senders.c.recipient))
    assert [row["recipient"] for row in rows] == [OTHER]
