"""The wire itself: what is no message at all, who may call, and the form of every answer (Contract 2, 4.7, 11)."""

import re
from typing import Any

import pytest

from tests.api.conftest import MAX_BODY, on_one_database
from tests.wire import MESSAGE, NO_SUCH_ID, Accounts, Caller, later

HELP = "https://developers.telnyx.com/docs/overview/errors/"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

# Two real answers to a send had their keys in this order (Contract 4.7); what we add comes after them.
SENT_KEYS = [
    "record_type",
    "direction",
    "id",
    "type",
    "organization_id",
    "messaging_profile_id",
    "from",
    "to",
    "cc",
    "text",
    "media",
    "webhook_url",
    "webhook_failover_url",
    "encoding",
    "parts",
    "tags",
    "cost",
    "tcr_campaign_id",
    "tcr_campaign_billable",
    "tcr_campaign_registered",
    "received_at",
    "sent_at",
    "completed_at",
    "valid_until",
    "errors",
    "cost_breakdown",
]

BODIES: dict[str, tuple[bytes, tuple[int, str, str | None]]] = {
    "half of an object": (b'{"to": ', (400, "10023", "/")),
    "no JSON": (b"to=%2B18665550001", (400, "10023", "/")),
    "something after the object": (b'{"to": "+18665550001"} {}', (400, "10023", "/")),
    "nothing": (b"", (400, "10023", "/")),
    "white space": (b" \r\n", (400, "10023", "/")),
    "a list": (b"[]", (400, "10026", "/")),
    "a text": (b'"+18665550001"', (400, "10026", "/")),
    "null": (b"null", (400, "10026", "/")),
    "bytes that are no UTF-8": (b'{"text": "\xff"}', (400, "10028", "/")),
    "UTF-16": ('{"text": "é"}'.encode("utf-16"), (400, "10028", "/")),
    "half of a surrogate pair": (b'{"text": "\\ud83d"}', (400, "10023", "/")),
    "a raw NUL": (b'{"text": "a\x00b"}', (400, "10023", "/")),
    "lists in lists": (b'{"x": ' + b"[" * 5000 + b"]" * 5000 + b"}", (400, "10023", "/")),
    "objects in objects": (b'{"x":' * 2500 + b"1" + b"}" * 2500, (400, "10023", "/")),
}

WRONG_TYPES: list[tuple[dict[str, object], str]] = [
    ({"text": 5}, "/text"),
    ({"to": 18665550001}, "/to"),
    ({"to": ["+18665550001", 5]}, "/to/1"),
    ({"from": {"phone_number": "+18445550001"}}, "/from"),
    ({"media_urls": "https://example.com/cat.png"}, "/media_urls"),
    ({"media_urls": ["https://example.com/cat.png", None]}, "/media_urls/1"),
    ({"use_profile_webhooks": "yes"}, "/use_profile_webhooks"),
    ({"auto_detect": 1}, "/auto_detect"),
    ({"messaging_profile_id": 7}, "/messaging_profile_id"),
    ({"subject": ["From Telnyx!"]}, "/subject"),
    ({"encoding": 7}, "/encoding"),
    ({"type": 1}, "/type"),
]

REFUSALS: dict[str, tuple[str, str, object, dict[str, str | None], int]] = {
    "malformed body": ("POST", "/v2/messages", b"{", {}, 400),
    "rule broken": ("POST", "/v2/messages", {**MESSAGE, "to": "12"}, {}, 400),
    "no key, with a body": ("POST", "/v2/messages", MESSAGE, {"Authorization": None}, 401),
    "no such profile": ("POST", "/v2/messages", {**MESSAGE, "messaging_profile_id": NO_SUCH_ID}, {}, 422),
    "no such message": ("DELETE", f"/v2/messages/{NO_SUCH_ID}", None, {}, 404),
    "no such route, with a body": ("POST", "/v2/nothing", MESSAGE, {}, 404),
    "wrong method, with a body": ("PUT", "/v2/messages", MESSAGE, {}, 405),
    "wrong content type": ("POST", "/v2/messages", b"to=1", {"Content-Type": "text/plain"}, 415),
}


@on_one_database
@pytest.mark.parametrize(("body", "expected"), BODIES.values(), ids=BODIES)
def test_a_body_that_is_no_request_is_refused(call: Caller, body: bytes, expected: tuple[int, str, str | None]) -> None:
    assert call("POST", "/v2/messages", body).refusal == expected


@on_one_database
@pytest.mark.parametrize(("fields", "pointer"), WRONG_TYPES)
def test_a_field_of_the_wrong_type_is_pointed_at(call: Caller, fields: dict[str, object], pointer: str) -> None:
    assert call("POST", "/v2/messages", {**MESSAGE, **fields}).refusal == (400, "10026", pointer)


