"""Carrier and line type: which source wins, what the offline ranges tell, and how an operator's table is refused."""

import subprocess
import sys

import pytest

from heliograph.domain.numbers import LINE_TYPES, NumberDirectory, NumberFacts, parse_overrides
from heliograph.domain.tables import BadTable

HEADER = "number,carrier,line_type\n"
VERIZON = NumberFacts("Verizon Wireless", "Wireless")
VOIP = NumberFacts("Example VoIP", "VoIP")
LANDLINE = NumberFacts("Example Bell", "Wireline")


def problems_of(text: str) -> list[tuple[int, str]]:
    with pytest.raises(BadTable) as refusal:
        parse_overrides(text, "numbers.csv")
    return [(problem.line, problem.text) for problem in refusal.value.problems]


@pytest.mark.parametrize(
    ("number", "facts"),
    [
        ("+13125550001", VERIZON),
        ("+13125550002", VOIP),
        ("+13129990002", LANDLINE),
        ("+14155550002", NumberFacts("", "Wireless")),
        ("+1312555000", VOIP),
    ],
)
def test_an_exact_override_wins_over_a_prefix_and_the_longest_prefix_over_the_rest(
    number: str, facts: NumberFacts
) -> None:
    directory = NumberDirectory({"+13125550001": VERIZON, "+1312555*": VOIP, "+1312*": LANDLINE})
    assert directory.facts(number) == facts


def test_a_bare_plus_covers_every_number_but_no_short_code() -> None:
    directory = NumberDirectory({"+*": VOIP, "+44*": LANDLINE})
    found = [directory.facts(to) for to in ("+13125550001", "+33612345678", "+447700900123", "12345")]
    assert found == [VOIP, VOIP, LANDLINE, NumberFacts("", "")]


def test_an_override_that_knows_nothing_still_hides_the_offline_facts() -> None:
    directory = NumberDirectory({"+447911123456": NumberFacts("", "")})
    assert directory.facts("+447911123456") == NumberFacts("", "")


@pytest.mark.parametrize(
    ("number", "line_type"),
    [
        ("+13125551234", "Wireless"),
        ("+16045551234", "Wireless"),
        ("+17875551234", "Wireless"),
        ("+12423591234", "Wireless"),
        ("+12423221234", "Wireline"),
        ("+16005551234", "VoIP"),
        ("+18665550001", ""),
        ("+18225550001", ""),
        ("+15551234567", ""),
        ("+19005551234", ""),
    ],
)
def test_a_north_american_number_has_a_line_type_and_never_a_carrier(number: str, line_type: str) -> None:
    assert NumberDirectory({}).facts(number) == NumberFacts("", line_type)


@pytest.mark.parametrize(
    ("number", "line_type"),
    [
        ("+33612345678", "Wireless"),
        ("+4930123456", "Wireline"),
        ("+445612345678", "VoIP"),
        ("+525512345678", "Wireless"),
        ("+448001111111", ""),
        ("+80012345678", ""),
        ("+999123456789", ""),
    ],
)
def test_the_offline_ranges_tell_the_line_type_elsewhere(number: str, line_type: str) -> None:
    assert NumberDirectory({}).facts(number).line_type == line_type


def test_the_offline_ranges_name_the_carrier_elsewhere() -> None:
    assert NumberDirectory({}).facts("+77011234567") == NumberFacts("Kcell/Activ", "Wireless")


def test_north_american_traffic_never_loads_the_carrier_names() -> None:
    program = (
        "import sys; from heliograph.domain.numbers import NumberDirectory as D\n"
        "D({}).facts('+13125551234'); D({}).facts('+12423591234'); print('phonenumbers.carrier' in sys.modules)\n"
        "D({}).facts('+77011234567'); print('phonenumbers.carrier' in sys.modules)"
    )
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    said = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "True"]


