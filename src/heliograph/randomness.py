"""The one source of chance: ids, secrets and the spread of waits. The domain is given what comes from here."""

import secrets
from string import ascii_letters, digits

from heliograph.domain.ids import RANDOM_BITS, uuid7
from heliograph.domain.instant import MILLISECOND, Instant

_FRACTION_BITS = 53
_LETTERS_AND_DIGITS = ascii_letters + digits
_STEP_BITS = 40
"""How far two ids of one millisecond lie apart, so that one cannot be guessed from the other."""
_LATE = 1_000
"""Milliseconds by which callers may have read the clock before they ask for an id: they wait for others in between."""


_BLOCK = 4_096
"""Bytes that are drawn at once: the system is asked for every hundredth id, not for each."""


class _Bits:
    """Bits of the system's source, drawn in blocks."""

    def __init__(self) -> None:
        self._block = b""
        self._used = 0

    def draw(self, bits: int) -> int:
        """An integer of so many bits. Nothing is given out twice."""
        size = (bits + 7) // 8
        if self._used + size > len(self._block):
            self._block, self._used = secrets.token_bytes(_BLOCK), 0
        taken = self._block[self._used : self._used + size]
        self._used += size
        return int.from_bytes(taken) >> (8 * size - bits)


class _Ids:
    """Makes ids of which the later sorts after the earlier (RFC 9562, 6.2, method 2)."""

    def __init__(self) -> None:
        self._millisecond = -1
        self._random = 0
        self._bits = _Bits()

    def new(self, now: Instant) -> str:
        """A new UUIDv7."""
        millisecond = self._not_before(now // MILLISECOND)
        following = self._random + 1 + self._bits.draw(_STEP_BITS)
        if millisecond != self._millisecond or following >> RANDOM_BITS:
            following = self._bits.draw(RANDOM_BITS - 1)
        self._millisecond, self._random = millisecond, following
        return uuid7(Instant(millisecond * MILLISECOND), following)

    def _not_before(self, millisecond: int) -> int:
        """The last millisecond again for a moment that was read a little earlier; not for a clock that was put back."""
        return self._millisecond if 0 < self._millisecond - millisecond <= _LATE else millisecond


new_id = _Ids().new
"""A new UUIDv7 of a moment; of one process and millisecond, the later sorts after the earlier."""


def fraction() -> float:
    """Evenly from [0, 1)."""
    return secrets.randbits(_FRACTION_BITS) / (1 << _FRACTION_BITS)


def below(bound: int) -> int:
    """Evenly from 0 to `bound - 1`."""
    return secrets.randbelow(bound)


def key_id() -> str:
    """16 hexadecimal digits."""
    return secrets.token_hex(8)


def seed() -> bytes:
    """256 bits, in 32 bytes."""
    return secrets.token_bytes(32)


def secret() -> str:
    """256 bits, in 43 characters that need no quoting."""
    return secrets.token_urlsafe(32)


def slug(length: int) -> str:
    """A letter, then letters and digits: 5.7 bits from the first, 5.95 from each of the others."""
    rest = "".join(secrets.choice(_LETTERS_AND_DIGITS) for _ in range(length - 1))
    return secrets.choice(ascii_letters) + rest
