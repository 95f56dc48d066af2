"""What handsets of B write to A's customer, and people who opt out."""

from typing import Any

from heliograph.domain.consent import DEFAULT_REPLIES
from heliograph.domain.inbound import Operation
from tests.chained.conftest import Pair
from tests.chained.pair import of_message
from tests.wire import TOLL_FREE

STOPPED = DEFAULT_REPLIES[Operation.STOP]


def test_a_message_from_a_handset_comes_to_the_customer(pair: Pair, person: str) -> None:
    pair.b.writes(person, "On my way, see you at 8")
    told = pair.a.customer.received("On my way, see you at 8")
    assert (told["from"]["phone_number"], told["to"][0]["phone_number"]) == (person, TOLL_FREE)
    assert told["messaging_profile_id"] == pair.a.profile_id
    assert pair.a.call.read(told["id"])["text"] == "On my way, see you at 8"


def test_it_is_signed_by_us(pair: Pair, person: str) -> None:
    pair.b.writes(person, "Who signs this?")
    told = pair.a.customer.received("Who signs this?")
    pair.a.verifies(pair.a.customer.event("message.received", of_message(told["id"])))


def test_a_long_text_comes_whole_and_with_its_parts(pair: Pair, person: str) -> None:
    text = f"{person} пишет: " + "много слов. " * 20
    pair.b.writes(person, text)
    told = pair.a.customer.received(text)
    assert (told["encoding"], told["parts"]) == ("UCS-2", 4)


def test_an_mms_comes_with_its_media(pair: Pair, person: str) -> None:
    pair.b.writes(person, "Look!", media_urls=["https://example.com/cat.png"], subject="A cat")
    told = pair.a.customer.received("Look!")
    assert (told["type"], told["subject"]) == ("MMS", "A cat")
    assert [each["url"] for each in told["media"]] == ["https://example.com/cat.png"]


def test_a_stop_counts_with_us_and_calls_off_what_waits(pair: Pair, person: str) -> None:
    waiting = pair.a.schedules(person, hours=1)
    stop(pair, person)
    assert pair.a.end(waiting) == ("cancelled", "40300")
    assert pair.a.call.send(to=person).refusal == (409, "40300", "/to")


def test_a_stop_is_confirmed_once(pair: Pair, person: str) -> None:
    """B heard it too, and confirms it itself: it lets no answer of A's through."""
    stop(pair, person)
    answer = pair.a.customer.event("message.finalized", lambda payload: payload["to"][0]["phone_number"] == person)
    payload: Any = answer.data["payload"]
    assert (payload["text"], payload["to"][0]["status"]) == (STOPPED, "sending_failed")
    assert [each["code"] for each in payload["errors"]] == ["40300"]
    assert [each["text"] for each in pair.b.handset(person)] == [STOPPED]


def test_a_start_lets_messages_through_again(pair: Pair, person: str) -> None:
    stop(pair, person)
    pair.b.writes(person, "START")
    about = (person, "START")
    pair.a.customer.event(
        "message.received", lambda payload: (payload["from"]["phone_number"], payload["text"]) == about
    )
    assert pair.a.end(pair.a.sends(person, "Welcome back")) == ("delivered", "")


def stop(pair: Pair, person: str) -> None:
    """Somebody writes STOP, and A has heard it."""
    pair.b.writes(person, "STOP")
    about = (person, "STOP")
    pair.a.customer.event(
        "message.received", lambda payload: (payload["from"]["phone_number"], payload["text"]) == about
    )
