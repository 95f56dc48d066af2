"""From a request to a message: what may be sent."""

from dataclasses import replace
from importlib import resources
from typing import Any

import msgspec
import pytest

from heliograph.domain.accounts import Campaign, Profile, ProfileSettings, Sender
from heliograph.domain.address import parse_sender
from heliograph.domain.compose import Form, SendCommand, Tables, compose, draft
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import OrganizationId, ProfileId
from heliograph.domain.instant import HOUR, Instant, parse
from heliograph.domain.lifecycle import Status
from heliograph.domain.message import Message, MessageType
from heliograph.domain.numbers import NumberDirectory, NumberFacts
from heliograph.domain.pricing import parse_rates
from heliograph.domain.text import Encoding

NOW = parse("2026-01-01T00:00:00Z")
TABLES = Tables(
    parse_rates((resources.files("heliograph") / "data" / "rates.csv").read_text(), "rates.csv"),
    NumberDirectory({"+18665550001": NumberFacts("T-MOBILE USA, INC.", "Wireless")}),
)
PROFILE = Profile(ProfileId("p1"), OrganizationId("o1"), "Main", ProfileSettings(), NOW, NOW)
SENDER = Sender(
    id="s1",
    organization_id=OrganizationId("o1"),
    profile_id=ProfileId("p1"),
    address="+18445550001",
    kind=parse_sender("+18445550001").kind,
    country="US",
    carrier="TELNYX LLC",
    line_type="VoIP",
    tags=("Greetings",),
    campaign=Campaign("TCPA3X7"),
)


def command(form: Form = Form.ANY, **given: Any) -> SendCommand:
    fields: dict[str, Any] = {"to": "+18665550001", "sender": "+18445550001", "text": "Hello, World!"}
    return SendCommand(form=form, **(fields | given))


def composed(
    wanted: SendCommand, profile: Profile = PROFILE, sender: Sender = SENDER, **settings: Any
) -> list[Message]:
    if settings:
        profile = replace(profile, settings=ProfileSettings(**settings))
    made = draft(wanted)
    ids = [f"m{index}" for index in range(len(made.recipients))]
    return compose(made, sender, profile, TABLES, NOW, HOUR, ids)


def other_sender(address: str) -> Sender:
    parsed = parse_sender(address)
    return replace(SENDER, address=parsed.text, kind=parsed.kind, country=parsed.country)


def refusal(wanted: SendCommand, sender: Sender = SENDER, **settings: Any) -> tuple[Code, str | None]:
    with pytest.raises(Refusal) as refused:
        composed(wanted, sender=sender, **settings)
    return refused.value.code, refused.value.pointer


def test_a_plain_message() -> None:
    (message,) = composed(command())
    assert (message.status, message.type, message.parts) == (Status.QUEUED, MessageType.SMS, 1)
    assert (message.rate, message.carrier_fee) == (205, 305)
    assert message.due_at == NOW
    assert message.valid_until == NOW + HOUR


def test_what_is_known_of_both_ends_is_kept_with_it() -> None:
    facts = composed(command())[0].facts
    assert (facts.from_carrier, facts.from_line_type, facts.tags) == ("TELNYX LLC", "VoIP", ("Greetings",))
    assert (facts.to_carrier, facts.to_line_type) == ("T-MOBILE USA, INC.", "Wireless")
    assert (facts.campaign_id, facts.campaign_billable, facts.campaign_registered) == ("TCPA3X7", True, "REGISTERED")


def test_a_scheduled_message_is_due_at_its_time() -> None:
    (message,) = composed(command(Form.SCHEDULE, send_at="2026-01-02T00:00:00Z"))
    assert message.status is Status.SCHEDULED
    assert message.due_at == message.send_at == parse("2026-01-02T00:00:00Z")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, MessageType.SMS),
        ({"subject": "From Telnyx!"}, MessageType.SMS),
        ({"media_urls": ["https://example.com/a.png"]}, MessageType.MMS),
        ({"type": "MMS", "subject": "From Telnyx!"}, MessageType.MMS),
        ({"text": None, "media_urls": ["https://example.com/a.png"]}, MessageType.MMS),
    ],
)
def test_the_type_is_inferred_from_the_content(given: dict[str, Any], expected: MessageType) -> None:
    assert composed(command(**given))[0].type is expected


