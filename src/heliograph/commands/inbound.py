"""`heliograph inbound`: messages that came in."""

import argparse

from heliograph.commands.arguments import Commands, add_command, add_group, add_json
from heliograph.commands.listing import print_list
from heliograph.commands.session import with_store
from heliograph.domain.instant import to_text
from heliograph.settings import Settings
from heliograph.store.inbound import RefusedInbound
from heliograph.store.store import Store

NEWEST = 100
"""As many as a person reads; all of them are in the table `refused_inbound`."""


def declare(commands: Commands) -> None:
    """Add the commands."""
    group = add_group(commands, "inbound", "messages that came in")
    shown = f"list the last {NEWEST} messages that came in for a number that is nobody's, newest first"
    add_json(add_command(group, "refused", shown, with_store(_refused)))


async def _refused(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    rows = [_row(each) for each in await store.inbound.refused(NEWEST)]
    print_list(["at", "from", "to", "carrier", "reason"], rows, as_json=given.json)


def _row(refused: RefusedInbound) -> dict[str, object]:
    return {
        "id": refused.id,
        "at": to_text(refused.at),
        "from": refused.sender,
        "to": refused.recipient,
        "carrier": refused.carrier,
        "reason": refused.reason,
    }
