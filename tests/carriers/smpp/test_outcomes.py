"""What a message comes to when one of its parts ends without being taken."""

import pytest

from heliograph.carriers.interface import OutcomeUnknown, Refused, TemporarilyRefused, Throttled, Unreachable
from heliograph.carriers.smpp.events import Answered, NotSent, Reason, Unanswered
from heliograph.carriers.smpp.outcomes import code_of, failure, throttled, unreachable
from heliograph.carriers.smpp.pdu import SubmitSmResp
from heliograph.carriers.smpp.status import Kind, Status, kind_of
from heliograph.domain.errors import Code


def answered(status: int) -> Answered:
    return Answered(1, status, "", SubmitSmResp())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (Status.RINVDSTADR, Refused),
        (Status.RTHROTTLED, Throttled),
        (Status.RMSGQFUL, Throttled),
        (Status.RSYSERR, TemporarilyRefused),
        (0x410, TemporarilyRefused),
    ],
)
def test_an_answer_is_a_failure_of_its_kind(status: int, kind: type[Exception]) -> None:
    found = failure(answered(status), [], 1)
    assert type(found) is kind
    assert found.taken == ()


def test_what_was_taken_before_it_is_told() -> None:
    found = failure(answered(Status.RINVDSTADR), ["a", "b"], 4)
    assert (found.taken, found.parts) == (("a", "b"), 4)
    assert found.error.detail == "Part 3 of 4 was refused by the carrier with ESME_RINVDSTADR."
    assert found.error.code == Code.INVALID_DESTINATION


def test_a_message_of_one_part_needs_no_number() -> None:
    assert failure(answered(0x410), [], 1).error.detail == "It was refused by the carrier with 0x00000410."


def test_what_was_not_answered_is_unknown_and_leaves_a_hole() -> None:
    found = failure(Unanswered(1, Reason.LOST), ["a"], 3)
    assert type(found) is OutcomeUnknown
    assert (found.taken, found.parts) == (("a", None), 3)
    assert found.error.code == Code.OUTCOME_UNKNOWN
    assert failure(Unanswered(1, Reason.NO_ANSWER), [], 1).taken == (None,)


def test_what_was_not_sent_leaves_none() -> None:
    for found in (failure(NotSent(1, Reason.NO_ROOM), ["a"], 3), unreachable("no bind", ["a"], 3)):
        assert type(found) is Unreachable
        assert (found.taken, found.parts) == (("a",), 3)
    assert throttled(["a"], 2).taken == ("a",)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (Status.RINVDSTADR, "40012"),
        (Status.RINVDSTTON, "40012"),
        (Status.RINVSRCADR, "40013"),
        (Status.RINVSRCNPI, "40013"),
        (Status.RINVMSGLEN, "40009"),
        (Status.RX_R_APPN, "40004"),
        (Status.RTHROTTLED, "40011"),
        (Status.RMSGQFUL, "40011"),
        (Status.RSYSERR, "40006"),
        (Status.RINVSERTYP, "40008"),
        (0x410, "40006"),
    ],
)
def test_a_status_has_its_code(status: int, code: str) -> None:
    assert code_of(status) == code


def test_every_status_has_a_code_of_delivery() -> None:
    for status in Status:
        if kind_of(status) is not Kind.OK:
            assert code_of(status).startswith("400")
