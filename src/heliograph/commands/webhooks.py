"""`heliograph webhooks`: the endpoints that events go to, and those that get none for now."""

import argparse
import sys

from heliograph.commands.arguments import Commands, add_command, add_group, add_json, add_organization
from heliograph.commands.failure import CommandFailed
from heliograph.commands.listing import print_list
from heliograph.commands.session import choose_organization, with_store
from heliograph.domain.instant import Instant, to_text
from heliograph.settings import Settings
from heliograph.store.lanes import EndpointState
from heliograph.store.store import Store

RESTS = "It asked to be left alone until then."
"""Why an endpoint gets nothing for a while: a 429, or a wait that came with a 503."""


def declare(commands: Commands) -> None:
    """Add the commands."""
    group = add_group(commands, "webhooks", "endpoints that events are sent to")
    shown = "list the endpoints that were turned off or are resting, and why"
    listed = add_command(group, "endpoints", shown, with_store(_endpoints))
    listed.add_argument("--organization", metavar="NAME", help="name or id; without it those of all organisations")
    add_json(listed)
    enable = add_command(group, "enable", "send events to an endpoint again, from now on", with_store(_enable))
    enable.add_argument("url", metavar="URL", help="as 'heliograph webhooks endpoints' shows it")
    add_organization(enable)


async def _endpoints(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    chosen = None if given.organization is None else (await choose_organization(store, given.organization)).id
    names = {each.id: each.name for each in await store.listing.organizations()}
    now = store.clock.now()
    known = await store.lanes.endpoints(chosen)
    rows = [_row(each, names[each.organization_id]) for each in known if _gets_nothing(each, now)]
    rows.sort(key=lambda row: (str(row["organization"]), str(row["url"])))
    print_list(["organization", "url", "state", "since", "until", "reason"], rows, as_json=given.json)


def _gets_nothing(endpoint: EndpointState, now: Instant) -> bool:
    return endpoint.disabled_at is not None or (endpoint.paused_until or 0) > now


def _row(endpoint: EndpointState, organization: str) -> dict[str, object]:
    """`since` when it is off, `until` when it rests: of a rest only the end is kept, and what is off has none."""
    off = endpoint.disabled_at is not None
    return {
        "organization": organization,
        "url": endpoint.url,
        "state": "off" if off else "resting",
        "since": _moment(endpoint.disabled_at),
        "until": None if off else _moment(endpoint.paused_until),
        "reason": endpoint.reason if off else RESTS,
    }


async def _enable(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    organization = await choose_organization(store, given.organization)
    known = {each.url: each for each in await store.lanes.endpoints(organization.id)}
    endpoint = known.get(given.url)
    if endpoint is None:
        raise CommandFailed(
            f"{organization.name} has no endpoint '{given.url}' that is off or resting: 'heliograph webhooks endpoints'"
            " lists those there are."
        )
    if not _gets_nothing(endpoint, store.clock.now()):
        print(f"Events of {organization.name} go to {given.url} already.")
        return
    await store.set_endpoint(EndpointState(organization.id, given.url))
    print(f"Events of {organization.name} go to {given.url} again.")
    if endpoint.disabled_at is not None:
        since = to_text(endpoint.disabled_at)
        print(
            f"What failed since {since} is not sent again by itself: "
            "POST /v2/webhook_deliveries/replay with status failed does that.",
            file=sys.stderr,
        )


def _moment(moment: Instant | None) -> str | None:
    return None if moment is None else to_text(moment)
