"""What holds for every PDU, for any bytes, and for a session whatever happens in whatever order."""

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from heliograph.carriers.smpp import pdu
from heliograph.carriers.smpp.events import Answered, Closed, Delivery, NotSent, Unanswered, Unusable
from heliograph.carriers.smpp.fields import Bytes, Counted, Text, Time
from heliograph.carriers.smpp.pdu import (
    BODIES,
    BindTransceiverResp,
    Body,
    Decoder,
    DeliverSm,
    EnquireLink,
    Found,
    FramingError,
    GenericNack,
    Pdu,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
    decode,
    encode,
)
from heliograph.carriers.smpp.session import NotBound, Options, Session, State, TooManyWaiting
from heliograph.carriers.smpp.status import Kind, Status, kind_of, status_name
from heliograph.domain.instant import SECOND

WORDS = st.integers(0, 0xFFFFFFFF)
OCTETS = st.integers(0, 255)


def texts(size: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=size - 1)


@st.composite
def bodies(draw: st.DrawFn) -> Body:
    """A body of any kind with anything its fields may hold."""
    kind = draw(st.sampled_from(sorted(BODIES.values(), key=pdu.command_id)))
    values: dict[str, Any] = {}
    for field in pdu._COMMANDS[kind][1]:
        match field:
            case Time():
                values[field.name] = draw(st.sampled_from(["", "260101000000000+"]))
            case Text():
                values[field.name] = draw(texts(field.size))
            case Bytes():
                values.update((name, draw(OCTETS)) for name in field.names)
            case Counted():
                values["short_message"] = draw(st.binary(max_size=254))
    tags = st.integers(0, 0xFFFF).filter(lambda tag: tag not in pdu._TLV_SIZES)
    tlvs = st.one_of(
        st.tuples(tags, st.binary(max_size=300)),
        st.sampled_from(sorted(pdu._TLV_SIZES)).flatmap(
            lambda tag: st.tuples(st.just(tag), st.binary(min_size=(n := pdu._TLV_SIZES[tag]), max_size=n))
        ),
    )
    return kind(**values, tlvs=tuple(draw(st.lists(tlvs, max_size=3))))


PDUS = st.builds(Pdu, WORDS, WORDS, bodies())


@given(PDUS)
def test_what_was_encoded_is_decoded(whole: Pdu) -> None:
    assert decode(encode(whole.body, whole.sequence, whole.status)) == whole


def fed(data: bytes, cuts: list[int]) -> list[Found]:
    """What a decoder finds in data that comes in pieces."""
    decoder = Decoder()
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [found for start, end in pairwise(edges) for found in decoder.feed(data[start:end])]


@given(st.lists(PDUS, max_size=4), st.lists(st.integers(0, 10_000), max_size=8))
def test_where_the_network_cuts_changes_nothing(whole: list[Pdu], cuts: list[int]) -> None:
    data = b"".join(encode(each.body, each.sequence, each.status) for each in whole)
    assert fed(data, cuts) == whole


@given(st.lists(PDUS, min_size=1, max_size=3), st.data(), st.lists(st.integers(0, 10_000), max_size=4))
def test_spoilt_bytes_are_found_out_or_read_and_never_raise(
    whole: list[Pdu], data: st.DataObject, cuts: list[int]
) -> None:
    spoilt = bytearray(b"".join(encode(each.body, each.sequence, each.status) for each in whole))
    for _ in range(data.draw(st.integers(1, 4))):
        spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(OCTETS)
    found = fed(bytes(spoilt), cuts)
    assert found == fed(bytes(spoilt), [])
    assert not any(isinstance(each, FramingError) for each in found[:-1])
    for each in found:
        if isinstance(each, Pdu):
            # What is read can be told again, except where a refusal's spoilt body was passed over.
            assert decode(encode(each.body, each.sequence, each.status)) == each


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=4))
def test_any_bytes_are_something(data: bytes, cuts: list[int]) -> None:
    assert fed(data, cuts) == fed(data, [])


@given(st.binary(max_size=200), WORDS, WORDS, st.sampled_from(sorted(BODIES)))
def test_any_body_is_read_or_can_be_answered(body: bytes, status: int, sequence: int, command: int) -> None:
    data = b"".join(each.to_bytes(4) for each in (16 + len(body), command, status, sequence)) + body
    found = decode(data)
    assert found.sequence == sequence
    assert isinstance(found, Pdu) or found.answer is not Status.ROK


@given(WORDS)
def test_each_status_has_a_kind_and_a_name(status: int) -> None:
    assert (kind_of(status) is Kind.OK) == (status == 0)
    assert status_name(status)


