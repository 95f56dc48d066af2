"""A sender's rate is a due time."""

import dataclasses
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from heliograph.domain.instant import HOUR, MINUTE, SECOND, Instant
from heliograph.domain.lifecycle import Status
from heliograph.domain.message import MessageType
from heliograph.domain.pacing import UNPACED, Pace, QueueFull, Rates, Slots, carrier_key, paces_of, room_until
from tests.domain.messages import NOW, a_message

RATES = Rates(
    long_code=10 * SECOND,
    toll_free=SECOND // 20,
    short_code=SECOND // 1000,
    alphanumeric=7 * SECOND,
    campaign=SECOND,
    account=SECOND // 50,
    account_mms=SECOND // 15,
    queue=HOUR,
)
SENDER, ACCOUNT = Pace("sender", 10 * SECOND, HOUR), Pace("account", SECOND, HOUR)


def at(micros: int) -> Instant:
    return Instant(NOW + micros)


def slots(**next_at: int) -> Slots:
    return Slots({key: at(micros) for key, micros in next_at.items()}, NOW)


# -------------------------------------------------------------------------------------------------------- which rates


@pytest.mark.parametrize(
    ("sender", "interval"),
    [
        ("+13125550100", RATES.long_code),
        ("+18445550001", RATES.toll_free),
        ("12345", RATES.short_code),
        ("Heliograph", RATES.alphanumeric),
    ],
)
def test_each_kind_of_sender_has_its_rate(sender: str, interval: int) -> None:
    assert [each.interval for each in paces_of(a_message(sender=sender), RATES)] == [interval, RATES.account]


def test_a_long_code_of_a_campaign_has_the_rate_of_campaigns() -> None:
    message = a_message(sender="+13125550100")
    facts = replace(message.facts, campaign_id="CABC123")
    assert paces_of(replace(message, facts=facts), RATES)[0].interval == RATES.campaign


def of_campaign(message_class: str, sender: str = "+13125550100", **given: Any) -> Any:
    """A message of a number of a registered campaign."""
    message = a_message(sender=sender, **given)
    return replace(message, facts=replace(message.facts, campaign_id="CABC123", campaign_class=message_class))


