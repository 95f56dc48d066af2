"""`/messaging_profiles/{profile_id}/autoresp_configs` over HTTP."""

from typing import Any
from urllib.parse import quote

import pytest

from heliograph.domain.accounts import Profile
from tests.api.conftest import on_one_database
from tests.wire import NO_SUCH_ID, Accounts, Answer, Caller, later

"""The provider's own, or a skip."""

GIVEN = {"op": "stop", "keywords": ["STOP", "BYE"], "country_code": "US", "resp_text": "You have unsubscribed."}
LIST = "/messaging_profiles/{profile_id}/autoresp_configs"
ONE = f"{LIST}/{{autoresp_cfg_id}}"


@pytest.fixture
def profile(accounts: Accounts) -> Profile:
    """A profile of the caller's that nothing is set on."""
    organization, _ = accounts.sandbox()
    return accounts.profile(organization)


def path(profile: Profile, which: str = "", **query: str) -> str:
    """The path of a profile's settings, or of one of them."""
    asked = "&".join(f"{name}={quote(value)}" for name, value in query.items())
    return f"/v2/messaging_profiles/{profile.id}/autoresp_configs" + (f"/{which}" if which else "") + f"?{asked}"


def make(call: Caller, profile: Profile, **given: Any) -> Answer:
    body = {name: value for name, value in {**GIVEN, **given}.items() if value is not None}
    return call("POST", path(profile), body)


def listed(call: Caller, profile: Profile, query: str = "") -> list[str]:
    """The ids of what is listed."""
    return [each["id"] for each in call("GET", path(profile) + query).data]


def test_settings_are_made_read_and_listed(call: Caller, profile: Profile) -> None:
    made = make(call, profile).data
    assert {name: made[name] for name in GIVEN} == GIVEN
    assert made["created_at"] == made["updated_at"]
    assert call("GET", path(profile, made["id"])).data == made
    answer = call("GET", path(profile)).json
    assert answer["data"] == [made]
    assert answer["meta"] == {"page_number": 1, "page_size": 20, "total_pages": 1, "total_results": 1}


def test_settings_are_replaced_as_a_whole(call: Caller, profile: Profile) -> None:
    made = make(call, profile).data
    given = {"op": "help", "keywords": ["HELP", "INFO"], "country_code": "*"}
    kept = call("PUT", path(profile, made["id"]), given).data
    assert kept.pop("updated_at") > made["updated_at"]
    assert kept == {**given, "op": "info", "id": made["id"], "created_at": made["created_at"]}
    assert call("GET", path(profile, made["id"])).data.keys() == {*kept, "updated_at"}


def test_deleting_answers_a_bare_text_once(call: Caller, profile: Profile) -> None:
    made = make(call, profile).data
    answer = call("DELETE", path(profile, made["id"]))
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b'"OK"', "application/json")
    assert call("DELETE", path(profile, made["id"])).refusal == (404, "10005", "/autoresp_cfg_id")
    assert listed(call, profile) == []


def test_settings_are_listed_by_pages_newest_first(call: Caller, profile: Profile) -> None:
    made = [make(call, profile).data["id"] for _ in range(3)]
    assert listed(call, profile, "page[size]=2") == [made[2], made[1]]
    assert listed(call, profile, "page[size]=2&page[number]=2") == [made[0]]


def test_settings_are_listed_by_country(call: Caller, profile: Profile) -> None:
    home, anywhere = make(call, profile).data, make(call, profile, country_code="*").data
    assert listed(call, profile, "country_code=US") == [home["id"]]
    assert listed(call, profile, "country_code=*") == [anywhere["id"]]
    assert listed(call, profile, "country_code=FR") == []


@pytest.mark.parametrize("name", ["created_at", "updated_at"])
def test_settings_are_found_again_by_the_moment_they_show(call: Caller, profile: Profile, name: str) -> None:
    made = make(call, profile).data
    shown = made[name]
    assert listed(call, profile, f"{name}[gte]={shown}&{name}[lte]={shown}") == [made["id"]]
    assert listed(call, profile, f"{name}[gte]={later(shown, milliseconds=1)}") == []
    assert listed(call, profile, f"{name}[lte]={later(shown, milliseconds=-1)}") == []


@on_one_database
@pytest.mark.parametrize(
    ("query", "code", "parameter"),
    [
        ("page[size]=0", "10015", "page[size]"),
        ("country_code=us", "10031", "country_code"),
        ("country_code=", "10031", "country_code"),
        ("country_code=%00", "10031", "country_code"),
        ("filter[country_code]=US", "10031", "filter[country_code]"),
        ("created_at=2026-01-01T00:00:00Z", "10031", "created_at"),
        ("created_at[gt]=2026-01-01T00:00:00Z", "10031", "created_at[gt]"),
        ("updated_at[eq]=2026-01-01T00:00:00Z", "10031", "updated_at[eq]"),
        ("created_at[gte]=", "10015", "created_at[gte]"),
        ("created_at[gte]=yesterday", "10015", "created_at[gte]"),
        ("created_at[lte]=2026-01-01", "10015", "created_at[lte]"),
        ("updated_at[lte]=2026-01-01T00:00:00", "10015", "updated_at[lte]"),
        ("updated_at[lte]=2026-02-30T00:00:00Z", "10015", "updated_at[lte]"),
        ("updated_at[gte]=2026-01-01T00:00:00+00:00", "10015", "updated_at[gte]"),
    ],
)
def test_bad_filters_are_refused(call: Caller, profile: Profile, query: str, code: str, parameter: str) -> None:
    make(call, profile)
    answer = call("GET", path(profile) + query)
    assert (answer.status, answer.error["code"]) == (400, code)
    assert answer.error["source"] == {"parameter": parameter}


