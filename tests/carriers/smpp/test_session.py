"""A session, bytes only: the peer is a codec and the time a number."""

from typing import Any

import pytest

from heliograph.carriers.smpp.events import (
    Answered,
    Bound,
    Closed,
    Delivery,
    Notice,
    NotSent,
    PeerUnbinding,
    Reason,
    Unanswered,
    Unexpected,
    Unusable,
)
from heliograph.carriers.smpp.fields import Unencodable
from heliograph.carriers.smpp.pdu import (
    MAX_SEQUENCE,
    AlertNotification,
    BindTransceiver,
    BindTransceiverResp,
    Body,
    CancelSm,
    CancelSmResp,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    Pdu,
    QuerySm,
    QuerySmResp,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
    encode,
)
from heliograph.carriers.smpp.session import LATE_KEPT, Mode, NotBound, Options, State, TooManyWaiting
from heliograph.carriers.smpp.status import Status
from heliograph.domain.instant import SECOND
from tests.carriers.smpp.bytewise import START, TEXT, Peer, bound

RECEIPT = DeliverSm(source_addr="15550002222", esm_class=4)


# ---- bind


def test_a_bind_is_what_the_options_say() -> None:
    peer = Peer(system_type="SMPP", addr_ton=1, addr_npi=1, address_range="^1555")
    peer.session.bind(peer.now)
    assert peer.sent() == [Pdu(1, 0, BindTransceiver("me", "secret", "SMPP", 0x34, 1, 1, "^1555"))]
    assert peer.session.next_deadline() == START + 30 * SECOND


@pytest.mark.parametrize("mode", Mode)
def test_each_mode_has_its_bind(mode: Mode) -> None:
    peer = bound(mode=mode)
    assert peer.session.state is State.BOUND


def test_the_answer_says_whose_link_it_is() -> None:
    peer = Peer()
    peer.session.bind(peer.now)
    answer = BindTransceiverResp("SMSC", tlvs=((0x0210, b"\x34"),))
    assert peer.says(answer, 1) == [Bound("SMSC", 0x34)]


@pytest.mark.parametrize("body", [b"", b"\0", b"garbage"])
def test_a_refused_bind_is_the_end(body: bytes) -> None:
    peer = Peer()
    peer.session.bind(peer.now)
    peer.sent()
    head = (16 + len(body)).to_bytes(4) + bytes.fromhex("80000009 0000000E 00000001")
    assert peer.hears(head + body) == [Closed(Reason.REFUSED, 0x0E)]
    assert peer.sent() == []


def test_a_bind_accepted_with_an_unreadable_name_is_accepted() -> None:
    peer = Peer()
    peer.session.bind(peer.now)
    events = peer.hears(bytes.fromhex("00000024 80000009 00000000 00000001") + b"x" * 20)
    assert isinstance(events[0], Unusable)
    assert events[1:] == [Bound("", None)]


@pytest.mark.parametrize("status", [0x03, 0x00])
def test_a_generic_nack_refuses_a_bind_whatever_its_status(status: int) -> None:
    peer = Peer()
    peer.session.bind(peer.now)
    assert peer.says(GenericNack(), 1, status) == [Closed(Reason.REFUSED, status or Status.RUNKNOWNERR)]


def test_a_bind_without_an_answer_is_the_end() -> None:
    peer = Peer(bind_timeout=5 * SECOND)
    peer.session.bind(peer.now)
    peer.sent()
    assert peer.after(5 * SECOND - 1) == []
    assert peer.after(1) == [Closed(Reason.SILENT_BIND)]


def test_binding_twice_is_a_mistake() -> None:
    with pytest.raises(NotBound):
        bound().session.bind(START)


@pytest.mark.parametrize("options", [{"window": 0}, {"response_timeout": -1}, {"system_type": "x" * 13}])
def test_options_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Options("me", "secret", **options)


def test_options_do_not_show_the_password() -> None:
    assert "secret" not in repr(Options("me", "secret"))