def test_the_numbers_of_a_registered_campaign_share_the_rate_of_its_class() -> None:
    one, other = (paces_of(of_campaign("W", sender), RATES)[0] for sender in ("+13125550100", "+13125550101"))
    assert one == other == Pace("campaign:CABC123:sms", 4 * SECOND, RATES.queue)
    mms = paces_of(of_campaign("W", type=MessageType.MMS), RATES)[0]
    assert (mms.key, mms.interval) == ("campaign:CABC123:mms", MINUTE // 50)


def test_in_some_classes_each_number_has_the_rate_by_itself() -> None:
    one, other = (paces_of(of_campaign("G", sender), RATES)[0] for sender in ("+13125550100", "+13125550101"))
    assert one.key != other.key
    assert (one.interval, other.interval) == (SECOND, SECOND)


def test_where_campaigns_have_no_bound_their_classes_have_none() -> None:
    unbounded = dataclasses.replace(RATES, campaign=0)
    assert [each.interval for each in paces_of(of_campaign("W"), unbounded)] == [RATES.account]


def test_a_class_is_for_long_codes_only() -> None:
    assert paces_of(of_campaign("W", "+18445550001"), RATES)[0].interval == RATES.toll_free


def test_mms_and_sms_of_one_sender_have_queues_of_their_own() -> None:
    sms, mms = a_message(), a_message(type=MessageType.MMS)
    keys = {each.key for message in (sms, mms) for each in paces_of(message, RATES)}
    assert len(keys) == 4
    assert paces_of(mms, RATES)[1].interval == RATES.account_mms


def test_the_same_number_of_another_organisation_has_another_queue() -> None:
    mine, theirs = a_message(), a_message(organization_id="00000000-0000-7000-8000-000000000009")
    assert not {each.key for each in paces_of(mine, RATES)} & {each.key for each in paces_of(theirs, RATES)}


def test_where_there_are_no_rates_there_are_no_paces() -> None:
    assert list(paces_of(a_message(), UNPACED)) == []


def test_a_rate_of_zero_is_no_bound() -> None:
    unbounded = Rates(0, 0, 0, 0, 0, account=SECOND, account_mms=0, queue=HOUR)
    assert [each.interval for each in paces_of(a_message(), unbounded)] == [SECOND]
    assert list(paces_of(a_message(type=MessageType.MMS), unbounded)) == []


def test_a_carrier_is_no_sender() -> None:
    assert carrier_key("sender") not in {each.key for each in paces_of(a_message(), RATES)}


# -------------------------------------------------------------------------------------------------------------- slots


def test_the_first_message_is_due_at_once() -> None:
    assert slots().take([SENDER], 1) == NOW


def test_a_slot_that_is_long_past_is_not_made_up_for() -> None:
    idle = slots(sender=-HOUR)
    assert [idle.take([SENDER], 1) for _ in range(2)] == [NOW, at(10 * SECOND)]


def test_each_part_takes_a_slot() -> None:
    held = slots()
    assert [held.take([SENDER], 3), held.take([SENDER], 1)] == [NOW, at(30 * SECOND)]


def test_the_slower_of_two_rates_says_when() -> None:
    assert slots(account=5 * SECOND).take([SENDER, ACCOUNT], 1) == at(5 * SECOND)
    assert slots(sender=5 * SECOND).take([SENDER, ACCOUNT], 1) == at(5 * SECOND)


def test_a_sender_that_waited_for_its_account_does_not_leave_in_a_burst() -> None:
    held = slots(account=100 * SECOND)
    due = [held.take([SENDER, ACCOUNT], 1) for _ in range(3)]
    assert [later - sooner for sooner, later in pairwise(due)] == [10 * SECOND, 10 * SECOND]


def test_a_sender_with_a_long_queue_keeps_no_slots_from_the_others() -> None:
    held, other = slots(sender=10 * MINUTE), Pace("other", SECOND, HOUR)
    assert held.take([SENDER, ACCOUNT], 1) == at(10 * MINUTE)
    assert held.take([other, ACCOUNT], 1) == at(SECOND)


def test_where_there_is_no_rate_it_is_due_now() -> None:
    held = slots()
    assert held.take([], 5) == NOW
    assert held.next_at == {}


def test_a_full_queue_says_what_waits_and_what_may_and_takes_nothing() -> None:
    held = slots(sender=HOUR, account=MINUTE)
    with pytest.raises(QueueFull, match=r"^360 parts wait, and the limit is 360: wait, then send again\.$") as full:
        held.take([ACCOUNT, SENDER], 1)
    assert full.value.limit == 360
    assert held.next_at == {"sender": at(HOUR), "account": at(MINUTE)}


def test_the_last_part_that_fits_is_taken() -> None:
    held = slots(sender=HOUR - 10 * SECOND)
    assert held.take([SENDER], 1) == at(HOUR - 10 * SECOND)
    with pytest.raises(QueueFull):
        held.take([SENDER], 1)


def test_a_message_larger_than_the_queue_is_taken_when_nothing_waits() -> None:
    tiny = Pace("sender", 10 * SECOND, 20 * SECOND)
    assert slots().take([tiny], 5) == NOW
    with pytest.raises(QueueFull):
        slots(sender=1).take([tiny], 5)


def test_a_queue_without_a_limit_is_never_full() -> None:
    endless = Pace("sender", 10 * SECOND, 0)
    assert slots(sender=1000 * HOUR).take([endless], 5) == at(1000 * HOUR)


TAKES = st.lists(st.tuples(st.integers(0, 30 * SECOND), st.integers(1, 6), st.booleans()), max_size=40)
"""Each: how long after the one before, how many parts, and whether of the one sender or of another."""


def taken(takes: list[tuple[int, int, bool]]) -> list[tuple[Instant, Instant, int, bool]]:
    """When each was asked for, when it is due, its parts, and whose it is; the database kept the slots in between."""
    next_at: dict[str, Instant] = {}
    now, found = NOW, []
    other = Pace("other", SECOND // 2, 0)
    for pause, parts, mine in takes:
        now = Instant(now + pause)
        held = Slots(dict(next_at), now)
        due = held.take([without_limit(SENDER) if mine else other, without_limit(ACCOUNT)], parts)
        next_at |= held.next_at
        found.append((now, due, parts, mine))
    return found


def without_limit(pace: Pace) -> Pace:
    return Pace(pace.key, pace.interval, 0)


@given(TAKES)
def test_no_two_parts_of_a_sender_are_closer_than_its_interval(takes: Any) -> None:
    mine = [(due, parts) for _, due, parts, sender in taken(takes) if sender]
    for (sooner, parts), (later, _) in pairwise(mine):
        assert later - sooner >= parts * SENDER.interval


@given(TAKES)
def test_what_is_asked_for_first_is_due_first_and_nothing_before_it_is_asked_for(takes: Any) -> None:
    found = taken(takes)
    assert all(due >= now for now, due, _, _ in found)
    mine = [due for _, due, _, sender in found if sender]
    assert mine == sorted(mine)


@given(TAKES)
def test_from_the_start_to_any_moment_an_account_sends_no_more_than_its_rate(takes: Any) -> None:
    found = taken(takes)
    for _, until, _, _ in found:
        parts = [each for _, due, each, _ in found if due <= until]
        # All but one message has its slots within the time.
        assert (sum(parts) - max(parts)) * ACCOUNT.interval <= until - NOW


@given(TAKES, st.integers(1, 30))
def test_in_any_period_one_rate_alone_lets_no_more_through(takes: Any, periods: int) -> None:
    alone, now, found = without_limit(SENDER), NOW, []
    next_at: dict[str, Instant] = {}
    for pause, parts, _ in takes:
        now = Instant(now + pause)
        held = Slots(dict(next_at), now)
        found.append((held.take([alone], parts), parts))
        next_at = held.next_at
    for start, _ in found:
        inside = [(due, parts) for due, parts in found if start <= due < start + periods * alone.interval]
        # The parts of a message leave together; those of all but the last have their slots within the period.
        assert sum(parts for _, parts in inside[:-1]) < periods or len(inside) == 1


@given(TAKES)
def test_a_queue_never_gets_longer_than_its_limit(takes: Any) -> None:
    limited, held = Pace("sender", 10 * SECOND, 5 * MINUTE), slots()
    for _, parts, _ in takes:
        try:
            held.take([limited], parts)
        except QueueFull:
            assert held.next_at["sender"] + parts * limited.interval > at(limited.queue)
        assert held.next_at["sender"] <= at(limited.queue)


# ---------------------------------------------------------------------------------------------------- a message's wait


def test_a_postponed_message_is_valid_as_long_as_it_was_from_when_it_is_due() -> None:
    message = a_message()
    later = message.postponed(at(2 * HOUR))
    assert (later.due_at, later.valid_until) == (at(2 * HOUR), at(3 * HOUR))


def test_a_message_is_never_valid_for_less_than_before() -> None:
    assert a_message().postponed(at(-HOUR)).valid_until == a_message().valid_until


def test_the_wait_of_a_message_for_now_is_counted_from_when_it_was_taken() -> None:
    assert a_message().postponed(at(7 * HOUR)).wait == 7 * HOUR
    assert a_message().wait == 0


def test_the_wait_of_a_scheduled_message_is_counted_from_its_time() -> None:
    message = a_message(send_at=at(HOUR), due_at=at(HOUR))
    assert message.postponed(at(HOUR + MINUTE)).wait == MINUTE


@pytest.mark.parametrize("status", [each for each in Status if each is not Status.QUEUED])
def test_only_what_is_queued_waits(status: Status) -> None:
    assert a_message(status=status, due_at=at(HOUR)).wait == 0


# ------------------------------------------------------------------------------------------------- room at a carrier


def test_as_much_as_falls_into_the_horizon_may_leave_at_once() -> None:
    assert room_until(NOW, NOW, SECOND // 100, SECOND // 4) == 26


def test_at_a_slow_carrier_there_is_room_for_one_when_its_slot_has_come() -> None:
    assert room_until(NOW, NOW, MINUTE, SECOND // 4) == 1


def test_before_its_slot_comes_into_the_horizon_there_is_no_room() -> None:
    assert room_until(at(SECOND // 4 + 1), NOW, SECOND, SECOND // 4) == 0
    assert room_until(at(SECOND // 4), NOW, SECOND, SECOND // 4) == 1


def test_slots_that_were_not_used_are_not_made_up_for() -> None:
    assert room_until(at(-HOUR), NOW, SECOND // 100, SECOND // 4) == 26


@given(st.lists(st.tuples(st.integers(0, SECOND), st.integers(0, 40)), max_size=40), st.integers(1, SECOND))
def test_over_any_time_a_carrier_is_given_its_rate_and_one_horizon_more(looks: Any, interval: int) -> None:
    horizon, next_at, now, given_at = SECOND // 4, NOW, NOW, []
    for pause, wanted in looks:
        now = Instant(now + pause)
        parts = min(wanted, room_until(next_at, now, interval, horizon))
        given_at += [now] * parts
        next_at = Instant(max(next_at, now) + parts * interval)
    for first, start in enumerate(given_at):
        for last in range(first, len(given_at)):
            assert (last - first) * interval <= given_at[last] - start + horizon
