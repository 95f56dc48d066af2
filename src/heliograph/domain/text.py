"""How a text becomes an SMS: which encoding, how many parts, and where each part ends.

    scan -> substitute (smart encoding) -> choose the encoding -> count the parts          (Contract 5.3)

Lengths are in the units of the encoding: septets in GSM-7, UTF-16 code units in UCS-2. A character takes one unit, or
two when it is one of the GSM-7 extension (an escape septet goes before it) or lies outside the Basic Multilingual Plane
(a surrogate pair). The two units of one character always travel in the same part.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from re import Pattern, escape
from re import compile as regex
from string import ascii_letters, digits

import msgspec

from heliograph.domain.substitutions import substitute

MAX_PARTS = 10
"""The most parts a message may have (Contract 4.3, 5.1). `encode` counts beyond it; refusing is the caller's duty."""

# Contract 5.1 lists less than 3GPP TS 23.038: Ç, ¤, form feed and ten Greek capitals are missing. Whether the provider
# really sends those as GSM-7 is unknown; as the contract infers, they are not GSM-7 here and make a text UCS-2.
_ONE_SEPTET = ascii_letters + digits + " \n\r!\"#$%&'()*+,-./:;<=>?@_£¥èéùìòØøÅåÆæßÉ¡ÄÖÑÜ§¿äöñüà"
_TWO_SEPTETS = "~^|\\{}[]€"

_only_one_septet = regex(f"[{escape(_ONE_SEPTET)}]*+").fullmatch
_only_gsm7 = regex(f"[{escape(_ONE_SEPTET + _TWO_SEPTETS)}]*+").fullmatch
_not_gsm7 = regex(f"[^{escape(_ONE_SEPTET + _TWO_SEPTETS)}]").findall
_SURROGATE_HALVES = regex("[\ud800-\udbff][\udc00-\udfff]")

_MOST_LEFTOVERS_NAMED = 10


class Encoding(StrEnum):
    """What goes over the air, as payloads name it (Contract 5.2)."""

    GSM7 = "GSM-7"
    UCS2 = "UCS-2"


class RequestedEncoding(StrEnum):
    """What a request may ask for; `auto` when it asks for nothing (Contract 5.2)."""

    AUTO = "auto"
    GSM7 = "gsm7"
    UCS2 = "ucs2"


class NotGsm7(ValueError):
    """GSM-7 was demanded and characters outside it remain after substitution.

    `characters` holds them: each once, in order of appearance, at most ten.
    """

    def __init__(self, characters: tuple[str, ...]) -> None:
        super().__init__(f"not in GSM-7: {' '.join(f'U+{ord(character):04X}' for character in characters)}")
        self.characters = characters


class NothingLeft(ValueError):
    """Every character of the text is one that smart encoding deletes."""


class Encoded(msgspec.Struct, frozen=True, gc=False):
    """A text made ready for a carrier. `encode` makes it; `split` relies on its fields belonging together."""

    text: str
    """What goes to the carrier. Messages and webhooks keep showing the original text (Contract 5.3)."""
    encoding: Encoding
    parts: int
    """How many SMS a handset gets: 1 or more, not held to `MAX_PARTS`."""
    num_chars: int
    """Characters of the original text, whatever their width."""
    smart_encoding_applied: bool
    """True only if at least one character was replaced."""


@dataclass(frozen=True, slots=True)
class _Form:
    """Sizes of one encoding, in its own units (Contract 5.1)."""

    single: int
    multipart: int
    two_units: Pattern[str]
    """Finds each character of two units."""
    uneven: Pattern[str]
    """Finds what can keep a part from being filled to its last unit."""

    def units(self, text: str) -> int:
        return len(text) + len(self.two_units.findall(text))


_EXTENSION = regex(f"[{escape(_TWO_SEPTETS)}]")
_SEPTETS = _Form(single=160, multipart=153, two_units=_EXTENSION, uneven=_EXTENSION)
_UTF16 = _Form(
    single=70,
    multipart=67,
    two_units=regex("[\U00010000-\U0010ffff]"),
    uneven=regex("[\ud800-\udbff\U00010000-\U0010ffff]"),
)
_FORMS = {Encoding.GSM7: _SEPTETS, Encoding.UCS2: _UTF16}


