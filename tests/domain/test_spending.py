"""What a profile may spend on a day."""

from typing import Any

import pytest

from heliograph.domain.accounts import Profile, ProfileSettings
from heliograph.domain.ids import OrganizationId, ProfileId
from heliograph.domain.instant import DAY, Instant, parse
from heliograph.domain.spending import Budget, DaySums, SpendDay, budget_of, limit_detail, limit_units, spend_day
from tests.domain.messages import a_message

NOON = parse("2026-03-01T12:00:00Z")
TODAY = SpendDay(ProfileId("p1"), NOON // DAY)
MESSAGE = a_message(profile_id=ProfileId("p1"), received_at=NOON, send_at=None, rate=200, carrier_fee=300)


def sums(spent: int) -> DaySums:
    return DaySums({TODAY: spent}, {TODAY})


def budget(text: str, *, enforced: bool = True) -> Budget:
    return Budget(limit_units(text), text, enforced)


@pytest.mark.parametrize(
    ("text", "units"),
    [("0", 0), ("0.01", 1_000), ("100", 10_000_000), ("0.00001", 1), ("1.000019", 100_001), ("007.5", 750_000)],
)
def test_a_limit_is_read_exactly(text: str, units: int) -> None:
    assert limit_units(text) == units


def test_a_limit_of_a_million_digits_is_read_at_once() -> None:
    assert limit_units("9" * 1_000_000) > limit_units("9" * 15)


def test_a_profile_without_a_limit_has_no_budget() -> None:
    def profile(**settings: Any) -> Profile:
        given = ProfileSettings(**settings)
        return Profile(ProfileId("p1"), OrganizationId("o1"), "Main", given, Instant(0), Instant(0))

    assert budget_of(profile()) is None
    assert budget_of(profile(daily_spend_limit="10.00")) == Budget(1_000_000, "10.00", enforced=False)


def test_a_message_counts_on_the_day_that_it_leaves() -> None:
    assert spend_day(MESSAGE) == TODAY
    later = a_message(profile_id=ProfileId("p1"), received_at=NOON, send_at=Instant(NOON + DAY))
    assert spend_day(later).day == TODAY.day + 1


def test_the_limit_may_be_reached_and_not_passed() -> None:
    held = sums(9_500)
    assert held.allows(budget("0.1"), [MESSAGE])
    held.spend([MESSAGE])
    assert held.total(TODAY) == 10_000
    assert not held.allows(budget("0.1"), [MESSAGE])


def test_a_limit_that_is_off_refuses_nothing() -> None:
    assert sums(1_000_000).allows(budget("0.1", enforced=False), [MESSAGE])


def test_what_costs_nothing_is_never_refused() -> None:
    free = a_message(profile_id=ProfileId("p1"), received_at=NOON, send_at=None, rate=0, carrier_fee=0)
    assert sums(1_000_000).allows(budget("0"), [free])


def test_the_first_refusal_of_a_day_is_told_of_and_no_other() -> None:
    held = sums(10_000)
    assert [held.allows(budget("0.1"), [MESSAGE]) for _ in range(2)] == [False, False]
    assert list(held.reached) == [TODAY]
    again = DaySums({TODAY: 10_000}, set())
    again.allows(budget("0.1"), [MESSAGE])
    assert again.reached == {}


def test_the_refusal_says_what_is_spent() -> None:
    assert limit_detail(budget("0.1"), 9_990).endswith("daily limit of 0.1 leaves: 0.0999 is spent.")
