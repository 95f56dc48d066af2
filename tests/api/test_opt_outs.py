"""`GET /messaging_optouts` over HTTP."""

from typing import Any

import pytest
from msgspec.structs import asdict
from sqlalchemy import insert

from heliograph.domain.accounts import Organization, Profile
from heliograph.domain.consent import OptOut
from heliograph.domain.instant import parse
from heliograph.domain.redaction import hide_number
from heliograph.store.store import Store
from heliograph.store.tables import opt_outs
from tests.api.conftest import on_one_database
from tests.builders import new_id
from tests.wire import NO_SUCH_ID, TO, TOLL_FREE, Accounts, Caller

"""The provider's own, or a skip."""

LIST = "/messaging_optouts"
SHOWN = "2025-04-28T12:00:38.631Z"
KEPT = parse("2025-04-28T12:00:38.631252Z")


@pytest.fixture
def organization(accounts: Accounts) -> Organization:
    """One that nobody has opted out of."""
    return accounts.organization()


@pytest.fixture
def profile(accounts: Accounts, organization: Organization) -> Profile:
    """Its profile."""
    return accounts.profile(organization)


@pytest.fixture
def owner(accounts: Accounts, organization: Organization) -> Any:
    """Somebody who calls for it."""
    with accounts.caller(accounts.key(organization)) as caller:
        yield caller


def opt_out(accounts: Accounts, profile: Profile, **given: Any) -> None:
    """Put an opt-out into the database as a STOP does."""

    async def keep(store: Store) -> None:
        values: dict[str, Any] = {"sender": TOLL_FREE, "recipient": TO, "keyword": "STOP", "created_at": KEPT}
        owner: dict[str, Any] = {"organization_id": profile.organization_id, "profile_id": profile.id}
        async with store.engine.transaction() as transaction:
            made = OptOut(id=new_id(store), **owner, **(values | given))
            await transaction.execute(insert(opt_outs).values(**asdict(made)))

    accounts._beside(keep)


def listed(call: Caller, query: str = "") -> list[str]:
    """The people who are listed."""
    return [each["to"] for each in call("GET", f"/v2{LIST}?{query}").data]


def test_an_opt_out_is_listed_in_full(accounts: Accounts, owner: Caller, profile: Profile) -> None:
    opt_out(accounts, profile)
    answer = owner("GET", f"/v2{LIST}").json
    assert answer["data"] == [
        {"created_at": SHOWN, "from": TOLL_FREE, "keyword": "STOP", "messaging_profile_id": profile.id, "to": TO}
    ]
    assert answer["meta"] == {"page_number": 1, "page_size": 20, "total_pages": 1, "total_results": 1}


def test_nobody_is_an_empty_list(owner: Caller) -> None:
    answer = owner("GET", f"/v2{LIST}").json
    assert (answer["data"], answer["meta"]["total_results"]) == ([], 0)


def test_whoever_opted_in_again_is_not_listed(accounts: Accounts, owner: Caller, profile: Profile) -> None:
    opt_out(accounts, profile, ended_at=KEPT)
    assert listed(owner) == []


def test_opt_outs_of_another_are_not_listed(
    accounts: Accounts, owner: Caller, stranger: Caller, profile: Profile
) -> None:
    opt_out(accounts, profile)
    assert listed(owner) == [TO]
    assert listed(stranger) == listed(stranger, f"filter[messaging_profile_id]={profile.id}") == []


def test_the_newest_come_first_by_pages(accounts: Accounts, owner: Caller, profile: Profile) -> None:
    for number, moment in (("+18665550002", 1), ("+18665550003", 3), ("+18665550004", 2)):
        opt_out(accounts, profile, recipient=number, created_at=moment)
    assert listed(owner, "page[size]=2") == ["+18665550003", "+18665550004"]
    assert listed(owner, "page[size]=2&page[number]=2") == ["+18665550002"]


def test_opt_outs_are_found_by_profile_and_number(accounts: Accounts, owner: Caller, profile: Profile) -> None:
    opt_out(accounts, profile)
    for query in (f"filter[messaging_profile_id]={profile.id.upper()}", "filter[from]=%2B18445550001"):
        assert listed(owner, query) == [TO]
    for query in (f"filter[messaging_profile_id]={NO_SUCH_ID}", "filter[from]=12345", "filter[from]=Acme"):
        assert listed(owner, query) == []


def test_an_opt_out_is_found_again_by_the_moment_it_shows(accounts: Accounts, owner: Caller, profile: Profile) -> None:
    opt_out(accounts, profile)
    assert listed(owner, f"created_at[gte]={SHOWN}&created_at[lte]={SHOWN}") == [TO]
    assert listed(owner, "created_at[gte]=2025-04-28T12:00:38.632Z") == []
    assert listed(owner, "created_at[lte]=2025-04-28T12:00:38.630Z") == []


@pytest.mark.parametrize(("asked", "shown"), [("true", "+18665****"), ("false", TO)])
def test_the_number_is_masked_on_demand(
    accounts: Accounts, owner: Caller, profile: Profile, asked: str, shown: str
) -> None:
    opt_out(accounts, profile)
    assert listed(owner, f"redaction_enabled={asked}") == [shown]


@pytest.mark.parametrize(
    ("number", "shown"),
    [("+447766123456", "+447766****"), ("12345", "****"), ("123456", "****"), ("+2901234", "+2****")],
)
def test_the_end_of_a_number_is_masked(number: str, shown: str) -> None:
    assert hide_number(number) == shown


@on_one_database
@pytest.mark.parametrize(
    ("query", "code", "parameter"),
    [
        ("page[number]=0", "10015", "page[number]"),
        ("filter[to]=12345", "10031", "filter[to]"),
        ("filter[from][contains]=12345", "10031", "filter[from][contains]"),
        ("filter[from]=+18445550001", "10031", "filter[from]"),
        ("filter[from]=", "10031", "filter[from]"),
        ("filter[from]=%00", "10031", "filter[from]"),
        ("filter[messaging_profile_id]=mine", "10031", "filter[messaging_profile_id]"),
        ("filter[messaging_profile_id]=", "10031", "filter[messaging_profile_id]"),
        ("created_at=2026-01-01T00:00:00Z", "10031", "created_at"),
        ("created_at[eq]=2026-01-01T00:00:00Z", "10031", "created_at[eq]"),
        ("created_at[gte]=2025-04-28 12:00:38", "10015", "created_at[gte]"),
        ("created_at[lte]=2025-04-28T12:00:38", "10015", "created_at[lte]"),
        ("redaction_enabled=yes", "10015", "redaction_enabled"),
        ("redaction_enabled=", "10015", "redaction_enabled"),
    ],
)
def test_bad_filters_are_refused(owner: Caller, query: str, code: str, parameter: str) -> None:
    answer = owner("GET", f"/v2{LIST}?{query.replace(' ', '%20')}")
    assert (answer.status, answer.error["code"]) == (400, code)
    assert answer.error["source"] == {"parameter": parameter}


def test_a_plus_that_was_not_escaped_is_explained(owner: Caller) -> None:
    assert "%2B" in owner("GET", f"/v2{LIST}?filter[from]=+18445550001").error["detail"]


def test_an_unknown_caller_is_told_so(call: Caller) -> None:
    assert call("GET", f"/v2{LIST}", headers={"Authorization": None}).refusal[:2] == (401, "10009")


def test_an_opt_out_without_a_keyword_has_its_form_too(accounts: Accounts, owner: Caller, profile: Profile) -> None:
    opt_out(accounts, profile, keyword=None)
    assert owner("GET", f"/v2{LIST}").data[0]["keyword"] is None
