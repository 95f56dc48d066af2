"""The rules of the auditor for carriers that are given messages part by part, over SMPP.

The SMSC's record file says what it was given, whether it took it, and whether it answered. What it took or did not
answer may have been delivered: such a submit is `spent`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from heliograph.carriers.smpp.smsc_record import Submit
from heliograph.carriers.smpp.smsc_script import MAGIC, Answer, Final
from heliograph.carriers.smpp.status import Kind, Status, kind_of
from heliograph.domain.instant import SECOND
from heliograph.domain.lifecycle import FINAL, Change
from heliograph.domain.lifecycle import Status as MessageStatus
from heliograph.domain.message import Message
from heliograph.domain.receipt import normal
from tests.chaos.auditor import (
    Expected,
    Rule,
    Story,
    Violation,
    acknowledged_is_kept,
    all_come_to_an_end,
    cancel_is_final,
    is_unknown,
    log_replays,
    never_early,
    refusal_is_final,
)

SETTLED_WITHIN = 5 * SECOND // 2
"""A receipt that was there for so long before a message was given up should have settled it: it is two looks of the
upkeep."""

_UNTOUCHED = frozenset({MessageStatus.SCHEDULED, MessageStatus.QUEUED, MessageStatus.CANCELLED})
_TAKEN = frozenset(
    {
        MessageStatus.SENT,
        MessageStatus.DELIVERED,
        MessageStatus.DELIVERY_FAILED,
        MessageStatus.DELIVERY_UNCONFIRMED,
    }
)
_BAD_ENDS = frozenset({Final.EXPIRED, Final.DELETED, Final.UNDELIV, Final.REJECTD})


def no_part_twice(story: Story, expected: Expected) -> Iterator[str]:
    """P3: a part may be given again after a refusal, and after nothing else."""
    if expected.repeats:
        return
    spent: set[int] = set()
    for each in story.submits:
        if each.number in spent:
            yield f"part {each.number} was given again, though the carrier may have it"
        if is_spent(each):
            spent.add(each.number)


def parts_in_order(story: Story, _: Expected) -> Iterator[str]:
    """P3: a part leaves once the one before it was taken, under the one reference of its message."""
    taken = {0}
    for each in story.submits:
        if each.number - 1 not in taken:
            yield f"part {each.number} was given before part {each.number - 1} was taken"
        if each.taken:
            taken.add(each.number)
    if len({(each.reference, each.total) for each in story.submits}) > 1:
        yield "its parts do not belong together"


def is_what_was_asked_for(story: Story, _: Expected) -> Iterator[str]:
    """P2: what a carrier took as a whole is the message, for whom it was."""
    texts = {each.number: each.text for each in story.submits if each.taken}
    row = story.row
    if row is None:
        return
    if len(texts) == row.parts and "".join(texts[number] for number in sorted(texts)) != row.text:
        yield "the carrier was given another text"
    if {each.destination for each in story.submits} - {row.recipient.removeprefix("+")}:
        yield "the carrier was given it for somebody else"


def nothing_is_guessed(story: Story, _: Expected) -> Iterator[str]:
    """P3: a row says that it was sent only if it was, that it was not only if it was not, and else that it may be."""
    row = story.row
    if row is None:
        if story.submits:
            yield "given to the carrier, and unknown to us"
    elif row.status in _UNTOUCHED and story.submits:
        yield f"given to the carrier, and is {row.status}"
    elif row.status is MessageStatus.EXPIRED and any(map(is_spent, story.submits)):
        yield "may have been taken, and is shown as expired unsent"
    elif row.status is MessageStatus.SENDING_FAILED:
        yield from _failed_rightly(row, story.submits)
    elif row.status in _TAKEN and not is_unknown(story) and not _whole(row, story.submits):
        yield f"the carrier does not have all of it, and it is {row.status}"


def _failed_rightly(row: Message, submits: Sequence[Submit]) -> Iterator[str]:
    if _whole(row, submits):
        yield "the carrier has all of it, and it is shown as failed"
    if any(is_spent(each) and not each.taken for each in submits):
        yield "the carrier may have a part of it, and it is shown as failed"
    if submits and kind_of(submits[-1].status) is not Kind.PERMANENT:
        yield "it is shown as failed, and was not refused for good"


def nothing_is_mistaken(story: Story, _: Expected) -> Iterator[str]:
    """P3: a message that is shown as taken has the id that the carrier gave this message, and no other's."""
    row = story.row
    if row is None or row.carrier_message_id is None or row.status not in _TAKEN:
        return
    own = {normal(each.message_id) for each in story.submits if each.taken}
    if normal(row.carrier_message_id) not in own:
        yield f"it is {row.status} as {row.carrier_message_id}, which is not its id"


def tells_what_receipts_told(story: Story, _: Expected) -> Iterator[str]:
    """P3: delivered and not delivered are what the carrier says of that number."""
    row = story.row
    if row is None:
        return
    magic = MAGIC.get(row.recipient.removeprefix("+"))
    final = (magic.final if magic else None) or Final.DELIVRD
    if row.status is MessageStatus.DELIVERED and final in _BAD_ENDS:
        yield f"it is delivered, and the carrier said {final}"
    if row.status is MessageStatus.DELIVERY_FAILED and final not in _BAD_ENDS:
        yield f"it is not delivered, and the carrier said {final}"


def audit_doubts(stories: Sequence[Story]) -> list[Violation]:
    """P3: a receipt settles what was in doubt, where it can be for no other message.

    So it is for a message of one part that has its recipient for itself.
    """
    recipients = Counter(story.row.recipient for story in stories if story.row)
    return [
        Violation("P3", story.message_id, "it was given up as unknown, and its receipt had been there for long")
        for story in stories
        if story.row and story.row.parts == 1 and recipients[story.row.recipient] == 1 and _was_told(story, story.row)
    ]


def _was_told(story: Story, row: Message) -> bool:
    if not is_unknown(story) or row.completed_at is None or Change.DOUBT not in story.changes:
        return False
    doubted = max(at for change, at in zip(story.changes, story.logged_at, strict=True) if change is Change.DOUBT)
    since = row.completed_at - SETTLED_WITHIN
    return doubted <= since and any(at <= since for _, at in story.receipts)


def ends_once(story: Story, _: Expected) -> Iterator[str]:
    """P5: there is one entry in the log that ends a message, and it is the last."""
    ends = sum(status in FINAL for _, status in story.log)
    if story.row is not None and story.row.status in FINAL and ends != 1:
        yield f"its log has {ends} ends"


def is_spent(submit: Submit) -> bool:
    """Whether its message may have been delivered, for all that whoever sent it can know."""
    return submit.taken or submit.answer in {Answer.NEVER, Answer.DROP} or submit.status == Status.ROK


def _whole(row: Message, submits: Sequence[Submit]) -> bool:
    return {each.number for each in submits if each.taken} == set(range(1, row.parts + 1))


RULES: Mapping[str, Sequence[Rule]] = {
    "P1": (cancel_is_final, refusal_is_final),
    "P2": (acknowledged_is_kept, all_come_to_an_end, is_what_was_asked_for),
    "P3": (no_part_twice, parts_in_order, nothing_is_guessed, nothing_is_mistaken, tells_what_receipts_told),
    "P4": (never_early,),
    "P5": (log_replays, ends_once),
}
