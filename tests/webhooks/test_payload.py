"""What webhooks say, against the provider's description, its SDK and the samples of its documentation.

The description is no part of this project: see tests/description.py.
"""

import hashlib
import json
from typing import Any

import pytest
from msgspec.structs import replace
from telnyx import Telnyx
from telnyx._models import validate_type
from telnyx.types import DeliveryUpdateWebhookEvent, InboundMessageWebhookEvent, OutboundMessagePayload
from telnyx.types.shared import InboundMessagePayload

from heliograph.bodies import click_payload, inbound_body, payload_of, webhook
from heliograph.domain.errors import Code
from heliograph.domain.events import OF_PROFILES, EventType
from heliograph.domain.ids import MessageId
from heliograph.domain.inbound import InboundMessage, Operation
from heliograph.domain.instant import DAY, SECOND, Instant, parse
from heliograph.domain.lifecycle import Status
from heliograph.domain.message import Message, MessageType
from heliograph.domain.outcome import EXPIRED, LEASE_LOST, delivery_error
from heliograph.domain.text import Encoding
from heliograph.webhooks.payload import (
    envelope,
    inbound_record_of,
    is_version_1,
    record_of,
    wants_version_1,
)
from tests.api.test_openapi_contract import description
from tests.description import breaches, validator
from tests.test_bodies import AT, CAT, INBOUND, OUTBOUND, STOPPED

__all__ = ["description"]  # a fixture

EVENT_ID = "00000000-0000-7000-8000-0000000000e1"
URL = "https://example.com/hooks?from=häliograph"
LATER = Instant(AT + 90 * SECOND)
NOT_ROUTABLE = delivery_error(Code.NOT_ROUTABLE, "It is a landline.")

SENT = replace(
    OUTBOUND, status=Status.SENT, due_at=None, left_at=AT, sent_at=AT, attempts=1, carrier="sandbox", send_at=AT
)
DELIVERED = replace(SENT, status=Status.DELIVERED, completed_at=LATER)
CANCELLED = replace(OUTBOUND, status=Status.CANCELLED, due_at=None, send_at=Instant(AT + DAY))
GROUP = replace(
    DELIVERED,
    type=MessageType.MMS,
    group_id=MessageId("00000000-0000-7000-8000-00000000000f"),
    facts=replace(OUTBOUND.facts, media=(replace(CAT, content_type=None, sha256=None, size=None),)),
)


def ended(status: Status, **given: Any) -> Message:
    """A message whose story ended without a receipt."""
    return replace(SENT, **{"status": status, "completed_at": LATER, **given})


OUR_EVENT = "an extension, sent only where the operator asks for it: the provider reports neither (Contract 1.7)"
OUR_STATUS = "reading and cancelling answer with the word; the description of events lacks it (Contract 1.3, 1.5)"
NO_COST = "the cancel page has the number 0 and null, the schema two texts"

TYPE, STATUS = "/data/event_type enum", "/data/payload/to/0/status enum"
COST = {"/data/payload/cost/amount type": NO_COST, "/data/payload/cost/currency type": NO_COST}

# The event, the message as it is when somebody looks, and where it differs from the description and why.
OUTBOUND_CASES: dict[str, tuple[EventType, Message, dict[str, str]]] = {
    "sent": (EventType.SENT, SENT, {}),
    "sent, told after it was delivered": (EventType.SENT, DELIVERED, {}),
    "delivered": (EventType.FINALIZED, DELIVERED, {}),
    "delivery_failed": (EventType.FINALIZED, ended(Status.DELIVERY_FAILED, errors=(NOT_ROUTABLE,)), {}),
    "delivery_unconfirmed": (EventType.FINALIZED, ended(Status.DELIVERY_UNCONFIRMED), {}),
    "lost": (EventType.FINALIZED, ended(Status.DELIVERY_UNCONFIRMED, sent_at=None, errors=(LEASE_LOST,)), {}),
    "sending_failed": (EventType.FINALIZED, ended(Status.SENDING_FAILED, sent_at=None, errors=(NOT_ROUTABLE,)), {}),
    "expired": (EventType.FINALIZED, ended(Status.EXPIRED, left_at=None, sent_at=None, errors=(EXPIRED,)), {}),
    "group": (EventType.FINALIZED, GROUP, {}),
    "cancelled by an opt-out": (EventType.FINALIZED, replace(CANCELLED, errors=(STOPPED,)), {}),
    "cancelled": (EventType.CANCELLED, CANCELLED, {TYPE: OUR_EVENT, STATUS: OUR_STATUS, **COST}),
    "scheduled": (EventType.SCHEDULED, DELIVERED, {TYPE: OUR_EVENT, STATUS: OUR_STATUS}),
}
FITTING = [name for name, (_, _, differences) in OUTBOUND_CASES.items() if not differences]

