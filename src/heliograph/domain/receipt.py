"""What a carrier says about a message after it took it."""

from collections.abc import Sequence
from dataclasses import dataclass
from re import ASCII
from re import compile as regex

import msgspec

from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import Change
from heliograph.domain.message import DeliveryError

_DECIMAL = regex(r"\d{1,40}", ASCII).fullmatch
_HEXADECIMAL = regex(r"[0-9a-f]{1,40}", ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class Receipt:
    """A carrier's word on a message it took, or on one part of it. `change` is `DELIVER` or `FAIL`."""

    id: str
    carrier: str
    carrier_message_id: str
    """As the carrier writes it here; what it was called in the answer to the submit is for `forms` to find."""
    change: Change
    at: Instant
    error: DeliveryError | None = None
    other_ids: tuple[str, ...] = ()
    """What else it is called: some carriers name one id in a parameter and another in the text."""
    recipient: str | None = None
    """Whom the message went to, as the carrier writes it; None where it does not say."""
    sender: str | None = None
    """Whom it came from, likewise."""
    text: str = ""
    """The beginning of the message, where the carrier repeats it."""


class PartOutcome(msgspec.Struct, frozen=True):
    """What became of one part of a message."""

    change: Change
    at: Instant
    error: DeliveryError | None = None


def normal(message_id: str) -> str:
    """The form in which ids are kept for matching: lower case, without leading zeros."""
    return forms(message_id)[0]


def forms(message_id: str) -> tuple[str, ...]:
    """Forms in which the same id may have been given before; the first is `normal`.

    Carriers answer `1d305b4c` and report `0489708364`, or the other way round, or in another case, or with zeros
    before it. The first form is the id itself. The others are guesses, hexadecimal for decimal and the reverse: take
    one only where the first is nobody's, and where the receipt comes from the number that the message went to.
    """
    plain = message_id.strip(" \t\r\n\0").lower()
    plain = plain.lstrip("0") or plain[:1]
    found = [plain]
    if _DECIMAL(plain):
        found.append(f"{int(plain):x}")
    if _HEXADECIMAL(plain):
        found.append(str(int(plain, 16)))
    return tuple(dict.fromkeys(found))


def fold(parts: Sequence[PartOutcome | None]) -> PartOutcome | None:
    """What became of a message, from what became of its parts in order; None for one not told of yet.

    Delivered when all are, at the moment of the last. Failed as soon as one is, since a text with a hole did not
    arrive: with the error of the first that failed, in the order of time. Else nothing is decided.
    """
    failed = [(each.at, number) for number, each in enumerate(parts, 1) if each and each.change is Change.FAIL]
    if failed:
        return _failed(parts, min(failed)[1])
    if not parts or None in parts:
        return None
    return PartOutcome(Change.DELIVER, max(each.at for each in parts if each))


def _failed(parts: Sequence[PartOutcome | None], number: int) -> PartOutcome | None:
    first = parts[number - 1]
    if first is None or first.error is None or len(parts) == 1:
        return first
    detail = f"Part {number} of {len(parts)}: {first.error.detail}"
    return PartOutcome(first.change, first.at, DeliveryError(first.error.code, first.error.title, detail))
