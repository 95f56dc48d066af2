"""`heliograph nodes`: the processes that work on the database."""

import argparse
from collections.abc import Mapping

from heliograph.commands.arguments import Commands, add_command, add_json
from heliograph.commands.listing import print_list
from heliograph.commands.session import with_store
from heliograph.domain.instant import SECOND, Instant, to_text
from heliograph.domain.nodes import Node
from heliograph.settings import Settings
from heliograph.store.store import Store

COLUMNS = ["node", "role", "host", "pid", "version", "state", "carriers", "in hand", "since", "heard"]


def declare(commands: Commands) -> None:
    """Add the command."""
    shown = "list the processes that work on the database, and when each was last heard of"
    nodes = add_command(commands, "nodes", shown, with_store(_list))
    nodes.add_argument("--sandbox", action="store_true", help="by the test clock")
    add_json(nodes)


async def _list(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    now = store.clock.now()
    rows = [_as_json(each, now) if given.json else _as_row(each, now) for each in await store.nodes.all()]
    print_list(COLUMNS, rows, as_json=given.json)


def _as_json(node: Node, now: Instant) -> Mapping[str, object]:
    return {
        "id": node.id,
        "role": node.role.value,
        "host": node.host,
        "pid": node.pid,
        "version": node.version,
        "state": node.standing(now).value,
        "carriers": list(node.carriers),
        "in_hand": node.in_hand,
        "started_at": to_text(node.started_at),
        "heard_at": to_text(node.heard_at),
    }


def _as_row(node: Node, now: Instant) -> Mapping[str, object]:
    told = _as_json(node, now)
    silent = max(0, now - node.heard_at) // SECOND
    own = {"node": node.id, "in hand": node.in_hand, "since": told["started_at"], "heard": f"{silent} s ago"}
    return {**told, **own}
