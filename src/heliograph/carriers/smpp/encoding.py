"""Characters and octets: what travels in `short_message`, and what `data_coding` says of it.

    text --encode--> octets, data_coding                                                         (submit_sm)
    octets, data_coding --alphabet_of, decode--> text                                            (deliver_sm)

What `data_coding` means stands in two tables. Up to 0x0E it is SMPP's own (SMPP 3.4, 5.2.19); above, many carriers pass
on the data coding scheme of the air interface (3GPP TS 23.038, 4). `data_coding` 0 is the carrier's default alphabet:
GSM 03.38 with most, Latin-1 or packed GSM 03.38 with some, so every carrier can say what a value means with it.

Encoding is strict and decoding never fails: what cannot be read becomes U+FFFD.
"""

import codecs
from collections.abc import Mapping
from enum import StrEnum
from re import DOTALL, Match
from re import compile as regex
from string import ascii_lowercase, ascii_uppercase, digits

from heliograph.domain.text import Encoding


class Alphabet(StrEnum):
    """How characters become octets."""

    GSM7 = "gsm7"
    """3GPP TS 23.038 6.2.1 with its extension, one septet in each octet."""
    GSM7_PACKED = "gsm7-packed"
    """The same, eight septets in seven octets."""
    ASCII = "ascii"
    LATIN1 = "latin1"
    UCS2 = "ucs2"
    """UTF-16, big-endian: what handsets make of UCS-2."""
    BINARY = "binary"
    """No text. To be shown at all, each octet becomes the character of its number."""
    JAPANESE = "japanese"
    """JIS X 0208, as Shift JIS."""
    JAPANESE_ESCAPED = "japanese-escaped"
    """ISO-2022-JP."""
    JAPANESE_EXTENDED = "japanese-extended"
    """JIS X 0212, as EUC-JP."""
    CYRILLIC = "cyrillic"
    HEBREW = "hebrew"
    KOREAN = "korean"
    """KS C 5601, as EUC-KR."""


class NotEncodable(ValueError):
    """A text holds characters that the alphabet lacks.

    `characters` holds them: each once, in order of appearance, at most ten.
    """

    def __init__(self, alphabet: Alphabet, characters: tuple[str, ...]) -> None:
        named = " ".join(f"U+{ord(character):04X}" for character in characters)
        super().__init__(f"not in {alphabet}: {named}")
        self.alphabet = alphabet
        self.characters = characters


class NoDataCoding(ValueError):
    """No value of `data_coding` means this alphabet with this carrier."""


Meanings = Mapping[int, Alphabet]
"""What values of `data_coding` mean with one carrier, where that is not what the tables here say."""

AS_SPECIFIED: Meanings = {}

# SMPP 3.4, 5.2.19. Left out are 9 (pictograms: every operator has its own) and what is reserved.
_SMPP: Meanings = {
    0x00: Alphabet.GSM7,
    0x01: Alphabet.ASCII,
    0x02: Alphabet.BINARY,
    0x03: Alphabet.LATIN1,
    0x04: Alphabet.BINARY,
    0x05: Alphabet.JAPANESE,
    0x06: Alphabet.CYRILLIC,
    0x07: Alphabet.HEBREW,
    0x08: Alphabet.UCS2,
    0x09: Alphabet.BINARY,
    0x0A: Alphabet.JAPANESE_ESCAPED,
    0x0D: Alphabet.JAPANESE_EXTENDED,
    0x0E: Alphabet.KOREAN,
}
# 8-bit data is asked for with 4; 2 means the same, for TDMA.
_ASKED_FOR = {alphabet: coding for coding, alphabet in _SMPP.items()} | {Alphabet.BINARY: 0x04}