def test_a_delivery_in_one_piece_with_the_answer_to_the_bind_is_taken() -> None:
    peer = Peer()
    peer.session.bind(peer.now)
    both = encode(BindTransceiverResp("SMSC"), 1) + encode(RECEIPT, 1)
    assert peer.hears(both) == [Bound("SMSC", None), Delivery(1, RECEIPT)]


def test_a_delivery_that_overtakes_the_answer_to_the_bind_is_taken() -> None:
    peer = Peer()
    peer.session.bind(peer.now)
    assert peer.says(RECEIPT, 1) == [Delivery(1, RECEIPT)]


# ---- submit


def test_a_submit_ends_with_its_answer() -> None:
    peer = bound()
    (sequence,) = peer.submits("a")
    body = SubmitSmResp("m1", tlvs=((0x1401, b"x"),))
    assert peer.says(body, sequence) == [Answered("a", 0, "m1", body)]
    assert peer.session.outstanding == 0


def test_answers_in_any_order_find_their_submits() -> None:
    peer = bound()
    first, second = peer.submits("a", "b")
    assert [each.key for each in peer.says(SubmitSmResp("2"), second) + peer.says(SubmitSmResp("1"), first)] == [
        "b",
        "a",
    ]


@pytest.mark.parametrize("status", [0x58, 0x0B, 0x410, 0xFFFFFFFF])
def test_a_refused_submit_ends_with_its_status(status: int) -> None:
    peer = bound()
    (sequence,) = peer.submits("a")
    assert peer.says(SubmitSmResp(), sequence, status) == [Answered("a", status, "", SubmitSmResp())]


@pytest.mark.parametrize("status", [0x02, 0x00])
def test_a_generic_nack_is_never_taken_for_a_yes(status: int) -> None:
    peer = bound()
    (sequence,) = peer.submits("a")
    (end,) = peer.says(GenericNack(), sequence, status)
    assert (end.key, end.status) == ("a", status or Status.RUNKNOWNERR)


def test_a_yes_whose_message_id_cannot_be_read_is_a_yes() -> None:
    peer = bound()
    (sequence,) = peer.submits("a")
    head = bytes.fromhex("00000013 80000004 00000000") + sequence.to_bytes(4)
    events = peer.hears(head + b"abc")
    assert isinstance(events[0], Unusable)
    assert events[1:] == [Answered("a", 0, "", SubmitSmResp())]
    assert peer.sent() == []


def test_an_answer_of_another_kind_ends_nothing() -> None:
    peer = bound()
    (sequence,) = peer.submits("a")
    (event,) = peer.says(EnquireLinkResp(), sequence)
    assert isinstance(event, Unexpected)
    assert peer.session.outstanding == 1


def test_a_second_answer_is_told_and_changes_nothing() -> None:
    peer = bound()
    (sequence,) = peer.submits("a")
    peer.says(SubmitSmResp("m1"), sequence)
    assert peer.says(SubmitSmResp("m1"), sequence) == [Unexpected(Pdu(sequence, 0, SubmitSmResp("m1")), None)]


@pytest.mark.parametrize(
    ("request_body", "response"),
    [
        (DataSm(), DataSmResp("m1")),
        (QuerySm("m1"), QuerySmResp("m1", "", 2, 0)),
        (CancelSm(message_id="m1"), CancelSmResp()),
    ],
)
def test_the_other_requests_go_the_same_way(request_body: Any, response: Body) -> None:
    peer = bound()
    peer.session.submit("a", request_body, peer.now)
    (sent,) = peer.sent()
    assert sent.body == request_body
    (end,) = peer.says(response, sent.sequence)
    assert (end.key, end.body) == ("a", response)


def test_no_more_are_in_flight_than_the_window_holds() -> None:
    peer = bound(window=2)
    assert peer.session.room == 2
    first, _ = peer.submits("a", "b", "c")
    assert (peer.session.outstanding, peer.session.room) == (2, 0)
    peer.says(SubmitSmResp(), first)
    assert len(peer.sent()) == 1


