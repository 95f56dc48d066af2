"""Contract 9 in cases: which row prices a message, what its parts do to it, and how amounts are written."""

from decimal import Decimal
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.pricing import Price, Rate, RateDeck, amount_text, parse_rates
from heliograph.domain.tables import BadTable

HEADER = "prefix,type,rate,carrier_fee\n"

DECK = RateDeck(
    "USD",
    [
        Rate("", "SMS", 5000, 0),
        Rate("1", "SMS", 205, 305),
        Rate("1204", "SMS", 300, 100),
        Rate("44", "SMS", 4000, 0),
        Rate("447", "SMS", 3000, 50),
        Rate("1", "MMS", 1000, 400),
    ],
)


def problems_of(text: str) -> list[tuple[int, str]]:
    with pytest.raises(BadTable) as refusal:
        parse_rates(text, "rates.csv")
    return [(problem.line, problem.text) for problem in refusal.value.problems]


def bundled() -> RateDeck:
    return parse_rates(files("heliograph").joinpath("data", "rates.csv").read_text("utf-8"), "rates.csv")


@pytest.mark.parametrize(
    ("to", "price"),
    [
        ("+13125551234", Price(205, 305)),
        ("+12045551234", Price(300, 100)),
        ("+12055551234", Price(205, 305)),
        ("+447700900123", Price(3000, 50)),
        ("+442079460000", Price(4000, 0)),
        ("+33612345678", Price(5000, 0)),
        ("12345", Price(205, 305)),
    ],
)
def test_the_longest_matching_prefix_prices_a_message(to: str, price: Price) -> None:
    assert DECK.price(to, "SMS", 1) == price


def test_an_sms_is_charged_per_part_and_an_mms_per_message() -> None:
    assert DECK.price("+13125551234", "SMS", 3) == Price(615, 915)
    assert DECK.price("+13125551234", "MMS", 3) == Price(1000, 400)


def test_a_cost_is_its_fee_and_its_rate() -> None:
    assert Price(205, 305).total == 510


@pytest.mark.parametrize(("to", "message_type"), [("+33612345678", "MMS"), ("+13125551234", "RCS")])
def test_what_no_row_matches_costs_nothing(to: str, message_type: str) -> None:
    assert DECK.price(to, message_type, 2) == Price(0, 0)


@pytest.mark.parametrize(
    ("rows", "price"),
    [
        ([Rate("short", "SMS", 7, 8), Rate("1", "SMS", 1, 2)], Price(7, 8)),
        ([Rate("1", "SMS", 1, 2), Rate("12345", "SMS", 9, 9)], Price(1, 2)),
        ([Rate("", "SMS", 3, 4)], Price(3, 4)),
        ([Rate("12345", "SMS", 9, 9)], Price(0, 0)),
        ([Rate("short", "MMS", 7, 8), Rate("1", "SMS", 1, 2)], Price(1, 2)),
    ],
)
def test_a_short_code_has_a_row_of_its_own_or_the_price_of_a_us_number(rows: list[Rate], price: Price) -> None:
    assert RateDeck("USD", rows).price("12345", "SMS", 1) == price


def test_the_row_of_short_codes_prices_no_number() -> None:
    assert RateDeck("USD", [Rate("short", "SMS", 7, 8)]).price("+13125551234", "SMS", 1) == Price(0, 0)


digits = st.text("0123456789", max_size=6)


@given(st.dictionaries(digits, st.integers(0, 10**9)), st.text("0123456789", min_size=1, max_size=9))
def test_the_price_is_that_of_the_longest_prefix_found_by_trying_all(rates: dict[str, int], number: str) -> None:
    deck = RateDeck("USD", [Rate(prefix, "SMS", rate, 0) for prefix, rate in rates.items()])
    best = max((prefix for prefix in rates if number.startswith(prefix)), key=len, default=None)
    assert deck.price(f"+{number}", "SMS", 1).rate == (0 if best is None else rates[best])


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(1, 10))
def test_each_part_costs_the_same(rate: int, fee: int, parts: int) -> None:
    deck = RateDeck("USD", [Rate("1", "SMS", rate, fee)])
    assert deck.price("+13125551234", "SMS", parts) == Price(rate * parts, fee * parts)


