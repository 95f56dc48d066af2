"""What follows from one attempt to deliver an event: a pure policy (Contract 3.6).

taken (any 2xx) --> delivered
410             --> the endpoint is turned off; its next URL at once
429, or a wait asked for by Retry-After --> the whole endpoint rests that long
anything else   --> again after a growing wait, then the next URL, then failed
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from heliograph.domain.instant import HOUR, Instant
from heliograph.domain.retry import backoff


class DeliveryStatus(StrEnum):
    """How far the delivery of an event has come."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Fault(StrEnum):
    """Why an attempt had no answer."""

    OTHER = "other"
    NO_NAME = "no name"
    NO_CONNECTION = "no connection"
    REFUSED_ADDRESS = "refused address"
    BAD_CERTIFICATE = "bad certificate"
    EXPIRED_CERTIFICATE = "expired certificate"
    WRONG_NAME = "wrong name"
    UNTRUSTED_ROOT = "untrusted root"


# Contract 2.7.
_FAULT_CODES = {
    Fault.OTHER: 75000,
    Fault.NO_NAME: 75001,
    Fault.NO_CONNECTION: 75002,
    Fault.REFUSED_ADDRESS: 75002,
    Fault.BAD_CERTIFICATE: 75003,
    Fault.EXPIRED_CERTIFICATE: 75004,
    Fault.WRONG_NAME: 75005,
    Fault.UNTRUSTED_ROOT: 75006,
}
_STATUS_CODES: Mapping[int, tuple[int, ...]] = {200: (), 400: (75400,), 404: (75404,), 500: (75500,)}
_CLASS_CODES: Mapping[int, tuple[int, ...]] = {2: (75299,), 3: (75300,), 4: (75499,), 5: (75599,)}

GONE = 410
TOO_MANY = 429
LONGEST_REST = HOUR
"""However long an endpoint asks to be left alone, it is asked again after this."""


@dataclass(frozen=True, slots=True)
class Tries:
    """How often and how far apart an endpoint is tried; times in microseconds."""

    per_url: int
    retry_base: int
    retry_max: int


@dataclass(frozen=True, slots=True)
class Attempted:
    """One attempt: an HTTP status, or a fault in its place."""

    status: int | None
    fault: Fault | None = None
    retry_after: int | None = None
    """Microseconds that the endpoint asked to be left alone."""

    @property
    def taken(self) -> bool:
        """Any 2xx (Contract 13 #7)."""
        return self.status is not None and 200 <= self.status <= 299

    @property
    def errors(self) -> tuple[int, ...]:
        """The codes that stand in the attempt's `errors[]` (Contract 2.7)."""
        if self.status is None:
            return (_FAULT_CODES[self.fault or Fault.OTHER],)
        codes = _STATUS_CODES.get(self.status)
        return _CLASS_CODES.get(self.status // 100, (75000,)) if codes is None else codes


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a delivery after an attempt, and of the endpoint that it went to."""

    status: DeliveryStatus
    position: int
    """Which of its URLs is tried next."""
    tries: int
    """At that URL until now."""
    due_at: Instant | None
    """When; None at the end."""
    rest_until: Instant | None = None
    """Until when nothing more goes to the endpoint."""
    gone: bool = False
    """The endpoint wants nothing more, ever."""


def judge(
    attempted: Attempted, position: int, tries: int, urls: int, policy: Tries, now: Instant, chance: float
) -> Verdict:
    """What follows from an attempt at URL `position` of `urls`, the one after `tries` others there.

    `chance` from [0, 1) spreads the wait.
    """
    if attempted.taken:
        return Verdict(DeliveryStatus.DELIVERED, position, tries + 1, None)
    rest = _rest(attempted, tries, policy, now, chance)
    if attempted.status == GONE or tries + 1 >= policy.per_url:
        gone = attempted.status == GONE
        if position + 1 < urls:
            return Verdict(DeliveryStatus.PENDING, position + 1, 0, now, rest, gone)
        return Verdict(DeliveryStatus.FAILED, position, tries + 1, None, rest, gone)
    due = Instant(now + backoff(tries + 1, policy.retry_base, policy.retry_max, chance))
    return Verdict(DeliveryStatus.PENDING, position, tries + 1, max(due, rest or due), rest)


def _rest(attempted: Attempted, tries: int, policy: Tries, now: Instant, chance: float) -> Instant | None:
    """Until when the endpoint is left alone: as it asked, or for one wait when it only said 429."""
    if attempted.retry_after is not None and attempted.status in {TOO_MANY, 503}:
        # A date in the past asks for nothing.
        return Instant(now + min(max(attempted.retry_after, 0), LONGEST_REST))
    if attempted.status == TOO_MANY:
        return Instant(now + min(backoff(tries + 1, policy.retry_base, policy.retry_max, chance), LONGEST_REST))
    return None
