"""Until when a request may leave: bytes that are handed out too late are a message that is sent twice."""

from hypothesis import given
from hypothesis import strategies as st

from heliograph.carriers.smpp.events import Answered, NotSent, Reason
from heliograph.carriers.smpp.pdu import SubmitSmResp
from heliograph.domain.instant import SECOND
from tests.carriers.smpp.bytewise import START, TEXT, Peer, bound


def waiting(peer: Peer, *untils: int | None) -> None:
    """Submit one request for each, the first `a`."""
    for key, until in zip("abcdefghij", untils, strict=False):
        peer.session.submit(key, TEXT, peer.now, until)


def test_at_that_moment_nothing_leaves_any_more() -> None:
    peer = bound()
    waiting(peer, START + 5)
    peer.now += 5
    assert peer.sent() == []
    assert peer.after(0) == [NotSent("a", Reason.NO_ROOM)]


def test_just_before_it_still_leaves() -> None:
    peer = bound()
    waiting(peer, START + 5)
    peer.now += 4
    (sent,) = peer.sent()
    peer.now += SECOND
    assert isinstance(peer.says(SubmitSmResp("m1"), sent.sequence)[0], Answered)


def test_what_is_submitted_too_late_is_not_sent() -> None:
    peer = bound()
    waiting(peer, START - 1)
    assert peer.sent() == []
    assert peer.session.next_deadline() == START - 1
    assert peer.after(0) == [NotSent("a", Reason.NO_ROOM)]


def test_one_that_is_over_holds_up_the_others_only_until_the_tick() -> None:
    peer = bound()
    waiting(peer, None, START + 5, None)
    peer.now += 5
    assert len(peer.sent()) == 1
    assert peer.after(0) == [NotSent("b", Reason.NO_ROOM)]
    assert len(peer.sent()) == 1
    assert peer.session.outstanding == 2


def test_the_next_deadline_is_the_earliest_of_those_that_wait() -> None:
    peer = bound(window=1)
    peer.submits("first")
    waiting(peer, START + 9 * SECOND, START + 3 * SECOND, None, START + 90 * SECOND)
    assert peer.session.next_deadline() == START + 3 * SECOND
    assert peer.after(3 * SECOND) == [NotSent("b", Reason.NO_ROOM)]
    assert peer.session.next_deadline() == START + 9 * SECOND
    assert peer.after(6 * SECOND) == [NotSent("a", Reason.NO_ROOM)]


def test_waiting_for_room_is_never_longer_than_for_an_answer() -> None:
    peer = bound(window=1, response_timeout=2 * SECOND, enquire_interval=60 * SECOND)
    peer.submits("first")
    waiting(peer, START + 90 * SECOND)
    assert NotSent("a", Reason.NO_ROOM) in peer.after(2 * SECOND)


@given(
    st.lists(st.integers(-3, 30), max_size=10),
    st.lists(st.one_of(st.integers(1, 10), st.just("write"), st.just("tick"), st.just("answer")), max_size=40),
)
def test_no_byte_is_handed_out_too_late_whatever_happens(untils: list[int], steps: list[int | str]) -> None:
    peer = bound(window=2)
    waiting(peer, *(START + each for each in untils))
    in_flight, ended, left = list[int](), list[str](), list[int]()
    for step in steps:
        if isinstance(step, int):
            peer.now += step
        elif step == "write":
            before = peer.session.outstanding
            in_flight += [each.sequence for each in peer.sent()]
            left += [peer.now] * (peer.session.outstanding - before)
        elif step == "tick":
            ended += [each.key for each in peer.after(0)]
        elif in_flight:
            peer.says(SubmitSmResp("m"), in_flight.pop(0))
    kept = [until for key, until in zip("abcdefghij", untils, strict=False) if key not in ended]
    assert all(moment < START + until for moment, until in zip(left, kept, strict=False))
