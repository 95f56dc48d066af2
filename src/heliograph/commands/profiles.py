"""`heliograph profiles`: messaging profiles."""

import argparse
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import phonenumbers

from heliograph import randomness
from heliograph.commands.arguments import Commands, a_name, add_command, add_group, add_json, add_organization
from heliograph.commands.listing import print_list
from heliograph.commands.session import CommandFailed, choose_organization, find_profile, with_store
from heliograph.domain.accounts import ANYWHERE, NumberPool, Organization, Profile, ProfileSettings
from heliograph.domain.address import AddressKind, parse_sender
from heliograph.domain.compose import check_url
from heliograph.domain.events import profile_urls
from heliograph.domain.ids import ProfileId
from heliograph.domain.instant import to_text
from heliograph.settings import Settings
from heliograph.store.store import Store

PAGE = 250
WEBHOOK_URLS = ("webhook_url", "webhook_failover_url")
EVEN_POOL = NumberPool(long_code_weight=1, toll_free_weight=1, skip_unhealthy=False)


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
    update = add_command(group, "update", "change where a messaging profile's events are sent", with_store(_update))
    update.add_argument("profile", metavar="ID", help="messaging profile")
    add_organization(update)
    update.add_argument("--webhook-url", metavar="URL", help="where events are sent; '' for nowhere")
    update.add_argument(
        "--webhook-failover-url", metavar="URL", help="where they are sent when that fails; '' for none"
    )
    listed = add_command(group, "list", "list messaging profiles, newest first", with_store(_list))
    listed.add_argument("--organization", metavar="NAME", help="name or id; without it those of all organisations")
    add_json(listed)


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
    if given.alpha_sender is not None and parse_sender(given.alpha_sender).kind is not AddressKind.ALPHANUMERIC:
        raise CommandFailed(f"'{given.alpha_sender}' is a number: an alphanumeric sender has at least one letter.")
    return ProfileSettings(
        webhook_url=given.webhook_url,
        webhook_failover_url=given.webhook_failover_url,
        whitelisted_destinations=given.destinations,
        number_pool_settings=EVEN_POOL if given.pool else None,
        alpha_sender=given.alpha_sender,
        smart_encoding=given.smart_encoding,
        v1_secret=randomness.secret(),
    )


async def _update(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    urls = {name: url for name in WEBHOOK_URLS if (url := getattr(given, name)) is not None}
    if not urls:
        raise CommandFailed("Say what to change: --webhook-url, --webhook-failover-url or both.")
    for name, url in urls.items():
        check_url(url or None, f"/{name}")
    organization = await choose_organization(store, given.organization)
    found = await find_profile(store, organization, given.profile)
    now = store.clock.now()

    def changed(profile: Profile) -> Profile:
        settings = msgspec.structs.replace(profile.settings, **{name: url or None for name, url in urls.items()})
        return replace(profile, settings=settings, updated_at=now)

    profile = await store.changes.change_profile(organization.id, found.id, changed)
    print(f"Events of the messaging profile {profile.name} are sent {_destination(profile.settings)} now.")


def _destination(settings: ProfileSettings) -> str:
    urls = profile_urls(settings)
    return f"to {', then to '.join(urls)}" if urls else "nowhere"


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
