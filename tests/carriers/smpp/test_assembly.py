"""Parts that come in, in every order and condition."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.carriers.smpp.assembly import Assembly, Joined, Numbering, Pending, Piece, read_piece, split_header
from heliograph.carriers.smpp.encoding import Alphabet
from heliograph.carriers.smpp.parts import UDHI, LongMessages, Manner, Part, Sar, divide
from heliograph.domain.instant import MINUTE, Instant
from heliograph.domain.text import Encoding, RequestedEncoding, encode

NOW = Instant(1_750_000_000_000_000)
LATER = Instant(NOW + MINUTE)
PERSON, OURS = "+18665550001", "+18445550001"
EMOJI = "\U0001f600"
LONG = "hello" * 70


def piece(octets: str | bytes, esm_class: int = UDHI, data_coding: int = 0, sar: Sar | None = None) -> Piece:
    given_octets = bytes.fromhex(octets) if isinstance(octets, str) else octets
    return read_piece(given_octets, esm_class=esm_class, data_coding=data_coding, sar=sar)


def numbered(number: int, text: str, total: int = 3, reference: int = 0xAA) -> Piece:
    return piece(bytes([5, 0, 3, reference, total, number]) + text.encode())


def add(assembly: Assembly, each: Piece, now: Instant = NOW, sender: str = PERSON) -> Sequence[Joined]:
    return assembly.add("north", sender, OURS, each, now)


def texts(joined: Sequence[Joined]) -> list[str]:
    return [each.text for each in joined]


def place_of(each: Piece) -> tuple[Numbering, int, int, int]:
    return each.numbering, each.reference, each.total, each.number


# Reading one deliver_sm


def test_a_message_without_a_header_stands_alone() -> None:
    assert piece(b"Hello", esm_class=0) == Piece(octets=b"Hello", alphabet=Alphabet.GSM7)


@pytest.mark.parametrize(
    ("octets", "place", "body"),
    [
        ("050003aa0301" + "74657374", (Numbering.UDH8, 0xAA, 3, 1), b"test"),
        ("06080412340302" + "74657374", (Numbering.UDH16, 0x1234, 3, 2), b"test"),
        # go-smpp's TestSeparateUDH: ports of 16 bits before it
        ("0b0504158200000003aa0301" + "74657374", (Numbering.UDH8, 0xAA, 3, 1), b"test"),
        # ports of 8 bits and a national language after it
        ("0c" + "0003aa0301" + "0402f0f0" + "240101" + "74657374", (Numbering.UDH8, 0xAA, 3, 1), b"test"),
        # an element that nobody knows, and one without a value
        ("0b" + "7f02ffff" + "0003aa0303" + "2200" + "74657374", (Numbering.UDH8, 0xAA, 3, 3), b"test"),
        # both kinds: the last one counts
        ("0b" + "0003aa0301" + "080412340402" + "74657374", (Numbering.UDH16, 0x1234, 4, 2), b"test"),
        # no part of anything: a port only
        ("06050423f40000" + "74657374", (Numbering.NONE, 0, 1, 1), b"test"),
    ],
)
def test_a_header_is_read_element_by_element(octets: str, place: tuple[Numbering, int, int, int], body: bytes) -> None:
    found = piece(octets)
    assert (place_of(found), found.octets) == (place, body)


def test_a_header_of_ucs2_is_read_as_an_smppjs_user_received_it() -> None:
    """smppjs issue 56: esm_class 64, data_coding 8; without its header the text began with `Ԁ́ȁ`."""
    found = piece("050003010201" + "77ed4fe1670d52a15385", data_coding=8)
    assert place_of(found) == (Numbering.UDH8, 1, 2, 1)
    assert (found.octets.decode("utf-16-be"), found.alphabet) == ("短信服务厅", Alphabet.UCS2)


@pytest.mark.parametrize(
    "octets",
    [
        "050003aa0300",  # part 0
        "050003aa0304",  # part 4 of 3
        "050003aa0000",  # of none
        "0400 02aa03",  # an element too short
        "060004aa030100",  # too long
        "050803aa0301",  # 16 bits in the room of 8
        "0500",  # claims more than there is
        "05 0009 aa0301",  # its element claims more than the header has
        "03 7f7f7f",
        "00",
        "",
    ],
)
def test_a_header_that_cannot_be_leaves_a_message_that_stands_alone(octets: str) -> None:
    assert place_of(piece(octets)) == (Numbering.NONE, 0, 1, 1)


def test_a_header_longer_than_its_message_is_taken_for_text() -> None:
    assert piece(b"id:1 stat:X").octets == b"id:1 stat:X"
    assert split_header(b"\x05\x00") == (b"", b"\x05\x00")
    assert split_header(b"\x00abc") == (b"\x00", b"abc")


def test_sar_is_read_and_gives_way_to_a_header() -> None:
    assert place_of(piece(b"x", esm_class=0, sar=Sar(0x1234, 3, 2))) == (Numbering.SAR, 0x1234, 3, 2)
    assert place_of(piece("050003aa0301", sar=Sar(0x1234, 3, 2))) == (Numbering.UDH8, 0xAA, 3, 1)
    assert place_of(piece(b"x", esm_class=0, sar=Sar(1, 0, 0))) == (Numbering.NONE, 0, 1, 1)


def test_packed_octets_after_a_header_begin_on_a_septet() -> None:
    """lua-lluv-gsmmodem's test of a long message: the third part of 70 times `hello`."""
    octets = bytes.fromhex("050003010303ca6cf61b5d66b3dfe8329bfd4697d9ec37bacc66bfd16536fb8d2eb3d96f7499cd7ea3cb6cf61b")
    found = read_piece(octets, esm_class=UDHI, meanings={0: Alphabet.GSM7_PACKED})
    assert (found.octets.decode(), found.alphabet) == (LONG[306:], Alphabet.GSM7)


