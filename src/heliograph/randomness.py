"""The one source of chance: ids, secrets and the spread of waits. The domain is given what comes from here."""

import secrets

from heliograph.domain.ids import RANDOM_BITS, uuid7
from heliograph.domain.instant import Instant

_FRACTION_BITS = 53


def new_id(now: Instant) -> str:
    """A new UUIDv7."""
    return uuid7(now, secrets.randbits(RANDOM_BITS))


def fraction() -> float:
    """Evenly from [0, 1)."""
    return secrets.randbits(_FRACTION_BITS) / (1 << _FRACTION_BITS)


def below(bound: int) -> int:
    """Evenly from 0 to `bound - 1`."""
    return secrets.randbelow(bound)


def key_id() -> str:
    """16 hexadecimal digits."""
    return secrets.token_hex(8)


def secret() -> str:
    """256 bits, in 43 characters that need no quoting."""
    return secrets.token_urlsafe(32)
