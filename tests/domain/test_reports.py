"""Records of messages, usage added up, and CSV that no spreadsheet runs."""

from csv import reader
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.lifecycle import Status
from heliograph.domain.reports import (
    ON_RECORD,
    Aggregation,
    Direction,
    RecordStatus,
    Usage,
    csv_line,
    number_kind,
    outbound_record,
    record_status,
    usage_rows,
)
from tests.domain.messages import a_message


def test_every_status_on_record_has_a_word_and_only_a_carrier_that_took_it_may_still_tell() -> None:
    words = {(status, taken): record_status(status, taken=taken) for status in ON_RECORD for taken in (True, False)}
    assert words[Status.DELIVERY_UNCONFIRMED, True] is RecordStatus.DLR_UNCONFIRMED
    assert words[Status.DELIVERY_UNCONFIRMED, False] is RecordStatus.GW_TIMEOUT
    assert words[Status.SENT, True] is RecordStatus.DLR_UNCONFIRMED
    rest = {status: words[status, False] for status in ON_RECORD if "unconfirmed" not in status and status != "sent"}
    assert rest == {
        Status.DELIVERED: RecordStatus.DELIVERED,
        Status.DELIVERY_FAILED: RecordStatus.FAILED,
        Status.EXPIRED: RecordStatus.FAILED,
        Status.SENDING_FAILED: RecordStatus.GW_REJECT,
    }


def usage(**given: object) -> Usage:
    usual = Usage(
        Direction.OUTBOUND, "SMS", RecordStatus.DELIVERED, "+18445550001", "p1", "north", "USD", 2, 2, 3, 1020, 610
    )
    return usual._replace(**given)  # type: ignore[arg-type]  # each of its own type


def test_usage_is_added_up_by_kind_of_number_and_by_what_is_asked() -> None:
    counted = [
        usage(),
        usage(status=RecordStatus.FAILED, profile_id="p2", tags=""),
        usage(number="Acme"),
        usage(direction=Direction.INBOUND, status=RecordStatus.RECEIVED, sent=0, cost=0, carrier_fee=0),
    ]
    rows = usage_rows(counted, Aggregation.NO_AGGREGATION)
    shown = [(row.direction, row.tn_type, row.sent, row.delivered, row.received, row.parts, row.cost) for row in rows]
    assert shown == [
        ("inbound", "toll_free", "0", "0", "2", "3", "0.0000"),
        ("outbound", "alphanumeric", "2", "2", "0", "3", "0.0102"),
        ("outbound", "toll_free", "4", "2", "0", "6", "0.0204"),
    ]
    assert rows[2].carrier_passthrough_fee == "0.01220"
    by_profile = usage_rows(counted[:2], Aggregation.PROFILE)
    assert [(row.profile_id, row.sent, row.tags) for row in by_profile] == [("p1", "2", None), ("p2", "2", None)]
    by_tags = usage_rows(counted[:2], Aggregation.TAGS)
    assert [(row.tags, row.sent, row.profile_id) for row in by_tags] == [("", "2", None), ("north", "2", None)]


@pytest.mark.parametrize(
    ("address", "kind"),
    [("+13125550100", "long_code"), ("+18445550001", "toll_free"), ("12345", "short_code"), ("Acme", "alphanumeric")],
)
def test_the_kind_of_a_number_is_known_by_its_text(address: str, kind: str) -> None:
    assert number_kind(address) == kind


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+1+1", "'+1+1"),
        ("-1", "'-1"),
        ("@A1", "'@A1"),
        ("\t=1", "'\t=1"),
        ("\r=1", '"\'\r=1"'),
        ("+13125550100", "+13125550100"),
        ("Acme, Inc.", '"Acme, Inc."'),
        ('say "hi"', '"say ""hi"""'),
        ("1=1", "1=1"),
    ],
)
def test_a_formula_is_written_as_a_text(text: str, written: str) -> None:
    assert csv_line([text]) == f"{written}\r\n"


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=2, max_size=5))
def test_a_line_is_read_back_as_it_was_but_for_the_apostrophe(values: list[str]) -> None:
    (read,) = reader(StringIO(csv_line(values), newline=""))
    assert [each.removeprefix("'") for each in read] == [each.removeprefix("'") for each in values]
    assert not [each for each in read if each.startswith(("=", "@", "-", "\t", "\r"))]


def test_nothing_is_charged_on_record_that_never_left() -> None:
    held = a_message(status=Status.SENDING_FAILED, left_at=None)
    gone = a_message(status=Status.SENDING_FAILED, left_at=held.received_at)
    assert (outbound_record(held, None).cost, outbound_record(gone, None).cost) == (0, gone.rate + gone.carrier_fee)
