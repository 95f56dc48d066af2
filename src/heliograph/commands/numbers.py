"""`heliograph numbers`: the addresses that an organisation sends from."""

import argparse
from dataclasses import replace

import phonenumbers

from heliograph.commands.arguments import Commands, add_command, add_group, add_json, add_organization
from heliograph.commands.failure import CommandFailed
from heliograph.commands.listing import print_list
from heliograph.commands.registry import find_campaign
from heliograph.commands.session import choose_organization, find_profile, with_store
from heliograph.domain.accounts import Campaign, Profile, Sender
from heliograph.domain.address import AddressKind, parse_sender
from heliograph.domain.numbers import LINE_TYPES
from heliograph.domain.senders import check_tags
from heliograph.server import new_sender
from heliograph.settings import Settings
from heliograph.store.account_changes import AlreadyExists, NoSuchRecord
from heliograph.store.numbers import NUMBERS, SenderChange
from heliograph.store.store import Store


def declare(commands: Commands) -> None:
    """Add the commands."""
    group = add_group(commands, "numbers", "numbers and other senders")
    _declare_add(group)
    listed = add_command(group, "list", "list the senders of an organisation", with_store(_list))
    add_organization(listed)
    add_json(listed)
    _declare_update(group)
    remove = add_command(group, "remove", "take a sender from an organisation", with_store(_remove))
    remove.add_argument("address", metavar="ADDRESS", help="as it was added")
    add_organization(remove)


def _declare_add(group: Commands) -> None:
    add = add_command(group, "add", "let a messaging profile send from an address", with_store(_add))
    address = "+13125550123, a short code of 5 or 6 digits, or an alphanumeric sender of up to 11 characters"
    add.add_argument("address", metavar="ADDRESS", help=address)
    add.add_argument("--profile", required=True, metavar="ID", help="messaging profile")
    add_organization(add)
    add.add_argument("--country", type=_country, metavar="CODE", help="country of a short code, such as US")
    add.add_argument("--carrier", metavar="TEXT", help="carrier that messages show for it")
    kinds = ", ".join(each for each in LINE_TYPES if each)
    add.add_argument("--line-type", choices=LINE_TYPES, metavar="TYPE", help=f"one of {kinds}")
    add.add_argument("--tag", action="append", default=[], metavar="T", help="tag of its messages; may be repeated")
    add.add_argument("--campaign", metavar="ID", help="10DLC campaign")
    add.add_argument("--campaign-not-billable", action="store_true", help="the campaign is not charged for")
    add.add_argument("--campaign-unregistered", action="store_true", help="the campaign is not registered")


def _declare_update(group: Commands) -> None:
    update = add_command(group, "update", "put a number on another messaging profile, or tag it", with_store(_update))
    update.add_argument("address", metavar="ADDRESS", help="a number or short code, as it was added")
    add_organization(update)
    update.add_argument("--profile", metavar="ID", help="messaging profile; '' for none")
    update.add_argument("--tag", action="append", metavar="T", help="tag of its messages; may be repeated; '' for none")


def _country(text: str) -> str:
    country = text.upper()
    if country not in phonenumbers.SUPPORTED_REGIONS:
        raise argparse.ArgumentTypeError(f"got '{text}', wanted an ISO 3166 country such as US")
    return country


async def _add(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    organization = await choose_organization(store, given.organization)
    profile = await find_profile(store, organization, given.profile)
    sender = _sender(given, store, profile)
    registered = await find_campaign(store, sender)
    try:
        await store.changes.add_sender(sender, store.clock.now())
    except AlreadyExists as error:
        raise CommandFailed(await _already(store, sender)) from error
    if registered is not None:
        await store.registry.assign(organization.id, sender.id, registered.id, store.clock.now(), move=False)
    print(f"{sender.address} ({sender.kind}) is a sender of {organization.name} now.")


async def _already(store: Store, sender: Sender) -> str:
    """Why an address cannot be added, and what to do instead."""
    if sender.kind is AddressKind.ALPHANUMERIC:
        return f"{sender.address} is a sender of that profile already."
    known = await store.senders.find(sender.organization_id, NUMBERS, address=sender.address)
    if known is None:
        return f"{sender.address} is a sender of another organisation already."
    where = "this messaging profile" if known.sender.profile_id == sender.profile_id else "another messaging profile"
    if known.sender.profile_id is None:
        where = "no messaging profile"
    return f"{sender.address} is there already, on {where}: change it with 'heliograph numbers update'."


def _sender(given: argparse.Namespace, store: Store, profile: Profile) -> Sender:
    sender = new_sender(store, profile, given.address)
    if given.country is not None and sender.kind is not AddressKind.SHORT_CODE:
        raise CommandFailed(f"--country is for short codes, and {sender.address} is none.")
    if sender.kind is AddressKind.ALPHANUMERIC:
        sender = replace(sender, carrier="", line_type="")
    return replace(
        sender,
        country=given.country or sender.country,
        carrier=sender.carrier if given.carrier is None else given.carrier,
        line_type=sender.line_type if given.line_type is None else given.line_type,
        tags=check_tags(given.tag),
        campaign=_campaign(given),
    )


def _campaign(given: argparse.Namespace) -> Campaign | None:
    if given.campaign is None:
        if given.campaign_not_billable or given.campaign_unregistered:
            raise CommandFailed("Name the campaign with --campaign.")
        return None
    # Contract 9: null when it is not registered.
    registered = None if given.campaign_unregistered else "REGISTERED"
    return Campaign(given.campaign, billable=not given.campaign_not_billable, registered=registered)


async def _list(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    organization = await choose_organization(store, given.organization)
    rows = [_row(sender) for sender in await store.listing.senders(organization.id)]
    columns = ["address", "kind", "country", "profile", "carrier", "line_type", "tags", "campaign"]
    print_list(columns, rows, as_json=given.json)


def _row(sender: Sender) -> dict[str, object]:
    campaign = sender.campaign
    return {
        "address": sender.address,
        "kind": sender.kind.value,
        "country": sender.country,
        "profile": sender.profile_id,
        "carrier": sender.carrier,
        "line_type": sender.line_type,
        "tags": sender.tags,
        "campaign": campaign and campaign.id,
        "campaign_billable": campaign and campaign.billable,
        "campaign_registered": campaign and campaign.registered,
    }


async def _update(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    if given.profile is None and given.tag is None:
        raise CommandFailed("Say what to change: --profile, --tag or both.")
    tags = None if given.tag is None else check_tags([each for each in given.tag if each])
    address = parse_sender(given.address).text
    organization = await choose_organization(store, given.organization)
    profile_id = (await find_profile(store, organization, given.profile)).id if given.profile else given.profile
    known = await store.senders.find(organization.id, NUMBERS, address=address)
    if known is None:
        raise CommandFailed(f"{address} is no number of {organization.name}.")
    await store.senders.change(organization.id, known.sender.id, SenderChange(profile_id, tags), store.clock.now())
    print(f"{address} is changed.")


async def _remove(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    address = parse_sender(given.address).text
    organization = await choose_organization(store, given.organization)
    try:
        await store.changes.remove_sender(organization.id, address)
    except NoSuchRecord as error:
        raise CommandFailed(f"{address} is no sender of {organization.name}.") from error
    print(f"{address} is no longer a sender of {organization.name}.")