MMS = replace(INBOUND, type=MessageType.MMS, facts=replace(INBOUND.facts, media=(CAT,), subject="A cat"))
INBOUND_CASES: dict[str, InboundMessage] = {
    "sms": INBOUND,
    "mms": MMS,
    "keyword": replace(INBOUND, text="STOP", operation=Operation.STOP),
    "of a campaign": replace(INBOUND, facts=replace(INBOUND.facts, campaign_id="TCPA3X7", campaign_billable=True)),
}


def outbound(name: str) -> bytes:
    """The body of the first request for an event of a message that we sent."""
    event, message, _ = OUTBOUND_CASES[name]
    return envelope(webhook(EVENT_ID, event, LATER, payload_of(message, event)), 1, URL)


def inbound(name: str) -> bytes:
    """The same for a message that came in."""
    return envelope(webhook(EVENT_ID, EventType.RECEIVED, LATER, inbound_body(INBOUND_CASES[name])), 1, URL)


def differences(description: Any, schema: str, body: bytes) -> set[str]:
    """Where the body does not fit a schema of the description."""
    return set(breaches(validator({"$ref": f"#/components/schemas/{schema}"}), json.loads(body)))


def test_every_type_of_event_is_among_the_cases() -> None:
    assert {event for event, _, _ in OUTBOUND_CASES.values()} | OF_PROFILES == set(EventType)


def test_a_click_fits_the_description(description: Any) -> None:
    said = click_payload(OUTBOUND.id, OUTBOUND.recipient, "https://example.com/?a=1", AT)
    kept = webhook(EVENT_ID, EventType.LINK_CLICKED, AT, said)
    assert differences(description, "ReplacedLinkClickEvent", envelope(kept, 1, URL)) == set()
    assert not is_version_1(kept)


@pytest.mark.parametrize("name", OUTBOUND_CASES)
def test_an_outbound_event_differs_from_the_description_only_where_it_is_meant_to(description: Any, name: str) -> None:
    assert differences(description, "OutboundMessageEvent", outbound(name)) == set(OUTBOUND_CASES[name][2])


@pytest.mark.parametrize("name", INBOUND_CASES)
def test_an_inbound_event_fits_the_description(description: Any, name: str) -> None:
    assert differences(description, "InboundMessageEvent", inbound(name)) == set()


@pytest.mark.parametrize(
    ("body", "schema", "added"),
    [
        (outbound("group"), "OutboundMessagePayload", {"send_at", "group_message_id"}),
        (inbound("mms"), "InboundMessagePayload", {"autoresponse_type"}),
    ],
    ids=["outbound", "inbound"],
)
def test_a_payload_has_every_described_key_and_no_other(
    description: Any, body: bytes, schema: str, added: set[str]
) -> None:
    described = set(description["components"]["schemas"][schema]["properties"])
    assert set(json.loads(body)["data"]["payload"]) == described | added


@pytest.mark.parametrize("name", FITTING)
def test_the_sdk_finds_its_own_models_in_an_outbound_event(name: str) -> None:
    event = validate_type(type_=DeliveryUpdateWebhookEvent, value=json.loads(outbound(name)))
    assert event.data is not None
    assert isinstance(event.data.payload, OutboundMessagePayload)
    assert event.meta is not None
    assert (event.meta.attempt, event.meta.delivered_to) == (1, URL)


@pytest.mark.parametrize("name", INBOUND_CASES)
def test_the_sdk_finds_its_own_models_in_an_inbound_event(name: str) -> None:
    body = json.loads(inbound(name))
    event = validate_type(type_=InboundMessageWebhookEvent, value=body)
    assert event.data is not None
    assert event.data.payload is not None
    assert event.data.payload.text == INBOUND_CASES[name].text
    payload = validate_type(type_=InboundMessagePayload, value=body["data"]["payload"])
    assert payload.to is not None
    assert payload.to[0].status == "webhook_delivered"


