"""What may be a sender of our own, and what may be said of it."""

import pytest

from heliograph.domain.address import AddressKind, BadAddress
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import OrganizationId, ProfileId
from heliograph.domain.senders import MAX_TAG, MAX_TAGS, check_tags, own_sender

OWNER = OrganizationId("00000000-0000-7000-8000-000000000001")
PROFILE = ProfileId("00000000-0000-7000-8000-000000000002")


@pytest.mark.parametrize(
    ("address", "country", "kind", "its_country", "carrier"),
    [
        ("+13125550101", None, AddressKind.LONG_CODE, "US", "Heliograph"),
        ("12345", "CA", AddressKind.SHORT_CODE, "CA", "Heliograph"),
        ("12345", None, AddressKind.SHORT_CODE, None, "Heliograph"),
        ("Acme Inc", None, AddressKind.ALPHANUMERIC, None, ""),
    ],
)
def test_a_sender_describes_itself(
    address: str, country: str | None, kind: AddressKind, its_country: str | None, carrier: str
) -> None:
    made = own_sender("id", OWNER, PROFILE, address, country)
    assert (made.address, made.kind, made.country, made.carrier) == (address, kind, its_country, carrier)
    assert (made.organization_id, made.profile_id) == (OWNER, PROFILE)


@pytest.mark.parametrize(
    ("address", "country"), [("+13125550101", "US"), ("Acme", "US"), ("12345", "UK"), ("12345", "*")]
)
def test_a_country_is_for_short_codes_and_exists(address: str, country: str) -> None:
    with pytest.raises(Refusal) as refused:
        own_sender("id", OWNER, None, address, country)
    assert (refused.value.code, refused.value.pointer) == (Code.BAD_REQUEST, "/country_code")


def test_what_is_no_sender_is_none() -> None:
    with pytest.raises(BadAddress):
        own_sender("id", OWNER, None, "3125550101")


def test_as_many_and_as_long_tags_as_may_be_are_kept() -> None:
    tags = ["x" * MAX_TAG] * MAX_TAGS
    assert check_tags(tags) == tuple(tags)
