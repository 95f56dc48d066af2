"""What a carrier delivers: kept first, acknowledged then, and nothing lost in between."""

from datetime import timedelta, timezone
from typing import Any

import pytest
from structlog.testing import capture_logs

from heliograph.carriers.smpp.addressing import Addressing
from heliograph.carriers.smpp.encoding import Alphabet
from heliograph.carriers.smpp.events import Delivered
from heliograph.carriers.smpp.inbound import OLDEST_RECEIPT, SWEPT_AT_ONCE, Inbound, receipt_of
from heliograph.carriers.smpp.parts import UDHI, Manner
from heliograph.carriers.smpp.pdu import DataSm, DeliverSm, Tag, tlv_of_number, tlv_of_text
from heliograph.carriers.smpp.receipts import Report, State
from heliograph.carriers.smpp.standing import Tally
from heliograph.domain.inbound import Arrival
from heliograph.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant, parse
from heliograph.domain.lifecycle import Change
from heliograph.domain.receipt import Receipt
from heliograph.domain.text import Encoding
from tests.carriers.smpp.desk import Desk, Shelves
from tests.carriers.smpp.messages import options_of

NOON = parse("2026-11-23T12:00:00Z")
PERSON, OURS = "+18665550001", "+18445550001"


class Hands:
    """A clock that is moved by hand."""

    offset = 0

    def __init__(self) -> None:
        self.moment = NOON

    def now(self) -> Instant:
        return self.moment


class Reception:
    """An `Inbound` with everything behind it."""

    def __init__(self, book: Shelves | None = None, **options: Any) -> None:
        self.clock = Hands()
        self.desk = Desk()
        self.book = book or Shelves()
        self.tally = Tally(self.clock)
        self.inbound = Inbound(options_of(**options), self.book, self.clock, self.desk, self.tally)

    async def takes(self, body: Delivered) -> int:
        return await self.inbound.delivered(body)

    async def after(self, micros: int) -> None:
        """Sweep once so much time has gone by."""
        self.clock.moment = Instant(self.clock.moment + micros)
        await self.inbound.sweep()

    def receipts(self) -> list[Receipt]:
        return [self.desk.receipts.get_nowait() for _ in range(self.desk.receipts.qsize())]

    def messages(self) -> list[Arrival]:
        return [self.desk.messages.get_nowait() for _ in range(self.desk.messages.qsize())]

    def texts(self) -> list[str | None]:
        return [each.text for each in self.messages()]


def message(octets: bytes, **given: Any) -> DeliverSm:
    """A message from a person to us."""
    fields: dict[str, Any] = {"source_addr_ton": 1, "source_addr": "18665550001", "short_message": octets}
    return DeliverSm(**fields | {"dest_addr_ton": 1, "destination_addr": "18445550001"} | given)


def part(number: int, text: str, total: int = 3, reference: int = 7, **given: Any) -> DeliverSm:
    header = bytes([5, 0, 3, reference, total, number])
    return message(header + text.encode(), esm_class=UDHI, **given)


def receipt(text: str = "", **given: Any) -> DeliverSm:
    return message(text.encode(), esm_class=4, **given)


# ---- receipts


async def test_a_receipt_is_handed_over_in_our_words() -> None:
    reception = Reception()
    text = "id:1a sub:001 dlvrd:001 submit date:2611231100 done date:2611231130 stat:DELIVRD err:000 text:Hello"
    assert await reception.takes(receipt(text)) == 0
    (found,) = reception.receipts()
    assert (found.carrier, found.carrier_message_id, found.other_ids) == ("north", "1a", ())
    assert (found.change, found.error, found.text) == (Change.DELIVER, None, "Hello")
    assert (found.recipient, found.sender) == (PERSON, OURS)
    assert found.at == NOON - HOUR / 2
    assert reception.tally.receipts == 1


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        (receipt("id:1A stat:DELIVRD"), ("1A",)),
        (
            receipt(tlvs=(tlv_of_text(Tag.RECEIPTED_MESSAGE_ID, "1A"), tlv_of_number(Tag.MESSAGE_STATE, 2))),
            ("1A",),
        ),
        (
            receipt(
                "id:0026 stat:DELIVRD",
                tlvs=(tlv_of_text(Tag.RECEIPTED_MESSAGE_ID, "1A"), tlv_of_number(Tag.MESSAGE_STATE, 2)),
            ),
            ("1A", "0026"),
        ),
        (
            # one that forgets to say in esm_class what it is
            message(b"", tlvs=(tlv_of_text(Tag.RECEIPTED_MESSAGE_ID, "1A"), tlv_of_number(Tag.MESSAGE_STATE, 2))),
            ("1A",),
        ),
        (
            DataSm(
                esm_class=4,
                tlvs=(tlv_of_text(Tag.RECEIPTED_MESSAGE_ID, "1A"), tlv_of_number(Tag.MESSAGE_STATE, 2)),
            ),
            ("1A",),
        ),
    ],
)
async def test_every_form_of_receipt_names_its_message(body: Delivered, ids: tuple[str, ...]) -> None:
    reception = Reception()
    await reception.takes(body)
    (found,) = reception.receipts()
    assert (found.carrier_message_id, *found.other_ids) == ids
    assert found.change is Change.DELIVER
    assert reception.messages() == []


