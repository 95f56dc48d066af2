"""`heliograph keys`: those of the API, made, listed and revoked; and those that webhooks are signed with.

The secret of an API key is printed once, when the key is made. Of a webhook key the private half is never printed; its
public half and its shared secret are whenever they are asked for, as receivers need them.
"""

import argparse
import sys
from collections.abc import Sequence
from re import compile as regex

from heliograph.commands.arguments import (
    Commands,
    a_duration,
    a_name,
    add_command,
    add_group,
    add_json,
    add_organization,
)
from heliograph.commands.failure import CommandFailed
from heliograph.commands.listing import print_list
from heliograph.commands.session import choose_organization, with_store
from heliograph.domain.accounts import Organization
from heliograph.domain.instant import DAY, Instant, to_text
from heliograph.domain.signing_keys import LONGEST_OVERLAP, RotationUnderWay, WebhookKey, keys_at, signs_until
from heliograph.server import new_key
from heliograph.settings import Settings
from heliograph.store.accounts import ApiKey
from heliograph.store.store import Store
from heliograph.webhooks.signing import public_key

# Of a whole key its id is enough, so that one that leaked in part can be revoked too.
_KEY = regex(r"(?:KEY_)?([0-9a-f]{16})(?:_.*)?")


def declare(commands: Commands) -> None:
    """Add the commands."""
    group = add_group(commands, "keys", "API keys, and the keys that webhooks are signed with")
    create = add_command(group, "create", "make an API key and print it, this once", with_store(_create))
    add_organization(create)
    create.add_argument("--name", type=a_name, metavar="TEXT", help="what the key is for")
    add_json(add_command(group, "list", "list the keys of all organisations, without their secrets", with_store(_list)))
    revoke = add_command(group, "revoke", "refuse an API key from now on, on every server", with_store(_revoke))
    revoke.add_argument("key", metavar="ID", help="id of the key, or the key itself")
    _declare_webhook_keys(group)


def _declare_webhook_keys(group: Commands) -> None:
    shown = "show what an organisation's webhooks are verified with"
    show = add_command(group, "webhook", shown, with_store(_show_webhook))
    rotated = "make a new key for an organisation's webhooks, and show what they are verified with"
    rotate = add_command(group, "rotate-webhook", rotated, with_store(_rotate_webhook))
    overlap = "time to hand out the new key before it signs; 24h unless given, and at 0 every other key retires at once"
    rotate.add_argument("--overlap", type=a_duration(LONGEST_OVERLAP), default=DAY, metavar="DURATION", help=overlap)
    for each in (show, rotate):
        add_organization(each)
        add_json(each)


async def _create(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    organization = await choose_organization(store, given.organization)
    print(await new_key(store, organization, given.name or ""))
    print("This key is shown once: only its hash is stored.", file=sys.stderr)


async def _list(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    rows = [_row(key) for key in await store.listing.keys()]
    print_list(["id", "organization", "name", "created", "revoked"], rows, as_json=given.json)


def _row(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "organization": key.organization.name,
        "name": key.name,
        "created": to_text(key.created_at),
        "revoked": _moment(key.revoked_at),
    }


async def _revoke(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    key = await _find(store, given.key)
    if key.revoked_at is not None:
        print(f"The key {key.id} of {key.organization.name} was revoked at {to_text(key.revoked_at)} already.")
        return
    await store.changes.revoke_key(key.id, store.clock.now())
    print(f"The key {key.id} of {key.organization.name} is revoked.")


async def _find(store: Store, text: str) -> ApiKey:
    match = _KEY.fullmatch(text)
    if match is None:
        # The text is not shown: it may be most of a secret.
        raise CommandFailed("That is neither a key nor its id of 16 digits, which 'heliograph keys list' shows.")
    key = await store.accounts.key(match[1])
    if key is None:
        raise CommandFailed(f"There is no key {match[1]}: 'heliograph keys list' shows those there are.")
    return key


async def _show_webhook(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    organization = await choose_organization(store, given.organization)
    now = store.clock.now()
    keys = await store.webhook_keys.ensure(organization.id, now)
    _print_webhook_keys(organization, keys, now, as_json=given.json)


async def _rotate_webhook(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    organization = await choose_organization(store, given.organization)
    now = store.clock.now()
    try:
        keys = await store.webhook_keys.rotate(organization.id, now, given.overlap)
    except RotationUnderWay as error:
        raise CommandFailed(
            f"A rotation of {organization.name} ends at {to_text(error.until)}: wait, or give --overlap 0, which"
            " retires every key but a new one at once."
        ) from error
    _print_webhook_keys(organization, keys, now, as_json=given.json)
    print(_what_follows(keys), file=sys.stderr)


def _what_follows(keys: Sequence[WebhookKey]) -> str:
    *old, new = keys
    if not old:
        return "The new key signs from now on, and no other is trusted: give it to every receiver."
    ends = max(key.retires_at or new.signs_from for key in old)
    return (
        f"Give the new key to every receiver before {to_text(new.signs_from)}. The old one retires at {to_text(ends)}."
    )


def _print_webhook_keys(organization: Organization, keys: Sequence[WebhookKey], now: Instant, *, as_json: bool) -> None:
    signer = keys_at(keys, now).signer
    rows = [
        {
            "id": key.id,
            "organization": organization.name,
            "signs_now": key is signer,
            "public_key": public_key(key),
            "secret": key.secret,
            "signs_from": to_text(key.signs_from),
            "signs_until": _moment(signs_until(key, keys)),
            "retires": _moment(key.retires_at),
        }
        for key in keys
    ]
    columns = ["signs_now", "public_key", "secret", "signs_from", "signs_until", "retires"]
    print_list(columns, rows, as_json=as_json)


def _moment(moment: Instant | None) -> str | None:
    return None if moment is None else to_text(moment)
