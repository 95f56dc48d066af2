"""`heliograph carriers`: how carriers stand in every process that runs, lost receipts, and a test message."""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from heliograph.carrier_settings import SANDBOX
from heliograph.commands import trial
from heliograph.commands.arguments import Commands, add_command, add_json
from heliograph.commands.failure import CommandFailed
from heliograph.commands.listing import print_json, print_list
from heliograph.commands.session import with_store
from heliograph.dispatch.rerouting import told_lately
from heliograph.domain.carriers import CarrierState, LinkState
from heliograph.domain.instant import Instant, to_text
from heliograph.domain.lifecycle import result
from heliograph.domain.receipt import Receipt
from heliograph.settings import Settings
from heliograph.store.rerouting import NodeState
from heliograph.store.store import Store

NEWEST = 100
"""Receipts that are listed where nobody asks for more: as many as a person reads."""
MOST = 100_000
NOT_TOLD = "not reported"
NO_CARRIER = "(none)"
_COUNTS = ("taken", "throttled", "refused", "unknown", "receipts", "inbound")
_NODE_SHOWN = 6
"""The last digits of a process's id are drawn by lot, so a few of them tell processes apart."""


@dataclass(frozen=True, slots=True)
class Standing:
    """One carrier: what the settings, the processes that run, and the waiting messages say of it."""

    name: str | None
    """None for messages that no carrier was found for yet."""
    kind: str | None
    """As the settings have it; None for one that is not among them."""
    told: Sequence[NodeState]
    waiting: int
    """Due messages that wait for it, whichever process they were given to."""


def declare(commands: Commands) -> None:
    """Add the commands."""
    shown = "show how each carrier stands in each process that runs, and what waits for it"
    group = add_command(commands, "carriers", shown, with_store(_list))
    _add_listing(group)
    below = group.add_subparsers(title="commands", metavar="COMMAND")
    _add_listing(listed := add_command(below, "list", f"{shown}, as 'carriers' alone does", with_store(_list)))
    lost = "list receipts that no message is known for, newest first"
    receipts = add_command(below, "receipts", lost, with_store(_receipts))
    receipts.add_argument("--limit", type=_limit, default=NEWEST, metavar="N", help=f"how many; {NEWEST} if not given")
    add_json(receipts)
    for each in (listed, receipts, trial.declare(below)):
        _leave_to_group(each, group)


def _add_listing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sandbox", action="store_true", help="with the simulated carrier, and by the test clock")
    add_json(parser)


def _leave_to_group(parser: argparse.ArgumentParser, group: argparse.ArgumentParser) -> None:
    """Options may stand before the word or after it: what stood before must not fall back to its default."""
    known = {action.dest for action in group._actions}
    for action in parser._actions:
        if action.dest in known and action.dest != "help":
            action.default = argparse.SUPPRESS


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST):
        raise argparse.ArgumentTypeError(f"got '{text}', wanted a number from 1 to {MOST}")
    return int(text)


# ------------------------------------------------------------------------------------------------------------ standing


async def standings(settings: Settings, store: Store) -> Sequence[Standing]:
    """Every carrier that is set, that a process reports, or that a message waits for; those set first, in order."""
    told = await told_lately(store)
    waiting = await store.reports.waiting()
    kinds = {SANDBOX: SANDBOX} if settings.sandbox.enabled else {}
    kinds |= {name: each.kind for name, each in settings.carriers.items()}
    others = {each.state.name for each in told} | {name for name in waiting if name is not None}
    names: list[str | None] = [*kinds, *sorted(others - set(kinds)), *([None] if None in waiting else [])]
    return [
        Standing(
            name,
            kinds.get(name) if name is not None else None,
            [each for each in told if each.state.name == name],
            waiting.get(name, 0),
        )
        for name in names
    ]


async def _list(given: argparse.Namespace, settings: Settings, store: Store) -> None:
    found = await standings(settings, store)
    if given.json:
        print_json([_as_json(each) for each in found])
        return
    if not found:
        raise CommandFailed("There is no carrier in the settings, and no process reports one.")
    now = store.clock.now()
    columns = ["carrier", "process", "kind", "state", "in flight", "rate", *_COUNTS, "waiting"]
    print_list(columns, [row for each in found for row in _rows(each, now)], as_json=False)
    _print_more(["carrier", "process", "link", "state", "since", "in flight"], [*_each(found, _link_rows)])
    _print_more(["carrier", "process", "at", "last error"], [*_each(found, _error_rows)])


