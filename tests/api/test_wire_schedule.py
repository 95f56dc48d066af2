"""The wire of scheduling and cancelling: every form of `send_at`, the cut-off, and the cancel page to the byte."""

import json
from datetime import timedelta, timezone
from typing import Any

import pytest

from tests.api.conftest import on_one_database
from tests.wire import MESSAGE, NO_SUCH_ID, SHORT_CODE, TO, Accounts, Answer, Caller, as_datetime, later

CANCEL_PAGE = json.loads("""
{
  "record_type": "message",
  "direction": "outbound",
  "id": "40385f64-5717-4562-b3fc-2c963f66afa6",
  "type": "SMS",
  "messaging_profile_id": "4000eba1-a0c0-4563-9925-b25e842a7cb6",
  "organization_id": "b448f9cc-a842-4784-98e9-03c1a5872950",
  "from": {
    "phone_number": "+18445550001",
    "carrier": "TELNYX LLC",
    "line_type": "VoIP"
  },
  "to": [
    {
      "phone_number": "+18665550001",
      "status": "cancelled",
      "carrier": "T-MOBILE USA, INC.",
      "line_type": "Wireless"
    }
  ],
  "cc": [],
  "text": "Hello, World!",
  "subject": "From Telnyx!",
  "media": [],
  "webhook_url": "https://www.example.com/hooks",
  "webhook_failover_url": "https://backup.example.com/hooks",
  "encoding": "GSM-7",
  "parts": 1,
  "tags": [
    "Greetings"
  ],
  "cost": {
    "amount": 0,
    "currency": null
  },
  "cost_breakdown": null,
  "tcr_campaign_id": "TCPA3X7",
  "tcr_campaign_billable": true,
  "tcr_campaign_registered": "REGISTERED",
  "received_at": "2019-01-23T18:10:02.574Z",
  "sent_at": null,
  "completed_at": null,
  "valid_until": null,
  "errors": []
}
""")
NOT_OURS_TO_CHOOSE = {"id", "messaging_profile_id", "organization_id", "from", "to", "received_at"}

BOTH = pytest.mark.parametrize("path", ["/v2/messages", "/v2/messages/schedule"])
TRIES = 5


def page_message(accounts: Accounts, call: Caller) -> Any:
    """The message of the cancel page, while it is still scheduled."""
    _, profile = accounts.sandbox()
    sender = accounts.sender(profile, tags=("Greetings",), campaign="TCPA3X7")
    chosen = {name: CANCEL_PAGE[name] for name in ("text", "subject", "webhook_url", "webhook_failover_url")}
    return call.send("/v2/messages/schedule", from_=sender, send_at=call.time(hours=1), **chosen).data


@on_one_database
@BOTH
@pytest.mark.parametrize("ahead", [{"hours": -1}, {"seconds": 0}, {"minutes": 4, "seconds": 59}])
def test_a_time_that_is_too_early_is_refused_with_the_bound(call: Caller, path: str, ahead: dict[str, float]) -> None:
    answer = call.send(path, send_at=call.time(**ahead))
    assert answer.refusal == (400, "10033", "/send_at")
    assert "at least 5 minutes after the request" in answer.error["detail"]
    assert answer.error["meta"]["earliest"] in answer.error["detail"]


@BOTH
@pytest.mark.parametrize("ahead", [{"days": 5, "seconds": 10}, {"days": 400}])
def test_a_time_that_is_too_late_is_refused_with_the_bound(call: Caller, path: str, ahead: dict[str, float]) -> None:
    answer = call.send(path, send_at=call.time(**ahead))
    assert answer.refusal == (400, "10033", "/send_at")
    assert "at most 5 days after the request" in answer.error["detail"]
    assert answer.error["meta"]["latest"] in answer.error["detail"]


def test_the_bounds_are_those_of_the_moment_of_the_request(call: Caller) -> None:
    before = call.time()
    meta = call.send(send_at=before).error["meta"]
    assert later(before, minutes=5) <= meta["earliest"] <= later(call.time(), minutes=5)
    assert meta["latest"] == later(meta["earliest"], days=5, minutes=-5)


@BOTH
@pytest.mark.parametrize("ahead", [{"minutes": 5, "seconds": 5}, {"days": 5}])
def test_a_time_at_a_bound_is_taken(call: Caller, path: str, ahead: dict[str, float]) -> None:
    send_at = call.time(**ahead)
    message = call.send(path, send_at=send_at).data
    assert (message["to"][0]["status"], message["send_at"]) == ("scheduled", send_at)


@on_one_database
@BOTH
@pytest.mark.parametrize("offset", [None, 0, -8, 5.75])
def test_one_moment_is_taken_in_every_zone_and_told_in_utc(call: Caller, path: str, offset: float | None) -> None:
    wanted = as_datetime(call.time(hours=1)).replace(second=0, microsecond=0)
    written = wanted if offset is None else wanted.astimezone(timezone(timedelta(hours=offset)))
    message = call.send(path, send_at=written.isoformat().replace("+00:00", "Z" if offset is None else "+00:00")).data
    assert message["send_at"] == f"{wanted:%Y-%m-%dT%H:%M}:00.000Z"


