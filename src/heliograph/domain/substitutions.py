"""The smart-encoding table: what to write instead of a character that GSM-7 lacks (Contract 5.4).

The published table is kept as it is, oddities included: U+0010 is dropped but the real escape U+001B is not listed, the
grave accent becomes an apostrophe, accented letters outside GSM-7 and Cyrillic look-alikes stay. It has 258 entries
(248 named code points and the ten fullwidth digits) and two ranges (the fullwidth letters): 310 code points in all.
"""

from collections.abc import Iterator, Mapping
from re import Match, escape
from re import compile as regex
from string import ascii_lowercase, ascii_uppercase, digits
from types import MappingProxyType

# One row for each replacement, in the order of the published table.
_NAMED = (
    ('"', "00AB 00BB 201C 201D 02BA 02EE 201F 275D 275E 301D 301E FF02 201E"),
    ("'", "2018 2019 02BB 02C8 02BC 02BD 02B9 201B FF07 00B4 02CA 0060 02CB 275B 275C 0313 0314 FE10 FE11"),
    ("-", "2014 2013 23BC 23BD 2015 FE63 FF0D 2010 2022 2043"),
    ("/", "00F7 29F8 0337 0338 2044 2215 FF0F"),
    ("1/4", "00BC"),
    ("1/2", "00BD"),
    ("3/4", "00BE"),
    ("\\", "29F9 29F5 20E5 FE68 FF3C"),
    ("_", "0332 FF3F 2017"),
    ("|", "20D2 20D3 2223 FF5C 23B8 23B9 23D0 239C 239F"),
    ("@", "FE6B FF20"),
    ("$", "FE69 FF04"),
    ("!", "01C3 FE15 FE57 FF01"),
    ("!!", "203C"),
    ("#", "FE5F FF03"),
    ("%", "FE6A FF05"),
    ("&", "FE60 FF06"),
    ("...", "2026"),
    (",", "201A 0326 FE50 3001 FE51 FF0C FF64"),
    ("(", "2768 276A FE59 FF08 27EE 2985"),
    (")", "2769 276B FE5A FF09 27EF 2986"),
    ("{", "2774 FE5B FF5B"),
    ("}", "2775 FE5C FF5D"),
    ("[", "FF3B"),
    ("]", "FF3D"),
    (
        "*",
        "204E 2217 229B 2722 2723 2724 2725 2731 2732 2733 273A 273B 273C 273D 2743 2749 274A 274B 29C6 FE61 FF0A",
    ),
    ("+", "02D6 FE62 FF0B"),
    ("<", "FE64 FF1C 2039"),
    ("=", "0347 A78A FE66 FF1D"),
    (">", "FE65 FF1E 203A"),
    (".", "3002 FE52 FF0E FF61"),
    (":", "02D0 02F8 2982 A789 FE13 FF1A"),
    (";", "204F FE14 FE54 FF1B"),
    ("?", "FE16 FE56 FF1F"),
    ("A", "1D00 0391"),
    ("B", "0299 0392"),
    ("C", "1D04"),
    ("D", "1D05"),
    ("E", "1D07 0395"),
    ("F", "A730"),
    ("G", "0262"),
    ("H", "029C 0397"),
    ("I", "026A 0399"),
    ("J", "1D0A"),
    ("K", "1D0B 039A"),
    ("L", "029F"),
    ("M", "1D0D 039C"),
    ("N", "0274 039D"),
    ("O", "1D0F 039F"),
    ("P", "1D18 03A1"),
    ("R", "0280"),
    ("S", "A731"),
    ("T", "1D1B 03A4"),
    ("U", "1D1C"),
    ("V", "1D20"),
    ("W", "1D21"),
    ("Y", "028F 03A5"),
    ("Z", "1D22 0396"),
    ("X", "03A7"),
    ("^", "02C6 0302 FF3E 1DCD"),
    ("~", "02DC 02F7 0303 0330 0334 223C FF5E"),
    (" ", "00A0 2000 2001 2002 2003 2004 2005 2006 2007 2008 2009 200A 202F 205F 3000"),
    (
        "",
        "200B FEFF 2028 2029 2060 0000 0003 0004 0010 0011 0012 0013 0014 0017 0019 0080 008D 0090 009B 009F",
    ),
    (" " * 7, "0009"),
)

# Fullwidth forms; each range follows the order of its replacements.
_RANGES = ((0xFF10, digits), (0xFF21, ascii_uppercase), (0xFF41, ascii_lowercase))


def _entries() -> Iterator[tuple[str, str]]:
    for replacement, code_points in _NAMED:
        for code_point in code_points.split():
            yield chr(int(code_point, 16)), replacement
    for first, replacements in _RANGES:
        for offset, replacement in enumerate(replacements):
            yield chr(first + offset), replacement


SUBSTITUTIONS: Mapping[str, str] = MappingProxyType(dict(_entries()))
"""Character to replacement, which is none to seven characters, all GSM-7 and none a key of the table."""

# A text seldom holds many of the keys, and `str.translate` pays for each character that is not one: four times slower.
_KEY = regex(f"[{escape(''.join(SUBSTITUTIONS))}]")


def substitute(text: str) -> str:
    """The text with each character of the table replaced; it may be longer, shorter or empty."""
    return _KEY.sub(_replacement, text)


def _replacement(found: Match[str]) -> str:
    return SUBSTITUTIONS[found[0]]
