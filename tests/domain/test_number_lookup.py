"""What is told of a number without asking anybody."""

import pytest

from heliograph.domain.address import BadAddress
from heliograph.domain.number_lookup import look_up
from heliograph.domain.numbers import NumberDirectory, NumberFacts

OFFLINE = NumberDirectory({})


@pytest.mark.parametrize(
    ("number", "country", "national", "kind"),
    [
        # The contract's own example.
        ("+13129457420", "US", "(0312) 945-7420", "fixed line or mobile"),
        ("+18665552368", "US", "(0866) 555-2368", "toll free"),
        ("+18225550001", "US", "(0822) 555-0001", "toll free"),
        ("+15551234567", "US", "(0555) 123-4567", "unknown"),
        ("+4930123456", "DE", "(030) 123456", "fixed line"),
        ("+33612345678", "FR", "(06) 12-34-56-78", "mobile"),
        ("+445612345678", "GB", "(056) 1234-5678", "voip"),
        ("+80012345678", "", "1234-5678", "toll free"),
    ],
)
def test_the_ranges_tell_country_and_kind(number: str, country: str, national: str, kind: str) -> None:
    found = look_up(number, OFFLINE)
    assert (found.phone_number, found.country_code, found.national_format, found.kind) == (
        number,
        country,
        national,
        kind,
    )


@pytest.mark.parametrize(
    ("line_type", "kind"),
    [("Wireline", "fixed line"), ("Pre-Paid Wireless", "mobile"), ("VoWiFi", "mobile"), ("", "unknown")],
)
def test_what_the_operator_says_comes_first(line_type: str, kind: str) -> None:
    found = look_up("+13129457420", NumberDirectory({"+1312*": NumberFacts("Bell", line_type)}))
    assert (found.kind, found.carrier, found.mobile) == (kind, "Bell", kind == "mobile")


def test_a_mobile_has_its_area() -> None:
    found = look_up("+77011234567", OFFLINE)
    assert (found.mobile, found.area, found.carrier) == (True, "0701", "Kcell/Activ")


@pytest.mark.parametrize("text", ["3129457420", "12345", "+1312945742", "Acme", "", "+13129457420\0"])
def test_what_is_no_number_cannot_be_looked_up(text: str) -> None:
    with pytest.raises(BadAddress):
        look_up(text, OFFLINE)
