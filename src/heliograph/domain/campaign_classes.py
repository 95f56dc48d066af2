"""How fast a 10DLC campaign may send: AT&T's classes of messages and T-Mobile's tiers of brands (Contract 8.2).

A class bounds all numbers of a campaign together, in parts a minute; two of them bound each number by itself. It
follows from what the campaign is for and from the score that the brand's vetting gave it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from heliograph.domain.instant import MINUTE


class Usecase(StrEnum):
    """What a campaign is for, in the words of The Campaign Registry."""

    TWO_FACTOR = "2FA"
    ACCOUNT_NOTIFICATION = "ACCOUNT_NOTIFICATION"
    AGENTS_FRANCHISES = "AGENTS_FRANCHISES"
    CARRIER_EXEMPT = "CARRIER_EXEMPT"
    CHARITY = "CHARITY"
    CUSTOMER_CARE = "CUSTOMER_CARE"
    DELIVERY_NOTIFICATION = "DELIVERY_NOTIFICATION"
    EMERGENCY = "EMERGENCY"
    FRAUD_ALERT = "FRAUD_ALERT"
    HIGHER_EDUCATION = "HIGHER_EDUCATION"
    K12_EDUCATION = "K12_EDUCATION"
    LOW_VOLUME = "LOW_VOLUME"
    M2M = "M2M"
    MARKETING = "MARKETING"
    MIXED = "MIXED"
    POLITICAL = "POLITICAL"
    POLLING_VOTING = "POLLING_VOTING"
    PROXY = "PROXY"
    PUBLIC_SERVICE_ANNOUNCEMENT = "PUBLIC_SERVICE_ANNOUNCEMENT"
    SECURITY_ALERT = "SECURITY_ALERT"
    SOCIAL = "SOCIAL"
    SOLE_PROPRIETOR = "SOLE_PROPRIETOR"
    SWEEPSTAKE = "SWEEPSTAKE"
    TRIAL = "TRIAL"
    UCAAS_HIGH = "UCAAS_HIGH"
    UCAAS_LOW = "UCAAS_LOW"


class MessageClass(StrEnum):
    """AT&T's class of a campaign's messages."""

    DEDICATED_TOP = "A"
    MIXED_TOP = "B"
    DEDICATED_MIDDLE = "C"
    MIXED_MIDDLE = "D"
    DEDICATED_LOW = "E"
    MIXED_LOW = "F"
    LOW_VOLUME = "T"
    SOLE_PROPRIETOR = "W"
    POLITICAL = "K"
    EMERGENCY = "X"
    CHARITY = "P"
    SOCIAL = "S"
    PROXY = "G"
    AGENTS = "N"


@dataclass(frozen=True, slots=True)
class Throughput:
    """Parts a minute."""

    sms: int
    mms: int
    per_number: bool = False
    """Whether each number has it by itself; else all numbers of the campaign share it."""

    def interval(self, *, mms: bool) -> int:
        """Microseconds that each part takes, rounded up: never faster than the class."""
        return -(-MINUTE // (self.mms if mms else self.sms))


THROUGHPUTS: Mapping[str, Throughput] = {
    MessageClass.DEDICATED_TOP: Throughput(4_500, 2_400),
    MessageClass.MIXED_TOP: Throughput(4_500, 2_400),
    MessageClass.DEDICATED_MIDDLE: Throughput(2_400, 1_200),
    MessageClass.MIXED_MIDDLE: Throughput(2_400, 1_200),
    MessageClass.DEDICATED_LOW: Throughput(240, 150),
    MessageClass.MIXED_LOW: Throughput(240, 150),
    MessageClass.LOW_VOLUME: Throughput(75, 50),
    MessageClass.SOLE_PROPRIETOR: Throughput(15, 50),
    MessageClass.POLITICAL: Throughput(4_500, 2_400),
    MessageClass.EMERGENCY: Throughput(4_500, 2_400),
    MessageClass.CHARITY: Throughput(2_400, 1_200),
    MessageClass.SOCIAL: Throughput(9_000, 2_400),
    MessageClass.PROXY: Throughput(60, 50, per_number=True),
    MessageClass.AGENTS: Throughput(60, 50, per_number=True),
}

_OWN_CLASS: Mapping[Usecase, MessageClass] = {
    Usecase.AGENTS_FRANCHISES: MessageClass.AGENTS,
    Usecase.CHARITY: MessageClass.CHARITY,
    Usecase.EMERGENCY: MessageClass.EMERGENCY,
    Usecase.LOW_VOLUME: MessageClass.LOW_VOLUME,
    Usecase.POLITICAL: MessageClass.POLITICAL,
    Usecase.PROXY: MessageClass.PROXY,
    Usecase.SOCIAL: MessageClass.SOCIAL,
    Usecase.SOLE_PROPRIETOR: MessageClass.SOLE_PROPRIETOR,
}
# The lowest score, the class of a campaign for one use, and that of a mixed one.
_BY_SCORE = (
    (75, MessageClass.DEDICATED_TOP, MessageClass.MIXED_TOP),
    (50, MessageClass.DEDICATED_MIDDLE, MessageClass.MIXED_MIDDLE),
    (1, MessageClass.DEDICATED_LOW, MessageClass.MIXED_LOW),
)
_DAILY = ((75, 200_000), (50, 40_000), (25, 10_000))
_DAILY_UNVETTED = 2_000
_DAILY_SOLE_PROPRIETOR = 1_000


def class_of(usecase: str, score: int | None, *, sole_proprietor: bool = False) -> MessageClass:
    """The class of a campaign; `score` is the brand's, 0 to 100, None for one that nobody has vetted."""
    if sole_proprietor:
        return MessageClass.SOLE_PROPRIETOR
    if (own := _OWN_CLASS.get(Usecase(usecase))) is not None:
        return own
    for lowest, dedicated, mixed in _BY_SCORE:
        if score is not None and score >= lowest:
            return mixed if usecase == Usecase.MIXED else dedicated
    return MessageClass.LOW_VOLUME


def daily_tier(score: int | None, *, sole_proprietor: bool = False) -> int:
    """How many messages a day T-Mobile takes of all campaigns of a brand. It is shown, and not enforced."""
    if sole_proprietor:
        return _DAILY_SOLE_PROPRIETOR
    return next((most for lowest, most in _DAILY if score is not None and score >= lowest), _DAILY_UNVETTED)
