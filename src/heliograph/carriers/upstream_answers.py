"""What an upstream's answer to a message means. Pure: status, headers and body in, a verdict out.

    2xx with an id              Taken
    2xx without                 OutcomeUnknown
    401, 402, bad key           TemporarilyRefused, and the upstream is at fault: nothing passes until that is mended
    3xx, 405, 404 of no message likewise, and `base_url` is wrong: that a probe is answered says nothing
    409                         Refused for 40300 (STOP); else OutcomeUnknown, for an earlier try may be the cause
    429                         Throttled, with the rest it asks for; TemporarilyRefused for 40333 (spend limit)
    408, 5xx, unreadable 4xx    OutcomeUnknown
    other 4xx                   Refused, its code turned into a delivery code; TemporarilyRefused for what passes

Codes: Contract 2.3 to 2.6.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from re import ASCII
from re import compile as regex
from typing import Any

import msgspec

from heliograph.carriers.interface import (
    CarrierFailure,
    OutcomeUnknown,
    Refused,
    Taken,
    TemporarilyRefused,
    Throttled,
)
from heliograph.domain.errors import TITLES, Code
from heliograph.domain.instant import SECOND
from heliograph.domain.message import DeliveryError
from heliograph.domain.outcome import delivery_error
from heliograph.outgoing import HttpAnswer

LONGEST_ID = 128
QUOTED = 300
"""Characters of an upstream's words that are quoted."""
_LEAST_EPOCH = 1_000_000_000
"""`x-ratelimit-reset` is seconds left on one page and a Unix time on others (Contract 8.4); this tells them apart."""

_SPEND_LIMIT = "40333"
_IN_PROGRESS = "10036"
_NO_SUCH_RESOURCE = "10005"
# The key, the account or what it may do: no message can be sent with it.
_ACCOUNT = frozenset(
    {
        *("10009", "10010", "10038"),
        *("20001", "20002", "20003", "20006", "20008"),
        *("20012", "20013", "20014", "20015", "20016", "20017", "20100"),
        *("40311", "40313", "40314"),
    }
)
# What is true of this message now and may not be later: spend limit, disabled or unknown profile, number in transition.
_PASSING = frozenset({_SPEND_LIMIT, "40312", "10017", "40320"})

DELIVERY_CODES: Mapping[str, Code] = {
    **dict.fromkeys(("40301", "40309", "40319", "40331"), Code.NOT_ROUTABLE),
    **dict.fromkeys(("40302", "40304", "40316", "40317", "40322", "40328"), Code.INVALID_BODY),
    **dict.fromkeys(("10002", "10016", "10039", "40310"), Code.INVALID_DESTINATION),
    **dict.fromkeys(
        ("10001", "40305", "40306", "40307", "40308", "40315", "40321", "40325", "40329", "40330"), Code.INVALID_SOURCE
    ),
}
"""Codes that refuse a request, as codes that a message fails with; every other becomes `UNDELIVERABLE`."""

_KEPT = regex(r"400\d\d|40300", ASCII).fullmatch
_ID = regex(rf"[!-~]{{1,{LONGEST_ID}}}", ASCII).fullmatch
_SECONDS = regex(r"\d{1,12}(?:\.\d{1,9})?", ASCII).fullmatch
_CONTROL = regex(r"[\x00-\x1f\x7f]")


class AtFault(Enum):
    """What stands in the way of a message that was not taken."""

    MESSAGE = "message"
    """It, or this moment; others may pass."""
    PACE = "pace"
    """Too many at once."""
    UPSTREAM = "upstream"
    """Whatever is sent, it will fare no better for now."""
    ADDRESS = "address"
    """Messages are not taken where they were sent to; what else is asked there may be answered all the same."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A message that was not taken, or of which nobody knows."""

    failure: CarrierFailure
    at_fault: AtFault = AtFault.MESSAGE
    rest: int | None = None
    """Microseconds that it asked to be left alone."""


@dataclass(frozen=True, slots=True)
class UpstreamError:
    """One entry of an upstream's `errors[]`."""

    code: str
    title: str
    detail: str

    def __str__(self) -> str:
        words = " ".join(filter(None, (self.code, self.title)))
        return f"{words}: {self.detail}" if self.detail else words


def judge(answer: HttpAnswer, seconds: int) -> Taken | Judged:
    """What became of the message that was answered so. `seconds` is Unix time."""
    status = answer.status
    if 200 <= status <= 299:
        return _taken(answer)
    if 300 <= status <= 399:
        detail = f"The upstream answers with a redirect ({status}), which is not followed: its base URL is wrong."
        return Judged(TemporarilyRefused(delivery_error(Code.SERVER_UNAVAILABLE, detail)), AtFault.ADDRESS)
    if status == 408 or not 400 <= status <= 499:
        return _unknown(f"The upstream answered with status {status}.", AtFault.UPSTREAM)
    errors = errors_in(answer.body)
    if status == 429:
        return _too_many(answer, errors, seconds)
    return _refused(status, errors)