@pytest.mark.parametrize(
    ("units", "decimals", "text"),
    [
        (510, 4, "0.0051"),
        (205, 4, "0.00205"),
        (305, 5, "0.00305"),
        (1400, 4, "0.0140"),
        (1000, 5, "0.01000"),
        (0, 4, "0.0000"),
        (0, 1, "0.0"),
        (123_456_789, 1, "1234.56789"),
        (100_000, 4, "1.0000"),
        (1, 4, "0.00001"),
    ],
)
def test_an_amount_is_written_with_its_decimals_and_more_only_where_it_needs_them(
    units: int, decimals: int, text: str
) -> None:
    assert amount_text(units, decimals) == text


@given(st.integers(0, 10**15), st.integers(1, 5))
def test_writing_an_amount_loses_nothing(units: int, decimals: int) -> None:
    text = amount_text(units, decimals)
    assert Decimal(text) == Decimal(units).scaleb(-5)
    assert decimals <= len(text.partition(".")[2]) <= 5


def test_the_bundled_deck_gives_the_costs_of_the_contract() -> None:
    deck = bundled()
    costs = [deck.price("+13125551234", kind, 1).total for kind in ("SMS", "MMS")]
    assert (deck.currency, [amount_text(cost, 4) for cost in costs]) == ("USD", ["0.0051", "0.0140"])


@pytest.mark.parametrize("message_type", ["SMS", "MMS"])
def test_the_bundled_deck_prices_every_destination(message_type: str) -> None:
    assert all(bundled().price(to, message_type, 1).total > 0 for to in ("+33612345678", "+80012345678", "12345"))


@pytest.mark.parametrize(
    ("amount", "units"),
    [
        ("0", 0),
        ("1", 100_000),
        ("0.1", 10_000),
        ("0.00205", 205),
        ("12.5", 1_250_000),
        ("999999.99999", 99_999_999_999),
    ],
)
def test_amounts_are_read_exactly(amount: str, units: int) -> None:
    deck = parse_rates(f"{HEADER}1,SMS,{amount},0", "rates.csv")
    assert deck.price("+13125551234", "SMS", 1) == Price(units, 0)


@pytest.mark.parametrize("prefix", ["*", ""])
def test_a_row_for_all_numbers_is_read(prefix: str) -> None:
    assert parse_rates(f"{HEADER}{prefix},SMS,0.05,0", "rates.csv").price("+33612345678", "SMS", 1) == Price(5000, 0)


def test_a_row_for_short_codes_is_read() -> None:
    assert parse_rates(f"{HEADER}short,SMS,0.05,0", "rates.csv").price("12345", "SMS", 1) == Price(5000, 0)


@pytest.mark.parametrize(
    ("comments", "currency"),
    [("", "USD"), ("# currency: EUR\n", "EUR"), ("#Currency:GBP \n", "GBP"), ("# in the currency of old\n", "USD")],
)
def test_a_comment_names_the_currency(comments: str, currency: str) -> None:
    assert parse_rates(f"{comments}{HEADER}", "rates.csv").currency == currency


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("+1,SMS,0,0", "prefix"),
        ("0,SMS,0,0", "prefix"),
        ("1*,SMS,0,0", "prefix"),
        ("1234567890123456,SMS,0,0", "prefix"),
        ("1,sms,0,0", "type"),
        ("1,RCS,0,0", "type"),
        ("1,SMS,0.000001,0", "rate"),
        ("1,SMS,-1,0", "rate"),
        ("1,SMS,.5,0", "rate"),
        ("1,SMS,1e3,0", "rate"),
        ("1,SMS,٣,0", "rate"),
        ("1,SMS,,0", "rate"),
        ("1,SMS,0,1000000", "carrier_fee"),
    ],
)
def test_a_row_that_cannot_be_meant_is_refused(row: str, column: str) -> None:
    [(line, told)] = problems_of(HEADER + row)
    assert (line, told.partition(":")[0]) == (2, column)


def test_all_problems_are_told_at_once_with_their_lines() -> None:
    text = f"# currency: euro\n{HEADER}+1,sms,x,y\n*,SMS,0,0\n# currency: EUR\n,SMS,1,1\n1,SMS\n# currency: USD\n"
    assert [(line, told.partition(",")[0]) for line, told in problems_of(text)] == [
        (1, "currency: got 'euro'"),
        (3, "prefix: got '+1'"),
        (3, "type: got 'sms'"),
        (3, "rate: got 'x'"),
        (3, "carrier_fee: got 'y'"),
        (6, "'* SMS' is given a second time"),
        (7, "wanted 4 fields"),
        (8, "currency: got a second one"),
    ]


def test_a_table_with_another_header_is_refused() -> None:
    assert problems_of("prefix,rate\n1,2\n") == [
        (1, "got 'prefix,rate', wanted the header 'prefix,type,rate,carrier_fee'")
    ]
