"""What an SMSC owes, and when: links of bytes, and a clock that is moved by hand."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.carriers.smpp import smsc_centre
from heliograph.carriers.smpp.pdu import (
    BindReceiver,
    BindReceiverResp,
    BindTransceiver,
    BindTransceiverResp,
    BindTransmitter,
    BindTransmitterResp,
    Body,
    Decoder,
    DeliverSm,
    DeliverSmResp,
    Pdu,
    QuerySm,
    QuerySmResp,
    SubmitSm,
    SubmitSmResp,
    Tag,
    encode,
    find_text,
)
from heliograph.carriers.smpp.smsc_centre import Centre, Line
from heliograph.carriers.smpp.smsc_record import Submit
from heliograph.carriers.smpp.smsc_script import IdForm, Script
from heliograph.carriers.smpp.status import Status
from heliograph.domain.instant import SECOND, Instant

TEXT = SubmitSm(source_addr="15550002222", destination_addr="15550001111", registered_delivery=1, short_message=b"hi")
BOUND = (BindReceiverResp, BindTransmitterResp, BindTransceiverResp)


class Bench:
    """An SMSC without sockets: `now` is moved by hand, and what links are told is read at once."""

    def __init__(self, script: Script | None = None) -> None:
        self.now = 0
        self.told: list[str] = []
        self.centre = Centre(script or Script(), 1, self.told.append)

    def link(self, bind: Body | None = None) -> Line:
        line = self.centre.connect("there", self.now)
        self.say(line, bind or BindTransceiver("me", "secret"))
        return line

    def say(self, line: Line, body: Body, sequence: int = 7, status: int = 0) -> None:
        """Bytes of a link come, and what is to be written down is."""
        for plan in self.centre.receive(line, encode(body, sequence, status), self.now, Instant(self.now)):
            self.centre.enact(plan, self.now)
        self.pass_time(0)

    def pass_time(self, micros: int) -> None:
        self.now += micros
        self.centre.tick(self.now)
        self.centre.pump()

    def heard(self, line: Line) -> list[Pdu]:
        """What a link is told; that it is bound goes without saying."""
        found = [each for each in Decoder().feed(line.session.bytes_to_send()) if isinstance(each, Pdu)]
        return [each for each in found if not isinstance(each.body, BOUND)]

    def bodies(self, line: Line) -> Sequence[type[Body]]:
        return [type(each.body) for each in self.heard(line)]


def test_an_answer_comes_after_its_delay_and_the_receipt_after_that() -> None:
    bench = Bench(Script(answer_delay=10, receipt_delay=5))
    line = bench.link()
    bench.say(line, TEXT)
    assert bench.centre.next_deadline() == 10
    bench.pass_time(9)
    assert bench.bodies(line) == []
    bench.pass_time(1)
    assert bench.bodies(line) == [SubmitSmResp]
    bench.pass_time(4)
    assert bench.bodies(line) == []
    bench.pass_time(1)
    assert bench.bodies(line) == [DeliverSm]


def test_a_receipt_that_goes_first_waits_for_its_delay_and_the_answer_with_it() -> None:
    bench = Bench(Script(answer_delay=10, receipt_delay=5, receipt_first=True))
    line = bench.link()
    bench.say(line, TEXT)
    bench.pass_time(14)
    assert bench.bodies(line) == []
    bench.pass_time(1)
    assert bench.bodies(line) == [DeliverSm, SubmitSmResp]


def test_a_receipt_of_what_was_never_answered_comes_when_it_would_have() -> None:
    bench = Bench(Script(silent_every=1, answer_delay=10, receipt_delay=5))
    line = bench.link()
    bench.say(line, TEXT)
    bench.pass_time(14)
    assert bench.bodies(line) == []
    bench.pass_time(1)
    assert bench.bodies(line) == [DeliverSm]


def test_a_receipt_says_when_it_was_done() -> None:
    bench = Bench(Script(receipt_delay=300 * SECOND))
    line = bench.link()
    bench.say(line, TEXT)
    bench.heard(line)
    bench.say(line, BindTransceiver("me", "secret"))  # it is there, though it was silent
    bench.pass_time(300 * SECOND)
    (receipt,) = [each.body for each in bench.heard(line) if isinstance(each.body, DeliverSm)]
    assert b"submit date:7001010000 done date:7001010005" in receipt.short_message


@pytest.mark.parametrize(
    ("form", "ids"),
    [
        (IdForm.HEX, ["1", "2"]),
        (IdForm.DECIMAL, ["1", "2"]),
        (IdForm.UUID, ["00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"]),
    ],
)
def test_ids_count_up(form: IdForm, ids: list[str]) -> None:
    bench = Bench(Script(id_form=form))
    line = bench.link()
    for _ in range(2):
        bench.say(line, TEXT)
    answers = [each.body for each in bench.heard(line)]
    assert [each.message_id for each in answers if isinstance(each, SubmitSmResp)] == ids


def test_receipts_go_to_the_link_with_most_room() -> None:
    bench = Bench(Script(deliver_window=3))
    sends = bench.link(BindTransmitter("me", "secret"))
    receivers = [bench.link(BindReceiver("me", "secret")) for _ in range(2)]
    for sequence in range(1, 8):
        bench.say(sends, TEXT, sequence)
    assert [len(bench.bodies(each)) for each in receivers] == [3, 3]
    assert bench.centre.waiting == 7


def test_what_a_lost_link_did_not_answer_goes_first_on_another() -> None:
    bench = Bench(Script(deliver_window=2))
    first = bench.link()
    for _ in range(3):
        bench.say(first, TEXT)
    bench.centre.drop(first, "gone", bench.now)
    second = bench.link(BindReceiver("me", "secret"))
    bench.centre.pump()
    receipts = []
    for _ in range(3):
        for pdu in bench.heard(second):
            assert isinstance(pdu.body, DeliverSm)
            receipts.append(find_text(pdu.body.tlvs, Tag.RECEIPTED_MESSAGE_ID))
            bench.say(second, DeliverSmResp(), pdu.sequence)
    assert (receipts, bench.centre.waiting) == (["1", "2", "3"], 0)


def test_what_was_refused_is_sent_again_after_a_while() -> None:
    bench = Bench(Script(redeliver_delay=10))
    line = bench.link()
    bench.say(line, TEXT)
    _, receipt = bench.heard(line)
    bench.say(line, DeliverSmResp(), receipt.sequence, Status.RX_T_APPN)
    bench.pass_time(9)
    assert bench.bodies(line) == []
    bench.pass_time(1)
    (again,) = bench.heard(line)
    assert again.body == receipt.body


def test_nothing_is_sent_again_twice_because_a_bind_came_first() -> None:
    bench = Bench(Script(redeliver_delay=10))
    line = bench.link()
    bench.say(line, TEXT)
    _, receipt = bench.heard(line)
    bench.say(line, DeliverSmResp(), receipt.sequence, Status.RX_T_APPN)
    other = bench.link()
    bench.centre.pump()
    bench.pass_time(20)
    assert [*bench.bodies(line), *bench.bodies(other)] == [DeliverSm]
    assert bench.centre.waiting == 1


def test_after_a_drop_no_more_of_the_link_is_read() -> None:
    bench = Bench(Script(drop_after=2))
    line = bench.link()
    data = b"".join(encode(TEXT, sequence) for sequence in range(1, 5))
    plans = bench.centre.receive(line, data, bench.now, Instant(0))
    assert [each.submit.sequence for each in plans] == [1, 2]
    assert bench.centre.receive(line, data, bench.now, Instant(0)) == []


def test_the_submits_before_a_drop_are_answered() -> None:
    bench = Bench(Script(drop_after=2))
    line = bench.link()
    data = b"".join(encode(TEXT, sequence) for sequence in range(1, 5))
    for plan in bench.centre.receive(line, data, bench.now, Instant(0)):
        bench.centre.enact(plan, bench.now)
    assert [each.sequence for each in bench.heard(line)] == [1]
    assert line.session.closed


def test_a_message_of_an_hour_ago_is_known_and_one_of_many_messages_ago_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smsc_centre, "MESSAGES_KEPT", 2)
    bench = Bench()
    line = bench.link()
    for _ in range(3):
        bench.say(line, TEXT)
    bench.heard(line)
    for message_id in "123":
        bench.say(line, QuerySm(message_id))
    answers = bench.heard(line)
    assert [each.status for each in answers] == [Status.RQUERYFAIL, 0, 0]
    assert all(isinstance(each.body, QuerySmResp) for each in answers)


def test_in_silence_no_link_is_asked_whether_it_is_there() -> None:
    bench = Bench(Script(enquire_interval=10))
    line = bench.link()
    bench.centre.judge.silent = True
    assert bench.centre.next_deadline() is None
    bench.pass_time(100)
    bench.say(line, QuerySm("1"))
    assert (bench.heard(line), line.session.closed) == ([], False)


def test_every_happening_is_a_line() -> None:
    bench = Bench(Script(throttle_every=2, silent_every=3, refuse={8: 4}))
    line = bench.link()
    for sequence in range(1, 5):
        bench.say(line, TEXT, sequence)
    assert bench.told == [
        "link 1: connected from there",
        "link 1: bound by 'me' to send and receive",
        "link 1: submit_sm #1 15550002222 -> 15550001111 'hi': 1",
        "link 1: submit_sm #2 15550002222 -> 15550001111 'hi': ESME_RTHROTTLED",
        "link 1: submit_sm #3 15550002222 -> 15550001111 'hi': taken as 2, without an answer",
        "link 1: submit_sm #4 15550002222 -> 15550001111 'hi': ESME_RTHROTTLED",
    ]


@given(st.lists(st.sampled_from(["submit", "take", "refuse", "lose", "bind", "wait"]), max_size=60))
def test_whatever_happens_every_receipt_is_taken_once_or_waits(happenings: list[str]) -> None:
    bench = Bench(Script(deliver_window=2, redeliver_delay=5, enquire_interval=1 << 40))
    lines = [bench.link()]
    open_deliveries: dict[int, list[int]] = {}
    submitted = taken = 0
    for happening in happenings:
        for line in lines:
            found = [each.sequence for each in bench.heard(line) if isinstance(each.body, DeliverSm)]
            open_deliveries.setdefault(line.number, []).extend(found)
        line = lines[-1]
        to_answer = open_deliveries.get(line.number, [])
        match happening:
            case "submit" if not line.session.closed:
                bench.say(line, TEXT)
                submitted += 1
            case "take" if to_answer and not line.session.closed:
                bench.say(line, DeliverSmResp(), to_answer.pop())
                taken += 1
            case "refuse" if to_answer and not line.session.closed:
                bench.say(line, DeliverSmResp(), to_answer.pop(), Status.RX_T_APPN)
            case "lose":
                bench.centre.drop(line, "gone", bench.now)
            case "bind":
                lines.append(bench.link())
            case "wait":
                bench.pass_time(5)
        assert bench.centre.waiting == submitted - taken


@given(st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=120), st.booleans()), max_size=20))
def test_no_bytes_of_one_link_are_another_ones_trouble(chunks: list[tuple[int, bytes, bool]]) -> None:
    bench = Bench(Script(drop_every=5, silent_every=7))
    lines = [bench.link() for _ in range(3)]
    for which, octets, as_submit in chunks:
        data = encode(TEXT, 9)[: 16 + len(octets)] + octets if as_submit else octets
        whole = len(data).to_bytes(4, "big") + data[4:] if as_submit else data
        for plan in bench.centre.receive(lines[which], whole, bench.now, Instant(0)):
            bench.centre.enact(plan, bench.now)
            assert msgspec.json.decode(msgspec.json.encode(plan.submit), type=Submit) == plan.submit
        bench.pass_time(1)
    good = bench.link()
    bench.say(good, QuerySm("none"))
    assert bench.heard(good)[-1].status == Status.RQUERYFAIL