@pytest.mark.parametrize("name", ["text", "subject", "from"])
def test_a_nul_is_refused_as_no_database_holds_it(call: Caller, name: str) -> None:
    assert call("POST", "/v2/messages", {**MESSAGE, name: "a\0b"}).refusal == (400, "10015", f"/{name}")


@pytest.mark.parametrize("name", ["to", "send_at", "webhook_url", "messaging_profile_id", "type", "encoding"])
def test_a_nul_elsewhere_is_a_refusal_too(call: Caller, name: str) -> None:
    answer = call("POST", "/v2/messages", {**MESSAGE, name: "a\0b"})
    assert answer.status in {400, 422}
    assert answer.error["source"]["pointer"] == f"/{name}"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_body_of_another_content_type_is_refused(call: Caller, kind: str) -> None:
    assert call("POST", "/v2/messages", MESSAGE, {"Content-Type": kind}).refusal == (415, "10029", None)


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/x+json", None])
def test_json_under_any_of_its_names_is_taken(call: Caller, kind: str | None) -> None:
    assert call("POST", "/v2/messages", MESSAGE, {"Content-Type": kind}).status == 200


def test_a_body_of_the_largest_size_is_taken(call: Caller) -> None:
    assert call("POST", "/v2/messages", _padded(MAX_BODY)).status == 200


@pytest.mark.parametrize("transfer", [{}, {"Transfer-Encoding": "chunked"}], ids=["announced", "in chunks"])
def test_a_larger_body_is_refused_and_its_connection_closed(call: Caller, transfer: dict[str, str]) -> None:
    body = _padded(MAX_BODY + 1)
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if transfer else body
    answer = call("POST", "/v2/messages", sent, transfer)
    assert (answer.refusal, answer.headers["connection"]) == ((413, "10015", "/"), "close")
    assert call("POST", "/v2/messages", MESSAGE).status == 200


def _padded(size: int) -> bytes:
    head = b'{"from": "+18445550001", "to": "+18665550001", "text": "Hello", "ignored": "'
    return head + b"x" * (size - len(head) - 2) + b'"}'


@on_one_database
@pytest.mark.parametrize(("method", "path", "body", "headers", "status"), REFUSALS.values(), ids=REFUSALS)
def test_a_connection_stays_usable_after_a_refusal(
    call: Caller, method: str, path: str, body: object, headers: dict[str, str | None], status: int
) -> None:
    assert call("GET", "/sandbox/clock").status == 200
    before = call.socket
    assert call(method, path, body, headers).status == status
    assert call.send().status == 200
    assert call.socket is before is not None


@on_one_database
@pytest.mark.parametrize(("method", "path", "body", "headers", "status"), REFUSALS.values(), ids=REFUSALS)
def test_each_refusal_has_the_form_of_the_contract(
    call: Caller, method: str, path: str, body: object, headers: dict[str, str | None], status: int
) -> None:
    answer = call(method, path, body, headers)
    assert answer.headers["content-type"] == "application/json"
    assert answer.body.startswith(b'{\n  "errors": [\n    {\n      "code": "')
    error = answer.error
    assert [name for name in error if name != "source"] == ["code", "title", "detail", "meta"]
    assert re.fullmatch(r"\d{5}", error["code"])
    assert error["meta"]["url"] == HELP + error["code"]
    assert error["detail"].endswith(".")


@on_one_database
@pytest.mark.parametrize(
    "path", ["/", "/v2", "/v2/", "/v2/nothing", "/v2/messages/", "/v1/messages", "/v2/v2/messages"]
)
def test_an_unknown_route_is_not_found(call: Caller, path: str) -> None:
    assert call("GET", path).refusal == (404, "10005", "/")


@on_one_database
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v2/messages", "POST"),
        ("PATCH", f"/v2/messages/{NO_SUCH_ID}", "GET, DELETE"),
        ("POST", f"/v2/messages/{NO_SUCH_ID}", "GET, DELETE"),
        ("DELETE", "/v2/messages/schedule", "POST"),
        ("DELETE", "/v2/messaging_profiles", "POST, GET"),
        ("PUT", f"/v2/messages/group/{NO_SUCH_ID}", "GET"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(call: Caller, method: str, path: str, allowed: str) -> None:
    answer = call(method, path)
    assert (answer.refusal, answer.headers["allow"]) == ((405, "10030", None), allowed)


@on_one_database
@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer KEY_x", "Basic S0VZOg==", "KEY_0123456789abcdef_" + "A" * 43],
)
def test_a_missing_or_garbled_key_is_refused(call: Caller, authorization: str | None) -> None:
    answer = call("POST", "/v2/messages", MESSAGE, {"Authorization": authorization})
    assert answer.refusal == (401, "10009", None)


