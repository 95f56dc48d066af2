"""How well a number's messages arrive (Contract 6.2, `skip_unhealthy`).

Measured over the messages of the last day. A number is only called unhealthy on evidence: below `EVIDENCE` messages it
is taken as healthy, for one message of one that fails says nothing.
"""

from dataclasses import dataclass

from heliograph.domain.errors import Code

EVIDENCE = 10
"""Messages whose end is known, at least. The provider has not published its figure."""
LEAST_DELIVERED = 0.25
MOST_SPAM = 0.75
SPAM_CODES = (
    Code.BLOCKED_AS_SPAM,
    Code.SENDER_BLOCKED_AS_SPAM,
    Code.BLOCKED_AS_SPAM_HERE,
    Code.ATT_SPAM,
    Code.TOO_MANY_AT_CARRIER,
)
"""What a message is refused with that a carrier takes for spam (Contract 2.5; 40011 is "treated as spam")."""


@dataclass(frozen=True, slots=True)
class NumberHealth:
    """What became of the messages of a number within a day."""

    sent: int = 0
    """Given to a carrier, whatever became of them."""
    received: int = 0
    delivered: int = 0
    finished: int = 0
    """Of those sent, whose end is known: delivered, or failed."""
    spam: int = 0
    """Of those sent, failed as spam."""

    @property
    def success_ratio(self) -> float:
        """Delivered of those whose end is known, 0 to 1; 1 while nothing is known."""
        return self.delivered / self.finished if self.finished else 1.0

    @property
    def spam_ratio(self) -> float:
        """Spam of those sent, 0 to 1."""
        return self.spam / self.sent if self.sent else 0.0

    @property
    def inbound_outbound_ratio(self) -> float:
        """Messages received for each one sent."""
        return self.received / self.sent if self.sent else 0.0

    @property
    def unhealthy(self) -> bool:
        """Whether a pool with `skip_unhealthy` leaves it out."""
        return self.finished >= EVIDENCE and (self.success_ratio < LEAST_DELIVERED or self.spam_ratio > MOST_SPAM)
