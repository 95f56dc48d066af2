"""Named cases of Contract 5: which encoding, how many parts, where they end."""

import pytest
from smsutil.codecs import GSM_CHARSET

from heliograph.domain.substitutions import SUBSTITUTIONS, substitute
from heliograph.domain.text import (
    Encoded,
    Encoding,
    NotGsm7,
    NothingLeft,
    RequestedEncoding,
    encode,
    is_gsm7,
    septets,
    split,
    utf16_units,
)

AUTO, GSM7, UCS2 = RequestedEncoding.AUTO, RequestedEncoding.GSM7, RequestedEncoding.UCS2
EMOJI = "\U0001f600"
LEFT_OUT_OF_3GPP = "Ç¤ΔΦΓΛΩΠΨΣΘΞ\f\x1b"


def plain(text: str) -> Encoded:
    return encode(text, AUTO, smart=False)


def smart(text: str) -> Encoded:
    return encode(text, AUTO, smart=True)


def lengths(text: str, requested: RequestedEncoding = AUTO) -> list[int]:
    return [len(part) for part in split(encode(text, requested, smart=False))]


# The alphabet


def test_the_alphabet_is_that_of_3gpp_less_what_the_provider_leaves_out() -> None:
    ours = {character for character in map(chr, range(0x1_0000)) if is_gsm7(character)}
    assert ours == set(GSM_CHARSET) - set(LEFT_OUT_OF_3GPP)
    assert len(ours) == 115 + 9


@pytest.mark.parametrize("character", LEFT_OUT_OF_3GPP)
def test_a_character_the_provider_does_not_list_makes_the_text_ucs2(character: str) -> None:
    assert plain("ab" + character).encoding is Encoding.UCS2


@pytest.mark.parametrize("character", "~^|\\{}[]€")
def test_an_extension_character_takes_two_septets(character: str) -> None:
    assert is_gsm7(character)
    assert septets(f"a{character}b") == 4


def test_a_text_is_gsm7_only_if_every_character_is() -> None:
    assert is_gsm7("line one\r\nline two: é £5 ¿?")
    assert not is_gsm7("line one\nline\u00a0two")


def test_an_emoji_takes_two_utf16_units_and_a_lone_surrogate_one() -> None:
    assert utf16_units("aé日") == 3
    assert utf16_units(EMOJI) == 2
    assert utf16_units("\ud800x\udc00") == 3


def test_payloads_name_the_encodings_as_the_contract_does() -> None:
    assert list(Encoding) == ["GSM-7", "UCS-2"]
    assert list(RequestedEncoding) == ["auto", "gsm7", "ucs2"]


# Parts in GSM-7


@pytest.mark.parametrize(
    ("length", "parts"), [(1, 1), (160, 1), (161, 2), (306, 2), (307, 3), (1530, 10), (1531, 11), (15_300, 100)]
)
def test_gsm7_parts_hold_160_septets_alone_and_153_together(length: int, parts: int) -> None:
    assert plain("a" * length) == Encoded("a" * length, Encoding.GSM7, parts, length, False)


def test_an_empty_text_is_one_empty_part() -> None:
    assert plain("") == Encoded("", Encoding.GSM7, 1, 0, False)
    assert split(plain("")) == [""]


@pytest.mark.parametrize(("letters", "parts"), [(158, 1), (159, 2)])
def test_a_euro_sign_counts_twice_towards_the_single_part(letters: int, parts: int) -> None:
    assert plain("a" * letters + "€").parts == parts


def test_an_extension_character_that_would_straddle_parts_moves_to_the_next() -> None:
    assert lengths("a" * 152 + "[" + "b" * 100) == [152, 101]


def test_an_extension_character_that_just_fits_ends_its_part() -> None:
    assert lengths("a" * 151 + "[" + "b" * 100) == [152, 100]


