"""What the doctor makes of what it found: each fact judged, with what to do about it. Nothing here asks anybody."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from heliograph.carrier_settings import SmppSettings
from heliograph.carriers.smpp.fields import SPECIFIED_PASSWORD_SIZE
from heliograph.domain.instant import MINUTE, SECOND, Instant, to_text
from heliograph.domain.nodes import Node, Standing
from heliograph.setting_kinds import MIB
from heliograph.settings import Settings, changed
from heliograph.store.health import DatabaseFacts, Safeguard
from heliograph.store.reports import Overview
from heliograph.store.rerouting import NodeState
from heliograph.store.schema import SchemaState
from heliograph.store.tables import SCHEMA_VERSION

LITTLE_SPACE = 1024 * MIB
NO_SPACE = 100 * MIB
CLOCK_APART = SECOND
CLOCK_WRONG = 10 * SECOND
LATE = 5 * SECOND
"""More than the pause between two looks at the database, and a carrier that is slow for a moment."""
TOO_LATE = MINUTE


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `advice` is what to do unless all is well."""

    level: Level
    name: str
    finding: str
    advice: str = ""


def settings_check(settings: Settings) -> Check:
    """What was set, by dotted name and with secrets masked."""
    own = [f"{name} = {value}" for name, value in changed(settings).items()]
    return Check(Level.OK, "settings", ", ".join(own) or "all as they are by default")


def password_checks(settings: Settings) -> Iterator[Check]:
    """SMPP passwords that are longer than the specification has them (SMPP 3.4, 4.1.1), by their length alone."""
    most = SPECIFIED_PASSWORD_SIZE - 1
    for name, each in settings.carriers.items():
        if isinstance(each, SmppSettings) and len(each.password) > most:
            finding = f"it has {len(each.password)} characters, and SMPP 3.4 allows {most}"
            advice = f"Where the bind is refused, ask the carrier for one of at most {most}."
            yield Check(Level.WARNING, f"carrier {name} password", finding, advice)


def database_checks(facts: DatabaseFacts) -> Iterator[Check]:
    """Everything that a database says of itself."""
    yield Check(Level.OK, "database", f"{facts.product} {facts.version}")
    yield from map(_safeguard_check, facts.safeguards)
    if facts.not_writable is None:
        yield Check(Level.OK, "writing", "it can be written to")
    else:
        advice = "Point database.url at the primary, or give this user the right to write."
        yield Check(Level.PROBLEM, "writing", facts.not_writable, advice)
    if facts.free_bytes is not None:
        yield _space_check(facts.free_bytes)
    yield _clock_check(facts.ahead)


def _safeguard_check(option: Safeguard) -> Check:
    if option.holds:
        return Check(Level.OK, option.option, option.value)
    return Check(Level.PROBLEM, option.option, option.value, f"Set it to {option.wanted}: else {option.otherwise}.")


def _space_check(free: int) -> Check:
    finding = f"{free // MIB:,} MiB are free"
    if free >= LITTLE_SPACE:
        return Check(Level.OK, "disk", finding)
    return Check(Level.PROBLEM if free < NO_SPACE else Level.WARNING, "disk", finding, "Make room on the disk.")


def _clock_check(ahead: int | None) -> Check:
    if ahead is None:
        return Check(Level.OK, "clock", "the database goes by this machine's clock")
    finding = f"the database's is {ahead / SECOND:+.3f} s against this machine's"
    if abs(ahead) <= CLOCK_APART:
        return Check(Level.OK, "clock", finding)
    level = Level.PROBLEM if abs(ahead) > CLOCK_WRONG else Level.WARNING
    advice = "Messages are sent by the database's clock: run a time service such as chrony on both machines."
    return Check(level, "clock", finding, advice)


def schema_check(state: SchemaState, version: int | None, refused: Instant | None = None) -> Check:
    """Whether this program can use the database as it is migrated.

    `refused` is the moment from which it takes nothing new, where a migration was begun and did not end.
    """
    if state is SchemaState.EMPTY:
        return Check(Level.PROBLEM, "schema", "the database is empty", "Run 'heliograph migrate'.")
    finding = f"version {version}, and this program's is {SCHEMA_VERSION}"
    if refused is not None:
        finding += f"; a migration was begun and did not end, and nothing new is taken from {to_text(refused)} on"
        return Check(Level.PROBLEM, "schema", finding, "Run 'heliograph migrate' before that.")
    if state is SchemaState.OLD:
        return Check(Level.PROBLEM, "schema", finding, "Run 'heliograph migrate'.")
    if state is SchemaState.TOO_NEW:
        return Check(Level.PROBLEM, "schema", finding, "Install the Heliograph that migrated it.")
    return Check(Level.OK, "schema", finding)


def sandbox_clock_check(ahead: int, *, sandbox: bool) -> Check:
    """Where the test clock stands, and whether it is gone by."""
    if ahead == 0:
        return Check(Level.OK, "sandbox clock", "not moved")
    finding = f"moved by {_length(ahead)}"
    if sandbox:
        return Check(Level.OK, "sandbox clock", finding)
    advice = "It counts only with --sandbox; without it, use a database that no sandbox has used."
    return Check(Level.WARNING, "sandbox clock", finding, advice)


