"""Addresses: what `+447911123456`, `48484` and `Acme` are to a carrier, and what a carrier's numbers are to us.

    sender, recipient --of_sender, of_recipient--> type of number, numbering plan, text      (submit_sm, query_sm)
    type of number, text --read--> E.164, a short code or an alphanumeric sender             (deliver_sm)

SMPP leaves to each carrier what it wants there. The rules here are those that most of them publish: E.164 is
international (1, 1) and written without its plus, a short code is the network's own (3, 0), a name alphanumeric (5, 0).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import phonenumbers
from phonenumbers import PhoneNumberFormat, ValidationResult

from heliograph.carriers.smpp.pdu import Npi, Ton
from heliograph.domain.address import AddressKind, BadAddress, parse_destination, parse_sender

_LONGEST_SHORT_CODE = 6
_LONGEST_E164 = 15
_ABROAD = "00"


@dataclass(frozen=True, slots=True)
class Rule:
    """Type of number and numbering plan (SMPP 3.4, 5.2.5 and 5.2.6). Raises `ValueError` for what is no octet."""

    ton: int
    npi: int

    def __post_init__(self) -> None:
        if not (0 <= self.ton <= 0xFF and 0 <= self.npi <= 0xFF):
            raise ValueError(f"TON {self.ton} and NPI {self.npi} must be 0 to 255")


class WireAddress(NamedTuple):
    """An address as a PDU holds it."""

    ton: int
    npi: int
    text: str


_INTERNATIONAL = Rule(Ton.INTERNATIONAL, Npi.ISDN)
_OF_THE_NETWORK = Rule(Ton.NETWORK_SPECIFIC, Npi.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Addressing:
    """How one carrier wants addresses. Raises `ValueError` for a country that does not exist."""

    long_code: Rule = _INTERNATIONAL
    toll_free: Rule = _INTERNATIONAL
    short_code: Rule = _OF_THE_NETWORK
    alphanumeric: Rule = Rule(Ton.ALPHANUMERIC, Npi.UNKNOWN)
    destination: Rule = _INTERNATIONAL
    short_destination: Rule = _OF_THE_NETWORK
    keep_plus: bool = False
    """Write E.164 with its plus."""
    home_country: str | None = None
    """ISO 3166 alpha-2: whose numbers a carrier means that writes them as they are dialled within a country."""

    def __post_init__(self) -> None:
        if self.home_country is not None and self.home_country not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError(f"home_country is {self.home_country!r}; it must be two capital letters, as in 'GB'")

    def of_sender(self, sender: str) -> WireAddress:
        """Who a message is from."""
        return self._written(self._rule(_kind(sender)), sender)

    def of_recipient(self, recipient: str) -> WireAddress:
        """Whom it is for."""
        return self._written(self.destination if recipient.startswith("+") else self.short_destination, recipient)

    def read(self, ton: int, text: str) -> str:
        """An address of the carrier as we write it: E.164 wherever it can be told, else as it came.

        What has a plus, letters, or no more digits than a short code stays. A type of number that we ourselves give to
        E.164 by rule means E.164 here too.
        """
        text = text.strip()
        if ton == Ton.ALPHANUMERIC or not (text.isascii() and text.isdigit()) or len(text) <= _LONGEST_SHORT_CODE:
            return text
        if ton in {Ton.INTERNATIONAL, self.long_code.ton, self.toll_free.ton, self.destination.ton}:
            return _international(text) or text
        if ton == Ton.NATIONAL:
            return _national(text, self.home_country, valid=False) or text
        return _guessed(text, self.home_country) if ton == Ton.UNKNOWN else text

    def _rule(self, kind: AddressKind) -> Rule:
        match kind:
            case AddressKind.LONG_CODE:
                return self.long_code
            case AddressKind.TOLL_FREE:
                return self.toll_free
            case AddressKind.SHORT_CODE:
                return self.short_code
            case AddressKind.ALPHANUMERIC:
                return self.alphanumeric

    def _written(self, rule: Rule, text: str) -> WireAddress:
        return WireAddress(rule.ton, rule.npi, text if self.keep_plus else text.removeprefix("+"))


def _kind(sender: str) -> AddressKind:
    try:
        return parse_sender(sender).kind
    except BadAddress:
        # It was one when the message was taken, and the tables of numbers are younger now.
        return AddressKind.LONG_CODE if sender.startswith("+") else AddressKind.ALPHANUMERIC


def _international(digits: str) -> str | None:
    number = digits.removeprefix(_ABROAD)
    return f"+{number}" if not number.startswith("0") and len(number) <= _LONGEST_E164 else None


@lru_cache(maxsize=65_536)
def _national(digits: str, country: str | None, *, valid: bool) -> str | None:
    """A number as it is dialled within a country; with `valid` only if that country really has such numbers."""
    if country is None:
        return None
    try:
        number = phonenumbers.parse(digits, country)
    except phonenumbers.NumberParseException:
        return None
    fits = phonenumbers.is_valid_number(number) if valid else _is_possible(number)
    return phonenumbers.format_number(number, PhoneNumberFormat.E164) if fits else None


def _is_possible(number: phonenumbers.PhoneNumber) -> bool:
    """Not one that is only possible when dialled without its area code."""
    return phonenumbers.is_possible_number_with_reason(number) == ValidationResult.IS_POSSIBLE


def _e164(digits: str) -> str | None:
    """The usual case, told as fast as an address is read where it enters."""
    try:
        return parse_destination(f"+{digits}").text
    except BadAddress:
        return None


@lru_cache(maxsize=65_536)
def _guessed(digits: str, home: str | None) -> str:
    """A number of which the carrier says nothing: of the home country if it has such numbers, else of the world."""
    if digits.startswith(_ABROAD):
        return _international(digits) or digits
    if home is None and (plain := _e164(digits)):
        return plain
    try:
        abroad = _is_possible(phonenumbers.parse(f"+{digits}"))
    except phonenumbers.NumberParseException:
        abroad = False
    return (
        _national(digits, home, valid=True)
        or (_international(digits) if abroad else None)
        or _national(digits, home, valid=False)
        or digits
    )
