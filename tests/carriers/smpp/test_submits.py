"""A message as submit_sm."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from heliograph.carriers.smpp.options import SmppOptions, Validity
from heliograph.carriers.smpp.parts import UDHI, LongMessages, Manner, TooLong
from heliograph.carriers.smpp.pdu import SubmitSm, Tag, encode, find, find_number
from heliograph.carriers.smpp.submits import NoText, ValidityOver, outgoing_of, reference_of, request
from heliograph.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant
from tests.carriers.smpp.messages import message_of, options_of

NOW = Instant(1_795_000_000_000_000)
LONG = "hello" * 70


def submits(text: str = "Hello", *, valid_for: int = HOUR, **given: Any) -> list[SubmitSm]:
    """What a message becomes, each part at `NOW`."""
    options: SmppOptions = options_of(**given)
    outgoing = outgoing_of(message_of(text, now=NOW, valid_until=Instant(NOW + valid_for)), options)
    return [request(outgoing, part, options, NOW) for part in outgoing.parts]


def numbers(pdus: list[SubmitSm], tag: Tag) -> list[int | None]:
    return [find_number(each.tlvs, tag) for each in pdus]


def test_a_short_message_says_all_of_itself() -> None:
    assert submits(service_type="CMT") == [
        SubmitSm(
            service_type="CMT",
            source_addr_ton=1,
            source_addr_npi=1,
            source_addr="18445550001",
            dest_addr_ton=1,
            dest_addr_npi=1,
            destination_addr="18665550001",
            validity_period="000000010000000R",
            registered_delivery=1,
            short_message=b"Hello",
        )
    ]


def test_parts_with_headers_have_one_reference_and_their_numbers() -> None:
    pdus = submits(LONG)
    headers = [each.short_message[:6] for each in pdus]
    assert {each.esm_class for each in pdus} == {UDHI}
    assert [(each[4], each[5]) for each in headers] == [(3, 1), (3, 2), (3, 3)]
    assert len({each[3] for each in headers}) == 1
    assert numbers(pdus, Tag.MORE_MESSAGES_TO_SEND) == [1, 1, 0]
    assert {each.validity_period for each in pdus} == {"000000010000000R"}
    assert {each.registered_delivery for each in pdus} == {1}


def test_parts_with_sar_are_told_by_parameters() -> None:
    pdus = submits(LONG, manner=Manner(LongMessages.SAR))
    assert numbers(pdus, Tag.SAR_TOTAL_SEGMENTS) == [3, 3, 3]
    assert numbers(pdus, Tag.SAR_SEGMENT_SEQNUM) == [1, 2, 3]
    assert len(set(numbers(pdus, Tag.SAR_MSG_REF_NUM))) == 1
    assert {each.esm_class for each in pdus} == {0}


def test_a_payload_is_one_pdu_without_a_short_message() -> None:
    (pdu,) = submits(LONG, manner=Manner(LongMessages.PAYLOAD))
    assert pdu.short_message == b""
    assert find(pdu.tlvs, Tag.MESSAGE_PAYLOAD) == LONG.encode()
    assert find(pdu.tlvs, Tag.MORE_MESSAGES_TO_SEND) is None


def test_ucs2_says_so() -> None:
    (pdu,) = submits("жук")
    assert (pdu.data_coding, pdu.short_message) == (8, "жук".encode("utf-16-be"))


def test_parts_have_numbers_of_ours_where_that_is_wanted() -> None:
    first, second, third = numbers(submits(LONG, message_reference=True), Tag.USER_MESSAGE_REFERENCE)
    assert first is not None
    assert (second, third) == ((first + 1) % 0x10000, (first + 2) % 0x10000)
    assert numbers(submits(LONG), Tag.USER_MESSAGE_REFERENCE) == [None, None, None]


def test_that_more_follows_need_not_be_said() -> None:
    assert numbers(submits(LONG, more_messages=False), Tag.MORE_MESSAGES_TO_SEND) == [None, None, None]


def test_an_old_peer_gets_no_parameters_but_those_that_hold_a_message_together() -> None:
    old = {"interface_version": 0x33, "message_reference": True}
    assert [each.tlvs for each in submits(LONG, **old)] == [(), (), ()]
    assert numbers(submits(LONG, manner=Manner(LongMessages.SAR), **old), Tag.SAR_SEGMENT_SEQNUM) == [1, 2, 3]


@pytest.mark.parametrize(
    ("valid_for", "period"),
    [
        (HOUR, "000000010000000R"),
        (DAY + 2 * HOUR + 3 * MINUTE + 4 * SECOND, "000001020304000R"),
        (1, "000000000001000R"),  # never nothing
        (SECOND, "000000000001000R"),
        (400 * DAY, "000030000000000R"),
    ],
)
def test_validity_is_what_is_left_of_it(valid_for: int, period: str) -> None:
    assert submits(valid_for=valid_for)[0].validity_period == period


def test_validity_may_be_a_moment_or_nothing() -> None:
    (pdu,) = submits(validity=Validity.ABSOLUTE)
    until = datetime.fromtimestamp((NOW + HOUR) // SECOND, UTC)
    assert pdu.validity_period == until.strftime("%y%m%d%H%M%S000+")
    assert submits(validity=Validity.NONE)[0].validity_period == ""


def test_a_moment_is_told_by_the_real_clock_whatever_the_test_clock_shows() -> None:
    options = options_of(validity=Validity.ABSOLUTE)
    ahead = Instant(NOW + 5 * DAY)
    outgoing = outgoing_of(message_of(now=ahead), options)
    pdu = request(outgoing, outgoing.parts[0], options, ahead, offset=5 * DAY)
    assert pdu.validity_period == submits(validity=Validity.ABSOLUTE)[0].validity_period


@pytest.mark.parametrize("form", Validity)
@pytest.mark.parametrize("valid_for", [0, -1, -HOUR])
def test_what_is_too_late_is_no_submit(form: Validity, valid_for: int) -> None:
    with pytest.raises(ValidityOver):
        submits(valid_for=valid_for, validity=form)


def test_a_message_without_a_text_is_no_submit() -> None:
    for text in (None, ""):
        with pytest.raises(NoText):
            outgoing_of(replace(message_of(now=NOW), text=text), options_of())


def test_a_message_of_too_many_parts_is_no_submit() -> None:
    with pytest.raises(TooLong):
        submits("x" * 153 * 256)


def test_a_reference_is_the_same_whoever_sends_the_rest() -> None:
    message = message_of(LONG, now=NOW)
    assert outgoing_of(message, options_of()).reference == outgoing_of(message, options_of(name="south")).reference
    assert len({reference_of(str(number)) % 256 for number in range(2_000)}) == 256


@given(st.text(min_size=1, max_size=500), st.sampled_from(LongMessages), st.integers(1, 40 * DAY))
def test_every_text_can_be_written(text: str, way: LongMessages, valid_for: int) -> None:
    pdus = submits(text, manner=Manner(way), valid_for=valid_for, message_reference=True)
    assert all(encode(each, 1) for each in pdus)
