"""Messages as callers and webhooks are shown them: what the tests of the API cannot see."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from heliograph.api.shapes import cancelled_body
from heliograph.bodies import inbound_body, message_body
from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.inbound import InboundFacts, InboundMessage, Operation
from heliograph.domain.instant import HOUR, Instant, parse
from heliograph.domain.lifecycle import Status
from heliograph.domain.message import Facts, Media, Message, MessageType
from heliograph.domain.outcome import opted_out
from heliograph.domain.text import Encoding

AT = parse("2026-11-23T10:00:00.250Z")
ORGANIZATION = OrganizationId("00000000-0000-7000-8000-000000000001")
PROFILE = ProfileId("00000000-0000-7000-8000-000000000002")
US, PERSON, OTHER = "+18445550001", "+18665550001", "+18665550002"
STOPPED = opted_out(US, PERSON)
CAT = Media("https://media.example.com/cat.png", "image/png", "9f86d081884c7d659a2feaa0c55ad015", 48_211)

OUTBOUND = Message(
    id=MessageId("00000000-0000-7000-8000-00000000000a"),
    organization_id=ORGANIZATION,
    profile_id=PROFILE,
    type=MessageType.SMS,
    status=Status.QUEUED,
    sender=US,
    recipient=PERSON,
    text="Hello, World!",
    parts=1,
    rate=205,
    carrier_fee=305,
    received_at=AT,
    send_at=None,
    valid_until=Instant(AT + HOUR),
    facts=Facts(
        Encoding.GSM7,
        13,
        tags=("Greetings",),
        from_carrier="TELNYX LLC",
        from_line_type="VoIP",
        to_carrier="T-MOBILE USA, INC.",
        to_line_type="Wireless",
    ),
    due_at=AT,
)

INBOUND = InboundMessage(
    id=MessageId("00000000-0000-7000-8000-00000000000b"),
    organization_id=ORGANIZATION,
    profile_id=PROFILE,
    type=MessageType.SMS,
    sender=PERSON,
    recipient=US,
    text="Hi! 👋 ça va?",
    parts=1,
    received_at=AT,
    carrier="sandbox",
    facts=InboundFacts(
        Encoding.UCS2,
        13,
        tags=("Greetings",),
        from_carrier="T-MOBILE USA, INC.",
        from_line_type="Wireless",
        to_carrier="Telnyx",
        to_line_type="Wireless",
        webhook_url="https://example.com/hooks",
    ),
)

# Contract 3.3: what a real capture had, without `is_spam`, which it had only sometimes.
CAPTURED = {
    *("autoresponse_type", "cc", "completed_at", "cost", "direction", "encoding", "errors", "from", "id", "media"),
    *("messaging_profile_id", "organization_id", "parts", "received_at", "record_type", "sent_at", "subject", "tags"),
    *("text", "to", "type", "valid_until", "webhook_failover_url", "webhook_url"),
}
DESCRIBED = {"cost_breakdown", "num_chars", "tcr_campaign_billable", "tcr_campaign_id", "tcr_campaign_registered"}


def shown(body: object) -> Any:
    """A body as its reader has it."""
    return msgspec.json.decode(msgspec.json.encode(body))


def shown_inbound(**given: Any) -> Any:
    """A message that came in, some of its facts replaced."""
    return shown(inbound_body(replace(INBOUND, facts=replace(INBOUND.facts, **given))))


def test_an_inbound_message_has_the_keys_of_the_capture_and_of_the_description_in_order() -> None:
    keys = list(shown(inbound_body(INBOUND)))
    assert keys == sorted(CAPTURED | DESCRIBED)


def test_an_inbound_sms_is_shown_as_captured() -> None:
    assert shown(inbound_body(INBOUND)) == {
        "autoresponse_type": None,
        "cc": [],
        "completed_at": None,
        "cost": None,
        "cost_breakdown": None,
        "direction": "inbound",
        "encoding": "UCS-2",
        "errors": [],
        "from": {"carrier": "T-MOBILE USA, INC.", "line_type": "Wireless", "phone_number": PERSON},
        "id": INBOUND.id,
        "media": [],
        "messaging_profile_id": PROFILE,
        "num_chars": 13,
        "organization_id": ORGANIZATION,
        "parts": 1,
        "received_at": "2026-11-23T10:00:00.250Z",
        "record_type": "message",
        "sent_at": None,
        "subject": "",
        "tags": ["Greetings"],
        "tcr_campaign_billable": False,
        "tcr_campaign_id": None,
        "tcr_campaign_registered": None,
        "text": "Hi! 👋 ça va?",
        "to": [{"carrier": "Telnyx", "line_type": "Wireless", "phone_number": US, "status": "webhook_delivered"}],
        "type": "SMS",
        "valid_until": None,
        "webhook_failover_url": "",
        "webhook_url": "https://example.com/hooks",
    }


def test_an_inbound_mms_shows_its_media_and_its_subject() -> None:
    body = shown_inbound(media=(CAT,), subject="A cat")
    assert body["subject"] == "A cat"
    assert [list(item.items()) for item in body["media"]] == [
        [("url", CAT.url), ("content_type", CAT.content_type), ("sha256", CAT.sha256), ("size", CAT.size)]
    ]


def test_an_inbound_mms_without_text_shows_an_empty_one() -> None:
    assert shown(inbound_body(replace(INBOUND, text=None)))["text"] == ""


def test_an_inbound_message_of_a_profile_without_webhooks_shows_empty_urls() -> None:
    body = shown_inbound(webhook_url=None, webhook_failover_url=None)
    assert (body["webhook_url"], body["webhook_failover_url"]) == ("", "")


@pytest.mark.parametrize("operation", Operation)
def test_a_keyword_is_shown_as_what_it_asks_for(operation: Operation) -> None:
    assert shown(inbound_body(replace(INBOUND, operation=operation)))["autoresponse_type"] == operation.value


def test_the_campaign_of_the_number_is_shown() -> None:
    body = shown_inbound(campaign_id="TCPA3X7", campaign_billable=True, campaign_registered="REGISTERED")
    assert [body[f"tcr_campaign_{name}"] for name in ("id", "billable", "registered")] == [
        "TCPA3X7",
        True,
        "REGISTERED",
    ]


def test_a_message_that_an_opt_out_cancelled_says_so_when_it_is_cancelled_again() -> None:
    body = shown(cancelled_body(replace(OUTBOUND, status=Status.CANCELLED, errors=(STOPPED,), completed_at=AT)))
    assert [error["code"] for error in body["errors"]] == ["40300"]
    assert body["completed_at"] is None


def test_a_message_that_its_sender_cancelled_has_no_errors() -> None:
    assert shown(cancelled_body(replace(OUTBOUND, status=Status.CANCELLED)))["errors"] == []


@pytest.mark.parametrize("order", [1, -1])
def test_a_group_costs_what_is_sent_of_it_whoever_opted_out(order: int) -> None:
    stopped = replace(OUTBOUND, status=Status.CANCELLED, errors=(STOPPED,))
    sent = replace(OUTBOUND, status=Status.SENT, recipient=OTHER, left_at=AT)
    body = shown(message_body([stopped, sent][::order]))
    assert body["cost"] == {"amount": "0.0051", "currency": "USD"}
    assert [each["status"] for each in body["to"]][::order] == ["cancelled", "sent"]


def test_a_group_that_is_cancelled_as_a_whole_costs_nothing() -> None:
    body = shown(message_body([replace(OUTBOUND, status=Status.CANCELLED)] * 2))
    assert body["cost"] == {"amount": 0, "currency": None}