def is_gsm7(text: str) -> bool:
    """Whether each character is in GSM-7 as Contract 5.1 lists it: narrower than 3GPP TS 23.038."""
    return _only_gsm7(text) is not None


def septets(text: str) -> int:
    """Length in GSM-7 septets. Means something only if `is_gsm7(text)`."""
    return _SEPTETS.units(text)


def utf16_units(text: str) -> int:
    """Length in UTF-16 code units; a lone surrogate, which JSON can carry, is one unit."""
    return _UTF16.units(text)


def encode(text: str, requested: RequestedEncoding, smart: bool) -> Encoded:
    """Choose the encoding and count the parts by the table of Contract 5.3.

    `smart` is the profile's setting; it decides only for `auto`, because `gsm7` always substitutes and `ucs2` never
    does. Substitution stays even where UCS-2 is needed in the end, and it can lengthen a text. An empty text is one
    empty part: refusing it is the caller's duty, and so is refusing more than `MAX_PARTS`.

    Raises `NotGsm7` if `gsm7` was requested and characters outside it remain, and `NothingLeft` if substitution deletes
    the whole text.
    """
    if requested is RequestedEncoding.UCS2:
        return _encoded(text, text, Encoding.UCS2)
    # Most texts end here, after one scan. No key of the table is GSM-7, so a text that fits has nothing to substitute.
    if _only_one_septet(text):
        return Encoded(text, Encoding.GSM7, _published_parts(len(text), _SEPTETS), len(text), False)
    if is_gsm7(text):
        return _encoded(text, text, Encoding.GSM7)
    if requested is RequestedEncoding.GSM7:
        return _encoded(text, _forced_to_gsm7(text), Encoding.GSM7)
    sent = _substituted(text) if smart else text
    return _encoded(text, sent, Encoding.GSM7 if is_gsm7(sent) else Encoding.UCS2)


def split(encoded: Encoded) -> list[str]:
    """The text of each part, in order: `encoded.parts` of them, which joined give `encoded.text`.

    No part is longer than 160 septets or 70 units if it is the only one, 153 or 67 if it is one of several, and no part
    ends between an escape and its character or between two surrogates.
    """
    if encoded.parts == 1:
        return [encoded.text]
    return list(_packed(encoded.text, _FORMS[encoded.encoding]))


def _encoded(original: str, sent: str, encoding: Encoding) -> Encoded:
    return Encoded(sent, encoding, _part_count(sent, encoding), len(original), sent != original)


def _substituted(text: str) -> str:
    sent = substitute(text)
    if not sent:
        raise NothingLeft("smart encoding deletes every character of the text")
    return sent


def _forced_to_gsm7(text: str) -> str:
    sent = _substituted(text)
    leftovers = dict.fromkeys(_not_gsm7(sent))
    if leftovers:
        raise NotGsm7(tuple(leftovers)[:_MOST_LEFTOVERS_NAMED])
    return sent


def _published_parts(units: int, form: _Form) -> int:
    return 1 if units <= form.single else -(-units // form.multipart)


def _part_count(text: str, encoding: Encoding) -> int:
    """How many parts `split` makes.

    The published formula is ceil(units / multipart size) (Contract 5.1). It is too low for some texts in which a
    character of two units falls on the end of a part, since that character moves to the next part as a whole. A handset
    gets the packed parts, so those are counted; in texts without such a character the two agree.
    """
    form = _FORMS[encoding]
    units = form.units(text)
    if units <= form.single or form.uneven.search(text) is None:
        return _published_parts(units, form)
    return sum(1 for _ in _packed(text, form))


def _packed(text: str, form: _Form) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = _part_end(text, start, form)
        yield text[start:end]
        start = end


def _part_end(text: str, start: int, form: _Form) -> int:
    """The furthest index at which a multipart part that starts at `start` may end."""
    end = min(start + form.multipart, len(text))
    # A character is two units at most: half the excess is never too many characters to take back.
    while (excess := form.units(text[start:end]) - form.multipart) > 0:
        end -= (excess + 1) // 2
    # Two lone halves, side by side, are a pair once they are UTF-16.
    if _SURROGATE_HALVES.match(text, end - 1):
        end -= 1
    return end
