"""What can be told of any number without asking anybody (Contract 9, number lookup).

The number ranges tell the country and the kind of line, the operator's overrides tell more. Who a number was ported to,
and whose name it bears, no range tells: that is left empty.
"""

from dataclasses import dataclass

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from heliograph.domain.address import AddressKind, parse_number
from heliograph.domain.numbers import NumberDirectory

UNKNOWN = "unknown"
MOBILE = "mobile"
_KINDS = {
    PhoneNumberType.FIXED_LINE: "fixed line",
    PhoneNumberType.MOBILE: MOBILE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE: "fixed line or mobile",
    PhoneNumberType.TOLL_FREE: "toll free",
    PhoneNumberType.PREMIUM_RATE: "premium rate",
    PhoneNumberType.SHARED_COST: "shared cost",
    PhoneNumberType.VOIP: "voip",
    PhoneNumberType.PERSONAL_NUMBER: "personal number",
    PhoneNumberType.PAGER: "pager",
    PhoneNumberType.UAN: "uan",
    PhoneNumberType.VOICEMAIL: "voicemail",
}
_KIND_OF_LINE = {
    "Wireline": "fixed line",
    "Wireless": MOBILE,
    "Pre-Paid Wireless": MOBILE,
    "VoIP": "voip",
    "VoWiFi": MOBILE,
}
"""`line_type` of an override as a kind."""


@dataclass(frozen=True, slots=True)
class NumberLookup:
    """A number as it was looked up; "" where nothing is known."""

    phone_number: str
    country_code: str
    national_format: str
    """`(0312) 945-7420`: the area with a 0 before it, as the contract has it for every country."""
    kind: str
    """One of the contract's words for a type of service."""
    carrier: str
    area: str
    """The national destination code with a 0 before it."""

    @property
    def mobile(self) -> bool:
        """Whether it is known to be a mobile."""
        return self.kind == MOBILE


def look_up(text: str, directory: NumberDirectory) -> NumberLookup:
    """What is known of a number. Raises `BadAddress` for a text that is no number in E.164 form."""
    address = parse_number(text)
    number = phonenumbers.parse(address.text)
    stated = directory.stated(address.text)
    # A number of no country has no area either, whatever the library makes of its first digits.
    area, local = _split(number) if address.country else ("", _national(number))
    return NumberLookup(
        phone_number=address.text,
        country_code=address.country or "",
        national_format=f"({area}) {local}" if area else local,
        kind=_KIND_OF_LINE.get(stated.line_type, UNKNOWN) if stated else _kind(number, address.kind),
        carrier=directory.facts(address.text).carrier,
        area=area,
    )


def _kind(number: phonenumbers.PhoneNumber, kind: AddressKind) -> str:
    if kind is AddressKind.TOLL_FREE:
        return "toll free"
    return _KINDS.get(phonenumbers.number_type(number), UNKNOWN)


def _split(number: phonenumbers.PhoneNumber) -> tuple[str, str]:
    """The national destination code with a 0 before it, "" where there is none, and the rest with hyphens in it."""
    national = _national(number)
    length = phonenumbers.length_of_national_destination_code(number)
    if not length:
        # Of a range that is not assigned the library knows no parts; a number of +1 has them all the same.
        if number.country_code != 1 or len(national.replace("-", "")) != 10:
            return "", national
        digits = national.replace("-", "")
        return f"0{digits[:3]}", f"{digits[3:6]}-{digits[6:]}"
    area, rest = _cut(national, length)
    return f"0{area}", rest


def _national(number: phonenumbers.PhoneNumber) -> str:
    """Its digits within the country, with hyphens in them."""
    return phonenumbers.format_number(number, PhoneNumberFormat.RFC3966).partition("-")[2]


def _cut(text: str, digits: int) -> tuple[str, str]:
    """The first so many digits of a text with hyphens, and what follows them."""
    at, left = 0, digits
    while left:
        left -= text[at].isdigit()
        at += 1
    return text[:at].replace("-", ""), text[at:].removeprefix("-")
