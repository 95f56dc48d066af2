"""The server's side of a link, byte by byte: no socket, no clock."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.carriers.smpp.pdu import (
    HEADER_SIZE,
    MAX_SEQUENCE,
    AlertNotification,
    BindReceiver,
    BindReceiverResp,
    BindTransceiver,
    BindTransceiverResp,
    BindTransmitter,
    BindTransmitterResp,
    Body,
    CancelSm,
    CancelSmResp,
    DataSm,
    DataSmResp,
    Decoder,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    Pdu,
    QuerySm,
    SubmitSm,
    SubmitSmResp,
    Tag,
    Unbind,
    UnbindResp,
    command_id,
    encode,
    encode_body,
    find_number,
)
from heliograph.carriers.smpp.session import Mode, Options, Session
from heliograph.carriers.smpp.smsc_script import Script
from heliograph.carriers.smpp.smsc_session import (
    Asked,
    Asking,
    Bound,
    Ended,
    Event,
    Seen,
    ServerSession,
    Settled,
    State,
)
from heliograph.carriers.smpp.status import Status

SCRIPT = Script(enquire_interval=100, answer_timeout=10, deliver_window=2)
BIND = BindTransceiver("me", "secret")
MESSAGE = DeliverSm(source_addr="1", short_message=b"hi")


def accepts(_system_id: str, _password: str) -> int:
    return Status.ROK


def session(*, bound: bool = True, bind: Body = BIND) -> ServerSession:
    """A new one, on which the bind is done with."""
    made = ServerSession(SCRIPT, accepts, 0)
    if bound:
        made.receive(encode(bind, 1), 0)
        made.bytes_to_send()
    return made


def said(made: ServerSession) -> list[Pdu]:
    """What is to be sent."""
    found = Decoder().feed(made.bytes_to_send())
    assert all(isinstance(each, Pdu) for each in found)
    return [each for each in found if isinstance(each, Pdu)]


def hears(made: ServerSession, body: Body, sequence: int = 7, status: int = 0, now: int = 0) -> Sequence[Event]:
    return made.receive(encode(body, sequence, status), now)


# ----------------------------------------------------------------------------------------------------------------- bind


@pytest.mark.parametrize(
    ("bind", "answer", "receives"),
    [
        (BindTransmitter("me", "secret"), BindTransmitterResp, False),
        (BindReceiver("me", "secret"), BindReceiverResp, True),
        (BindTransceiver("me", "secret"), BindTransceiverResp, True),
    ],
)
def test_each_bind_is_accepted_with_our_name_and_version(bind: Body, answer: type[Body], receives: bool) -> None:
    made = session(bound=False)
    assert hears(made, bind) == [Bound("me", receives)]
    (pdu,) = said(made)
    assert (type(pdu.body), pdu.sequence, pdu.status) == (answer, 7, 0)
    assert find_number(pdu.body.tlvs, Tag.SC_INTERFACE_VERSION) == 0x34


def test_a_refused_bind_has_no_body_and_ends_the_link() -> None:
    made = ServerSession(SCRIPT, lambda *_: Status.RINVPASWD, 0)
    (ended,) = hears(made, BIND)
    assert ended == Ended("the bind of 'me' was refused with ESME_RINVPASWD", ())
    data = made.bytes_to_send()
    assert (len(data), said_status(data), made.closed) == (HEADER_SIZE, Status.RINVPASWD, True)


def said_status(data: bytes) -> int:
    return int.from_bytes(data[8:12], "big")


def test_a_second_bind_is_refused_and_the_first_holds() -> None:
    made = session()
    hears(made, BIND)
    assert [each.status for each in said(made)] == [Status.RALYBND]
    assert made.state is State.BOUND


def test_a_submit_right_behind_the_bind_is_taken() -> None:
    made = session(bound=False)
    events = made.receive(encode(BIND, 1) + encode(SubmitSm(), 2), 0)
    assert events == [Bound("me", True), Asked(2, SubmitSm(), 1)]


# ------------------------------------------------------------------------------------------------------------- requests


@pytest.mark.parametrize(
    ("body", "in_hand"), [(SubmitSm(), 1), (DataSm(), 1), (QuerySm("1"), 0), (CancelSm(message_id="1"), 0)]
)
def test_requests_are_asked(body: Asking, in_hand: int) -> None:
    made = session()
    assert hears(made, body) == [Asked(7, body, in_hand)]
    assert said(made) == []


@pytest.mark.parametrize("body", [SubmitSm(), DataSm(), QuerySm("1"), CancelSm(message_id="1")])
@pytest.mark.parametrize("made", [session(bound=False), session(bind=BindReceiver("me", "secret"))])
def test_who_is_not_bound_to_transmit_asks_nothing(made: ServerSession, body: Body) -> None:
    (event,) = hears(made, body)
    assert isinstance(event, Seen)
    (pdu,) = said(made)
    assert (pdu.sequence, pdu.status) == (7, Status.RINVBNDSTS)


@pytest.mark.parametrize(
    ("request_type", "answer"), [(SubmitSm, SubmitSmResp("m1")), (DataSm, DataSmResp("m1")), (CancelSm, CancelSmResp())]
)
def test_an_answer_has_the_number_of_its_request(request_type: type[Body], answer: Body) -> None:
    made = session()
    hears(made, request_type())
    made.answer(7, request_type, Status.ROK, answer)
    assert said(made) == [Pdu(7, 0, answer)]


def test_a_refusal_has_no_body() -> None:
    made = session()
    hears(made, SubmitSm())
    made.answer(7, SubmitSm, Status.RTHROTTLED, SubmitSmResp("m1"))
    data = made.bytes_to_send()
    assert (len(data), said_status(data)) == (HEADER_SIZE, Status.RTHROTTLED)


def test_submits_without_an_answer_are_counted() -> None:
    made = session()
    hears(made, SubmitSm())
    hears(made, DataSm())
    made.answer(7, SubmitSm, Status.ROK, SubmitSmResp("m1"))
    made.release()
    assert hears(made, SubmitSm()) == [Asked(7, SubmitSm(), 1)]


@pytest.mark.parametrize("made", [session(bound=False), session()])
def test_an_enquire_link_is_answered_in_any_state(made: ServerSession) -> None:
    assert hears(made, EnquireLink()) == []
    assert said(made) == [Pdu(7, 0, EnquireLinkResp())]


@pytest.mark.parametrize("body", [DeliverSm(), AlertNotification(), Outbind("x", "y")])
def test_what_only_an_smsc_sends_is_not_understood(body: Body) -> None:
    made = session()
    (event,) = hears(made, body)
    assert isinstance(event, Seen)
    assert said(made) == [Pdu(7, Status.RINVCMDID, GenericNack())]


@pytest.mark.parametrize("command", [0x07, 0x21, 0x0A0B0C0D])
def test_a_command_that_is_not_known_is_not_understood(command: int) -> None:
    made = session()
    made.receive(b"\0\0\0\x10" + command.to_bytes(4, "big") + bytes(4) + b"\0\0\0\x09", 0)
    assert said(made) == [Pdu(9, Status.RINVCMDID, GenericNack())]


def test_a_malformed_submit_is_refused_and_the_next_is_read() -> None:
    made = session()
    torn = encode(SubmitSm(source_addr="1" * 20), 3).replace(b"1" * 20, b"1" * 20 + b"1", 1)
    torn = len(torn).to_bytes(4, "big") + torn[4:]
    events = made.receive(torn + encode(SubmitSm(), 4), 0)
    assert [type(each) for each in events] == [Seen, Asked]
    assert [(each.sequence, each.status, type(each.body)) for each in said(made)] == [
        (3, Status.RINVSRCADR, SubmitSmResp)
    ]


def test_what_is_not_smpp_ends_the_link_with_a_word() -> None:
    made = session()
    *_, ended = made.receive(b"GET / HTTP/1.1\r\n", 0)
    assert ended == Ended("what came is not SMPP", ())
    assert [(type(each.body), each.sequence) for each in said(made)] == [(GenericNack, 0)]
    assert made.receive(encode(EnquireLink(), 1), 0) == []


@pytest.mark.parametrize("answer", [SubmitSmResp("1"), DeliverSmResp(), GenericNack(), UnbindResp()])
def test_an_answer_to_nothing_is_seen_and_not_answered(answer: Body) -> None:
    made = session()
    (event,) = hears(made, answer)
    assert isinstance(event, Seen)
    assert said(made) == []


# ----------------------------------------------------------------------------------------------------------- deliveries


def deliver(made: ServerSession, key: int = 5) -> int:
    """Its sequence number."""
    made.deliver(key, DeliverSm, encode_body(MESSAGE))
    (pdu,) = said(made)
    assert pdu.body == MESSAGE
    return pdu.sequence


@pytest.mark.parametrize(
    ("answer", "status", "settled"),
    [
        (DeliverSmResp(), 0, 0),
        (DeliverSmResp(), 0x64, 0x64),
        (GenericNack(), 3, 3),
        (GenericNack(), 0, Status.RUNKNOWNERR),
    ],
)
def test_a_delivery_is_settled_by_its_answer(answer: Body, status: int, settled: int) -> None:
    made = session()
    sequence = deliver(made)
    assert hears(made, answer, sequence, status) == [Settled(5, settled)]
    assert made.room == 2


def test_a_malformed_answer_settles_a_delivery_too() -> None:
    made = session()
    sequence = deliver(made)
    torn = encode(DeliverSmResp(), sequence) + b"\1"
    events = made.receive(len(torn).to_bytes(4, "big") + torn[4:], 0)
    assert [type(each) for each in events] == [Seen, Settled]


def test_an_answer_of_another_kind_settles_nothing() -> None:
    made = session()
    sequence = deliver(made)
    (event,) = hears(made, DataSmResp(), sequence)
    assert isinstance(event, Seen)
    assert made.room == 1


def test_room_is_what_the_window_leaves() -> None:
    made = session()
    rooms = [made.room]
    for key in range(2):
        deliver(made, key)
        rooms.append(made.room)
    assert rooms == [2, 1, 0]


@pytest.mark.parametrize("made", [session(bound=False), session(bind=BindTransmitter("me", "secret"))])
def test_who_does_not_receive_has_no_room(made: ServerSession) -> None:
    assert made.room == 0


def test_numbers_begin_again_and_leave_out_what_is_in_use() -> None:
    made = session()
    assert deliver(made) == 1
    made._sequence = MAX_SEQUENCE - 1
    assert deliver(made) == MAX_SEQUENCE
    made.receive(encode(DeliverSmResp(), MAX_SEQUENCE), 0)
    assert deliver(made) == 2


def test_what_was_not_settled_comes_back_at_the_end() -> None:
    made = session()
    deliver(made, 8)
    deliver(made, 9)
    assert made.drop("gone") == [Ended("gone", (8, 9))]
    assert made.drop("gone") == []


# --------------------------------------------------------------------------------------------------------------- ending


def test_an_unbind_is_answered_and_is_the_end() -> None:
    made = session()
    assert hears(made, Unbind()) == [Ended("it unbound", ())]
    assert said(made) == [Pdu(7, 0, UnbindResp())]


def test_an_unbind_is_answered_after_the_submits_before_it() -> None:
    made = session()
    hears(made, SubmitSm(), 6)
    assert hears(made, Unbind(), 7) == []
    hears(made, SubmitSm(), 8)
    assert made.answer(6, SubmitSm, 0, SubmitSmResp("m1")) == [Ended("it unbound", ())]
    assert [(each.sequence, each.status) for each in said(made)] == [(8, Status.RINVBNDSTS), (6, 0), (7, 0)]


def test_what_is_never_answered_does_not_hold_up_an_unbind() -> None:
    made = session()
    hears(made, SubmitSm(), 6)
    hears(made, Unbind(), 7)
    assert made.release() == [Ended("it unbound", ())]


def test_an_unbind_without_a_bind_is_refused() -> None:
    made = session(bound=False)
    hears(made, Unbind())
    assert [(type(each.body), each.status) for each in said(made)] == [(UnbindResp, Status.RINVBNDSTS)]


def test_a_peer_that_is_asked_to_go_goes() -> None:
    made = session()
    assert made.unbind(0) == []
    (asked,) = said(made)
    assert (asked.body, made.room) == (Unbind(), 0)
    assert hears(made, UnbindResp(), asked.sequence) == [Ended("it unbound as it was asked to", ())]


def test_a_peer_that_does_not_go_is_hung_up_on() -> None:
    made = session()
    made.unbind(50)
    assert made.next_deadline() == 60
    assert made.tick(60) == [Ended("it does not answer", ())]


def test_one_that_is_not_bound_is_not_asked() -> None:
    made = session(bound=False)
    assert made.unbind(0) == [Ended("it was not bound", ())]


def test_an_answer_after_the_end_is_none() -> None:
    made = session()
    hears(made, SubmitSm())
    made.drop("gone")
    assert made.answer(7, SubmitSm, 0, SubmitSmResp("m1")) == []
    assert made.bytes_to_send() == b""


# ----------------------------------------------------------------------------------------------------------------- time


def test_a_silent_link_is_asked_and_then_hung_up_on() -> None:
    made = session()
    assert made.next_deadline() == 100
    assert made.tick(99) == []
    assert made.tick(100) == []
    assert [each.body for each in said(made)] == [EnquireLink()]
    assert made.next_deadline() == 110
    assert made.tick(110) == [Ended("it does not answer", ())]
    assert made.next_deadline() is None


@pytest.mark.parametrize("word", [EnquireLinkResp(), EnquireLink(), SubmitSm()])
def test_whatever_a_link_says_it_is_there(word: Body) -> None:
    made = session()
    made.tick(100)
    (asked,) = said(made)
    hears(made, word, asked.sequence, now=105)
    assert made.next_deadline() == 205
    assert not made.closed


def test_who_talks_and_does_not_bind_has_no_more_time() -> None:
    made = session(bound=False)
    hears(made, EnquireLink(), now=99)
    assert made.tick(100) == [Ended("it did not bind", ())]


# ----------------------------------------------------------------------------------------------------- anything at all

_COMMANDS = [command_id(each) for each in (SubmitSm, DataSm, QuerySm, CancelSm, BindTransceiver, Unbind, EnquireLink)]


@st.composite
def pdus(draw: st.DrawFn) -> bytes:
    """A header that can be, and any body."""
    body = draw(st.binary(max_size=80))
    command = draw(st.sampled_from(_COMMANDS) | st.integers(0, 0xFFFFFFFF))
    head = (HEADER_SIZE + len(body), command, draw(st.integers(0, 0xFFFFFFFF)), draw(st.integers(0, 0xFFFFFFFF)))
    return b"".join(each.to_bytes(4, "big") for each in head) + body


@given(st.lists(st.binary(max_size=60) | pdus(), max_size=12), st.booleans())
def test_no_bytes_make_it_raise_or_speak_what_cannot_be_read(chunks: list[bytes], bound: bool) -> None:
    made = session(bound=bound)
    ended = 0
    for chunk in chunks:
        events = made.receive(chunk, 0)
        ended += sum(isinstance(each, Ended) for each in events)
        for event in events:
            if isinstance(event, Asked):
                made.answer(event.sequence, type(event.body), Status.RSYSERR, event.body)
        assert all(isinstance(each, Pdu) for each in Decoder().feed(made.bytes_to_send()))
    assert ended == made.closed


@given(st.data())
def test_a_client_and_a_server_get_along_however_the_bytes_are_cut(data: st.DataObject) -> None:
    client, server = Session(Options("me", "secret", mode=Mode.TRANSCEIVER, window=50)), session(bound=False)
    client.bind(0)
    taken: list[int] = []
    for number in range(12):
        for chunk in _cut(data, client.bytes_to_send(0)):
            for event in server.receive(chunk, 0):
                if isinstance(event, Asked):
                    taken.append(event.sequence)
                    server.answer(event.sequence, SubmitSm, 0, SubmitSmResp(str(event.sequence)))
        for chunk in _cut(data, server.bytes_to_send()):
            client.receive(chunk, 0)
        client.submit(number, SubmitSm(short_message=bytes([number])), 0)
    assert (len(taken), client.outstanding) == (11, 0)


def _cut(data: st.DataObject, octets: bytes) -> list[bytes]:
    at = data.draw(st.integers(0, len(octets)))
    return [octets[:at], octets[at:]]
