"""What is hidden of messages of a profile with redaction on (Contract 6.1, `redaction_enabled`, `redaction_level`).

The message itself goes out whole, and so do its webhooks: hidden is what is read afterwards. The provider does not say
what its levels are. Ours: 1 hides the person's number; 2, the provider's default, what was written too; 0 nothing.
"""

from re import compile as regex
from typing import Any

import msgspec

from heliograph.domain.accounts import ProfileSettings
from heliograph.domain.inbound import InboundMessage
from heliograph.domain.lifecycle import FINAL
from heliograph.domain.message import DeliveryError, Message

HIDDEN = 6
"""How many of the last characters of a number are hidden, as in the contract's `+447766****` (Contract 7.3)."""
MASK = "****"
NUMBERS, CONTENT = 1, 2
"""Levels: what each hides, besides what those below it do."""
_NUMBER = regex(r"\+\d{7,15}")


def hide_number(number: str) -> str:
    """A number without its end, and without telling how long that was; of a short code nothing is left."""
    return number[:-HIDDEN] + MASK


def hide_numbers(text: str) -> str:
    """A sentence of ours with every number in it hidden."""
    return _NUMBER.sub(lambda match: hide_number(match[0]), text)


def level(settings: ProfileSettings | None) -> int:
    """How much is hidden; 0 for nothing."""
    return settings.redaction_level if settings is not None and settings.redaction_enabled else 0


def redacted(message: Message, settings: ProfileSettings | None) -> Message:
    """A message as it may be shown: once it is final, without what its profile hides."""
    wanted = level(settings)
    if wanted < NUMBERS or message.status not in FINAL:
        return message
    hidden = msgspec.structs.replace(
        message, recipient=hide_number(message.recipient), errors=tuple(map(_hide_error, message.errors))
    )
    if wanted < CONTENT:
        return hidden
    facts = message.facts
    bare = msgspec.structs.replace(
        facts,
        body=None if facts.body is None else MASK,
        subject=_hide(facts.subject),
        media=tuple(msgspec.structs.replace(each, url=MASK) for each in facts.media),
    )
    fetched = message.fetched
    if fetched is not None:
        fetched = tuple(msgspec.structs.replace(each, url=MASK) for each in fetched)
    return msgspec.structs.replace(hidden, text=_hide(message.text), facts=bare, fetched=fetched)


def redacted_inbound(message: InboundMessage, settings: ProfileSettings | None) -> InboundMessage:
    """The same of a message that came in: the person is its sender."""
    wanted = level(settings)
    if wanted < NUMBERS:
        return message
    given: dict[str, Any] = {"sender": hide_number(message.sender)}
    if wanted >= CONTENT:
        media = tuple(msgspec.structs.replace(each, url=MASK) for each in message.facts.media)
        facts = msgspec.structs.replace(message.facts, subject=_hide(message.facts.subject), media=media)
        given |= {"text": _hide(message.text), "facts": facts}
    return msgspec.structs.replace(message, **given)


def redacted_event(webhook: dict[str, Any], settings: ProfileSettings | None) -> dict[str, Any]:
    """An event as the record of its delivery may show it (Contract 3.3): what was sent stays as it is."""
    wanted = level(settings)
    if wanted < NUMBERS:
        return webhook
    payload = webhook.get("payload")
    if isinstance(payload, dict):
        return {**webhook, "payload": _hide_payload(payload, wanted)}
    return _hide_record(webhook, wanted) if "sms_id" in webhook else webhook


def _hide_record(record: dict[str, Any], wanted: int) -> dict[str, Any]:
    """A record of version 1 (Contract 3.8): it has no payload, and its body is a text or tells of one."""
    person = "from" if record.get("direction") == "inbound" else "to"
    shown = {**record, person: hide_number(str(record.get(person, "")))}
    if wanted >= CONTENT:
        body = record.get("body")
        hidden = {"text": MASK, "text_hash": MASK, "bytes_hash": MASK}
        shown["body"] = {**body, **hidden} if isinstance(body, dict) else MASK
        if isinstance(record.get("media"), list):
            shown["media"] = [{**each, "url": MASK} for each in record["media"]]
    return shown


def _hide_payload(payload: dict[str, Any], wanted: int) -> dict[str, Any]:
    shown = dict(payload)
    if payload.get("direction") == "inbound" and isinstance(payload.get("from"), dict):
        shown["from"] = _hide_person(payload["from"])
    elif isinstance(payload.get("to"), list):
        shown["to"] = [_hide_person(each) for each in payload["to"]]
    elif isinstance(payload.get("to"), str):  # of a click
        shown["to"] = hide_number(payload["to"])
    if isinstance(payload.get("errors"), list):
        shown["errors"] = [{**each, "detail": hide_numbers(str(each.get("detail", "")))} for each in payload["errors"]]
    if wanted >= CONTENT:
        shown |= {name: _hide(payload[name]) for name in ("text", "subject", "url") if payload.get(name)}
        if isinstance(payload.get("media"), list):
            shown["media"] = [{**each, "url": MASK} for each in payload["media"]]
    return shown


def _hide_person(person: dict[str, Any]) -> dict[str, Any]:
    return {**person, "phone_number": hide_number(str(person.get("phone_number", "")))}


def _hide_error(error: DeliveryError) -> DeliveryError:
    return msgspec.structs.replace(error, detail=hide_numbers(error.detail))


def _hide(text: str | None) -> str | None:
    return MASK if text else text
