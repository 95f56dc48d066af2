"""A message as the request that forwards it (Contract 4.1). Pure."""

from collections.abc import Mapping

import msgspec

from heliograph.carriers.interface import Refused
from heliograph.carriers.upstream_options import UpstreamOptions
from heliograph.carriers.upstream_webhooks import MESSAGE
from heliograph.domain.errors import Code
from heliograph.domain.message import Message, MessageType
from heliograph.domain.outcome import delivery_error
from heliograph.domain.text import Encoding

MESSAGES_PATH = "/messages"
_GROUP = f"{MESSAGES_PATH}/group_mms"
_ENCODINGS: Mapping[Encoding, str] = {Encoding.GSM7: "gsm7", Encoding.UCS2: "ucs2"}


class _Request(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The body of `POST /messages` (Contract 4.1)."""

    sender: str = msgspec.field(name="from")
    to: str | list[str]
    text: str | None = None
    subject: str | None = None
    media_urls: list[str] | None = None
    type: str | None = None
    encoding: str | None = None
    messaging_profile_id: str | None = None
    webhook_url: str | None = None
    use_profile_webhooks: bool | None = None


def path_of(message: Message) -> str:
    """Where it is posted to, behind the base URL.

    An MMS of a text alone is one in a group only (Contract 4.3): it goes to a group of one.
    """
    facts = message.facts
    bare = message.type is MessageType.MMS and not facts.media and not facts.subject
    return _GROUP if bare else MESSAGES_PATH


def body_of(message: Message, options: UpstreamOptions) -> bytes:
    """The body, as JSON. Raises `Refused` for a text that JSON cannot hold."""
    mms = message.type is MessageType.MMS
    group = path_of(message) == _GROUP
    request = _Request(
        sender=message.sender,
        to=[message.recipient] if group else message.recipient,
        text=message.body or None,
        # An SMS may have a subject here; there it would be a mix of contents (Contract 2.6, 40304).
        subject=(message.facts.subject or None) if mms else None,
        media_urls=[each.url for each in message.facts.media] or None,
        type=None if group else message.type.value,
        # The text is encoded already: named, it makes the parts there that were counted here (Contract 5.3).
        encoding=None if mms else _ENCODINGS[message.facts.encoding],
        messaging_profile_id=options.messaging_profile_id,
        webhook_url=callback_of(message, options),
        use_profile_webhooks=None if options.callback_url is None else False,
    )
    try:
        return msgspec.json.encode(request)
    except UnicodeEncodeError as error:
        detail = "The text holds half a character, which cannot be sent."
        raise Refused(delivery_error(Code.INVALID_BODY, detail)) from error


def callback_of(message: Message, options: UpstreamOptions) -> str | None:
    """Where the upstream is to report on it, with our id of it; None where it cannot reach us."""
    if options.callback_url is None:
        return None
    path = f"/carriers/{options.name}/webhooks?{MESSAGE}={message.id}"
    return options.callback_url.rstrip("/") + path
