"""Contract 4.2 in cases: what is an address, of which kind and country, and what the refusal of anything else says."""

import re
from collections.abc import Callable

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.address import (
    Address,
    AddressKind,
    BadAddress,
    area_code,
    country_of,
    parse_destination,
    parse_sender,
)

LONG, TOLL_FREE, SHORT = AddressKind.LONG_CODE, AddressKind.TOLL_FREE, AddressKind.SHORT_CODE

NUMBERS = [
    ("+13125551234", LONG, "US"),
    ("+15005550006", LONG, "US"),
    ("+15551234567", LONG, "US"),
    ("+13121234567", LONG, "US"),
    ("+16045551234", LONG, "CA"),
    ("+12425551234", LONG, "BS"),
    ("+17875551234", LONG, "PR"),
    ("+18095551234", LONG, "DO"),
    ("+18665550001", TOLL_FREE, "US"),
    ("+18445550001", TOLL_FREE, "US"),
    ("+18001234567", TOLL_FREE, "US"),
    ("+18225550001", TOLL_FREE, "US"),
    ("+33612345678", LONG, "FR"),
    ("+390612345678", LONG, "IT"),
    ("+353851234567", LONG, "IE"),
    ("+358451234567", LONG, "FI"),
    ("+447700900123", LONG, "GB"),
    ("+447781123456", LONG, "GG"),
    ("+79161234567", LONG, "RU"),
    ("+77011234567", LONG, "KZ"),
    ("+448001111111", TOLL_FREE, "GB"),
    ("+80012345678", TOLL_FREE, None),
    ("+88213123456", LONG, None),
]
SHORT_CODES = ["12345", "123456", "00000"]

REFUSED_NUMBERS = [
    ("", "It is empty."),
    (" +13125551234", "white space around"),
    ("+13125551234\n", "white space around"),
    ("+1 312 555 1234", "no spaces, dashes or brackets"),
    ("+1-312-555-1234", "no spaces, dashes or brackets"),
    ("(312) 555-1234", "no spaces, dashes or brackets"),
    ("0013125551234", "in place of the leading '00'"),
    ("13125551234", "Start it with '+'"),
    ("3125551234", "Start it with '+'"),
    ("+1٣125551234", "digits 0 to 9 only"),
    ("+13125551234567890", "at most 15 digits"),
    ("+0441234567", "No country code starts with 0"),
    ("+1312555123", "After +1 come ten digits"),
    ("+131255512345", "After +1 come ten digits"),
    ("+11125551234", "After +1 come ten digits"),
    ("+999123456789", "no known country code"),
    ("+336123", "too short for its country"),
    ("+336123456789", "too long for its country"),
    ("+47222222", "no numbers of that length"),
    ("+80123456", "no known country code"),
    ("+3601234567890", "too long for its country"),
    ("+4407911123456", "dialled inside the country: +447911123456"),
    ("+54111512345678", "dialled inside the country: +5491112345678"),
    ("+", "wanted"),
    ("1234", "wanted"),
    ("++13125551234", "wanted"),
]


@pytest.mark.parametrize(("text", "kind", "country"), NUMBERS)
def test_a_possible_number_is_read_alike_as_sender_and_as_destination(
    text: str, kind: AddressKind, country: str | None
) -> None:
    assert parse_destination(text) == parse_sender(text) == Address(text, kind, country)


@pytest.mark.parametrize("text", SHORT_CODES)
def test_five_or_six_digits_are_a_short_code_without_a_country(text: str) -> None:
    assert parse_destination(text) == parse_sender(text) == Address(text, SHORT, None)


def test_a_list_of_one_destination_is_that_destination() -> None:
    assert parse_destination(["+13125551234"]) == parse_destination("+13125551234")


