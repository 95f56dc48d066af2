"""How fast a campaign may send."""

import pytest

from heliograph.domain.campaign_classes import THROUGHPUTS, MessageClass, Usecase, class_of, daily_tier
from heliograph.domain.instant import MINUTE, SECOND


@pytest.mark.parametrize(
    ("usecase", "score", "message_class"),
    [
        ("MARKETING", 100, "A"),
        ("MIXED", 75, "B"),
        ("2FA", 74, "C"),
        ("MIXED", 50, "D"),
        ("2FA", 49, "E"),
        ("MIXED", 1, "F"),
        ("MARKETING", 0, "T"),
        ("MIXED", None, "T"),
        ("LOW_VOLUME", 100, "T"),
        ("POLITICAL", None, "K"),
        ("EMERGENCY", None, "X"),
        ("CHARITY", None, "P"),
        ("SOCIAL", None, "S"),
        ("PROXY", None, "G"),
        ("AGENTS_FRANCHISES", 100, "N"),
        ("SOLE_PROPRIETOR", 100, "W"),
    ],
)
def test_the_class_follows_from_use_and_score(usecase: str, score: int | None, message_class: str) -> None:
    assert class_of(usecase, score) == message_class


def test_every_use_has_a_class_and_every_class_a_throughput() -> None:
    assert {class_of(each, score) for each in Usecase for score in (None, 1, 50, 75)} <= set(THROUGHPUTS)
    assert set(THROUGHPUTS) == set(MessageClass)


def test_a_part_never_takes_less_than_the_class_grants() -> None:
    assert THROUGHPUTS["T"].interval(mms=False) == 800_000
    assert THROUGHPUTS["S"].interval(mms=False) == 6_667
    assert THROUGHPUTS["W"].interval(mms=True) * 50 == MINUTE
    assert THROUGHPUTS["G"].interval(mms=False) == SECOND


@pytest.mark.parametrize(("score", "daily"), [(75, 200_000), (74, 40_000), (49, 10_000), (24, 2_000), (None, 2_000)])
def test_a_brand_has_a_daily_tier_by_its_score(score: int | None, daily: int) -> None:
    assert daily_tier(score) == daily
    assert daily_tier(score, sole_proprietor=True) == 1_000