_ESCAPE = "\x1b"
# Greek capitals by number: some of them look like Latin ones.
_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅå\u0394_\u03a6\u0393\u039b\u03a9\u03a0\u03a8\u03a3\u0398\u039e"
    + _ESCAPE
    + "ÆæßÉ !\"#¤%&'()*+,-./"
    + digits
    + ":;<=>?¡"
    + ascii_uppercase
    + "ÄÖÑÜ§¿"
    + ascii_lowercase
    + "äöñüà"
)
# The extension, by the character that has the same septet in the basic table.
_AFTER_ESCAPE = dict(zip("\n\u039b()/<=>¡e", "\f^{}\\[~]|€", strict=True))
_ESCAPED = str.maketrans({character: _ESCAPE + base for base, character in _AFTER_ESCAPE.items()})
_SEPTETS = codecs.charmap_build(_BASIC)
_escapes = regex(f"{_ESCAPE}(.?)", DOTALL)

_CODECS = {
    Alphabet.ASCII: "ascii",
    Alphabet.LATIN1: "latin-1",
    Alphabet.UCS2: "utf-16-be",
    Alphabet.BINARY: "latin-1",
    Alphabet.JAPANESE: "shift_jis",
    Alphabet.JAPANESE_ESCAPED: "iso2022_jp",
    Alphabet.JAPANESE_EXTENDED: "euc_jp",
    Alphabet.CYRILLIC: "iso8859_5",
    Alphabet.HEBREW: "iso8859_8",
    Alphabet.KOREAN: "euc_kr",
}
_OVER_THE_AIR = {
    Alphabet.GSM7: Encoding.GSM7,
    Alphabet.GSM7_PACKED: Encoding.GSM7,
    Alphabet.ASCII: Encoding.GSM7,
    Alphabet.UCS2: Encoding.UCS2,
}

UNREADABLE = "\ufffd"
_CR = 0x0D
_MOST_CHARACTERS_NAMED = 10


def alphabet_of(data_coding: int, meanings: Meanings = AS_SPECIFIED) -> Alphabet:
    """What the octets beside this `data_coding` are written in; every octet value has an answer.

    Where the air interface says GSM 7-bit, it is written as with `data_coding` 0: the carrier translates all of it from
    its default alphabet. Reserved values are read so too (3GPP TS 23.038, 4).
    """
    found = meanings.get(data_coding) or _SMPP.get(data_coding) or _of_the_air(data_coding)
    return meanings.get(0, Alphabet.GSM7) if found is Alphabet.GSM7 and data_coding not in meanings else found


def data_coding_of(alphabet: Alphabet, meanings: Meanings = AS_SPECIFIED) -> int:
    """The value that tells a carrier what the octets are written in.

    Raises `NoDataCoding` where the carrier has none, such as for GSM 03.38 when its 0 means Latin-1.
    """
    for coding in sorted(meanings):
        if meanings[coding] is alphabet:
            return coding
    usual = _ASKED_FOR.get(alphabet)
    if usual is None or usual in meanings:
        raise NoDataCoding(f"no data_coding means {alphabet} with this carrier")
    return usual


def over_the_air(alphabet: Alphabet) -> Encoding | None:
    """What a handset used, as payloads name it; None where the octets do not tell."""
    return _OVER_THE_AIR.get(alphabet)


def encode(text: str, alphabet: Alphabet, fill_bits: int = 0) -> bytes:
    """The octets of a text; `fill_bits` go before it if it is packed (see `pack`).

    A lone surrogate half is kept in UCS-2, which knows no surrogates. Raises `NotEncodable`.
    """
    if alphabet is Alphabet.GSM7_PACKED:
        return pack(_to_septets(text, alphabet), fill_bits)
    if alphabet is Alphabet.GSM7:
        return _to_septets(text, alphabet)
    errors = "surrogatepass" if alphabet is Alphabet.UCS2 else "strict"
    try:
        return text.encode(_CODECS[alphabet], errors)
    except UnicodeEncodeError as error:
        raise NotEncodable(alphabet, _strangers(text, alphabet)) from error


def decode(octets: bytes, alphabet: Alphabet, fill_bits: int = 0) -> str:
    """The text of octets; what cannot be read is U+FFFD, and nothing is raised.

    A byte order mark at the start of UCS-2 is obeyed and left out: some senders put one there.
    """
    if alphabet is Alphabet.GSM7_PACKED:
        return _from_septets(unpack(octets, fill_bits))
    if alphabet is Alphabet.GSM7:
        return _from_septets(octets)
    if alphabet is Alphabet.UCS2 and octets[:2] in {codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE}:
        return octets.decode("utf-16", "replace")
    return octets.decode(_CODECS[alphabet], "replace")


