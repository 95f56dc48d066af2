"""What endpoints asked for: kept while it matters, forgotten when it does not."""

from collections.abc import Collection
from typing import Any

import pytest
from sqlalchemy import delete, update

from heliograph.domain.accounts import Profile
from heliograph.domain.events import endpoint_id
from heliograph.domain.instant import DAY, HOUR, SECOND, Instant
from heliograph.store import idle_endpoints as module
from heliograph.store.lanes import EndpointState
from heliograph.store.retention import Ages
from heliograph.store.store import Store
from heliograph.store.tables import webhook_deliveries
from tests.builders import advance, make_account
from tests.store.test_deliveries import delivery

OWN = "https://a.example/mine"
HOOK = "https://a.example/hooks"
FAILOVER = "https://a.example/failover"
KEPT = 10 * DAY


async def asked(store: Store, profile: Profile, url: str, **asked: Any) -> str:
    """An endpoint that asked for something; its name."""
    await store.set_endpoint(EndpointState(profile.organization_id, url, **asked))
    return endpoint_id(profile.organization_id, url)


async def off(store: Store, profile: Profile, url: str) -> str:
    return await asked(store, profile, url, disabled_at=store.clock.now(), reason="It said 410.")


async def forget(store: Store) -> Collection[str]:
    """One pass of the retention; the URLs of those of whom something is still known."""
    old = Instant(store.clock.now() - KEPT)
    await store.retention.forget(Ages(old, old, old))
    return {each.url for each in await store.lanes.endpoints()}


async def test_what_no_profile_names_goes_after_the_retention(store: Store) -> None:
    _, profile = await make_account(store, webhook_url=HOOK, webhook_failover_url=FAILOVER)
    for url in (OWN, HOOK, FAILOVER):
        await off(store, profile, url)
    await advance(store, KEPT - HOUR)
    assert await forget(store) == {OWN, HOOK, FAILOVER}
    await advance(store, DAY)
    assert await forget(store) == {HOOK, FAILOVER}
    assert set(await store.lanes.disabled([profile.organization_id])) == {
        endpoint_id(profile.organization_id, url) for url in (HOOK, FAILOVER)
    }


async def test_a_rest_goes_when_it_is_long_over_whoever_names_it(store: Store) -> None:
    _, profile = await make_account(store, webhook_url=HOOK)
    await asked(store, profile, HOOK, paused_until=Instant(store.clock.now() + HOUR))
    await advance(store, KEPT)
    assert await forget(store) == {HOOK}
    await advance(store, DAY + HOUR)
    assert await forget(store) == set()


async def test_what_is_off_stays_off_while_events_are_for_it(store: Store) -> None:
    _, profile = await make_account(store)
    _, other = await make_account(store, "Other")
    endpoint = await off(store, profile, OWN)
    await advance(store, 2 * KEPT)
    told = await delivery(store, profile, endpoint=endpoint)  # to another URL, or to none: it was never asked
    await delivery(store, other)
    assert await forget(store) == {OWN}
    async with store.engine.transaction() as transaction:
        mine = webhook_deliveries.c.id == told
        await transaction.execute(update(webhook_deliveries).where(mine).values(due_at=1, status="pending"))
    await advance(store, DAY + SECOND)
    assert await forget(store) == {OWN}
    async with store.engine.transaction() as transaction:
        await transaction.execute(delete(webhook_deliveries).where(mine))
    await advance(store, DAY + SECOND)
    assert await forget(store) == set()


async def test_what_a_deleted_profile_named_goes_after_the_retention_of_its_messages(store: Store) -> None:
    _, profile = await make_account(store, webhook_url=HOOK)
    await off(store, profile, HOOK)
    await advance(store, 2 * KEPT)
    await store.changes.delete_profile(profile.organization_id, profile.id, store.clock.now())
    assert await forget(store) == {HOOK}
    await advance(store, KEPT + SECOND)
    assert await forget(store) == set()


async def test_what_another_organisation_names_is_not_kept_for_it(store: Store) -> None:
    _, profile = await make_account(store)
    _, other = await make_account(store, "Other", webhook_url=OWN)
    await off(store, profile, OWN)
    kept = await off(store, other, OWN)
    await advance(store, KEPT + SECOND)
    assert await forget(store) == {OWN}
    assert set(await store.lanes.disabled([profile.organization_id, other.organization_id])) == {kept}


async def test_what_asks_again_while_it_is_judged_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _, profile = await make_account(store)
    await off(store, profile, OWN)
    await advance(store, KEPT + SECOND)
    judge = module.IdleEndpoints._used

    async def judge_slowly(self: module.IdleEndpoints, *given: Any) -> Collection[str]:
        used = await judge(self, *given)
        await asked(store, profile, OWN, paused_until=Instant(store.clock.now() + HOUR))
        return used

    monkeypatch.setattr(module.IdleEndpoints, "_used", judge_slowly)
    assert await forget(store) == {OWN}


async def test_many_are_judged_a_page_at_a_time_and_those_that_stay_hold_up_none(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 3)
    _, profile = await make_account(store, webhook_url=HOOK)
    named = await make_account(store, "Other", webhook_url=HOOK)
    for owner in (profile, named[1]):
        await off(store, owner, HOOK)
    for number in range(7):
        await off(store, profile, f"{OWN}/{number}")
    await advance(store, KEPT + SECOND)
    for _ in range(4):
        left = await forget(store)
    assert left == {HOOK}
    assert len(await store.lanes.endpoints()) == 2
