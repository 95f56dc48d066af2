"""Records of messages over the wire: what they say, how they are found, and what is refused."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.api.conftest import on_one_database
from tests.description import breaches, description, validator
from tests.webhook_receiver import Receiver
from tests.wire import NO_SUCH_ID, TO, Accounts, Caller, later

PATH = "/v2/detail_records"
NOT_ROUTABLE = "+15005550001"
HANDSET = "+13125550199"

Fresh = Callable[..., tuple[Caller, str, str]]


@pytest.fixture
def fresh(accounts: Accounts) -> Any:
    """Makes a caller of an organisation of its own, with its number and the id of its profile."""
    opened = []

    def made(**settings: Any) -> tuple[Caller, str, str]:
        organization = accounts.organization()
        profile = accounts.profile(organization, **settings)
        number = accounts.sender(profile, tags=("north", "sales, retail"))
        caller = accounts.caller(accounts.key(organization))
        opened.append(caller)
        return caller, number, profile.id

    yield made
    for each in opened:
        each.__exit__(None, None, None)


def records(caller: Caller, filters: Mapping[str, str] | None = None, query: Mapping[str, str] | None = None) -> Any:
    named = {f"filter[{name}" if "]" in name else f"filter[{name}]": value for name, value in (filters or {}).items()}
    return caller("GET", f"{PATH}?{urlencode({'filter[record_type]': 'messaging', **named, **(query or {})})}")


def writes(caller: Caller, number: str, **fields: str) -> str:
    answer = caller("POST", f"/sandbox/handsets/{HANDSET}/messages", {"to": number, **fields})
    found: str = answer.data["id"]
    return found


def test_a_record_tells_all_of_a_message_that_went_out(fresh: Fresh) -> None:
    caller, number, profile_id = fresh()
    text = "x" * 200
    sent = caller.send(from_=number, text=text, webhook_url="https://example.com/hook").data
    caller.settle()
    (record,) = records(caller).data
    message = caller.read(sent["id"])
    assert record == {
        "record_type": "message_detail_record",
        "uuid": sent["id"],
        "user_id": message["organization_id"],
        "direction": "outbound",
        "cli": number,
        "cld": TO,
        "message_type": "SMS",
        "parts": 2,
        "status": "delivered",
        "errors": [],
        "profile_id": profile_id,
        "profile_name": "Other",
        "carrier": message["to"][0]["carrier"],
        "carrier_fee": message["cost_breakdown"]["carrier_fee"]["amount"],
        "rate": record["rate"],
        "cost": message["cost"]["amount"],
        "currency": "USD",
        "country_code": "US",
        "source_country_code": "US",
        "on_net": False,
        "fteu": False,
        "tags": "north,sales, retail",
        "delivery_status_webhook_url": "https://example.com/hook",
        "delivery_status_failover_url": "",
        "created_at": message["received_at"],
        "sent_at": message["sent_at"],
        "completed_at": message["completed_at"],
        "updated_at": message["completed_at"],
    }
    assert float(record["rate"]) * 2 == pytest.approx(float(message["cost_breakdown"]["rate"]["amount"]))


def test_a_record_is_as_the_description_has_records_of_messages(fresh: Fresh) -> None:
    caller, number, _ = fresh()
    for to in (TO, NOT_ROUTABLE):
        caller.send(from_=number, to=to, media_urls=["https://example.com/a.png"])
    writes(caller, number, text="Hi")
    caller.settle()
    if description() is None:
        pytest.skip("the provider's OpenAPI description is not here")
    judge = validator({"$ref": "#/components/schemas/MessageDetailRecord"})
    described = set(description()["components"]["schemas"]["MessageDetailRecord"]["properties"])
    for record in records(caller).data:
        assert (breaches(judge, record), set(record) - described) == ({}, set())


def test_a_record_of_a_message_that_came_in_costs_nothing(fresh: Fresh) -> None:
    caller, number, profile_id = fresh()
    message_id = writes(caller, number, text="Hi")
    (record,) = records(caller).data
    shown = {name: record[name] for name in ("uuid", "direction", "status", "cli", "cld", "cost", "profile_id")}
    assert shown == {
        "uuid": message_id,
        "direction": "inbound",
        "status": "received",
        "cli": HANDSET,
        "cld": number,
        "cost": "0.0000",
        "profile_id": profile_id,
    }
    assert "sent_at" not in record


def test_what_waits_or_was_cancelled_has_no_record_and_what_failed_says_why(fresh: Fresh) -> None:
    caller, number, _ = fresh()
    scheduled = caller.send("/v2/messages/schedule", from_=number, send_at=caller.time(hours=1)).data
    assert caller.cancel(scheduled["id"]).status == 200
    caller.send("/v2/messages/schedule", from_=number, send_at=caller.time(hours=2))
    failed = caller.send(from_=number, to=NOT_ROUTABLE).data
    caller.settle()
    (record,) = records(caller).data
    assert (record["uuid"], record["status"], record["errors"]) == (failed["id"], "failed", ["40001"])


def test_both_directions_stand_in_one_order_over_pages(fresh: Fresh) -> None:
    caller, number, _ = fresh()
    made = []
    for _ in range(3):
        made += [caller.send(from_=number).data["id"], writes(caller, number, text="Hi")]
    caller.settle()
    pages = [records(caller, query={"page[number]": str(page), "page[size]": "4"}) for page in (1, 2, 3)]
    found = [[each["uuid"] for each in page.data] for page in pages]
    assert found == [made[:1:-1], made[1::-1], []]
    assert pages[1].json["meta"] == {"page_number": 2, "page_size": 4, "total_pages": 2, "total_results": 6}
    oldest = records(caller, query={"sort": "created_at", "page[size]": "4"})
    assert [each["uuid"] for each in oldest.data] == made[:4]


def test_records_are_found_by_each_attribute(fresh: Fresh) -> None:
    caller, number, profile_id = fresh()
    moment = caller.send(from_=number, to=NOT_ROUTABLE, text="x" * 200).data
    caller.settle()
    inbound = writes(caller, number, text="Hi")
    found: dict[tuple[str, str], list[str]] = {}
    sent, both = [moment["id"]], [inbound, moment["id"]]
    at = records(caller, {"uuid": moment["id"]}).data[0]["created_at"]
    cases: list[tuple[str, str, list[str]]] = [
        ("uuid", moment["id"].upper(), sent),
        ("direction", "outbound", sent),
        ("direction][eq]", "inbound", [inbound]),
        ("cld", NOT_ROUTABLE, sent),
        ("cld][contains]", "5550001", sent),
        ("cld][contains]", "%", []),
        ("cld][starts_with]", "+1500", sent),
        ("cli][ends_with]", HANDSET[-4:], [inbound]),
        ("message_type", "SMS", both),
        ("message_type", "RCS", []),
        ("parts", "2", sent),
        ("parts][lt]", "2", [inbound]),
        ("status", "failed", sent),
        ("status", "dlr_timeout", []),
        ("profile_id", profile_id, both),
        ("profile_name][contains]", "the", both),
        ("currency", "USD", both),
        ("currency", "EUR", []),
        ("tags", "sales, retail", both),
        ("tags", "sales", []),
        ("errors", "40001", sent),
        ("created_at][gte]", at, both),
        ("created_at", at, sent),
        ("created_at][lt]", at, []),
        ("created_at][gte]", at[:10], both),
        ("sent_at][gte]", at, sent),
        ("completed_at][gt]", later(at, days=1), []),
        ("date_range", "today", both),
        ("date_range", "last_2_days", both),
        ("date_range", "yesterday", []),
    ]
    for name, value, _ in cases:
        found[name, value] = [each["uuid"] for each in records(caller, {name: value}).data]
    assert found == {(name, value): wanted for name, value, wanted in cases}
    assert [each["uuid"] for each in records(caller, {"direction": "outbound", "status": "failed"}).data] == sent


@on_one_database
@pytest.mark.parametrize(
    ("query", "code", "parameter"),
    [
        ("", "10004", "filter[record_type]"),
        ("filter[record_type]=verify", "10031", "filter[record_type]"),
        ("filter[record_type]=messaging&filter[colour]=red", "10031", "filter[colour]"),
        ("filter[record_type]=messaging&filter[cld][near]=1", "10031", "filter[cld][near]"),
        ("filter[record_type]=messaging&filter[status]=lost", "10031", "filter[status]"),
        ("filter[record_type]=messaging&filter[date_range]=soon", "10031", "filter[date_range]"),
        ("filter[record_type]=messaging&filter[date_range]=last_0_days", "10031", "filter[date_range]"),
        ("filter[record_type]=messaging&filter[parts][gt]=two", "10031", "filter[parts][gt]"),
        (f"filter[record_type]=messaging&filter[cld][contains]={'1' * 256}", "10031", "filter[cld][contains]"),
        ("filter[record_type]=messaging&filter[uuid]=1", "10031", "filter[uuid]"),
        ("filter[record_type]=messaging&filter[created_at][gte]=2026-02-30", "10015", "filter[created_at][gte]"),
        ("filter[record_type]=messaging&filter[created_at][gte]=2026-02-03T10:00", "10015", "filter[created_at][gte]"),
        ("filter[record_type]=messaging&sort=-cost", "10015", "sort"),
        ("filter[record_type]=messaging&page[size]=51", "10015", "page[size]"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(call: Caller, query: str, code: str, parameter: str) -> None:
    answer = call("GET", f"{PATH}?{query}")
    assert (answer.status, answer.error["code"], answer.error["source"]) == (400, code, {"parameter": parameter})


def test_records_end_at_the_wall_of_the_organisation(fresh: Fresh, stranger: Caller) -> None:
    caller, number, profile_id = fresh()
    sent = caller.send(from_=number).data
    caller.settle()
    for filters in ({}, {"uuid": sent["id"]}, {"profile_id": profile_id}, {"cli": number}):
        answer = records(stranger, filters)
        assert (answer.data, answer.json["meta"]["total_results"]) == ([], 0)
    assert records(stranger, {"uuid": NO_SUCH_ID}).data == []


def test_a_record_says_what_became_of_its_last_event(fresh: Fresh) -> None:
    with Receiver() as receiver:
        caller, number, _ = fresh()
        for path, status in (("/good", 200), ("/bad", 410)):
            for _ in range(2):
                receiver.answer(path, status)
            caller.send(from_=number, webhook_url=receiver.url(path))
            caller.settle()
        assert [each["delivery_status"] for each in records(caller).data] == [
            "failure: webhook failed",
            "success: webhook succeeded",
        ]


def test_a_record_says_whether_both_numbers_are_of_ones_own(fresh: Fresh, accounts: Accounts) -> None:
    organization = accounts.organization()
    number, own = (accounts.sender(accounts.profile(organization)) for _ in range(2))
    _, strange, _ = fresh()
    with accounts.caller(accounts.key(organization)) as caller:
        for to in (own, strange):
            caller.send(from_=number, to=to)
        caller.settle()
        found = {each["cld"]: each["on_net"] for each in records(caller, {"direction": "outbound"}).data}
    assert found == {own: True, strange: False}


def test_a_record_is_redacted_where_the_profile_hides_numbers(fresh: Fresh) -> None:
    caller, number, _ = fresh(redaction_enabled=True)
    caller.send(from_=number)
    writes(caller, number, text="Hi")
    caller.settle()
    inbound, outbound = sorted(records(caller).data, key=lambda each: str(each["direction"]))
    assert (outbound["cld"], outbound["cli"]) == ("+18665****", number)
    assert (inbound["cli"], inbound["cld"]) == ("+13125****", number)
    asked = {
        "cld": TO,
        "cld][contains]": TO[-6:],
        "cld][ends_with]": TO[-5:],
        "cli": HANDSET,
        "cli][ends_with]": HANDSET[-4:],
    }
    assert {name: records(caller, {name: value}).json["meta"]["total_results"] for name, value in asked.items()} == (
        dict.fromkeys(asked, 0)
    )
    shown = {"cld": "+18665****", "cli][starts_with]": "+13125*"}
    assert [len(records(caller, {name: value}).data) for name, value in shown.items()] == [1, 1]
    assert caller("GET", f"/v2/reports/mdrs?{urlencode({'cld': TO})}").data == []


def test_what_a_level_does_not_hide_is_found(fresh: Fresh) -> None:
    caller, number, _ = fresh(redaction_enabled=True, redaction_level=0)
    caller.send(from_=number)
    caller.settle()
    assert [each["cld"] for each in records(caller, {"cld": TO}).data] == [TO]


def test_the_short_form_asks_and_answers_in_capitals(fresh: Fresh) -> None:
    caller, number, _ = fresh()
    sent = caller.send(from_=number, to=NOT_ROUTABLE).data
    writes(caller, number, text="Hi")
    caller.settle()
    day = sent["received_at"][:10]
    asked = {
        "direction": "OUTBOUND",
        "status": "FAILED",
        "message_type": "SMS",
        "profile": "Other",
        "cli": number,
        "cld": NOT_ROUTABLE,
        "id": sent["id"],
        "start_date": day,
        "end_date": day,
    }
    answer = caller("GET", f"/v2/reports/mdrs?{urlencode(asked)}")
    (record,) = answer.data
    assert (record["id"], record["direction"], record["status"], record["profile_name"]) == (
        sent["id"],
        "OUTBOUND",
        "FAILED",
        "Other",
    )
    assert float(record["rate"]) * record["parts"] == pytest.approx(float(record["cost"]))
    assert len(caller("GET", "/v2/reports/mdrs").data) == 2
    for name in ("profile", "cli", "cld"):
        assert caller("GET", f"/v2/reports/mdrs?{urlencode({**asked, name: 'nobody'})}").data == []


@on_one_database
@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("direction=outbound", "direction"),
        ("status=delivered", "status"),
        ("message_type=RCS", "message_type"),
        ("id=1", "id"),
        ("start_date=2026-02-30", "start_date"),
        ("start_date=2999-01-01", "start_date"),
        ("start_date=2026-01-02&end_date=2026-01-01", "end_date"),
        ("cli=%00", "cli"),
    ],
)
def test_a_bad_question_in_the_short_form_is_refused(call: Caller, query: str, parameter: str) -> None:
    answer = call("GET", f"/v2/reports/mdrs?{query}")
    assert (answer.status, answer.error["code"], answer.error["source"]) == (400, "10015", {"parameter": parameter})
