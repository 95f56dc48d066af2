"""`heliograph organizations`: tenants, and the schedule rules that each may have of its own."""

import argparse
from dataclasses import replace
from typing import Any

from heliograph import randomness
from heliograph.commands.arguments import Commands, a_name, add_command, add_group, add_json, schedule_value
from heliograph.commands.failure import CommandFailed
from heliograph.commands.listing import print_list
from heliograph.commands.session import choose_organization, with_store
from heliograph.domain.accounts import Organization, RuleOverrides
from heliograph.domain.ids import OrganizationId
from heliograph.server import schedule_rules
from heliograph.settings import Schedule, Settings
from heliograph.store.account_changes import AlreadyExists
from heliograph.store.store import Store

RULES = {"min_lead": "DURATION", "max_lead": "DURATION", "cancel_cutoff": "DURATION", "max_pending": "N"}
"""The settings of `schedule` that an organisation may have of its own, and what each is."""
DEFAULT = "default"


def declare(commands: Commands) -> None:
    """Add the commands."""
    group = add_group(commands, "organizations", "tenants and their schedule rules")
    create = add_command(group, "create", "make an organisation and print its id", with_store(_create))
    create.add_argument("name", metavar="NAME", type=a_name, help="how it is called; no two have the same name")
    _add_rules(create, clearable=False)
    change = add_command(group, "set", "change the schedule rules of an organisation", with_store(_set))
    change.add_argument("name", metavar="NAME", help="name or id")
    _add_rules(change, clearable=True)
    add_json(add_command(group, "list", "list the organisations and their own schedule rules", with_store(_list)))


def _add_rules(parser: argparse.ArgumentParser, *, clearable: bool) -> None:
    end = "; 'default' goes back to the server's" if clearable else ""
    for name, metavar in RULES.items():
        meaning = Schedule.settings()[name].meaning.rstrip(".").replace("`", "")
        read = _or_default(name) if clearable else schedule_value(name)
        parser.add_argument(_option(name), type=read, metavar=metavar, help=f"{meaning[0].lower()}{meaning[1:]}{end}")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _or_default(name: str) -> Any:
    read = schedule_value(name)
    return lambda text: text if text == DEFAULT else read(text)


async def _create(given: argparse.Namespace, settings: Settings, store: Store) -> None:
    overrides = _changed(RuleOverrides(), given)
    _check(overrides, settings)
    now = store.clock.now()
    organization = Organization(OrganizationId(randomness.new_id(now)), given.name, overrides)
    try:
        await store.changes.create_organization(organization, now)
    except AlreadyExists as error:
        raise CommandFailed(f"There is an organisation '{given.name}' already.") from error
    await store.webhook_keys.ensure(organization.id, now)
    print(organization.id)


async def _set(given: argparse.Namespace, settings: Settings, store: Store) -> None:
    if all(getattr(given, name) is None for name in RULES):
        raise CommandFailed(f"There is nothing to set: give at least one of {', '.join(map(_option, RULES))}.")
    organization = await choose_organization(store, given.name)
    overrides = _changed(organization.overrides, given)
    _check(overrides, settings)
    await store.changes.set_rules(organization.id, overrides)
    print(f"{organization.name} has these rules of its own now: {_said(overrides) or 'none'}.")


async def _list(given: argparse.Namespace, _settings: Settings, store: Store) -> None:
    rows = [
        {"id": each.id, "name": each.name, **_shown(each.overrides)} for each in await store.listing.organizations()
    ]
    print_list(["name", "id", *RULES], rows, as_json=given.json)


def _changed(overrides: RuleOverrides, given: argparse.Namespace) -> RuleOverrides:
    wanted = {name: value for name in RULES if (value := getattr(given, name)) is not None}
    return replace(overrides, **{name: None if value == DEFAULT else value for name, value in wanted.items()})


def _check(overrides: RuleOverrides, settings: Settings) -> None:
    """The rules that bind two settings bind what an organisation has of its own beside what the server has."""
    rules = overrides.over(schedule_rules(settings))
    for rule in Schedule.rules:
        value, other = getattr(rules, rule.name), getattr(rules, rule.other)
        if not rule.holds(value, other):
            text, limit = _text(rule.name, value), _text(rule.other, other)
            raise CommandFailed(f"{rule.name} would be {text}; wanted {rule.wanted} {rule.other}, which is {limit}.")


def _shown(overrides: RuleOverrides) -> dict[str, object]:
    """What it has of its own, written as the options take it; null where the server's settings hold."""
    own = {name: getattr(overrides, name) for name in RULES}
    return {name: None if value is None else _text(name, value) for name, value in own.items()}


def _said(overrides: RuleOverrides) -> str:
    return ", ".join(f"{name} {value}" for name, value in _shown(overrides).items() if value is not None)


def _text(name: str, value: int) -> object:
    return Schedule.settings()[name].kind.show(value)
