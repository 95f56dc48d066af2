"""What is hidden of the messages of a profile with redaction on."""

from typing import Any

import msgspec
import pytest

from heliograph.bodies import click_payload, inbound_body, message_body, webhook
from heliograph.domain.accounts import ProfileSettings
from heliograph.domain.events import EventType
from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.inbound import InboundFacts, InboundMessage
from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import FINAL, Status
from heliograph.domain.message import Facts, Media, MessageType
from heliograph.domain.outcome import opted_out
from heliograph.domain.redaction import hide_numbers, redacted, redacted_event, redacted_inbound
from heliograph.domain.text import Encoding
from heliograph.webhooks.payload import inbound_record_of, record_of
from tests.domain.messages import a_message

WHOLE = ProfileSettings()
ON = ProfileSettings(redaction_enabled=True)
NUMBERS_ONLY = ProfileSettings(redaction_enabled=True, redaction_level=1)
SECRETS = ("meet me", "secret subject", "cat.png", "550001")
MMS = a_message(
    type=MessageType.MMS,
    status=Status.DELIVERED,
    sender="+13125559999",
    text="meet me",
    facts=Facts(
        Encoding.GSM7,
        7,
        body="meet me",
        subject="secret subject",
        media=(Media("https://example.com/cat.png"),),
    ),
    fetched=(Media("https://example.com/cat.png", "image/png"),),
    errors=(opted_out("+13125559999", "+18665550001"),),
)
CAME = InboundMessage(
    id=MessageId("m1"),
    organization_id=OrganizationId("o1"),
    profile_id=ProfileId("p1"),
    type=MessageType.MMS,
    sender="+18665550001",
    recipient="+13125559999",
    text="meet me",
    parts=1,
    received_at=Instant(0),
    carrier="sandbox",
    facts=InboundFacts(Encoding.GSM7, 7, "secret subject", (Media("https://example.com/cat.png"),)),
)


def told(body: object) -> str:
    return msgspec.json.encode(body).decode()


def found(text: str) -> list[str]:
    return [each for each in SECRETS if each in text]


def test_nothing_is_hidden_unless_it_is_asked_for() -> None:
    assert redacted(MMS, WHOLE) is MMS
    assert redacted(MMS, None) is MMS
    assert redacted_inbound(CAME, WHOLE) is CAME


def test_no_secret_of_a_final_message_is_left() -> None:
    shown = message_body([redacted(MMS, ON)])
    assert found(told(message_body([MMS]))) == list(SECRETS)
    assert found(told(shown)) == []
    assert (shown.text, shown.to[0].phone_number, shown.sender.phone_number) == ("****", "+18665****", "+13125559999")


@pytest.mark.parametrize("status", [each for each in Status if each not in FINAL])
def test_a_message_under_way_is_shown_whole(status: Status) -> None:
    under_way = msgspec.structs.replace(MMS, status=status)
    assert redacted(under_way, ON) is under_way


def test_the_first_level_hides_numbers_alone() -> None:
    assert found(told(message_body([redacted(MMS, NUMBERS_ONLY)]))) == ["meet me", "secret subject", "cat.png"]
    assert found(told(inbound_body(redacted_inbound(CAME, NUMBERS_ONLY)))) == ["meet me", "secret subject", "cat.png"]


def test_no_secret_of_a_message_that_came_in_is_left() -> None:
    shown = inbound_body(redacted_inbound(CAME, ON))
    assert found(told(shown)) == []
    assert (shown.sender.phone_number, shown.to[0].phone_number) == ("+18665****", "+13125559999")


@pytest.mark.parametrize("payload", [message_body([MMS]), inbound_body(CAME)], ids=["sent", "received"])
def test_no_secret_of_a_recorded_event_is_left(payload: Any) -> None:
    event = msgspec.json.decode(webhook("e1", EventType.FINALIZED, Instant(0), payload))
    assert found(told(redacted_event(event, ON))) == []
    assert redacted_event(event, WHOLE) is event


def test_of_a_recorded_click_the_person_and_the_link_are_hidden() -> None:
    said = click_payload(MMS.id, "+18665550001", "https://e.com/cat.png", Instant(0))
    click = msgspec.json.decode(webhook("e1", EventType.LINK_CLICKED, Instant(0), said))
    assert found(told(click)) != []
    assert found(told(redacted_event(click, ON))) == []


def test_numbers_within_a_sentence_are_hidden() -> None:
    assert hide_numbers("+13125559999 may not message +18665550001.") == "+13125**** may not message +18665****."


def test_an_event_of_a_profile_stays_as_it_is() -> None:
    event = {"event_type": "x", "payload": {"configured_limit": "1", "current_cost": "1", "profile_id": "p"}}
    assert redacted_event(event, ON) == event


def test_no_secret_of_a_record_of_version_1_is_left() -> None:
    for record in (record_of(MMS, EventType.FINALIZED, Instant(0)), inbound_record_of(CAME)):
        kept = msgspec.json.decode(record)
        assert found(told(kept)) != []
        assert found(told(redacted_event(kept, ON))) == []
        assert redacted_event(kept, WHOLE) is kept
