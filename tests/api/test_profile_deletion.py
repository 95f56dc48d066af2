"""A profile that is deleted, and one that is given a new secret."""

from collections.abc import Iterator
from typing import Any

import pytest

from heliograph.domain.accounts import NumberPool
from heliograph.webhooks.signing import signed_headers_v1
from tests.webhook_receiver import Receiver
from tests.wire import NO_SUCH_ID, Accounts, Caller

PROFILES = "/v2/messaging_profiles"
HANDSET = "+13125559001"
PATHS = ("", "/phone_numbers", "/short_codes", "/alphanumeric_sender_ids", "/autoresp_configs")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


@pytest.fixture
def profile(call: Caller) -> Any:
    """A profile of the sandbox with a pool and nothing on it yet."""
    pool = {"long_code_weight": 1, "toll_free_weight": 1, "skip_unhealthy": False}
    body = {"name": "Short-lived", "whitelisted_destinations": ["*"], "number_pool_settings": pool}
    return call("POST", PROFILES, body).data


def deleted(call: Caller, profile: Any) -> Any:
    return call("DELETE", f"{PROFILES}/{profile['id']}").data


def number_on(call: Caller, accounts: Accounts, profile: Any) -> str:
    number = accounts.sender(accounts.profile(accounts.sandbox()[0]))
    call("PATCH", f"/v2/phone_numbers/{number}/messaging", {"messaging_profile_id": profile["id"]})
    return number


def test_a_deleted_profile_is_answered_as_it_was_and_is_nowhere(call: Caller, profile: Any) -> None:
    assert deleted(call, profile) == profile
    for path in PATHS:
        assert call("GET", f"{PROFILES}/{profile['id']}{path}").status == 404
    assert profile["id"] not in [each["id"] for each in call("GET", f"{PROFILES}?page[size]=250").data]
    for method, path, body in (
        ("DELETE", "", None),
        ("PATCH", "", {"name": "Back"}),
        ("POST", "/actions/regenerate_secret", None),
    ):
        assert call(method, f"{PROFILES}/{profile['id']}{path}", body).refusal == (404, "10005", "/id")


def test_its_name_can_be_given_again(call: Caller, profile: Any) -> None:
    deleted(call, profile)
    again = call("POST", PROFILES, {"name": profile["name"], "whitelisted_destinations": ["*"]}).data
    assert again["id"] != profile["id"]


def test_its_numbers_are_left_without_a_profile_and_its_names_go(
    call: Caller, accounts: Accounts, profile: Any
) -> None:
    number = number_on(call, accounts, profile)
    named = {"alphanumeric_sender_id": "Acme", "messaging_profile_id": profile["id"]}
    name = call("POST", "/v2/alphanumeric_sender_ids", named).json["data"]
    assert call.send(from_=number).status == 200
    deleted(call, profile)
    assert call("GET", f"/v2/phone_numbers/{number}/messaging").data["messaging_profile_id"] is None
    assert call("GET", f"/v2/alphanumeric_sender_ids/{name['id']}").status == 404
    assert call.send(from_=number).refusal == (400, "40305", "/from")
    pool = {"from_": None, "messaging_profile_id": profile["id"]}
    assert call.send(**pool).refusal == (422, "10017", "/messaging_profile_id")
    written = call("POST", f"/sandbox/handsets/%2B{HANDSET[1:]}/messages", {"to": number, "text": "Hello?"})
    assert written.error["code"] == "40310"


def test_what_was_accepted_under_it_is_sent_and_reported(
    call: Caller, accounts: Accounts, receiver: Receiver, profile: Any
) -> None:
    call("PATCH", f"{PROFILES}/{profile['id']}", {"webhook_url": receiver.url("/hook")})
    number = number_on(call, accounts, profile)
    message = call.send("/v2/messages/schedule", from_=number, to=HANDSET, send_at=call.time(minutes=10)).data
    deleted(call, profile)
    call.advance_to(call.time(minutes=11))
    assert call.read(message["id"])["to"][0]["status"] == "delivered"
    assert message["id"] in [each["message_id"] for each in call.handset(HANDSET)]
    events = [each.data for each in receiver.told]
    # In either order: they are delivered side by side (Contract 3.6).
    assert sorted(each["event_type"] for each in events if each["payload"]["id"] == message["id"]) == [
        "message.finalized",
        "message.sent",
    ]


def test_a_scheduled_message_of_a_deleted_profile_can_be_cancelled(
    call: Caller, accounts: Accounts, profile: Any
) -> None:
    message = call.send(
        "/v2/messages/schedule", from_=number_on(call, accounts, profile), send_at=call.time(hours=1)
    ).data
    deleted(call, profile)
    assert call.cancel(message["id"]).json["to"][0]["status"] == "cancelled"


def test_a_profile_of_another_organisation_is_neither_deleted_nor_given_a_secret(
    call: Caller, stranger: Caller, profile: Any
) -> None:
    path = f"{PROFILES}/{profile['id']}"
    for one in (path, f"{PROFILES}/{NO_SUCH_ID}", f"{PROFILES}/nope"):
        assert stranger("DELETE", one).refusal == (404, "10005", "/id")
        assert stranger("POST", f"{one}/actions/regenerate_secret").refusal == (404, "10005", "/id")
    assert call("GET", path).data == profile


def test_a_new_secret_takes_the_place_of_the_old_one_and_nothing_else_changes(call: Caller, profile: Any) -> None:
    path = f"{PROFILES}/{profile['id']}"
    after = call("POST", f"{path}/actions/regenerate_secret").data
    assert call("GET", path).data == after
    assert after["v1_secret"] != profile["v1_secret"]
    assert len(after["v1_secret"]) >= 32
    own = {"v1_secret", "updated_at"}
    assert {n: v for n, v in after.items() if n not in own} == {n: v for n, v in profile.items() if n not in own}


def test_events_of_version_1_are_signed_with_the_new_secret(
    call: Caller, accounts: Accounts, receiver: Receiver
) -> None:
    profile = accounts.profile(
        accounts.sandbox()[0],
        webhook_url=receiver.url("/hook"),
        webhook_api_version="1",
        v1_secret="old",
        number_pool_settings=NumberPool(1, 1, skip_unhealthy=False),
    )
    number = accounts.sender(profile)
    secret = call("POST", f"{PROFILES}/{profile.id}/actions/regenerate_secret").data["v1_secret"]
    call("POST", f"/sandbox/handsets/%2B{HANDSET[1:]}/messages", {"to": number, "text": "Hello!"})
    call.settle()
    (told,) = receiver.told
    signature = told.headers["x-telnyx-signature"]
    seconds = int(signature.partition(",")[0].removeprefix("t="))
    assert signature == signed_headers_v1(secret, seconds, told.body)["X-Telnyx-Signature"]