def test_no_more_wait_than_are_allowed_to() -> None:
    peer = bound(window=1, waiting_limit=1)
    for key in "ab":
        peer.session.submit(key, TEXT, peer.now)
    with pytest.raises(TooManyWaiting):
        peer.session.submit("c", TEXT, peer.now)


def test_what_cannot_be_sent_is_refused_at_once() -> None:
    peer = bound()
    with pytest.raises(Unencodable):
        peer.session.submit("a", SubmitSm(source_addr="x" * 21), peer.now)
    assert peer.session.link_lost() == [Closed(Reason.LOST)]


def test_nothing_is_submitted_by_who_is_not_bound_to_transmit() -> None:
    for peer in (Peer(), bound(mode=Mode.RECEIVER)):
        with pytest.raises(NotBound):
            peer.session.submit("a", TEXT, peer.now)


def test_numbers_begin_again_at_one_and_leave_out_those_in_use() -> None:
    peer = bound(first_sequence=MAX_SEQUENCE - 1)
    assert peer.submits("a", "b", "c") == [MAX_SEQUENCE, 1, 2]
    peer.session._sequence = 0
    assert peer.submits("d") == [3]


def test_silence_after_sending_leaves_the_outcome_unknown() -> None:
    peer = bound(window=1, response_timeout=10 * SECOND)
    peer.submits("sent", "waiting")
    assert peer.session.next_deadline() == START + 10 * SECOND
    assert peer.after(10 * SECOND) == [NotSent("waiting", Reason.NO_ROOM), Unanswered("sent", Reason.NO_ANSWER)]
    assert peer.session.outstanding == 0


def test_a_late_answer_says_whose_it_is_once() -> None:
    peer = bound(response_timeout=10 * SECOND)
    (sequence,) = peer.submits("a")
    peer.after(10 * SECOND)
    late = Pdu(sequence, 0, SubmitSmResp("m1"))
    assert peer.says(SubmitSmResp("m1"), sequence) == [Unexpected(late, "a")]
    assert peer.says(SubmitSmResp("m1"), sequence) == [Unexpected(late, None)]


def test_only_so_many_unanswered_requests_are_remembered() -> None:
    peer = bound(window=LATE_KEPT + 1, waiting_limit=LATE_KEPT + 1, response_timeout=SECOND)
    first, second, *_ = peer.submits(*(str(number) for number in range(LATE_KEPT + 1)))
    peer.after(SECOND)
    assert peer.says(SubmitSmResp(), first)[0].key is None
    assert peer.says(SubmitSmResp(), second)[0].key == "1"


def test_a_lost_link_ends_each_submit_once() -> None:
    peer = bound(window=2)
    peer.submits("a", "b", "c")
    lost = [Unanswered("a", Reason.LOST), Unanswered("b", Reason.LOST)]
    assert peer.session.link_lost() == [NotSent("c", Reason.LOST), *lost, Closed(Reason.LOST)]
    assert peer.session.link_lost() == []
    assert peer.session.next_deadline() is None


# ---- deliveries


def test_a_delivery_is_answered_when_the_caller_says_so() -> None:
    peer = bound()
    assert peer.says(RECEIPT, 0) == [Delivery(0, RECEIPT)]
    assert peer.sent() == []
    peer.session.answer_deliver(0, Status.ROK, peer.now)
    assert peer.sent() == [Pdu(0, 0, DeliverSmResp())]


def test_a_delivery_by_data_sm_has_its_own_answer() -> None:
    peer = bound()
    assert peer.says(DataSm(), 0xFFFFFFFF) == [Delivery(0xFFFFFFFF, DataSm())]
    peer.session.answer_deliver(0xFFFFFFFF, Status.RX_T_APPN, peer.now)
    assert peer.sent() == [Pdu(0xFFFFFFFF, Status.RX_T_APPN, DataSmResp())]


