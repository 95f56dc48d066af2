"""What must be true after a run, whatever happened in it: the promises P1 to P5 held against what was seen.

    answers to clients  --+
    carrier's own record  +--> Story of each message --> audit --> violations
    row and event log   --+

It believes nobody: the carrier's record is the carrier's, the answers are what clients received.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from heliograph.carriers.smpp.smsc_record import Submit
from heliograph.domain.errors import Code
from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import FINAL, RANK, Change, ImpossibleChange, Status, after, born
from heliograph.domain.message import Message


class Answer(Enum):
    """What a client was told when it asked to cancel. An answer that was lost is none."""

    CANCELLED = "cancelled"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Handed:
    """One time that a message was given to the carrier, by the carrier's record."""

    message_id: str
    attempt: int
    at: Instant | None = None
    """By the clock of the machine; None when the record does not say."""


@dataclass(slots=True)
class Story:
    """Everything that outsiders and the database know of one message."""

    message_id: str
    acknowledged: bool = False
    """A client has a 2xx for it."""
    cancels: list[Answer] = field(default_factory=list)
    """In the order they were given; each was asked for after the one before."""
    handed: list[Handed] = field(default_factory=list)
    row: Message | None = None
    log: list[tuple[Change, Status]] = field(default_factory=list)
    """In the order in which the timeline shows it."""
    logged_at: list[Instant] = field(default_factory=list)
    """When each entry of the log was made, by its id."""
    submits: list[Submit] = field(default_factory=list)
    """By the record of an SMSC, in its order: what it was given of the message, part by part."""
    receipts: list[tuple[str, Instant]] = field(default_factory=list)
    """What our database has of receipts for these: the SMSC's id, and when it was kept."""

    @property
    def changes(self) -> list[Change]:
        """The log without the statuses."""
        return [change for change, _ in self.log]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a run may end with."""

    repeats: bool = False
    """The carrier takes a message twice without harm, so it may be given twice."""
    unfinished: frozenset[Status] = frozenset()
    """Statuses besides the final ones in which a message may be left."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken for a message."""

    promise: str
    message_id: str
    what: str

    def __str__(self) -> str:
        return f"{self.promise} {self.message_id}: {self.what}"


Rule = Callable[[Story, Expected], Iterator[str]]

SHOWN = 20
_UNSENT = frozenset({Status.SCHEDULED, Status.QUEUED, Status.CANCELLED, Status.EXPIRED})


def audit(
    stories: Sequence[Story], expected: Expected = Expected(), promises: Mapping[str, Sequence[Rule]] | None = None
) -> list[Violation]:
    """Every broken promise of every message, by the rules of each promise."""
    return [
        Violation(promise, story.message_id, what)
        for story in stories
        for promise, rules in (RULES if promises is None else promises).items()
        for rule in rules
        for what in rule(story, expected)
    ]


def require_kept(violations: Sequence[Violation]) -> None:
    """Fail with how many there are of each promise, and the first of them in full."""
    broken = Counter(violation.promise for violation in violations)
    assert not violations, "\n".join([f"broken: {dict(broken)}", *map(str, violations[:SHOWN])])


def audit_pending(stories: Sequence[Story], pending: int) -> list[Violation]:
    """The counter that bounds schedules must be the number of scheduled messages."""
    scheduled = sum(1 for story in stories if story.row and story.row.status is Status.SCHEDULED)
    if pending == scheduled:
        return []
    return [Violation("P2", "", f"{pending} counted as scheduled, but {scheduled} are")]


def cancel_is_final(story: Story, _: Expected) -> Iterator[str]:
    """P1: what a client was told is cancelled never reaches the carrier and stays cancelled."""
    if Answer.CANCELLED not in story.cancels:
        return
    if story.handed:
        yield f"answered as cancelled, and given to the carrier {len(story.handed)} times"
    if story.row is None or story.row.status is not Status.CANCELLED:
        yield f"answered as cancelled, and is {_status(story)}"


def refusal_is_final(story: Story, _: Expected) -> Iterator[str]:
    """P1: the answer says which side won, so both sides cannot be told that they did."""
    if len(set(story.cancels)) > 1:
        yield f"cancel was answered {[each.value for each in story.cancels]}"
    if Answer.REFUSED in story.cancels and _status(story) == Status.CANCELLED:
        yield "cancel was refused, and it is cancelled"


def acknowledged_is_kept(story: Story, _: Expected) -> Iterator[str]:
    """P2: a 2xx means that it is there."""
    if story.acknowledged and story.row is None:
        yield "acknowledged, and gone"


def all_come_to_an_end(story: Story, expected: Expected) -> Iterator[str]:
    """P2: what there is has one final status."""
    if story.row is not None and story.row.status not in FINAL | expected.unfinished:
        yield f"left {story.row.status}"


def never_twice(story: Story, expected: Expected) -> Iterator[str]:
    """P3: at most once, where the carrier does not say that twice is safe."""
    if len(story.handed) > 1 and not expected.repeats:
        yield f"given to the carrier {len(story.handed)} times"


def nothing_is_guessed(story: Story, _: Expected) -> Iterator[str]:
    """P3: a row says that it was sent only if it was, that it was not only if it was not, and else that it may be."""
    if story.row is None:
        if story.handed:
            yield "given to the carrier, and unknown to us"
    elif story.row.status in _UNSENT and story.handed:
        yield f"given to the carrier, and is {story.row.status}"
    elif story.row.status in FINAL - _UNSENT and not story.handed and not _unknown(story.row):
        yield f"never given to the carrier, and is {story.row.status}"


def never_early(story: Story, _: Expected) -> Iterator[str]:
    """P4, by the carrier's record and by our own."""
    if story.row is None or story.row.send_at is None:
        return
    for each in story.handed:
        if each.at is not None and each.at < story.row.send_at:
            yield f"given to the carrier {story.row.send_at - each.at} us early"
    if story.row.left_at is not None and story.row.left_at < story.row.send_at:
        yield f"recorded as gone {story.row.send_at - story.row.left_at} us early"


def log_replays(story: Story, _: Expected) -> Iterator[str]:
    """P5: along the table, never backwards, and to the row."""
    if story.row is None:
        return
    status = born(scheduled=story.row.send_at is not None)
    for change, logged in story.log:
        before = status
        try:
            status = after(before, change)
        except ImpossibleChange as impossible:
            yield f"{impossible}: {_shown(story)}"
            return
        if logged is not status or RANK[status] < RANK[before]:
            yield f"{change} led from {before} to {logged}"
    if status is not story.row.status:
        yield f"its log leads to {status}, and it is {story.row.status}: {_shown(story)}"


RULES: Mapping[str, Sequence[Rule]] = {
    "P1": (cancel_is_final, refusal_is_final),
    "P2": (acknowledged_is_kept, all_come_to_an_end),
    "P3": (never_twice, nothing_is_guessed),
    "P4": (never_early,),
    "P5": (log_replays,),
}


def is_unknown(story: Story) -> bool:
    """Whether it is shown as a message of which nobody knows whether the carrier has it."""
    return story.row is not None and _unknown(story.row)


def _unknown(row: Message) -> bool:
    marked = any(error.code == Code.OUTCOME_UNKNOWN for error in row.errors)
    return row.status is Status.DELIVERY_UNCONFIRMED and marked


def _status(story: Story) -> str:
    return story.row.status if story.row else "gone"


def _shown(story: Story) -> str:
    return " ".join(story.changes)