@given(st.binary(max_size=40), st.integers(0, 255), st.integers(0, 255))
def test_no_octets_raise(octets: bytes, esm_class: int, data_coding: int) -> None:
    found = read_piece(octets, esm_class=esm_class, data_coding=data_coding)
    assert 1 <= found.number <= found.total <= 255
    assert len(add(Assembly(), found)) in {0, 1}


# Putting together


def test_a_message_that_stands_alone_is_whole_at_once_and_not_held() -> None:
    assembly = Assembly()
    (joined,) = add(assembly, piece(b"Hello", esm_class=0))
    assert joined == Joined(
        carrier="north",
        sender=PERSON,
        recipient=OURS,
        text="Hello",
        encoding=Encoding.GSM7,
        parts=1,
        missing=(),
        binary=False,
        first_at=NOW,
        last_at=NOW,
    )
    assert assembly.held() == []


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1), (3, 1, 2)])
def test_parts_come_in_any_order(order: tuple[int, ...]) -> None:
    assembly = Assembly()
    *early, last = [add(assembly, numbered(number, "abc"[number - 1])) for number in order]
    assert early == [[], []]
    assert texts(last) == ["abc"]
    assert (last[0].parts, last[0].missing) == (3, ())


def test_it_tells_when_the_first_and_the_last_part_came() -> None:
    assembly = Assembly()
    add(assembly, numbered(2, "b", total=2))
    (joined,) = add(assembly, numbered(1, "a", total=2), LATER)
    assert (joined.first_at, joined.last_at) == (NOW, LATER)


def test_a_part_that_comes_twice_changes_nothing() -> None:
    assembly = Assembly()
    add(assembly, numbered(1, "a", total=2))
    assert add(assembly, numbered(1, "a", total=2), LATER) == []
    assert [pending.last_at for pending in assembly.held()] == [NOW]
    assert texts(add(assembly, numbered(2, "b", total=2))) == ["ab"]


def test_a_part_of_a_whole_message_that_comes_again_begins_no_new_one() -> None:
    assembly = Assembly()
    for number, text in enumerate("ab", 1):
        add(assembly, numbered(number, text, total=2))
    assert add(assembly, numbered(2, "b", total=2)) == []
    assert assembly.give_up(LATER) == []


def test_a_reference_that_is_used_again_begins_anew() -> None:
    assembly = Assembly()
    for number, text in enumerate("ab", 1):
        add(assembly, numbered(number, text, total=2))
    assert add(assembly, numbered(1, "c", total=2)) == []
    assert texts(add(assembly, numbered(2, "d", total=2))) == ["cd"]


