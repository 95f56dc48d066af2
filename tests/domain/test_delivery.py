"""What follows from one attempt to deliver an event."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.delivery import (
    LONGEST_REST,
    Attempted,
    DeliveryStatus,
    Fault,
    Tries,
    Verdict,
    judge,
)
from heliograph.domain.instant import DAY, HOUR, MINUTE, SECOND, Instant

NOW = Instant(1_000 * DAY)
POLICY = Tries(per_url=3, retry_base=SECOND, retry_max=MINUTE)
NO_ANSWER = Attempted(None, Fault.NO_CONNECTION)
BROKEN, GONE, BUSY = Attempted(500), Attempted(410), Attempted(429)

statuses = st.one_of(st.integers(100, 599), st.sampled_from([200, 204, 301, 404, 410, 429, 500, 503]))
waits = st.one_of(st.none(), st.integers(-DAY, 30 * DAY))
answers = st.builds(Attempted, statuses, retry_after=waits)
attempts = st.one_of(answers, st.builds(Attempted, st.none(), st.sampled_from([None, *Fault])))
failures = attempts.filter(lambda attempted: not attempted.taken)
chances = st.floats(min_value=0, max_value=1, exclude_max=True)
policies = st.builds(
    Tries,
    per_url=st.integers(1, 5),
    retry_base=st.integers(0, HOUR),
    retry_max=st.integers(0, 2 * DAY),
)


def verdict(
    attempted: Attempted, *, position: int = 0, tries: int = 0, urls: int = 2, policy: Tries = POLICY
) -> Verdict:
    """What follows, with no luck in it."""
    return judge(attempted, position, tries, urls, policy, NOW, 0.0)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_delivers(status: int) -> None:
    assert verdict(Attempted(status), position=1, tries=2) == Verdict(DeliveryStatus.DELIVERED, 1, 3, None)


@pytest.mark.parametrize("attempted", [NO_ANSWER, BROKEN, Attempted(199), Attempted(300), Attempted(302)])
def test_what_is_not_taken_is_tried_again_at_the_same_url_after_a_wait(attempted: Attempted) -> None:
    assert verdict(attempted) == Verdict(DeliveryStatus.PENDING, 0, 1, Instant(NOW + SECOND // 2))


def test_the_wait_grows() -> None:
    dues = [verdict(BROKEN, tries=tries).due_at for tries in (0, 1)]
    assert dues == [NOW + SECOND // 2, NOW + SECOND]


def test_after_its_last_try_the_next_url_is_tried_at_once() -> None:
    assert verdict(BROKEN, tries=2) == Verdict(DeliveryStatus.PENDING, 1, 0, NOW)


def test_after_the_last_try_at_the_last_url_it_has_failed() -> None:
    assert verdict(BROKEN, position=1, tries=2) == Verdict(DeliveryStatus.FAILED, 1, 3, None)


def test_an_endpoint_that_is_gone_is_not_tried_again() -> None:
    assert verdict(GONE) == Verdict(DeliveryStatus.PENDING, 1, 0, NOW, gone=True)
    assert verdict(GONE, position=1) == Verdict(DeliveryStatus.FAILED, 1, 1, None, gone=True)


def test_a_url_that_its_owner_took_away_meanwhile_ends_the_delivery() -> None:
    assert verdict(BROKEN, position=3, tries=2, urls=1).status is DeliveryStatus.FAILED


@pytest.mark.parametrize("status", [429, 503])
def test_an_endpoint_is_left_alone_as_long_as_it_asks(status: int) -> None:
    found = verdict(Attempted(status, retry_after=MINUTE))
    assert (found.rest_until, found.due_at) == (NOW + MINUTE, NOW + MINUTE)


def test_it_rests_also_when_the_next_url_is_tried_at_once() -> None:
    found = verdict(Attempted(429, retry_after=MINUTE), tries=2)
    assert (found.position, found.rest_until, found.due_at) == (1, NOW + MINUTE, NOW)


def test_429_alone_is_a_rest_of_one_wait_and_500_is_none() -> None:
    assert verdict(BUSY).rest_until == NOW + SECOND // 2
    assert verdict(BROKEN).rest_until is None
    assert verdict(Attempted(500, retry_after=HOUR)).rest_until is None
    assert verdict(Attempted(503)).rest_until is None


def test_a_wait_that_is_over_already_shortens_nothing() -> None:
    found = verdict(Attempted(429, retry_after=-DAY))
    assert (found.rest_until, found.due_at) == (NOW, NOW + SECOND // 2)


def test_no_endpoint_rests_longer_than_an_hour() -> None:
    assert verdict(Attempted(429, retry_after=10**30)).rest_until == NOW + HOUR
    slow = replace(POLICY, retry_base=DAY, retry_max=2 * DAY)
    assert verdict(BUSY, policy=slow).rest_until == NOW + HOUR


@pytest.mark.parametrize(
    ("attempted", "codes"),
    [
        (Attempted(200), ()),
        (Attempted(204), (75299,)),
        (Attempted(302), (75300,)),
        (Attempted(400), (75400,)),
        (Attempted(404), (75404,)),
        (Attempted(410), (75499,)),
        (Attempted(500), (75500,)),
        (Attempted(503), (75599,)),
        (Attempted(101), (75000,)),
        (Attempted(999), (75000,)),
        (Attempted(None), (75000,)),
        (Attempted(None, Fault.OTHER), (75000,)),
        (Attempted(None, Fault.NO_NAME), (75001,)),
        (Attempted(None, Fault.NO_CONNECTION), (75002,)),
        (Attempted(None, Fault.REFUSED_ADDRESS), (75002,)),
        (Attempted(None, Fault.BAD_CERTIFICATE), (75003,)),
        (Attempted(None, Fault.EXPIRED_CERTIFICATE), (75004,)),
        (Attempted(None, Fault.WRONG_NAME), (75005,)),
        (Attempted(None, Fault.UNTRUSTED_ROOT), (75006,)),
    ],
)
def test_an_attempt_has_the_code_of_the_catalogue(attempted: Attempted, codes: tuple[int, ...]) -> None:
    assert attempted.errors == codes


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_has_a_code_and_takes_nothing(fault: Fault) -> None:
    attempted = Attempted(None, fault)
    assert (len(attempted.errors), attempted.taken) == (1, False)


@given(st.data(), st.integers(1, 4), policies)
def test_a_delivery_that_nobody_takes_ends_and_never_goes_back(data: st.DataObject, urls: int, policy: Tries) -> None:
    position, tries, now, made = 0, 0, NOW, 0
    while True:
        found = judge(data.draw(failures), position, tries, urls, policy, now, data.draw(chances))
        made += 1
        assert (found.position, found.tries) > (position, tries)
        assert found.position in {position, position + 1}
        position, tries = found.position, found.tries
        if found.due_at is None:
            break
        now = found.due_at
    assert found.status is DeliveryStatus.FAILED
    assert position == urls - 1
    assert made <= policy.per_url * urls


@given(attempts, st.integers(0, 3), st.integers(0, 4), st.integers(1, 4), policies, chances)
def test_nothing_is_due_in_the_past_and_every_rest_is_bounded(
    attempted: Attempted, position: int, tries: int, urls: int, policy: Tries, chance: float
) -> None:
    found = judge(attempted, position, tries, urls, policy, NOW, chance)
    assert (found.due_at is None) == (found.status is not DeliveryStatus.PENDING)
    assert (found.status is DeliveryStatus.DELIVERED) == attempted.taken
    if found.due_at is not None:
        assert NOW <= found.due_at <= NOW + max(policy.retry_max, LONGEST_REST)
    if found.rest_until is not None:
        assert NOW <= found.rest_until <= NOW + LONGEST_REST
        assert found.position != position or found.due_at is None or found.due_at >= found.rest_until