@pytest.mark.parametrize(
    ("body", "model", "status"),
    [
        (outbound("sent"), DeliveryUpdateWebhookEvent, "sent"),
        (outbound("delivered"), DeliveryUpdateWebhookEvent, "delivered"),
        (outbound("expired"), DeliveryUpdateWebhookEvent, "expired"),
        (outbound("cancelled by an opt-out"), DeliveryUpdateWebhookEvent, "sending_failed"),
        (inbound("mms"), InboundMessageWebhookEvent, "webhook_delivered"),
    ],
    ids=["sent", "delivered", "expired", "opted out", "received"],
)
def test_the_stock_sdk_unwraps_an_event_into_its_model(body: bytes, model: type, status: str) -> None:
    unwrapped: Any = Telnyx(api_key="none").webhooks.unsafe_unwrap(body.decode())
    assert (type(unwrapped), unwrapped.data.payload.to[0].status) == (model, status)


@pytest.mark.parametrize("name", [name for name in OUTBOUND_CASES if name not in FITTING])
def test_what_the_stock_sdk_has_no_model_of_it_hands_over_as_it_came(name: str) -> None:
    unwrapped: Any = Telnyx(api_key="none").webhooks.unsafe_unwrap(outbound(name).decode())
    expected = json.loads(outbound(name))["data"]
    assert (unwrapped.data.event_type, unwrapped.data.payload) == (expected["event_type"], expected["payload"])


def test_sent_is_told_as_it_was_after_the_message_was_delivered() -> None:
    assert outbound("sent, told after it was delivered") == outbound("sent")


def test_an_event_is_its_five_fields_in_order() -> None:
    event = json.loads(webhook(EVENT_ID, EventType.SENT, LATER, payload_of(SENT, EventType.SENT)))
    payload = event["payload"]
    assert list(event.items()) == [
        ("event_type", "message.sent"),
        ("id", EVENT_ID),
        ("occurred_at", "2026-11-23T10:01:30.250Z"),
        ("payload", payload),
        ("record_type", "event"),
    ]
    assert (payload["sent_at"], payload["completed_at"]) == ("2026-11-23T10:00:00.250Z", None)


def test_what_is_kept_is_sent_again_byte_for_byte() -> None:
    kept = b'{"event_type":"message.sent", "id" : 1.50, "text":"\\u00e4\xc3\xa4 \\/"}'
    assert envelope(kept, 3, "https://example.com") == (
        b'{"data":' + kept + b',"meta":{"attempt":3,"delivered_to":"https://example.com"}}'
    )


def test_nothing_in_a_text_leaves_its_place_in_the_json() -> None:
    text = '"},"meta":{"attempt":9}} \\ \u2028 \x01 👋🏽 </script> ça'
    received = inbound_body(replace(INBOUND, text=text))
    body = json.loads(envelope(webhook(EVENT_ID, EventType.RECEIVED, LATER, received), 1, URL))
    assert (body["data"]["payload"]["text"], body["meta"]["attempt"]) == (text, 1)


def test_letters_and_emoji_are_utf_8_and_not_escaped() -> None:
    assert "Hi! 👋 ça va?".encode() in inbound("sms")


def test_an_event_of_a_group_has_one_recipient_and_names_the_group() -> None:
    payload = json.loads(outbound("group"))["data"]["payload"]
    assert (payload["id"], payload["group_message_id"]) == (GROUP.id, GROUP.group_id)
    assert [each["phone_number"] for each in payload["to"]] == [GROUP.recipient]


def test_who_sends_has_no_status_of_its_own() -> None:
    assert "status" not in json.loads(outbound("delivered"))["data"]["payload"]["from"]


# ------------------------------------------------------------------------------------------------------------ version 1


@pytest.mark.parametrize(("version", "flat"), [("1", True), ("2", False), ("2010-04-01", False)])
def test_only_version_1_is_asked_for_by_its_name(version: str, flat: bool) -> None:
    assert wants_version_1(version) is flat


def test_kept_bytes_tell_their_version() -> None:
    flat = [record_of(SENT, EventType.SENT, LATER), inbound_record_of(INBOUND), inbound_record_of(MMS)]
    wrapped = [json.dumps(json.loads(each)["data"], separators=(",", ":")).encode() for each in (outbound("sent"),)]
    assert [is_version_1(each) for each in flat + wrapped] == [True, True, True, False]


