"""Addresses, ours to a carrier's and back."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.carriers.smpp.addressing import Addressing, Rule, WireAddress

USUAL = Addressing()


@pytest.mark.parametrize(
    ("sender", "wire"),
    [
        ("+18445550001", WireAddress(1, 1, "18445550001")),  # toll-free
        ("+13125550123", WireAddress(1, 1, "13125550123")),
        ("+447911123456", WireAddress(1, 1, "447911123456")),
        ("48484", WireAddress(3, 0, "48484")),
        ("Acme 24", WireAddress(5, 0, "Acme 24")),
        ("+1999", WireAddress(1, 1, "1999")),  # no number any more, but it was one when the message was taken
        ("Acme-24!", WireAddress(5, 0, "Acme-24!")),
    ],
)
def test_a_sender_is_written_by_its_kind(sender: str, wire: WireAddress) -> None:
    assert USUAL.of_sender(sender) == wire


def test_a_destination_is_a_number_or_a_short_code() -> None:
    assert USUAL.of_recipient("+447911123456") == (1, 1, "447911123456")
    assert USUAL.of_recipient("48484") == (3, 0, "48484")


@pytest.mark.parametrize(
    ("kind", "sender"),
    [("long_code", "+13125550123"), ("toll_free", "+18445550001"), ("short_code", "48484"), ("alphanumeric", "Acme")],
)
def test_each_kind_of_sender_has_its_own_rule(kind: str, sender: str) -> None:
    rule: dict[str, Any] = {kind: Rule(6, 9)}
    addressing = replace(USUAL, **rule)
    assert addressing.of_sender(sender)[:2] == (6, 9)
    others = {"+13125550123", "+18445550001", "48484", "Acme"} - {sender}
    assert all(addressing.of_sender(each) == USUAL.of_sender(each) for each in others)


def test_destinations_have_rules_of_their_own() -> None:
    addressing = Addressing(destination=Rule(0, 1), short_destination=Rule(6, 0))
    assert addressing.of_recipient("+447911123456") == (0, 1, "447911123456")
    assert addressing.of_recipient("48484") == (6, 0, "48484")
    assert addressing.of_sender("+447911123456") == (1, 1, "447911123456")


def test_the_plus_may_be_kept() -> None:
    addressing = Addressing(keep_plus=True)
    assert addressing.of_sender("+13125550123").text == "+13125550123"
    assert addressing.of_recipient("+447911123456").text == "+447911123456"
    assert addressing.of_sender("48484").text == "48484"


@pytest.mark.parametrize(
    ("ton", "text", "ours"),
    [
        (1, "447911123456", "+447911123456"),
        (1, "00447911123456", "+447911123456"),
        (1, "+447911123456", "+447911123456"),
        (0, "+447911123456", "+447911123456"),
        (0, "447911123456", "+447911123456"),
        (0, "00447911123456", "+447911123456"),
        (0, "13125550123", "+13125550123"),
        (1, "48484", "48484"),
        (0, "48484", "48484"),
        (3, "1234567", "1234567"),
        (6, "1234567", "1234567"),
        (5, "Acme", "Acme"),
        (5, "447911123456", "447911123456"),
        (0, "Acme", "Acme"),
        (0, "", ""),
        (1, " 447911123456 ", "+447911123456"),
        # no country code begins with 0, no number has so many digits, and nobody says whose national number it is
        (1, "0447911123456", "0447911123456"),
        (1, "1234567890123456", "1234567890123456"),
        (2, "7911123456", "7911123456"),
        (0, "0000000000", "0000000000"),
    ],
)
def test_a_number_of_the_carrier_is_read_by_its_type(ton: int, text: str, ours: str) -> None:
    assert USUAL.read(ton, text) == ours


@pytest.mark.parametrize(
    ("country", "ton", "text", "ours"),
    [
        ("GB", 2, "07911123456", "+447911123456"),
        ("GB", 2, "7911123456", "+447911123456"),
        ("GB", 0, "07911123456", "+447911123456"),
        ("GB", 0, "447911123456", "+447911123456"),
        ("GB", 0, "33612345678", "+33612345678"),
        ("US", 2, "3125550123", "+13125550123"),
        ("US", 0, "3125550123", "+13125550123"),
        ("US", 0, "13125550123", "+13125550123"),
        ("US", 0, "447911123456", "+447911123456"),
        ("IT", 2, "0612345678", "+390612345678"),  # a zero that belongs to the number
        ("US", 2, "1234567", "1234567"),  # nobody's, without an area code
        ("US", 2, "1234567890123456789", "1234567890123456789"),  # no number at all
        ("US", 1, "447911123456", "+447911123456"),
    ],
)
def test_a_national_number_is_one_of_the_home_country(country: str, ton: int, text: str, ours: str) -> None:
    assert Addressing(home_country=country).read(ton, text) == ours


def test_a_type_that_we_give_to_e164_means_e164_when_it_comes_back() -> None:
    addressing = Addressing(destination=Rule(2, 1), home_country="US")
    assert addressing.read(2, "447911123456") == "+447911123456"


@given(st.from_regex(r"\+1[2-9][0-9]{2}[2-9][0-9]{6}|\+4479[0-9]{8}|[0-9]{5,6}", fullmatch=True), st.booleans())
def test_what_we_write_is_what_we_read(number: str, keep_plus: bool) -> None:
    addressing = Addressing(keep_plus=keep_plus, home_country="US")
    for wire in (addressing.of_sender(number), addressing.of_recipient(number)):
        assert addressing.read(wire.ton, wire.text) == number


@given(st.integers(0, 255), st.text(max_size=20), st.sampled_from([None, "GB", "US"]))
def test_no_address_raises(ton: int, text: str, country: str | None) -> None:
    assert isinstance(Addressing(home_country=country).read(ton, text), str)


def test_what_cannot_be_a_rule_or_a_country_is_refused() -> None:
    with pytest.raises(ValueError, match="TON 256"):
        Rule(256, 0)
    with pytest.raises(ValueError, match="'gb'"):
        Addressing(home_country="gb")