def _print_more(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    if rows:
        print()
        print_list(columns, rows, as_json=False)


def _each(
    found: Sequence[Standing], rows: Callable[[CarrierState], Iterator[Mapping[str, object]]]
) -> Iterator[Mapping[str, object]]:
    for told in (told for each in found for told in each.told):
        for row in rows(told.state):
            yield {"carrier": told.state.name, "process": _process(told), **row}


def _rows(standing: Standing, now: Instant) -> Iterator[Mapping[str, object]]:
    """One for each process; one without figures where no process reports it."""
    ours = {"carrier": standing.name or NO_CARRIER, "kind": standing.kind, "waiting": standing.waiting}
    if not standing.told:
        unknown = dict.fromkeys(("process", "in flight", "rate", *_COUNTS))
        yield {**ours, **unknown, "state": NOT_TOLD if standing.name else None}
    for told in standing.told:
        state = told.state
        counts = {name: getattr(state, name) for name in _COUNTS}
        figures = {"in flight": _in_flight(state.links), "rate": f"{state.rate:.1f}", **counts}
        yield {**ours, "process": _process(told), "kind": state.kind, "state": stands(state, now), **figures}


def stands(state: CarrierState, now: Instant) -> str:
    """How a carrier stands in one process, in a word or two."""
    if not state.up:
        return "down"
    if state.resting_until is not None and state.resting_until > now:
        return f"resting until {to_text(state.resting_until)}"
    return "up"


def _link_rows(state: CarrierState) -> Iterator[Mapping[str, object]]:
    for link in state.links:
        in_flight = _in_flight([link])
        yield {"link": link.name, "state": link.state, "since": to_text(link.since), "in flight": in_flight}


def _error_rows(state: CarrierState) -> Iterator[Mapping[str, object]]:
    if state.last_error is not None:
        at = None if state.last_error_at is None else to_text(state.last_error_at)
        yield {"at": at, "last error": state.last_error}


def _in_flight(links: Sequence[LinkState]) -> str | None:
    """`3/20`: submits that are not answered, and how many may be; None for what has no window."""
    window = sum(link.window for link in links)
    return f"{sum(link.in_flight for link in links)}/{window}" if window else None


def _process(told: NodeState) -> str:
    return told.node[-_NODE_SHOWN:]


def _as_json(standing: Standing) -> Mapping[str, object]:
    return {
        "carrier": standing.name,
        "kind": standing.kind or (standing.told[0].state.kind if standing.told else None),
        "configured": standing.kind is not None,
        "waiting": standing.waiting,
        "processes": [_process_json(each) for each in standing.told],
    }


def _process_json(told: NodeState) -> Mapping[str, object]:
    state = told.state
    return {
        "process": told.node,
        "at": to_text(told.at),
        "up": state.up,
        "resting_until": _moment(state.resting_until),
        "rate": state.rate,
        **{name: getattr(state, name) for name in _COUNTS},
        "last_error": state.last_error,
        "last_error_at": _moment(state.last_error_at),
        "links": [_link_json(link) for link in state.links],
    }


def _link_json(link: LinkState) -> Mapping[str, object]:
    return {
        "link": link.name,
        "state": link.state,
        "since": to_text(link.since),
        "in_flight": link.in_flight,
        "window": link.window,
    }


def _moment(moment: Instant | None) -> str | None:
    return None if moment is None else to_text(moment)


# ------------------------------------------------------------------------------------------------------------ receipts


async def _receipts(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    rows = [_receipt_row(each) for each in await store.reports.unmatched(given.limit)]
    print_list(["at", "carrier", "id", "says", "to", "from", "error"], rows, as_json=given.json)


def _receipt_row(receipt: Receipt) -> Mapping[str, object]:
    return {
        "at": to_text(receipt.at),
        "carrier": receipt.carrier,
        "id": receipt.carrier_message_id,
        "says": result(receipt.change),
        "to": receipt.recipient,
        "from": receipt.sender,
        "error": None if receipt.error is None else f"{receipt.error.code} {receipt.error.detail}",
        "text": receipt.text or None,
    }
