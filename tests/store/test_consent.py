"""Automatic replies of profiles, the list of opt-outs, and whose they are."""

from dataclasses import replace as moved
from typing import Any

import pytest
from msgspec.structs import asdict, replace
from sqlalchemy import insert

from heliograph.domain.accounts import Profile
from heliograph.domain.consent import Autoresponse, AutoresponseOp, OptOut
from heliograph.domain.ids import OrganizationId, ProfileId
from heliograph.domain.instant import Instant
from heliograph.store.account_changes import NoSuchRecord
from heliograph.store.between import Between
from heliograph.store.consent import MAX_AUTORESPONSES, AutoresponseFilter, OptOutFilter, TooManyAutoresponses
from heliograph.store.store import Store
from heliograph.store.tables import autoresponses, opt_outs
from tests.builders import epoch, make_account, new_id

NUMBER = "+18445550001"
PERSON = "+18665550001"


def make_autoresponse(store: Store, profile: Profile, **given: Any) -> Autoresponse:
    values: dict[str, Any] = {
        "id": new_id(store),
        "organization_id": profile.organization_id,
        "profile_id": profile.id,
        "op": AutoresponseOp.STOP,
        "keywords": ("STOP", "Adiós"),
        "country_code": "US",
        "resp_text": "You will hear no more from Acme.",
        "created_at": Instant(1_000),
        "updated_at": Instant(1_000),
    }
    return Autoresponse(**(values | given))


async def create(store: Store, profile: Profile, **given: Any) -> Autoresponse:
    made = make_autoresponse(store, profile, **given)
    await store.consent.create_autoresponse(made)
    return made


async def opt_out(store: Store, profile: Profile, **given: Any) -> OptOut:
    values: dict[str, Any] = {
        "id": new_id(store),
        "organization_id": profile.organization_id,
        "profile_id": profile.id,
        "sender": NUMBER,
        "recipient": PERSON,
        "keyword": "STOP",
        "created_at": Instant(1_000),
    }
    made = OptOut(**(values | given))
    async with store.engine.transaction() as transaction:
        await transaction.execute(insert(opt_outs).values(**asdict(made)))
    return made


async def read(store: Store, which: Autoresponse) -> Autoresponse | None:
    return await store.consent.autoresponse(which.organization_id, which.profile_id, which.id)


async def listed(store: Store, profile: Profile, **wanted: Any) -> list[Autoresponse]:
    found = await store.consent.autoresponses(profile.organization_id, profile.id, 0, 250, AutoresponseFilter(**wanted))
    assert found[0] == len(found[1])
    return list(found[1])


async def opted_out(store: Store, profile: Profile, **wanted: Any) -> list[OptOut]:
    total, found = await store.consent.opt_outs(profile.organization_id, 0, 250, OptOutFilter(**wanted))
    assert total == len(found)
    return list(found)


@pytest.mark.parametrize("resp_text", ["You will hear no more from Acme.", None])
async def test_settings_are_read_as_they_were_made(store: Store, resp_text: str | None) -> None:
    _, profile = await make_account(store)
    made = await create(store, profile, resp_text=resp_text)
    assert await read(store, made) == made
    assert await listed(store, profile) == [made]


async def test_a_change_keeps_what_is_not_set_by_it(store: Store) -> None:
    _, profile = await make_account(store)
    made = await create(store, profile)
    given = {"op": AutoresponseOp.INFO, "keywords": ("WHO",), "country_code": "*", "resp_text": None}
    changed = replace(made, **given, created_at=Instant(9_000), updated_at=Instant(9_000))
    kept = await store.consent.change_autoresponse(changed)
    assert kept == replace(changed, created_at=made.created_at)
    assert await read(store, made) == kept


async def test_deleted_settings_are_gone_and_the_others_are_not(store: Store) -> None:
    _, profile = await make_account(store)
    kept, gone = await create(store, profile), await create(store, profile)
    await store.consent.delete_autoresponse(gone.organization_id, gone.profile_id, gone.id)
    assert await read(store, gone) is None
    assert await listed(store, profile) == [kept]


async def test_what_is_remembered_is_forgotten_by_every_change(store: Store) -> None:
    _, profile = await make_account(store)
    known = store.accounts.autoresponses
    assert await known(profile.organization_id, profile.id) == []
    made = await create(store, profile)
    assert await known(profile.organization_id, profile.id) == []
    await store.accounts.refresh()
    assert await known(profile.organization_id, profile.id) == [made]
    changed = await store.consent.change_autoresponse(replace(made, keywords=("BYE",)))
    await store.accounts.refresh()
    assert await known(profile.organization_id, profile.id) == [changed]
    await store.consent.delete_autoresponse(made.organization_id, made.profile_id, made.id)
    await store.accounts.refresh()
    assert await known(profile.organization_id, profile.id) == []


async def test_what_is_remembered_is_of_one_profile_and_the_last_changed_first(store: Store) -> None:
    _, profile = await make_account(store)
    _, other = await make_account(store, "Other")
    first = await create(store, profile, updated_at=Instant(3_000))
    second = await create(store, profile, updated_at=Instant(2_000))
    await create(store, other)
    await store.accounts.refresh()
    assert await store.accounts.autoresponses(profile.organization_id, profile.id) == [first, second]


