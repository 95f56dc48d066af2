"""`/phone_numbers/messaging` over HTTP: what is listed, what a change does to sending, whose numbers they are."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import on_one_database
from tests.wire import NO_SUCH_ID, Accounts, Caller, on_sqlite

NUMBERS = "/v2/phone_numbers/messaging"
_FREE = count(1000)


def fresh() -> str:
    """A US long code that nobody has."""
    return f"+1412555{next(_FREE):04d}"


@pytest.fixture
def owner(accounts: Accounts) -> Iterator[Caller]:
    """Somebody of an organisation without anything."""
    with accounts.caller(accounts.key(accounts.organization())) as caller:
        yield caller


def profile_of(owner: Caller, **given: Any) -> str:
    body = {"name": "Mine", "whitelisted_destinations": ["*"], **given}
    return str(owner("POST", "/v2/messaging_profiles", body).data["id"])


def add(owner: Caller, number: str | None = None, **given: Any) -> Any:
    return owner("POST", NUMBERS, {"phone_number": number or fresh(), **given}).data


def path_of(number: Any) -> str:
    return f"/v2/phone_numbers/{number['id']}/messaging"


def listed(owner: Caller, query: str = "") -> list[str]:
    return [each["phone_number"] for each in owner("GET", f"{NUMBERS}?{query}").data]


def test_a_number_is_added_read_and_listed_with_everything_that_is_known_of_it(owner: Caller) -> None:
    profile_id = profile_of(owner)
    number = add(owner, messaging_profile_id=profile_id, tags=["a", "b"])
    everywhere = {"domestic_two_way": True, "international_inbound": True, "international_outbound": True}
    known = {
        "record_type": "messaging_settings",
        "messaging_profile_id": profile_id,
        "country_code": "US",
        "type": "longcode",
        "messaging_product": "A2P",
        "eligible_messaging_products": ["A2P"],
        "traffic_type": "A2P",
        "features": {"sms": everywhere, "mms": everywhere},
        "health": {"message_count": 0, "inbound_outbound_ratio": 0, "success_ratio": 1, "spam_ratio": 0},
        "tags": ["a", "b"],
    }
    assert number.items() >= known.items()
    for path in (path_of(number), f"/v2/phone_numbers/{number['phone_number']}/messaging"):
        assert owner("GET", path).data == number
    answer = owner("GET", NUMBERS).json
    assert answer["data"] == [number]
    assert answer["meta"] == {"page_number": 1, "page_size": 20, "total_pages": 1, "total_results": 1}


@pytest.mark.parametrize(
    ("number", "given", "kind", "country", "mms"),
    [
        ("+448081570000", {}, "tollfree", "GB", False),
        ("+447400123456", {}, "longcode", "GB", False),
        ("+80012345678", {}, "tollfree", None, False),
        ("654321", {}, "shortcode", None, True),
        ("65432", {"country_code": "CA"}, "shortcode", "CA", True),
    ],
)
def test_a_number_says_what_it_is(
    owner: Caller, number: str, given: dict[str, str], kind: str, country: str | None, mms: bool
) -> None:
    known = owner("GET", f"/v2/phone_numbers/{number}/messaging")
    assert known.status == 404
    made = add(owner, number, **given)
    try:
        assert (made["type"], made.get("country_code"), made["features"]["mms"] is not None) == (kind, country, mms)
    finally:
        owner("DELETE", path_of(made))


def test_numbers_are_found_by_filters_and_sorted(owner: Caller) -> None:
    profile_id = profile_of(owner)
    first, second = add(owner)["phone_number"], add(owner, messaging_profile_id=profile_id)["phone_number"]
    code = add(owner, f"{next(_FREE):06d}")["phone_number"]
    assert listed(owner) == [code, second, first]
    assert listed(owner, "sort[phone_number]=asc") == [first, second, code]
    assert listed(owner, "sort[phone_number]=desc") == [code, second, first]
    assert listed(owner, f"filter[messaging_profile_id]={profile_id}") == [second]
    assert listed(owner, "filter[messaging_profile_id]=null") == [code, first]
    assert listed(owner, "filter[type]=shortcode") == [code]
    assert listed(owner, "filter[type]=tollfree") == []
    quoted = [each.replace("+", "%2B") for each in (first, second)]
    assert listed(owner, f"filter[phone_number]={','.join(quoted)}") == [second, first]
    assert listed(owner, f"filter[phone_number][contains]={first[-5:]}") == [first]
    answer = owner("GET", f"{NUMBERS}?page[size]=2&page[number]=2").json
    assert ([each["phone_number"] for each in answer["data"]], answer["meta"]["total_pages"]) == ([first], 2)


@on_one_database
@pytest.mark.parametrize(
    ("query", "code", "parameter"),
    [
        ("filter[messaging_profile_id]=nope", "10031", "filter[messaging_profile_id]"),
        ("filter[phone_number]=+13125550101", "10031", "filter[phone_number]"),
        ("filter[phone_number]=%2B13125550101,", "10031", "filter[phone_number]"),
        ("filter[phone_number][contains]=x", "10031", "filter[phone_number][contains]"),
        ("filter[type]=long-code", "10031", "filter[type]"),
        ("filter[tags]=a", "10031", "filter[tags]"),
        ("sort[phone_number]=up", "10015", "sort[phone_number]"),
        ("sort=phone_number", "10015", "sort"),
        ("page[size]=251", "10015", "page[size]"),
    ],
)
def test_bad_filters_sorts_and_pages_are_refused(owner: Caller, query: str, code: str, parameter: str) -> None:
    answer = owner("GET", f"{NUMBERS}?{query}")
    assert (answer.status, answer.error["code"], answer.error["source"]) == (400, code, {"parameter": parameter})


def test_an_unescaped_plus_is_pointed_out(owner: Caller) -> None:
    assert "%2B" in owner("GET", f"{NUMBERS}?filter[phone_number]=+13125550101").error["detail"]


def test_a_number_sends_for_the_profile_that_it_is_put_on(owner: Caller) -> None:
    first, second = profile_of(owner), profile_of(owner)
    number = add(owner)
    send = {"from_": number["phone_number"]}
    assert owner.send(**send).refusal == (400, "40305", "/from")
    for profile_id in (first, second):
        changed = owner("PATCH", path_of(number), {"messaging_profile_id": profile_id}).data
        assert changed == {**number, "messaging_profile_id": profile_id, "updated_at": changed["updated_at"]}
        assert owner.send(**send).data["messaging_profile_id"] == profile_id
    assert owner("PATCH", path_of(number), {"messaging_profile_id": ""}).data["messaging_profile_id"] is None
    assert owner.send(**send).refusal == (400, "40305", "/from")


def test_a_number_joins_and_leaves_the_pool_of_its_profile(owner: Caller) -> None:
    pool = {"long_code_weight": 1, "toll_free_weight": 1, "skip_unhealthy": False}
    profile_id, number = profile_of(owner, number_pool_settings=pool), add(owner)
    send: dict[str, Any] = {"from_": None, "messaging_profile_id": profile_id}
    assert owner.send(**send).error["code"] == "40321"
    owner("PATCH", path_of(number), {"messaging_profile_id": profile_id})
    assert owner.send(**send).data["from"]["phone_number"] == number["phone_number"]
    owner("DELETE", path_of(number))
    assert owner.send(**send).error["code"] == "40321"


def test_tags_of_a_number_are_those_of_its_next_message(owner: Caller) -> None:
    number = add(owner, messaging_profile_id=profile_of(owner), tags=["old"])
    assert owner.send(from_=number["phone_number"]).data["tags"] == ["old"]
    kept = owner("PATCH", path_of(number), {"messaging_product": "A2P", "tags": None}).data
    assert kept == {**number, "updated_at": kept["updated_at"]}
    changed = owner("PATCH", path_of(number), {"tags": ["new"]}).data
    assert (changed["tags"], changed["messaging_profile_id"]) == (["new"], number["messaging_profile_id"])
    assert owner.send(from_=number["phone_number"]).data["tags"] == ["new"]
    assert owner("PATCH", path_of(number), {"tags": []}).data["tags"] == []


@on_one_database
@pytest.mark.parametrize(
    ("change", "status", "code", "pointer"),
    [
        ({"messaging_profile_id": NO_SUCH_ID}, 422, "10017", "/messaging_profile_id"),
        ({"messaging_profile_id": "nope"}, 422, "10017", "/messaging_profile_id"),
        ({"messaging_profile_id": 5}, 400, "10026", "/messaging_profile_id"),
        ({"messaging_product": "P2P"}, 400, "10032", "/messaging_product"),
        ({"tags": "a"}, 400, "10026", "/tags"),
        ({"tags": ["a", " "]}, 400, "10015", "/tags/1"),
        ({"tags": ["a\0"]}, 400, "10015", "/tags/0"),
        ({"tags": ["x" * 101]}, 400, "10025", "/tags/0"),
        ({"tags": ["x"] * 21}, 400, "10033", "/tags"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_change_is_refused_as_a_whole(
    owner: Caller, change: dict[str, Any], status: int, code: str, pointer: str
) -> None:
    number = add(owner, tags=["a"])
    assert owner("PATCH", path_of(number), {"tags": ["b"], **change}).refusal == (status, code, pointer)
    assert owner("GET", path_of(number)).data == number


@on_one_database
@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ({}, 400, "10004", "/phone_number"),
        ({"phone_number": "4125550100"}, 422, "10002", "/phone_number"),
        ({"phone_number": "Acme"}, 422, "10002", "/phone_number"),
        ({"phone_number": "+1412555010\0"}, 422, "10002", "/phone_number"),
        ({"phone_number": "+14125550100", "messaging_profile_id": NO_SUCH_ID}, 422, "10017", "/messaging_profile_id"),
        ({"phone_number": "+14125550100", "country_code": "US"}, 400, "10015", "/country_code"),
        ({"phone_number": "54399", "country_code": "UK"}, 400, "10015", "/country_code"),
        ({"phone_number": "54399", "country_code": "*"}, 400, "10015", "/country_code"),
        ({"phone_number": "+14125550100", "tags": [""]}, 400, "10015", "/tags/0"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_cannot_be_a_number_of_ones_own_is_not_added(
    owner: Caller, body: dict[str, Any], status: int, code: str, pointer: str
) -> None:
    assert owner("POST", NUMBERS, body).refusal == (status, code, pointer)
    assert listed(owner) == []


def test_a_number_that_is_here_already_is_refused_alike_whosever_it_is(owner: Caller, stranger: Caller) -> None:
    number = add(owner)["phone_number"]
    refused = [each("POST", NUMBERS, {"phone_number": number}) for each in (owner, stranger)]
    assert [each.refusal for each in refused] == [(409, "10012", "/phone_number")] * 2
    assert refused[0].body == refused[1].body


def test_a_number_of_another_organisation_does_not_exist(owner: Caller, stranger: Caller) -> None:
    number = add(owner)
    for path in (path_of(number), f"/v2/phone_numbers/{number['phone_number']}/messaging"):
        for method, body in (("GET", None), ("PATCH", {"messaging_profile_id": ""}), ("DELETE", None)):
            assert stranger(method, path, body).refusal == (404, "10005", "/id")
    theirs = profile_of(stranger)
    change = owner("PATCH", path_of(number), {"messaging_profile_id": theirs})
    assert change.refusal == (422, "10017", "/messaging_profile_id")
    assert stranger("GET", f"{NUMBERS}?filter[messaging_profile_id]={theirs}").data == []
    assert owner("GET", path_of(number)).data == number


@pytest.mark.parametrize("name", [NO_SUCH_ID, "nope", "+13125559999", "%00"])
def test_an_unknown_number_is_not_found(owner: Caller, name: str) -> None:
    for method, body in (("GET", None), ("PATCH", {}), ("DELETE", None)):
        assert owner(method, f"/v2/phone_numbers/{name}/messaging", body).refusal == (404, "10005", "/id")


def test_a_number_that_is_removed_is_free_and_what_was_accepted_from_it_is_sent(
    owner: Caller, stranger: Caller, call: Caller
) -> None:
    number = add(owner, messaging_profile_id=profile_of(owner))
    to = fresh()
    owner.send("/v2/messages/schedule", from_=number["phone_number"], to=to, send_at=call.time(minutes=10))
    assert owner("DELETE", path_of(number)).data == number
    assert owner.send(from_=number["phone_number"]).refusal == (400, "40305", "/from")
    assert add(stranger, number["phone_number"])["messaging_profile_id"] is None
    call.advance_to(call.time(minutes=11))
    assert [each["from"] for each in call.handset(to)] == [number["phone_number"]]


def test_the_numbers_of_a_profile_are_its_pool(owner: Caller, stranger: Caller) -> None:
    profile_id = profile_of(owner)
    numbers = [add(owner, messaging_profile_id=profile_id) for _ in range(3)]
    add(owner, f"{next(_FREE):06d}", messaging_profile_id=profile_id)
    add(owner)
    path = f"/v2/messaging_profiles/{profile_id}/phone_numbers"
    answer = owner("GET", f"{path}?page[size]=2").json
    assert answer["data"] == numbers[:0:-1]
    assert answer["meta"]["total_results"] == 3
    assert owner("GET", f"{path}?filter[type]=tollfree").error["code"] == "10031"
    assert stranger("GET", path).refusal == (404, "10005", "/id")


def test_where_the_operator_alone_gives_numbers_callers_change_them_and_no_more(tmp_path: Path) -> None:
    with (
        on_sqlite(tmp_path, NUMBERS__SELF_SERVICE="false") as server,
        Caller(server.base_url, server.ready["api_key"]) as caller,
    ):
        (known,) = caller("GET", f"{NUMBERS}?page[size]=1").data
        assert caller("POST", NUMBERS, {"phone_number": fresh()}).refusal == (403, "10010", None)
        assert caller("DELETE", path_of(known)).refusal == (403, "10010", None)
        assert caller("PATCH", path_of(known), {"tags": ["mine"]}).data["tags"] == ["mine"]
