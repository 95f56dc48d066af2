"""`heliograph routes`: which carriers messages go to, by the settings alone; no database is asked.

Whether a carrier is up at this moment is not known here: one that is down is passed over, and the next is taken.
"""

import argparse
from collections.abc import Collection, Sequence
from dataclasses import replace

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
    Share,
    Verdict,
    fraction_of,
)
from heliograph.settings import Settings

CANNOT_CARRY = "cannot carry MMS"
"""As the table of routes says it."""


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
    table, query, able = settings.routing(), _query(given), _able(settings, MessageType(given.type))
    stages = _passable(table.stages(query), able)
    verdicts = [_with_ability(each, able) for each in table.explain(query)]
    plan = [each for each in table.plan(query) if each in able]
    if given.json:
        print_json(_as_json(query, plan if _is_decided(given, stages) else None, stages, verdicts))
        return 0
    if stages:
        for word, carriers in _steps(stages, plan if given.message else None):
            print(f"{word:5}  {carriers}")
    else:
        print(f"none   {_why_none(settings, verdicts, able)}")
    print()
    _print_when_none_set(settings)
    print_list(["route", "matches", "why"], [_verdict_row(each) for each in verdicts], as_json=False)
    return 0


def _able(settings: Settings, message_type: MessageType) -> Collection[str]:
    """The carriers that can be given such a message, in their order, wherever routes lead."""
    named = {
        name: each.sends and (message_type is not MessageType.MMS or each.carries_mms)
        for name, each in settings.carriers.items()
    }
    sandbox = [SANDBOX] if settings.sandbox.enabled else []
    return [*sandbox, *(name for name, can in named.items() if can)]


def _passable(stages: Sequence[Sequence[Share]], able: Collection[str]) -> Sequence[Sequence[Share]]:
    """Without carriers that could only refuse it: the table names them where it finds no others."""
    kept = [[share for share in stage if share.carrier in able] for stage in stages]
    return [stage for stage in kept if stage]


def _with_ability(verdict: Verdict, able: Collection[str]) -> Verdict:
    carriers = [
        each if each.left_out is not None or each.carrier in able else replace(each, share=0.0, left_out=CANNOT_CARRY)
        for each in verdict.carriers
    ]
    return replace(verdict, carriers=tuple(carriers))


def _is_decided(given: argparse.Namespace, stages: Sequence[Sequence[Share]]) -> bool:
    """Whether its carriers are known one by one: weights are decided by its id."""
    return given.message is not None or all(len(stage) == 1 for stage in stages)


def _why_none(settings: Settings, verdicts: Sequence[Verdict], able: Collection[str]) -> str:
    """Why it is given to no carrier, and what becomes of it."""
    if not settings.carriers and not settings.sandbox.enabled:
        return "No carrier is configured: such a message is kept until there is one, or until its validity is over."
    if all(each.mismatch is not None for each in verdicts):
        return "No route matches: such a message cannot be sent."
    others = f"{', '.join(able)} can, and no matching route names it" if able else "no carrier of the settings can"
    what = "It is refused, or sent as an SMS where its profile wants that."
    return f"No carrier of the matching routes can carry MMS; {others}. {what}"


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


def _as_json(
    query: RouteQuery,
    plan: Sequence[str] | None,
    stages: Sequence[Sequence[Share]],
    verdicts: Sequence[Verdict],
) -> dict[str, object]:
    return {
        "to": query.recipient,
        "country": query.country,
        "from": query.sender or None,
        "profile": query.profile_id or None,
        "type": query.type,
        "plan": plan,
        "stages": [[{"carrier": each.carrier, "weight": each.weight} for each in stage] for stage in stages],
        "routes": [_verdict_json(each) for each in verdicts],
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
