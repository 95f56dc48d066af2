"""Characters and octets, beside octets that others publish and with smsutil as a second opinion on GSM 03.38."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smsutil.codecs import GSM_CHARSET

from heliograph.carriers.smpp.encoding import (
    Alphabet,
    NoDataCoding,
    NotEncodable,
    alphabet_of,
    data_coding_of,
    decode,
    encode,
    over_the_air,
    pack,
    unpack,
)
from heliograph.domain.text import Encoding

GSM7, PACKED, ASCII, LATIN1, UCS2, BINARY = (
    Alphabet.GSM7,
    Alphabet.GSM7_PACKED,
    Alphabet.ASCII,
    Alphabet.LATIN1,
    Alphabet.UCS2,
    Alphabet.BINARY,
)
IN_GSM = sorted(set(GSM_CHARSET) - {"\x1b"})
EMOJI = "\U0001f600"


# GSM 03.38, one septet an octet


@pytest.mark.parametrize("character", IN_GSM)
def test_every_character_of_gsm_has_the_septets_that_smsutil_gives_it(character: str) -> None:
    assert encode(character, GSM7) == character.encode("gsm0338")


@given(st.text(st.sampled_from(IN_GSM)), st.sampled_from([GSM7]))
def test_a_text_in_gsm_survives_the_way_there_and_back(text: str, alphabet: Alphabet) -> None:
    assert decode(encode(text, alphabet), alphabet) == text


def test_the_euro_sign_is_an_escape_and_an_e() -> None:
    """OpenSmpp issue 19: it came out as a space, and went in as a question mark."""
    assert encode("5€", GSM7) == b"5\x1be"
    assert decode(b"5\x1be", GSM7) == "5€"


def test_a_header_read_as_text_looks_as_a_user_of_php_smpp_saw_it() -> None:
    """php-smpp issue 33: each part began so, because `esm_class` did not tell of the header."""
    assert decode(bytes.fromhex("050003010201"), GSM7) == "é@¥£$£"


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"a\x1bab", "aab"),  # not in the extension: shown as if not escaped (3GPP TS 23.038, 6.2.1.1)
        (b"a\x1b\x1bb", "a b"),  # an escape to a table that nobody has yet
        (b"a\x1b", "a\ufffd"),
        (b"a\x1b\n", "a\f"),
        (b"a\xe9b", "a\ufffdb"),
    ],
)
def test_what_is_not_gsm_is_read_as_far_as_it_can_be(octets: bytes, text: str) -> None:
    assert decode(octets, GSM7) == text


@pytest.mark.parametrize("alphabet", [GSM7, PACKED])
def test_what_gsm_lacks_is_named_once_and_in_order(alphabet: Alphabet) -> None:
    with pytest.raises(NotEncodable, match=r"not in gsm7.*: U\+0436 U\+001B") as caught:
        encode("aж\x1bжΔ", alphabet)
    assert caught.value.characters == ("ж", "\x1b")


def test_an_escape_is_no_character() -> None:
    with pytest.raises(NotEncodable, match=r"U\+001B$"):
        encode("\x1be", GSM7)
    with pytest.raises(NotEncodable, match=r"U\+0436$"):
        encode("eж", GSM7)


def test_at_most_ten_characters_are_named() -> None:
    with pytest.raises(NotEncodable) as caught:
        encode("абвгдежзийкл", LATIN1)
    assert caught.value.characters == tuple("абвгдежзий")


# Packed


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("hellohello", "e8329bfd4697d9ec37"),  # in the tests of a dozen libraries
        ("", ""),
    ],
)
def test_packed_octets_are_those_of_others(text: str, octets: str) -> None:
    assert encode(text, PACKED).hex() == octets
    assert decode(bytes.fromhex(octets), PACKED) == text


def test_after_a_header_a_bit_is_filled_in() -> None:
    """lua-lluv-gsmmodem's test of a long message: the third part of 70 times `hello`."""
    octets = bytes.fromhex("ca6cf61b5d66b3dfe8329bfd4697d9ec37bacc66bfd16536fb8d2eb3d96f7499cd7ea3cb6cf61b")
    text = ("hello" * 70)[306:]
    assert encode(text, PACKED, fill_bits=1) == octets
    assert decode(octets, PACKED, fill_bits=1) == text


