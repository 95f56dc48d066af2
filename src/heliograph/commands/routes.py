"""`heliograph routes`: which carriers messages go to, by the settings alone; no database is asked.

Whether a carrier is up at this moment is not known here: one that is down is passed over, and the next is taken.
"""

import argparse
from collections.abc import Sequence

from heliograph.carrier_settings import SANDBOX
from heliograph.commands.arguments import Commands, add_command, add_group, add_json
from heliograph.commands.listing import print_json, print_list
from heliograph.domain.address import parse_destination, parse_sender
from heliograph.domain.ids import canonical_uuid
from heliograph.domain.message import MessageType
from heliograph.domain.routes import (
    CONDITIONS,
    Considered,
    Route,
    RouteQuery,
    RoutingTable,
    Share,
    Verdict,
    fraction_of,
)
from heliograph.settings import Settings


def declare(commands: Commands) -> None:
    """Add the commands."""
    group = add_group(commands, "routes", "which carriers messages go to")
    explain = add_command(group, "explain", "say which carrier a message would go to, which next, and why", _explain)
    explain.add_argument("to", metavar="TO", help="whom it is for: a number in E.164, or a short code")
    explain.add_argument("--from", dest="sender", metavar="SENDER", help="who sends it")
    explain.add_argument("--profile", type=_id, metavar="ID", help="its messaging profile")
    explain.add_argument("--type", choices=[*map(str, MessageType)], default="SMS", metavar="TYPE", help="SMS or MMS")
    explain.add_argument("--message", type=_id, metavar="ID", help="its id, which decides between weights")
    _add_sandbox(explain)
    add_json(explain)
    listed = add_command(group, "list", "list the routes in their order", _list)
    _add_sandbox(listed)
    add_json(listed)


def _add_sandbox(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sandbox", action="store_true", help="with the simulated carrier")


def _explain(given: argparse.Namespace, settings: Settings) -> int:
    table, query = settings.routing(), _query(given)
    if given.json:
        print_json(_as_json(given, query, table))
        return 0
    plan = table.plan(query) if given.message else None
    for word, carriers in _steps(table.stages(query), plan):
        print(f"{word:5}  {carriers}")
    print()
    _print_when_none_set(settings)
    rows = [_verdict_row(each) for each in table.explain(query)]
    print_list(["route", "matches", "why"], rows, as_json=False)
    return 0


def _query(given: argparse.Namespace) -> RouteQuery:
    """Raises `BadAddress`."""
    recipient = parse_destination(given.to)
    return RouteQuery(
        recipient=recipient.text,
        country=recipient.country,
        sender=parse_sender(given.sender).text if given.sender is not None else "",
        profile_id=given.profile or "",
        type=MessageType(given.type),
        fraction=fraction_of(given.message) if given.message else 0.0,
    )


def _id(text: str) -> str:
    canonical = canonical_uuid(text)
    if canonical is None:
        raise argparse.ArgumentTypeError(f"got '{text}', wanted an id, which is a UUID")
    return canonical


def _steps(stages: Sequence[Sequence[Share]], plan: Sequence[str] | None) -> list[tuple[str, str]]:
    """What is tried, in order: carriers by name where the message is known, else with their chances."""
    if not stages:
        return [("none", "No route matches: such a message cannot be sent.")]
    tried = list(plan) if plan is not None else [step for stage in stages for step in _chances(stage)]
    return [("then" if index else "first", step) for index, step in enumerate(tried)]


def _chances(stage: Sequence[Share]) -> list[str]:
    if len(stage) == 1:
        return [stage[0].carrier]
    total = sum(share.weight for share in stage)
    drawn = " or ".join(f"{share.carrier} ({_percent(share.weight / total)})" for share in stage)
    return [drawn, "the other of them" if len(stage) == 2 else "the others of them, by weight"]


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _verdict_row(verdict: Verdict) -> dict[str, object]:
    matches = verdict.mismatch is None
    why = ", ".join(map(_considered, verdict.carriers)) if matches else verdict.mismatch
    return {"route": verdict.route.name, "matches": matches, "why": why}


def _considered(each: Considered) -> str:
    if each.left_out is not None:
        return f"{each.carrier} ({each.left_out})"
    return each.carrier if each.share == 1 else f"{each.carrier} {_percent(each.share)}"


def _as_json(given: argparse.Namespace, query: RouteQuery, table: RoutingTable) -> dict[str, object]:
    stages = table.stages(query)
    drawn = given.message is not None or all(len(stage) == 1 for stage in stages)
    return {
        "to": query.recipient,
        "country": query.country,
        "from": query.sender or None,
        "profile": query.profile_id or None,
        "type": query.type,
        "plan": table.plan(query) if drawn else None,
        "stages": [[{"carrier": each.carrier, "weight": each.weight} for each in stage] for stage in stages],
        "routes": [_verdict_json(each) for each in table.explain(query)],
    }


def _verdict_json(verdict: Verdict) -> dict[str, object]:
    return {
        "route": verdict.route.name,
        "matches": verdict.mismatch is None,
        "why": verdict.mismatch,
        "carriers": verdict.carriers,
    }


def _list(given: argparse.Namespace, settings: Settings) -> int:
    routes = settings.routing().routes
    if given.json:
        print_json([{"route": route.name, **route.conditions(), "carriers": route.carriers} for route in routes])
        return 0
    _print_when_none_set(settings)
    rows = [_row(route) for route in routes]
    print_list(["route", *CONDITIONS, "carriers"], rows, as_json=False)
    return 0


def _row(route: Route) -> dict[str, object]:
    conditions = route.conditions()
    shares = [f"{share.carrier} {share.weight:g}" for share in route.carriers]
    carriers = route.carriers[0].carrier if len(shares) == 1 else ", ".join(shares)
    return {"route": route.name, **{name: conditions.get(name) for name in CONDITIONS}, "carriers": carriers}


def _print_when_none_set(settings: Settings) -> None:
    if settings.routes:
        return
    if settings.sandbox.enabled:
        print(f"No routes are set: everything goes to the {SANDBOX}.\n")
    elif settings.carriers:
        print("No routes are set: the carriers are taken in the order of the file.\n")
    else:
        print("No routes are set, and no carriers.\n")