async def test_a_failure_says_why() -> None:
    reception = Reception()
    await reception.takes(receipt("id:1 stat:UNDELIV err:001"))
    (found,) = reception.receipts()
    assert found.change is Change.FAIL
    assert found.error is not None
    assert found.error.code == "40012"


@pytest.mark.parametrize("stat", ["ENROUTE", "ACCEPTD", "UNKNOWN", "WHATEVER"])
async def test_what_decides_nothing_is_counted_and_acknowledged(stat: str) -> None:
    reception = Reception()
    assert await reception.takes(receipt(f"id:1 stat:{stat}")) == 0
    assert (reception.receipts(), reception.tally.receipts) == ([], 1)


async def test_a_receipt_that_names_no_message_is_acknowledged_and_shown() -> None:
    reception = Reception()
    assert await reception.takes(receipt("stat:DELIVRD")) == 0
    assert reception.receipts() == []
    assert reception.tally.last_error == "A receipt named no message."


@pytest.mark.parametrize(
    ("date", "at"),
    [
        ("2611231130", NOON - 30 * MINUTE),
        ("2611231200", NOON),
        ("2611231201", NOON),  # not yet
        ("2610231200", NOON),  # 31 days ago
        ("0000000000", NOON),
        ("", NOON),
    ],
)
async def test_its_moment_is_the_carriers_where_that_can_be(date: str, at: int) -> None:
    reception = Reception()
    await reception.takes(receipt(f"id:1 done date:{date} stat:DELIVRD"))
    assert [each.at for each in reception.receipts()] == [at]
    assert OLDEST_RECEIPT == 30 * DAY


async def test_its_clock_may_be_elsewhere() -> None:
    reception = Reception(zone=timezone(timedelta(hours=2)))
    await reception.takes(receipt("id:1 done date:2611231330 stat:DELIVRD"))
    assert [each.at for each in reception.receipts()] == [NOON - 30 * MINUTE]


async def test_a_receipt_that_cannot_be_kept_is_not_acknowledged() -> None:
    reception = Reception()
    reception.desk.fault = OSError("the database is away")
    with pytest.raises(OSError, match="away"):
        await reception.takes(receipt("id:1 stat:DELIVRD"))
    assert reception.tally.receipts == 0


# ---- messages


async def test_a_message_is_handed_over_with_our_numbers() -> None:
    reception = Reception()
    assert await reception.takes(message(b"Hello")) == 0
    assert reception.messages() == [
        Arrival(
            carrier="north",
            sender=PERSON,
            recipient=OURS,
            text="Hello",
            encoding=Encoding.GSM7,
            parts=1,
            reference=None,
        )
    ]
    assert reception.tally.inbound == 1


async def test_two_messages_that_are_alike_are_two() -> None:
    reception = Reception()
    await reception.takes(message(b"yes"))
    await reception.takes(message(b"yes"))
    assert reception.texts() == ["yes", "yes"]