class Order(RuleBasedStateMachine):
    """A session and its peer; each rule is something that can happen at any moment."""

    @initialize(window=st.integers(1, 4), inbox=st.integers(1, 3), first=st.sampled_from([1, pdu.MAX_SEQUENCE - 2]))
    def begin(self, window: int, inbox: int, first: int) -> None:
        options = Options("me", "secret", window=window, waiting_limit=4, inbox_limit=inbox)
        self.session = Session(options, first)
        self.now = 0
        self.wire = Decoder()
        self.submitted: list[int] = []
        self.on_wire: dict[int, int] = {}
        self.unanswered: dict[int, int] = {}
        self.asked: list[tuple[int, type[Body]]] = []
        self.ends: dict[Any, Any] = {}
        self.inbox: list[int] = []
        self.answers_due = 0
        self.closed = False
        self.last_words = 0
        self.session.bind(self.now)

    def saw(self, events: list[Any]) -> None:
        assert not (self.closed and events)
        for event in events:
            assert not self.closed, "an event after the last"
            match event:
                case Answered() | NotSent() | Unanswered():
                    assert event.key not in self.ends
                    assert (event.key in self.on_wire.values()) is not isinstance(event, NotSent)
                    self.ends[event.key] = event
                case Delivery():
                    self.inbox.append(event.sequence)
                case Closed():
                    self.closed = True
                case Unusable():
                    assert event.answer is not Status.ROK

    @rule()
    def hand_out(self) -> None:
        data = self.session.bytes_to_send(self.now)
        for found in self.wire.feed(data):
            assert isinstance(found, Pdu)
            answer = pdu.is_response(pdu.command_id(type(found.body)))
            assert answer or not self.closed
            if isinstance(found.body, SubmitSm):
                assert found.sequence not in self.unanswered
                assert 1 <= found.sequence <= pdu.MAX_SEQUENCE
                self.on_wire[len(self.on_wire)] = self.unanswered[found.sequence] = int(found.body.destination_addr)
            elif isinstance(found.body, pdu.DeliverSmResp) and found.status == Status.ROK:
                self.answers_due -= 1
            elif not answer:
                self.asked.append((found.sequence, type(found.body)))
        assert self.answers_due >= 0, "a delivery was answered that nobody had kept"
        self.last_words += bool(self.closed and data)
        assert self.last_words <= 1

    @rule()
    def submit(self) -> None:
        key = len(self.submitted)
        try:
            self.session.submit(key, SubmitSm(destination_addr=str(key)), self.now)
        except (NotBound, TooManyWaiting):
            return
        self.submitted.append(key)

    @precondition(lambda self: self.unanswered)
    @rule(data=st.data(), status=st.sampled_from([0, 0x58, 0x410]), nack=st.booleans())
    def answer(self, data: st.DataObject, status: int, nack: bool) -> None:
        sequence = data.draw(st.sampled_from(sorted(self.unanswered)))
        del self.unanswered[sequence]
        self.saw(self.session.receive(encode(GenericNack() if nack else SubmitSmResp("m"), sequence, status), self.now))

    @precondition(lambda self: self.asked)
    @rule(status=st.sampled_from([0, 0, 0, 0x0E]))
    def answer_what_was_asked(self, status: int) -> None:
        sequence, kind = self.asked.pop()
        self.saw(self.session.receive(encode(pdu.response_to(kind)(), sequence, status), self.now))

    @rule(sequence=st.integers(0, 3), copies=st.integers(1, 2))
    def deliver(self, sequence: int, copies: int) -> None:
        self.saw(self.session.receive(encode(DeliverSm(), sequence) * copies, self.now))

    @precondition(lambda self: self.inbox)
    @rule(data=st.data())
    def keep(self, data: st.DataObject) -> None:
        sequence = self.inbox.pop(data.draw(st.integers(0, len(self.inbox) - 1)))
        self.answers_due += not self.closed
        self.saw(self.session.answer_deliver(sequence, Status.ROK, self.now))

    @rule(
        data=st.sampled_from(
            [
                encode(EnquireLink(), 5),
                encode(SubmitSmResp("?"), 3),
                encode(UnbindResp(), 2),
                encode(BindTransceiverResp(), 1, 0x0E),
                encode(SubmitSm(), 4),
                bytes.fromhex("00000011 00000005 00000000 00000009 41"),
                bytes.fromhex("00000010 00000099 00000000 00000009"),
                bytes.fromhex("00000011 80000004 00000000 00000002 41"),
            ]
        )
    )
    def hear_something_odd(self, data: bytes) -> None:
        before = dict(self.unanswered)
        events = self.session.receive(data, self.now)
        self.saw(events)
        self.unanswered = {number: key for number, key in before.items() if key not in self.ends}

    @rule(seconds=st.sampled_from([1, 7, 29, 30, 61]))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND
        self.saw(self.session.tick(self.now))
        self.unanswered = {number: key for number, key in self.unanswered.items() if key not in self.ends}

    @precondition(lambda self: len(self.submitted) > 2)
    @rule(how=st.sampled_from(["unbind", "unbound", "lost", "not SMPP"]))
    def end(self, how: str) -> None:
        match how:
            case "unbind":
                self.saw(self.session.unbind(self.now))
            case "unbound":
                self.saw(self.session.receive(encode(Unbind(), 6), self.now))
            case "lost":
                self.saw(self.session.link_lost())
            case _:
                self.saw(self.session.receive(b"GET ", self.now))

    @invariant()
    def the_window_holds(self) -> None:
        if hasattr(self, "session"):
            in_flight = set(self.on_wire.values()) - set(self.ends)
            assert self.session.outstanding == len(in_flight) <= self.session.options.window

    @invariant()
    def a_deadline_is_always_ahead(self) -> None:
        if hasattr(self, "session"):
            waits = self.session.state in (State.BINDING, State.UNBINDING) or bool(self.session.outstanding)
            assert not waits or self.session.next_deadline() is not None
            assert self.session.next_deadline() is None or not self.closed

    def teardown(self) -> None:
        if hasattr(self, "session"):
            self.saw(self.session.link_lost())
            assert sorted(self.ends) == self.submitted
            assert self.closed
            self.hand_out()


Order.TestCase.settings = settings(max_examples=300, stateful_step_count=40)
TestOrder = Order.TestCase
