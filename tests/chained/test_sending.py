"""What a customer of A sends, by way of B, to a handset: now, later, never."""

import pytest

from heliograph.carriers.webhooks import NotVerified
from heliograph.domain.instant import parse
from tests.chained.conftest import Pair
from tests.chained.pair import of_message

UNREACHABLE = "+15005550001"
REFUSED = "+15005550003"


def test_a_message_arrives_and_its_receipt_comes_back(pair: Pair, person: str) -> None:
    message = pair.a.sends(person, "Your table is ready.")
    assert pair.a.end(message) == ("delivered", "")
    (arrived,) = pair.b.handset(person)
    assert (arrived["text"], arrived["from"]) == ("Your table is ready.", "+18445550001")


@pytest.mark.parametrize(
    ("text", "parts", "encoding"),
    [("a" * 200, 2, "GSM-7"), ("Grüße, Привет!", 1, "UCS-2"), ("Привет, " * 20, 3, "UCS-2"), ("{}" * 90, 3, "GSM-7")],
)
def test_both_make_the_same_parts_of_a_text(pair: Pair, person: str, text: str, parts: int, encoding: str) -> None:
    message = pair.a.ends(pair.a.sends(person, text))
    (arrived,) = pair.b.handset(person)
    assert (message["parts"], message["encoding"]) == (parts, encoding)
    assert (arrived["text"], len(arrived["segments"])) == (text, parts)


def test_a_receipt_that_says_no_brings_the_error_along(pair: Pair) -> None:
    message = pair.a.ends(pair.a.sends(UNREACHABLE))
    assert message["to"][0]["status"] == "delivery_failed"
    (error,) = message["errors"]
    assert error["code"] == "40001"
    assert error["detail"].endswith("The destination is a landline or cannot be reached.")


def test_what_their_carrier_refuses_has_failed_with_its_error(pair: Pair) -> None:
    message = pair.a.sends(REFUSED)
    assert pair.a.end(message) == ("delivery_failed", "40008")
    assert pair.b.handset(REFUSED) == []


def test_a_cancelled_message_never_gets_to_them(pair: Pair, person: str) -> None:
    regretted = pair.a.schedules(person, "Regretted", seconds=3)
    meant = pair.a.schedules(person, "Meant", seconds=3.2)
    assert pair.a.call.cancel(regretted).status == 200
    assert pair.a.end(meant) == ("delivered", "")
    assert [each["text"] for each in pair.b.handset(person)] == ["Meant"]
    assert pair.a.status(regretted) == "cancelled"


def test_a_scheduled_message_is_never_early(pair: Pair, person: str) -> None:
    message = pair.a.ends(pair.a.schedules(person, seconds=1))
    (arrived,) = pair.b.handset(person)
    assert parse(arrived["arrived_at"]) >= parse(message["send_at"])


def test_a_message_that_has_left_cannot_be_cancelled(pair: Pair, person: str) -> None:
    message = pair.a.sends(person)
    pair.a.ends(message)
    assert pair.a.call.cancel(message).refusal[:2] == (403, "10035")


def test_the_customer_hears_of_it_from_us_and_not_from_them(pair: Pair, person: str) -> None:
    message = pair.a.sends(person)
    for kind in ("message.sent", "message.finalized"):
        told = pair.a.customer.event(kind, of_message(message))
        pair.a.verifies(told)
        with pytest.raises(NotVerified):
            pair.a.verifies(told, pair.b.ready["webhook_public_key"])
        assert pair.a.customer.count(kind, message) == 1


def test_many_at_once_each_arrive_once(pair: Pair, person: str) -> None:
    messages = {pair.a.sends(person, f"Number {number}"): f"Number {number}" for number in range(30)}
    assert {pair.a.end(message) for message in messages} == {("delivered", "")}
    assert sorted(each["text"] for each in pair.b.handset(person)) == sorted(messages.values())
