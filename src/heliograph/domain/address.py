"""Addresses: who sends a message and who gets it.

An address is read once, where it enters, and is exact from then on: one handset has one text, so an opt-out, a sticky
sender or a price found by that text cannot be missed because of a space or a trunk zero. Being *possible* (a calling
code that exists, a length its country uses) is enough; nobody is asked whether the number is assigned, since people
try things out with numbers like +15555550123.
"""

from enum import StrEnum
from functools import lru_cache
from re import DOTALL
from re import compile as regex

import msgspec
import phonenumbers
from phonenumbers import PhoneNumberType, ValidationResult


class AddressKind(StrEnum):
    """What sort of address it is; the value is also what is stored."""

    LONG_CODE = "long_code"
    TOLL_FREE = "toll_free"
    SHORT_CODE = "short_code"
    ALPHANUMERIC = "alphanumeric"


class BadAddress(ValueError):
    """The value is no address of the wanted sort; the text says what was got and what is wanted, fit for a caller."""


class Address(msgspec.Struct, frozen=True, gc=False):
    """A sender or a destination.

    `text` is E.164 with its plus, the digits of a short code, or an alphanumeric sender. `country` is ISO 3166 alpha-2
    and None where no country owns the address: short codes, alphanumeric senders, global services such as +800.
    """

    text: str
    kind: AddressKind
    country: str | None


_NANP = regex(r"\+1[2-9][0-9]{9}")
_E164 = regex(r"\+[1-9][0-9]{1,14}")
_SHORT_CODE = regex(r"[0-9]{5,6}")
# Contract 4.2: 1-11 letters, digits and spaces, at least one letter.
_ALPHANUMERIC = regex(r"(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")

# 822 is reserved for toll-free use and not yet in the library's ranges.
_TOLL_FREE_AREAS = frozenset({"800", "822", "833", "844", "855", "866", "877", "888"})

_REGIONS = {str(code): regions for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()}
_NO_COUNTRY = "001"

_E164_WANTED = "a number in E.164 form ('+', country code, digits, as in +13125550123)"
_SHORT_CODE_WANTED = "a short code of 5 or 6 digits"
_DESTINATION_WANTED = f"one destination: {_E164_WANTED} or {_SHORT_CODE_WANTED}"
_SENDER_WANTED = (
    f"a sender: {_E164_WANTED}, {_SHORT_CODE_WANTED}, "
    "or an alphanumeric sender of 1 to 11 letters, digits and spaces with at least one letter"
)

_HINTS = (
    (regex(r""), "It is empty."),
    (regex(r"\s.*|.*\s", DOTALL), "Remove the white space around it."),
    (regex(r"00[0-9]{6,15}"), "Write '+' in place of the leading '00'."),
    (regex(r"[0-9]{7,15}"), "Start it with '+' and the country code."),
    (regex(r"\+?(?=.*[^0-9])[0-9() ./-]+"), "Leave only '+' and digits: no spaces, dashes or brackets."),
    (regex(r"(?=.*[^\x00-\x7f])\+?\d+"), "Use the digits 0 to 9 only."),
    (regex(r"\+[0-9]{16,}"), "E.164 has at most 15 digits."),
    (regex(r"\+0[0-9]*"), "No country code starts with 0."),
)
_LENGTH_HINTS = {
    ValidationResult.TOO_SHORT: "It is too short for its country.",
    ValidationResult.TOO_LONG: "It is too long for its country.",
}
_ECHO_LIMIT = 32


def parse_destination(value: object) -> Address:
    """Read a `to` value: a text, or a list of exactly one text (Contract 4.2, and 2.6 code 40310).

    Raises `BadAddress` for anything but a possible E.164 number or a short code.
    """
    text = value[0] if isinstance(value, list) and len(value) == 1 else value
    if not isinstance(text, str):
        raise _refusal(_json_name(value), _DESTINATION_WANTED)
    address = _number(text)
    if address is None:
        raise _refusal(_shown(text), _DESTINATION_WANTED, _hint(text))
    return address


def parse_number(text: str) -> Address:
    """Read a number, and no short code. Raises `BadAddress` for anything but a possible E.164 number."""
    address = _number(text)
    if address is None or address.kind is AddressKind.SHORT_CODE:
        raise _refusal(_shown(text), _E164_WANTED, _hint(text))
    return address


def parse_sender(value: object) -> Address:
    """Read a `from` value: a number, a short code or an alphanumeric sender (Contract 4.2).

    Raises `BadAddress` when it is none of them. Whether the sender is the caller's own is not asked here.
    """
    if not isinstance(value, str):
        raise _refusal(_json_name(value), _SENDER_WANTED)
    address = _number(value)
    if address is not None:
        return address
    if _ALPHANUMERIC.fullmatch(value):
        return Address(value, AddressKind.ALPHANUMERIC, None)
    raise _refusal(_shown(value), _SENDER_WANTED, _hint(value))


