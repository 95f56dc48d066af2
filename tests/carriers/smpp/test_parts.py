"""What goes into each `submit_sm` of a text."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.carriers.smpp.encoding import Alphabet, NoDataCoding, decode
from heliograph.carriers.smpp.parts import MAX_PARTS, UDHI, LongMessages, Manner, Part, Sar, TooLong, divide, fill_bits
from heliograph.domain.text import RequestedEncoding, encode, split

UDH8, UDH16, SAR, PAYLOAD = LongMessages.UDH8, LongMessages.UDH16, LongMessages.SAR, LongMessages.PAYLOAD
PACKED = Manner(UDH8, Alphabet.GSM7_PACKED, {0: Alphabet.GSM7_PACKED})
LATIN1 = Manner(UDH8, Alphabet.LATIN1, {0: Alphabet.LATIN1})
EMOJI = "\U0001f600"
LONG = "hello" * 70


def parts_of(text: str, manner: Manner, reference: int = 1) -> list[Part]:
    return divide(encode(text, RequestedEncoding.AUTO, smart=False), manner, reference)


def body(part: Part) -> bytes:
    """The octets without the header."""
    if part.message_payload is not None:
        return part.message_payload
    return part.short_message[part.short_message[0] + 1 :] if part.esm_class & UDHI else part.short_message


# One part


@pytest.mark.parametrize("way", LongMessages)
@pytest.mark.parametrize("text", ["a" * 160, "€" * 80, "ж" * 70, EMOJI * 35, ""])
def test_what_fits_is_one_part_without_a_header(text: str, way: LongMessages) -> None:
    (part,) = parts_of(text, Manner(way))
    assert (part.esm_class, part.sar, part.message_payload, part.number, part.total) == (0, None, None, 1, 1)
    assert decode(part.short_message, Alphabet.UCS2 if part.data_coding == 8 else Alphabet.GSM7) == text


@pytest.mark.parametrize(
    ("text", "manner", "octets", "data_coding"),
    [
        ("é@", Manner(), b"\x05\x00", 0),
        ("é@", LATIN1, b"\xe9@", 0),
        ("é@", Manner(gsm7=Alphabet.LATIN1), b"\xe9@", 3),
        ("[@]", Manner(gsm7=Alphabet.ASCII), b"[@]", 1),
        ("hellohello", PACKED, bytes.fromhex("e8329bfd4697d9ec37"), 0),
        ("ж", Manner(), b"\x04\x36", 8),
        ("ж", LATIN1, b"\x04\x36", 8),
    ],
)
def test_data_coding_says_what_the_octets_are(text: str, manner: Manner, octets: bytes, data_coding: int) -> None:
    (part,) = parts_of(text, manner)
    assert (part.short_message, part.data_coding) == (octets, data_coding)


def test_a_euro_sign_makes_a_text_for_latin1_or_ascii_ucs2() -> None:
    for manner in (LATIN1, Manner(gsm7=Alphabet.ASCII)):
        (part,) = parts_of("5€", manner)
        assert (part.short_message, part.data_coding) == (b"\x005\x20\xac", 8)


def test_a_manner_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(NoDataCoding):
        parts_of("a", Manner(gsm7=Alphabet.GSM7, meanings={0: Alphabet.LATIN1}))


# Several


def test_headers_number_the_parts_and_esm_class_tells_of_them() -> None:
    first, second, third = parts_of(LONG, Manner(UDH8), reference=0xAA)
    assert [part.short_message[:6].hex() for part in (first, second, third)] == [
        "050003aa0301",
        "050003aa0302",
        "050003aa0303",
    ]
    assert {part.esm_class for part in (first, second, third)} == {0x40}
    assert [part.more_to_come for part in (first, second, third)] == [True, True, False]


def test_a_header_of_16_bits_is_one_octet_longer() -> None:
    first, *_ = parts_of(LONG, Manner(UDH16), reference=0x1234)
    assert first.short_message[:7].hex() == "06080412340301"
    assert len(first.short_message) == 7 + 152


def test_the_low_bits_of_the_reference_travel() -> None:
    assert parts_of(LONG, Manner(UDH8), 0x54321)[0].short_message[3] == 0x21
    assert parts_of(LONG, Manner(UDH16), 0x54321)[0].short_message[3:5].hex() == "4321"
    assert parts_of(LONG, Manner(SAR), 0x54321)[0].sar == Sar(0x4321, 3, 1)


def test_with_sar_the_text_stands_alone() -> None:
    parts = parts_of(LONG, Manner(SAR), reference=7)
    assert [part.sar for part in parts] == [Sar(7, 3, 1), Sar(7, 3, 2), Sar(7, 3, 3)]
    assert {part.esm_class for part in parts} == {0}
    assert b"".join(part.short_message for part in parts) == LONG.encode()


def test_a_payload_leaves_short_message_empty() -> None:
    (part,) = parts_of(LONG, Manner(PAYLOAD))
    assert (part.short_message, part.message_payload, part.sar, part.esm_class) == (b"", LONG.encode(), None, 0)


def test_the_mode_bits_of_the_carrier_stay() -> None:
    assert parts_of("a", Manner(esm_class=0x03))[0].esm_class == 0x03
    assert parts_of(LONG, Manner(esm_class=0x03))[0].esm_class == 0x43


def test_packed_parts_are_those_of_another_program() -> None:
    """lua-lluv-gsmmodem's test of a long message: 70 times `hello`, 140 octets a part."""
    first, second, third = parts_of(LONG, PACKED)
    cycle = "6536fb8d2eb3d96f7499cd7ea3cb6cf61b5d66b3dfe8329bfd4697d9ec37bacc66bfd1"
    assert first.short_message.hex() == ("050003010301d0" + cycle * 4)[:280]
    assert second.short_message.hex().startswith("050003010302d86f7499cd7ea3cb6cf61b5d66b3dfe8329b")
    assert third.short_message.hex().startswith("050003010303ca6cf61b5d66b3dfe8329bfd4697d9ec37ba")
    assert [len(part.short_message) for part in (first, second, third)] == [140, 140, 45]


