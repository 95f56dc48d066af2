"""The wire of what may be sent: senders, destinations, types, media, encodings and parts (Contract 4 and 5)."""

from typing import Any

import pytest

from heliograph.domain.accounts import NumberPool
from tests.api.conftest import on_one_database
from tests.wire import ALPHANUMERIC, NO_SUCH_ID, SHORT_CODE, TO, TOLL_FREE, Accounts, Caller

CAT = "https://example.com/cat.png"
ABROAD = "+447400123456"
URL_OF_2001 = "https://example.com/" + "x" * 1981
POOL = NumberPool(long_code_weight=1, toll_free_weight=0, skip_unhealthy=False)

# Fields in place of the example's own, and what is answered. `from_` stands for `from`; None leaves a field out.
REFUSALS: dict[str, tuple[dict[str, Any], tuple[int, str, str]]] = {
    "no destination": ({"to": None}, (400, "10004", "/to")),
    "blank destination": ({"to": ""}, (400, "10004", "/to")),
    "no destination in the list": ({"to": []}, (400, "40310", "/to")),
    "two destinations": ({"to": [TO, "+18665550002"]}, (400, "40310", "/to")),
    "destination without plus": ({"to": "18665550001"}, (400, "40310", "/to")),
    "impossible destination": ({"to": "+1866555"}, (400, "40310", "/to")),
    "alphanumeric destination": ({"to": "Heliograph"}, (400, "40310", "/to")),
    "source and destination identical": ({"to": TOLL_FREE}, (400, "40310", "/to")),
    "no sender and no profile": ({"from_": None}, (400, "10004", "/from")),
    "malformed sender": ({"from_": "+1 844 555"}, (400, "40305", "/from")),
    "sender of 12 letters": ({"from_": "Heliographer"}, (400, "40305", "/from")),
    "sender of digits and no letter": ({"from_": "1234567"}, (400, "40305", "/from")),
    "somebody else's number": ({"from_": "+13125559999"}, (400, "40305", "/from")),
    "somebody else's short code": ({"from_": "99999"}, (400, "40305", "/from")),
    "alphanumeric sender without profile": ({"from_": ALPHANUMERIC}, (400, "10004", "/messaging_profile_id")),
    "unknown profile": ({"messaging_profile_id": NO_SUCH_ID}, (422, "10017", "/messaging_profile_id")),
    "malformed profile": ({"messaging_profile_id": "mine"}, (422, "10017", "/messaging_profile_id")),
    "nothing to say": ({"text": None}, (400, "40316", "/text")),
    "empty text": ({"text": ""}, (400, "40316", "/text")),
    "subject only": ({"text": None, "subject": "From Telnyx!"}, (400, "40316", "/text")),
    "unknown type": ({"type": "FAX"}, (400, "10032", "/type")),
    "SMS with media": ({"type": "SMS", "media_urls": [CAT]}, (400, "40304", "/media_urls")),
    "MMS with text alone": ({"type": "MMS"}, (400, "40304", "/media_urls")),
    "eleven media": ({"media_urls": [CAT] * 11}, (400, "40317", "/media_urls")),
    "media that is no URL": ({"media_urls": [CAT, "cat.png"]}, (400, "10003", "/media_urls/1")),
    "media by FTP": ({"media_urls": ["ftp://example.com/cat.png"]}, (400, "10003", "/media_urls/0")),
    "webhook that is no URL": ({"webhook_url": "hooks"}, (400, "10003", "/webhook_url")),
    "webhook of 2,001 characters": ({"webhook_url": URL_OF_2001}, (400, "10003", "/webhook_url")),
    "failover that is no URL": ({"webhook_failover_url": "//x"}, (400, "10003", "/webhook_failover_url")),
    "unknown encoding": ({"encoding": "utf-8"}, (400, "10032", "/encoding")),
    "what GSM-7 cannot say": ({"encoding": "gsm7", "text": "Hello 😀"}, (400, "10015", "/text")),
    "nothing left by smart encoding": ({"encoding": "gsm7", "text": "\u200b\u2060"}, (400, "40316", "/text")),
    "eleven parts of GSM-7": ({"text": "x" * 1531}, (400, "40302", "/text")),
    "eleven parts of UTF-16": ({"text": "д" * 671}, (400, "40302", "/text")),
    "a long text with auto_detect": ({"text": "x" * 1530, "auto_detect": True}, (400, "40328", "/text")),
    "MMS abroad": ({"media_urls": [CAT], "to": ABROAD}, (400, "40301", "/to")),
}

