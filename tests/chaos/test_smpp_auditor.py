"""The auditor finds what is planted in the evidence of an SMSC, and finds nothing in what is right."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from heliograph.carriers.smpp.smsc_record import Submit
from heliograph.carriers.smpp.smsc_script import Answer as SmscAnswer
from heliograph.carriers.smpp.status import Status as SmscStatus
from heliograph.domain.instant import SECOND, Instant
from heliograph.domain.lifecycle import Change, Status, result
from heliograph.domain.outcome import EXPIRED, LEASE_LOST
from heliograph.store.messages import in_order
from tests.chaos.auditor import Answer, Expected, Handed, Story, audit
from tests.chaos.smpp_auditor import RULES, SETTLED_WITHIN, audit_doubts
from tests.chaos.workload import new_message

SEND_AT = Instant(1_700_000_000 * SECOND)
GIVEN_UP = Instant(SEND_AT + 60 * SECOND)
PARTS = ("Your order is on ", "its way.")
CLAIMED = (Change.CLAIM, Status.SENDING)
DEFERRED = (Change.DEFER, Status.SENDING)
DOUBTED = (Change.DOUBT, Status.SENDING)
ACCEPTED = (Change.ACCEPT, Status.SENT)
DELIVERED = (Change.DELIVER, Status.DELIVERED)
LOST = (Change.LOSE, Status.DELIVERY_UNCONFIRMED)
REFUSED = (Change.REFUSE, Status.SENDING_FAILED)

Edit = Callable[[Story], object]


def submit(number: int, *, status: int = SmscStatus.ROK, answer: SmscAnswer = SmscAnswer.NOW) -> Submit:
    """A line of the SMSC's record about a part of the message."""
    taken = status == SmscStatus.ROK
    return Submit(
        at=Instant(SEND_AT + number),
        command="submit_sm",
        link=1,
        system_id="test",
        sequence=number,
        source="18445550001",
        source_ton=1,
        source_npi=1,
        destination="15005550000",
        destination_ton=1,
        destination_npi=1,
        esm_class=0,
        data_coding=0,
        registered_delivery=1,
        validity_period="",
        text=PARTS[number - 1],
        number=number,
        total=len(PARTS),
        reference=7,
        short_message="",
        message_payload=None,
        user_message_reference=None,
        taken=taken,
        status=status,
        answer=answer,
        message_id=f"a{number}" if taken else "",
    )


THROTTLED = submit(2, status=SmscStatus.RTHROTTLED)
UNANSWERED = submit(2, answer=SmscAnswer.NEVER)
DROPPED = replace(UNANSWERED, answer=SmscAnswer.DROP, taken=False, message_id="")
"""As with `--unanswered-lost`: who sent it cannot know that it was not taken."""
REFUSED_FOR_GOOD = submit(2, status=SmscStatus.RINVDSTADR)


def story_of(submits: list[Submit], *log: tuple[Change, Status], **values: object) -> Story:
    """A message of two parts that was acknowledged and went through `log`."""
    row = new_message(Instant(SEND_AT - SECOND), SEND_AT)
    row = replace(row, text="".join(PARTS), parts=len(PARTS), status=log[-1][1] if log else Status.SCHEDULED, **values)
    handed = [Handed(row.id, number, each.at) for number, each in enumerate(submits, 1)]
    times = [each.at for each in submits] or [SEND_AT]
    logged_at = [times[0] for _ in log]
    return Story(row.id, acknowledged=True, handed=handed, row=row, log=list(log), logged_at=logged_at, submits=submits)


def delivered() -> Story:
    return story_of([submit(1), submit(2)], CLAIMED, ACCEPTED, DELIVERED, carrier_message_id="A1")


def throttled() -> Story:
    """One part was too much at first."""
    log = (CLAIMED, DEFERRED, CLAIMED, ACCEPTED, DELIVERED)
    return story_of([submit(1), THROTTLED, submit(2)], *log, carrier_message_id="a1")


def unknown() -> Story:
    log = (CLAIMED, DOUBTED, LOST)
    return story_of([submit(1), DROPPED], *log, errors=(LEASE_LOST,), completed_at=GIVEN_UP)


def refused() -> Story:
    return story_of([submit(1), REFUSED_FOR_GOOD], CLAIMED, REFUSED)


def expired() -> Story:
    log = (CLAIMED, DEFERRED, (Change.EXPIRE, Status.EXPIRED))
    return story_of([submit(1, status=SmscStatus.RTHROTTLED)], *log, errors=(EXPIRED,))


def cancelled() -> Story:
    story = story_of([], (Change.CANCEL, Status.CANCELLED))
    story.cancels = [Answer.CANCELLED]
    return story


def given(*submits: Submit) -> Edit:
    """The SMSC's record says this."""

    def edit(story: Story) -> None:
        story.submits = list(submits)
        story.handed = [Handed(story.message_id, number, each.at) for number, each in enumerate(submits, 1)]

    return edit


def become(**values: object) -> Edit:
    return lambda story: setattr(story, "row", story.row and replace(story.row, **values))


def vanish(story: Story) -> None:
    story.row = None


def end_twice(story: Story) -> None:
    story.log.append(story.log[-1])


RIGHT = [delivered, throttled, unknown, refused, expired, cancelled]


@pytest.mark.parametrize("tell", RIGHT)
def test_a_right_story_passes(tell: Callable[[], Story]) -> None:
    assert audit([tell()], promises=RULES) == []


