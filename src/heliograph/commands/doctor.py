"""`heliograph doctor`: looks at everything the service stands on, and says what to do.

It goes as far as it can: without a database it still tells of the settings, without a schema of the database.
"""

import argparse
import asyncio
from dataclasses import dataclass, field

from heliograph.commands.arguments import Commands, add_command, add_json
from heliograph.commands.checks import (
    Check,
    Level,
    carrier_checks,
    database_checks,
    lateness,
    message_checks,
    password_checks,
    process_check,
    sandbox_clock_check,
    schema_check,
    settings_check,
    worst,
)
from heliograph.commands.listing import print_json
from heliograph.commands.tls_checks import tls_checks
from heliograph.dispatch.rerouting import told_lately
from heliograph.domain.instant import SECOND, Instant, to_text
from heliograph.domain.tables import BadTable
from heliograph.server import CannotServe, load_tables, open_store
from heliograph.settings import Settings, describe
from heliograph.store.engine import StoreUnavailable
from heliograph.store.health import answering, database_facts, migrated_version, missing_file, sandbox_clock_ahead
from heliograph.store.reports import Overview
from heliograph.store.schema import SchemaState, refuses_from, schema_state
from heliograph.store.store import Store


@dataclass(slots=True)
class Report:
    """What was found, in the order of looking."""

    checks: list[Check] = field(default_factory=list)
    messages: dict[str, object] | None = None
    """The figures over messages, when they could be read."""


def declare(commands: Commands) -> None:
    """Add the command."""
    doctor = add_command(commands, "doctor", "check the settings, the database and the messages", _doctor)
    doctor.add_argument("--sandbox", action="store_true", help="go by the test clock")
    add_json(doctor)


def _doctor(given: argparse.Namespace, settings: Settings) -> int:
    report = asyncio.run(examine(settings))
    if given.json:
        _print_as_json(report, settings)
    else:
        _print_as_text(report)
    return int(worst(report.checks) is Level.PROBLEM)


async def examine(settings: Settings) -> Report:
    """Look at everything that can be reached; never raises for what it is there to find."""
    report = Report([settings_check(settings), _tables_check(settings), *password_checks(settings)])
    report.checks.extend(await asyncio.to_thread(tls_checks, settings))
    if file := missing_file(settings.database.url):
        report.checks.append(Check(Level.PROBLEM, "database", f"there is no file {file}", "Run 'heliograph migrate'."))
        return report
    store = open_store(settings)
    try:
        with answering(store.engine):
            await _examine_database(report, store, settings)
    except StoreUnavailable as error:
        advice = "See that it runs, and that database.url is right."
        report.checks.append(Check(Level.PROBLEM, "database", _one_line(error), advice))
    finally:
        await store.engine.close()
    return report


def _tables_check(settings: Settings) -> Check:
    try:
        load_tables(settings)
    except (BadTable, CannotServe) as error:
        return Check(Level.PROBLEM, "tables", _one_line(error), "Put the file right, or leave its setting empty.")
    return Check(Level.OK, "tables", "rates and facts of numbers can be read")


async def _examine_database(report: Report, store: Store, settings: Settings) -> None:
    report.checks.extend(database_checks(await database_facts(store.engine)))
    state = await schema_state(store.engine)
    version, refused = await migrated_version(store.engine), await refuses_from(store.engine)
    report.checks.append(schema_check(state, version, refused))
    if state not in {SchemaState.CURRENT, SchemaState.NEWER}:
        return
    ahead = await sandbox_clock_ahead(store.engine)
    report.checks.append(sandbox_clock_check(ahead, sandbox=settings.sandbox.enabled))
    await store.engine.synchronize_clock()
    overview, now = await store.reports.overview(), store.clock.now()
    told, waiting = await told_lately(store), await store.reports.waiting()
    report.checks.append(process_check(await store.nodes.all(), now))
    report.checks.extend(carrier_checks(settings, told, waiting))
    report.checks.extend(message_checks(overview, now))
    report.messages = _figures(overview, now)


def _figures(overview: Overview, now: Instant) -> dict[str, object]:
    late = lateness(overview, now)
    return {
        "by_status": overview.by_status,
        "unknown": overview.unknown,
        "unmatched_receipts": overview.unmatched_receipts,
        "events_given_up": overview.given_up,
        "endpoints_off": overview.endpoints_off,
        "inbound_refused": overview.refused_inbound,
        "oldest_due": None if overview.oldest_due is None else to_text(overview.oldest_due),
        "late_seconds": None if late is None else late / SECOND,
    }


def _print_as_text(report: Report) -> None:
    width = max(len(check.name) for check in report.checks)
    for check in report.checks:
        advice = f". {check.advice}" if check.advice else ""
        print(f"{check.level:7}  {check.name.ljust(width)}  {check.finding}{advice}")


def _print_as_json(report: Report, settings: Settings) -> None:
    told = {"status": worst(report.checks), "checks": report.checks, "messages": report.messages}
    print_json({**told, "settings": describe(settings)})


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