@pytest.mark.parametrize(
    ("given", "sender"),
    [
        ({"source_addr_ton": 0, "source_addr": "+447911123456"}, "+447911123456"),
        ({"source_addr_ton": 2, "source_addr": "07911123456"}, "+447911123456"),
        ({"source_addr_ton": 3, "source_addr": "48484"}, "48484"),
        ({"source_addr_ton": 5, "source_addr": "Acme"}, "Acme"),
    ],
)
async def test_the_sender_is_read_by_its_type(given: dict[str, Any], sender: str) -> None:
    reception = Reception(addressing=Addressing(home_country="GB"))
    await reception.takes(message(b"Hello", **given))
    assert [each.sender for each in reception.messages()] == [sender]


@pytest.mark.parametrize(
    ("octets", "data_coding", "meanings", "text", "encoding"),
    [
        ("жук".encode("utf-16-be"), 8, {}, "жук", Encoding.UCS2),
        (b"\x00\x1be", 0, {}, "@€", Encoding.GSM7),
        (b"caf\xe9", 3, {}, "café", None),
        (b"caf\xe9", 0, {0: Alphabet.LATIN1}, "café", None),
        (b"a\x00b", 4, {}, "a\ufffdb", None),  # no database keeps a NUL
    ],
)
async def test_a_message_in_each_encoding(
    octets: bytes, data_coding: int, meanings: dict[int, Alphabet], text: str, encoding: Encoding | None
) -> None:
    manner = Manner(gsm7=meanings.get(0, Alphabet.GSM7), meanings=meanings)
    reception = Reception(manner=manner)
    await reception.takes(message(octets, data_coding=data_coding))
    assert [(each.text, each.encoding) for each in reception.messages()] == [(text, encoding)]


async def test_a_message_in_a_payload_by_data_sm_is_a_message() -> None:
    reception = Reception()
    await reception.takes(DataSm(source_addr_ton=1, source_addr="18665550001", tlvs=((Tag.MESSAGE_PAYLOAD, b"Hello"),)))
    assert reception.texts() == ["Hello"]


async def test_a_message_for_nobody_is_acknowledged_and_on_record() -> None:
    reception = Reception()
    reception.desk.nobodys = {OURS}
    assert await reception.takes(message(b"Hello")) == 0
    for number in (1, 2):
        assert await reception.takes(part(number, "x", total=2)) == 0
    assert reception.messages() == []
    await reception.after(DAY)
    assert reception.book.kept == {}


# ---- parts


async def test_parts_in_any_order_and_by_different_processes_are_one_message() -> None:
    book = Shelves()
    here, there = Reception(book), Reception(book)
    await here.takes(part(3, "c"))
    await there.takes(part(1, "a"))
    assert here.messages() + there.messages() == []
    await here.takes(part(2, "b"))
    (found,) = here.messages()
    assert (found.text, found.parts, found.encoding) == ("abc", 3, Encoding.GSM7)
    assert found.reference is not None


async def test_parts_told_by_parameters_are_one_message() -> None:
    reception = Reception()
    for number in (2, 1):
        places = {Tag.SAR_MSG_REF_NUM: 9, Tag.SAR_TOTAL_SEGMENTS: 2, Tag.SAR_SEGMENT_SEQNUM: number}
        tlvs = tuple(tlv_of_number(tag, value) for tag, value in places.items())
        await reception.takes(message("ab"[number - 1].encode(), tlvs=tlvs))
    assert reception.texts() == ["ab"]


async def test_half_of_the_parameters_make_no_part() -> None:
    reception = Reception()
    await reception.takes(message(b"a", tlvs=(tlv_of_number(Tag.SAR_MSG_REF_NUM, 9),)))
    assert reception.texts() == ["a"]


async def test_a_part_that_cannot_be_kept_is_not_acknowledged() -> None:
    reception = Reception()
    reception.book.fault = OSError("the database is away")
    with pytest.raises(OSError, match="away"):
        await reception.takes(part(1, "a"))
    reception.book.fault = None
    for number in (1, 2, 3):
        await reception.takes(part(number, "abc"[number - 1]))
    assert reception.texts() == ["abc"]


async def test_a_last_part_whose_message_cannot_be_kept_comes_again_and_the_message_once() -> None:
    reception = Reception()
    await reception.takes(part(1, "a", total=2))
    reception.desk.fault = OSError("the database is away")
    with pytest.raises(OSError, match="away"):
        await reception.takes(part(2, "b", total=2))
    reception.desk.fault = None
    for _ in range(3):
        await reception.takes(part(2, "b", total=2))
    assert reception.texts() == ["ab"]


