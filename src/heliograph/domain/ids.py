"""Ids of everything we make: UUIDv7 (RFC 9562, 5.7), so that they sort by the moment they were made."""

from re import compile as regex
from typing import NewType

from heliograph.domain.instant import MILLISECOND, Instant

MessageId = NewType("MessageId", str)
OrganizationId = NewType("OrganizationId", str)
ProfileId = NewType("ProfileId", str)

RANDOM_BITS = 74
_UUID = regex(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def uuid7(now: Instant, random: int) -> str:
    """A UUIDv7 of `now` and of `random`, an integer of `RANDOM_BITS` bits from a good source."""
    milliseconds = (now // MILLISECOND) & 0xFFFFFFFFFFFF
    high = random >> 62 & 0xFFF
    low = random & 0x3FFFFFFFFFFFFFFF
    text = f"{milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def canonical_uuid(text: str) -> str | None:
    """The lower-case form of a UUID with its dashes, or None when `text` is not one."""
    lowered = text.lower()
    return lowered if _UUID.fullmatch(lowered) else None
