"""Receipts as carriers send them: most of these were written down in the trackers and tests of other programs."""

from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.carriers.smpp.encoding import Alphabet, encode
from heliograph.carriers.smpp.receipts import (
    COMMON_REASONS,
    Reason,
    Report,
    State,
    is_receipt,
    read,
)
from heliograph.domain.errors import TITLES, Code
from heliograph.domain.instant import Instant, parse
from heliograph.domain.lifecycle import Change
from heliograph.domain.message import DeliveryError

DELIVER, FAIL = Change.DELIVER, Change.FAIL
NOW = parse("2026-01-01T00:00:00Z")
EXAMPLE = b"id:1891273321 sub:001 dlvrd:001 submit date:1305050826 done date:1305050827 stat:DELIVRD err:000 text:DLVRD"
UNDELIVERED = b"id:1 stat:UNDELIV err:"


def at(date: str) -> Instant:
    return parse(date)


def code_of(report: Report) -> str:
    assert report.error is not None
    return report.error.code


# Is it one?


@pytest.mark.parametrize("esm_class", [0x04, 0x44, 0x08, 0x20, 0x05])
def test_esm_class_tells_of_a_receipt(esm_class: int) -> None:
    """Kannel reads bits 2 to 5 only, and notes that some send 0x44."""
    assert is_receipt(esm_class)


@pytest.mark.parametrize("esm_class", [0x00, 0x40, 0x80, 0x03, 0xC0])
def test_a_message_is_no_receipt(esm_class: int) -> None:
    assert not is_receipt(esm_class)


def test_a_forgotten_esm_class_is_forgiven_to_a_carrier_only() -> None:
    """A handset can write the text of a receipt, but no parameters."""
    assert is_receipt(0, b"6a3ed98a\0", 2)
    assert not is_receipt(0, b"6a3ed98a\0", None)
    assert not is_receipt(0, None, 2)
    assert not is_receipt(0, b"", 2)


# Texts


def test_every_field_of_the_form_in_the_specification_is_read() -> None:
    """jasmin's test_is_delivery_standard."""
    assert read(EXAMPLE) == Report(
        ids=("1891273321",),
        change=DELIVER,
        state=State.DELIVERED,
        stat="DELIVRD",
        err="000",
        done_at=at("2013-05-05T08:27Z"),
        text="DLVRD",
    )