def test_a_number_used_twice_is_owed_two_answers() -> None:
    peer = bound()
    peer.says(RECEIPT, 4)
    peer.says(RECEIPT, 4)
    for _ in range(2):
        peer.session.answer_deliver(4, Status.ROK, peer.now)
    assert len(peer.sent()) == 2
    with pytest.raises(KeyError):
        peer.session.answer_deliver(4, Status.ROK, peer.now)


def test_an_answer_that_cannot_be_sent_leaves_the_delivery_unanswered() -> None:
    peer = bound()
    peer.says(RECEIPT, 4)
    with pytest.raises(Unencodable):
        peer.session.answer_deliver(4, 1 << 32, peer.now)
    peer.session.answer_deliver(4, Status.ROK, peer.now)
    assert len(peer.sent()) == 1


def test_an_answer_after_the_end_goes_nowhere() -> None:
    peer = bound()
    peer.says(RECEIPT, 4)
    peer.session.link_lost()
    assert peer.session.answer_deliver(4, Status.ROK, peer.now) == []
    assert peer.sent() == []


def test_a_full_inbox_is_told_and_silence_is_forgiven_while_it_is() -> None:
    peer = bound(inbox_limit=1)
    peer.says(RECEIPT, 1)
    assert peer.session.inbox_full
    assert peer.session.next_deadline() is None
    assert peer.after(100 * SECOND) == []
    peer.session.answer_deliver(1, Status.ROK, peer.now)
    assert peer.session.next_deadline() == peer.now + 30 * SECOND


def test_a_delivery_without_a_bind_stays_with_the_peer() -> None:
    peer = Peer()
    assert isinstance(peer.says(RECEIPT, 1)[0], Unusable)
    assert peer.sent() == [Pdu(1, Status.RINVBNDSTS, DeliverSmResp())]


# ---- the peer's other words


def test_an_enquire_link_is_answered_at_once() -> None:
    peer = bound()
    assert peer.says(EnquireLink(), 77) == []
    assert peer.sent() == [Pdu(77, 0, EnquireLinkResp())]


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        ("00000012 00000005 00000000 00000009 0000", Pdu(9, Status.RINVCMDLEN, DeliverSmResp())),
        ("00000010 00000077 00000000 00000009", Pdu(9, Status.RINVCMDID, GenericNack())),
        ("00000010 00000008 00000000 00000009", Pdu(9, Status.RINVSERTYP, CancelSmResp())),
    ],
)
def test_what_cannot_be_read_is_answered_and_the_link_goes_on(data: str, answer: Pdu) -> None:
    peer = bound()
    (event,) = peer.hears(bytes.fromhex(data))
    assert (event.sequence, event.answer) == (9, answer.status)
    assert peer.sent() == [answer]
    assert peer.session.state is State.BOUND


@pytest.mark.parametrize("data", ["00000010 80000077 00000000 00000009", "00000010 00000102 00000000 00000009"])
def test_what_has_no_answer_gets_none(data: str) -> None:
    peer = bound()
    assert isinstance(peer.hears(bytes.fromhex(data))[0], Unusable)
    assert peer.sent() == []


def test_a_request_that_is_ours_to_make_is_refused() -> None:
    peer = bound()
    assert isinstance(peer.says(TEXT, 3)[0], Unusable)
    assert peer.sent() == [Pdu(3, Status.RINVCMDID, GenericNack())]


@pytest.mark.parametrize("body", [AlertNotification(source_addr="1"), Outbind("SMSC", "secret")])
def test_a_notice_is_passed_on_and_not_answered(body: Body) -> None:
    peer = bound()
    assert peer.says(body, 3) == [Notice(body)]
    assert peer.sent() == []