LONG = "x" * 1_531


@pytest.mark.parametrize(
    ("given", "code", "pointer"),
    [
        ({"to": None}, Code.MISSING_PARAMETER, "/to"),
        ({"to": ""}, Code.MISSING_PARAMETER, "/to"),
        ({"to": "12"}, Code.INVALID_TO, "/to"),
        ({"to": ["+18665550001", "+18665550002"]}, Code.INVALID_TO, "/to"),
        ({"to": "+18445550001"}, Code.INVALID_TO, "/to"),
        ({"sender": "+1"}, Code.INVALID_FROM, "/from"),
        ({"sender": None}, Code.MISSING_PARAMETER, "/from"),
        ({"text": None}, Code.NO_CONTENT, "/text"),
        ({"text": ""}, Code.NO_CONTENT, "/text"),
        ({"type": "RCS"}, Code.INVALID_ENUM, "/type"),
        ({"type": "SMS", "media_urls": ["https://example.com/a.png"]}, Code.CONTENT_MIX, "/media_urls"),
        ({"type": "MMS"}, Code.CONTENT_MIX, "/media_urls"),
        ({"media_urls": ["https://example.com/a.png"] * 11}, Code.INVALID_MMS, "/media_urls"),
        ({"media_urls": ["https://example.com/a.png", "file:///etc/passwd"]}, Code.INVALID_URL, "/media_urls/1"),
        ({"webhook_url": "example.com"}, Code.INVALID_URL, "/webhook_url"),
        ({"webhook_failover_url": "http://" + "x" * 2_000}, Code.INVALID_URL, "/webhook_failover_url"),
        ({"webhook_url": "http://[::1"}, Code.INVALID_URL, "/webhook_url"),
        ({"encoding": "utf8"}, Code.INVALID_ENUM, "/encoding"),
        ({"encoding": "gsm7", "text": "日本"}, Code.BAD_REQUEST, "/text"),
        ({"text": LONG}, Code.TOO_LARGE, "/text"),
        ({"text": "x" * 1_000, "auto_detect": True}, Code.UNUSUALLY_LONG, "/text"),
        ({"text": "\u200b", "encoding": "gsm7"}, Code.NO_CONTENT, "/text"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_may_not_be_sent_is_refused_by_its_field(given: dict[str, Any], code: Code, pointer: str) -> None:
    assert refusal(command(**given)) == (code, pointer)


@pytest.mark.parametrize(
    ("form", "given", "code", "pointer"),
    [
        (Form.SCHEDULE, {}, Code.MISSING_PARAMETER, "/send_at"),
        (Form.LONG_CODE, {"send_at": "2026-01-02T00:00:00Z"}, Code.BAD_REQUEST, "/send_at"),
        (Form.LONG_CODE, {"sender": None}, Code.MISSING_PARAMETER, "/from"),
        (Form.LONG_CODE, {"sender": "12345"}, Code.INVALID_FROM, "/from"),
        (Form.SHORT_CODE, {}, Code.INVALID_FROM, "/from"),
        (Form.NUMBER_POOL, {"sender": None}, Code.MISSING_PARAMETER, "/messaging_profile_id"),
        (Form.ALPHANUMERIC, {"sender": "Acme"}, Code.MISSING_PARAMETER, "/messaging_profile_id"),
        (Form.ALPHANUMERIC, {"sender": "Acme", "profile_id": "p1", "text": None}, Code.MISSING_PARAMETER, "/text"),
        (Form.GROUP_MMS, {"to": []}, Code.INVALID_TO, "/to"),
        (Form.GROUP_MMS, {"to": ["+13125550001"] * 2}, Code.INVALID_TO, "/to"),
        (Form.GROUP_MMS, {"to": [f"+1312555000{n}" for n in range(9)]}, Code.INVALID_TO, "/to"),
        (Form.GROUP_MMS, {"to": ["+13125550001", "+4915112345678"]}, Code.UNSUPPORTED_TYPE, "/to"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_each_endpoint_has_its_own_rules(form: Form, given: dict[str, Any], code: Code, pointer: str) -> None:
    assert refusal(command(form, **given)) == (code, pointer)


def test_a_group_is_one_message_for_each_recipient() -> None:
    first, second = composed(command(Form.GROUP_MMS, to=["+13125550001", "+14155550001"]))
    assert (first.type, second.type) == (MessageType.MMS, MessageType.MMS)
    assert first.group_id == second.group_id == first.id
    assert [first.recipient, second.recipient] == ["+13125550001", "+14155550001"]


def test_a_disabled_profile_sends_nothing() -> None:
    assert refusal(command(), enabled=False) == (Code.PROFILE_DISABLED, "/messaging_profile_id")


def test_a_country_that_is_not_whitelisted_is_refused() -> None:
    assert refusal(command(), whitelisted_destinations=("DE",)) == (Code.INVALID_REGION, "/to")


def test_a_profile_without_destinations_sends_nowhere() -> None:
    assert refusal(command(), whitelisted_destinations=()) == (Code.NO_DESTINATIONS, "/to")


def test_a_profile_for_mobiles_refuses_what_is_known_to_be_none() -> None:
    landline = command(to="+442079460000")
    assert refusal(landline, mobile_only=True) == (Code.UNSUPPORTED_TYPE, "/to")
    assert composed(landline)[0].recipient == "+442079460000"


@pytest.mark.parametrize("to", ["+447911123456", "+13125550001", "12345", "+18665550001"])
def test_a_profile_for_mobiles_sends_to_what_may_be_one(to: str) -> None:
    # The last is toll-free, and a mobile by the override of these tables.
    assert composed(command(to=to), mobile_only=True)[0].recipient == to


def test_a_sender_of_another_profile_is_refused() -> None:
    elsewhere = replace(SENDER, profile_id=ProfileId("p2"))
    assert refusal(command(), sender=elsewhere) == (Code.INVALID_FROM, "/from")


@pytest.mark.parametrize(
    ("given", "code", "pointer"),
    [
        ({}, Code.UNSUPPORTED_TYPE, "/to"),
        ({"to": "12345"}, Code.UNSUPPORTED_TYPE, "/to"),
        ({"to": "+4915112345678", "media_urls": ["https://e.com/a"]}, Code.INVALID_FROM_FOR_MMS, "/from"),
    ],
)
def test_where_an_alphanumeric_sender_cannot_send(given: dict[str, Any], code: Code, pointer: str) -> None:
    assert refusal(command(sender="Acme", **given), other_sender("Acme")) == (code, pointer)


def test_an_alphanumeric_sender_reaches_other_countries() -> None:
    (message,) = composed(command(sender="Acme", to="+4915112345678"), sender=other_sender("Acme"))
    assert message.sender == "Acme"


def test_mms_from_a_number_elsewhere_is_refused() -> None:
    wanted = command(sender="+4915112345679", media_urls=["https://example.com/a.png"])
    assert refusal(wanted, other_sender("+4915112345679")) == (Code.INVALID_FROM_FOR_MMS, "/from")


def test_smart_encoding_changes_what_is_sent_and_keeps_what_was_written() -> None:
    (message,) = composed(command(text="“Hi”…"), smart_encoding=True)
    assert (message.text, message.body) == ("“Hi”…", '"Hi"...')
    assert (message.facts.encoding, message.facts.smart_encoding_applied) == (Encoding.GSM7, True)


def test_the_urls_of_the_message_win_over_those_of_the_profile() -> None:
    facts = composed(command(webhook_url="https://m.example/1"), webhook_url="https://p.example/1")[0].facts
    assert (facts.webhook_url, facts.webhook_failover_url, facts.own_webhooks) == ("https://m.example/1", None, True)


def test_the_urls_of_the_profile_are_used_unless_told_otherwise() -> None:
    assert composed(command(), webhook_url="https://p.example/1")[0].facts.webhook_url == "https://p.example/1"
    silent = composed(command(use_profile_webhooks=False), webhook_url="https://p.example/1")
    assert silent[0].facts.webhook_url is None


def test_lateness_is_counted_from_the_moment_it_was_wanted() -> None:
    (message,) = composed(command(Form.SCHEDULE, send_at="2026-01-02T00:00:00Z"))
    assert message.lateness is None
    assert msgspec.structs.replace(message, left_at=Instant(parse("2026-01-02T00:00:00Z") + 40)).lateness == 40