@pytest.mark.parametrize(
    ("octets", "ids", "change", "done_at"),
    [
        # jasmin issue 70: Clickatell
        (
            b"id:a29f6845555647139e5c8f3b817f2c9a sub:001 dlvrd:001 submit date:141023215253"
            b" done date:141023215259 stat:DELIVRD err:000 text:",
            "a29f6845555647139e5c8f3b817f2c9a",
            DELIVER,
            at("2014-10-23T21:52:59Z"),
        ),
        # jasmin issue 195: its own, with a date of another form
        (
            b"id:c87c2273-7edb-4bc7-8d3a-7f57f21b625e submit date:201506201641 done date:201506201641"
            b" stat:DELIVRD err:000",
            "c87c2273-7edb-4bc7-8d3a-7f57f21b625e",
            DELIVER,
            at("2015-06-20T16:41Z"),
        ),
        # jasmin issue 447
        (
            b"id:1216080510463401720 sub:001 dlvrd:001 submit date:1608051046 done date:0000000000"
            b" stat:FAILED err:002 Text:",
            "1216080510463401720",
            FAIL,
            None,
        ),
        # php-smpp issue 70: an error of four digits
        (
            b"id:117062714244798261 sub:001 dlvrd:001 submit date:1706271624 done date:1706271624"
            b" stat:DELIVRD err:0000 text:H\x1bllo w\xf6rld",
            "117062714244798261",
            DELIVER,
            at("2017-06-27T16:24Z"),
        ),
        # jsmpp issue 62: two fields left out
        (
            b"id:1526758174 submit date:1701240904 done date:1701240904 stat:DELIVRD err:000 text:hellow",
            "1526758174",
            DELIVER,
            at("2017-01-24T09:04Z"),
        ),
        # smppex issue 46: absolute times of SMPP, with a zone
        (
            b"id:rdwjwxns18krxr9936ey96ymcw sub:000 dlvrd:000 submit date:180711070003912+"
            b" done date:180711070000012+ stat:UNDELIV err:000",
            "rdwjwxns18krxr9936ey96ymcw",
            FAIL,
            at("2018-07-11T07:00:00+03:00"),
        ),
        # ksmppd issue 108: the word of the state without its name
        (
            b"id:ce5bc5a9-4f7d-4282-9244-2e1022a9335c sub:000 dlvrd:000 submit date:180903120815"
            b" done date:180903120816 DELIVRD err:000 Text:",
            "ce5bc5a9-4f7d-4282-9244-2e1022a9335c",
            DELIVER,
            at("2018-09-03T12:08:16Z"),
        ),
        # RestComm's ParseDeliveryReceiptTest: two forms of date in one
        (
            b"id:1010d937-8f43-4754-9dd8-6e987cda32fa sub:001 dlvrd:000 submit date:161008120127"
            b" done date:1610081500 stat:UNDELIV err:004 text:exampleMessage02",
            "1010d937-8f43-4754-9dd8-6e987cda32fa",
            FAIL,
            at("2016-10-08T15:00Z"),
        ),
        # the same: a point in the id
        (
            b"id:1479978899.393701000100 sub:001 dlvrd:001 submit date:161124101732 done date:161124101735"
            b" stat:DELIVRD err:000",
            "1479978899.393701000100",
            DELIVER,
            at("2016-11-24T10:17:35Z"),
        ),
        # vumi's DR_MINIMAL_TEMPLATE
        (b"id:abc_1 stat:DELIVRD text:Meep", "abc_1", DELIVER, None),
        # jasmin's message_payload, with its NUL
        (
            b"id:0000436949 submit date:1504211508 done date:1504211508 stat:DELIVRD err:000\0",
            "0000436949",
            DELIVER,
            at("2015-04-21T15:08Z"),
        ),
        # a GoIP, in a test of somleng's sms-gateway
        (
            b"id:88316820 sub:0 dlvrd:0 submit date:2302281324 done date:2302281325 stat:UNDELIV err:500"
            b" Text:Hello World from out",
            "88316820",
            FAIL,
            at("2023-02-28T13:25Z"),
        ),
        # other order, other case, other spaces
        (b"STAT: delivrd ERR: 000  Done Date:1305050827\r\nID: 77", "77", DELIVER, at("2013-05-05T08:27Z")),
        (b"id:77,stat:ACCEPTD;err:000", "77", None, None),
        (b"done_date:2013-05-05 08:27:30 state:Delivered id:77", "77", DELIVER, at("2013-05-05T08:27:30Z")),
    ],
)
def test_the_texts_of_many_carriers_are_read(
    octets: bytes, ids: str, change: Change | None, done_at: Instant | None
) -> None:
    report = read(octets)
    assert (report.ids, report.change, report.done_at) == ((ids,), change, done_at)


def test_nothing_behind_the_text_is_a_field() -> None:
    """It is the beginning of the message, so whoever wrote the message wrote it."""
    report = read(b"id:77 text:id:78 stat:DELIVRD err:001")
    assert (report.ids, report.change, report.text) == (("77",), None, "id:78 stat:DELIVRD err:001")


def test_of_a_field_that_is_there_twice_the_first_counts() -> None:
    assert read(b"id:77 id:78 stat:DELIVRD stat:UNDELIV").ids == ("77",)
    assert read(b"id:77 id:78 stat:DELIVRD stat:UNDELIV").change is DELIVER


def test_a_name_within_a_word_is_no_field() -> None:
    assert read(b"msgid:78 id:77 substat:X stat:DELIVRD").ids == ("77",)


def test_a_receipt_written_as_data_coding_says_is_read() -> None:
    octets = "id:77 stat:DELIVRD err:000 text:Привет".encode("utf-16-be")
    report = read(octets, data_coding=8)
    assert (report.ids, report.change) == (("77",), DELIVER)


