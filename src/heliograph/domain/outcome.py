"""What follows from a try, from an answer or from a lost lease: the policy of promise P3."""

from enum import StrEnum

from heliograph.domain.errors import TITLES, Code
from heliograph.domain.lifecycle import Change
from heliograph.domain.message import DeliveryError


class RepeatPolicy(StrEnum):
    """What the operator prefers when nobody knows whether a message was taken."""

    NEVER_TWICE = "never_twice"
    RATHER_TWICE = "rather_twice"


def after_unknown(policy: RepeatPolicy, *, repeatable: bool) -> Change:
    """Whether a message that was perhaps taken is given to the carrier again."""
    return Change.DEFER if repeatable or policy is RepeatPolicy.RATHER_TWICE else Change.LOSE


def delivery_error(code: Code, detail: str) -> DeliveryError:
    """An entry of `errors[]` with the title of its code."""
    return DeliveryError(code, TITLES[code], detail)


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
NEVER_ANSWERED = delivery_error(
    Code.OUTCOME_UNKNOWN,
    "Its validity ended while it waited for another try. An earlier one may or may not have reached the carrier.",
)