@on_one_database
@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:00", "%Y-%m-%dT%H:%M:00.000"])
@pytest.mark.parametrize("zone", ["Z", "-00", "-0000", "-00:00"])
def test_every_documented_form_of_a_time_is_taken(call: Caller, form: str, zone: str) -> None:
    wanted = as_datetime(call.time(hours=1))
    message = call.send(send_at=wanted.strftime(form) + zone).data
    assert message["send_at"] == f"{wanted:%Y-%m-%dT%H:%M}:00.000Z"


@on_one_database
@BOTH
@pytest.mark.parametrize("text", ["tomorrow", "", " ", "2026-13-01T00:00:00Z", "2026-12-24", "1795430400", "12:00Z"])
def test_a_time_that_cannot_be_read_is_refused(call: Caller, path: str, text: str) -> None:
    answer = call.send(path, send_at=text)
    assert answer.refusal == (400, "10015", "/send_at")
    assert "ISO 8601" in answer.error["detail"]


@BOTH
def test_a_time_without_a_zone_is_refused_and_not_guessed(call: Caller, path: str) -> None:
    answer = call.send(path, send_at=call.time(hours=1).removesuffix("Z"))
    assert answer.refusal == (400, "10015", "/send_at")
    assert "no time zone" in answer.error["detail"]


@on_one_database
@BOTH
@pytest.mark.parametrize("value", [1795430400, 1795430400.5, True, ["2026-12-24T00:00:00Z"], {}])
def test_a_time_that_is_no_text_is_refused(call: Caller, path: str, value: object) -> None:
    assert call.send(path, send_at=value).refusal == (400, "10026", "/send_at")


def test_null_in_place_of_a_time_sends_at_once(call: Caller) -> None:
    message = call("POST", "/v2/messages", {**MESSAGE, "send_at": None}).data
    assert message["to"][0]["status"] == "queued"
    assert "send_at" not in message


@pytest.mark.parametrize("fields", [{}, {"send_at": None}])
def test_scheduling_without_a_time_is_refused_and_not_sent_at_once(call: Caller, fields: dict[str, object]) -> None:
    answer = call("POST", "/v2/messages/schedule", {**MESSAGE, **fields})
    assert answer.refusal == (400, "10004", "/send_at")


@on_one_database
@pytest.mark.parametrize(
    ("endpoint", "fields"),
    [
        ("long_code", {}),
        ("short_code", {"from": SHORT_CODE}),
        ("number_pool", {"messaging_profile_id": NO_SUCH_ID}),
        ("group_mms", {"to": [TO]}),
        ("alphanumeric_sender_id", {"from": "Heliograph", "messaging_profile_id": NO_SUCH_ID}),
    ],
)
def test_a_time_where_none_is_possible_is_refused_and_not_ignored(
    call: Caller, endpoint: str, fields: dict[str, object]
) -> None:
    body = {**MESSAGE, **fields, "send_at": call.time(hours=1)}
    assert call("POST", f"/v2/messages/{endpoint}", body).refusal == (400, "10015", "/send_at")


def test_a_scheduled_message_is_not_priced_yet(call: Caller) -> None:
    message = call.schedule(hours=1)
    assert [message[name] for name in ("cost", "cost_breakdown", "sent_at", "completed_at")] == [None] * 4


def test_a_cancelled_message_is_the_one_of_the_cancel_page(accounts: Accounts, call: Caller) -> None:
    scheduled = page_message(accounts, call)
    cancelled = call.cancel(scheduled["id"]).json
    page = {name: value for name, value in CANCEL_PAGE.items() if name not in NOT_OURS_TO_CHOOSE}
    assert {name: cancelled[name] for name in page} == page
    copied = NOT_OURS_TO_CHOOSE - {"to"}
    assert {name: cancelled[name] for name in copied} == {name: scheduled[name] for name in copied}
    assert cancelled["to"] == [{**scheduled["to"][0], "status": "cancelled"}]


def test_a_cancelled_message_has_the_keys_of_the_cancel_page_in_its_order(accounts: Accounts, call: Caller) -> None:
    cancelled = call.cancel(page_message(accounts, call)["id"]).json
    assert list(cancelled)[: len(CANCEL_PAGE)] == list(CANCEL_PAGE)
    for inner in ("from", "cost"):
        assert list(cancelled[inner]) == list(CANCEL_PAGE[inner])
    assert list(cancelled["to"][0]) == list(CANCEL_PAGE["to"][0])


def test_what_the_cancel_page_leaves_null_is_there_too(call: Caller) -> None:
    cancelled = call.cancel(call.schedule(hours=1)["id"]).json
    assert list(cancelled)[: len(CANCEL_PAGE)] == list(CANCEL_PAGE)
    empty = ("subject", "webhook_url", "webhook_failover_url", "tcr_campaign_id", "tcr_campaign_registered")
    assert [cancelled[name] for name in empty] == [None] * 5


