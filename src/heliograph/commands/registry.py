"""`heliograph brands` and `heliograph campaigns`: the 10DLC registry, and what vetting says of a brand."""

import argparse
from dataclasses import replace

import msgspec

from heliograph.commands.arguments import Commands, add_command, add_group, add_json, add_organization
from heliograph.commands.failure import CommandFailed
from heliograph.commands.listing import print_list
from heliograph.commands.session import choose_organization, with_store
from heliograph.domain.accounts import Sender
from heliograph.domain.campaign_classes import THROUGHPUTS, daily_tier
from heliograph.domain.ids import OrganizationId
from heliograph.domain.registry import MAX_SCORE, Brand, RegisteredCampaign, check_number
from heliograph.settings import Settings
from heliograph.store.account_changes import NoSuchRecord
from heliograph.store.registry import BrandFilter, Part
from heliograph.store.store import Store

_MANY = 500
"""Rows that are asked for at once."""
_NONE = "none"


def declare(commands: Commands) -> None:
    """Add the commands."""
    brands = add_group(commands, "brands", "10DLC brands")
    listed = add_command(brands, "list", "list the brands of an organisation", with_store(_list_brands))
    add_organization(listed)
    add_json(listed)
    vet = add_command(brands, "vet", "put down the score of a brand's vetting", with_store(_vet))
    vet.add_argument("brand", metavar="ID", help="as it is listed")
    vet.add_argument("--score", type=_score, required=True, metavar="N", help="0 to 100; 'none' for no vetting")
    add_organization(vet)
    campaigns = add_group(commands, "campaigns", "10DLC campaigns")
    listed = add_command(campaigns, "list", "list the campaigns of an organisation", with_store(_list_campaigns))
    add_organization(listed)
    add_json(listed)


def _score(text: str) -> int | str:
    if text == _NONE:
        return text
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_SCORE):
        raise argparse.ArgumentTypeError(f"got '{text}', wanted a whole number from 0 to {MAX_SCORE}, or '{_NONE}'")
    return int(text)


async def _list_brands(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    organization = await choose_organization(store, given.organization)
    rows: list[dict[str, object]] = []
    while True:
        part = Part("createdAt", len(rows), _MANY)
        _, found = await store.registry.brands(organization.id, BrandFilter(), part)
        rows += [_brand_row(*each) for each in found]
        if len(found) < _MANY:
            break
    columns = ["id", "tcr_id", "name", "entity_type", "identity_status", "score", "daily", "campaigns"]
    print_list(columns, rows, as_json=given.json)


def _brand_row(brand: Brand, count: int) -> dict[str, object]:
    score = brand.details.vetting_score
    return {
        "id": brand.id,
        "tcr_id": brand.tcr_id,
        "name": brand.details.display_name,
        "entity_type": brand.details.entity_type,
        "identity_status": brand.identity_status,
        "score": score,
        "daily": daily_tier(score, sole_proprietor=brand.sole_proprietor),
        "campaigns": count,
    }


async def _list_campaigns(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    organization = await choose_organization(store, given.organization)
    rows: list[dict[str, object]] = []
    while True:
        _, found = await store.registry.campaigns(organization.id, None, Part("createdAt", len(rows), _MANY))
        rows += [_campaign_row(*each) for each in found]
        if len(found) < _MANY:
            break
    columns = ["id", "tcr_id", "brand", "usecase", "class", "sms_a_minute", "mms_a_minute", "numbers", "active"]
    print_list(columns, rows, as_json=given.json)


def _campaign_row(campaign: RegisteredCampaign, count: int) -> dict[str, object]:
    throughput = THROUGHPUTS[campaign.message_class]
    return {
        "id": campaign.id,
        "tcr_id": campaign.tcr_id,
        "brand": campaign.brand.tcr_id,
        "usecase": campaign.details.usecase,
        "class": campaign.message_class.value,
        "sms_a_minute": throughput.sms,
        "mms_a_minute": throughput.mms,
        "numbers": count,
        "active": campaign.active,
    }


async def find_campaign(store: Store, sender: Sender) -> RegisteredCampaign | None:
    """The campaign of a new sender, where the registry has it; another id is only shown on messages.

    Raises `CommandFailed` for one that has ended, and a `Refusal` when the sender cannot belong to a campaign.
    """
    if sender.campaign is None:
        return None
    campaign = await store.registry.campaign(sender.organization_id, sender.campaign.id)
    if campaign is None:
        return None
    check_number(sender)
    if not campaign.active:
        raise CommandFailed(f"Campaign {campaign.tcr_id} is not active any more.")
    return campaign


async def _vet(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    organization = await choose_organization(store, given.organization)
    score = None if given.score == _NONE else given.score
    brand = await _vetted(store, organization.id, given.brand, score)
    print(f"{brand.details.display_name} ({brand.tcr_id}) has {'no score' if score is None else f'the score {score}'}.")


async def _vetted(store: Store, organization_id: OrganizationId, which: str, score: int | None) -> Brand:
    """The brand with that score. Raises `CommandFailed`."""

    def change(brand: Brand) -> Brand:
        details = msgspec.structs.replace(brand.details, vetting_score=score)
        return replace(brand, details=details, updated_at=store.clock.now())

    try:
        return await store.registry.change_brand(organization_id, which, change)
    except NoSuchRecord as error:
        raise CommandFailed(f"There is no brand '{which}' of that organisation.") from error
