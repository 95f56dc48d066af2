"""`/messaging_numbers_bulk_updates` over HTTP: a job that puts numbers on a profile."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from tests.api.conftest import on_one_database
from tests.wire import NO_SUCH_ID, Accounts, Caller

BULK = "/v2/messaging_numbers_bulk_updates"
_FREE = count(1000)


@pytest.fixture
def owner(accounts: Accounts) -> Iterator[Caller]:
    """Somebody of an organisation without anything."""
    with accounts.caller(accounts.key(accounts.organization())) as caller:
        yield caller


def profile_of(owner: Caller) -> str:
    body = {"name": "Mine", "whitelisted_destinations": ["*"]}
    return str(owner("POST", "/v2/messaging_profiles", body).data["id"])


def add(owner: Caller) -> str:
    body = {"phone_number": f"+1712555{next(_FREE):04d}", "tags": ["a"]}
    return str(owner("POST", "/v2/phone_numbers/messaging", body).data["phone_number"])


def profile_and_tags(owner: Caller, number: str) -> tuple[str | None, list[str]]:
    found = owner("GET", f"/v2/phone_numbers/{number}/messaging").data
    return found["messaging_profile_id"], found["tags"]


def test_numbers_are_put_on_a_profile_and_taken_from_it(owner: Caller, stranger: Caller, call: Caller) -> None:
    profile_id, numbers, foreign = profile_of(owner), [add(owner) for _ in range(3)], add(stranger)
    unknown = [foreign, "+13125559999", "nope", "a\0b"]
    for target, kept in ((profile_id, profile_id), ("", None)):
        wanted = {"messaging_profile_id": target, "numbers": [*numbers, *unknown, numbers[0]], "assign_only": True}
        begun = owner("POST", BULK, wanted).data
        pending = [*numbers, *unknown]
        assert begun.items() >= {"record_type": "messaging_numbers_bulk_update", "pending": pending}.items()
        assert (begun["success"], begun["failed"]) == ([], [])
        call.settle()
        ended = owner("GET", f"{BULK}/{begun['order_id']}").data
        assert ended == {**begun, "success": numbers, "pending": [], "failed": unknown}
        assert [profile_and_tags(owner, each) for each in numbers] == [(kept, ["a"])] * 3
        assert owner.send(from_=numbers[0]).status == (200 if kept else 400)
    assert profile_and_tags(stranger, foreign) == (None, ["a"])


@on_one_database
@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ({"messaging_profile_id": None}, 400, "10004", "/messaging_profile_id"),
        ({"messaging_profile_id": NO_SUCH_ID}, 422, "10017", "/messaging_profile_id"),
        ({"numbers": None}, 400, "10004", "/numbers"),
        ({"numbers": []}, 400, "10004", "/numbers"),
        ({"numbers": "+13125550100"}, 400, "10026", "/numbers"),
        ({"numbers": ["+13125550100", "1" * 33]}, 400, "10025", "/numbers/1"),
        ({"assign_only": "yes"}, 400, "10026", "/assign_only"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_bad_wish_is_refused(call: Caller, body: dict[str, Any], status: int, code: str, pointer: str) -> None:
    whole = {"messaging_profile_id": "", "numbers": ["+13125550100"], **body}
    assert call("POST", BULK, whole).refusal == (status, code, pointer)


def test_the_profile_and_the_job_of_another_organisation_do_not_exist(owner: Caller, stranger: Caller) -> None:
    number, profile_id = add(owner), profile_of(owner)
    foreign = stranger("POST", BULK, {"messaging_profile_id": profile_id, "numbers": [number]})
    assert foreign.refusal == (422, "10017", "/messaging_profile_id")
    job = owner("POST", BULK, {"messaging_profile_id": profile_id, "numbers": [number]}).data
    for who, order_id in ((stranger, job["order_id"]), (owner, NO_SUCH_ID), (owner, "nope")):
        assert who("GET", f"{BULK}/{order_id}").refusal == (404, "10005", "/order_id")
