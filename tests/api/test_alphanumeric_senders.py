"""`/alphanumeric_sender_ids` over HTTP."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from tests.api.conftest import on_one_database
from tests.wire import NO_SUCH_ID, Accounts, Caller

NAMES = "/v2/alphanumeric_sender_ids"
ABROAD = "+447400123456"
_FREE = count(1000)


@pytest.fixture
def owner(accounts: Accounts) -> Iterator[Caller]:
    """Somebody of an organisation without anything."""
    with accounts.caller(accounts.key(accounts.organization())) as caller:
        yield caller


def profile_of(owner: Caller) -> str:
    body = {"name": "Mine", "whitelisted_destinations": ["*"]}
    return str(owner("POST", "/v2/messaging_profiles", body).data["id"])


def long_code_of(owner: Caller, prefix: str = "+1612555") -> str:
    number = f"{prefix}{next(_FREE):04d}"
    return str(owner("POST", "/v2/phone_numbers/messaging", {"phone_number": number}).data["phone_number"])


def add(owner: Caller, profile_id: str, name: str = "Acme Inc", **given: Any) -> Any:
    answer = owner("POST", NAMES, {"alphanumeric_sender_id": name, "messaging_profile_id": profile_id, **given})
    assert answer.status == 201, answer.body
    return answer.json["data"]


def test_a_name_is_added_read_listed_and_deleted(owner: Caller) -> None:
    profile_id, number = profile_of(owner), long_code_of(owner)
    made = add(owner, profile_id, us_long_code_fallback=number)
    assert made == {
        "record_type": "alphanumeric_sender_id",
        "id": made["id"],
        "alphanumeric_sender_id": "Acme Inc",
        "messaging_profile_id": profile_id,
        "organization_id": made["organization_id"],
        "us_long_code_fallback": number,
    }
    path = f"{NAMES}/{made['id']}"
    assert owner("GET", path).data == made
    assert owner("GET", NAMES).json["data"] == [made]
    assert owner("DELETE", path).data == made
    assert owner("GET", path).refusal == owner("DELETE", path).refusal == (404, "10005", "/id")
    assert owner("GET", NAMES).json["meta"]["total_results"] == 0


def test_names_are_listed_by_their_profile_and_numbers_are_not_among_them(owner: Caller) -> None:
    first, second = profile_of(owner), profile_of(owner)
    made = [add(owner, first, "Acme"), add(owner, second, "Acme"), add(owner, second, "Bolt")]
    long_code_of(owner)
    assert owner("GET", NAMES).data == made[::-1]
    assert owner("GET", f"{NAMES}?filter[messaging_profile_id]={first}").data == made[:1]
    answer = owner("GET", f"/v2/messaging_profiles/{second}/alphanumeric_sender_ids?page[size]=1").json
    assert (answer["data"], answer["meta"]["total_pages"]) == (made[2:], 2)
    assert owner("GET", f"{NAMES}?filter[messaging_profile_id]=x").error["code"] == "10031"


def test_a_profile_sends_from_a_name_for_as_long_as_it_has_it(owner: Caller) -> None:
    profile_id = profile_of(owner)
    send = {"from_": "Acme Inc", "to": ABROAD, "messaging_profile_id": profile_id}
    assert owner.send(**send).error["code"] == "40306"
    made = add(owner, profile_id)
    assert owner.send(**send).data["from"]["phone_number"] == "Acme Inc"
    assert owner.send("/v2/messages/alphanumeric_sender_id", **send).status == 200
    assert owner.send(**{**send, "from_": "Bolt"}).refusal == (400, "40307", "/from")
    owner("DELETE", f"{NAMES}/{made['id']}")
    assert owner.send(**send).error["code"] == "40306"


@on_one_database
@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ({"alphanumeric_sender_id": None}, 400, "10004", "/alphanumeric_sender_id"),
        ({"alphanumeric_sender_id": "12345"}, 400, "40325", "/alphanumeric_sender_id"),
        ({"alphanumeric_sender_id": "much too long"}, 400, "40325", "/alphanumeric_sender_id"),
        ({"alphanumeric_sender_id": "Acme\0"}, 400, "40325", "/alphanumeric_sender_id"),
        ({"alphanumeric_sender_id": 5}, 400, "10026", "/alphanumeric_sender_id"),
        ({"messaging_profile_id": None}, 400, "10004", "/messaging_profile_id"),
        ({"messaging_profile_id": NO_SUCH_ID}, 422, "10017", "/messaging_profile_id"),
        ({"us_long_code_fallback": "+16125559999"}, 422, "10017", "/us_long_code_fallback"),
        ({"us_long_code_fallback": "nope"}, 422, "10017", "/us_long_code_fallback"),
    ],
    ids=str,
)
def test_what_cannot_be_is_not_added(owner: Caller, body: dict[str, Any], status: int, code: str, pointer: str) -> None:
    whole = {"alphanumeric_sender_id": "Acme", "messaging_profile_id": profile_of(owner), **body}
    assert owner("POST", NAMES, whole).refusal == (status, code, pointer)
    assert owner("GET", NAMES).data == []


def test_a_fallback_is_a_us_long_code_and_not_somebody_elses(owner: Caller, stranger: Caller) -> None:
    body = {"alphanumeric_sender_id": "Acme", "messaging_profile_id": profile_of(owner)}
    for number in (long_code_of(stranger), long_code_of(owner, "+1800555"), long_code_of(owner, "+44740012")):
        refused = owner("POST", NAMES, {**body, "us_long_code_fallback": number})
        assert refused.refusal == (422, "10017", "/us_long_code_fallback")


def test_a_name_without_its_fallback_stays(owner: Caller) -> None:
    number = long_code_of(owner)
    made = add(owner, profile_of(owner), us_long_code_fallback=number)
    owner("DELETE", f"/v2/phone_numbers/{number}/messaging")
    assert "us_long_code_fallback" not in owner("GET", f"{NAMES}/{made['id']}").data


def test_a_name_is_of_a_profile_once(owner: Caller) -> None:
    profile_id = profile_of(owner)
    add(owner, profile_id)
    again = owner("POST", NAMES, {"alphanumeric_sender_id": "Acme Inc", "messaging_profile_id": profile_id})
    assert again.refusal == (409, "10012", "/alphanumeric_sender_id")


def test_a_name_of_another_organisation_does_not_exist(owner: Caller, stranger: Caller) -> None:
    profile_id = profile_of(owner)
    made = add(owner, profile_id)
    for method in ("GET", "DELETE"):
        assert stranger(method, f"{NAMES}/{made['id']}").refusal == (404, "10005", "/id")
    body = {"alphanumeric_sender_id": "Acme", "messaging_profile_id": profile_id}
    assert stranger("POST", NAMES, body).refusal == (422, "10017", "/messaging_profile_id")
    assert stranger("GET", f"/v2/messaging_profiles/{profile_id}/alphanumeric_sender_ids").status == 404
    assert stranger("GET", f"{NAMES}?filter[messaging_profile_id]={profile_id}").data == []
    assert owner("GET", f"{NAMES}/{made['id']}").data == made
