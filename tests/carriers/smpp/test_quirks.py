"""What known SMSCs send against the specification, byte for byte, and what a session makes of it.

Where a program is named, its tracker, its list of changes or its source has the case.
"""

import pytest

from heliograph.carriers.smpp.assembly import Numbering, read_piece
from heliograph.carriers.smpp.events import Answered, Bound, Closed, Delivery, Reason, Unexpected
from heliograph.carriers.smpp.parts import UDHI
from heliograph.carriers.smpp.pdu import DeliverSm, Tag, find_number, find_text, user_data
from heliograph.carriers.smpp.receipts import is_receipt, read
from heliograph.carriers.smpp.status import Kind, kind_of
from heliograph.domain.lifecycle import Change
from tests.carriers.smpp.bytewise import Peer, bound


def pdu(command: int, status: int, sequence: int, body: bytes = b"") -> bytes:
    """A PDU as it stands on the wire, whatever its body is."""
    head = (command, status, sequence)
    return (16 + len(body)).to_bytes(4) + b"".join(each.to_bytes(4) for each in head) + body


def test_a_refusal_may_have_no_body_or_an_empty_id() -> None:
    """jasmin 128, smppex 6: the specification wants no body with an error, and half of the SMSCs send one."""
    peer = bound()
    first, second = peer.submits("a", "b")
    (without,) = peer.hears(pdu(0x80000004, 0x58, first))
    (with_one,) = peer.hears(pdu(0x80000004, 0x58, second, b"\0"))
    assert [(each.key, each.status) for each in (without, with_one)] == [("a", 0x58), ("b", 0x58)]


def test_a_refused_bind_may_carry_a_nul() -> None:
    """jasmin 124."""
    peer = Peer()
    peer.session.bind(peer.now)
    (bind,) = peer.sent()
    assert peer.hears(pdu(0x80000009, 0x0E, bind.sequence, b"\0")) == [Closed(Reason.REFUSED, 0x0E)]


@pytest.mark.parametrize("status", [0x0400, 0x0410, 0x04FF, 0x1001])
def test_a_status_of_the_vendors_own_ends_a_submit_for_now(status: int) -> None:
    """jasmin 563: a status that the program did not know ended its link."""
    peer = bound()
    (sequence,) = peer.submits("a")
    (end,) = peer.hears(pdu(0x80000004, status, sequence))
    assert (end.key, kind_of(end.status)) == ("a", Kind.TEMPORARY)


def test_an_answer_may_have_parameters_that_version_3_4_does_not_know_there() -> None:
    """smpplib 2 in an acceptance, node-smpp 65 in a refusal."""
    peer = bound()
    first, second = peer.submits("a", "b")
    info = bytes.fromhex("001D 0006") + b"taken\0"
    (taken,) = peer.hears(pdu(0x80000004, 0, first, b"m1\0" + info))
    (refused,) = peer.hears(pdu(0x80000004, 0x45, second, b"\0" + info))
    assert isinstance(taken, Answered)
    assert (taken.message_id, refused.status) == ("m1", 0x45)


def test_a_message_may_come_in_one_piece_with_the_answer_to_the_bind() -> None:
    """smpp34 1.4.1, from its list of changes: the message was lost."""
    peer = Peer()
    peer.session.bind(peer.now)
    (bind,) = peer.sent()
    deliver = bytes.fromhex("00 01 01") + b"15550001111\0" + bytes.fromhex("01 01") + b"15550002222\0"
    deliver += bytes.fromhex("00 00 00 00 00 00 00 00 00 02") + b"hi"
    answer = pdu(0x80000009, 0, bind.sequence, b"SMSC\0")
    events = peer.hears(answer + pdu(0x00000005, 0, 1, deliver))
    assert [type(each) for each in events] == [Bound, Delivery]


def test_an_answer_to_nothing_changes_nothing() -> None:
    peer = bound()
    peer.submits("a")
    (event,) = peer.hears(pdu(0x80000004, 0, 999, b"m9\0"))
    assert isinstance(event, Unexpected)
    assert peer.session.outstanding == 1


def _delivered(esm_class: int, data_coding: int, short: bytes, tlvs: bytes = b"") -> DeliverSm:
    peer = bound()
    head = b"\0\1\1" + b"15550001111\0" + b"\1\1" + b"15550002222\0"
    rest = bytes([esm_class, 0, 0]) + b"\0\0" + bytes([0, 0, data_coding, 0, len(short)]) + short
    (event,) = peer.hears(pdu(0x00000005, 0, 5, head + rest + tlvs))
    assert isinstance(event, Delivery)
    assert isinstance(event.body, DeliverSm)
    return event.body


def test_kannel_marks_a_part_by_0x43() -> None:
    """ "Store and forward" beside the bit of the header; node-smpp has a name for it: KANNEL_UDH_INDICATOR."""
    body = _delivered(0x43, 0, bytes.fromhex("05 00 03 2A 02 01") + b"half")
    assert not is_receipt(body.esm_class)
    piece = read_piece(user_data(body), esm_class=body.esm_class, data_coding=body.data_coding)
    assert (piece.numbering, piece.reference, piece.total, piece.number) == (Numbering.UDH8, 0x2A, 2, 1)
    assert body.esm_class & UDHI


def test_where_parameters_and_text_of_a_receipt_disagree_the_parameters_win() -> None:
    text = b"id:0489708364 sub:001 dlvrd:001 submit date:2611241200 done date:2611241201 stat:DELIVRD err:000 text:"
    tlvs = bytes.fromhex("001E 0009") + b"1D305B4C\0" + bytes.fromhex("0427 0001 05")
    body = _delivered(0x04, 0, text, tlvs)
    state = find_number(body.tlvs, Tag.MESSAGE_STATE)
    named = find_text(body.tlvs, Tag.RECEIPTED_MESSAGE_ID)
    report = read(user_data(body), receipted_message_id=(named or "").encode(), message_state=state)
    assert (report.ids, report.change) == (("1D305B4C", "0489708364"), Change.FAIL)


def test_a_text_may_stand_in_message_payload_beside_an_empty_short_message() -> None:
    payload = "Привет".encode("utf-16-be")
    body = _delivered(0, 8, b"", bytes.fromhex("0424") + len(payload).to_bytes(2) + payload)
    assert user_data(body) == payload


def test_two_deliveries_may_use_one_number() -> None:
    peer = bound()
    head = b"\0\1\1" + b"15550001111\0" + b"\1\1" + b"15550002222\0" + bytes(9) + b"\2hi"
    for _ in range(2):
        (event,) = peer.hears(pdu(0x00000005, 0, 1, head))
        assert isinstance(event, Delivery)
    peer.session.answer_deliver(1, 0, peer.now)
    peer.session.answer_deliver(1, 0, peer.now)
    assert [each.sequence for each in peer.sent()] == [1, 1]
