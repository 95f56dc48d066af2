"""One part that comes in, in every condition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.carriers.smpp.assembly import Numbering, Piece, key_of, read_piece, split_header
from heliograph.carriers.smpp.encoding import Alphabet
from heliograph.carriers.smpp.parts import UDHI, Sar

LONG = "hello" * 70


def piece(octets: str | bytes, esm_class: int = UDHI, data_coding: int = 0, sar: Sar | None = None) -> Piece:
    given_octets = bytes.fromhex(octets) if isinstance(octets, str) else octets
    return read_piece(given_octets, esm_class=esm_class, data_coding=data_coding, sar=sar)


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


def test_the_text_of_a_key_tells_messages_apart() -> None:
    one = piece("050003aa0301" + "74657374")
    keys = [
        key_of("north", "1", "22", one),
        key_of("north", "12", "2", one),
        key_of("north", '1","2', "2", one),
        key_of("north", "1", "22", piece("050003ab0301" + "74657374")),
        key_of("north", "1", "22", piece("060804 00aa 03 01 62")),
    ]
    assert len({str(key) for key in keys}) == 5