async def test_what_a_crash_left_whole_is_handed_over_by_whoever_looks() -> None:
    book = Shelves()
    crashed, later = Reception(book), Reception(book)
    await crashed.takes(part(1, "a", total=2))
    crashed.desk.fault = OSError("it is gone")
    with pytest.raises(OSError, match="gone"):
        await crashed.takes(part(2, "b", total=2))
    await later.after(SECOND)
    assert later.texts() == []
    await later.after(MINUTE)
    assert later.texts() == ["ab"]
    await later.after(MINUTE)
    assert later.texts() == []


async def test_both_who_hand_over_a_message_name_it_alike() -> None:
    reception = Reception()
    await reception.takes(part(1, "a", total=2))
    reception.desk.fault = OSError("the database is away")
    with pytest.raises(OSError, match="away"):
        await reception.takes(part(2, "b", total=2))
    reception.desk.fault = None
    await reception.after(MINUTE)
    # The carrier was told nothing, and gives the last part again.
    await reception.takes(part(2, "b", total=2))
    assert reception.texts() == ["ab"]


async def test_what_never_becomes_whole_is_given_up_on_record() -> None:
    reception = Reception()
    await reception.takes(part(2, "b", total=4))
    await reception.takes(part(4, "d", total=4))
    await reception.after(29 * MINUTE)
    assert reception.messages() == []
    with capture_logs() as logs:
        await reception.after(2 * MINUTE)
    (found,) = reception.messages()
    assert (found.text, found.parts) == ("bd", 4)
    assert [(each["action"], each["missing"]) for each in logs] == [("parts_given_up", "1, 3")]
    assert reception.tally.last_error == "Of a message of 4 parts these never came: 1, 3."
    assert reception.book.kept == {}


async def test_a_part_that_still_comes_puts_giving_up_off() -> None:
    reception = Reception(reassembly_timeout=10 * MINUTE)
    await reception.takes(part(1, "a"))
    await reception.after(9 * MINUTE)
    await reception.takes(part(2, "b"))
    await reception.after(9 * MINUTE)
    await reception.takes(part(3, "c"))
    assert reception.texts() == ["abc"]


async def test_giving_up_that_could_not_be_handed_over_is_done_again() -> None:
    reception = Reception()
    await reception.takes(part(1, "a"))
    reception.desk.fault = OSError("the database is away")
    with pytest.raises(OSError, match="away"):
        await reception.after(HOUR)
    reception.desk.fault = None
    await reception.after(MINUTE)
    assert reception.texts() == ["a"]
    assert reception.book.kept == {}


async def test_a_reference_that_is_used_again_gives_up_what_was_not_whole() -> None:
    reception = Reception()
    await reception.takes(part(1, "a", total=2))
    await reception.takes(part(1, "c", total=2))
    await reception.takes(part(2, "d", total=2))
    assert reception.texts() == ["a", "cd"]


async def test_what_the_book_holds_and_nobody_can_read_stops_nothing_else() -> None:
    reception = Reception()
    reception.book.kept["north", "odd"] = NOON, b"\xff"
    await reception.takes(part(1, "a", total=2))
    await reception.after(HOUR)
    assert reception.texts() == ["a"]
    assert reception.tally.last_error is not None


async def test_any_number_of_messages_is_given_up_in_one_sweep() -> None:
    reception = Reception()
    for number in range(2 * SWEPT_AT_ONCE + 1):
        await reception.takes(part(1, f"{number}", source_addr=f"1866{number:07}"))
    await reception.after(HOUR)
    assert len(reception.texts()) == 2 * SWEPT_AT_ONCE + 1
    assert reception.book.kept == {}


async def test_carriers_do_not_look_after_each_others_parts() -> None:
    book = Shelves()
    north, south = Reception(book), Reception(book, name="south")
    await north.takes(part(1, "a"))
    await south.after(HOUR)
    assert south.messages() == []
    await north.after(HOUR)
    assert north.texts() == ["a"]


def test_a_report_that_decides_nothing_is_no_receipt() -> None:
    report = Report(ids=("1",), change=None, state=State.ENROUTE)
    with pytest.raises(ValueError, match="nothing"):
        receipt_of(report, "north", "r", NOON, recipient=None, sender=None)
