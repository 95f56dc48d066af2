"""Whatever happens in whatever order, a message only moves forward and ends once."""

from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.lifecycle import FINAL, RANK, TABLE, Change, Status, after, born, replay


@given(st.booleans(), st.lists(st.sampled_from(Change), max_size=30))
def test_any_order_of_changes_moves_forward_and_ends_at_most_once(scheduled: bool, wanted: list[Change]) -> None:
    status, happened, ends = born(scheduled=scheduled), [], 0
    for change in wanted:
        if (status, change) not in TABLE:
            continue
        following = after(status, change)
        assert RANK[following] >= RANK[status]
        ends += following in FINAL
        happened.append(change)
        status = following
    assert ends <= 1
    assert replay(born(scheduled=scheduled), happened) is status


@given(st.lists(st.sampled_from(Change), max_size=30))
def test_after_a_cancel_there_is_no_claim(wanted: list[Change]) -> None:
    status, cancelled = Status.SCHEDULED, False
    for change in wanted:
        if (status, change) in TABLE:
            assert not (cancelled and change is Change.CLAIM)
            status, cancelled = after(status, change), cancelled or change is Change.CANCEL