def test_a_receipt_in_packed_septets_is_read() -> None:
    octets = encode("id:77 stat:UNDELIV err:000", Alphabet.GSM7_PACKED)
    assert read(octets, meanings={0: Alphabet.GSM7_PACKED}).change is FAIL


def test_a_receipt_in_ascii_that_says_ucs2_is_read() -> None:
    """Some copy `data_coding` from the message."""
    assert read(EXAMPLE, data_coding=8).ids == ("1891273321",)


def test_a_text_in_another_alphabet_than_its_fields_does_no_harm() -> None:
    """python-smpplib's test_parse_deliver_sm: ASCII, then the message in UCS-2."""
    octets = (
        b"id:0489708364 sub:001 dlvrd:001 submit date:1810151907 done date:1810151907 stat:DELIVRD err:000 text:"
        b"\x04\x1f\x04@\x048\x042\x045\x04B\x04"
    )
    report = read(octets, receipted_message_id=b"1d305b4c\0", message_state=2)
    assert (report.ids, report.change) == (("1d305b4c", "0489708364"), DELIVER)


def test_underscores_of_the_gsm_alphabet_are_read() -> None:
    assert read(b"id:a\x11b stat:DELIVRD").ids == ("a_b",)
    assert read(b"id:a_b stat:DELIVRD").ids == ("a_b",)


def test_a_header_before_the_text_does_no_harm() -> None:
    assert read(bytes.fromhex("050003010101") + EXAMPLE, esm_class=0x44).ids == ("1891273321",)
    wide = bytes.fromhex("06080400010101") + "id:77 stat:DELIVRD".encode("utf-16-be")
    assert read(wide, esm_class=0x44, data_coding=8).ids == ("77",)


@pytest.mark.parametrize("octets", [b"", b"362d9701 2", b"Hello", b"id", b"id:", b"text:id:1", b"\xff\x00", b"stat:"])
def test_what_is_no_receipt_has_no_id_and_decides_nothing(octets: bytes) -> None:
    report = read(octets)
    assert (report.ids, report.change, report.error) == ((), None, None)


@given(
    st.lists(st.sampled_from([b"id:", b"stat:", b"done date:", b"text:", b"DELIVRD ", b" ", b"\0", b"9" * 12])).map(
        b"".join
    )
    | st.binary(),
    st.integers(0, 255),
    st.integers(0, 255),
    st.none() | st.integers(0, 255),
    st.none() | st.binary(max_size=4),
)
def test_nothing_that_comes_in_raises(
    octets: bytes, esm_class: int, data_coding: int, state: int | None, error: bytes | None
) -> None:
    report = read(
        octets,
        esm_class=esm_class,
        data_coding=data_coding,
        receipted_message_id=error,
        message_state=state,
        network_error_code=error,
    )
    assert (report.error is not None) == (report.change is FAIL)
    assert all(report.ids)


# Parameters


def test_parameters_alone_are_a_receipt() -> None:
    """jasmin issues 92 and 224: Sicap's MMG, with a text of its own or none."""
    for octets in (b"", b"362d9701 2"):
        report = read(octets, receipted_message_id=b"362d9701\0", message_state=2)
        assert (report.ids, report.change) == (("362d9701",), DELIVER)


def test_parameters_win_over_the_text() -> None:
    """jasmin issue 427."""
    report = read(b"id:5000 stat:DELIVRD err:000", receipted_message_id=b"6000", message_state=6)
    assert (report.ids, report.state, report.change) == (("6000", "5000"), State.ACCEPTED, None)


def test_an_id_that_is_given_twice_stands_once() -> None:
    report = read(b"id:07EE36CBE3 stat:UNDELIV err:106 Text:-", receipted_message_id=b"07EE36CBE3")
    assert report.ids == ("07EE36CBE3",)


def test_a_state_that_smpp_does_not_know_leaves_it_to_the_text() -> None:
    assert read(b"id:1 stat:DELIVRD", message_state=77).change is DELIVER


# States


