"""When a message may be scheduled, and until when it may be called off."""

import pytest

from heliograph.domain.errors import Code, Refusal
from heliograph.domain.instant import DAY, MINUTE, SECOND, Instant, parse
from heliograph.domain.schedule import ScheduleRules, check_send_at, may_cancel, read_send_at

RULES = ScheduleRules(min_lead=5 * MINUTE, max_lead=5 * DAY, cancel_cutoff=MINUTE, max_pending=10)
NOW = parse("2026-01-01T00:00:00Z")


@pytest.mark.parametrize("lead", [5 * MINUTE, 5 * MINUTE + 1, DAY, 5 * DAY])
def test_within_the_window_it_may_be_scheduled(lead: int) -> None:
    check_send_at(Instant(NOW + lead), NOW, RULES)


@pytest.mark.parametrize(
    ("lead", "said"),
    [
        (-DAY, "at least 5 minutes after the request: not before 2026-01-01T00:05:00.000Z"),
        (5 * MINUTE - 1, "at least 5 minutes"),
        (5 * DAY + 1, "at most 5 days after the request: not after 2026-01-06T00:00:00.000Z"),
    ],
)
def test_outside_the_window_the_bound_is_named(lead: int, said: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_send_at(Instant(NOW + lead), NOW, RULES)
    assert (refused.value.code, refused.value.pointer) == (Code.OUT_OF_RANGE, "/send_at")
    assert said in refused.value.detail


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("soon", Code.BAD_REQUEST),
        ("2026-01-01T00:10:00", Code.BAD_REQUEST),
        ("", Code.BAD_REQUEST),
        (1_767_225_600, Code.INVALID_TYPE),
        (True, Code.INVALID_TYPE),
    ],
)
def test_what_is_no_time_with_a_zone_is_refused(value: object, code: Code) -> None:
    with pytest.raises(Refusal) as refused:
        read_send_at(value)
    assert (refused.value.code, refused.value.pointer) == (code, "/send_at")


def test_a_missing_zone_is_said_so() -> None:
    with pytest.raises(Refusal, match="no time zone"):
        read_send_at("2026-01-01T00:10:00")


@pytest.mark.parametrize(("left", "may"), [(MINUTE + 1, True), (MINUTE, False), (SECOND, False), (-SECOND, False)])
def test_more_than_the_cut_off_must_be_left(left: int, may: bool) -> None:
    assert may_cancel(Instant(NOW + left), NOW, MINUTE) is may
