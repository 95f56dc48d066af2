"""When a message may be scheduled, and until when it may be called off."""

from dataclasses import dataclass

from heliograph.domain.errors import Code, Refusal
from heliograph.domain.instant import DAY, Instant, TimeWithoutZone, UnreadableTime, duration_text, parse, to_text

POINTER = "/send_at"
MAX_LEAD = 5 * DAY
"""How far ahead `send_at` may be (Contract 1.1), unless the settings or an organisation's rules say otherwise."""


@dataclass(frozen=True, slots=True)
class ScheduleRules:
    """The bounds of an organisation; lengths of time in microseconds. Defaults of the provider: Contract 1.1, 1.5."""

    min_lead: int
    max_lead: int
    cancel_cutoff: int
    max_pending: int


def read_send_at(value: object) -> Instant:
    """The `send_at` of a request; raises a `Refusal` when it is not a date and time with a zone.

    A time that cannot be honoured is refused, never sent now (design, decision 11).
    """
    if not isinstance(value, str):
        raise Refusal(Code.INVALID_TYPE, f"'send_at' must be a string, got {type(value).__name__}.", POINTER)
    try:
        return parse(value)
    except TimeWithoutZone:
        detail = f"'send_at' has no time zone: write it as UTC, such as '{value[:32]}Z', or with its offset."
        raise Refusal(Code.BAD_REQUEST, detail, POINTER) from None
    except UnreadableTime:
        detail = f"'send_at' must be an ISO 8601 date and time such as '2026-01-31T09:30:00Z', got '{value[:48]}'."
        raise Refusal(Code.BAD_REQUEST, detail, POINTER) from None


def check_send_at(send_at: Instant, now: Instant, rules: ScheduleRules) -> None:
    """Raise a `Refusal` that names the bound when `send_at` lies outside the window."""
    earliest, latest = Instant(now + rules.min_lead), Instant(now + rules.max_lead)
    if earliest <= send_at <= latest:
        return
    if send_at < earliest:
        bound = f"at least {duration_text(rules.min_lead)} after the request: not before {to_text(earliest)}"
    else:
        bound = f"at most {duration_text(rules.max_lead)} after the request: not after {to_text(latest)}"
    meta = {"earliest": to_text(earliest), "latest": to_text(latest)}
    raise Refusal(Code.OUT_OF_RANGE, f"'send_at' must be {bound}.", POINTER, meta=meta)


def may_cancel(send_at: Instant, now: Instant, cutoff: int) -> bool:
    """Whether `send_at` is more than `cutoff` away (Contract 1.5: *more than*, so the bound itself is too late)."""
    return send_at - now > cutoff
