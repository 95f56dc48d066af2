"""The auditor finds what is planted, and finds nothing in what is right."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from heliograph.domain.instant import SECOND, Instant
from heliograph.domain.lifecycle import Change, Status
from heliograph.domain.outcome import LEASE_LOST
from tests.chaos.auditor import Answer, Expected, Handed, Story, audit, audit_pending
from tests.chaos.workload import new_message

SEND_AT = Instant(1_700_000_000 * SECOND)
CLAIMED = (Change.CLAIM, Status.SENDING)
ACCEPTED = (Change.ACCEPT, Status.SENT)
WRONGLY_ACCEPTED = (Change.ACCEPT, Status.DELIVERED)
DELIVERED = (Change.DELIVER, Status.DELIVERED)
LOST = (Change.LOSE, Status.DELIVERY_UNCONFIRMED)
CANCELLED = (Change.CANCEL, Status.CANCELLED)

Edit = Callable[[Story], object]


def story_of(*log: tuple[Change, Status]) -> Story:
    """A message that was acknowledged and went through `log`."""
    status = log[-1][1] if log else Status.SCHEDULED
    row = replace(new_message(Instant(SEND_AT - SECOND), SEND_AT), status=status)
    return Story(row.id, acknowledged=True, row=row, log=list(log))


def delivered() -> Story:
    story = story_of(CLAIMED, ACCEPTED, DELIVERED)
    story.handed = [Handed(story.message_id, 1, Instant(SEND_AT + 5))]
    story.cancels = [Answer.REFUSED, Answer.REFUSED]
    story.row = story.row and replace(story.row, left_at=Instant(SEND_AT + 4), attempts=1)
    return story


def cancelled() -> Story:
    story = story_of(CANCELLED)
    story.cancels = [Answer.CANCELLED, Answer.CANCELLED]
    return story


def unknown() -> Story:
    story = story_of(CLAIMED, LOST)
    story.row = story.row and replace(story.row, errors=(LEASE_LOST,))
    return story


def hand_over(story: Story) -> None:
    story.handed.append(Handed(story.message_id, len(story.handed) + 1, SEND_AT))


def say(answer: Answer) -> Edit:
    return lambda story: story.cancels.append(answer)


def log(*changes: tuple[Change, Status]) -> Edit:
    return lambda story: setattr(story, "log", list(changes))


def become(**values: object) -> Edit:
    return lambda story: setattr(story, "row", story.row and replace(story.row, **values))


def refuse_the_cancel(story: Story) -> None:
    story.cancels[:] = [Answer.REFUSED]


def hand_over_twice(story: Story) -> None:
    hand_over(story)
    hand_over(story)


def vanish(story: Story) -> None:
    story.row = None


def be_seen_early(story: Story) -> None:
    story.handed = [Handed(story.message_id, 1, Instant(SEND_AT - 1))]


@pytest.mark.parametrize("tell", [delivered, cancelled, unknown])
def test_a_right_story_passes(tell: Callable[[], Story]) -> None:
    assert audit([tell()]) == []


@pytest.mark.parametrize(
    ("tell", "edit", "promise"),
    [
        pytest.param(cancelled, hand_over, "P1", id="sent after its cancel was answered"),
        pytest.param(delivered, say(Answer.CANCELLED), "P1", id="cancel answered both ways"),
        pytest.param(cancelled, become(status=Status.SCHEDULED), "P1", id="cancelled and still scheduled"),
        pytest.param(cancelled, refuse_the_cancel, "P1", id="refused yet cancelled"),
        pytest.param(delivered, vanish, "P2", id="lost accept"),
        pytest.param(cancelled, vanish, "P2", id="lost cancelled message"),
        pytest.param(delivered, become(status=Status.SENT), "P2", id="never final"),
        pytest.param(delivered, hand_over, "P3", id="given twice"),
        pytest.param(unknown, hand_over_twice, "P3", id="unknown and given twice"),
        pytest.param(unknown, become(errors=()), "P3", id="a guess that it was sent"),
        pytest.param(delivered, become(status=Status.EXPIRED), "P3", id="a guess that it was not sent"),
        pytest.param(delivered, lambda story: story.handed.clear(), "P3", id="delivered but never given"),
        pytest.param(delivered, be_seen_early, "P4", id="early by the carrier's record"),
        pytest.param(delivered, become(left_at=Instant(SEND_AT - 1)), "P4", id="early by our own record"),
        pytest.param(delivered, log(CLAIMED, DELIVERED, ACCEPTED), "P5", id="out of order"),
        pytest.param(delivered, log(CLAIMED, ACCEPTED, DELIVERED, CLAIMED), "P5", id="backwards"),
        pytest.param(delivered, log(CLAIMED, ACCEPTED), "P5", id="log short of the row"),
        pytest.param(delivered, log(CLAIMED, WRONGLY_ACCEPTED, DELIVERED), "P5", id="a wrong status logged"),
        pytest.param(cancelled, log(CANCELLED, CANCELLED), "P5", id="the same change twice"),
    ],
)
def test_a_planted_bug_is_found(tell: Callable[[], Story], edit: Edit, promise: str) -> None:
    story = tell()
    edit(story)
    assert promise in {violation.promise for violation in audit([delivered(), story, cancelled()])}


def test_only_a_carrier_that_says_so_may_be_given_a_message_twice() -> None:
    story = delivered()
    hand_over(story)
    assert audit([story], Expected(repeats=True)) == []


def test_an_unfinished_message_passes_only_where_it_is_expected() -> None:
    story = story_of()
    assert [violation.promise for violation in audit([story])] == ["P2"]
    assert audit([story], Expected(unfinished=frozenset({Status.SCHEDULED}))) == []


@pytest.mark.parametrize(("pending", "broken"), [(1, 0), (0, 1), (2, 1)])
def test_a_wrong_count_of_what_is_scheduled_is_found(pending: int, broken: int) -> None:
    assert len(audit_pending([story_of(), cancelled()], pending)) == broken
