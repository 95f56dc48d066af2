"""A text as a carrier takes it: one part or several, each with what a `submit_sm` says of it.

    udh8     each part begins with a header: 8-bit reference, how many, which (3GPP TS 23.040, 9.2.3.24.1)
    udh16    the same with a 16-bit reference (9.2.3.24.8), which costs one octet more
    sar      the carrier writes that header, from three parameters (SMPP 3.4, 5.3.2.22 to 24)
    payload  the carrier divides the text as well (SMPP 3.4, 5.3.2.32)

An SMS holds 140 octets, header included. What is in GSM 03.38 holds 160 septets there; over SMPP most carriers want
each of them in an octet of its own, so a part may be up to 160 octets long and is still one SMS.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from heliograph.carriers.smpp.encoding import (
    AS_SPECIFIED,
    Alphabet,
    Meanings,
    NotEncodable,
    data_coding_of,
    encode,
)
from heliograph.domain.text import Encoded, Encoding, septets, split, utf16_units

UDHI = 0x40
"""The bit of `esm_class` that says: the text begins with a header (SMPP 3.4, 5.2.12)."""
MAX_PARTS = 255
"""A header counts in one octet."""
MAX_PAYLOAD = 0xFFFF
"""Octets: the length of an optional parameter has 16 bits (SMPP 3.4, 3.2.4.1)."""

_SMS_OCTETS = 140


class LongMessages(StrEnum):
    """How a carrier wants a text that does not fit into one SMS."""

    UDH8 = "udh8"
    UDH16 = "udh16"
    SAR = "sar"
    PAYLOAD = "payload"


@dataclass(frozen=True, slots=True)
class Manner:
    """How a carrier wants messages."""

    long_messages: LongMessages = LongMessages.UDH8
    gsm7: Alphabet = Alphabet.GSM7
    """What a text of GSM-7 is written in: GSM 03.38, packed or not, ASCII or Latin-1."""
    meanings: Meanings = field(default_factory=lambda: AS_SPECIFIED)
    """What values of `data_coding` mean with it."""
    esm_class: int = 0
    """The mode bits of every part (SMPP 3.4, 5.2.12)."""


@dataclass(frozen=True, slots=True)
class Sar:
    """Values of `sar_msg_ref_num` (16 bits), `sar_total_segments` and `sar_segment_seqnum` (8 bits each, from 1)."""

    reference: int
    total: int
    number: int


@dataclass(frozen=True, slots=True)
class Part:
    """What one `submit_sm` carries. Exactly one of `short_message` and `message_payload` holds the text."""

    short_message: bytes
    esm_class: int
    data_coding: int
    number: int = 1
    """From 1, in the order of the text and of submitting."""
    total: int = 1
    sar: Sar | None = None
    message_payload: bytes | None = None

    @property
    def more_to_come(self) -> bool:
        """What `more_messages_to_send` says (SMPP 3.4, 5.3.2.34)."""
        return self.number < self.total


class TooLong(ValueError):
    """More than `MAX_PARTS` parts, or more than `MAX_PAYLOAD` octets."""


_HEADER_OCTETS: Mapping[LongMessages, int] = {
    LongMessages.UDH8: 6,
    LongMessages.UDH16: 7,
    # The carrier's header: it has 16 bits of reference and most write 8, as everybody divides.
    LongMessages.SAR: 6,
}
_SEPTETS_EACH = {Alphabet.GSM7, Alphabet.GSM7_PACKED, Alphabet.ASCII}
"""What a carrier puts on the air in septets; from ASCII it makes them itself, with the same extension."""


def divide(encoded: Encoded, manner: Manner, reference: int) -> list[Part]:
    """The parts of a text in order: as many as `encoded.parts` wherever the carrier's way allows it.

    There are more with `udh16`, whose header is longer than the published sizes assume (152 septets or 66 UTF-16 units
    to a part), and with Latin-1 (140 octets alone, 134 in several). There is one with `payload`.

    A text that the carrier's alphabet for GSM-7 cannot write (Latin-1 has no `€`) goes as UCS-2. `reference` tells the
    messages between the same two numbers apart; as many of its low bits travel as the header has.

    Raises `TooLong`, and `NoDataCoding` where the manner contradicts itself.
    """
    alphabet = _alphabet_for(encoded, manner)
    data_coding = data_coding_of(alphabet, manner.meanings)
    if _units(encoded.text, alphabet) <= _room(alphabet, 0):
        return [Part(encode(encoded.text, alphabet), manner.esm_class, data_coding)]
    if manner.long_messages is LongMessages.PAYLOAD:
        return [_payload(encode(encoded.text, alphabet), manner, data_coding)]
    texts = _texts(encoded, alphabet, _HEADER_OCTETS[manner.long_messages])
    if len(texts) > MAX_PARTS:
        raise TooLong(f"{len(texts)} parts; a header can count {MAX_PARTS}")
    return [
        _part(text, alphabet, data_coding, manner, Sar(reference, len(texts), number))
        for number, text in enumerate(texts, 1)
    ]


def header(bits: int, place: Sar) -> bytes:
    """The user data header of one part, its reference in 8 or 16 bits; the length octet included."""
    if bits == 16:
        return bytes([6, 0x08, 4, place.reference >> 8 & 0xFF, place.reference & 0xFF, place.total, place.number])
    return bytes([5, 0x00, 3, place.reference & 0xFF, place.total, place.number])


def fill_bits(header_octets: int) -> int:
    """How many bits go between a header and packed text, so that the text begins on a septet (23.040, 9.2.3.24)."""
    return -8 * header_octets % 7


def _alphabet_for(encoded: Encoded, manner: Manner) -> Alphabet:
    if encoded.encoding is Encoding.UCS2:
        return Alphabet.UCS2
    try:
        encode(encoded.text, manner.gsm7)
    except NotEncodable:
        return Alphabet.UCS2
    return manner.gsm7


def _payload(octets: bytes, manner: Manner, data_coding: int) -> Part:
    if len(octets) > MAX_PAYLOAD:
        raise TooLong(f"{len(octets)} octets; message_payload holds {MAX_PAYLOAD}")
    return Part(b"", manner.esm_class, data_coding, message_payload=octets)


def _part(text: str, alphabet: Alphabet, data_coding: int, manner: Manner, place: Sar) -> Part:
    if manner.long_messages is LongMessages.SAR:
        sar = Sar(place.reference & 0xFFFF, place.total, place.number)
        return Part(encode(text, alphabet), manner.esm_class, data_coding, place.number, place.total, sar)
    before = header(16 if manner.long_messages is LongMessages.UDH16 else 8, place)
    octets = before + encode(text, alphabet, fill_bits(len(before)))
    return Part(octets, manner.esm_class | UDHI, data_coding, place.number, place.total)


def _room(alphabet: Alphabet, header_octets: int) -> int:
    """How many units fit beside a header: septets, UTF-16 units or octets, as the alphabet counts."""
    octets = _SMS_OCTETS - header_octets
    if alphabet in _SEPTETS_EACH:
        return octets * 8 // 7
    return octets // 2 if alphabet is Alphabet.UCS2 else octets


def _units(text: str, alphabet: Alphabet) -> int:
    if alphabet in _SEPTETS_EACH:
        return septets(text)
    return utf16_units(text) if alphabet is Alphabet.UCS2 else len(text)


def _texts(encoded: Encoded, alphabet: Alphabet, header_octets: int) -> list[str]:
    published = alphabet in _SEPTETS_EACH if encoded.encoding is Encoding.GSM7 else True
    if published and header_octets == _HEADER_OCTETS[LongMessages.UDH8]:
        return split(encoded)
    return list(_cut(encoded.text, alphabet, _room(alphabet, header_octets)))


def _cut(text: str, alphabet: Alphabet, room: int) -> Iterator[str]:
    """Parts filled as far as whole characters allow: no escape and no surrogate leaves its other half behind."""
    if alphabet is Alphabet.UCS2:
        # Two lone halves side by side are a pair once they are UTF-16.
        text = text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass")
    start = used = 0
    for index, character in enumerate(text):
        units = _units(character, alphabet)
        if used + units > room:
            yield text[start:index]
            start, used = index, 0
        used += units
    yield text[start:]
