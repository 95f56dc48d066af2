"""`heliograph keys`: made, listed and revoked. A secret is printed once, when its key is made."""

import argparse
import sys
from re import compile as regex

from heliograph.commands.arguments import Commands, a_name, add_command, add_group, add_json, add_organization
from heliograph.commands.listing import print_list
from heliograph.commands.session import CommandFailed, choose_organization, with_store
from heliograph.domain.instant import to_text
from heliograph.server import new_key
from heliograph.settings import Settings
from heliograph.store.accounts import ApiKey
from heliograph.store.store import Store

# Of a whole key its id is enough, so that one that leaked in part can be revoked too.
_KEY = regex(r"(?:KEY_)?([0-9a-f]{16})(?:_.*)?")


def declare(commands: Commands) -> None:
    """Add the commands."""
    group = add_group(commands, "keys", "API keys")
    create = add_command(group, "create", "make an API key and print it, this once", with_store(_create))
    add_organization(create)
    create.add_argument("--name", type=a_name, metavar="TEXT", help="what the key is for")
    add_json(add_command(group, "list", "list the keys of all organisations, without their secrets", with_store(_list)))
    revoke = add_command(group, "revoke", "refuse an API key from now on, on every server", with_store(_revoke))
    revoke.add_argument("key", metavar="ID", help="id of the key, or the key itself")


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
        "revoked": None if key.revoked_at is None else to_text(key.revoked_at),
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