@pytest.mark.parametrize(("text", "said"), REFUSED_NUMBERS)
def test_what_is_no_number_is_refused_with_a_hint(text: str, said: str) -> None:
    for parse in (parse_destination, parse_sender):
        with pytest.raises(BadAddress, match=re.escape(said)):
            parse(text)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "Got null"),
        (True, "Got true"),
        (False, "Got false"),
        (13125551234, "Got a number"),
        (1.5, "Got a number"),
        ({"phone_number": "+13125551234"}, "Got an object"),
        (b"+13125551234", "Got a value that is no text"),
        ([], "Got a list of 0 items"),
        ([13125551234], "Got a list of 1 item that is no text"),
        (["+13125551234", "+13125551235"], "Got a list of 2 items"),
    ],
)
def test_a_destination_that_is_no_text_is_named_by_its_sort(value: object, said: str) -> None:
    with pytest.raises(BadAddress, match=f"^{said}; wanted one destination"):
        parse_destination(value)


@pytest.mark.parametrize("value", [None, 12345, ["+13125551234"]])
def test_a_sender_that_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(BadAddress, match="wanted a sender"):
        parse_sender(value)


@pytest.mark.parametrize("text", ["A", "Heliograph", "ELEVENCHARS", "1 for All", "7Eleven"])
def test_letters_digits_and_spaces_make_an_alphanumeric_sender(text: str) -> None:
    assert parse_sender(text) == Address(text, AddressKind.ALPHANUMERIC, None)


@pytest.mark.parametrize("text", ["TwelveLetter", "Hélio", "Helio!", "Helio\n", "1234", "1234567", "123 456", "   "])
def test_other_texts_are_no_alphanumeric_sender(text: str) -> None:
    with pytest.raises(BadAddress, match="wanted a sender"):
        parse_sender(text)


def test_an_alphanumeric_text_is_no_destination() -> None:
    with pytest.raises(BadAddress, match=r"^Got 'Heliograph'; wanted one destination"):
        parse_destination("Heliograph")


@pytest.mark.parametrize("parse", [parse_destination, parse_sender])
def test_a_refusal_repeats_32_characters_at_most(parse: Callable[[object], Address]) -> None:
    with pytest.raises(BadAddress, match=r"^Got '!{32}'\.\.\.; wanted"):
        parse("!" * 33)


def test_a_refusal_escapes_what_a_terminal_would_obey() -> None:
    with pytest.raises(BadAddress, match=re.escape(r"Got '\x1b[2J\n'; wanted")):
        parse_destination("\x1b[2J\n")


@pytest.mark.parametrize(
    ("text", "country"), [("12345", None), ("Helio", None), ("+999123", None), ("+44", "GB"), ("", None)]
)
def test_the_country_of_what_is_no_number_is_guessed_from_its_calling_code_alone(
    text: str, country: str | None
) -> None:
    assert country_of(text) == country


@pytest.mark.parametrize(
    ("text", "area"),
    [("+13125551234", "312"), ("+18665550001", "866"), ("+447700900123", None), ("+1312555123", None), ("12345", None)],
)
def test_only_north_american_numbers_have_an_area_code(text: str, area: str | None) -> None:
    assert area_code(text) == area


@given(st.from_regex(r"\+1[2-9][0-9]{9}", fullmatch=True))
def test_north_american_numbers_need_no_library_to_be_possible(text: str) -> None:
    assert phonenumbers.is_possible_number(phonenumbers.parse(text))
    assert parse_destination(text).text == text


@given(st.from_regex(r"\+[2-9][0-9]{5,14}", fullmatch=True))
def test_an_accepted_number_is_possible_and_its_only_text(text: str) -> None:
    number = _parsed(text)
    one_text = number is not None and phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) == text
    possible = number is not None and phonenumbers.is_possible_number(number)
    assert _taken(parse_destination, text) == (text if possible and one_text else None)


@given(st.text())
def test_any_text_is_taken_as_it_is_or_refused(text: str) -> None:
    assert _taken(parse_sender, text) in {text, None}
    assert _taken(parse_destination, text) in {text, None}


def _parsed(text: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        return None


def _taken(parse: Callable[[object], Address], text: str) -> str | None:
    try:
        return parse(text).text
    except BadAddress:
        return None