def test_a_plus_that_was_not_escaped_is_explained(call: Caller, profile: Profile) -> None:
    assert "%2B" in call("GET", path(profile) + "created_at[gte]=2026-01-01T00:00:00+00:00").error["detail"]


@on_one_database
@pytest.mark.parametrize(
    ("given", "code", "pointer"),
    [
        ({"op": None}, "10004", "/op"),
        ({"op": "block"}, "10032", "/op"),
        ({"op": 1}, "10026", "/op"),
        ({"keywords": "STOP"}, "10026", "/keywords"),
        ({"keywords": ["BYE", 1]}, "10026", "/keywords/1"),
        ({"keywords": ["BYE", "start"]}, "10015", "/keywords/1"),
        ({"country_code": "USA"}, "10015", "/country_code"),
        ({"resp_text": "Goodbye."}, "10025", "/resp_text"),
        ({"resp_text": "Goodbye, and good luck.\0"}, "10015", "/resp_text"),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_bad_settings_are_refused_and_change_nothing(
    call: Caller, profile: Profile, method: str, given: dict[str, Any], code: str, pointer: str
) -> None:
    made = make(call, profile).data
    body = {name: value for name, value in {**GIVEN, **given}.items() if value is not None}
    where = path(profile, made["id"] if method == "PUT" else "")
    assert call(method, where, body).refusal == (400, code, pointer)
    assert call("GET", path(profile)).data == [made]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"OK"'])
def test_a_body_that_is_no_object_is_refused(call: Caller, profile: Profile, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert call("POST", path(profile), body, headers).status == 400


@pytest.mark.parametrize("which", ["nope", NO_SUCH_ID, "%00"])
def test_what_does_not_exist_is_not_found(call: Caller, profile: Profile, which: str) -> None:
    for method, body in (("GET", None), ("PUT", GIVEN), ("DELETE", None)):
        assert call(method, path(profile, which), body).refusal == (404, "10005", "/autoresp_cfg_id")
    where = f"/v2/messaging_profiles/{which}/autoresp_configs"
    for method, body in (("GET", None), ("POST", GIVEN)):
        assert call(method, where, body).refusal == (404, "10005", "/profile_id")


def test_what_belongs_to_another_does_not_exist(call: Caller, stranger: Caller, profile: Profile) -> None:
    made = make(call, profile).data
    asked = [("GET", "", None), ("POST", "", GIVEN), ("PUT", made["id"], GIVEN)]
    for method, which, body in [*asked, ("GET", made["id"], None), ("DELETE", made["id"], None)]:
        theirs = stranger(method, path(profile, which), body)
        nobodys = stranger(method, path(profile, which).replace(profile.id, NO_SUCH_ID), body)
        assert theirs.refusal == nobodys.refusal == (404, "10005", "/profile_id")
        assert theirs.error["detail"].replace(profile.id, NO_SUCH_ID) == nobodys.error["detail"]
    assert call("GET", path(profile)).data == [made]


def test_settings_are_of_one_profile_of_the_same_owner(call: Caller, accounts: Accounts, profile: Profile) -> None:
    made = make(call, profile).data
    organization, _ = accounts.sandbox()
    other = accounts.profile(organization)
    assert listed(call, other) == []
    assert call("GET", path(other, made["id"])).refusal == (404, "10005", "/autoresp_cfg_id")


def test_an_unknown_caller_is_told_so(call: Caller, profile: Profile) -> None:
    for method, body in (("GET", None), ("POST", GIVEN)):
        assert call(method, path(profile), body, {"Authorization": None}).refusal[:2] == (401, "10009")


@pytest.mark.parametrize("resp_text", [GIVEN["resp_text"], None])
def test_answers_have_the_documented_form(call: Caller, profile: Profile, resp_text: str | None) -> None:
    which = path(profile, make(call, profile, resp_text=resp_text).data["id"])
    asked = [("GET", path(profile)), ("GET", which), ("PUT", which), ("DELETE", which), ("GET", which)]
    statuses = [call(method, where, GIVEN if method == "PUT" else None).status for method, where in asked]
    assert statuses == [200, 200, 200, 200, 404]


@pytest.mark.parametrize("country", ["US", "*"])
def test_a_word_has_one_meaning_for_people_of_one_country(call: Caller, profile: Profile, country: str) -> None:
    made = make(call, profile).data
    other = {"op": "info", "keywords": ["WHO", "bye"], "country_code": country}
    assert make(call, profile, **other).refusal == (409, "10012", "/keywords/1")
    assert call("PUT", path(profile, made["id"]), {**GIVEN, "op": "info", "keywords": ["BYE"]}).status == 200


def test_a_word_may_mean_something_else_in_another_country(call: Caller, profile: Profile) -> None:
    make(call, profile)
    assert make(call, profile, op="info", keywords=["BYE"], country_code="CA").status == 200
