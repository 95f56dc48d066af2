"""Messages that come in parts: what one part is, and what several make.

    deliver_sm --read_piece--> Piece --with_piece--> Pending --joined--> a message, or what is there of one

How they are kept until they are whole, and what happens to those that never are, is in `collecting`.

Octets are joined before they are read: some senders divide between an escape and its character, or between surrogates.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import groupby

import msgspec

from heliograph.carriers.smpp.encoding import (
    AS_SPECIFIED,
    Alphabet,
    Meanings,
    alphabet_of,
    decode,
    over_the_air,
    unpack,
)
from heliograph.carriers.smpp.parts import UDHI, Sar, fill_bits
from heliograph.domain.instant import Instant
from heliograph.domain.text import Encoding

_CONCATENATED_8 = 0x00
_CONCATENATED_16 = 0x08


class Numbering(StrEnum):
    """Who numbered the parts: references of different kinds have nothing to do with each other."""

    NONE = "none"
    UDH8 = "udh8"
    UDH16 = "udh16"
    SAR = "sar"


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """The text of one `deliver_sm`, and where it belongs."""

    octets: bytes
    """Without its header. GSM 03.38 that came packed is unpacked."""
    alphabet: Alphabet
    numbering: Numbering = Numbering.NONE
    reference: int = 0
    total: int = 1
    number: int = 1


class Key(msgspec.Struct, frozen=True):
    """What parts of one message have in common."""

    carrier: str
    sender: str
    recipient: str
    numbering: Numbering
    reference: int
    total: int

    def __str__(self) -> str:
        """The same as one text without ambiguity; the carrier is left out."""
        parts = (self.sender, self.recipient, self.numbering, self.reference, self.total)
        return msgspec.json.encode(parts).decode()


def key_of(carrier: str, sender: str, recipient: str, piece: Piece) -> Key:
    """Which message a part belongs to."""
    return Key(carrier, sender, recipient, piece.numbering, piece.reference, piece.total)


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """A message put together from its parts, or what is there of one that was given up."""

    carrier: str
    sender: str
    recipient: str
    text: str
    """The parts in order, with nothing in place of those that miss."""
    encoding: Encoding | None
    """As it came over the air; None where the octets do not tell, or its parts differ."""
    parts: int
    missing: tuple[int, ...]
    """Numbers of the parts that never came, from 1; empty for a whole message."""
    binary: bool
    """It is no text, at least in part."""
    first_at: Instant
    last_at: Instant


class Pending(msgspec.Struct, frozen=True):
    """The parts of one message that came so far."""

    key: Key
    pieces: tuple[Piece, ...]
    """In the order of their numbers."""
    first_at: Instant
    last_at: Instant

    @property
    def missing(self) -> tuple[int, ...]:
        """Numbers of the parts that did not come yet."""
        there = {piece.number for piece in self.pieces}
        return tuple(number for number in range(1, self.key.total + 1) if number not in there)

    def find(self, number: int) -> Piece | None:
        """The part of this number, if it came."""
        return next((piece for piece in self.pieces if piece.number == number), None)

    def with_piece(self, piece: Piece, now: Instant) -> "Pending":
        """The same with one part more."""
        pieces = tuple(sorted((*self.pieces, piece), key=lambda each: each.number))
        return Pending(self.key, pieces, self.first_at, now)

    def joined(self) -> Joined:
        """What is there, as a message."""
        alphabets = {piece.alphabet for piece in self.pieces}
        encodings = {over_the_air(alphabet) for alphabet in alphabets}
        return Joined(
            carrier=self.key.carrier,
            sender=self.key.sender,
            recipient=self.key.recipient,
            text="".join(_texts(self.pieces)),
            encoding=encodings.pop() if len(encodings) == 1 else None,
            parts=self.key.total,
            missing=self.missing,
            binary=Alphabet.BINARY in alphabets,
            first_at=self.first_at,
            last_at=self.last_at,
        )


def read_piece(
    octets: bytes,
    *,
    esm_class: int = 0,
    data_coding: int = 0,
    sar: Sar | None = None,
    meanings: Meanings = AS_SPECIFIED,
) -> Piece:
    """What `short_message` or `message_payload` of a `deliver_sm` holds; every octet string has an answer.

    A header goes before `sar`. One that claims more octets than there are is taken for text, so that nothing is lost;
    a place that cannot be (part 0, part 3 of 2) is ignored (3GPP TS 23.040, 9.2.3.24.1), and the message stands alone.
    """
    header, body = split_header(octets) if esm_class & UDHI else (b"", octets)
    alphabet = alphabet_of(data_coding, meanings)
    if alphabet is Alphabet.GSM7_PACKED:
        alphabet, body = Alphabet.GSM7, unpack(body, fill_bits(len(header)))
    numbering, place = _place(header, sar)
    if numbering is Numbering.NONE:
        return Piece(octets=body, alphabet=alphabet)
    return Piece(
        octets=body,
        alphabet=alphabet,
        numbering=numbering,
        reference=place.reference,
        total=place.total,
        number=place.number,
    )


def split_header(octets: bytes) -> tuple[bytes, bytes]:
    """User data header, its length octet included, and what follows; no header where it claims more than there is."""
    end = octets[0] + 1 if octets else 0
    return (octets[:end], octets[end:]) if end <= len(octets) else (b"", octets)


def _elements(header: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements of a header: identifier and value. One that is cut off ends it."""
    position = 1
    while position + 2 <= len(header):
        identifier, length = header[position], header[position + 1]
        value = header[position + 2 : position + 2 + length]
        if len(value) < length:
            return
        yield identifier, value
        position += 2 + length


_ALONE = Sar(0, 1, 1)


def _place(header: bytes, sar: Sar | None) -> tuple[Numbering, Sar]:
    found = Numbering.NONE, _ALONE
    if sar is not None and _possible(sar):
        found = Numbering.SAR, sar
    # Of elements that exclude each other the last one counts (3GPP TS 23.040, 9.2.3.24).
    for identifier, value in _elements(header):
        if identifier == _CONCATENATED_8 and len(value) == 3:
            numbering, place = Numbering.UDH8, Sar(value[0], value[1], value[2])
        elif identifier == _CONCATENATED_16 and len(value) == 4:
            numbering, place = Numbering.UDH16, Sar(value[0] << 8 | value[1], value[2], value[3])
        else:
            continue
        if _possible(place):
            found = numbering, place
    return found


def _possible(place: Sar) -> bool:
    return 1 <= place.number <= place.total


def _texts(pieces: Sequence[Piece]) -> Iterator[str]:
    """The text of each run of parts that follow each other in one alphabet."""
    runs = groupby(enumerate(pieces), key=lambda each: (each[1].number - each[0], each[1].alphabet))
    for (_, alphabet), run in runs:
        yield decode(b"".join(piece.octets for _, piece in run), alphabet)
