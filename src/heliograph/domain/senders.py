"""Senders of our own: how an address is described, and what may be said of it."""

from collections.abc import Sequence

from heliograph.domain.accounts import ANYWHERE, Sender
from heliograph.domain.address import AddressKind, parse_sender
from heliograph.domain.consent import is_country
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import OrganizationId, ProfileId

CARRIER = "Heliograph"
LINE_TYPE = "VoIP"
"""How messages describe our numbers unless their owner says otherwise (Contract 9)."""
MAX_TAGS = 20
MAX_TAG = 100
"""Each message carries the tags of its sender; the provider has published no limits."""


def own_sender(
    sender_id: str,
    organization_id: OrganizationId,
    profile_id: ProfileId | None,
    address: str,
    country: str | None = None,
) -> Sender:
    """A sender of an organisation with our own description of it; `country` is that of a short code.

    Raises `BadAddress` for what is no sender, and a `Refusal` for a country that is none or does not belong to it.
    """
    parsed = parse_sender(address)
    if country is not None:
        _check_country(country, parsed.kind, address)
    named = parsed.kind is AddressKind.ALPHANUMERIC
    return Sender(
        id=sender_id,
        organization_id=organization_id,
        profile_id=profile_id,
        address=parsed.text,
        kind=parsed.kind,
        country=country or parsed.country,
        carrier="" if named else CARRIER,
        line_type="" if named else LINE_TYPE,
    )


def check_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """The tags of a sender, as they are kept. Raises a `Refusal` for too many, or for one that cannot be."""
    if len(tags) > MAX_TAGS:
        raise Refusal(Code.OUT_OF_RANGE, f"A sender has at most {MAX_TAGS} tags, got {len(tags)}.", "/tags")
    for index, tag in enumerate(tags):
        pointer = f"/tags/{index}"
        if not tag.strip() or "\0" in tag:
            raise Refusal(Code.BAD_REQUEST, "A tag is a text that is not blank.", pointer)
        if len(tag) > MAX_TAG:
            raise Refusal(Code.LENGTH_OUT_OF_RANGE, f"A tag has at most {MAX_TAG} characters, got {len(tag)}.", pointer)
    return tuple(tags)


def _check_country(country: str, kind: AddressKind, address: str) -> None:
    if kind is not AddressKind.SHORT_CODE:
        detail = f"A country is for short codes; that of {address} is in its digits."
        raise Refusal(Code.BAD_REQUEST, detail, "/country_code")
    if country == ANYWHERE or not is_country(country):
        detail = f"'country_code' is an ISO 3166 country such as US, got '{country[:32]}'."
        raise Refusal(Code.BAD_REQUEST, detail, "/country_code")
