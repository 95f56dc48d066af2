"""Scripts and the judge: no loop, no clock."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.carriers.sandbox import SCRIPTS
from heliograph.carriers.smpp import smsc_script
from heliograph.carriers.smpp.smsc_script import MAGIC, Answer, Final, IdForm, Judge, ReceiptId, Script, Verdict
from heliograph.carriers.smpp.status import Status
from heliograph.domain.instant import SECOND


def judged(judge: Judge, destination: str = "15550001111", text: str = "hi", in_hand: int = 1, now: int = 0) -> Verdict:
    """A verdict on a message that is like the others."""
    return judge.judge("15550002222", destination, text, in_hand, now)


def answers(script: Script, count: int) -> list[tuple[Answer, int]]:
    """How so many submits at one moment are answered."""
    judge = Judge(script)
    return [(each.answer, each.status) for each in (judged(judge) for _ in range(count))]


OK = (Answer.NOW, 0)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"window": 0}, "window is 0; it must be 1 or more"),
        ({"throttle_every": -1}, "throttle_every is -1; it must be 1 or more"),
        ({"late_delay": -1}, "late_delay is -1; it must be 0 or more"),
        ({"bind_status": 0}, "bind_status is 0; a refusal is 1 to 0xFFFFFFFF"),
        ({"bind_status": 1 << 32}, "bind_status is 4294967296; a refusal is 1 to 0xFFFFFFFF"),
        ({"refuse": {0: 1}}, "refuse is 0; a refusal is 1 to 0xFFFFFFFF"),
        ({"refuse": {8: 0}}, "refuse is every 0; it must be 1 or more"),
        ({"error": 1000}, "error is 1000; it is 0 to 999"),
        ({"first_id": -1}, "first_id is -1; it must be 0 or more"),
        ({"first_id": 1 << 63}, "first_id is 9223372036854775808; the most is 9223372036854775807"),
        (
            {"id_form": IdForm.UUID, "receipt_id": ReceiptId.DECIMAL},
            "a UUID has no form decimal; it has same and upper",
        ),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Script(**values)


def test_passwords_are_not_shown() -> None:
    assert "secret" not in repr(Script(accounts={"me": "secret"}))


def test_a_script_that_says_nothing_takes_everything() -> None:
    assert answers(Script(), 3) == [OK, OK, OK]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (Script(drop_after=2), [OK, (Answer.DROP, 0), OK, OK]),
        (Script(drop_every=2), [OK, (Answer.DROP, 0), OK, (Answer.DROP, 0)]),
        (Script(silent_after=2), [OK, OK, (Answer.NEVER, 0), (Answer.NEVER, 0)]),
        (Script(silent_after=0), [(Answer.NEVER, 0)] * 4),
        (Script(silent_every=3), [OK, OK, (Answer.NEVER, 0), OK]),
        (Script(late_every=2), [OK, (Answer.LATE, 0), OK, (Answer.LATE, 0)]),
        (Script(late_every=2, throttle_every=2), [OK, (Answer.LATE, 0x58), OK, (Answer.LATE, 0x58)]),
        (Script(drop_every=2, silent_every=1), [(Answer.NEVER, 0), (Answer.DROP, 0)] * 2),
        (
            Script(throttle_every=2, queue_full_every=3),
            [OK, (Answer.NOW, 0x58), (Answer.NOW, 0x14), (Answer.NOW, 0x58)],
        ),
        (Script(refuse={8: 2, 0x45: 4}), [OK, (Answer.NOW, 8), OK, (Answer.NOW, 8)]),
        (Script(throttle_above=3), [OK, OK, OK, (Answer.NOW, 0x58)]),
    ],
)
def test_every_rule_counts_all_submits(script: Script, expected: list[tuple[Answer, int]]) -> None:
    assert answers(script, 4) == expected


def test_a_rate_is_of_any_one_second() -> None:
    judge = Judge(Script(throttle_above=2))
    moments = [0, SECOND // 2, SECOND - 1, SECOND, SECOND + 1, SECOND * 3 // 2]
    assert [judged(judge, now=now).status for now in moments] == [0, 0, 0x58, 0, 0x58, 0]


@given(st.lists(st.integers(0, SECOND), max_size=60), st.integers(1, 5))
def test_never_more_are_taken_in_a_second_than_the_rate(waits: list[int], most: int) -> None:
    judge, now, taken = Judge(Script(throttle_above=most)), 0, []
    for wait in waits:
        now += wait
        if judged(judge, now=now).taken:
            taken.append(now)
    assert all(sum(start <= each < start + SECOND for each in taken) <= most for start in taken)


def test_those_beyond_the_window_are_throttled() -> None:
    judge = Judge(Script(window=2))
    assert [judged(judge, in_hand=number).status for number in (1, 2, 3)] == [0, 0, 0x58]


def test_what_is_refused_is_not_taken_and_has_no_receipt() -> None:
    verdict = judged(Judge(Script(throttle_every=1)))
    assert (verdict.taken, verdict.receipts) == (False, 0)


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("script", [{"silent_after": 0}, {"drop_after": 1}])
def test_what_gets_no_answer_is_taken_unless_it_is_lost(script: dict[str, int], lost: bool) -> None:
    assert judged(Judge(Script(unanswered_lost=lost, **script))).taken is not lost  # type: ignore[arg-type]  # all int


def test_silence_and_throttling_can_be_switched() -> None:
    judge = Judge(Script())
    judge.throttles = True
    assert judged(judge).status == Status.RTHROTTLED
    judge.silent = True
    assert judged(judge).answer is Answer.NEVER


def test_delays_are_those_of_the_script() -> None:
    judge = Judge(Script(answer_delay=1, late_delay=2, late_every=2, receipt_delay=3, slow_delay=4))
    assert [judged(judge).delay, judged(judge).delay] == [1, 2]
    assert judged(judge).receipt_delay == 3
    assert judged(judge, "15005550005").receipt_delay == 4


def test_every_so_many_receipts_are_missing() -> None:
    judge = Judge(Script(receipt_missing_every=2))
    assert [judge.receipt_is_missing() for _ in range(4)] == [False, True, False, True]


# --------------------------------------------------------------------------------------------------------------- binds


@pytest.mark.parametrize(
    ("script", "statuses"),
    [
        (Script(), [0, 0, 0]),
        (Script(bind_status=8), [8, 8, 8]),
        (Script(bind_refusals=2), [0x0D, 0x0D, 0]),
        (Script(bind_refusals=2, bind_status=8), [8, 8, 0]),
        (Script(bind_refusals=0, bind_status=8), [0, 0, 0]),
    ],
)
def test_binds_are_refused_as_often_as_it_says(script: Script, statuses: list[int]) -> None:
    judge = Judge(script)
    assert [judge.judge_bind("me", "secret") for _ in range(3)] == statuses


# -------------------------------------------------------------------------------------------------------- magic numbers


def test_the_numbers_are_those_of_the_simulated_carrier() -> None:
    assert {f"+{number}" for number in MAGIC} <= set(SCRIPTS)


def test_they_mean_nothing_where_that_is_said() -> None:
    assert judged(Judge(Script(magic=False)), "15005550003").status == 0


@pytest.mark.parametrize("number", ["15005550003", "+15005550003"])
def test_they_are_known_with_a_plus_and_without(number: str) -> None:
    assert judged(Judge(Script()), number).status == Status.RX_P_APPN


def test_their_end_goes_before_that_of_the_script() -> None:
    judge = Judge(Script(final=Final.EXPIRED, error=7))
    verdicts = [judged(judge, number) for number in ("1", "15005550000", "15005550001", "15005550008")]
    assert [(each.final, each.error, each.receipts) for each in verdicts] == [
        (Final.EXPIRED, 7, 1),
        (Final.DELIVRD, 0, 1),
        (Final.UNDELIV, 11, 1),
        (Final.EXPIRED, 7, 2),
    ]


def test_no_receipt_and_one_before_the_answer() -> None:
    judge = Judge(Script())
    assert judged(judge, "15005550004").receipts == 0
    assert judged(judge, "15005550007").receipt_first


def test_a_first_try_is_throttled_for_each_text() -> None:
    judge = Judge(Script())
    tries = [judged(judge, "15005550006", text) for text in ("a", "b", "b", "a", "a")]
    assert [each.status for each in tries] == [0x58, 0x58, 0, 0, 0x58]


def test_a_first_try_drops_the_link_and_the_second_does_not() -> None:
    judge = Judge(Script())
    tries = [judged(judge, "15005550009") for _ in range(2)]
    assert [(each.answer, each.taken, each.receipts) for each in tries] == [
        (Answer.DROP, True, 0),
        (Answer.NOW, True, 0),
    ]


def test_a_general_rule_goes_before_a_number() -> None:
    judge = Judge(Script(silent_every=1))
    assert judged(judge, "15005550003").answer is Answer.NEVER


def test_of_very_many_first_tries_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smsc_script, "TRIES_KEPT", 2)
    judge = Judge(Script())
    tries = [judged(judge, "15005550006", text).status for text in ("a", "b", "c", "a", "c")]
    assert tries == [0x58, 0x58, 0x58, 0x58, 0]