def test_parts_are_counted_as_packed_where_the_published_formula_says_one_less() -> None:
    text = "a" * 152 + "[" + "b" * 152
    assert septets(text) == 2 * 153
    assert plain(text).parts == 3
    assert lengths(text) == [152, 152, 1]


def test_a_text_of_extension_characters_only_packs_76_to_a_part() -> None:
    assert lengths("€" * 80) == [80]
    assert lengths("€" * 160) == [76, 76, 8]


# Parts in UCS-2


@pytest.mark.parametrize(("length", "parts"), [(70, 1), (71, 2), (134, 2), (135, 3), (670, 10), (671, 11)])
def test_ucs2_parts_hold_70_units_alone_and_67_together(length: int, parts: int) -> None:
    assert plain("ж" * length) == Encoded("ж" * length, Encoding.UCS2, parts, length, False)


@pytest.mark.parametrize(("letters", "parts"), [(68, 1), (69, 2)])
def test_an_emoji_counts_twice_towards_the_single_part(letters: int, parts: int) -> None:
    encoded = plain("a" * letters + EMOJI)
    assert (encoded.encoding, encoded.parts, encoded.num_chars) == (Encoding.UCS2, parts, letters + 1)


def test_an_emoji_that_would_straddle_parts_moves_to_the_next() -> None:
    assert lengths("a" * 66 + EMOJI + "b" * 10) == [66, 11]


def test_an_emoji_that_just_fits_ends_its_part() -> None:
    assert lengths("a" * 65 + EMOJI + "b" * 10) == [66, 10]


def test_a_text_of_emoji_only_packs_33_to_a_part() -> None:
    assert lengths(EMOJI * 35) == [35]
    assert lengths(EMOJI * 67) == [33, 33, 1]


def test_lone_surrogates_are_one_unit_each() -> None:
    assert plain("\udc00" * 70).parts == 1
    assert lengths("\udc00" * 71) == [67, 4]
    assert lengths("\ud83d" * 71) == [67, 4]


def test_two_lone_halves_side_by_side_stay_in_one_part() -> None:
    halves = "\ud83d\ude00"
    assert lengths("a" * 66 + halves + "b" * 66) == [66, 67, 1]
    assert plain("a" * 66 + halves + "b" * 66).parts == 3


def test_one_character_outside_gsm7_turns_the_whole_text() -> None:
    assert plain("a" * 160).parts == 1
    assert plain("a" * 159 + "ж").parts == 3


# Smart encoding


def test_smart_quotes_become_ascii_and_the_text_gsm7() -> None:
    assert smart("“It’s here”") == Encoded('"It\'s here"', Encoding.GSM7, 1, 11, True)


def test_without_smart_encoding_the_quotes_stay_and_the_text_is_ucs2() -> None:
    assert plain("“It’s here”") == Encoded("“It’s here”", Encoding.UCS2, 1, 11, False)


def test_smart_encoding_is_not_applied_if_nothing_was_replaced() -> None:
    assert not smart("nothing to do [at all]").smart_encoding_applied
    assert not smart("ничего").smart_encoding_applied


def test_an_ellipsis_lengthens_the_text_but_not_the_count_of_characters() -> None:
    encoded = smart("a" * 158 + "…")
    assert (septets(encoded.text), encoded.parts, encoded.num_chars) == (161, 2, 159)


def test_a_tab_becomes_seven_spaces() -> None:
    assert smart("a\tb").text == "a       b"


def test_a_zero_width_character_disappears() -> None:
    assert smart("a\u200bb\ufeff") == Encoded("ab", Encoding.GSM7, 1, 4, True)


def test_what_can_be_replaced_is_replaced_even_if_ucs2_remains() -> None:
    assert smart(f"“hi”… {EMOJI}") == Encoded(f'"hi"... {EMOJI}', Encoding.UCS2, 1, 7, True)


def test_a_replacement_can_be_an_extension_character() -> None:
    assert septets(smart("｛x｝").text) == 5