def pack(septets: bytes, fill_bits: int = 0) -> bytes:
    """Eight septets in seven octets, the lowest bits first (3GPP TS 23.038, 6.1.2.1).

    `fill_bits` zeros go first, so that the text begins on a septet after a header. Seven bits left over at the end are
    filled with a carriage return, since zeros would be read as an `@` (same, 6.1.2.3.1).
    """
    if not septets:
        return b""
    spare = -(fill_bits + 7 * len(septets)) % 8
    filled = septets + bytes([_CR]) if spare == 7 else septets
    bits = 0
    for septet in reversed(filled):
        bits = bits << 7 | septet
    return (bits << fill_bits).to_bytes((fill_bits + 7 * len(filled) + 7) // 8, "little")


def unpack(octets: bytes, fill_bits: int = 0) -> bytes:
    """One septet in each octet; the reverse of `pack`.

    SMPP counts octets, so a septet that ends with the last octet may be text or filling. A carriage return or an `@`
    (zeros) is taken for filling there: a text that really ends so, just there, loses it. A lost `@` is rarer than one
    text in eight with an `@` too many.
    """
    available = max(8 * len(octets) - fill_bits, 0)
    bits = int.from_bytes(octets, "little") >> fill_bits
    septets = bytes(bits >> position & 0x7F for position in range(0, available - 6, 7))
    if available % 7 == 0 and septets[-1:] in {b"\x00", b"\r"} and len(septets) > 1:
        return septets[:-1]
    return septets


def _of_the_air(coding: int) -> Alphabet:
    """3GPP TS 23.038, 4: the coding groups, by their high bits."""
    if coding >= 0xF0:
        return Alphabet.BINARY if coding & 0x04 else Alphabet.GSM7
    if coding >= 0xC0:  # message waiting
        return Alphabet.UCS2 if coding >= 0xE0 else Alphabet.GSM7
    if coding >= 0x80 or coding < 0x10:
        return Alphabet.GSM7
    if coding & 0x20:  # compressed, which nobody sends and nothing here unpacks
        return Alphabet.BINARY
    return (Alphabet.GSM7, Alphabet.BINARY, Alphabet.UCS2, Alphabet.GSM7)[coding >> 2 & 0x03]


def _to_septets(text: str, alphabet: Alphabet) -> bytes:
    if _ESCAPE in text:
        raise NotEncodable(alphabet, _strangers(text, alphabet))
    try:
        return codecs.charmap_encode(text.translate(_ESCAPED), "strict", _SEPTETS)[0]
    except UnicodeEncodeError as error:
        raise NotEncodable(alphabet, _strangers(text, alphabet)) from error


def _from_septets(septets: bytes) -> str:
    text = codecs.charmap_decode(septets, "replace", _BASIC)[0]
    return _escapes.sub(_unescaped, text) if _ESCAPE in text else text


def _unescaped(found: Match[str]) -> str:
    """3GPP TS 23.038, 6.2.1.1: what is not in the extension is shown as if not escaped; two escapes are a space."""
    character = found[1]
    if not character:
        return UNREADABLE
    return " " if character == _ESCAPE else _AFTER_ESCAPE.get(character, character)


def _strangers(text: str, alphabet: Alphabet) -> tuple[str, ...]:
    strangers = [character for character in dict.fromkeys(text) if not _has(alphabet, character)]
    return tuple(strangers[:_MOST_CHARACTERS_NAMED])


def _has(alphabet: Alphabet, character: str) -> bool:
    if alphabet in {Alphabet.GSM7, Alphabet.GSM7_PACKED}:
        return character != _ESCAPE and (character in _BASIC or ord(character) in _ESCAPED)
    try:
        character.encode(_CODECS[alphabet])
    except UnicodeEncodeError:
        return False
    return True