def country_of(e164: str) -> str | None:
    """The ISO alpha-2 country of a number that `parse_destination` accepts; None where no country owns it.

    A range that is not assigned belongs to the main country of its calling code: +1555 is US, as a list of allowed
    destinations (Contract 2.6, code 40309) would otherwise refuse the numbers people try things out with.
    """
    area = area_code(e164)
    if area is not None:
        return _nanp_area(area)[1]
    regions = _regions(e164)
    if len(regions) == 1:
        return None if regions[0] == _NO_COUNTRY else regions[0]
    return _country_within(e164, regions[0]) if regions else None


_WITHOUT_NUMBERS = frozenset({"AQ", "BV", "GS", "HM", "PN", "TF", "UM"})
"""Of ISO 3166, and not among the library's regions: they have no calling code of their own."""


def is_country(code: str) -> bool:
    """Whether there is such a country: one of ISO 3166, in capitals, or one with telephone numbers of its own."""
    return code in phonenumbers.SUPPORTED_REGIONS or code in _WITHOUT_NUMBERS


def area_code(e164: str) -> str | None:
    """The three-digit area code of a North American (+1) number, toll-free ones included; None for all others."""
    return e164[2:5] if len(e164) == 12 and e164.startswith("+1") else None


def _number(text: str) -> Address | None:
    if _NANP.fullmatch(text):
        kind, country = _nanp_area(text[2:5])
        return Address(text, kind, country)
    if _E164.fullmatch(text):
        return _world_number(text)
    if _SHORT_CODE.fullmatch(text):
        return Address(text, AddressKind.SHORT_CODE, None)
    return None


@lru_cache(maxsize=1024)
def _nanp_area(area: str) -> tuple[AddressKind, str]:
    """What the area code alone decides; asking the library for every number would cost 60 us each."""
    if area in _TOLL_FREE_AREAS:
        return AddressKind.TOLL_FREE, "US"
    region = phonenumbers.region_code_for_number(phonenumbers.parse(f"+1{area}2345678"))
    return AddressKind.LONG_CODE, region or "US"


@lru_cache(maxsize=65_536)
def _world_number(text: str) -> Address:
    if text.startswith("+1"):
        raise _refusal(_shown(text), _E164_WANTED, "After +1 come ten digits, the first from 2 to 9.")
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException as error:
        raise _refusal(_shown(text), _E164_WANTED, "It has no known country code, or too few digits.") from error
    if not phonenumbers.is_possible_number(number):
        reason = phonenumbers.is_possible_number_with_reason(number)
        hint = _LENGTH_HINTS.get(reason, "Its country has no numbers of that length.")
        raise _refusal(_shown(text), _E164_WANTED, hint)
    # The library forgives a trunk prefix (+44 07911..., +54 11 15...): a second text for the same handset.
    exact = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if exact != text:
        raise _refusal(_shown(text), _E164_WANTED, f"Leave out the prefix dialled inside the country: {exact}.")
    toll_free = phonenumbers.number_type(number) == PhoneNumberType.TOLL_FREE
    return Address(text, AddressKind.TOLL_FREE if toll_free else AddressKind.LONG_CODE, country_of(text))


def _regions(e164: str) -> tuple[str, ...]:
    """The regions that share the number's calling code, the main one first; none when there is no such code."""
    if not e164.startswith("+"):
        return ()
    # Calling codes are prefix-free, so at most one of the three lengths is a code.
    return next((_REGIONS[e164[1:end]] for end in (2, 3, 4) if e164[1:end] in _REGIONS), ())


@lru_cache(maxsize=65_536)
def _country_within(e164: str, main: str) -> str:
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(e164)) or main
    except phonenumbers.NumberParseException:
        return main


def _refusal(got: str, wanted: str, hint: str = "") -> BadAddress:
    return BadAddress(f"Got {got}; wanted {wanted}. {hint}".rstrip())


def _hint(text: str) -> str:
    return next((hint for pattern, hint in _HINTS if pattern.fullmatch(text)), "")


def _shown(text: str) -> str:
    """Quoted, with odd characters escaped, and never more of it than a reader needs."""
    return repr(text) if len(text) <= _ECHO_LIMIT else f"{text[:_ECHO_LIMIT]!r}..."


def _json_name(value: object) -> str:
    if isinstance(value, list):
        return "a list of 1 item that is no text" if len(value) == 1 else f"a list of {len(value)} items"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return {int: "a number", float: "a number", dict: "an object"}.get(type(value), "a value that is no text")