ENDPOINTS: dict[str, tuple[str, dict[str, Any], tuple[int, str, str]]] = {
    "long code from none": ("long_code", {"from_": None}, (400, "10004", "/from")),
    "long code from a short one": ("long_code", {"from_": SHORT_CODE}, (400, "40305", "/from")),
    "long code from a name": ("long_code", {"from_": ALPHANUMERIC}, (400, "40305", "/from")),
    "short code from a number": ("short_code", {}, (400, "40305", "/from")),
    "pool of no profile": ("number_pool", {"from_": None}, (400, "10004", "/messaging_profile_id")),
    "group of none": ("group_mms", {"to": []}, (400, "40310", "/to")),
    "group of nine": ("group_mms", {"to": [f"+1866555{n:04d}" for n in range(9)]}, (400, "40310", "/to")),
    "group with one twice": ("group_mms", {"to": [TO, TO]}, (400, "40310", "/to")),
    "group abroad": ("group_mms", {"to": [TO, ABROAD]}, (400, "40301", "/to")),
    "group with the sender": ("group_mms", {"to": [TO, TOLL_FREE]}, (400, "40310", "/to")),
    "name of no profile": ("alphanumeric_sender_id", {"from_": "Acme"}, (400, "10004", "/messaging_profile_id")),
}

# Text, what it is answered as, parts, characters (Contract 5.1, 5.2).
PARTS: dict[str, tuple[str, str, int, int]] = {
    "one part of GSM-7": ("x" * 160, "GSM-7", 1, 160),
    "two parts of GSM-7": ("x" * 161, "GSM-7", 2, 161),
    "ten parts of GSM-7": ("x" * 1530, "GSM-7", 10, 1530),
    "one part with extension characters": ("€" * 80, "GSM-7", 1, 80),
    "two parts with extension characters": ("€" * 81, "GSM-7", 2, 81),
    "one part of UTF-16": ("д" * 70, "UCS-2", 1, 70),
    "two parts of UTF-16": ("д" * 71, "UCS-2", 2, 71),
    "ten parts of UTF-16": ("д" * 670, "UCS-2", 10, 670),
    "one part of emoji": ("😀" * 35, "UCS-2", 1, 35),
    "two parts of emoji": ("😀" * 36, "UCS-2", 2, 36),
}


@pytest.fixture
def profile(accounts: Accounts) -> Any:
    """The profile that every sandbox begins with."""
    return accounts.sandbox()[1]


def profile_with(accounts: Accounts, **settings: Any) -> tuple[str, str]:
    """A new profile with these settings and one long code: its id, and the number."""
    organization, _ = accounts.sandbox()
    made = accounts.profile(organization, **settings)
    return made.id, accounts.sender(made)


