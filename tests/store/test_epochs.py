"""Epochs of accounts: what one organisation changes disturbs no other, and no change is missed."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from heliograph.domain.accounts import Organization, Profile, RuleOverrides
from heliograph.domain.inbound import InboundMessage
from heliograph.domain.instant import MINUTE
from heliograph.store.accounts import AccountLookup, ApiKey
from heliograph.store.inbound import Received, Reception
from heliograph.store.messages import Acceptance, Accepted, Cancellation
from heliograph.store.store import Store
from heliograph.store.tables import account_epoch
from tests.builders import MANY, change_account, epoch, make_account, make_message, new_id
from tests.store.test_accounts import add_sender
from tests.store.test_inbound import make_inbound

CHANGES = 50


async def an_older_program_changes_something(store: Store) -> None:
    """It knows of one epoch for all."""
    async with store.engine.transaction() as transaction:
        await transaction.execute(update(account_epoch).values(epoch=account_epoch.c.epoch + 1))


async def accept(store: Store, organization: Organization, known: int) -> Accepted:
    message = make_message(store, organization_id=organization.id)
    return (await store.accept(Acceptance([message], known, MANY))).outcome


async def test_a_storm_of_changes_of_one_organisation_disturbs_no_other(store: Store, beside: Store) -> None:
    busy, _ = await make_account(beside, "Busy")
    calm, profile = await make_account(store, "Calm")
    known, rules = await epoch(store), RuleOverrides(max_pending=1)
    taken = []
    for _ in range(CHANGES):
        message = make_message(store, organization_id=calm.id)
        asked: list[Awaitable[Any]] = [
            beside.changes.set_rules(busy.id, rules),
            store.accept(Acceptance([message], known, MANY)),
            store.receive(Reception(make_inbound(store, profile), known)),
        ]
        _, accepted, received = await asyncio.gather(*asked)
        cancelled = await store.cancel(Cancellation(calm.id, message.id, MINUTE, known))
        _, standing = await store.messages.find(calm.id, message.id)
        await store.accounts.refresh()
        held = (standing.holds(known), store.accounts.holds(calm.id, known))
        taken.append((accepted.outcome, received, cancelled.won, held))
    assert taken == [(Accepted.TAKEN, Received.KEPT, True, (True, True))] * CHANGES
    assert await accept(store, busy, known) is Accepted.STALE


async def test_what_is_remembered_of_one_organisation_outlives_the_changes_of_another(
    store: Store, beside: Store
) -> None:
    _, profile = await make_account(store, "Calm")
    busy, other = await make_account(store, "Busy")
    before = [await store.accounts.profile(each.organization_id, each.id) for each in (profile, other)]
    await change_account(beside, busy)
    assert await store.accounts.refresh()
    after = [await store.accounts.profile(each.organization_id, each.id) for each in (profile, other)]
    assert after == before
    assert [was is now for was, now in zip(before, after, strict=True)] == [True, False]


async def test_a_change_by_an_older_program_is_a_change_of_everybody(store: Store) -> None:
    organizations = [(await make_account(store, name))[0] for name in ("Acme", "Other")]
    known = await epoch(store)
    await an_older_program_changes_something(store)
    assert [await accept(store, each, known) for each in organizations] == [Accepted.STALE] * 2
    assert await store.accounts.refresh()
    assert not any(store.accounts.holds(each.id, known) for each in organizations)
    assert [await accept(store, each, await epoch(store)) for each in organizations] == [Accepted.TAKEN] * 2


async def test_it_is_not_hidden_by_a_later_change_that_names_its_organisation(store: Store) -> None:
    calm, _ = await make_account(store, "Calm")
    busy, _ = await make_account(store, "Busy")
    known = await epoch(store)
    await an_older_program_changes_something(store)
    await change_account(store, busy)
    assert await accept(store, calm, known) is Accepted.STALE
    known = await epoch(store)
    await change_account(store, busy)
    assert await accept(store, calm, known) is Accepted.TAKEN


async def test_an_older_program_sees_every_change(store: Store) -> None:
    organization, _ = await make_account(store)
    seen = select(account_epoch.c.epoch)
    before = (await store.engine.fetch(seen))[0]["epoch"]
    await change_account(store, organization)
    assert (await store.engine.fetch(seen))[0]["epoch"] == before + 1


async def test_of_a_database_that_was_set_back_nothing_later_is_believed(store: Store) -> None:
    organization, profile = await make_account(store)
    before = await epoch(store)
    for _ in range(3):
        await change_account(store, organization)
    known = await epoch(store)
    remembered = await store.accounts.profile(organization.id, profile.id)
    async with store.engine.transaction() as transaction:
        await transaction.execute(update(account_epoch).values(epoch=before, own=before))
    assert await accept(store, organization, known) is Accepted.STALE
    assert await store.accounts.refresh()
    assert store.accounts.epoch == before
    assert await store.accounts.profile(organization.id, profile.id) is not remembered


class Held:
    """An engine whose answers are held up until they are let go."""

    def __init__(self, store: Store) -> None:
        self._engine = store.engine
        self.holding = False
        self.read = asyncio.Event()
        self.go = asyncio.Event()

    async def fetch(self, statement: Any) -> Any:
        """Read now, and answer when it may."""
        rows = await self._engine.fetch(statement)
        if self.holding:
            self.holding = False
            self.read.set()
            await self.go.wait()
        return rows


Ask = Callable[[AccountLookup, Profile], Awaitable[object]]
ASKED: dict[str, Ask] = {
    "a look-up": lambda accounts, profile: accounts.profile(profile.organization_id, profile.id),
    "a question for the epoch": lambda accounts, _: accounts.refresh(),
}


@pytest.mark.parametrize("asked", ASKED)
async def test_an_answer_that_was_overtaken_by_a_change_takes_nobody_back(store: Store, asked: str) -> None:
    organization, profile = await make_account(store)
    held = Held(store)
    accounts = AccountLookup(held)  # type: ignore[arg-type]  # it asks the engine for rows and nothing else
    await accounts.refresh()
    held.holding = True
    slow = asyncio.ensure_future(ASKED[asked](accounts, profile))
    await held.read.wait()
    changed = await store.changes.change_profile(organization.id, profile.id, renamed)
    await accounts.refresh()
    now = accounts.epoch
    held.go.set()
    await slow
    assert accounts.epoch == now
    assert await accounts.profile(organization.id, profile.id) == changed


def renamed(profile: Profile) -> Profile:
    return replace(profile, name="Renamed")


async def test_a_number_that_went_to_another_organisation_is_not_remembered(store: Store, beside: Store) -> None:
    _, mine = await make_account(store, "Acme")
    _, theirs = await make_account(store, "Other")
    sender = await add_sender(store, mine)
    assert await store.accounts.number(sender.address) == sender
    known = await epoch(store)
    await beside.changes.remove_sender(mine.organization_id, sender.address)
    moved = await add_sender(beside, theirs)
    judged: InboundMessage = make_inbound(store, mine)
    assert await store.receive(Reception(judged, known)) is Received.STALE
    await store.accounts.refresh()
    assert await store.accounts.number(sender.address) == moved


async def test_a_key_revoked_elsewhere_counts_at_once(store: Store, beside: Store) -> None:
    organization, _ = await make_account(store)
    key = ApiKey("0123456789abcdef", organization, "ci", "ab" * 32, store.clock.now())
    await store.changes.create_key(key)
    known = await epoch(store)
    assert await store.accounts.key(key.id) == key
    await beside.changes.revoke_key(key.id, beside.clock.now())
    assert await accept(store, organization, known) is Accepted.STALE
    await store.accounts.refresh()
    found = await store.accounts.key(key.id)
    assert found is not None
    assert found.revoked_at is not None


async def test_changes_of_many_organisations_at_once_wait_in_no_circle(store: Store, beside: Store) -> None:
    made = [await make_account(store, f"Number {count}") for count in range(4)]
    before = await epoch(store)

    def change(count: int) -> Awaitable[object]:
        organization, profile = made[count % 4]
        changes = (store, beside)[count % 2].changes
        ways: list[Callable[[], Awaitable[object]]] = [
            lambda: changes.set_rules(organization.id, RuleOverrides(max_pending=count)),
            lambda: changes.save_profile(profile),
            lambda: changes.create_key(
                ApiKey(f"{count:016}", organization, new_id(store), "ab" * 32, profile.created_at)
            ),
        ]
        return ways[count % 3]()

    await asyncio.gather(*map(change, range(48)))
    assert await epoch(store) == before + 48
