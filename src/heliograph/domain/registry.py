"""The 10DLC registry: brands, their campaigns, and what each has to be.

It is a registry of this service's own. Nobody outside is asked: a brand that is in order is registered at once, and so
is a campaign. What is demanded is what the descriptions of the fields demand; where they say less than The Campaign
Registry does, so do we.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from re import Pattern
from re import compile as regex

import msgspec

from heliograph.domain.accounts import Campaign, Sender
from heliograph.domain.address import Address, AddressKind, BadAddress, parse_destination
from heliograph.domain.campaign_classes import MessageClass, Usecase, class_of
from heliograph.domain.compose import check_url
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import Instant


class EntityType(StrEnum):
    """What kind of business a brand is."""

    PRIVATE_PROFIT = "PRIVATE_PROFIT"
    PUBLIC_PROFIT = "PUBLIC_PROFIT"
    NON_PROFIT = "NON_PROFIT"
    GOVERNMENT = "GOVERNMENT"
    SOLE_PROPRIETOR = "SOLE_PROPRIETOR"


class IdentityStatus(StrEnum):
    """How far a brand's identity is verified."""

    VERIFIED = "VERIFIED"
    UNVERIFIED = "UNVERIFIED"
    SELF_DECLARED = "SELF_DECLARED"
    VETTED_VERIFIED = "VETTED_VERIFIED"


_VERTICALS = (
    "AGRICULTURE COMMUNICATION CONSTRUCTION EDUCATION ENERGY ENTERTAINMENT FINANCIAL GAMBLING GOVERNMENT HEALTHCARE "
    "HOSPITALITY HUMAN_RESOURCES INSURANCE LEGAL MANUFACTURING NGO POLITICAL POSTAL PROFESSIONAL REAL_ESTATE RETAIL "
    "TECHNOLOGY TRANSPORTATION"
)
VERTICALS = frozenset(_VERTICALS.split())
_EXCHANGES = (
    "NONE NASDAQ NYSE AMEX AMX ASX B3 BME BSE FRA ICEX JPX JSE KRX LON NSE OMX SEHK SSE STO SWX SZSE TSX TWSE VSE"
)
STOCK_EXCHANGES = frozenset(_EXCHANGES.split())
ALTERNATIVE_IDS = frozenset({"NONE", "DUNS", "GIIN", "LEI"})
BRAND_RELATIONSHIP = "BASIC_ACCOUNT"
"""What every brand is to the service provider."""
CSP_ID = "SHELIOG"
"""The name that this service has in its registry as the provider of all campaigns."""
MAX_SCORE = 100


class BrandDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """What is known of a brand; None is unset. Names on the wire are in camel case."""

    entity_type: str
    display_name: str
    country: str
    email: str
    vertical: str
    company_name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    ein: str | None = None
    phone: str | None = None
    mobile_phone: str | None = None
    street: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    stock_symbol: str | None = None
    stock_exchange: str | None = None
    ip_address: str | None = None
    website: str | None = None
    business_contact_email: str | None = None
    alt_business_id: str | None = None
    alt_business_id_type: str | None = None
    is_reseller: bool = False
    mock: bool = False
    webhook_url: str | None = msgspec.field(default=None, name="webhookURL")
    webhook_failover_url: str | None = msgspec.field(default=None, name="webhookFailoverURL")
    identity_status: str | None = None
    """None is the one that its kind is given."""
    vetting_score: int | None = None
    """0 to 100, set by the operator; None for a brand that nobody has vetted."""


class CampaignDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """What is known of a campaign; None is unset."""

    description: str
    usecase: str
    sub_usecases: tuple[str, ...] = ()
    age_gated: bool | None = None
    auto_renewal: bool | None = None
    direct_lending: bool | None = None
    embedded_link: bool | None = None
    embedded_link_sample: str | None = None
    embedded_phone: bool | None = None
    help_keywords: str | None = None
    help_message: str | None = None
    message_flow: str | None = None
    mno_ids: tuple[int, ...] = ()
    number_pool: bool | None = None
    optin_keywords: str | None = None
    optin_message: str | None = None
    optout_keywords: str | None = None
    optout_message: str | None = None
    privacy_policy_link: str | None = None
    reference_id: str | None = None
    reseller_id: str | None = None
    sample1: str | None = None
    sample2: str | None = None
    sample3: str | None = None
    sample4: str | None = None
    sample5: str | None = None
    subscriber_help: bool | None = None
    subscriber_optin: bool | None = None
    subscriber_optout: bool | None = None
    tag: tuple[str, ...] = ()
    terms_and_conditions: bool | None = None
    terms_and_conditions_link: str | None = None
    webhook_url: str | None = msgspec.field(default=None, name="webhookURL")
    webhook_failover_url: str | None = msgspec.field(default=None, name="webhookFailoverURL")


