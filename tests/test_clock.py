"""The copy of the database's clock that a process keeps."""

import pytest

from heliograph.clock import AnchoredClock, monotonic
from heliograph.domain.instant import HOUR, MILLISECOND, SECOND, Instant

NOW = Instant(1_800_000_000 * SECOND)
SLACK = 200 * MILLISECOND
"""For what goes by between two lines here."""


def right() -> AnchoredClock:
    """One that was told a moment ago that it is `NOW`."""
    clock = AnchoredClock()
    clock.anchor(NOW, monotonic() - MILLISECOND, monotonic())
    return clock


def test_a_prompt_answer_is_taken_as_of_half_way() -> None:
    clock, asked_at = AnchoredClock(), monotonic()
    clock.anchor(NOW, asked_at, asked_at + 20 * MILLISECOND)
    assert NOW - 10 * MILLISECOND <= clock.now() < NOW + SLACK


@pytest.mark.parametrize("waited", [0, 10 * SECOND], ids=["its answer was on its way", "the question was on its way"])
def test_an_answer_that_was_long_on_its_way_moves_nothing(waited: int) -> None:
    """As where the network was cut one way: half way would be five seconds from the truth, until the next answer."""
    clock, answered_at = right(), monotonic()
    clock.anchor(Instant(NOW - 10 * SECOND + waited), answered_at - 10 * SECOND, answered_at)
    assert NOW <= clock.now() < NOW + SLACK


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_a_late_answer_that_contradicts_is_taken_as_far_as_it_must(step: int) -> None:
    """The database's clock was set, or another server has taken over."""
    clock, answered_at = right(), monotonic()
    clock.anchor(Instant(NOW + step), answered_at - 10 * SECOND, answered_at)
    latest = NOW + step + (10 * SECOND if step < 0 else 0)
    assert latest <= clock.now() < latest + SLACK
