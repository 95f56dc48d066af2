"""What holds for every text, with smsutil as a second opinion on where parts end.

smsutil cannot judge two things: it knows the whole of 3GPP TS 23.038, where Contract 5.1 lists less, so it is asked to
split only, in the encoding we chose; and it takes two lone surrogates side by side for two characters.
"""

import smsutil
from hypothesis import assume, given
from hypothesis import strategies as st

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

ONE_SEPTET = st.sampled_from("aZ0 \n\r@_£é§ü")
TWO_SEPTETS = st.sampled_from("~^|\\{}[]€")
DELETED = st.sampled_from([character for character, replacement in SUBSTITUTIONS.items() if not replacement])
REPLACED = st.one_of(st.sampled_from("“’…\t\u200b½‼｛"), st.sampled_from(sorted(SUBSTITUTIONS)))
BEYOND_GSM7 = st.one_of(st.sampled_from("жÇΩ日\x1b"), st.characters())
EMOJI = st.sampled_from("\U0001f600\U0001f1e6\U0010ffff")
SURROGATES = st.sampled_from(("\ud800", "\ud83d", "\udc00", "\ude00", "\ud83d\ude00"))  # the last: two lone halves
# A run ends near a limit of either encoding more often than not: what comes next meets the end of a part.
LENGTHS = st.one_of(st.integers(1, 20), st.integers(64, 72), st.integers(150, 162))