def forbidden(answer: HttpAnswer) -> str | None:
    """Why nothing can be sent through an upstream that answered a harmless question so; None if something may."""
    status = answer.status
    if status in {401, 402} or _of_account(errors_in(answer.body)):
        return _said(status, errors_in(answer.body))
    if 300 <= status <= 399:
        return f"The upstream answers with a redirect ({status}): its base URL is wrong."
    # 501 is from one that knows no such question.
    if status in {408, 429} or (status >= 500 and status != 501):
        return f"The upstream answered with status {status}."
    return None


def delivery_error_of(error: UpstreamError, context: str) -> DeliveryError:
    """An upstream's error as one of ours, with a delivery code. `context` begins its sentence."""
    if _KEPT(error.code):
        title = TITLES[Code(error.code)] if error.code in TITLES else error.title or TITLES[Code.UNDELIVERABLE]
        return DeliveryError(error.code, title, f"{context}: {error}")
    code = DELIVERY_CODES.get(error.code, Code.UNDELIVERABLE)
    return delivery_error(code, f"{context}: {error}")


def errors_in(body: bytes) -> Sequence[UpstreamError]:
    """The errors in an answer; none when it cannot be read. A bare error object is one (Contract 13 #2)."""
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()
    if not isinstance(told, dict):
        return ()
    return read_errors(told.get("errors", [told]))


def read_errors(told: Any) -> Sequence[UpstreamError]:
    """Those entries of an `errors[]` that have a code."""
    entries = [each for each in told if isinstance(each, dict)] if isinstance(told, list) else []
    found = [UpstreamError(*(_words(each.get(name)) for name in ("code", "title", "detail"))) for each in entries]
    return [each for each in found if each.code]


def usable_id(told: object) -> str | None:
    """An id as it is kept; None for what cannot be one."""
    return told if isinstance(told, str) and _ID(told) else None


def _words(told: object) -> str:
    """A text of the upstream, or a number in place of one, fit to be quoted and kept."""
    if isinstance(told, bool) or not isinstance(told, str | int):
        return ""
    return _CONTROL.sub(" ", str(told))[:QUOTED]


def _taken(answer: HttpAnswer) -> Taken | Judged:
    try:
        told = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = None
    data = told.get("data") if isinstance(told, dict) else None
    found = usable_id(data.get("id")) if isinstance(data, dict) else None
    if found is None:
        return _unknown(f"The upstream answered with status {answer.status} and no id.", AtFault.UPSTREAM)
    return Taken((found,))


def _too_many(answer: HttpAnswer, errors: Sequence[UpstreamError], seconds: int) -> Judged:
    said = _said(answer.status, errors)
    if any(each.code == _SPEND_LIMIT for each in errors):
        return Judged(TemporarilyRefused(delivery_error(Code.TOO_MANY_AT_CARRIER, said)))
    failure = Throttled(delivery_error(Code.TOO_MANY_AT_CARRIER, said))
    return Judged(failure, AtFault.PACE, _rest(answer.headers, seconds))


def _refused(status: int, errors: Sequence[UpstreamError]) -> Judged:
    """4xx other than 408 and 429."""
    said = _said(status, errors)
    codes = {each.code for each in errors}
    of_no_message = not errors or _NO_SUCH_RESOURCE in codes
    if status == 405 or (status == 404 and of_no_message):
        wrong = f"{said.rstrip('.')}. It takes no messages there: its base URL is wrong."
        return Judged(TemporarilyRefused(delivery_error(Code.SERVER_UNAVAILABLE, wrong)), AtFault.ADDRESS)
    if status in {401, 402} or (status in {403, 407} and of_no_message) or _of_account(errors):
        return Judged(TemporarilyRefused(delivery_error(Code.SERVER_UNAVAILABLE, said)), AtFault.UPSTREAM)
    if not errors:
        return _unknown(said, AtFault.UPSTREAM)
    if _IN_PROGRESS in codes or (status == 409 and Code.OPTED_OUT not in codes):
        # An earlier try of this message is still being answered, or was answered: it may have been taken.
        return _unknown(said, AtFault.MESSAGE)
    if codes & _PASSING:
        return Judged(TemporarilyRefused(delivery_error(Code.UNDELIVERABLE, said)))
    return Judged(Refused(delivery_error_of(errors[0], f"The upstream refused it ({status})")))


def _of_account(errors: Sequence[UpstreamError]) -> bool:
    return any(each.code in _ACCOUNT for each in errors)


def _unknown(detail: str, at_fault: AtFault) -> Judged:
    error = delivery_error(Code.OUTCOME_UNKNOWN, f"{detail} It may or may not have taken the message.")
    return Judged(OutcomeUnknown(error, (None,)), at_fault)


def _said(status: int, errors: Sequence[UpstreamError]) -> str:
    return f"The upstream answered with status {status}" + (f": {errors[0]}" if errors else ".")


def _rest(headers: Sequence[tuple[str, str]], seconds: int) -> int | None:
    """How long it asks to be left alone, in microseconds; None where it says nothing that can be read."""
    told = {name.lower(): value.strip() for name, value in headers}
    for name in ("retry-after", "x-ratelimit-reset"):
        value = told.get(name, "")
        if _SECONDS(value):
            asked = float(value)
            return max(0, round((asked - seconds if asked >= _LEAST_EPOCH else asked) * SECOND))
    return None