def test_seven_bits_left_over_are_filled_with_a_carriage_return() -> None:
    """With zeros the handset would show an @ (3GPP TS 23.038, 6.1.2.3.1)."""
    assert encode("1234567", PACKED) == pack(b"1234567\r")
    assert decode(encode("1234567", PACKED), PACKED) == "1234567"


def test_filling_of_zeros_is_no_character() -> None:
    """lua-lluv-gsmmodem's test of reading: seven septets, and seven bits left over."""
    assert decode(bytes.fromhex("20a83c6d2fd301"), PACKED) == " Privet"


@pytest.mark.parametrize("last", [0x00, 0x0D])
def test_a_septet_of_filling_is_not_read(last: int) -> None:
    assert unpack(pack(b"1234567" + bytes([last]))) == b"1234567"


@given(st.binary(max_size=200).map(lambda octets: bytes(octet & 0x7F for octet in octets)), st.integers(0, 6))
def test_packing_is_undone_but_for_what_looks_like_filling(septets: bytes, fill_bits: int) -> None:
    packed = pack(septets, fill_bits)
    assert len(packed) == ((fill_bits + 7 * len(septets) + 7) // 8 if septets else 0)
    unpacked = unpack(packed, fill_bits)
    assert unpacked == septets or (unpacked + septets[-1:] == septets and septets[-1] in b"\x00\r")


@given(st.binary(max_size=10), st.integers(0, 6))
def test_unpacking_never_fails(octets: bytes, fill_bits: int) -> None:
    assert all(septet < 0x80 for septet in unpack(octets, fill_bits))


# The others


@given(st.text())
def test_ucs2_carries_every_character_both_ways(text: str) -> None:
    assert decode(encode(text, UCS2), UCS2) == text.removeprefix("\ufeff")


def test_an_emoji_is_a_surrogate_pair() -> None:
    assert encode(EMOJI, UCS2).hex() == "d83dde00"
    assert decode(bytes.fromhex("d83dde00"), UCS2) == EMOJI


def test_a_lone_surrogate_goes_as_it_is_and_is_read_as_unreadable() -> None:
    assert encode("a\ud83d", UCS2).hex() == "0061d83d"
    assert decode(bytes.fromhex("0061d83d0062"), UCS2) == "a\ufffdb"


@pytest.mark.parametrize(("octets", "text"), [("006100", "a\ufffd"), ("feff0061", "a"), ("fffe6100", "a"), ("", "")])
def test_odd_octets_and_byte_order_marks_are_survived(octets: str, text: str) -> None:
    assert decode(bytes.fromhex(octets), UCS2) == text


def test_a_character_that_latin1_or_ascii_lacks_is_refused() -> None:
    assert encode("é", LATIN1) == b"\xe9"
    with pytest.raises(NotEncodable, match=r"not in latin1: U\+20AC"):
        encode("é€", LATIN1)
    with pytest.raises(NotEncodable, match=r"not in ascii: U\+00E9"):
        encode("aé", ASCII)


def test_binary_is_shown_octet_by_octet() -> None:
    everything = bytes(range(256))
    assert encode(decode(everything, BINARY), BINARY) == everything


@given(st.binary(), st.integers(0, 255))
def test_nothing_that_comes_in_raises(octets: bytes, data_coding: int) -> None:
    assert isinstance(decode(octets, alphabet_of(data_coding)), str)


# data_coding


@pytest.mark.parametrize(
    ("data_codings", "alphabet"),
    [
        ([0x00, 0x0B, 0x0C, 0x0F], GSM7),
        ([0x01], ASCII),
        ([0x02, 0x04, 0x09], BINARY),
        ([0x03], LATIN1),
        ([0x06], Alphabet.CYRILLIC),
        ([0x08], UCS2),
        ([0x0A], Alphabet.JAPANESE_ESCAPED),
        ([0x0E], Alphabet.KOREAN),
    ],
)
def test_the_low_values_mean_what_smpp_says(data_codings: list[int], alphabet: Alphabet) -> None:
    assert {alphabet_of(coding) for coding in data_codings} == {alphabet}


@pytest.mark.parametrize(
    ("data_codings", "alphabet"),
    [
        ([0x10, 0x11, 0x13, 0x1C, 0x50, 0x80, 0xBF], GSM7),  # with a class; to be deleted; reserved
        ([0x14, 0x17, 0x54], BINARY),
        ([0x18, 0x1B, 0x48, 0x58], UCS2),
        ([0x20, 0x30, 0x3B, 0x78], BINARY),  # compressed
        ([0xC0, 0xC8, 0xD0, 0xDF], GSM7),  # message waiting
        ([0xE0, 0xEF], UCS2),
        ([0xF0, 0xF1, 0xF3, 0xF8], GSM7),  # class 0, on the screen; class 1
        ([0xF4, 0xF7, 0xFF], BINARY),
    ],
)
def test_the_high_values_mean_what_the_air_interface_says(data_codings: list[int], alphabet: Alphabet) -> None:
    assert {alphabet_of(coding) for coding in data_codings} == {alphabet}


def test_a_carrier_says_what_its_default_alphabet_is() -> None:
    """ksmppd issue 50: 0xFC with `data_coding` 0 is the ü of a sender whose default is Latin-1."""
    assert decode(b"\xfc", alphabet_of(0, {0: LATIN1})) == "ü"
    assert decode(b"\xfc", alphabet_of(0)) == "\ufffd"


def test_seven_bits_of_the_air_interface_are_written_as_the_default_is() -> None:
    assert {alphabet_of(coding, {0: PACKED}) for coding in (0x00, 0x0C, 0x10, 0xC0, 0xF1)} == {PACKED}


def test_a_carrier_can_give_any_value_a_meaning() -> None:
    """node-smpp issue 26: its servers write GSM 03.38 and say 1."""
    assert decode(b"\x40", alphabet_of(1, {1: GSM7})) == "¡"
    assert decode(b"\x40", alphabet_of(1)) == "@"
    assert alphabet_of(1, {0: LATIN1, 1: GSM7}) is GSM7


@pytest.mark.parametrize("alphabet", [each for each in Alphabet if each is not PACKED])
def test_what_we_say_is_what_we_would_understand(alphabet: Alphabet) -> None:
    assert alphabet_of(data_coding_of(alphabet)) is alphabet


def test_we_say_what_the_carrier_understands() -> None:
    assert [data_coding_of(alphabet) for alphabet in (GSM7, ASCII, LATIN1, BINARY, UCS2)] == [0, 1, 3, 4, 8]
    assert data_coding_of(LATIN1, {0: LATIN1}) == 0
    assert data_coding_of(PACKED, {0: PACKED}) == 0
    assert data_coding_of(GSM7, {1: GSM7}) == 1


@pytest.mark.parametrize(("alphabet", "meanings"), [(PACKED, {}), (GSM7, {0: LATIN1})])
def test_what_a_carrier_has_no_value_for_is_refused(alphabet: Alphabet, meanings: dict[int, Alphabet]) -> None:
    with pytest.raises(NoDataCoding, match=alphabet):
        data_coding_of(alphabet, meanings)


def test_payloads_name_what_the_handset_used() -> None:
    assert [over_the_air(alphabet) for alphabet in (GSM7, PACKED, UCS2)] == [Encoding.GSM7] * 2 + [Encoding.UCS2]
    assert over_the_air(BINARY) is None
