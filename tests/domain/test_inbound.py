"""From what a carrier hands over to what is kept."""

from dataclasses import replace
from typing import Any

import pytest

from heliograph.domain.accounts import Campaign, Profile, ProfileSettings, Sender
from heliograph.domain.address import AddressKind
from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.inbound import Arrival, InboundMessage, Operation, received
from heliograph.domain.instant import parse
from heliograph.domain.message import Media, MessageType
from heliograph.domain.numbers import NumberDirectory, NumberFacts
from heliograph.domain.text import Encoding

NOW = parse("2026-01-01T00:00:00Z")
PERSON = "+18665550001"
NUMBER = Sender(
    id="s1",
    organization_id=OrganizationId("o1"),
    profile_id=ProfileId("p1"),
    address="+18445550001",
    kind=AddressKind.TOLL_FREE,
    country="US",
    carrier="Heliograph",
    line_type="VoIP",
    tags=("Greetings",),
)
PROFILE = Profile(ProfileId("p1"), OrganizationId("o1"), "Main", ProfileSettings(), NOW, NOW)
DIRECTORY = NumberDirectory({PERSON: NumberFacts("T-MOBILE USA, INC.", "Wireless")})


def arrived(
    number: Sender = NUMBER, profile: Profile = PROFILE, operation: Operation | None = None, **given: Any
) -> InboundMessage:
    values: dict[str, Any] = {"carrier": "sandbox", "sender": PERSON, "recipient": NUMBER.address}
    arrival = Arrival(**(values | given))
    return received(
        arrival, number, profile, DIRECTORY, message_id=MessageId("m1"), now=NOW, operation=operation, no_reply=None
    )


@pytest.mark.parametrize(
    ("text", "encoding", "characters", "parts"),
    [
        ("Hello", Encoding.GSM7, 5, 1),
        ("", Encoding.GSM7, 0, 1),
        ("a" * 160, Encoding.GSM7, 160, 1),
        ("a" * 161, Encoding.GSM7, 161, 2),
        ("€" * 80, Encoding.GSM7, 80, 1),
        ("€" * 81, Encoding.GSM7, 81, 2),
        ("я" * 70, Encoding.UCS2, 70, 1),
        ("я" * 71, Encoding.UCS2, 71, 2),
        ("🎉" * 35, Encoding.UCS2, 35, 1),
        ("🎉" * 36, Encoding.UCS2, 36, 2),
        ("“quoted”", Encoding.UCS2, 8, 1),
    ],
)
def test_an_sms_is_counted_as_it_came_over_the_air(text: str, encoding: Encoding, characters: int, parts: int) -> None:
    message = arrived(text=text)
    counted = (message.type, message.facts.encoding, message.facts.num_chars, message.parts)
    assert counted == (MessageType.SMS, encoding, characters, parts)


def test_what_the_carrier_tells_of_the_encoding_wins() -> None:
    message = arrived(text="Hello", encoding=Encoding.UCS2, parts=3)
    assert (message.facts.encoding, message.parts) == (Encoding.UCS2, 3)


@pytest.mark.parametrize(
    "given", [{"media": (Media("https://example.com/cat.png"),)}, {"subject": "Cat", "text": "a" * 500}]
)
def test_media_or_a_subject_make_an_mms_of_one_part(given: dict[str, Any]) -> None:
    message = arrived(**given)
    assert (message.type, message.parts) == (MessageType.MMS, 1)
    assert (message.facts.media, message.facts.subject) == (given.get("media", ()), given.get("subject"))


def test_it_belongs_to_the_number_and_the_profile_that_it_came_to() -> None:
    settings = ProfileSettings(webhook_url="https://example.com/a", webhook_failover_url="https://example.com/b")
    campaign = Campaign("TCPA3X7", billable=False, registered=None)
    message = arrived(replace(NUMBER, campaign=campaign), replace(PROFILE, settings=settings), text="Hello")
    facts = message.facts
    assert (message.organization_id, message.profile_id, message.received_at) == ("o1", "p1", NOW)
    assert (facts.webhook_url, facts.webhook_failover_url) == ("https://example.com/a", "https://example.com/b")
    assert (facts.campaign_id, facts.campaign_billable, facts.campaign_registered) == ("TCPA3X7", False, None)
    assert facts.tags == ("Greetings",)


def test_it_tells_the_lines_of_both_sides() -> None:
    facts = arrived(text="Hello").facts
    assert (facts.from_carrier, facts.from_line_type) == ("T-MOBILE USA, INC.", "Wireless")
    assert (facts.to_carrier, facts.to_line_type) == ("Heliograph", "VoIP")


@pytest.mark.parametrize("sender", ["12345", "ACME"])
def test_of_who_has_no_number_no_line_is_known(sender: str) -> None:
    facts = arrived(sender=sender, text="Hello").facts
    assert (facts.from_carrier, facts.from_line_type) == ("", "")


def test_it_says_what_was_recognised_and_who_handed_it_over() -> None:
    message = arrived(text="stop", operation=Operation.STOP, reference="r1")
    assert (message.text, message.operation) == ("stop", Operation.STOP)
    assert (message.carrier, message.carrier_reference) == ("sandbox", "r1")
