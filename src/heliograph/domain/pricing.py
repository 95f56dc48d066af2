"""What a message costs: a rate deck and the texts its amounts are shown as.

Amounts are whole numbers of 1/100000 of the currency, so that sums over millions of messages stay exact.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from re import IGNORECASE
from re import compile as regex

import msgspec

from heliograph.domain.tables import BadRecord, BadTable, PrefixTable, Problem, read_table

UNITS_PER_CURRENCY = 100_000
_DECIMALS = 5

DEFAULT_CURRENCY = "USD"
SHORT_CODES = "short"

_CURRENCY_LINE = regex(r"#\s*currency\s*:\s*(.*?)\s*", IGNORECASE)
_CURRENCY = regex(r"[A-Z]{3}")
_PREFIX = regex(r"[1-9][0-9]{0,14}|\*|short|")
_AMOUNT = regex(r"([0-9]{1,6})(?:\.([0-9]{1,5}))?")
_MESSAGE_TYPES = ("SMS", "MMS")


class Price(msgspec.Struct, frozen=True, gc=False):
    """The price of a whole message, all its parts, in 1/100000 of the currency (Contract 9, cost_breakdown)."""

    rate: int
    carrier_fee: int

    @property
    def total(self) -> int:
        """Contract 9: cost = carrier_fee + rate."""
        return self.rate + self.carrier_fee


@dataclass(frozen=True, slots=True)
class Rate:
    """One row of a deck: amounts in 1/100000 of the currency, per part for SMS and per message for MMS.

    `prefix` is the digits a number starts with after its plus, "" for every number, or `SHORT_CODES`.
    """

    prefix: str
    message_type: str
    rate: int
    carrier_fee: int


_FREE = Price(0, 0)


class RateDeck:
    """Prices by destination prefix and message type, in one currency (ISO 4217)."""

    def __init__(self, currency: str, rows: Iterable[Rate]) -> None:
        self.currency = currency
        prices: dict[str, dict[str, Price]] = {}
        for row in rows:
            # Numbers are looked up with their plus on, so no digits are cut off for each message.
            key = SHORT_CODES if row.prefix == SHORT_CODES else f"+{row.prefix}"
            prices.setdefault(row.message_type, {})[key] = Price(row.rate, row.carrier_fee)
        self._by_prefix = {message_type: PrefixTable(by_prefix) for message_type, by_prefix in prices.items()}
        self._short_code = {
            message_type: by_prefix.get(SHORT_CODES) or self._by_prefix[message_type].longest("+1") or _FREE
            for message_type, by_prefix in prices.items()
        }

    def price(self, to: str, message_type: str, parts: int) -> Price:
        """The price of a message of `parts` parts to E.164 or a short code; nothing where no row matches.

        The longest matching prefix decides. A short code is priced by the `SHORT_CODES` row, or else as a US number.
        """
        table = self._by_prefix.get(message_type)
        if table is None:
            return _FREE
        price = (table.longest(to) or _FREE) if to.startswith("+") else self._short_code[message_type]
        if parts == 1 or message_type != "SMS":
            return price
        return Price(price.rate * parts, price.carrier_fee * parts)


def parse_rates(text: str, where: str) -> RateDeck:
    """Read a deck from CSV with the header `prefix,type,rate,carrier_fee`; `where` names the text in errors.

    `prefix` is digits without plus, `short`, or `*` or nothing for all numbers; `type` is SMS or MMS; amounts have at
    most 5 decimals. A comment line `# currency: EUR` names the currency, else it is USD. Raises `BadTable` with every
    problem.
    """
    rates, problems = read_table(text, ("prefix", "type", "rate", "carrier_fee"), _read_rate)
    currency, currency_problems = _read_currency(text)
    if problems or currency_problems:
        raise BadTable(where, [*problems, *currency_problems])
    return RateDeck(currency, rates.values())


def amount_text(units: int, decimals: int) -> str:
    """An amount (`units` >= 0, in 1/100000) with `decimals` decimals, 1 to 5, or more where the amount needs them.

    Nothing is rounded off. Contract 9: a cost has 4 decimals (`0.0051`), its breakdown 5 (`0.00305`), and the cost of
    a cancelled message 1 (`0.0`).
    """
    whole, fraction = divmod(units, UNITS_PER_CURRENCY)
    digits = f"{fraction:0{_DECIMALS}d}"
    return f"{whole}.{digits[:decimals]}{digits[decimals:].rstrip('0')}"


def _read_rate(fields: Sequence[str]) -> tuple[str, Rate]:
    prefix, message_type, rate, carrier_fee = fields
    problems = []
    if not _PREFIX.fullmatch(prefix):
        problems.append(f"prefix: got {prefix!r}, wanted digits without '+', 'short', or '*' for all numbers")
    if message_type not in _MESSAGE_TYPES:
        problems.append(f"type: got {message_type!r}, wanted SMS or MMS")
    for name, amount in (("rate", rate), ("carrier_fee", carrier_fee)):
        if not _AMOUNT.fullmatch(amount):
            problems.append(f"{name}: got {amount!r}, wanted an amount such as 0.00205, at most 5 decimals")
    if problems:
        raise BadRecord(problems)
    row = Rate("" if prefix == "*" else prefix, message_type, parse_amount(rate), parse_amount(carrier_fee))
    return f"{row.prefix or '*'} {message_type}", row


def parse_amount(amount: str) -> int:
    """An amount such as `12.50`, of at most 5 decimals, in 1/100000."""
    whole, _, fraction = amount.partition(".")
    return int(whole) * UNITS_PER_CURRENCY + int(fraction.ljust(_DECIMALS, "0"))


def _read_currency(text: str) -> tuple[str, list[Problem]]:
    currency, problems = "", []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        match = _CURRENCY_LINE.fullmatch(line)
        if match is None:
            continue
        if not _CURRENCY.fullmatch(match[1]):
            problems.append(Problem(number, f"currency: got {match[1]!r}, wanted three capital letters such as USD"))
        elif currency:
            problems.append(Problem(number, f"currency: got a second one, {match[1]}, after {currency}"))
        else:
            currency = match[1]
    return currency or DEFAULT_CURRENCY, problems