@pytest.mark.parametrize(
    ("state", "words", "change"),
    [
        (State.SCHEDULED, ["SCHEDULED"], None),
        (State.ENROUTE, ["ENROUTE", "BUFFRED", "BUFFERD"], None),  # Kannel's
        (State.DELIVERED, ["DELIVRD", "DELIVERED", "delivrd"], DELIVER),
        (State.EXPIRED, ["EXPIRED", "EXP-MSG-Q-EXD"], FAIL),
        (State.DELETED, ["DELETED"], FAIL),
        (State.UNDELIVERABLE, ["UNDELIV", "UNDELIVERABLE", "FAILED"], FAIL),  # jasmin issues 181 and 447
        (State.ACCEPTED, ["ACCEPTD", "ACCEPTED", "ACKED"], None),
        (State.UNKNOWN, ["UNKNOWN"], None),
        (State.REJECTED, ["REJECTD", "REJECTED"], FAIL),
        (State.SKIPPED, ["SKIPPED"], FAIL),
    ],
)
def test_states_and_words_mean_a_change_or_none_yet(state: State, words: list[str], change: Change | None) -> None:
    reports = [read(b"id:1 stat:" + word.encode()) for word in words]
    reports += [read(b"", receipted_message_id=b"1", message_state=int(state))]
    assert {(report.state, report.change) for report in reports} == {(state, change)}


def test_a_word_that_nobody_knows_decides_nothing_and_is_kept() -> None:
    report = read(b"id:1 stat:BADSTAT err:000")
    assert (report.state, report.change, report.stat) == (None, None, "BADSTAT")


def test_what_was_delivered_has_no_error_whatever_its_number() -> None:
    """jasmin issue 447: `stat:DELIVRD err:001`."""
    report = read(b"id:1 stat:DELIVRD err:001")
    assert (report.change, report.error, report.err) == (DELIVER, None, "001")


def test_a_failure_on_the_way_is_not_the_end() -> None:
    assert read(b"id:1 stat:UNDELIV", esm_class=0x20).change is None
    assert read(b"id:1 stat:UNDELIV", esm_class=0x20).error is None
    assert read(b"id:1 stat:DELIVRD", esm_class=0x20).change is DELIVER


# Errors


@pytest.mark.parametrize(
    ("stat", "code", "title", "detail"),
    [
        ("UNDELIV", "40008", "Undeliverable", "The carrier reports UNDELIV: it cannot be delivered."),
        (
            "EXPIRED",
            "40005",
            "Message expired during transmission",
            "The carrier reports EXPIRED: it could not be delivered within its validity.",
        ),
        ("REJECTD", "40004", "Rejected by destination", "The carrier reports REJECTD: it was rejected."),
        ("DELETED", "40008", "Undeliverable", "The carrier reports DELETED: it was deleted."),
        ("SKIPPED", "40008", "Undeliverable", "The carrier reports SKIPPED: it was skipped."),
    ],
)
def test_without_a_number_the_state_is_the_reason(stat: str, code: str, title: str, detail: str) -> None:
    assert read(f"id:1 stat:{stat} err:000".encode()).error == DeliveryError(code, title, detail)


def test_parameters_without_a_word_name_the_state() -> None:
    error = read(b"", receipted_message_id=b"1", message_state=5, network_error_code=b"\x03\x00\x00").error
    assert error is not None
    assert error.detail == "The carrier reports UNDELIVERABLE: it cannot be delivered."


@pytest.mark.parametrize(
    ("err", "code", "meaning"),
    [
        (b"001", "40012", "unknown subscriber"),
        (b"1", "40012", "unknown subscriber"),
        (b" 011 ", "40001", "its line has no text messages"),
        (b"034", "40006", "system failure of its network"),
        (b"027", "40008", "absent subscriber"),
        (b"013", "40004", "barred from receiving"),
    ],
)
def test_numbers_of_the_gsm_network_are_the_reason(err: bytes, code: str, meaning: str) -> None:
    error = read(UNDELIVERED + err).error
    assert error is not None
    assert (error.code, error.detail) == (
        code,
        f"The carrier reports UNDELIV, error {err.decode().strip()}: {meaning}.",
    )


