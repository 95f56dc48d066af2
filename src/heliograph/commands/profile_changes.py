"""`heliograph profiles update`: what a messaging profile is set to."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from msgspec.structs import replace as with_settings

from heliograph.commands.arguments import Commands, a_name, add_command, add_organization
from heliograph.commands.failure import CommandFailed
from heliograph.commands.session import choose_organization, find_profile, with_store
from heliograph.domain.accounts import NumberPool, Profile, ProfileSettings
from heliograph.domain.address import AddressKind, parse_sender
from heliograph.domain.compose import check_url
from heliograph.domain.events import profile_urls
from heliograph.settings import Settings
from heliograph.store.store import Store

WEBHOOK_URLS = ("webhook_url", "webhook_failover_url")
SWITCHES: Mapping[str, str] = {
    "enabled": "whether it may send at all",
    "smart_encoding": "write typographic characters as plain ones",
    "mobile_only": "refuse numbers that are known to be no mobiles",
    "mms_fall_back_to_sms": "send an MMS that no carrier takes as an SMS with links",
}
POOL_SWITCHES: Mapping[str, str] = {
    "sticky_sender": "the same number for the same person",
    "geomatch": "a number of the person's area where there is one",
    "skip_unhealthy": "no number whose messages do not arrive",
}
MAX_DIGITS = 15
REDACTION_LEVELS = (0, 1, 2)
EVEN_POOL = NumberPool(long_code_weight=1, toll_free_weight=1, skip_unhealthy=False)


def declare_update(group: Commands, destinations: Callable[[str], tuple[str, ...]]) -> None:
    """Add the command; `destinations` reads a list of countries."""
    update = add_command(group, "update", "change a messaging profile", with_store(_update))
    update.add_argument("profile", metavar="ID", help="messaging profile")
    add_organization(update)
    update.add_argument("--name", type=a_name, metavar="TEXT", help="how it is called")
    update.add_argument("--webhook-url", metavar="URL", help="where events are sent; '' for nowhere")
    update.add_argument(
        "--webhook-failover-url", metavar="URL", help="where they are sent when that fails; '' for none"
    )
    update.add_argument(
        "--destinations", type=destinations, metavar="LIST", help="countries it may send to; '*' for all"
    )
    update.add_argument("--alpha-sender", metavar="TEXT", help="alphanumeric sender it may use; '' for none")
    _switches(update, SWITCHES)
    update.add_argument(
        "--pool", action=argparse.BooleanOptionalAction, help="choose a number for messages without 'from'"
    )
    _switches(update, POOL_SWITCHES)
    limit = "what it may spend on a day, such as 100.00, and it is enforced; '' for no limit"
    update.add_argument("--daily-spend-limit", type=_limit, metavar="AMOUNT", help=limit)
    redaction = "hide of messages that are over: 1 numbers, 2 texts too, 0 nothing"
    update.add_argument("--redaction", type=int, choices=REDACTION_LEVELS, metavar="LEVEL", help=redaction)


def _switches(parser: argparse.ArgumentParser, switches: Mapping[str, str]) -> None:
    for name, text in switches.items():
        parser.add_argument(f"--{name.replace('_', '-')}", action=argparse.BooleanOptionalAction, help=text)


def _limit(text: str) -> str:
    whole, point, fraction = text.partition(".")
    if text and not (_digits(whole) and (_digits(fraction) or not point)):
        raise argparse.ArgumentTypeError(f"got '{text}', wanted an amount such as 100.00, or '' for no limit")
    return text


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS


async def _update(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    wanted = _wanted(given)
    if not wanted and given.name is None and given.pool is None and not _pool_wishes(given):
        raise CommandFailed("Say what to change; 'heliograph profiles update --help' lists it.")
    organization = await choose_organization(store, given.organization)
    found = await find_profile(store, organization, given.profile)
    now = store.clock.now()

    def changed(profile: Profile) -> Profile:
        settings = with_settings(_with_pool(profile.settings, given), **wanted)
        return replace(profile, name=given.name or profile.name, settings=settings, updated_at=now)

    profile = await store.changes.change_profile(organization.id, found.id, changed)
    if any(getattr(given, name) is not None for name in WEBHOOK_URLS):
        print(f"Events of the messaging profile {profile.name} are sent {_destination(profile.settings)} now.")
    else:
        print(f"The messaging profile {profile.name} is changed.")


def _wanted(given: argparse.Namespace) -> dict[str, Any]:
    """The settings that are named, the pool aside. Raises a `Refusal`, `BadAddress` or `CommandFailed`."""
    wanted: dict[str, Any] = {name: value for name in SWITCHES if (value := getattr(given, name)) is not None}
    for name in WEBHOOK_URLS:
        if (url := getattr(given, name)) is not None:
            check_url(url or None, f"/{name}")
            wanted[name] = url or None
    if given.destinations is not None:
        wanted["whitelisted_destinations"] = given.destinations
    if given.alpha_sender is not None:
        check_alpha_sender(given.alpha_sender)
        wanted["alpha_sender"] = given.alpha_sender or None
    if given.daily_spend_limit is not None:
        limit = given.daily_spend_limit or None
        wanted |= {"daily_spend_limit": limit, "daily_spend_limit_enabled": limit is not None}
    if given.redaction is not None:
        wanted["redaction_enabled"] = given.redaction > 0
        if given.redaction:
            wanted["redaction_level"] = given.redaction
    return wanted


def check_alpha_sender(text: str) -> None:
    """Raise `BadAddress` or `CommandFailed` unless a profile may have it as its sender; an empty text is none."""
    if text and parse_sender(text).kind is not AddressKind.ALPHANUMERIC:
        raise CommandFailed(f"'{text}' is a number: an alphanumeric sender has at least one letter.")


def _pool_wishes(given: argparse.Namespace) -> dict[str, bool]:
    return {name: value for name in POOL_SWITCHES if (value := getattr(given, name)) is not None}


def _with_pool(settings: ProfileSettings, given: argparse.Namespace) -> ProfileSettings:
    """With the pool on or off, and on with what is wished for. Raises `CommandFailed` for a pool that is off."""
    pool, wishes = settings.number_pool_settings, _pool_wishes(given)
    if given.pool is not None:
        pool = (pool or EVEN_POOL) if given.pool else None
    if wishes:
        if pool is None:
            name = next(iter(wishes)).replace("_", "-")
            raise CommandFailed(f"--{name} is of a number pool, and this messaging profile has none: add --pool.")
        pool = with_settings(pool, **wishes)
    return with_settings(settings, number_pool_settings=pool)


def _destination(settings: ProfileSettings) -> str:
    urls = profile_urls(settings)
    return f"to {', then to '.join(urls)}" if urls else "nowhere"