@dataclass(frozen=True, slots=True)
class Brand:
    """Who sends: a company, or a person."""

    id: str
    organization_id: OrganizationId
    tcr_id: str
    """What a registry calls it: `B` and six letters and digits."""
    details: BrandDetails
    created_at: Instant
    updated_at: Instant

    @property
    def sole_proprietor(self) -> bool:
        """Whether it is one person, whose campaigns have a class of their own."""
        return self.details.entity_type == EntityType.SOLE_PROPRIETOR

    @property
    def identity_status(self) -> str:
        """Set by hand, or what follows from a vetting and from its kind."""
        if self.details.identity_status is not None:
            return self.details.identity_status
        if self.details.vetting_score is not None:
            return IdentityStatus.VETTED_VERIFIED
        return IdentityStatus.SELF_DECLARED if self.sole_proprietor else IdentityStatus.VERIFIED


@dataclass(frozen=True, slots=True)
class RegisteredCampaign:
    """What a brand sends, and why. Once it is not active it never is again."""

    id: str
    organization_id: OrganizationId
    tcr_id: str
    """What a registry calls it, and messages show: `C` and six letters and digits."""
    brand: Brand
    details: CampaignDetails
    active: bool
    created_at: Instant
    updated_at: Instant

    @property
    def message_class(self) -> MessageClass:
        """What its throughput goes by."""
        score = self.brand.details.vetting_score
        return class_of(self.details.usecase, score, sole_proprietor=self.brand.sole_proprietor)

    @property
    def of_number(self) -> Campaign:
        """How a number of it shows it on messages."""
        return Campaign(self.tcr_id, message_class=self.message_class.value)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A number of a campaign."""

    number: str
    campaign: RegisteredCampaign
    created_at: Instant
    updated_at: Instant


# ------------------------------------------------------------------------------------------------------------- names

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LENGTH = 6
REGISTRY_NAMES = len(_LETTERS) ** _LENGTH
"""How many names of one kind there are."""


def registry_name(kind: str, drawn: int) -> str:
    """The name of number `drawn`, from 0 to `REGISTRY_NAMES - 1`: `B` or `C`, then six letters and digits."""
    name = ""
    for _ in range(_LENGTH):
        drawn, digit = divmod(drawn, len(_LETTERS))
        name = _LETTERS[digit] + name
    return kind + name


# ------------------------------------------------------------------------------------------------------------- brands

_BRAND_LENGTHS: Mapping[str, int] = {
    "company_name": 100,
    "first_name": 100,
    "last_name": 100,
    "display_name": 100,
    "street": 100,
    "city": 100,
    "email": 100,
    "website": 100,
    "business_contact_email": 100,
    "state": 20,
    "postal_code": 10,
    "ein": 20,
    "phone": 20,
    "mobile_phone": 20,
    "stock_symbol": 10,
    "ip_address": 50,
    "alt_business_id": 50,
}
_BRAND_WORDS: Mapping[str, Collection[str]] = {
    "entity_type": list(EntityType),
    "vertical": VERTICALS,
    "stock_exchange": STOCK_EXCHANGES,
    "alt_business_id_type": ALTERNATIVE_IDS,
    "identity_status": list(IdentityStatus),
}
_BRAND_NEEDS: Mapping[str, Collection[str]] = {
    EntityType.PRIVATE_PROFIT: ("company_name",),
    EntityType.PUBLIC_PROFIT: ("company_name", "stock_symbol", "stock_exchange", "business_contact_email"),
    EntityType.NON_PROFIT: ("company_name", "ein"),
}
"""What a brand of a kind cannot lack, beside what none can."""
_EMAIL = regex(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+")
_COUNTRY = regex(r"[A-Z]{2}")
_IN_US: Mapping[str, tuple[Pattern[str], str]] = {
    "ein": (regex(r"[0-9]{2}-?[0-9]{7}"), "the 9 digits of an EIN"),
    "state": (regex(r"[A-Z]{2}"), "the 2 letters of a state, such as NY"),
    "postal_code": (regex(r"[0-9]{5}"), "a ZIP code of 5 digits"),
}


def check_brand(details: BrandDetails) -> None:
    """Raise a `Refusal` that names the field unless a brand can be registered like this."""
    for name in ("entity_type", "display_name", "country", "email", "vertical"):
        _present(details, name)
    _check_texts(details, _BRAND_LENGTHS)
    for name, words in _BRAND_WORDS.items():
        _check_word(details, name, words)
    for name in _BRAND_NEEDS.get(details.entity_type, ()):
        _present(details, name, f" for a brand that is {details.entity_type}")
    _check_form(details, "country", _COUNTRY, "a country of 2 capital letters, such as US")
    if details.country == "US":
        for name, (form, wanted) in _IN_US.items():
            _check_form(details, name, form, wanted)
    for name in ("email", "business_contact_email"):
        _check_form(details, name, _EMAIL, "an email address", Code.INVALID_EMAIL)
    for name in ("phone", "mobile_phone"):
        _check_number(details, name)
    _check_urls(details)


# ---------------------------------------------------------------------------------------------------------- campaigns

SUB_USECASES = frozenset(
    {
        Usecase.TWO_FACTOR,
        Usecase.ACCOUNT_NOTIFICATION,
        Usecase.CUSTOMER_CARE,
        Usecase.DELIVERY_NOTIFICATION,
        Usecase.FRAUD_ALERT,
        Usecase.HIGHER_EDUCATION,
        Usecase.MARKETING,
        Usecase.POLLING_VOTING,
        Usecase.PUBLIC_SERVICE_ANNOUNCEMENT,
        Usecase.SECURITY_ALERT,
    }
)
"""The parts that a mixed campaign may be made of."""
_SUB_USECASES: Mapping[str, tuple[int, int]] = {
    Usecase.MIXED: (2, 5),
    Usecase.LOW_VOLUME: (1, 5),
    Usecase.SOLE_PROPRIETOR: (0, 5),
}
"""How many of them a use case has; any other has none."""
_SAMPLES: Mapping[str, int] = {Usecase.MIXED: 2}
"""How many samples a use case needs; any other needs one. The provider says only that it depends on the campaign."""
_CHANGED_LENGTHS: Mapping[str, int] = {
    "reseller_id": 8,
    "sample1": 255,
    "sample2": 255,
    "sample3": 255,
    "sample4": 255,
    "sample5": 255,
    "message_flow": 2_048,
    "help_message": 255,
}
"""A campaign that is made has no such limits; only a change of one has."""


def check_campaign(details: CampaignDetails, brand: Brand) -> None:
    """Raise a `Refusal` that names the field unless this brand can have such a campaign."""
    for name in ("description", "usecase"):
        _present(details, name)
    _check_texts(details, {})
    _check_word(details, "usecase", list(Usecase))
    if brand.sole_proprietor != (details.usecase == Usecase.SOLE_PROPRIETOR):
        detail = f"A brand that is {brand.details.entity_type} cannot have a campaign for {details.usecase}."
        raise Refusal(Code.BAD_REQUEST, detail, "/usecase")
    _check_sub_usecases(details)
    for index in range(1, _SAMPLES.get(details.usecase, 1) + 1):
        _present(details, f"sample{index}", f" for {details.usecase}")
    _check_urls(details)
    if brand.identity_status == IdentityStatus.UNVERIFIED:
        detail = f"The identity of brand {brand.id} is UNVERIFIED; verify it first."
        raise Refusal(Code.BAD_REQUEST, detail, "/brandId")


def check_changed(details: CampaignDetails, given: Collection[str]) -> None:
    """Raise a `Refusal` unless a campaign may be changed to this; `given` are the fields that are changed."""
    _check_texts(details, {name: most for name, most in _CHANGED_LENGTHS.items() if name in given})
    for index in range(1, _SAMPLES.get(details.usecase, 1) + 1):
        _present(details, f"sample{index}", f" for {details.usecase}")
    _check_urls(details)


def _check_sub_usecases(details: CampaignDetails) -> None:
    least, most = _SUB_USECASES.get(details.usecase, (0, 0))
    given = details.sub_usecases
    for index, each in enumerate(given):
        if each not in SUB_USECASES:
            raise _not_among(each, SUB_USECASES, f"/subUsecases/{index}")
    if len(set(given)) != len(given):
        raise Refusal(Code.BAD_REQUEST, "A sub-usecase is listed twice.", "/subUsecases")
    if not least <= len(given) <= most:
        wanted = f"{least} to {most}" if most else "no"
        detail = f"A campaign for {details.usecase} has {wanted} sub-usecases, got {len(given)}."
        raise Refusal(Code.OUT_OF_RANGE, detail, "/subUsecases")


# ------------------------------------------------------------------------------------------------------------ numbers


def check_number(sender: Sender) -> None:
    """Raise a `Refusal` unless a number can belong to a campaign: US long codes do, that is what 10DLC means."""
    if sender.kind is not AddressKind.LONG_CODE or sender.country != "US":
        what = f"{sender.kind.replace('_', ' ')} of {sender.country or 'no country'}"
        detail = f"10DLC campaigns have long codes of the US; {sender.address} is a {what}."
        raise Refusal(Code.BAD_REQUEST, detail, "/phoneNumber")


def needs_campaign(sender: Address, recipient: Address) -> bool:
    """Whether the carriers want a campaign for a message: from a US long code to a US number."""
    from_long_code = sender.kind is AddressKind.LONG_CODE and sender.country == "US"
    return from_long_code and recipient.country == "US" and recipient.kind is not AddressKind.SHORT_CODE


def check_registered(sender: Sender, recipients: Collection[Address]) -> None:
    """Raise a `Refusal` with 40010 for a message of a number that has no registered campaign where it needs one."""
    if unregistered([sender], recipients):
        raise Refusal(Code.NOT_REGISTERED, not_registered_detail(sender.address), "/from")


def unregistered(senders: Collection[Sender], recipients: Collection[Address]) -> Collection[str]:
    """Those of some senders that lack the campaign which a message to these recipients needs."""
    return frozenset(
        each.address
        for each in senders
        if (each.campaign is None or each.campaign.registered is None)
        and any(needs_campaign(Address(each.address, each.kind, each.country), one) for one in recipients)
    )


def not_registered_detail(number: str) -> str:
    """Why a message of a number is not sent."""
    return f"{number} belongs to no active 10DLC campaign, and messages from US long codes to the US need one."


# ------------------------------------------------------------------------------------------------------------- fields

_Details = BrandDetails | CampaignDetails


def wire_name(details: type[_Details], name: str) -> str:
    """How a field is called in a body."""
    return details.__struct_encode_fields__[details.__struct_fields__.index(name)]


def _pointer(details: _Details, name: str) -> str:
    return f"/{wire_name(type(details), name)}"


def _present(details: _Details, name: str, why: str = "") -> None:
    value = getattr(details, name)
    if value is None or not value.strip():
        pointer = _pointer(details, name)
        detail = f"The '{pointer[1:]}' parameter is required{why} and cannot be blank."
        raise Refusal(Code.MISSING_PARAMETER, detail, pointer)


def _check_texts(details: _Details, lengths: Mapping[str, int]) -> None:
    for name, value in msgspec.structs.asdict(details).items():
        pointer = _pointer(details, name)
        texts = value if isinstance(value, tuple) else (value,)
        if any(isinstance(each, str) and "\0" in each for each in texts):
            raise Refusal(Code.BAD_REQUEST, f"'{pointer[1:]}' cannot hold the character U+0000.", pointer)
        most = lengths.get(name)
        if most is not None and isinstance(value, str) and len(value) > most:
            detail = f"'{pointer[1:]}' has at most {most} characters, got {len(value)}."
            raise Refusal(Code.LENGTH_OUT_OF_RANGE, detail, pointer)


def _check_word(details: _Details, name: str, words: Collection[str]) -> None:
    value = getattr(details, name)
    if value is not None and value not in words:
        raise _not_among(value, words, _pointer(details, name))


def _not_among(value: str, words: Collection[str], pointer: str) -> Refusal:
    return Refusal(Code.INVALID_ENUM, f"'{value[:32]}' is none of {', '.join(sorted(words))}.", pointer)


def _check_form(details: _Details, name: str, form: Pattern[str], wanted: str, code: Code = Code.BAD_REQUEST) -> None:
    value = getattr(details, name)
    if value is not None and not form.fullmatch(value):
        pointer = _pointer(details, name)
        raise Refusal(code, f"'{pointer[1:]}' must be {wanted}, got '{value[:32]}'.", pointer)


def _check_number(details: _Details, name: str) -> None:
    value = getattr(details, name)
    if value is None:
        return
    try:
        address = parse_destination(value)
    except BadAddress as error:
        raise Refusal(Code.NOT_E164, str(error), _pointer(details, name)) from None
    if address.kind is AddressKind.SHORT_CODE:
        detail = f"'{value}' must be a number in E.164 form, such as +13125550123."
        raise Refusal(Code.NOT_E164, detail, _pointer(details, name))


def _check_urls(details: _Details) -> None:
    for name in ("webhook_url", "webhook_failover_url"):
        check_url(getattr(details, name) or None, _pointer(details, name))