def carrier_checks(settings: Settings, told: Sequence[NodeState], waiting: Mapping[str | None, int]) -> Iterator[Check]:
    """Whether messages can leave: each carrier as the processes that run report it, and what waits in vain.

    `waiting` counts the due messages by the carrier that they wait for, None for no carrier.
    """
    if not settings.carriers and not settings.sandbox.enabled:
        advice = "Messages are taken and none is sent: declare a carrier in the settings, or use --sandbox."
        yield Check(Level.WARNING, "carriers", "none is configured", advice)
    for name in settings.carriers:
        yield _carrier_check(name, [each for each in told if each.state.name == name])
    reported = {each.state.name for each in told}
    vain = {name: count for name, count in waiting.items() if count and name not in reported}
    if not vain:
        yield Check(Level.OK, "waiting in vain", "none")
        return
    finding = ", ".join(f"{vain[name]:,} for {name or 'no carrier'}" for name in sorted(vain, key=str))
    advice = "No process reports such a carrier: start 'heliograph serve' with it in its settings."
    yield Check(Level.WARNING, "waiting in vain", finding, advice)


def _carrier_check(carrier: str, told: Sequence[NodeState]) -> Check:
    """Down in one process, it leaves its messages to the others; down in all, they wait or go elsewhere."""
    name = f"carrier {carrier}"
    if not told:
        return Check(Level.WARNING, name, "no process reports it", "Start 'heliograph serve' with these settings.")
    up = sum(each.state.up for each in told)
    if up == len(told):
        return Check(Level.OK, name, f"up in {_processes(up)}")
    finding = f"down in {len(told) - up:,} of {_processes(len(told))}"
    errors = [(each.state.last_error_at or 0, each.state.last_error) for each in told if not each.state.up]
    if last := max(errors)[1]:
        finding += f", at last: {last.rstrip('.')}"
    return Check(Level.WARNING if up else Level.PROBLEM, name, finding, "'heliograph carriers' shows more.")


def process_check(nodes: Sequence[Node], now: Instant) -> Check:
    """Who works on the database: whether all that were started are heard of, and are of one version."""
    name, up = "processes", [each for each in nodes if each.standing(now) is Standing.UP]
    roles = Counter(each.role.value for each in up)
    finding = ", ".join(f"{count:,} {role}" for role, count in sorted(roles.items())) or "none"
    if silent := len(nodes) - len(up):
        advice = "See what became of those that 'heliograph nodes' shows as late or dead."
        return Check(Level.WARNING, name, f"{finding} up; {silent:,} not heard of lately", advice)
    versions = sorted({each.version for each in up})
    if len(versions) > 1:
        advice = "During an upgrade this is as it should be."
        return Check(Level.WARNING, name, f"{finding} up, of versions {', '.join(versions)}", advice)
    return Check(Level.OK, name, f"{finding} up")


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count:,} processes"


def message_checks(overview: Overview, now: Instant) -> Iterator[Check]:
    """How the messages stand at `now` by the database's clock."""
    counts = ", ".join(f"{count:,} {status}" for status, count in overview.by_status.items() if count)
    yield Check(Level.OK, "messages", counts or "none yet")
    yield _count_check("unknown outcomes", overview.unknown, "Ask the carrier whether it has them; none is sent again.")
    advice = "'heliograph carriers receipts' shows which: does another program use the same account at the carrier?"
    yield _count_check("unmatched receipts", overview.unmatched_receipts, advice)
    yield _lateness_check(lateness(overview, now))
    advice = "GET /v2/webhook_deliveries?filter%5Bstatus%5D%5Beq%5D=failed shows why; they can be replayed."
    yield _count_check("events given up", overview.given_up, advice)
    yield _count_check("endpoints off", overview.endpoints_off, "'heliograph webhooks endpoints' shows which.")
    advice = "'heliograph inbound refused' shows which: they came to numbers that nobody here has."
    yield _count_check("inbound refused", overview.refused_inbound, advice)


def lateness(overview: Overview, now: Instant) -> int | None:
    """For how many microseconds the oldest due message has been waiting; None when none is due."""
    if overview.oldest_due is None or overview.oldest_due > now:
        return None
    return now - overview.oldest_due


def _count_check(name: str, count: int, advice: str) -> Check:
    return Check(Level.WARNING, name, f"{count:,}", advice) if count else Check(Level.OK, name, "none")


def _lateness_check(late: int | None) -> Check:
    if late is None:
        return Check(Level.OK, "lateness", "nothing is due")
    finding = f"the oldest due message is {_length(late)} late"
    if late <= LATE:
        return Check(Level.OK, "lateness", finding)
    advice = "Start 'heliograph serve', or see in its log why nothing leaves."
    return Check(Level.PROBLEM if late > TOO_LATE else Level.WARNING, "lateness", finding, advice)


def worst(checks: Sequence[Check]) -> Level:
    """The level of the worst."""
    levels = {check.level for check in checks}
    return next((level for level in (Level.PROBLEM, Level.WARNING) if level in levels), Level.OK)


def _length(micros: int) -> str:
    """`2 days, 3:04:05`; below a second as a fraction."""
    return str(timedelta(seconds=micros // SECOND)) if micros >= SECOND else f"{micros / SECOND:.3f} s"