def test_what_was_incomplete_is_given_up_when_its_reference_is_used_again() -> None:
    assembly = Assembly()
    add(assembly, numbered(1, "a", total=2))
    (ended,) = add(assembly, numbered(1, "c", total=2))
    assert (ended.text, ended.missing) == ("a", (2,))
    assert texts(add(assembly, numbered(2, "d", total=2))) == ["cd"]


def test_a_message_of_one_part_under_a_reference_is_whole() -> None:
    assert texts(add(Assembly(), numbered(1, "a", total=1))) == ["a"]


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
    assembly = Assembly()
    add(assembly, numbered(1, "a", total=2))
    assert add(assembly, other) == []
    assert len(assembly.held()) == 2


def test_two_people_may_use_one_reference() -> None:
    assembly = Assembly()
    add(assembly, numbered(1, "a", total=2))
    assert add(assembly, numbered(2, "b", total=2), sender="+18665550002") == []


def test_an_escape_and_a_surrogate_pair_divided_between_parts_are_read() -> None:
    """python-smpplib issue 160: its parts end anywhere."""
    assembly = Assembly()
    add(assembly, piece(b"\x05\x00\x03\x01\x02\x01" + b"5\x1b"))
    assert texts(add(assembly, piece(b"\x05\x00\x03\x01\x02\x02" + b"e!"))) == ["5€!"]
    add(assembly, piece("050003020201" + "0061d83d", data_coding=8))
    assert texts(add(assembly, piece("050003020202" + "de000062", data_coding=8))) == [f"a{EMOJI}b"]


def test_parts_in_different_alphabets_are_each_read_in_their_own() -> None:
    assembly = Assembly()
    add(assembly, piece("050003010201" + "00", data_coding=0))
    (joined,) = add(assembly, piece("050003010202" + "0436", data_coding=8))
    assert (joined.text, joined.encoding, joined.binary) == ("@ж", None, False)


def test_binary_parts_are_told() -> None:
    (joined,) = add(Assembly(), piece(b"\x00\xff", esm_class=0, data_coding=4))
    assert (joined.text, joined.encoding, joined.binary) == ("\x00\xff", None, True)


# Giving up


def test_what_never_becomes_whole_is_given_up_with_what_is_there() -> None:
    assembly = Assembly()
    add(assembly, numbered(4, "d", total=5))
    add(assembly, numbered(2, "b", total=5))
    (joined,) = assembly.give_up(LATER)
    assert (joined.text, joined.parts, joined.missing) == ("bd", 5, (1, 3, 5))
    assert assembly.held() == []
    assert assembly.give_up(LATER) == []


def test_halves_on_both_sides_of_a_gap_do_not_become_one_character() -> None:
    assembly = Assembly()
    add(assembly, numbered(1, "a\x1b"))
    add(assembly, numbered(3, "e"))
    assert texts(assembly.give_up(LATER)) == ["a\ufffde"]


def test_a_message_whose_parts_still_come_is_not_given_up() -> None:
    assembly = Assembly()
    add(assembly, numbered(1, "a"))
    add(assembly, numbered(2, "b"), LATER)
    assert assembly.give_up(LATER) == []
    assert texts(assembly.give_up(Instant(LATER + 1))) == ["ab"]


def test_whole_messages_are_forgotten_in_silence() -> None:
    assembly = Assembly()
    for number, text in enumerate("ab", 1):
        add(assembly, numbered(number, text, total=2))
    assert len(assembly.held()) == 1
    assert assembly.give_up(LATER) == []
    assert assembly.held() == []


def test_what_is_held_can_be_stored_and_taken_up_again() -> None:
    before = Assembly()
    add(before, numbered(1, "a", total=2))
    stored = msgspec.json.encode(before.held())
    after = Assembly(msgspec.json.decode(stored, type=list[Pending]))
    assert texts(add(after, numbered(2, "b", total=2))) == ["ab"]


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
    assembly = Assembly()
    ended = [joined for part in data.draw(st.permutations(parts)) for joined in add(assembly, received(part, manner))]
    assert texts(ended) == [text]
    assert ended[0].parts == len(parts)