def test_what_is_not_smpp_is_the_end() -> None:
    peer = bound()
    peer.submits("a")
    events = peer.hears(b"HTTP/1.1 400 Bad Request\r\n")
    assert isinstance(events[0], Unusable)
    assert events[1:] == [Unanswered("a", Reason.NOT_SMPP), Closed(Reason.NOT_SMPP)]
    assert peer.sent() == [Pdu(0, Status.RINVCMDLEN, GenericNack())]
    assert peer.hears(encode(EnquireLink(), 1)) == []


# ---- liveness


def test_a_silent_peer_is_asked_and_then_given_up() -> None:
    peer = bound(enquire_interval=20 * SECOND, response_timeout=5 * SECOND)
    assert peer.after(20 * SECOND) == []
    assert [type(each.body) for each in peer.sent()] == [EnquireLink]
    assert peer.after(5 * SECOND - 1) == []
    assert peer.after(1) == [Closed(Reason.DEAD)]
    assert peer.sent() == []


@pytest.mark.parametrize("body", [EnquireLinkResp(), GenericNack(), RECEIPT])
def test_any_word_says_that_the_peer_is_there(body: Body) -> None:
    peer = bound(enquire_interval=20 * SECOND, response_timeout=5 * SECOND)
    peer.after(20 * SECOND)
    (asked,) = peer.sent()
    peer.says(body, asked.sequence)
    assert peer.session.next_deadline() == peer.now + 20 * SECOND


def test_a_peer_that_says_nothing_while_it_owes_an_answer_is_asked_and_given_nothing_until_it_speaks() -> None:
    peer = bound(window=2, response_timeout=5 * SECOND, enquire_interval=60 * SECOND)
    peer.submits("one", "two")
    assert peer.after(5 * SECOND) == [Unanswered("one", Reason.NO_ANSWER), Unanswered("two", Reason.NO_ANSWER)]
    peer.session.submit("three", TEXT, peer.now)
    assert peer.session.room == 0
    (asked,) = peer.sent()
    assert asked.body == EnquireLink()
    peer.says(EnquireLinkResp(), asked.sequence)
    assert [each.body for each in peer.sent()] == [TEXT]
    assert peer.session.room == 1


def test_a_peer_that_stays_silent_then_is_given_up_with_nothing_more_in_doubt() -> None:
    peer = bound(window=1, response_timeout=5 * SECOND, enquire_interval=60 * SECOND)
    peer.submits("one")
    peer.after(5 * SECOND)
    peer.session.submit("two", TEXT, peer.now + 1)
    peer.sent()
    assert peer.after(5 * SECOND) == [NotSent("two", Reason.DEAD), Closed(Reason.DEAD)]


def test_a_peer_that_answers_others_meanwhile_is_not_asked() -> None:
    peer = bound(window=2, response_timeout=5 * SECOND)
    peer.submits("one")
    peer.now += 3 * SECOND
    (sequence,) = peer.submits("two")
    peer.says(SubmitSmResp("id"), sequence)
    assert peer.after(2 * SECOND) == [Unanswered("one", Reason.NO_ANSWER)]
    assert (peer.sent(), peer.session.room) == ([], 2)


def test_a_peer_that_talks_is_not_asked() -> None:
    peer = bound(enquire_interval=20 * SECOND)
    peer.now += 19 * SECOND
    peer.says(RECEIPT, 1)
    assert peer.after(2 * SECOND) == []
    assert peer.sent() == []


# ---- the end


def test_unbinding_drops_what_waits_and_finishes_what_is_in_hand() -> None:
    peer = bound(window=1)
    (sequence,) = peer.submits("sent", "waiting")
    peer.says(RECEIPT, 5)
    assert peer.session.unbind(peer.now) == [NotSent("waiting", Reason.UNBOUND)]
    assert peer.sent() == []
    assert [type(each) for each in peer.says(SubmitSmResp("m1"), sequence)] == [Answered]
    assert peer.sent() == []
    peer.session.answer_deliver(5, Status.ROK, peer.now)
    _, unbind = peer.sent()
    assert isinstance(unbind.body, Unbind)
    assert peer.says(UnbindResp(), unbind.sequence) == [Closed(Reason.UNBOUND)]