def runs(*characters: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts of repeated characters: long enough to reach the part limits, few enough draws to shrink well."""
    run = st.builds(lambda character, length: character * length, st.one_of(*characters), LENGTHS)
    return st.lists(run, max_size=8).map("".join)


def filled_up(text: str) -> str:
    """The text made as many units as fill its parts, so that one unit lost at a part's end makes one part more."""
    return text + "a" * (-septets(text) % 153 if is_gsm7(text) else -utf16_units(text) % 67)


TWO_UNITS = st.one_of(runs(ONE_SEPTET, TWO_SEPTETS), runs(ONE_SEPTET, EMOJI))
WELL_FORMED = st.one_of(
    TWO_UNITS,
    TWO_UNITS.map(filled_up),
    runs(ONE_SEPTET, REPLACED),
    runs(ONE_SEPTET, REPLACED, BEYOND_GSM7, EMOJI),
)
TEXTS = st.one_of(WELL_FORMED, runs(ONE_SEPTET, EMOJI, SURROGATES), runs(DELETED))
REQUESTED = st.sampled_from(RequestedEncoding)


def encoded_or_discarded(text: str, requested: RequestedEncoding, smart: bool) -> Encoded:
    try:
        return encode(text, requested, smart)
    except (NotGsm7, NothingLeft):
        assume(False)
        raise


ENCODED = st.builds(encoded_or_discarded, TEXTS, REQUESTED, st.booleans())
WELL_FORMED_ENCODED = st.builds(encoded_or_discarded, WELL_FORMED, REQUESTED, st.booleans())


def octets(part: str, encoding: Encoding) -> int:
    """Length as another encoder sees it: one octet a septet, two a UTF-16 unit."""
    if encoding is Encoding.GSM7:
        return len(part.encode("gsm0338"))
    return len(part.encode("utf-16-be", "surrogatepass"))


@given(ENCODED)
def test_the_parts_joined_are_the_text(encoded: Encoded) -> None:
    assert "".join(split(encoded)) == encoded.text


@given(ENCODED)
def test_as_many_parts_are_counted_as_are_made(encoded: Encoded) -> None:
    assert encoded.parts == len(split(encoded)) >= 1


@given(ENCODED)
def test_no_part_is_empty_unless_the_text_is(encoded: Encoded) -> None:
    assert all(split(encoded)) or encoded.text == ""


@given(ENCODED)
def test_each_part_is_within_its_limit(encoded: Encoded) -> None:
    single, multipart = (160, 153) if encoded.encoding is Encoding.GSM7 else (140, 134)
    limit = single if encoded.parts == 1 else multipart
    assert all(octets(part, encoded.encoding) <= limit for part in split(encoded))


@given(runs(ONE_SEPTET, SURROGATES))
def test_no_surrogate_pair_is_split(text: str) -> None:
    encoded = encode(text, RequestedEncoding.UCS2, smart=False)
    wire = [part.encode("utf-16-be", "surrogatepass") for part in split(encoded)]
    read_apart = "".join(part.decode("utf-16-be", "surrogatepass") for part in wire)
    assert read_apart == b"".join(wire).decode("utf-16-be", "surrogatepass")
    assert encoded.parts == len(wire)


@given(WELL_FORMED_ENCODED)
def test_smsutil_makes_the_same_parts(encoded: Encoded) -> None:
    if encoded.encoding is Encoding.UCS2:
        theirs = smsutil.unicode_split(encoded.text)
    else:
        assume(encoded.text)  # smsutil does not take an empty text for GSM-7
        theirs = smsutil.gsm_split(encoded.text)
    assert split(encoded) == [part.content for part in theirs.parts]


def published_parts(encoded: Encoded) -> int:
    if encoded.encoding is Encoding.GSM7:
        units, single, multipart = septets(encoded.text), 160, 153
    else:
        units, single, multipart = utf16_units(encoded.text), 70, 67
    return 1 if units <= single else -(-units // multipart)


@given(ENCODED)
def test_parts_are_never_fewer_than_the_published_formula_says(encoded: Encoded) -> None:
    assert encoded.parts >= published_parts(encoded)


@given(runs(ONE_SEPTET, st.sampled_from("жÇ日")), REQUESTED)
def test_parts_are_as_published_where_every_character_is_one_unit(text: str, requested: RequestedEncoding) -> None:
    encoded = encoded_or_discarded(text, requested, smart=False)
    assert encoded.parts == published_parts(encoded)


@given(TEXTS)
def test_lengths_are_those_of_other_encoders(text: str) -> None:
    assert utf16_units(text) * 2 == octets(text, Encoding.UCS2)
    if is_gsm7(text):
        assert septets(text) == octets(text, Encoding.GSM7)


@given(TEXTS, REQUESTED, st.booleans())
def test_encoding_what_was_encoded_changes_nothing(text: str, requested: RequestedEncoding, smart: bool) -> None:
    once = encoded_or_discarded(text, requested, smart)
    again = encode(once.text, requested, smart)
    assert again == Encoded(once.text, once.encoding, once.parts, len(once.text), False)


@given(TEXTS)
def test_substitution_leaves_no_character_of_the_table(text: str) -> None:
    assert SUBSTITUTIONS.keys().isdisjoint(substitute(text))


@given(TEXTS, st.booleans())
def test_auto_is_gsm7_exactly_if_what_is_sent_fits(text: str, smart: bool) -> None:
    encoded = encoded_or_discarded(text, RequestedEncoding.AUTO, smart)
    assert encoded.text == (substitute(text) if smart else text)
    assert (encoded.encoding is Encoding.GSM7) == is_gsm7(encoded.text)


@given(TEXTS, st.booleans())
def test_auto_refuses_exactly_the_texts_of_which_nothing_is_left(text: str, smart: bool) -> None:
    refused = False
    try:
        encode(text, RequestedEncoding.AUTO, smart)
    except NothingLeft:
        refused = True
    assert refused == (smart and text != "" and substitute(text) == "")


@given(TEXTS, st.booleans())
def test_gsm7_refuses_exactly_what_substitution_does_not_make_fit(text: str, smart: bool) -> None:
    sent = substitute(text)
    assume(sent or not text)
    leftovers = [character for character in dict.fromkeys(sent) if not is_gsm7(character)]
    refused: tuple[str, ...] = ()
    try:
        assert encode(text, RequestedEncoding.GSM7, smart).text == sent
    except NotGsm7 as refusal:
        refused = refusal.characters
    assert refused == tuple(leftovers[:10])


@given(TEXTS, st.booleans())
def test_ucs2_sends_every_text_as_it_is(text: str, smart: bool) -> None:
    encoded = encode(text, RequestedEncoding.UCS2, smart)
    assert (encoded.text, encoded.encoding, encoded.smart_encoding_applied) == (text, Encoding.UCS2, False)


@given(TEXTS, REQUESTED, st.booleans())
def test_the_original_is_what_characters_are_counted_in(text: str, requested: RequestedEncoding, smart: bool) -> None:
    encoded = encoded_or_discarded(text, requested, smart)
    assert encoded.num_chars == len(text)
    assert encoded.smart_encoding_applied == (encoded.text != text)