def test_a_table_of_overrides_is_read() -> None:
    text = (
        HEADER + '# lab handsets\n\n+13125550001,Verizon Wireless,Wireless\n+1312*, "T-MOBILE USA, INC.",\n+*,,VoIP\n'
    )
    assert parse_overrides(text, "numbers.csv") == {
        "+13125550001": VERIZON,
        "+1312*": NumberFacts("T-MOBILE USA, INC.", ""),
        "+*": NumberFacts("", "VoIP"),
    }


@pytest.mark.parametrize("line_type", LINE_TYPES)
def test_every_line_type_of_the_contract_is_taken(line_type: str) -> None:
    assert parse_overrides(f"{HEADER}+1*,,{line_type}", "numbers.csv")["+1*"].line_type == line_type


@pytest.mark.parametrize("number", ["13125550001", "+1312555", "12345", "Helio", "*", "1312*", "+0*", "+1312**", ""])
def test_a_number_that_is_neither_e164_nor_a_prefix_is_refused(number: str) -> None:
    assert problems_of(f"{HEADER}{number},,VoIP") == [
        (2, f"number: got {number!r}, wanted E.164 or a prefix of it that ends in '*'")
    ]


def test_all_problems_are_told_at_once_with_their_lines() -> None:
    text = HEADER + '1312,,Landline\n+1312*,,\n+1415*,VoIP\n+1312*,,VoIP\n+1416*,"open,VoIP\n+13125550001,,wireless\n'
    assert [(line, told.partition(":")[0]) for line, told in problems_of(text)] == [
        (2, "number"),
        (2, "line_type"),
        (4, "wanted 3 fields, got 2"),
        (5, "'+1312*' is given a second time, after line 3"),
        (6, "not readable as CSV"),
        (7, "line_type"),
    ]


def test_the_message_of_a_bad_table_names_the_table_and_every_problem() -> None:
    with pytest.raises(BadTable) as refusal:
        parse_overrides(f"{HEADER}+1*,,VoIP\n+1*,,\n+2*\n", "numbers.csv")
    assert str(refusal.value) == (
        "numbers.csv: the table cannot be used\n"
        "  line 3: '+1*' is given a second time, after line 2\n"
        "  line 4: wanted 3 fields, got 1"
    )


@pytest.mark.parametrize(
    ("text", "line", "got"),
    [
        ("", 1, "''"),
        ("number;carrier;line_type", 1, "'number;carrier;line_type'"),
        ("# a comment\n+1*,,VoIP", 2, "'+1*,,VoIP'"),
    ],
)
def test_a_table_without_its_header_is_refused(text: str, line: int, got: str) -> None:
    assert problems_of(text) == [(line, f"got {got}, wanted the header 'number,carrier,line_type'")]


def test_what_a_spreadsheet_adds_does_no_harm() -> None:
    text = "\ufeffnumber, carrier, line_type\r\n+1*, , VoIP\r\n\r\n"
    assert parse_overrides(text, "numbers.csv") == {"+1*": NumberFacts("", "VoIP")}


@pytest.mark.parametrize(
    ("number", "mobile"),
    [
        ("+447911123456", True),
        ("+442079460000", False),
        ("+448001111111", False),
        ("+18665550001", False),
        ("+13125550001", None),
        ("12345", None),
        ("+49", None),
    ],
)
def test_whether_a_number_is_a_mobile_is_told_only_where_it_is_known(number: str, mobile: bool | None) -> None:
    assert NumberDirectory({}).mobile(number) is mobile


@pytest.mark.parametrize(
    ("line_type", "mobile"), [("Wireless", True), ("Pre-Paid Wireless", True), ("VoIP", False), ("", None)]
)
def test_an_override_decides_whether_a_number_is_a_mobile(line_type: str, mobile: bool | None) -> None:
    directory = NumberDirectory({"+4420*": NumberFacts("", line_type)})
    assert directory.mobile("+442079460000") is mobile
