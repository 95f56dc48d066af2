"""Which number a message without `from` is sent from."""

from collections import Counter

import pytest

from heliograph.domain.accounts import NumberPool, Profile, ProfileSettings, Sender
from heliograph.domain.address import AddressKind, parse_destination, parse_sender
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import OrganizationId, ProfileId
from heliograph.domain.instant import Instant
from heliograph.domain.routing import alphanumeric, needs_number, pick, pool_of, usable


def sender(address: str) -> Sender:
    parsed = parse_sender(address)
    owner, profile = OrganizationId("o1"), ProfileId("p1")
    return Sender(address, owner, profile, address, parsed.kind, parsed.country, "", "")


def profile(alpha_sender: str | None = None) -> Profile:
    settings = ProfileSettings(alpha_sender=alpha_sender)
    return Profile(ProfileId("p1"), OrganizationId("o1"), "Main", settings, Instant(0), Instant(0))


SENDERS = [sender(each) for each in ("+13125550001", "+14155550001", "+18445550001")]
POOL = NumberPool(long_code_weight=1, toll_free_weight=3, skip_unhealthy=False)


def chosen(pool: NumberPool, recipient: str, random: float, unhealthy: tuple[str, ...] = ()) -> str:
    return pick(pool, usable(pool, SENDERS, unhealthy), recipient, random).address


def test_the_weights_are_shared_by_the_numbers_of_a_kind() -> None:
    picked = Counter(chosen(POOL, "+12025550001", step / 800) for step in range(800))
    assert picked == {"+13125550001": 100, "+14155550001": 100, "+18445550001": 600}


def test_a_weight_of_zero_takes_a_kind_out() -> None:
    only_long = NumberPool(long_code_weight=1, toll_free_weight=0, skip_unhealthy=False)
    assert {chosen(only_long, "+12025550001", step / 10) for step in range(10)} == {
        "+13125550001",
        "+14155550001",
    }


def test_geomatch_prefers_the_area_of_the_recipient() -> None:
    near = NumberPool(long_code_weight=1, toll_free_weight=3, skip_unhealthy=False, geomatch=True)
    assert chosen(near, "+13125559999", 0.99) == "+13125550001"


def test_geomatch_falls_back_to_any() -> None:
    near = NumberPool(long_code_weight=1, toll_free_weight=3, skip_unhealthy=False, geomatch=True)
    assert chosen(near, "+12025550001", 0.99) == "+18445550001"


SKIPPING = NumberPool(long_code_weight=1, toll_free_weight=3, skip_unhealthy=True, geomatch=True)


def test_unhealthy_numbers_are_dropped_before_the_area_is_looked_at() -> None:
    assert chosen(SKIPPING, "+13125559999", 0.99, ("+13125550001",)) == "+18445550001"


def test_unhealthy_numbers_stay_where_the_pool_does_not_skip_them() -> None:
    near = NumberPool(long_code_weight=1, toll_free_weight=3, skip_unhealthy=False, geomatch=True)
    assert chosen(near, "+13125559999", 0.99, ("+13125550001",)) == "+13125550001"


def test_a_pool_without_a_healthy_number_is_refused() -> None:
    with pytest.raises(Refusal, match="unhealthy") as refused:
        usable(SKIPPING, SENDERS, [each.address for each in SENDERS])
    assert refused.value.code is Code.NO_USABLE_NUMBERS


def test_numbers_without_the_campaign_that_a_message_needs_are_dropped() -> None:
    long_codes = [each.address for each in SENDERS if each.kind is AddressKind.LONG_CODE]
    assert {each.kind for each in usable(POOL, SENDERS, (), long_codes)} == {AddressKind.TOLL_FREE}
    with pytest.raises(Refusal, match="10DLC campaign") as refused:
        usable(POOL, SENDERS, (), [each.address for each in SENDERS])
    assert refused.value.code is Code.NO_USABLE_NUMBERS


def test_without_a_pool_or_a_number_it_is_refused() -> None:
    with pytest.raises(Refusal) as off:
        pool_of(profile())
    with pytest.raises(Refusal) as empty:
        usable(POOL, [])
    assert off.value.code is empty.value.code is Code.NO_USABLE_NUMBERS


@pytest.mark.parametrize(("to", "needed"), [("+13125559999", True), ("+17872345678", True), ("+4915112345678", False)])
def test_where_an_alphanumeric_sender_needs_a_number(to: str, needed: bool) -> None:
    assert needs_number([parse_destination(to)]) is needed


def test_the_alpha_sender_of_the_profile_needs_no_registration() -> None:
    assert alphanumeric(profile("Acme"), "Acme", None).address == "Acme"


@pytest.mark.parametrize(
    ("configured", "others", "code"),
    [
        (None, False, Code.ALPHA_NOT_CONFIGURED),
        (None, True, Code.ALPHA_MISMATCH),
        ("Other", False, Code.ALPHA_MISMATCH),
    ],
)
def test_another_alphanumeric_sender_is_refused(configured: str | None, others: bool, code: Code) -> None:
    with pytest.raises(Refusal) as refused:
        alphanumeric(profile(configured), "Acme", None, others=others)
    assert refused.value.code is code
