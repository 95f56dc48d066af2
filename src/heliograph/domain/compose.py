"""From a request to a message: every rule about what may be sent.

    SendCommand --draft--> Draft --compose--> Message

`draft` checks what the request alone decides; `compose` adds the sender and the profile that were looked up for it.
Both raise a `Refusal` that names the field.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

import msgspec

from heliograph.domain.accounts import ANYWHERE, Profile, Sender
from heliograph.domain.address import Address, AddressKind, BadAddress, parse_destination, parse_sender
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import MessageId
from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import born
from heliograph.domain.message import Facts, Media, Message, MessageType
from heliograph.domain.numbers import NumberDirectory
from heliograph.domain.pricing import RateDeck
from heliograph.domain.routing import NO_ALPHANUMERIC
from heliograph.domain.schedule import read_send_at
from heliograph.domain.text import (
    MAX_PARTS,
    Encoded,
    Encoding,
    NotGsm7,
    NothingLeft,
    RequestedEncoding,
    encode,
    is_gsm7,
)

MAX_URL = 2_000
MAX_MEDIA = 10
MAX_GROUP = 8
LONG_SMS_PARTS = 5
"""Above this `auto_detect` refuses; the provider has not published its figure (Contract 4.3)."""
MMS_COUNTRIES = frozenset({"US", "CA"})


_TYPES = frozenset({None, *MessageType})


class Form(StrEnum):
    """Which of the send endpoints was called (Contract 4.1)."""

    ANY = "/messages"
    SCHEDULE = "/messages/schedule"
    LONG_CODE = "/messages/long_code"
    SHORT_CODE = "/messages/short_code"
    NUMBER_POOL = "/messages/number_pool"
    GROUP_MMS = "/messages/group_mms"
    ALPHANUMERIC = "/messages/alphanumeric_sender_id"


class SendCommand(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request to send, its fields typed but not judged. None stands for absent and for null."""

    form: Form
    to: str | Sequence[str] | None
    sender: str | None = None
    profile_id: str | None = None
    text: str | None = None
    subject: str | None = None
    media_urls: Sequence[str] | None = None
    type: str | None = None
    webhook_url: str | None = None
    webhook_failover_url: str | None = None
    use_profile_webhooks: bool = True
    auto_detect: bool = False
    encoding: str | None = None
    send_at: str | None = None


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A request whose own fields are in order."""

    command: SendCommand
    recipients: tuple[Address, ...]
    sender: Address | None
    type: MessageType
    media: tuple[Media, ...]
    send_at: Instant | None


@dataclass(frozen=True, slots=True)
class Tables:
    """What a message is priced and described by."""

    rates: RateDeck
    directory: NumberDirectory


def draft(command: SendCommand) -> Draft:
    """Check the fields of a request against each other; raises a `Refusal`."""
    recipients = _recipients(command)
    sender = _sender(command)
    if any(sender is not None and each.text == sender.text for each in recipients):
        detail = f"Source and destination are identical: {recipients[0].text}."
        raise Refusal(Code.INVALID_TO, detail, "/to")
    check_url(command.webhook_url, "/webhook_url")
    check_url(command.webhook_failover_url, "/webhook_failover_url")
    media = _media(command)
    return Draft(command, recipients, sender, _type(command, media), media, _send_at(command))


def without_media(draft: Draft, profile: Profile) -> Draft:
    """An MMS as an SMS that names its media by their links, as `mms_fall_back_to_sms` asks (Contract 6.1).

    Raises a `Refusal` when the profile does not ask for it, or for a group, whose answers go to everybody.
    """
    command = draft.command
    if not profile.settings.mms_fall_back_to_sms or command.form is Form.GROUP_MMS:
        detail = "No carrier that leads there carries MMS, and the messaging profile does not fall back to SMS."
        raise Refusal(Code.UNSUPPORTED_TYPE, detail, "/to")
    lines = [each for each in (command.subject, command.text, *(media.url for media in draft.media)) if each]
    plain = msgspec.structs.replace(command, text="\n".join(lines), subject=None, media_urls=None, type=MessageType.SMS)
    return msgspec.structs.replace(draft, command=plain, type=MessageType.SMS, media=())


def compose(
    draft: Draft,
    sender: Sender,
    profile: Profile,
    tables: Tables,
    now: Instant,
    validity: int,
    ids: Sequence[str],
    texts: Sequence[str] | None = None,
) -> list[Message]:
    """The messages of a draft: one for each recipient, in order, with the ids given. Raises a `Refusal`.

    `validity` is how long a message may wait once it is due, in microseconds. `texts` are what is to go out in place of
    the caller's text, for each recipient: its links are replaced. The parts are those of what goes out.
    """
    _check_profile(profile, sender)
    encodings = [_encode(draft, each, profile) for each in texts or [draft.command.text or ""]]
    group = MessageId(ids[0]) if draft.command.form is Form.GROUP_MMS else None
    due = now if draft.send_at is None else draft.send_at
    messages = []
    for index, (recipient, message_id) in enumerate(zip(draft.recipients, ids, strict=True)):
        encoded = encodings[index if texts else 0]
        _check_destination(recipient, profile)
        _check_mobile(recipient, profile, tables.directory)
        _check_pair(draft, sender, recipient)
        price = tables.rates.price(recipient.text, draft.type, encoded.parts)
        message = Message(
            id=MessageId(message_id),
            organization_id=profile.organization_id,
            profile_id=profile.id,
            group_id=group,
            type=draft.type,
            status=born(scheduled=draft.send_at is not None),
            sender=sender.address,
            recipient=recipient.text,
            text=draft.command.text,
            parts=encoded.parts,
            rate=price.rate,
            carrier_fee=price.carrier_fee,
            received_at=now,
            send_at=draft.send_at,
            due_at=due,
            valid_until=Instant(due + validity),
            facts=_facts(draft, sender, profile, encoded, recipient, tables),
        )
        messages.append(message)
    return messages


def _recipients(command: SendCommand) -> tuple[Address, ...]:
    if command.to is None or command.to == "":
        raise _missing("to")
    try:
        if command.form is not Form.GROUP_MMS:
            return (parse_destination(command.to),)
        return _group(command.to)
    except BadAddress as error:
        raise Refusal(Code.INVALID_TO, str(error), "/to") from None


def _group(to: str | Sequence[str]) -> tuple[Address, ...]:
    """The recipients of a group MMS: 1 to 8 different numbers of the US or Canada (Contract 4.4)."""
    listed = [to] if isinstance(to, str) else to
    if not 1 <= len(listed) <= MAX_GROUP:
        raise BadAddress(f"A group has 1 to {MAX_GROUP} recipients, got {len(listed)}.")
    recipients = tuple(parse_destination(each) for each in listed)
    if len({each.text for each in recipients}) != len(recipients):
        raise BadAddress("A recipient is listed twice.")
    return recipients


def _sender(command: SendCommand) -> Address | None:
    form = command.form
    if form is Form.NUMBER_POOL or not command.sender:
        if form in _REQUIRED_KINDS:
            raise _missing("from")
        if not command.profile_id:
            raise _missing("messaging_profile_id") if form is Form.NUMBER_POOL else _no_sender()
        return None
    if form is Form.ALPHANUMERIC and not command.profile_id:
        raise _missing("messaging_profile_id")
    try:
        address = parse_sender(command.sender)
    except BadAddress as error:
        raise Refusal(Code.INVALID_FROM, str(error), "/from") from None
    if form in _REQUIRED_KINDS and address.kind not in _REQUIRED_KINDS[form]:
        wanted = " or ".join(kind.replace("_", " ") for kind in _REQUIRED_KINDS[form])
        got = address.kind.replace("_", " ")
        raise Refusal(Code.INVALID_FROM, f"{form.value} sends from a {wanted}; {address.text} is a {got}.", "/from")
    return address


_REQUIRED_KINDS = {
    Form.LONG_CODE: (AddressKind.LONG_CODE, AddressKind.TOLL_FREE),
    Form.SHORT_CODE: (AddressKind.SHORT_CODE,),
    Form.ALPHANUMERIC: (AddressKind.ALPHANUMERIC,),
    Form.GROUP_MMS: (AddressKind.LONG_CODE, AddressKind.TOLL_FREE),
}


def _media(command: SendCommand) -> tuple[Media, ...]:
    urls = command.media_urls or ()
    if len(urls) > MAX_MEDIA:
        raise Refusal(Code.INVALID_MMS, f"At most {MAX_MEDIA} media URLs, got {len(urls)}.", "/media_urls")
    for index, url in enumerate(urls):
        check_url(url, f"/media_urls/{index}")
    return tuple(Media(url) for url in urls)


def _type(command: SendCommand, media: tuple[Media, ...]) -> MessageType:
    """SMS or MMS, inferred from the content when `type` is absent (Contract 4.3).

    A subject alone does not make an MMS: the cancel page shows an SMS with one.
    """
    if command.type not in _TYPES:
        raise Refusal(Code.INVALID_ENUM, f"'type' must be SMS or MMS, got '{command.type:.32}'.", "/type")
    if not command.text and not media:
        if command.form is Form.ALPHANUMERIC:
            raise _missing("text")
        raise Refusal(Code.NO_CONTENT, "Give 'text', 'media_urls' or both.", "/text")
    if command.form is Form.GROUP_MMS:
        return MessageType.MMS
    if command.form is Form.ALPHANUMERIC or (command.type == MessageType.SMS and media):
        if media:
            raise Refusal(Code.CONTENT_MIX, "An SMS has a text and no 'media_urls'.", "/media_urls")
        return MessageType.SMS
    if command.type == MessageType.MMS and not media and not command.subject:
        raise Refusal(Code.CONTENT_MIX, "An MMS has 'media_urls', a 'subject' or both.", "/media_urls")
    return MessageType(command.type) if command.type else MessageType.MMS if media else MessageType.SMS


def _send_at(command: SendCommand) -> Instant | None:
    if command.send_at is None:
        if command.form is Form.SCHEDULE:
            raise _missing("send_at")
        return None
    if command.form not in {Form.ANY, Form.SCHEDULE}:
        # Ignoring the field, as unknown ones are, would send at once what was meant for later.
        detail = f"{command.form.value} cannot schedule: use /messages or /messages/schedule."
        raise Refusal(Code.BAD_REQUEST, detail, "/send_at")
    return read_send_at(command.send_at)


def _check_profile(profile: Profile, sender: Sender) -> None:
    if not profile.settings.enabled:
        raise Refusal(Code.PROFILE_DISABLED, f"Messaging profile {profile.id} is disabled.", "/messaging_profile_id")
    if sender.profile_id != profile.id:
        detail = f"{sender.address} does not belong to messaging profile {profile.id}."
        raise Refusal(Code.INVALID_FROM, detail, "/from")


def _check_destination(recipient: Address, profile: Profile) -> None:
    allowed = profile.settings.whitelisted_destinations
    if not allowed:
        detail = f"Messaging profile {profile.id} has no whitelisted destinations."
        raise Refusal(Code.NO_DESTINATIONS, detail, "/to")
    if ANYWHERE in allowed or recipient.kind is AddressKind.SHORT_CODE or recipient.country in allowed:
        return
    region = recipient.country or "unknown"
    detail = f"Region {region} of {recipient.text} is not among the profile's destinations: {', '.join(allowed)}."
    raise Refusal(Code.INVALID_REGION, detail, "/to")


def _check_mobile(recipient: Address, profile: Profile, directory: NumberDirectory) -> None:
    """Under `mobile_only` what is known not to be a mobile is refused; of most +1 numbers nobody knows offline."""
    if profile.settings.mobile_only and directory.mobile(recipient.text) is False:
        detail = f"{recipient.text} is not a mobile number, and messaging profile {profile.id} sends to mobiles only."
        raise Refusal(Code.UNSUPPORTED_TYPE, detail, "/to")


def _check_pair(draft: Draft, sender: Sender, recipient: Address) -> None:
    """Whether this kind of sender may send this kind of message there (Contract 4.2, 4.3)."""
    if sender.address == recipient.text:
        raise Refusal(Code.INVALID_TO, f"Source and destination are identical: {recipient.text}.", "/to")
    if sender.kind is AddressKind.ALPHANUMERIC:
        if draft.type is MessageType.MMS:
            raise Refusal(Code.INVALID_FROM_FOR_MMS, "An alphanumeric sender cannot send MMS.", "/from")
        if recipient.country in NO_ALPHANUMERIC or recipient.kind is AddressKind.SHORT_CODE:
            where = recipient.country or "a short code"
            raise Refusal(Code.UNSUPPORTED_TYPE, f"An alphanumeric sender cannot send to {where}.", "/to")
    if draft.type is MessageType.MMS:
        if sender.kind is not AddressKind.SHORT_CODE and sender.country not in MMS_COUNTRIES:
            detail = f"MMS is sent from numbers of the US and Canada; {sender.address} is of {sender.country}."
            raise Refusal(Code.INVALID_FROM_FOR_MMS, detail, "/from")
        if recipient.country not in MMS_COUNTRIES:
            detail = f"{sender.address} cannot send MMS to {recipient.text}: MMS reaches the US and Canada."
            raise Refusal(Code.UNSUPPORTED_TYPE, detail, "/to")


def _encode(draft: Draft, text: str, profile: Profile) -> Encoded:
    requested = _requested_encoding(draft.command.encoding)
    if draft.type is MessageType.MMS:
        return Encoded(text, Encoding.GSM7 if is_gsm7(text) else Encoding.UCS2, 1, len(text), False)
    try:
        encoded = encode(text, requested, profile.settings.smart_encoding)
    except NotGsm7 as error:
        left = " ".join(f"U+{ord(each):04X}" for each in error.characters)
        raise Refusal(Code.BAD_REQUEST, f"Not in the GSM-7 alphabet: {left}.", "/text") from None
    except NothingLeft:
        raise Refusal(Code.NO_CONTENT, "Smart encoding leaves nothing of the text.", "/text") from None
    _check_parts(encoded.parts, draft.command.auto_detect)
    return encoded


def _requested_encoding(value: str | None) -> RequestedEncoding:
    try:
        return RequestedEncoding(value or RequestedEncoding.AUTO)
    except ValueError:
        detail = f"'encoding' must be auto, gsm7 or ucs2, got '{value!s:.32}'."
        raise Refusal(Code.INVALID_ENUM, detail, "/encoding") from None


def _check_parts(parts: int, auto_detect: bool) -> None:
    if parts > MAX_PARTS:
        raise Refusal(Code.TOO_LARGE, f"The message needs {parts} parts; the limit is {MAX_PARTS}.", "/text")
    if auto_detect and parts > LONG_SMS_PARTS:
        detail = f"The message needs {parts} parts; above {LONG_SMS_PARTS} send an MMS, or set auto_detect to false."
        raise Refusal(Code.UNUSUALLY_LONG, detail, "/text")


def _facts(
    draft: Draft, sender: Sender, profile: Profile, encoded: Encoded, recipient: Address, tables: Tables
) -> Facts:
    command = draft.command
    number = tables.directory.facts(recipient.text)
    own = command.webhook_url is not None or command.webhook_failover_url is not None
    webhooks: tuple[str | None, str | None] = (None, None)
    if own:
        webhooks = (command.webhook_url, command.webhook_failover_url)
    elif command.use_profile_webhooks:
        webhooks = (profile.settings.webhook_url, profile.settings.webhook_failover_url)
    campaign = sender.campaign
    return Facts(
        encoding=encoded.encoding,
        num_chars=len(command.text or ""),
        body=encoded.text if encoded.text != (command.text or "") else None,
        smart_encoding_applied=encoded.smart_encoding_applied,
        subject=command.subject,
        media=draft.media,
        tags=sender.tags,
        from_carrier=sender.carrier,
        from_line_type=sender.line_type,
        to_carrier=number.carrier,
        to_line_type=number.line_type,
        campaign_id=campaign.id if campaign else None,
        campaign_billable=campaign.billable if campaign else False,
        campaign_registered=campaign.registered if campaign else None,
        campaign_class=campaign.message_class if campaign else None,
        webhook_url=webhooks[0],
        webhook_failover_url=webhooks[1],
        own_webhooks=own,
        use_profile_webhooks=command.use_profile_webhooks,
        currency=tables.rates.currency,
    )


def check_url(url: str | None, pointer: str) -> None:
    """Raise a `Refusal` unless `url` is None or an http or https URL of at most 2,000 characters (10003)."""
    if url is None:
        return
    if len(url) > MAX_URL:
        raise Refusal(Code.INVALID_URL, f"A URL has at most {MAX_URL} characters, got {len(url)}.", pointer)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if usable and "@" in parts.netloc:
        raise Refusal(Code.INVALID_URL, f"A URL with a user name is not called: '{url[:64]}'.", pointer)
    if not usable or not url.isprintable() or " " in url:
        raise Refusal(Code.INVALID_URL, f"Not an http or https URL: '{url[:64]}'.", pointer)


def _missing(name: str) -> Refusal:
    return Refusal(Code.MISSING_PARAMETER, f"The '{name}' parameter is required and cannot be blank.", f"/{name}")


def _no_sender() -> Refusal:
    detail = "Give 'from', or 'messaging_profile_id' to send from its number pool."
    return Refusal(Code.MISSING_PARAMETER, detail, "/from")