def test_a_status_update_has_the_form_of_the_migration_guide() -> None:
    at = parse("2020-04-30T21:06:07.640Z")
    updated = Instant(at + 87_000)
    sent = replace(SENT, received_at=at, text="test", facts=replace(SENT.facts, num_chars=4))
    digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"  # stands in the guide too
    assert list(json.loads(record_of(sent, EventType.SENT, updated)).items()) == [
        ("type", "SMS"),
        ("sms_id", sent.id),
        ("sms_gw_id", sent.id),
        ("user_id", sent.organization_id),
        ("profile_id", sent.profile_id),
        ("created", 1588280767640),
        ("updated", 1588280767727),
        ("date_created", "2020-04-30T21:06:07.640000"),
        ("date_updated", "2020-04-30T21:06:07.727000"),
        ("to", sent.recipient),
        ("from", sent.sender),
        ("cost", "0.0051"),
        ("currency", "USD"),
        ("direction", "outbound"),
        ("status", "sent"),
        ("delivery_status", ""),
        ("on_net", False),
        ("carrier", "T-MOBILE USA, INC."),
        ("line_type", "Wireless"),
        ("errors", []),
        (
            "body",
            {
                "text": "test",
                "text_hash": digest,
                "coding": 0,
                "num_chars": 4,
                "num_bytes": 4,
                "bytes_hash": digest,
                "parts": 1,
            },
        ),
    ]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sent, told after it was delivered", ("sent", "", [])),
        ("delivered", ("delivered", "success", [])),
        ("delivery_failed", ("delivery_failed", "", ["40001"])),
        ("expired", ("expired", "", ["40014"])),
        ("cancelled by an opt-out", ("sending_failed", "", ["40300"])),
    ],
)
def test_a_status_update_of_version_1_tells_the_outcome(name: str, told: tuple[str, str, list[str]]) -> None:
    event, message, _ = OUTBOUND_CASES[name]
    record = json.loads(record_of(message, event, LATER))
    assert (record["status"], record["delivery_status"], record["errors"]) == told


@pytest.mark.parametrize(("name", "cost"), [("expired", "0.0000"), ("cancelled", None), ("scheduled", None)])
def test_what_is_not_charged_costs_nothing_in_version_1(name: str, cost: str | None) -> None:
    event, message, _ = OUTBOUND_CASES[name]
    assert json.loads(record_of(message, event, LATER))["cost"] == cost


def test_version_1_counts_the_bytes_that_went_to_the_carrier_and_shows_the_text_that_was_asked_for() -> None:
    facts = replace(SENT.facts, encoding=Encoding.UCS2, body="Hi 👋", num_chars=5)
    body = json.loads(record_of(replace(SENT, text="“Hi 👋”", facts=facts), EventType.SENT, LATER))["body"]
    assert (body["text"], body["coding"], body["num_bytes"]) == ("“Hi 👋”", 8, 10)
    assert body["bytes_hash"] == hashlib.sha256("Hi 👋".encode("utf-16-be")).hexdigest()
    assert body["text_hash"] == hashlib.sha256("“Hi 👋”".encode()).hexdigest()


def test_an_mms_without_text_has_an_empty_one_in_version_1() -> None:
    body = json.loads(record_of(replace(GROUP, text=None), EventType.FINALIZED, LATER))["body"]
    assert (body["text"], body["num_bytes"]) == ("", 0)


def test_an_inbound_message_of_version_1_is_the_sample_of_the_signature_page() -> None:
    sample = {
        "sms_id": "834f3d53-8a3c-4aa0-a733-7f2d682a72df",
        "direction": "inbound",
        "from": "+13129450002",
        "to": "+13125550001",
        "body": "Hello!",
    }
    message = replace(
        INBOUND, id=MessageId(sample["sms_id"]), sender=sample["from"], recipient=sample["to"], text="Hello!"
    )
    assert inbound_record_of(message) == json.dumps(sample, separators=(",", ":")).encode()


def test_an_inbound_mms_of_version_1_lists_its_media() -> None:
    record = json.loads(inbound_record_of(replace(MMS, text=None)))
    assert record["body"] == ""
    assert record["media"] == [
        {"url": CAT.url, "content_type": CAT.content_type, "hash_sha256": CAT.sha256, "size": CAT.size}
    ]