@pytest.mark.parametrize(
    ("tell", "edit", "promise"),
    [
        pytest.param(cancelled, given(submit(1)), "P1", id="a part left after the cancel was answered"),
        pytest.param(cancelled, given(THROTTLED), "P1", id="refused, but it left after the cancel was answered"),
        pytest.param(delivered, vanish, "P2", id="lost accept"),
        pytest.param(delivered, become(status=Status.SENT), "P2", id="never final"),
        pytest.param(delivered, given(submit(1), replace(submit(2), text="?")), "P2", id="another text"),
        pytest.param(delivered, given(submit(1), replace(submit(2), destination="1")), "P2", id="somebody else"),
        pytest.param(delivered, given(submit(1), submit(1), submit(2)), "P3", id="a part given twice"),
        pytest.param(unknown, given(submit(1), UNANSWERED, submit(2)), "P3", id="given again without an answer"),
        pytest.param(unknown, given(submit(1), DROPPED, submit(2)), "P3", id="given again after the link was cut"),
        pytest.param(delivered, given(submit(2), submit(1)), "P3", id="parts in the wrong order"),
        pytest.param(throttled, given(THROTTLED, submit(1), submit(2)), "P3", id="the second part first"),
        pytest.param(
            delivered, given(submit(1), replace(submit(2), reference=8)), "P3", id="parts that do not belong together"
        ),
        pytest.param(delivered, given(submit(1)), "P3", id="delivered without its second part"),
        pytest.param(delivered, given(), "P3", id="delivered but never given"),
        pytest.param(unknown, become(errors=()), "P3", id="a guess that it was taken"),
        pytest.param(delivered, become(carrier_message_id="b1"), "P3", id="the id of another message"),
        pytest.param(delivered, become(recipient="+15005550001"), "P3", id="delivered where the receipt says not"),
        pytest.param(delivered, become(status=Status.DELIVERY_FAILED), "P3", id="failed where the receipt says not"),
        pytest.param(refused, given(submit(1), submit(2)), "P3", id="failed but taken as a whole"),
        pytest.param(refused, given(submit(1), DROPPED), "P3", id="failed though nobody knows"),
        pytest.param(refused, given(submit(1), THROTTLED), "P3", id="failed though it was only too much"),
        pytest.param(expired, given(submit(1)), "P3", id="expired but taken"),
        pytest.param(expired, given(submit(1), DROPPED), "P3", id="expired though nobody knows"),
        pytest.param(expired, become(status=Status.SCHEDULED), "P3", id="given and shown as scheduled"),
        pytest.param(delivered, vanish, "P3", id="given and unknown to us"),
        pytest.param(delivered, become(send_at=Instant(SEND_AT + SECOND)), "P4", id="early by the carrier's record"),
        pytest.param(delivered, end_twice, "P5", id="two ends"),
        pytest.param(unknown, lambda story: story.log.insert(1, ACCEPTED), "P5", id="backwards"),
    ],
)
def test_a_planted_bug_is_found(tell: Callable[[], Story], edit: Edit, promise: str) -> None:
    story = tell()
    edit(story)
    assert promise in {violation.promise for violation in audit([delivered(), story, cancelled()], promises=RULES)}


def test_only_a_carrier_that_says_so_may_be_given_a_part_twice() -> None:
    story = delivered()
    given(submit(1), submit(1), submit(2))(story)
    assert audit([story], Expected(repeats=True), RULES) == []


def test_a_log_of_two_servers_whose_clocks_differ_is_read_in_the_order_of_statuses() -> None:
    ids = {ACCEPTED: "02", CLAIMED: "01", DELIVERED: "01-by-the-slower-clock"}
    log = [{"id": name, "change": change.value, "status": status.value} for (change, status), name in ids.items()]
    assert [row["change"] for row in in_order(log)] == [Change.CLAIM, Change.ACCEPT, Change.DELIVER]


def test_a_log_of_a_clock_that_was_put_back_is_read_try_by_try() -> None:
    told = {"09": Change.CLAIM, "01": Change.DEFER, "02": Change.CLAIM, "03": Change.DEFER, "04": Change.CLAIM}
    log = [{"id": name, "change": each.value, "status": result(each).value} for name, each in told.items()]
    tries = [Change.CLAIM, Change.DEFER, Change.CLAIM, Change.DEFER, Change.CLAIM]
    assert [row["change"] for row in in_order(log)] == tries


# ---------------------------------------------------------------------------------------------- doubts and receipts


def told_of() -> Story:
    """A message of one part that was given up although its receipt was there."""
    story = story_of([submit(1)], CLAIMED, DOUBTED, LOST, errors=(LEASE_LOST,), completed_at=GIVEN_UP)
    become(parts=1, text=PARTS[0])(story)
    story.receipts = [("a1", SEND_AT)]
    return story


def test_a_receipt_that_was_there_for_long_and_settled_nothing_is_found() -> None:
    assert [violation.promise for violation in audit_doubts([told_of()])] == ["P3"]


def test_a_receipt_that_was_about_to_settle_a_doubt_is_none_that_did_not() -> None:
    late, doubted_late = told_of(), told_of()
    late.receipts = [("a1", Instant(GIVEN_UP - SETTLED_WITHIN + 1))]
    doubted_late.logged_at = [Instant(GIVEN_UP - SETTLED_WITHIN + 1)] * 3
    assert audit_doubts([late]) == []
    assert audit_doubts([doubted_late]) == []


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda story: story.receipts.clear(), id="no receipt"),
        pytest.param(become(parts=2), id="several parts"),
        pytest.param(become(errors=()), id="not unknown"),
    ],
)
def test_a_doubt_that_no_receipt_could_settle_is_right(edit: Edit) -> None:
    story = told_of()
    edit(story)
    assert audit_doubts([story]) == []


def test_a_receipt_that_could_be_for_two_messages_need_not_settle_either() -> None:
    assert audit_doubts([told_of(), told_of()]) == []