@pytest.mark.parametrize(
    ("manner", "text", "sizes"),
    [
        (Manner(UDH8), "a" * 161, [153, 8]),
        (Manner(SAR), "a" * 161, [153, 8]),
        (Manner(UDH16), "a" * 161, [152, 9]),
        (Manner(UDH8), "a" * 152 + "€" + "b" * 20, [152, 22]),
        (Manner(UDH16), "a" * 151 + "€" + "b" * 20, [151, 22]),
        (Manner(UDH8), "ж" * 71, [134, 8]),
        (Manner(UDH16), "ж" * 71, [132, 10]),
        (Manner(UDH8), "ж" * 66 + EMOJI + "ж" * 10, [132, 24]),
        (Manner(UDH16), "ж" * 65 + EMOJI + "ж" * 10, [130, 24]),
        (LATIN1, "a" * 141, [134, 7]),
        (Manner(UDH16, Alphabet.LATIN1), "é" * 141, [133, 8]),
        (Manner(UDH8, Alphabet.ASCII), "[" * 81, [76, 5]),
    ],
)
def test_parts_are_as_full_as_an_sms_allows(manner: Manner, text: str, sizes: list[int]) -> None:
    assert [len(body(part)) for part in parts_of(text, manner)] == sizes


def test_latin1_that_fits_septets_only_is_divided() -> None:
    assert len(parts_of("a" * 140, LATIN1)) == 1
    assert len(parts_of("a" * 160, LATIN1)) == 2


def test_a_header_counts_255_parts() -> None:
    assert len(parts_of("a" * 153 * MAX_PARTS, Manner())) == 255
    with pytest.raises(TooLong, match="256 parts"):
        parts_of("a" * (153 * MAX_PARTS + 1), Manner())


def test_a_payload_holds_what_16_bits_count() -> None:
    assert len(parts_of("a" * 0xFFFF, Manner(PAYLOAD))) == 1
    with pytest.raises(TooLong, match="65536 octets"):
        parts_of("a" * 0x10000, Manner(PAYLOAD))


# For every text

CHARACTERS = st.sampled_from(["a", "é", "@", "\r", "€", "[", "ж", EMOJI])
LENGTHS = st.one_of(st.integers(1, 20), st.integers(60, 72), st.integers(128, 162))
RUNS = st.lists(st.builds(lambda character, length: character * length, CHARACTERS, LENGTHS), max_size=8).map("".join)
GSM7_AS: list[Manner] = [
    Manner(),
    Manner(gsm7=Alphabet.GSM7_PACKED, meanings={0: Alphabet.GSM7_PACKED}),
    Manner(gsm7=Alphabet.LATIN1),
    Manner(gsm7=Alphabet.ASCII),
]
MANNERS = st.builds(
    lambda way, manner: replace(manner, long_messages=way), st.sampled_from(LongMessages), st.sampled_from(GSM7_AS)
)
ALPHABETS = {1: Alphabet.ASCII, 3: Alphabet.LATIN1, 8: Alphabet.UCS2}


def text_of(part: Part, manner: Manner) -> str:
    alphabet = ALPHABETS.get(part.data_coding, manner.gsm7)
    bits = fill_bits(len(part.short_message) - len(body(part))) if part.esm_class & UDHI else 0
    return decode(body(part), alphabet, bits)


@given(RUNS, MANNERS)
def test_the_parts_joined_are_the_text_and_none_divides_a_character(text: str, manner: Manner) -> None:
    """Each part is read alone: half an escape or half a pair would show."""
    if manner.gsm7 is Alphabet.GSM7_PACKED:  # where a last @ or carriage return can look like filling
        text = text.translate({ord("@"): "a", ord("\r"): "a"})
    assert "".join(text_of(part, manner) for part in parts_of(text, manner)) == text


@given(RUNS, MANNERS)
def test_no_part_is_larger_than_an_sms(text: str, manner: Manner) -> None:
    for part in parts_of(text, manner):
        header = 6 if part.sar else len(part.short_message) - len(body(part))
        if part.message_payload is not None:
            continue
        if part.data_coding in {0, 1} and manner.gsm7 is not Alphabet.GSM7_PACKED:
            assert len(body(part)) <= (140 - header) * 8 // 7
        else:
            assert header + len(body(part)) <= 140


@given(RUNS, st.sampled_from([UDH8, SAR]))
def test_there_are_as_many_parts_as_the_message_was_counted(text: str, way: LongMessages) -> None:
    encoded = encode(text, RequestedEncoding.AUTO, smart=False)
    parts = divide(encoded, Manner(way), 1)
    assert [text_of(part, Manner()) for part in parts] == split(encoded)
    assert [(part.number, part.total) for part in parts] == [(n, encoded.parts) for n in range(1, encoded.parts + 1)]


@given(st.lists(st.sampled_from(["ж", "\ud83d", "\ude00", EMOJI]), min_size=60, max_size=150).map("".join))
def test_two_lone_halves_side_by_side_stay_together(text: str) -> None:
    joined = text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace")
    assert "".join(text_of(part, Manner()) for part in parts_of(text, Manner(UDH16))) == joined
