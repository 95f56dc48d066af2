"""What brands and campaigns have to be."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from heliograph.domain.accounts import Campaign, Sender
from heliograph.domain.address import parse_destination, parse_sender
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import OrganizationId, ProfileId
from heliograph.domain.instant import parse
from heliograph.domain.registry import (
    REGISTRY_NAMES,
    Brand,
    BrandDetails,
    CampaignDetails,
    RegisteredCampaign,
    check_brand,
    check_campaign,
    check_changed,
    check_number,
    check_registered,
    registry_name,
)

NOW = parse("2026-01-01T00:00:00Z")
DETAILS = BrandDetails(
    entity_type="PRIVATE_PROFIT",
    display_name="ABC Mobile",
    company_name="ABC Inc.",
    country="US",
    email="name@example.com",
    vertical="TECHNOLOGY",
)
PUBLIC = {
    "entity_type": "PUBLIC_PROFIT",
    "stock_symbol": "ABC",
    "stock_exchange": "NASDAQ",
    "business_contact_email": "chief@example.com",
}
BRAND = Brand("b1", OrganizationId("o1"), "BBRAND1", DETAILS, NOW, NOW)
CAMPAIGN = CampaignDetails(description="Reminders of visits", usecase="CUSTOMER_CARE", sample1="See you at ten.")


def details(**given: Any) -> BrandDetails:
    return msgspec.structs.replace(DETAILS, **given)


def brand(**given: Any) -> Brand:
    return replace(BRAND, details=details(**given))


def campaign(**given: Any) -> CampaignDetails:
    return msgspec.structs.replace(CAMPAIGN, **given)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"ein": "123456789", "state": "NY", "postal_code": "10001", "phone": "+12024567890"},
        {"ein": "12-3456789"},
        {"country": "DE", "ein": "HRB 12345", "state": "Bayern", "postal_code": "D-80331"},
        PUBLIC,
        {"entity_type": "NON_PROFIT", "ein": "123456789"},
        {"entity_type": "GOVERNMENT", "company_name": None},
        {"entity_type": "SOLE_PROPRIETOR", "company_name": None, "first_name": "John", "last_name": "Smith"},
    ],
    ids=str,
)
def test_a_brand_that_can_be_registered(given: dict[str, Any]) -> None:
    check_brand(details(**given))


@pytest.mark.parametrize(
    ("given", "code", "pointer"),
    [
        ({"display_name": None}, Code.MISSING_PARAMETER, "/displayName"),
        ({"display_name": " "}, Code.MISSING_PARAMETER, "/displayName"),
        ({"display_name": "x" * 101}, Code.LENGTH_OUT_OF_RANGE, "/displayName"),
        ({"city": "x\0"}, Code.BAD_REQUEST, "/city"),
        ({"entity_type": "COMPANY"}, Code.INVALID_ENUM, "/entityType"),
        ({"vertical": "TECH"}, Code.INVALID_ENUM, "/vertical"),
        ({"stock_exchange": "MARS"}, Code.INVALID_ENUM, "/stockExchange"),
        ({"identity_status": "FINE"}, Code.INVALID_ENUM, "/identityStatus"),
        ({"company_name": None}, Code.MISSING_PARAMETER, "/companyName"),
        ({"entity_type": "NON_PROFIT"}, Code.MISSING_PARAMETER, "/ein"),
        ({**PUBLIC, "stock_symbol": None}, Code.MISSING_PARAMETER, "/stockSymbol"),
        ({**PUBLIC, "business_contact_email": None}, Code.MISSING_PARAMETER, "/businessContactEmail"),
        ({"country": "us"}, Code.BAD_REQUEST, "/country"),
        ({"ein": "12345"}, Code.BAD_REQUEST, "/ein"),
        ({"state": "New York"}, Code.BAD_REQUEST, "/state"),
        ({"postal_code": "1001"}, Code.BAD_REQUEST, "/postalCode"),
        ({"email": "name@example"}, Code.INVALID_EMAIL, "/email"),
        ({"phone": "2024567890"}, Code.NOT_E164, "/phone"),
        ({"mobile_phone": "12345"}, Code.NOT_E164, "/mobilePhone"),
        ({"webhook_url": "example.com"}, Code.INVALID_URL, "/webhookURL"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_brand_that_cannot_is_refused_by_its_field(given: dict[str, Any], code: Code, pointer: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_brand(details(**given))
    assert (refused.value.code, refused.value.pointer) == (code, pointer)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({}, "VERIFIED"),
        ({"entity_type": "SOLE_PROPRIETOR"}, "SELF_DECLARED"),
        ({"vetting_score": 60}, "VETTED_VERIFIED"),
        ({"vetting_score": 60, "identity_status": "UNVERIFIED"}, "UNVERIFIED"),
    ],
)
def test_how_far_an_identity_is_verified(given: dict[str, Any], status: str) -> None:
    assert brand(**given).identity_status == status


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"usecase": "MIXED", "sub_usecases": ("2FA", "MARKETING"), "sample2": "Your code is 1234."},
        {"usecase": "LOW_VOLUME", "sub_usecases": ("2FA",)},
    ],
    ids=str,
)
def test_a_campaign_that_can_be_registered(given: dict[str, Any]) -> None:
    check_campaign(campaign(**given), BRAND)


@pytest.mark.parametrize(
    ("given", "code", "pointer"),
    [
        ({"description": None}, Code.MISSING_PARAMETER, "/description"),
        ({"usecase": "SPAM"}, Code.INVALID_ENUM, "/usecase"),
        ({"usecase": "SOLE_PROPRIETOR"}, Code.BAD_REQUEST, "/usecase"),
        ({"sample1": None}, Code.MISSING_PARAMETER, "/sample1"),
        ({"sub_usecases": ("2FA",)}, Code.OUT_OF_RANGE, "/subUsecases"),
        ({"usecase": "MIXED", "sub_usecases": ("2FA",)}, Code.OUT_OF_RANGE, "/subUsecases"),
        ({"usecase": "MIXED", "sub_usecases": ("2FA", "2FA")}, Code.BAD_REQUEST, "/subUsecases"),
        ({"usecase": "MIXED", "sub_usecases": ("2FA", "SPAM")}, Code.INVALID_ENUM, "/subUsecases/1"),
        ({"usecase": "MIXED", "sub_usecases": ("2FA", "MARKETING")}, Code.MISSING_PARAMETER, "/sample2"),
        ({"tag": ("a", "\0")}, Code.BAD_REQUEST, "/tag"),
        ({"webhook_failover_url": "ftp://example.com"}, Code.INVALID_URL, "/webhookFailoverURL"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_campaign_that_cannot_is_refused_by_its_field(given: dict[str, Any], code: Code, pointer: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_campaign(campaign(**given), BRAND)
    assert (refused.value.code, refused.value.pointer) == (code, pointer)


@pytest.mark.parametrize(
    ("given", "pointer"),
    [({"identity_status": "UNVERIFIED"}, "/brandId"), ({"entity_type": "SOLE_PROPRIETOR"}, "/usecase")],
)
def test_not_every_brand_can_have_every_campaign(given: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_campaign(CAMPAIGN, brand(**given))
    assert (refused.value.code, refused.value.pointer) == (Code.BAD_REQUEST, pointer)


def test_only_what_is_changed_is_held_to_the_limits_of_changes() -> None:
    long = campaign(sample1="x" * 256)
    check_campaign(long, BRAND)
    check_changed(long, ["sample2"])
    with pytest.raises(Refusal) as refused:
        check_changed(long, ["sample1"])
    assert (refused.value.code, refused.value.pointer) == (Code.LENGTH_OUT_OF_RANGE, "/sample1")


def test_a_number_shows_the_name_and_the_class_of_its_campaign() -> None:
    registered = RegisteredCampaign("c1", OrganizationId("o1"), "CABC123", BRAND, CAMPAIGN, True, NOW, NOW)
    assert registered.of_number == Campaign("CABC123", True, "REGISTERED", "T")
    vetted = replace(registered, brand=brand(vetting_score=80))
    assert vetted.of_number.message_class == "A"
    person = replace(registered, brand=brand(entity_type="SOLE_PROPRIETOR", vetting_score=80))
    assert person.of_number.message_class == "W"


@pytest.mark.parametrize(
    ("drawn", "name"), [(0, "C000000"), (35, "C00000Z"), (36, "C000010"), (REGISTRY_NAMES - 1, "CZZZZZZ")]
)
def test_a_name_in_the_registry_is_six_letters_and_digits(drawn: int, name: str) -> None:
    assert registry_name("C", drawn) == name


def sender(address: str, registered: Campaign | None = None) -> Sender:
    parsed = parse_sender(address)
    own = (parsed.text, parsed.kind, parsed.country, "Heliograph", "VoIP")
    return Sender("s1", OrganizationId("o1"), ProfileId("p1"), *own, campaign=registered)


@pytest.mark.parametrize("address", ["+18445550001", "12345", "+4915112345678", "+14165550123", "Heliograph"])
def test_only_us_long_codes_belong_to_campaigns(address: str) -> None:
    check_number(sender("+13125550100"))
    with pytest.raises(Refusal) as refused:
        check_number(sender(address))
    assert refused.value.pointer == "/phoneNumber"


@pytest.mark.parametrize("registered", [None, Campaign("CABC123", registered=None)])
def test_a_us_long_code_without_a_registered_campaign_may_not_send_to_the_us(registered: Campaign | None) -> None:
    with pytest.raises(Refusal) as refused:
        check_registered(sender("+13125550100", registered), [parse_destination("+17735550100")])
    assert (refused.value.code, refused.value.pointer) == (Code.NOT_REGISTERED, "/from")


@pytest.mark.parametrize(
    ("address", "recipient"),
    [
        ("+13125550100", "+14165550123"),
        ("+13125550100", "+4915112345678"),
        ("+13125550100", "12345"),
        ("+18445550001", "+17735550100"),
        ("12345", "+17735550100"),
    ],
)
def test_nothing_else_needs_a_campaign(address: str, recipient: str) -> None:
    check_registered(sender(address), [parse_destination(recipient)])


def test_a_number_of_a_campaign_may_send_to_the_us() -> None:
    check_registered(sender("+13125550100", Campaign("CABC123")), [parse_destination("+17735550100")])
