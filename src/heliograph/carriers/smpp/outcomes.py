"""What became of a message, from what became of its parts.

Parts leave one after the other, each when the one before it was taken. So what is known of a message is always this:
the first parts were taken, and at most one more has an end of another kind. The only hole there can be is one that
nobody can see into, at the end; and a message that is refused in its middle was not sent past that.
"""

from collections.abc import Mapping, Sequence

from heliograph.carriers.interface import (
    CarrierFailure,
    OutcomeUnknown,
    Refused,
    TemporarilyRefused,
    Throttled,
    Unreachable,
)
from heliograph.carriers.smpp.events import Answered, End, Unanswered
from heliograph.carriers.smpp.status import Kind, Status, kind_of, status_name
from heliograph.domain.errors import Code
from heliograph.domain.message import DeliveryError
from heliograph.domain.outcome import delivery_error

_CODES: Mapping[int, Code] = {
    Status.RINVMSGLEN: Code.INVALID_BODY,
    Status.RINVSRCADR: Code.INVALID_SOURCE,
    Status.RINVSRCTON: Code.INVALID_SOURCE,
    Status.RINVSRCNPI: Code.INVALID_SOURCE,
    Status.RINVDSTADR: Code.INVALID_DESTINATION,
    Status.RINVDSTTON: Code.INVALID_DESTINATION,
    Status.RINVDSTNPI: Code.INVALID_DESTINATION,
    Status.RX_R_APPN: Code.REJECTED_BY_DESTINATION,
    Status.RTHROTTLED: Code.TOO_MANY_AT_CARRIER,
    Status.RMSGQFUL: Code.TOO_MANY_AT_CARRIER,
}
"""What a status says of the message. The others say what is wrong with the request, the link or the carrier."""


def code_of(status: int) -> Code:
    """The code of Contract 2.5 for a command_status that is a refusal."""
    temporary = kind_of(status) is not Kind.PERMANENT
    return _CODES.get(status, Code.SERVER_UNAVAILABLE if temporary else Code.UNDELIVERABLE)


def failure(end: End, taken: Sequence[str], total: int) -> CarrierFailure:
    """What a message comes to when the part after those taken ends so; `end` is anything but an answer of `ROK`."""
    known = tuple(taken)
    if isinstance(end, Answered):
        return _refusal(end.status, known, total)
    if isinstance(end, Unanswered):
        why = f"{_part(known, total)}was sent, and {end.reason}. The carrier may or may not have it."
        return OutcomeUnknown(delivery_error(Code.OUTCOME_UNKNOWN, _sentence(why)), (*known, None), total)
    return unreachable(end.reason, known, total)


def unreachable(why: str, taken: Sequence[str], total: int) -> Unreachable:
    """The next part did not leave."""
    detail = _sentence(f"{_part(taken, total)}was not sent: {why}.")
    return Unreachable(delivery_error(Code.SERVER_UNAVAILABLE, detail), taken, total)


def throttled(taken: Sequence[str], total: int) -> Throttled:
    """The next part was not taken, or did not leave, since the carrier wants no more at the moment."""
    detail = _sentence(f"{_part(taken, total)}was not sent in time: the carrier takes no more at the moment.")
    return Throttled(delivery_error(Code.TOO_MANY_AT_CARRIER, detail), taken, total)


def _refusal(status: int, taken: Sequence[str], total: int) -> CarrierFailure:
    detail = _sentence(f"{_part(taken, total)}was refused by the carrier with {status_name(status)}.")
    error: DeliveryError = delivery_error(code_of(status), detail)
    match kind_of(status):
        case Kind.PERMANENT:
            return Refused(error, taken, total)
        case Kind.THROTTLED:
            return Throttled(error, taken, total)
        case _:
            return TemporarilyRefused(error, taken, total)


def _part(taken: Sequence[str], total: int) -> str:
    return f"part {len(taken) + 1} of {total} " if total > 1 else "it "


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
