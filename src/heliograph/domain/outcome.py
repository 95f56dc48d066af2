"""What follows from a try, from an answer or from a lost lease: the policy of promise P3."""

from enum import StrEnum

from heliograph.domain.errors import TITLES, Code
from heliograph.domain.lifecycle import Change
from heliograph.domain.message import DeliveryError


class RepeatPolicy(StrEnum):
    """What the operator prefers when nobody knows whether a message was taken."""

    NEVER_TWICE = "never_twice"
    RATHER_TWICE = "rather_twice"


def after_unknown(policy: RepeatPolicy, *, repeatable: bool, settles: bool = False) -> Change:
    """Whether a message that was perhaps taken is given to the carrier again, or waits for the carrier to tell."""
    if repeatable or policy is RepeatPolicy.RATHER_TWICE:
        return Change.DEFER
    return Change.DOUBT if settles else Change.LOSE


def asked_all(attempts: int, carriers: int) -> bool:
    """Whether every carrier of a plan has refused for now in this round: then it is time to wait."""
    return attempts % max(1, carriers) == 0


def delivery_error(code: Code, detail: str) -> DeliveryError:
    """An entry of `errors[]` with the title of its code."""
    return DeliveryError(code, TITLES[code], detail)


def unknown_before(error: DeliveryError) -> DeliveryError:
    """Why a message is not tried again whose earlier try may have been taken: `error` is about the last one only."""
    detail = f"{error.detail} An earlier try may or may not have reached the carrier."
    return delivery_error(Code.OUTCOME_UNKNOWN, detail)


def opted_out(sender: str, recipient: str) -> DeliveryError:
    """Why a message to somebody who wrote STOP is not sent."""
    return delivery_error(Code.OPTED_OUT, opted_out_detail(sender, recipient))


def opted_out_detail(sender: str, recipient: str) -> str:
    """The same for the answer to a request (Contract 2.6)."""
    return f"{sender} may not message {recipient}: a block rule exists, because {recipient} opted out."


EXPIRED = delivery_error(Code.EXPIRED_IN_QUEUE, "It waited longer than its validity, was not sent, and is not charged.")
LEASE_LOST = delivery_error(
    Code.OUTCOME_UNKNOWN,
    "The process that was sending it stopped. The carrier may or may not have it; it was not sent again.",
)
NEVER_SETTLED = delivery_error(
    Code.OUTCOME_UNKNOWN,
    "No answer and no receipt came in time; nobody knows whether the carrier took it.",
)
CANNOT_CARRY = delivery_error(
    Code.UNSUPPORTED_TYPE, "The carrier carries no MMS, and no other carrier leads to its recipient."
)
NEVER_ANSWERED = delivery_error(
    Code.OUTCOME_UNKNOWN,
    "Its validity ended while it waited for another try. An earlier one may or may not have reached the carrier.",
)
