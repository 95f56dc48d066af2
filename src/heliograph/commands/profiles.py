"""`heliograph profiles`: messaging profiles."""

import argparse
from collections.abc import Sequence

import phonenumbers

from heliograph import randomness
from heliograph.commands.arguments import Commands, a_name, add_command, add_group, add_json, add_organization
from heliograph.commands.listing import print_list
from heliograph.commands.profile_changes import EVEN_POOL, check_alpha_sender, declare_update
from heliograph.commands.session import choose_organization, find_profile, with_store
from heliograph.domain.accounts import ANYWHERE, Organization, Profile, ProfileSettings
from heliograph.domain.compose import check_url
from heliograph.domain.ids import ProfileId
from heliograph.domain.instant import to_text
from heliograph.settings import Settings
from heliograph.store.store import Store

PAGE = 250


def declare(commands: Commands) -> None:
    """Add the commands."""
    group = add_group(commands, "profiles", "messaging profiles")
    create = add_command(group, "create", "make a messaging profile and print its id", with_store(_create))
    create.add_argument("name", metavar="NAME", type=a_name, help="how it is called")
    add_organization(create)
    countries = "countries it may send to, such as US,CA; '*' for all, which is the default"
    create.add_argument("--destinations", type=_destinations, default=(ANYWHERE,), metavar="LIST", help=countries)
    create.add_argument("--webhook-url", metavar="URL", help="where events are sent")
    create.add_argument("--webhook-failover-url", metavar="URL", help="where they are sent when that fails")
    create.add_argument("--alpha-sender", metavar="TEXT", help="alphanumeric sender it may use")
    create.add_argument("--smart-encoding", action="store_true", help="write typographic characters as plain ones")
    create.add_argument("--pool", action="store_true", help="choose a number for messages without 'from'")
    declare_update(group, _destinations)
    listed = add_command(group, "list", "list messaging profiles, newest first", with_store(_list))
    listed.add_argument("--organization", metavar="NAME", help="name or id; without it those of all organisations")
    add_json(listed)
    delete = add_command(group, "delete", "delete a messaging profile", with_store(_delete))
    delete.add_argument("profile", metavar="ID", help="messaging profile")
    add_organization(delete)


def _destinations(text: str) -> tuple[str, ...]:
    wanted = tuple(each.strip().upper() for each in text.split(","))
    for each in wanted:
        if each != ANYWHERE and each not in phonenumbers.SUPPORTED_REGIONS:
            raise argparse.ArgumentTypeError(f"got '{each}', wanted ISO 3166 countries such as US,CA,GB, or '*'")
    return wanted


async def _create(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    settings = _profile_settings(given)
    organization = await choose_organization(store, given.organization)
    now = store.clock.now()
    profile = Profile(ProfileId(randomness.new_id(now)), organization.id, given.name, settings, now, now)
    await store.changes.save_profile(profile)
    print(profile.id)


def _profile_settings(given: argparse.Namespace) -> ProfileSettings:
    """Raises a `Refusal` for a bad URL and `BadAddress` or `CommandFailed` for a bad sender."""
    check_url(given.webhook_url, "/webhook_url")
    check_url(given.webhook_failover_url, "/webhook_failover_url")
    if given.alpha_sender is not None:
        check_alpha_sender(given.alpha_sender)
    return ProfileSettings(
        webhook_url=given.webhook_url,
        webhook_failover_url=given.webhook_failover_url,
        whitelisted_destinations=given.destinations,
        number_pool_settings=EVEN_POOL if given.pool else None,
        alpha_sender=given.alpha_sender or None,
        smart_encoding=given.smart_encoding,
        v1_secret=randomness.secret(),
    )


async def _delete(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    organization = await choose_organization(store, given.organization)
    found = await find_profile(store, organization, given.profile)
    profile = await store.changes.delete_profile(organization.id, found.id, store.clock.now())
    print(f"The messaging profile {profile.name} is deleted; its numbers are on no profile now.")


async def _list(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    if given.organization is None:
        organizations = await store.listing.organizations()
    else:
        organizations = [await choose_organization(store, given.organization)]
    rows = [_row(each, profile) for each in organizations for profile in await _profiles_of(store, each)]
    columns = ["id", "organization", "name", "enabled", "destinations", "alpha_sender", "pool", "webhook_url"]
    print_list(columns, rows, as_json=given.json)


async def _profiles_of(store: Store, organization: Organization) -> Sequence[Profile]:
    """All pages."""
    found: list[Profile] = []
    while True:
        total, page = await store.listing.profiles(organization.id, len(found), PAGE, {})
        found.extend(page)
        if not page or len(found) >= total:
            return found


def _row(organization: Organization, profile: Profile) -> dict[str, object]:
    settings = profile.settings
    return {
        "id": profile.id,
        "organization": organization.name,
        "name": profile.name,
        "enabled": settings.enabled,
        "destinations": settings.whitelisted_destinations,
        "webhook_url": settings.webhook_url,
        "webhook_failover_url": settings.webhook_failover_url,
        "alpha_sender": settings.alpha_sender,
        "smart_encoding": settings.smart_encoding,
        "pool": settings.number_pool_settings is not None,
        "created": to_text(profile.created_at),
    }
