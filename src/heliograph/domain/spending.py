"""What a profile may spend on a day (Contract 6.4).

A message counts when it is taken, on the UTC day that it is to leave: that of its `send_at`, or that of the request.
What is called off or expires before it left costs nothing and is given back. A message that would take the sum of its
day over the limit is refused. Automatic replies neither count nor are refused: the law asks for them.

Amounts are in 1/100000 of the currency of the rate deck; the provider's limit is in US dollars, and so is the deck that
comes with the service.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from heliograph.domain.accounts import Profile
from heliograph.domain.ids import ProfileId
from heliograph.domain.instant import DAY, Instant
from heliograph.domain.message import Message
from heliograph.domain.pricing import UNITS_PER_CURRENCY, amount_text

_DECIMALS = 5
_DIGITS = 15
"""More digits than these before the point are no bound that anybody reaches: they stand for `_HIGHEST`."""
_HIGHEST = 100_000_000_000_000_000_000


class SpendDay(NamedTuple):
    """A day of a profile; they sort."""

    profile_id: ProfileId
    day: int
    """Days since 1970, UTC."""


class Budget(msgspec.Struct, frozen=True):
    """The daily limit of a profile."""

    limit: int
    text: str
    """The limit as the caller set it."""
    enforced: bool
    """Whether anything is refused; the sum is kept either way, so that switching it on does not begin anew."""


def budget_of(profile: Profile) -> Budget | None:
    """The limit that is set on a profile; None when there is none, and nothing is counted."""
    text = profile.settings.daily_spend_limit
    if text is None:
        return None
    return Budget(limit_units(text), text, profile.settings.daily_spend_limit_enabled)


def limit_units(text: str) -> int:
    """A limit of the form `^[0-9]+(\\.[0-9]+)?$` in 1/100000; a fraction finer than that is cut off."""
    whole, _, fraction = text.partition(".")
    significant = whole.lstrip("0") or "0"
    if len(significant) > _DIGITS:
        return _HIGHEST
    return int(significant) * UNITS_PER_CURRENCY + int(fraction[:_DECIMALS].ljust(_DECIMALS, "0"))


def spend_day(message: Message) -> SpendDay:
    """The day that a message counts on."""
    return SpendDay(message.profile_id, day_of(message.received_at if message.send_at is None else message.send_at))


def day_of(instant: Instant) -> int:
    """Days since 1970, UTC."""
    return int(instant // DAY)


def cost_of(messages: Sequence[Message]) -> int:
    """What messages cost together."""
    return sum(each.rate + each.carrier_fee for each in messages)


def limit_detail(budget: Budget, spent: int) -> str:
    """Why a message over the limit is not taken (Contract 2.6)."""
    return f"It would cost more than the daily limit of {budget.text} leaves: {amount_text(spent, 2)} is spent."


@dataclass(slots=True)
class DaySums:
    """The sums of some days as they stand in the database, and what is added to them here."""

    known: Mapping[SpendDay, int]
    untold: set[SpendDay] = field(default_factory=set)
    """Days of which nobody was told yet that their limit is reached."""
    spent: dict[SpendDay, int] = field(default_factory=dict)
    reached: dict[SpendDay, Budget] = field(default_factory=dict)
    """The days of which somebody is to be told now."""

    def total(self, day: SpendDay) -> int:
        """What is spent on a day."""
        return self.known[day] + self.spent.get(day, 0)

    def allows(self, budget: Budget, messages: Sequence[Message]) -> bool:
        """Whether messages of one day keep within its limit; a day that does not is to be told of, once."""
        day = spend_day(messages[0])
        cost = cost_of(messages)
        if not budget.enforced or cost == 0 or self.total(day) + cost <= budget.limit:
            return True
        if day in self.untold:
            self.untold.discard(day)
            self.reached[day] = budget
        return False

    def spend(self, messages: Sequence[Message]) -> None:
        """Count messages of one day."""
        day = spend_day(messages[0])
        self.spent[day] = self.spent.get(day, 0) + cost_of(messages)
