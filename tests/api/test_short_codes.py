"""`/short_codes` over HTTP."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from tests.wire import NO_SUCH_ID, Accounts, Caller

CODES = "/v2/short_codes"
_FREE = count(310_000)


@pytest.fixture
def owner(accounts: Accounts) -> Iterator[Caller]:
    """Somebody of an organisation without anything."""
    with accounts.caller(accounts.key(accounts.organization())) as caller:
        yield caller


def profile_of(owner: Caller) -> str:
    body = {"name": "Mine", "whitelisted_destinations": ["*"]}
    return str(owner("POST", "/v2/messaging_profiles", body).data["id"])


def add(owner: Caller, **given: Any) -> Any:
    """A new short code, as it is read."""
    body = {"phone_number": str(next(_FREE)), **given}
    number = owner("POST", "/v2/phone_numbers/messaging", body).data
    return owner("GET", f"{CODES}/{number['id']}").data


def listed(owner: Caller, query: str = "") -> list[str]:
    return [each["short_code"] for each in owner("GET", f"{CODES}?{query}").data]


def test_a_short_code_is_read_with_its_country_where_it_has_one(owner: Caller) -> None:
    code, abroad = add(owner), add(owner, country_code="CA", tags=["a"])
    assert "country_code" not in code
    assert abroad["country_code"] == "CA"
    assert abroad.items() >= {"record_type": "short_code", "messaging_profile_id": None, "tags": ["a"]}.items()


def test_short_codes_are_listed_by_their_profile_and_numbers_are_not_among_them(owner: Caller) -> None:
    profile_id = profile_of(owner)
    free, on = add(owner)["short_code"], add(owner, messaging_profile_id=profile_id)["short_code"]
    owner("POST", "/v2/phone_numbers/messaging", {"phone_number": f"+1512555{next(_FREE) % 10_000:04d}"})
    assert listed(owner) == [on, free]
    assert listed(owner, "filter[messaging_profile_id]=null") == [free]
    assert listed(owner, f"filter[messaging_profile_id]={profile_id}") == [on]
    of_profile = owner("GET", f"/v2/messaging_profiles/{profile_id}/short_codes")
    assert [each["short_code"] for each in of_profile.data] == [on]
    assert listed(owner, "page[size]=1&page[number]=2") == [free]


@pytest.mark.parametrize("query", ["filter[messaging_profile_id]=x", "filter[short_code]=12345", "page[size]=0"])
def test_bad_filters_and_pages_are_refused(owner: Caller, query: str) -> None:
    answer = owner("GET", f"{CODES}?{query}")
    assert (answer.status, answer.error["source"]) == (400, {"parameter": query.partition("=")[0]})


def test_a_short_code_sends_while_it_is_on_a_profile(owner: Caller) -> None:
    profile_id, code = profile_of(owner), add(owner)
    path, send = f"{CODES}/{code['id']}", {"from_": code["short_code"], "to": "+13125559002"}
    assert owner.send(**send).refusal == (400, "40305", "/from")
    on = owner("PATCH", path, {"messaging_profile_id": profile_id, "tags": ["new"]}).data
    assert (on["messaging_profile_id"], on["tags"]) == (profile_id, ["new"])
    sent = owner.send("/v2/messages/short_code", **send).data
    assert (sent["messaging_profile_id"], sent["tags"]) == (profile_id, ["new"])
    for nowhere in (None, ""):
        assert owner("PATCH", path, {"messaging_profile_id": profile_id}).data["tags"] == ["new"]
        assert owner("PATCH", path, {"messaging_profile_id": nowhere}).data["messaging_profile_id"] is None
        assert owner.send(**send).refusal == (400, "40305", "/from")


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ({}, 400, "10004", "/messaging_profile_id"),
        ({"tags": ["a"]}, 400, "10004", "/messaging_profile_id"),
        ({"messaging_profile_id": NO_SUCH_ID}, 422, "10017", "/messaging_profile_id"),
        ({"messaging_profile_id": "", "tags": [""]}, 400, "10015", "/tags/0"),
    ],
)
def test_a_bad_change_changes_nothing(
    owner: Caller, body: dict[str, Any], status: int, code: str, pointer: str
) -> None:
    known = add(owner, messaging_profile_id=profile_of(owner))
    assert owner("PATCH", f"{CODES}/{known['id']}", body).refusal == (status, code, pointer)
    assert owner("GET", f"{CODES}/{known['id']}").data == known


def test_what_is_no_short_code_of_ones_own_does_not_exist(owner: Caller, stranger: Caller) -> None:
    code = add(owner)
    number = owner("POST", "/v2/phone_numbers/messaging", {"phone_number": f"+1512555{next(_FREE) % 10_000:04d}"}).data
    for who, name in ((stranger, code["id"]), (owner, number["id"]), (owner, NO_SUCH_ID), (owner, code["short_code"])):
        assert who("GET", f"{CODES}/{name}").refusal == (404, "10005", "/id")
        assert who("PATCH", f"{CODES}/{name}", {"messaging_profile_id": ""}).refusal == (404, "10005", "/id")
    assert stranger("GET", f"/v2/messaging_profiles/{profile_of(owner)}/short_codes").status == 404