@on_one_database
@pytest.mark.parametrize(("fields", "expected"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_sent_is_refused_and_pointed_at(
    call: Caller, fields: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    assert call.send(**fields).refusal == expected


@on_one_database
@pytest.mark.parametrize(("endpoint", "fields", "expected"), ENDPOINTS.values(), ids=ENDPOINTS)
def test_each_endpoint_refuses_what_is_not_its_own(
    call: Caller, endpoint: str, fields: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    assert call.send(f"/v2/messages/{endpoint}", **fields).refusal == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"whitelisted_destinations": ("CA", "GB")}, (400, "40309", "/to")),
        ({"whitelisted_destinations": ()}, (400, "40331", "/to")),
        ({"enabled": False}, (403, "40312", "/messaging_profile_id")),
    ],
)
def test_a_profile_may_forbid_a_message(
    accounts: Accounts, call: Caller, settings: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    _, number = profile_with(accounts, **settings)
    assert call.send(from_=number).refusal == expected


def test_a_profile_lets_through_what_is_on_its_list(accounts: Accounts, call: Caller) -> None:
    _, number = profile_with(accounts, whitelisted_destinations=("GB", "US"))
    assert [call.send(from_=number, to=to).status for to in (TO, ABROAD)] == [200, 200]


def test_a_number_of_another_profile_is_refused(accounts: Accounts, call: Caller) -> None:
    profile_id, _ = profile_with(accounts)
    assert call.send(messaging_profile_id=profile_id).refusal == (400, "40305", "/from")


def test_a_number_of_another_organisation_is_refused(stranger: Caller) -> None:
    assert stranger.send().refusal == (400, "40305", "/from")


def test_a_profile_of_another_organisation_does_not_exist(stranger: Caller, profile: Any) -> None:
    answer = stranger.send(from_=None, messaging_profile_id=profile.id)
    assert answer.refusal == (422, "10017", "/messaging_profile_id")


def test_a_number_sends_with_its_own_profile(accounts: Accounts, call: Caller) -> None:
    profile_id, number = profile_with(accounts)
    assert call.send(from_=number).data["messaging_profile_id"] == profile_id


def test_a_pool_picks_a_number_and_shows_it(accounts: Accounts, call: Caller) -> None:
    profile_id, number = profile_with(accounts, number_pool_settings=POOL)
    for path in ("/v2/messages", "/v2/messages/number_pool"):
        assert call.send(path, from_=None, messaging_profile_id=profile_id).data["from"]["phone_number"] == number


@pytest.mark.parametrize("pool", [None, NumberPool(0, 0, skip_unhealthy=False)], ids=["off", "empty"])
def test_a_pool_with_nothing_to_pick_is_refused(accounts: Accounts, call: Caller, pool: NumberPool | None) -> None:
    profile_id, _ = profile_with(accounts, number_pool_settings=pool)
    assert call.send(from_=None, messaging_profile_id=profile_id).refusal == (400, "40321", "/from")


def test_a_short_code_sends(accounts: Accounts, call: Caller, profile: Any) -> None:
    number = accounts.sender(profile, "54321")
    for path in ("/v2/messages", "/v2/messages/short_code"):
        assert call.send(path, from_=number).data["from"]["phone_number"] == number


def test_a_short_code_is_a_destination(call: Caller) -> None:
    assert call.send(to="12345").data["to"][0]["phone_number"] == "12345"


def test_an_alphanumeric_sender_sends_abroad(accounts: Accounts, call: Caller) -> None:
    profile_id, _ = profile_with(accounts, alpha_sender=ALPHANUMERIC)
    for path in ("/v2/messages", "/v2/messages/alphanumeric_sender_id"):
        message = call.send(path, from_=ALPHANUMERIC, to=ABROAD, messaging_profile_id=profile_id).data
        assert (message["from"]["phone_number"], message["type"]) == (ALPHANUMERIC, "SMS")


@pytest.mark.parametrize(
    ("configured", "fields", "expected"),
    [
        (None, {}, (400, "40306", "/from")),
        ("Acme", {}, (400, "40307", "/from")),
        (ALPHANUMERIC, {"to": TO}, (400, "40301", "/to")),
        (ALPHANUMERIC, {"media_urls": [CAT]}, (400, "40308", "/from")),
    ],
)
def test_an_alphanumeric_sender_has_limits(
    accounts: Accounts,
    call: Caller,
    configured: str | None,
    fields: dict[str, Any],
    expected: tuple[int, str, str],
) -> None:
    profile_id, _ = profile_with(accounts, alpha_sender=configured)
    wanted = {"from_": ALPHANUMERIC, "to": ABROAD, "messaging_profile_id": profile_id, **fields}
    assert call.send(**wanted).refusal == expected


def test_a_number_from_elsewhere_cannot_send_mms(accounts: Accounts, call: Caller) -> None:
    organization, _ = accounts.sandbox()
    number = accounts.sender(accounts.profile(organization), "+447400123450")
    assert call.send(from_=number, media_urls=[CAT]).refusal == (400, "40308", "/from")


@on_one_database
@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, "SMS"),
        ({"type": "SMS", "subject": "From Telnyx!"}, "SMS"),
        ({"media_urls": [CAT]}, "MMS"),
        ({"media_urls": [CAT], "text": None}, "MMS"),
        ({"media_urls": [CAT] * 10, "type": "MMS"}, "MMS"),
        ({"type": "MMS", "subject": "From Telnyx!"}, "MMS"),
        ({"media_urls": []}, "SMS"),
    ],
)
def test_the_type_follows_from_the_content(call: Caller, fields: dict[str, Any], kind: str) -> None:
    assert call.send(**fields).data["type"] == kind


def test_media_are_listed_with_what_is_not_known_yet(call: Caller) -> None:
    message = call.send(media_urls=[CAT]).data
    assert message["media"] == [{"url": CAT, "content_type": None, "sha256": None, "size": None}]
    assert list(message["media"][0]) == ["url", "content_type", "sha256", "size"]


def test_a_subject_is_absent_from_an_sms_without_one(call: Caller) -> None:
    assert "subject" not in call.send().data
    assert call.send(subject="From Telnyx!", media_urls=[CAT]).data["subject"] == "From Telnyx!"