async def test_what_does_not_happen_leaves_the_epoch_alone(store: Store) -> None:
    _, profile = await make_account(store)
    before = await epoch(store)
    nothing = make_autoresponse(store, profile)
    with pytest.raises(NoSuchRecord):
        await store.consent.change_autoresponse(nothing)
    with pytest.raises(NoSuchRecord):
        await store.consent.delete_autoresponse(nothing.organization_id, nothing.profile_id, nothing.id)
    with pytest.raises(NoSuchRecord):
        await create(store, moved(profile, id=ProfileId(new_id(store))))
    assert await epoch(store) == before


@pytest.mark.parametrize("name", ["organization_id", "profile_id"])
async def test_settings_of_others_do_not_exist(store: Store, name: str) -> None:
    _, profile = await make_account(store)
    _, other = await make_account(store, "Other")
    made = await create(store, profile)
    theirs: dict[str, Any] = {name: {"organization_id": other.organization_id, "profile_id": other.id}[name]}
    asked = replace(made, keywords=("BYE",), **theirs)
    assert await read(store, asked) is None
    assert await listed(store, moved(profile, organization_id=asked.organization_id, id=asked.profile_id)) == []
    with pytest.raises(NoSuchRecord):
        await store.consent.change_autoresponse(asked)
    with pytest.raises(NoSuchRecord):
        await store.consent.delete_autoresponse(asked.organization_id, asked.profile_id, asked.id)
    with pytest.raises(NoSuchRecord):
        await store.consent.create_autoresponse(replace(asked, id=new_id(store)))
    assert await read(store, made) == made


async def test_settings_are_listed_newest_first_by_pages(store: Store) -> None:
    _, profile = await make_account(store)
    made = [await create(store, profile, created_at=Instant(moment)) for moment in (1_000, 3_000, 2_000)]
    pages = [
        await store.consent.autoresponses(profile.organization_id, profile.id, offset, 2, AutoresponseFilter())
        for offset in (0, 2, 4)
    ]
    assert pages == [(3, [made[1], made[2]]), (3, [made[0]]), (3, [])]


async def test_settings_are_listed_by_country_and_moments(store: Store) -> None:
    _, profile = await make_account(store)
    early = await create(store, profile, country_code="*", updated_at=Instant(8_000))
    late = await create(store, profile, created_at=Instant(2_000), updated_at=Instant(9_000))
    assert await listed(store, profile, country_code="US") == [late]
    assert await listed(store, profile, country_code="*") == [early]
    assert await listed(store, profile, created=Between(Instant(2_000), None)) == [late]
    assert await listed(store, profile, created=Between(None, Instant(1_999))) == [early]
    assert await listed(store, profile, updated=Between(Instant(8_000), Instant(8_000))) == [early]
    assert await listed(store, profile, updated=Between(Instant(8_001), Instant(8_999))) == []


async def test_a_profile_has_no_more_settings_than_can_be_looked_through(store: Store) -> None:
    _, profile = await make_account(store)
    row = {**asdict(make_autoresponse(store, profile)), "op": "stop", "keywords": '["BYE"]'}
    rows = [row | {"id": new_id(store)} for _ in range(MAX_AUTORESPONSES)]
    async with store.engine.transaction() as transaction:
        await transaction.execute(insert(autoresponses), rows[1:])
    await create(store, profile)
    before = await epoch(store)
    with pytest.raises(TooManyAutoresponses):
        await create(store, profile)
    found = await store.accounts.autoresponses(profile.organization_id, profile.id)
    assert (len(found), await epoch(store)) == (MAX_AUTORESPONSES, before)


async def test_opt_outs_are_listed_newest_first_by_pages(store: Store) -> None:
    organization, profile = await make_account(store)
    made = [
        await opt_out(store, profile, recipient=f"+1866555000{moment}", created_at=Instant(moment))
        for moment in (1, 3, 2)
    ]
    pages = [await store.consent.opt_outs(organization.id, offset, 2, OptOutFilter()) for offset in (0, 2, 4)]
    assert pages == [(3, [made[1], made[2]]), (3, [made[0]]), (3, [])]


async def test_an_opt_out_that_has_ended_is_not_listed(store: Store) -> None:
    _, profile = await make_account(store)
    await opt_out(store, profile, ended_at=Instant(2_000))
    again = await opt_out(store, profile, created_at=Instant(3_000), keyword=None)
    assert await opted_out(store, profile) == [again]


async def test_opt_outs_are_listed_by_profile_number_and_moments(store: Store) -> None:
    _, profile = await make_account(store)
    mine = await opt_out(store, profile)
    other = moved(profile, id=ProfileId(new_id(store)))
    late = await opt_out(store, other, sender="12345", created_at=Instant(2_000))
    assert await opted_out(store, profile) == [late, mine]
    assert await opted_out(store, profile, profile_id=other.id) == [late]
    assert await opted_out(store, profile, sender=NUMBER) == [mine]
    assert await opted_out(store, profile, profile_id=other.id, sender=NUMBER) == []
    assert await opted_out(store, profile, created=Between(Instant(1_001), Instant(2_000))) == [late]


async def test_opt_outs_of_another_organisation_are_not_listed(store: Store) -> None:
    _, profile = await make_account(store)
    await opt_out(store, profile, organization_id=OrganizationId(new_id(store)))
    assert await opted_out(store, profile) == []
    assert await opted_out(store, profile, profile_id=profile.id) == []
