"""Parts of messages in every order and condition, and the book's freedom to apply a change more than once."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.carriers.smpp.assembly import Joined, Key, Piece, key_of, read_piece
from heliograph.carriers.smpp.collecting import (
    Shelf,
    shelf_of,
    to_hand_over,
    with_handed_over,
    with_piece,
    without_hope,
)
from heliograph.carriers.smpp.encoding import Alphabet
from heliograph.carriers.smpp.inbound import Apply
from heliograph.carriers.smpp.parts import UDHI, LongMessages, Manner, Part, Sar, divide
from heliograph.domain.instant import MINUTE, Instant
from heliograph.domain.text import RequestedEncoding, encode

NOW = Instant(1_750_000_000_000_000)
LATER = Instant(NOW + MINUTE)
PERSON, OURS = "+18665550001", "+18445550001"
EMOJI = "\U0001f600"


def piece(octets: str | bytes, esm_class: int = UDHI, data_coding: int = 0, sar: Sar | None = None) -> Piece:
    given_octets = bytes.fromhex(octets) if isinstance(octets, str) else octets
    return read_piece(given_octets, esm_class=esm_class, data_coding=data_coding, sar=sar)


def numbered(number: int, text: str, total: int = 3, reference: int = 0xAA) -> Piece:
    return piece(bytes([5, 0, 3, reference, total, number]) + text.encode())


class Held:
    """What stands under each key, every change made twice, and all that ends handed over at once."""

    def __init__(self, *, hands_over: bool = True) -> None:
        self.content: dict[Key, bytes | None] = {}
        self.references = 0
        self.hands_over = hands_over
        self.given: list[str] = []
        """The references under which something was handed over."""

    def add(self, each: Piece, now: Instant = NOW, sender: str = PERSON) -> Sequence[Joined]:
        key = key_of("north", sender, OURS, each)
        self.references += 1
        return self.change(key, lambda content: with_piece(content, key, each, now, f"r{self.references}"))

    def give_up(self, before: Instant) -> Sequence[Joined]:
        return [joined for key in self.content for joined in self.change(key, lambda each: without_hope(each, before))]

    def change(self, key: Key, apply: Apply) -> Sequence[Joined]:
        once = apply(self.content.get(key))
        assert apply(once) == once
        self.content[key] = once
        return self.hand_over(key) if self.hands_over else []

    def hand_over(self, key: Key) -> Sequence[Joined]:
        ended = to_hand_over(self.content[key])
        for each in ended:
            self.given.append(each.reference)
            self.content[key] = with_handed_over(self.content[key], each.reference)
            assert with_handed_over(self.content[key], each.reference) == self.content[key]
        return [each.pending.joined() for each in ended]

    def shelf(self) -> Shelf:
        return tuple(each for content in self.content.values() for each in shelf_of(content))


def texts(joined: Sequence[Joined]) -> list[str]:
    return [each.text for each in joined]


# Putting together


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1), (3, 1, 2)])
def test_parts_come_in_any_order(order: tuple[int, ...]) -> None:
    held = Held()
    *early, last = [held.add(numbered(number, "abc"[number - 1])) for number in order]
    assert early == [[], []]
    assert texts(last) == ["abc"]
    assert (last[0].parts, last[0].missing) == (3, ())


def test_it_tells_when_the_first_and_the_last_part_came() -> None:
    held = Held()
    held.add(numbered(2, "b", total=2))
    (joined,) = held.add(numbered(1, "a", total=2), LATER)
    assert (joined.first_at, joined.last_at) == (NOW, LATER)


def test_a_part_that_comes_twice_changes_nothing() -> None:
    held = Held()
    held.add(numbered(1, "a", total=2))
    assert held.add(numbered(1, "a", total=2), LATER) == []
    assert [each.pending.last_at for each in held.shelf()] == [NOW]
    assert texts(held.add(numbered(2, "b", total=2))) == ["ab"]


def test_a_part_of_a_whole_message_that_comes_again_begins_no_new_one() -> None:
    held = Held()
    for number, text in enumerate("ab", 1):
        held.add(numbered(number, text, total=2))
    assert held.add(numbered(2, "b", total=2)) == []
    assert held.give_up(LATER) == []


def test_a_reference_that_is_used_again_begins_anew() -> None:
    held = Held()
    for number, text in enumerate("ab", 1):
        held.add(numbered(number, text, total=2))
    assert held.add(numbered(1, "c", total=2)) == []
    assert texts(held.add(numbered(2, "d", total=2))) == ["cd"]


def test_what_was_incomplete_is_given_up_when_its_reference_is_used_again() -> None:
    held = Held()
    held.add(numbered(1, "a", total=2))
    (ended,) = held.add(numbered(1, "c", total=2))
    assert (ended.text, ended.missing) == ("a", (2,))
    assert texts(held.add(numbered(2, "d", total=2))) == ["cd"]


def test_a_message_of_one_part_under_a_reference_is_whole() -> None:
    assert texts(Held().add(numbered(1, "a", total=1))) == ["a"]


@pytest.mark.parametrize(
    "other",
    [
        numbered(2, "b", total=3),
        numbered(2, "b", total=2, reference=0xAB),
        piece("060804 00aa 02 02 62"),
        piece(b"b", esm_class=0, sar=Sar(0xAA, 2, 2)),
    ],
)
def test_other_totals_references_and_kinds_of_reference_are_other_messages(other: Piece) -> None:
    held = Held()
    held.add(numbered(1, "a", total=2))
    assert held.add(other) == []
    assert len(held.shelf()) == 2


def test_two_people_may_use_one_reference() -> None:
    held = Held()
    held.add(numbered(1, "a", total=2))
    assert held.add(numbered(2, "b", total=2), sender="+18665550002") == []


def test_an_escape_and_a_surrogate_pair_divided_between_parts_are_read() -> None:
    """python-smpplib issue 160: its parts end anywhere."""
    held = Held()
    held.add(piece(b"\x05\x00\x03\x01\x02\x01" + b"5\x1b"))
    assert texts(held.add(piece(b"\x05\x00\x03\x01\x02\x02" + b"e!"))) == ["5€!"]
    held.add(piece("050003020201" + "0061d83d", data_coding=8))
    assert texts(held.add(piece("050003020202" + "de000062", data_coding=8))) == [f"a{EMOJI}b"]


def test_parts_in_different_alphabets_are_each_read_in_their_own() -> None:
    held = Held()
    held.add(piece("050003010201" + "00", data_coding=0))
    (joined,) = held.add(piece("050003010202" + "0436", data_coding=8))
    assert (joined.text, joined.encoding, joined.binary) == ("@ж", None, False)


def test_binary_parts_are_told() -> None:
    (joined,) = Held().add(piece(b"\x05\x00\x03\x01\x01\x01\x00\xff", data_coding=4))
    assert (joined.text, joined.encoding, joined.binary) == ("\x00\xff", None, True)


# Giving up


def test_what_never_becomes_whole_is_given_up_with_what_is_there() -> None:
    held = Held()
    held.add(numbered(4, "d", total=5))
    held.add(numbered(2, "b", total=5))
    (joined,) = held.give_up(LATER)
    assert (joined.text, joined.parts, joined.missing) == ("bd", 5, (1, 3, 5))
    assert held.shelf() == ()
    assert held.give_up(LATER) == []


def test_halves_on_both_sides_of_a_gap_do_not_become_one_character() -> None:
    held = Held()
    held.add(numbered(1, "a\x1b"))
    held.add(numbered(3, "e"))
    assert texts(held.give_up(LATER)) == ["a\ufffde"]


def test_a_message_whose_parts_still_come_is_not_given_up() -> None:
    held = Held()
    held.add(numbered(1, "a"))
    held.add(numbered(2, "b"), LATER)
    assert held.give_up(LATER) == []
    assert texts(held.give_up(Instant(LATER + 1))) == ["ab"]


def test_whole_messages_are_forgotten_in_silence() -> None:
    held = Held()
    for number, text in enumerate("ab", 1):
        held.add(numbered(number, text, total=2))
    assert len(held.shelf()) == 1
    assert held.give_up(LATER) == []
    assert held.shelf() == ()


def test_a_whole_message_that_was_not_handed_over_is_not_forgotten() -> None:
    held = Held(hands_over=False)
    for number, text in enumerate("ab", 1):
        held.add(numbered(number, text, total=2))
    held.give_up(LATER)
    (key,) = held.content
    assert texts(held.hand_over(key)) == ["ab"]


def test_what_is_handed_over_twice_has_one_reference() -> None:
    held = Held(hands_over=False)
    for number in (1, 2, 2, 1):
        held.add(numbered(number, "ab"[number - 1], total=2))
    (key,) = held.content
    assert [each.reference for each in to_hand_over(held.content[key])] == ["r1"]


def test_a_part_for_a_message_that_was_given_up_begins_a_new_one() -> None:
    held = Held(hands_over=False)
    held.add(numbered(1, "a", total=2))
    held.give_up(LATER)
    held.add(numbered(2, "b", total=2), LATER)
    (key,) = held.content
    assert texts(held.hand_over(key)) == ["a"]
    assert texts(held.give_up(Instant(LATER + 1))) == []
    assert texts(held.hand_over(key)) == ["b"]
    assert len(set(held.given)) == 2


def test_a_message_that_begins_under_the_reference_of_one_not_handed_over_loses_neither() -> None:
    held = Held(hands_over=False)
    for number, text in [(1, "a"), (2, "b"), (1, "c"), (2, "d")]:
        held.add(numbered(number, text, total=2))
    (key,) = held.content
    assert texts(held.hand_over(key)) == ["ab", "cd"]


def test_nothing_is_kept_once_all_is_over() -> None:
    held = Held()
    for number, text in [(1, "a"), (2, "b"), (1, "c")]:
        held.add(numbered(number, text, total=2))
    held.give_up(LATER)
    assert list(held.content.values()) == [None]


def test_nothing_comes_of_an_empty_place() -> None:
    assert without_hope(None, NOW) is None
    assert with_handed_over(None, "r1") is None
    assert to_hand_over(None) == []


# What we divide comes together again


def received(part: Part, manner: Manner) -> Piece:
    octets = part.short_message if part.message_payload is None else part.message_payload
    return read_piece(
        octets, esm_class=part.esm_class, data_coding=part.data_coding, sar=part.sar, meanings=manner.meanings
    )


@given(
    st.lists(st.sampled_from(["hello world ", "€", "жук ", EMOJI]), min_size=1, max_size=150).map("".join),
    st.sampled_from(LongMessages),
    st.sampled_from([{}, {0: Alphabet.GSM7_PACKED}]),
    st.data(),
)
def test_every_way_of_dividing_is_undone_in_any_order(
    text: str, way: LongMessages, meanings: dict[int, Alphabet], data: st.DataObject
) -> None:
    manner = Manner(way, meanings.get(0, Alphabet.GSM7), meanings)
    parts = divide(encode(text, RequestedEncoding.AUTO, smart=False), manner, 77)
    held = Held()
    ended = [joined for part in data.draw(st.permutations(parts)) for joined in held.add(received(part, manner))]
    assert texts(ended) == [text]
    assert ended[0].parts == len(parts)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(1, 3), st.sampled_from("abc")),
            st.tuples(st.just("give up"), st.integers(0, 5), st.just("")),
            st.tuples(st.just("hand over"), st.just(0), st.just("")),
        ),
        max_size=25,
    )
)
def test_whatever_came_is_handed_over_in_some_message(steps: list[tuple[str, int, str]]) -> None:
    held, told = Held(hands_over=False), list[str]()
    came = set[tuple[int, str]]()
    for moment, (step, number, text) in enumerate(steps):
        if step == "add":
            came.add((number, text))
            held.add(numbered(number, f"{number}{text}"), Instant(NOW + moment))
        elif step == "give up":
            held.give_up(Instant(NOW + moment - number))
        for key in held.content if step == "hand over" else ():
            told += texts(held.hand_over(key))
    held.give_up(LATER)
    told += [text for key in held.content for text in texts(held.hand_over(key))]
    assert all(any(f"{number}{text}" in each for each in told) for number, text in came)
    assert len(held.given) == len(set(held.given))