def test_an_unknown_key_and_a_wrong_secret_are_refused_alike(call: Caller) -> None:
    assert call.key is not None
    name, key_id, secret = call.key.split("_", 2)
    unknown = call("GET", "/v2/messaging_profiles", headers={"Authorization": f"Bearer {name}_{'0' * 16}_{secret}"})
    wrong = call("GET", "/v2/messaging_profiles", headers={"Authorization": f"Bearer {name}_{key_id}_{'A' * 43}"})
    assert unknown.refusal == (401, "10009", None)
    assert unknown.body == wrong.body


def test_a_revoked_key_is_refused_from_the_next_request_on(accounts: Accounts) -> None:
    organization, _ = accounts.sandbox()
    key = accounts.key(organization)
    with accounts.caller(key) as holder:
        message = holder.schedule(hours=1)
        accounts.revoke(key)
        assert holder.send().refusal == (401, "20002", None)
        assert holder.cancel(message["id"]).refusal == (401, "20002", None)


def test_the_word_bearer_may_be_written_in_any_case(call: Caller) -> None:
    assert call("GET", "/v2/messaging_profiles", headers={"Authorization": f"bEARER {call.key}"}).status == 200


def test_the_same_is_served_without_the_prefix(call: Caller) -> None:
    message = call.send("/messages/schedule", send_at=call.time(hours=1)).data
    assert call("GET", f"/messages/{message['id']}").body == call("GET", f"/v2/messages/{message['id']}").body
    assert call("DELETE", f"/messages/{message['id']}").json["to"][0]["status"] == "cancelled"


def test_what_was_sent_has_the_keys_of_the_contract_in_their_order(call: Caller) -> None:
    message = call.send().data
    assert list(message)[: len(SENT_KEYS)] == SENT_KEYS
    assert list(message["from"]) == ["phone_number", "carrier", "line_type"]
    assert list(message["to"][0]) == ["phone_number", "status", "carrier", "line_type"]


def test_what_was_sent_is_queued_priced_and_valid_for_an_hour(call: Caller) -> None:
    message = call.send().data
    assert message["to"][0]["status"] == "queued"
    assert message["cost"] == {"amount": "0.0051", "currency": "USD"}
    fee, rate = message["cost_breakdown"]["carrier_fee"], message["cost_breakdown"]["rate"]
    assert (fee["amount"], rate["amount"]) == ("0.00305", "0.00205")
    assert message["valid_until"] == later(message["received_at"], hours=1)


def test_times_are_in_utc_with_milliseconds(call: Caller) -> None:
    message = call.send().data
    call.settle()
    after = call.read(message["id"])
    scheduled = call.schedule(hours=1)
    profiles = call("GET", "/v2/messaging_profiles").data
    told: list[Any] = [message["received_at"], message["valid_until"], after["sent_at"], after["completed_at"]]
    told += [scheduled["send_at"], profiles[0]["created_at"], profiles[0]["updated_at"]]
    assert all(TIME.fullmatch(each) for each in told), told


def test_lists_are_paged_and_bad_pages_are_named(call: Caller) -> None:
    answer = call("GET", "/v2/messaging_profiles?page[size]=1&page[number]=1")
    meta = answer.json["meta"]
    assert list(meta) == ["page_number", "page_size", "total_pages", "total_results"]
    assert (meta["page_size"], len(answer.data)) == (1, 1)
    bad = call("GET", "/v2/messaging_profiles?page[size]=251")
    assert (bad.status, bad.error["source"]) == (400, {"parameter": "page[size]"})


def test_an_unknown_filter_is_named(call: Caller) -> None:
    bad = call("GET", "/v2/messaging_profiles?filter[colour]=red")
    assert (bad.status, bad.error["code"]) == (400, "10031")
    assert bad.error["source"] == {"parameter": "filter[colour]"}


def test_no_answer_names_the_software_behind_it(call: Caller) -> None:
    assert "server" not in call.send().headers


def test_a_refused_body_is_refused_the_same_after_the_accounts_changed(call: Caller) -> None:
    call("POST", "/v2/messaging_profiles", {"name": "Alerts", "whitelisted_destinations": ["US"]})
    assert call("POST", "/v2/messages", b"{").refusal == (400, "10023", "/")


def test_a_nul_in_a_filter_is_refused(call: Caller) -> None:
    answer = call("GET", "/v2/messaging_profiles?filter[name]=a%00b")
    assert (answer.status, answer.error["code"]) == (400, "10031")