@pytest.mark.parametrize("requested", [AUTO, GSM7])
def test_a_text_of_zero_width_characters_only_leaves_nothing(requested: RequestedEncoding) -> None:
    with pytest.raises(NothingLeft):
        encode("\u200b\u2060\ufeff", requested, smart=True)


def test_without_smart_encoding_a_zero_width_text_is_sent_as_it_is() -> None:
    assert plain("\u200b") == Encoded("\u200b", Encoding.UCS2, 1, 1, False)


# Forced encodings


def test_gsm7_substitutes_even_if_the_profile_does_not() -> None:
    assert encode("“€”", GSM7, smart=False) == Encoded('"€"', Encoding.GSM7, 1, 3, True)


def test_gsm7_leaves_a_text_that_fits_alone() -> None:
    assert encode("fits", GSM7, smart=True) == Encoded("fits", Encoding.GSM7, 1, 4, False)


def test_gsm7_refuses_what_remains_and_names_each_character_once() -> None:
    with pytest.raises(NotGsm7, match=r"U\+1F600 U\+0436") as refusal:
        encode(f"“{EMOJI}ж{EMOJI}”", GSM7, smart=True)
    assert refusal.value.characters == (EMOJI, "ж")


def test_gsm7_names_at_most_ten_characters() -> None:
    with pytest.raises(NotGsm7) as refusal:
        encode("абвгдежзийклмн", GSM7, smart=False)
    assert refusal.value.characters == tuple("абвгдежзий")


def test_gsm7_refuses_a_lone_surrogate() -> None:
    with pytest.raises(NotGsm7, match=r"U\+D800"):
        encode("a\ud800", GSM7, smart=True)


def test_ucs2_is_kept_for_a_text_that_would_fit_gsm7() -> None:
    assert encode("a" * 71, UCS2, smart=True) == Encoded("a" * 71, Encoding.UCS2, 2, 71, False)
    assert lengths("a" * 71, UCS2) == [67, 4]


def test_ucs2_never_substitutes() -> None:
    assert encode("“…”\u200b", UCS2, smart=True).text == "“…”\u200b"


def test_ucs2_gives_an_extension_character_one_unit() -> None:
    assert encode("€" * 70, UCS2, smart=False).parts == 1


# The substitution table


def test_the_table_has_258_published_entries_and_two_ranges_of_letters() -> None:
    letters = {chr(first + offset) for first in (0xFF21, 0xFF41) for offset in range(26)}
    assert letters < SUBSTITUTIONS.keys()
    assert len(SUBSTITUTIONS.keys() - letters) == 258


def test_every_replacement_is_gsm7_and_no_key_is() -> None:
    assert all(is_gsm7(replacement) for replacement in SUBSTITUTIONS.values())
    assert not any(is_gsm7(character) for character in SUBSTITUTIONS)


@pytest.mark.parametrize(
    ("characters", "replacement"),
    [
        ("«»„＂", '""""'),
        ("`´ʹ︑", "''''"),
        ("—–•⁃", "----"),
        ("½¼¾÷", "1/21/43/4/"),
        ("‼！", "!!!"),
        ("＼⦅⦆｡", "\\()."),
        ("ΑΒΕΗΙΚΜΝΟΡΤΥΖΧ", "ABEHIKMNOPTYZX"),
        ("ᴀꜰꜱᴢ", "AFSZ"),
        ("０９ＡＺａｚ", "09AZaz"),
        ("\u00a0\u2009\u3000", "   "),
        ("\x00\x10\x9f\u2028", ""),
    ],
)
def test_a_character_is_replaced_as_published(characters: str, replacement: str) -> None:
    assert substitute(characters) == replacement


@pytest.mark.parametrize("character", ["\x1b", "\x85", "\xad", "á", "ç", "ê", "\u0430", EMOJI])
def test_a_character_the_table_omits_stays(character: str) -> None:
    assert substitute(character) == character