def test_unbinding_takes_no_longer_than_its_time() -> None:
    peer = bound(unbind_timeout=3 * SECOND, response_timeout=10 * SECOND)
    peer.submits("a")
    peer.session.unbind(peer.now)
    assert peer.after(3 * SECOND) == []
    assert [type(each.body) for each in peer.sent()] == [Unbind]
    assert peer.after(10 * SECOND)[-1] == Closed(Reason.SILENT_UNBIND)


def test_unbinding_twice_unbinds_once() -> None:
    peer = bound()
    peer.session.unbind(peer.now)
    assert peer.session.unbind(peer.now) == []
    assert len(peer.sent()) == 1
    with pytest.raises(NotBound):
        peer.session.submit("a", TEXT, peer.now)


def test_what_comes_while_unbinding_stays_with_the_peer() -> None:
    peer = bound()
    peer.session.unbind(peer.now)
    peer.sent()
    peer.says(RECEIPT, 6)
    assert peer.sent() == [Pdu(6, Status.RINVBNDSTS, DeliverSmResp())]


def test_unbinding_before_the_bind_is_answered_sends_nothing_more() -> None:
    peer = Peer()
    peer.session.bind(peer.now)
    assert peer.session.unbind(peer.now) == [Closed(Reason.UNBOUND)]
    assert peer.sent() == []


def test_the_peers_unbind_is_answered_at_once() -> None:
    peer = bound()
    assert peer.says(Unbind(), 8) == [PeerUnbinding(), Closed(Reason.PEER_UNBOUND)]
    assert peer.sent() == [Pdu(8, 0, UnbindResp())]
    assert peer.sent() == []


def test_answers_that_follow_the_peers_unbind_still_count() -> None:
    peer = bound(window=1)
    (sequence,) = peer.submits("sent", "waiting")
    assert peer.says(Unbind(), 8) == [PeerUnbinding(), NotSent("waiting", Reason.PEER_UNBOUND)]
    assert peer.says(Unbind(), 9) == []
    assert [each.sequence for each in peer.sent()] == [8, 9]
    answered, closed = peer.says(SubmitSmResp("m1"), sequence)
    assert (answered.key, closed) == ("sent", Closed(Reason.PEER_UNBOUND))


def test_answers_that_never_follow_are_not_waited_for_long() -> None:
    peer = bound(response_timeout=10 * SECOND)
    peer.submits("a")
    peer.says(Unbind(), 8)
    assert peer.after(10 * SECOND) == [Unanswered("a", Reason.NO_ANSWER), Closed(Reason.PEER_UNBOUND)]


def test_unbinds_that_cross_both_end() -> None:
    peer = bound()
    peer.session.unbind(peer.now)
    peer.sent()
    assert peer.says(Unbind(), 8) == [PeerUnbinding(), Closed(Reason.PEER_UNBOUND)]
    assert peer.sent() == [Pdu(8, 0, UnbindResp())]


def test_a_request_that_was_not_handed_out_is_not_made_after_the_end() -> None:
    peer = bound(enquire_interval=20 * SECOND)
    peer.after(20 * SECOND)
    peer.says(Unbind(), 8)
    assert [type(each.body) for each in peer.sent()] == [UnbindResp]


def test_what_follows_the_end_in_one_piece_is_not_heard() -> None:
    peer = bound()
    assert peer.hears(encode(Unbind(), 8) + encode(RECEIPT, 9)) == [PeerUnbinding(), Closed(Reason.PEER_UNBOUND)]
    assert [each.sequence for each in peer.sent()] == [8]


def test_there_is_no_way_back() -> None:
    peer = bound()
    peer.session.link_lost()
    assert peer.session.room == 0
    with pytest.raises(NotBound, match="from closed there is no way to bound"):
        peer.session._become(State.BOUND, None)
