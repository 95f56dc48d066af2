"""What is known of a recipient's number: its carrier and its line type, as messages and receipts show them.

Three sources, the first that knows wins: an exact override, the longest override prefix, the offline number ranges.
The offline ranges know no porting. For the United States and Canada they tell landlines from mobiles nowhere and name
next to no carrier, so no carrier is given for any +1 number, and such traffic never loads the carrier names (10 MB).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from re import compile as regex

import phonenumbers
from phonenumbers import PhoneNumberType

from heliograph.domain.address import AddressKind, BadAddress, area_code, country_of, parse_destination
from heliograph.domain.tables import BadRecord, BadTable, PrefixTable, read_table

# Contract 9, line_type.
LINE_TYPES = ("Wireline", "Wireless", "VoWiFi", "VoIP", "Pre-Paid Wireless", "")

MOBILE_LINES = frozenset({"Wireless", "VoWiFi", "Pre-Paid Wireless"})

_PREFIX = regex(r"\+(?:[1-9][0-9]{0,13})?\*")

# A line that may be either is taken as Wireless: it is about to get a text message. The types not listed (toll-free,
# premium rate, pager, personal and unassigned numbers) fit none of the contract's words and are "".
_LINE_TYPE_OF = {
    PhoneNumberType.MOBILE: "Wireless",
    PhoneNumberType.FIXED_LINE_OR_MOBILE: "Wireless",
    PhoneNumberType.FIXED_LINE: "Wireline",
    PhoneNumberType.VOIP: "VoIP",
}


@dataclass(frozen=True, slots=True)
class NumberFacts:
    """`carrier` is a name as carriers write it, `line_type` one of `LINE_TYPES`; "" where it is not known."""

    carrier: str
    line_type: str


_UNKNOWN = NumberFacts("", "")


class NumberDirectory:
    """Facts of numbers; `overrides` are keyed by exact E.164 or by a prefix that ends in `*` (`+1312*`, `+*`)."""

    def __init__(self, overrides: Mapping[str, NumberFacts]) -> None:
        self._exact = {key: facts for key, facts in overrides.items() if not key.endswith("*")}
        self._prefixes = PrefixTable({key[:-1]: facts for key, facts in overrides.items() if key.endswith("*")})

    def facts(self, e164: str) -> NumberFacts:
        """The facts of a number that `parse_destination` accepts; short codes have none. Never raises."""
        if not e164.startswith("+"):
            return _UNKNOWN
        return self.stated(e164) or _offline_facts(e164)

    def mobile(self, e164: str) -> bool | None:
        """Whether a number is one of a mobile phone; None where that is not known, as of a short code. Never raises.

        An override decides; one without a line type says that it is not known. Offline, what may be either is not.
        """
        if not e164.startswith("+"):
            return None
        own = self.stated(e164)
        if own is not None:
            return own.line_type in MOBILE_LINES if own.line_type else None
        return _range_mobile(e164)

    def stated(self, e164: str) -> NumberFacts | None:
        """What an override says of a number; None where none does."""
        return self._exact.get(e164) or self._prefixes.longest(e164)


def parse_overrides(text: str, where: str) -> dict[str, NumberFacts]:
    """Read overrides from CSV with the header `number,carrier,line_type`; `where` names the text in errors.

    Raises `BadTable` with every problem: a number neither E.164 nor a prefix, an unknown line type, a repeated number.
    """
    overrides, problems = read_table(text, ("number", "carrier", "line_type"), _read_override)
    if problems:
        raise BadTable(where, problems)
    return overrides


def _read_override(fields: Sequence[str]) -> tuple[str, NumberFacts]:
    number, carrier, line_type = fields
    problems = []
    if not _PREFIX.fullmatch(number) and not _is_e164(number):
        problems.append(f"number: got {number!r}, wanted E.164 or a prefix of it that ends in '*'")
    if line_type not in LINE_TYPES:
        known = ", ".join(filter(None, LINE_TYPES))
        problems.append(f"line_type: got {line_type!r}, wanted {known} or nothing")
    if problems:
        raise BadRecord(problems)
    return number, NumberFacts(carrier, line_type)


def _is_e164(text: str) -> bool:
    try:
        return parse_destination(text).kind is not AddressKind.SHORT_CODE
    except BadAddress:
        return False


def _offline_facts(e164: str) -> NumberFacts:
    area = area_code(e164)
    return _range_facts(e164) if area is None else _area_facts(area) or _range_facts(e164)


@lru_cache(maxsize=1024)
def _area_facts(area: str) -> NumberFacts | None:
    """The facts an area code alone decides; None outside the US and Canada, where the digits after it count too."""
    probe = f"+1{area}2345678"
    if country_of(probe) not in {"US", "CA"}:
        return None
    return NumberFacts("", _line_type(phonenumbers.parse(probe)))


@lru_cache(maxsize=65_536)
def _range_facts(e164: str) -> NumberFacts:
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return _UNKNOWN
    carrier = "" if e164.startswith("+1") else _carrier(number)
    return NumberFacts(carrier, _line_type(number))


@lru_cache(maxsize=65_536)
def _range_mobile(e164: str) -> bool | None:
    try:
        kind = phonenumbers.number_type(phonenumbers.parse(e164))
    except phonenumbers.NumberParseException:
        return None
    if kind in {PhoneNumberType.UNKNOWN, PhoneNumberType.FIXED_LINE_OR_MOBILE}:
        return None
    return bool(kind == PhoneNumberType.MOBILE)


def _line_type(number: phonenumbers.PhoneNumber) -> str:
    return _LINE_TYPE_OF.get(phonenumbers.number_type(number), "")


def _carrier(number: phonenumbers.PhoneNumber) -> str:
    # Loaded at first need: 10 MB that a service with North American traffic alone never uses.
    from phonenumbers.carrier import name_for_number

    return name_for_number(number, "en")
