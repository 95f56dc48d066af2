"""A message as `submit_sm`: its parts, and all that each says of itself.

message --outgoing_of--> Outgoing: addresses, parts --request--> submit_sm of one part, at the moment it leaves
"""

from datetime import UTC, datetime
from zlib import crc32

from msgspec import Struct

from heliograph.carriers.smpp.addressing import WireAddress
from heliograph.carriers.smpp.options import SmppOptions, Validity
from heliograph.carriers.smpp.parts import Part, divide
from heliograph.carriers.smpp.pdu import SubmitSm, Tag, Tlv, Tlvs, tlv_of_number
from heliograph.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant
from heliograph.domain.message import Message
from heliograph.domain.text import Encoded

V34 = 0x34
"""To a peer of an earlier version no optional parameter is sent (SMPP 3.4, 3.4) but what holds the message together."""
_LONGEST = 30 * DAY
_REFERENCES = 0x10000


class NoText(ValueError):
    """The message has no text."""


class ValidityOver(ValueError):
    """It is too late for the message to matter: no carrier is asked to deliver it within no time."""


class Outgoing(Struct, frozen=True):
    """One message on its way out."""

    source: WireAddress
    destination: WireAddress
    parts: tuple[Part, ...]
    reference: int
    """16 bits: the same for all its parts, and whoever sends the rest of them."""
    valid_until: Instant


def outgoing_of(message: Message, options: SmppOptions) -> Outgoing:
    """Make a message ready. Raises `NoText`, `TooLong` and `ValueError`s for what cannot be written."""
    if not message.body:
        raise NoText("It has no text.")
    facts = message.facts
    encoded = Encoded(message.body, facts.encoding, message.parts, facts.num_chars, facts.smart_encoding_applied)
    reference = reference_of(message.id)
    return Outgoing(
        options.addressing.of_sender(message.sender),
        options.addressing.of_recipient(message.recipient),
        tuple(divide(encoded, options.manner, reference)),
        reference,
        message.valid_until,
    )


def reference_of(message_id: str) -> int:
    """What tells the parts of a message from those of others between the same numbers.

    It follows from the id, and no counter is kept: another process or a later one may have to send what is missing of a
    message, and a handset puts together only what has one reference.
    """
    return crc32(message_id.encode()) % _REFERENCES


def request(outgoing: Outgoing, part: Part, options: SmppOptions, now: Instant, offset: int = 0) -> SubmitSm:
    """The PDU of one part, to leave at `now` of a clock that is `offset` ahead of the carrier's.

    Raises `ValidityOver`.
    """
    source, destination = outgoing.source, outgoing.destination
    return SubmitSm(
        service_type=options.service_type,
        source_addr_ton=source.ton,
        source_addr_npi=source.npi,
        source_addr=source.text,
        dest_addr_ton=destination.ton,
        dest_addr_npi=destination.npi,
        destination_addr=destination.text,
        esm_class=part.esm_class,
        validity_period=_validity(outgoing.valid_until, now, offset, options.validity),
        registered_delivery=options.registered_delivery,
        data_coding=part.data_coding,
        short_message=part.short_message,
        tlvs=_parameters(outgoing, part, options),
    )


def _parameters(outgoing: Outgoing, part: Part, options: SmppOptions) -> Tlvs:
    tlvs: list[Tlv] = []
    if part.message_payload is not None:
        tlvs.append((Tag.MESSAGE_PAYLOAD, part.message_payload))
    if part.sar is not None:
        tlvs.append(tlv_of_number(Tag.SAR_MSG_REF_NUM, part.sar.reference))
        tlvs.append(tlv_of_number(Tag.SAR_TOTAL_SEGMENTS, part.sar.total))
        tlvs.append(tlv_of_number(Tag.SAR_SEGMENT_SEQNUM, part.sar.number))
    if options.interface_version >= V34:
        if options.more_messages and part.total > 1:
            tlvs.append(tlv_of_number(Tag.MORE_MESSAGES_TO_SEND, int(part.more_to_come)))
        if options.message_reference:
            number = (outgoing.reference + part.number - 1) % _REFERENCES
            tlvs.append(tlv_of_number(Tag.USER_MESSAGE_REFERENCE, number))
    return tuple(tlvs)


def _validity(valid_until: Instant, now: Instant, offset: int, form: Validity) -> str:
    remaining = min(valid_until - now, _LONGEST)
    if remaining <= 0:
        raise ValidityOver("Its validity is over.")
    match form:
        case Validity.NONE:
            return ""
        case Validity.RELATIVE:
            return _relative(max(remaining, SECOND))
        case Validity.ABSOLUTE:
            until = datetime.fromtimestamp(-(-(now + remaining - offset) // SECOND), UTC)
            return until.strftime("%y%m%d%H%M%S") + "000+"


def _relative(micros: int) -> str:
    """Years and months stay 0: nobody agrees how long a month is."""
    days, rest = divmod(micros, DAY)
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    return f"0000{days:02}{hours:02}{minutes:02}{rest // SECOND:02}000R"
