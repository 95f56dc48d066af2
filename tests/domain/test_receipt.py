"""What becomes of a message, from what its carrier reports of its parts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.instant import Instant, parse
from heliograph.domain.lifecycle import Change
from heliograph.domain.message import DeliveryError
from heliograph.domain.receipt import PartOutcome, fold, forms, normal

DELIVER, FAIL = Change.DELIVER, Change.FAIL
NOW = parse("2026-01-01T00:00:00Z")

WHY = DeliveryError("40008", "Undeliverable", "The carrier reports UNDELIV.")


def delivered(minute: int = 0) -> PartOutcome:
    return PartOutcome(DELIVER, Instant(NOW + minute))


def failed(minute: int = 0, **given: Any) -> PartOutcome:
    return PartOutcome(FAIL, Instant(NOW + minute), **({"error": WHY} | given))


def test_a_message_is_delivered_with_the_last_of_its_parts() -> None:
    assert fold([delivered(1), delivered(3), delivered(2)]) == delivered(3)


def test_it_waits_for_the_missing_ones() -> None:
    assert fold([delivered(), None]) is None
    assert fold([None]) is None
    assert fold([]) is None


def test_it_fails_as_soon_as_one_does_and_says_which() -> None:
    outcome = fold([delivered(9), failed(2), failed(1), None])
    assert outcome is not None
    assert (outcome.change, outcome.at) == (FAIL, NOW + 1)
    assert outcome.error == DeliveryError("40008", "Undeliverable", "Part 3 of 4: The carrier reports UNDELIV.")


def test_a_message_of_one_part_keeps_its_outcome() -> None:
    assert fold([failed()]) == failed()
    assert fold([delivered()]) == delivered()


def test_a_failure_without_a_reason_is_one() -> None:
    assert fold([failed(error=None), None]) == failed(error=None)


@given(st.lists(st.sampled_from([None, delivered(1), delivered(2), failed(3), failed(4)]), min_size=1, max_size=6))
def test_what_was_decided_does_not_change_with_what_is_still_to_come(parts: list[PartOutcome | None]) -> None:
    first = fold([*parts, None])
    assert first is None or first.change is FAIL
    later = fold([*parts, failed(9)])
    assert later is not None
    assert first is None or (later.change, later.at) == (first.change, first.at)


# Ids


@pytest.mark.parametrize(
    ("answered", "reported"),
    [
        ("1d305b4c", "0489708364"),  # python-smpplib's test
        ("6aad5", "0000436949"),  # jasmin's test_deliver_sm_with_message_payload
        ("33E95179", "870928761"),  # jsmpp issue 56
        ("39f99dd5", "0972660181"),  # jasmin issue 1034
        ("00B8BE19", "B8BE19"),  # jasmin issue 1129
        ("0e999f21-81ef-4974-a414-3de98174e3c7", "E999F21-81EF-4974-A414-3DE98174E3C7"),  # jasmin issue 643
        ("SAR-2347039245475-1eedf843-2-1", "SAR-2347039245475-1EEDF843-2-1"),  # jasmin issue 418
        ("023", "23"),  # jasmin issue 408
        ("281605133", "10C8F40D"),  # jasmin issue 535
        ("77", " 77\0"),
        ("0", "000"),
    ],
)
def test_the_same_id_is_known_in_another_form(answered: str, reported: str) -> None:
    assert normal(answered) in forms(reported)
    assert normal(reported) in forms(answered)


def test_the_id_itself_comes_before_guesses() -> None:
    assert forms("00077") == ("77", "4d", "119")
    assert forms("00AB") == ("ab", "171")
    assert forms("x-1") == ("x-1",)
    assert forms("000") == ("0",)
    assert forms("") == ("",)


@given(st.text(max_size=70))
def test_a_form_is_its_own_form(message_id: str) -> None:
    assert normal(normal(message_id)) == normal(message_id)