@on_one_database
@pytest.mark.parametrize(("text", "encoding", "parts", "characters"), PARTS.values(), ids=PARTS)
def test_a_text_is_encoded_and_counted(call: Caller, text: str, encoding: str, parts: int, characters: int) -> None:
    message = call.send(text=text).data
    assert (message["encoding"], message["parts"], message["num_chars"]) == (encoding, parts, characters)
    assert message["text"] == text


def test_a_price_is_for_all_parts(call: Caller) -> None:
    assert call.send(text="x" * 1530).data["cost"] == {"amount": "0.0510", "currency": "USD"}


@on_one_database
@pytest.mark.parametrize(
    ("smart", "encoding", "answered"),
    [
        (True, None, ("GSM-7", True)),
        (True, "auto", ("GSM-7", True)),
        (False, None, ("UCS-2", False)),
        (False, "auto", ("UCS-2", False)),
        (False, "gsm7", ("GSM-7", True)),
        (True, "ucs2", ("UCS-2", False)),
    ],
)
def test_smart_encoding_is_the_profiles_choice_unless_the_request_makes_one(
    accounts: Accounts, call: Caller, smart: bool, encoding: str | None, answered: tuple[str, bool]
) -> None:
    _, number = profile_with(accounts, smart_encoding=smart)
    message = call.send(from_=number, text="“Hello” – world…", encoding=encoding).data
    assert (message["encoding"], message["smart_encoding_applied"]) == answered
    assert message["text"] == "“Hello” – world…"


def test_scheduling_takes_an_encoding_too(call: Caller) -> None:
    message = call.send("/v2/messages/schedule", send_at=call.time(hours=1), encoding="ucs2").data
    assert message["encoding"] == "UCS-2"


def test_a_handset_gets_the_substituted_text_and_the_caller_keeps_the_original(
    accounts: Accounts, call: Caller
) -> None:
    _, number = profile_with(accounts, smart_encoding=True)
    message = call.send(from_=number, to="+18665550777", text="“Hello”").data
    call.settle()
    (arrived,) = [each for each in call.handset("+18665550777") if each["message_id"] == message["id"]]
    assert (arrived["text"], call.read(message["id"])["text"]) == ('"Hello"', "“Hello”")


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({}, ("https://p.example/1", "https://p.example/2")),
        ({"webhook_url": "https://m.example/1"}, ("https://m.example/1", "")),
        ({"use_profile_webhooks": False}, ("", "")),
    ],
)
def test_the_webhooks_that_will_be_called_are_shown(
    accounts: Accounts, call: Caller, fields: dict[str, Any], shown: tuple[str | None, str | None]
) -> None:
    hooks = {"webhook_url": "https://p.example/1", "webhook_failover_url": "https://p.example/2"}
    _, number = profile_with(accounts, **hooks)
    message = call.send(from_=number, **fields).data
    assert (message["webhook_url"], message["webhook_failover_url"]) == shown


def test_a_number_brings_its_tags_and_its_campaign(accounts: Accounts, call: Caller, profile: Any) -> None:
    number = accounts.sender(profile, tags=("Greetings", "Alerts"), campaign="TCPA3X7")
    message = call.send(from_=number).data
    assert message["tags"] == ["Greetings", "Alerts"]
    campaign = [message[f"tcr_campaign_{each}"] for each in ("id", "billable", "registered")]
    assert campaign == ["TCPA3X7", True, "REGISTERED"]


def test_a_group_has_one_id_and_an_answer_for_each_recipient(call: Caller) -> None:
    recipients = [TO, "+18665550002", "+14155551234"]
    group = call.send("/v2/messages/group_mms", to=recipients).data
    assert group["group_message_id"] == group["id"]
    assert [(to["phone_number"], to["status"]) for to in group["to"]] == [(each, "queued") for each in recipients]
    each = call("GET", f"/v2/messages/group/{group['id']}").data
    assert [message["to"][0]["phone_number"] for message in each] == recipients
    assert len({message["id"] for message in each}) == 3


def test_a_message_of_no_group_is_none(call: Caller) -> None:
    message = call.send().data
    assert call("GET", f"/v2/messages/group/{message['id']}").refusal == (404, "10005", "/id")


def test_unknown_fields_are_passed_over(call: Caller) -> None:
    assert call.send(colour="red", messaging_profile={"id": 7}).status == 200


@on_one_database
@pytest.mark.parametrize("name", ["messaging_profile_id", "subject", "media_urls", "type", "webhook_url", "encoding"])
def test_null_is_as_if_the_field_were_absent(call: Caller, name: str) -> None:
    body = {"from": TOLL_FREE, "to": TO, "text": "Hello, World!", name: None}
    assert call("POST", "/v2/messages", body).status == 200