def test_the_cost_of_a_cancelled_message_is_that_of_the_cancel_page_to_the_byte(call: Caller) -> None:
    body = call.cancel(call.schedule(hours=1)["id"]).body
    assert b'"cost":{"amount":0,"currency":null},"cost_breakdown":null,' in body


def test_a_cancel_repeated_is_answered_to_the_byte_even_after_the_time_is_over(call: Caller) -> None:
    message = call.schedule(hours=1)
    first = call.cancel(message["id"])
    at_once = call.cancel(message["id"])
    call.advance_to(later(message["send_at"], days=1))
    assert first.status == 200
    assert first.body == at_once.body == call.cancel(message["id"]).body


def test_a_cancelled_mms_keeps_its_media(call: Caller) -> None:
    urls = ["https://example.com/cat.png"]
    message = call.send(send_at=call.time(hours=1), media_urls=urls, subject="A cat").data
    cancelled = call.cancel(message["id"]).json
    assert (cancelled["type"], cancelled["subject"]) == ("MMS", "A cat")
    assert cancelled["media"] == [{"url": urls[0], "content_type": None, "sha256": None, "size": None}]


def test_an_id_may_be_written_in_capitals(call: Caller) -> None:
    message = call.schedule(hours=1)
    assert call.read(message["id"].upper())["id"] == message["id"]
    assert call.cancel(message["id"].upper()).json["id"] == message["id"]


def _cancel_when_left(call: Caller, seconds: float, still: float) -> tuple[Any, Answer]:
    """Cancel a message that far from its time.

    The clock runs on meanwhile: a try only counts if less than `still` seconds had not been reached when it was over.
    """
    for _ in range(TRIES):
        message = call.schedule(minutes=10)
        call.advance_to(later(message["send_at"], seconds=-seconds))
        answer = call.cancel(message["id"])
        if call.time(seconds=still) < message["send_at"]:
            return message, answer
    raise AssertionError("this machine is too slow to tell")


def test_a_message_more_than_a_minute_from_its_time_can_be_cancelled(call: Caller) -> None:
    message, answer = _cancel_when_left(call, 60.5, still=60)
    assert (answer.status, answer.json["id"]) == (200, message["id"])


def test_a_message_less_than_a_minute_from_its_time_cannot_be_cancelled(call: Caller) -> None:
    message, answer = _cancel_when_left(call, 59, still=0)
    assert answer.refusal == (403, "10035", None)
    assert answer.error["meta"]["status"] == "scheduled"
    assert answer.error["meta"]["send_at"] == message["send_at"]
    assert "more than 1 minute" in answer.error["detail"]


def test_a_message_whose_cancel_was_refused_is_sent(call: Caller) -> None:
    message, answer = _cancel_when_left(call, 59, still=0)
    call.advance_to(message["send_at"])
    assert (answer.status, call.read(message["id"])["to"][0]["status"]) == (403, "delivered")


def test_a_message_that_left_cannot_be_cancelled(call: Caller) -> None:
    message = call.schedule(hours=1)
    call.advance_to(message["send_at"])
    answer = call.cancel(message["id"])
    assert answer.refusal == (403, "10035", None)
    meta = answer.error["meta"]
    assert (meta["status"], meta["send_at"]) == ("delivered", message["send_at"])


def test_a_message_that_was_not_scheduled_cannot_be_cancelled(call: Caller) -> None:
    message = call.send().data
    call.settle()
    answer = call.cancel(message["id"])
    assert answer.refusal == (403, "10035", None)
    assert (answer.error["meta"]["status"], answer.error["meta"]["send_at"]) == ("delivered", None)


@pytest.mark.parametrize("message_id", [NO_SUCH_ID, "1", "no-id", NO_SUCH_ID.replace("-", ""), "%00", "%2e%2e"])
@pytest.mark.parametrize("method", ["DELETE", "GET"])
def test_an_id_that_does_not_exist_is_not_found(call: Caller, method: str, message_id: str) -> None:
    assert call(method, f"/v2/messages/{message_id}").refusal == (404, "10005", "/id")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/v2/messages/{}"),
        ("GET", "/v2/messages/{}"),
        ("GET", "/v2/messages/{}/timeline"),
        ("GET", "/v2/messages/group/{}"),
    ],
)
def test_another_organisations_message_looks_like_none(call: Caller, stranger: Caller, method: str, path: str) -> None:
    theirs = call.schedule(hours=1)["id"]
    answer = stranger(method, path.format(theirs))
    none = stranger(method, path.format(NO_SUCH_ID))
    assert answer.status == none.status == 404
    assert answer.body == none.body.replace(NO_SUCH_ID.encode(), theirs.encode())
    assert call.read(theirs)["to"][0]["status"] == "scheduled"