@pytest.mark.parametrize("err", [b"106", b"4321", b"9" * 50, b"0x1F", b"ABC", b"-1", "²".encode("latin-1")])
def test_a_number_that_nobody_knows_is_shown(err: bytes) -> None:
    report = read(UNDELIVERED + err)
    assert code_of(report) == "40008"
    assert report.err == err.decode("latin-1")
    assert report.error is not None
    assert f"error {report.err}:" in report.error.detail


def test_a_carrier_may_number_otherwise() -> None:
    reasons = {1: Reason(Code.BLOCKED_AS_SPAM, "taken for spam")}
    assert code_of(read(UNDELIVERED + b"001", reasons=reasons)) == "40002"
    assert code_of(read(UNDELIVERED + b"027", reasons=reasons)) == "40008"


def test_what_expired_stays_expired_and_tells_what_held_it_up() -> None:
    error = read(b"id:1 stat:EXPIRED err:027").error
    assert error is not None
    assert (error.code, error.detail) == ("40005", "The carrier reports EXPIRED, error 027: absent subscriber.")


@pytest.mark.parametrize(
    ("octets", "network", "number", "code"),
    [
        (b"\x03\x00\x01", 3, 1, "40012"),
        (b"\x03\x01\x00", 3, 256, "40008"),
        (b"\x02\x00\x01", 2, 1, "40008"),  # another network counts otherwise
        (b"001", None, 1, "40012"),  # jasmin's test_deliver_sm_unknown_param_network_error_code: digits
        (b"\x00", None, None, "40008"),  # RestComm's issue 34604: too short
        (b"", None, None, "40008"),
    ],
)
def test_network_error_code_is_read(octets: bytes, network: int | None, number: int | None, code: str) -> None:
    report = read(UNDELIVERED, network_error_code=octets)
    assert (report.network, report.network_error, code_of(report)) == (network, number, code)


def test_the_parameter_is_asked_first_and_the_text_where_it_knows_nothing() -> None:
    assert code_of(read(UNDELIVERED + b"001", network_error_code=b"\x03\x00\x22")) == "40006"
    assert code_of(read(UNDELIVERED + b"001", network_error_code=b"\x03\x00\x00")) == "40012"
    assert code_of(read(UNDELIVERED + b"001", network_error_code=b"\x03\xff\xff")) == "40012"


def test_titles_are_those_of_the_catalogue() -> None:
    titles = {str(code): title for code, title in TITLES.items()}
    errors = [read(UNDELIVERED + str(number).encode()).error for number in COMMON_REASONS]
    assert all(titles.get(error.code, error.title) == error.title for error in errors if error)


# Dates


@pytest.mark.parametrize(
    ("date", "done_at"),
    [
        ("2602281325", "2026-02-28T13:25Z"),
        ("260228132559", "2026-02-28T13:25:59Z"),
        ("202602281325", "2026-02-28T13:25Z"),
        ("20260228132559", "2026-02-28T13:25:59Z"),
        ("260228132559908-", "2026-02-28T13:25:59-02:00"),
    ],
)
def test_dates_have_10_to_16_places(date: str, done_at: str) -> None:
    assert read(f"id:1 stat:DELIVRD done date:{date}".encode()).done_at == at(done_at)


@pytest.mark.parametrize(
    "date", ["", "0000000000", "2602301325", "yesterday", "26022813", "260228132559999+x", "9999999999", "٢٦٠٢٢٨١٣٢٥"]
)
def test_what_is_no_date_is_none(date: str) -> None:
    assert read(f"id:1 done date:{date} stat:DELIVRD".encode()).done_at is None


def test_an_offset_that_cannot_be_is_left_to_the_carriers_zone() -> None:
    assert read(b"id:1 stat:DELIVRD done date:260228132559099+").done_at == at("2026-02-28T13:25:59Z")


def test_the_carriers_clock_may_be_elsewhere() -> None:
    octets = b"id:1 stat:DELIVRD done date:2602281325"
    assert read(octets, zone=timezone(timedelta(hours=3))).done_at == at("2026-02-28T10:25Z")
    assert read(octets, zone=UTC).done_at == at("2026-02-28T13:25Z")
