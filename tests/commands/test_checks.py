"""What the doctor makes of facts."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from heliograph.carrier_settings import SmppSettings
from heliograph.commands.checks import (
    Check,
    Level,
    carrier_checks,
    database_checks,
    message_checks,
    password_checks,
    sandbox_clock_check,
    schema_check,
    settings_check,
    worst,
)
from heliograph.domain.carriers import CarrierState
from heliograph.domain.instant import DAY, HOUR, MILLISECOND, MINUTE, SECOND, Instant
from heliograph.setting_kinds import MIB
from heliograph.settings import Database, Sandbox, Schedule, Settings
from heliograph.store.health import DatabaseFacts, Safeguard
from heliograph.store.reports import Overview
from heliograph.store.rerouting import NodeState
from heliograph.store.schema import SchemaState

NOW = Instant(1_000 * DAY)
FACTS = DatabaseFacts("SQLite", "3.50", (), not_writable=None, free_bytes=2048 * MIB, ahead=0)
CARRIED = Settings(carriers={"one": SmppSettings(host="h", system_id="me", password="hunter2")})
QUIET = Overview({"scheduled": 0, "delivered": 0}, unknown=0, unmatched_receipts=0, oldest_due=None)


def named(name: str, checks: Iterable[Check]) -> Check:
    (check,) = (each for each in checks if each.name == name)
    return check


def test_settings_of_ones_own_are_named_and_passwords_are_not() -> None:
    own = Settings(database=Database(url="postgresql://u:hunter2@h/d"), schedule=Schedule(min_lead=MINUTE))
    check = settings_check(own)
    assert check.finding == "database.url = postgresql://u:***@h/d, schedule.min_lead = 1m"


def test_settings_of_a_carrier_are_named_and_its_password_is_not() -> None:
    finding = settings_check(CARRIED).finding
    assert finding == (
        "carriers.one.kind = smpp, carriers.one.host = h, carriers.one.system_id = me, carriers.one.password = ***"
    )


def test_a_password_that_is_longer_than_specified_is_a_warning_and_is_not_shown() -> None:
    def checked(password: str) -> list[Check]:
        return list(
            password_checks(Settings(carriers={"one": SmppSettings(host="h", system_id="me", password=password)}))
        )

    assert checked("hunter22") == []
    (check,) = checked("hunter222")
    assert (check.level, check.name) == (Level.WARNING, "carrier one password")
    assert check.finding == "it has 9 characters, and SMPP 3.4 allows 8"
    assert "hunter" not in check.advice


def test_settings_that_are_all_defaults_are_said_to_be() -> None:
    assert settings_check(Settings()) == Check(Level.OK, "settings", "all as they are by default")


def test_a_healthy_database_has_nothing_but_ok() -> None:
    holds = Safeguard("fsync", "on", "on", holds=True, otherwise="")
    checks = list(database_checks(replace(FACTS, safeguards=[holds])))
    assert {check.level for check in checks} == {Level.OK}
    assert [check.name for check in checks] == ["database", "fsync", "writing", "disk", "clock"]


def test_a_safeguard_that_does_not_hold_is_a_problem() -> None:
    off = Safeguard("fsync", "off", "on", holds=False, otherwise="all is lost")
    check = named("fsync", database_checks(replace(FACTS, safeguards=[off])))
    assert check == Check(Level.PROBLEM, "fsync", "off", "Set it to on: else all is lost.")


def test_a_database_that_takes_no_writes_is_a_problem() -> None:
    check = named("writing", database_checks(replace(FACTS, not_writable="it is a standby")))
    assert (check.level, check.finding) == (Level.PROBLEM, "it is a standby")
    assert "primary" in check.advice


@pytest.mark.parametrize(
    ("free", "level"),
    [
        (1024 * MIB, Level.OK),
        (1024 * MIB - 1, Level.WARNING),
        (100 * MIB, Level.WARNING),
        (100 * MIB - 1, Level.PROBLEM),
    ],
)
def test_a_disk_that_fills_is_told_of_before_it_is_full(free: int, level: Level) -> None:
    check = named("disk", database_checks(replace(FACTS, free_bytes=free)))
    assert (check.level, bool(check.advice)) == (level, level is not Level.OK)


def test_the_disk_of_another_machine_is_not_judged() -> None:
    assert "disk" not in {check.name for check in database_checks(replace(FACTS, free_bytes=None))}


@pytest.mark.parametrize(
    ("ahead", "level", "finding"),
    [
        (None, Level.OK, "the database goes by this machine's clock"),
        (-SECOND, Level.OK, "the database's is -1.000 s against this machine's"),
        (SECOND + MILLISECOND, Level.WARNING, "the database's is +1.001 s against this machine's"),
        (-10 * SECOND, Level.WARNING, "the database's is -10.000 s against this machine's"),
        (-11 * SECOND, Level.PROBLEM, "the database's is -11.000 s against this machine's"),
    ],
)
def test_clocks_that_are_apart_are_told_of(ahead: int | None, level: Level, finding: str) -> None:
    check = named("clock", database_checks(replace(FACTS, ahead=ahead)))
    assert (check.level, check.finding) == (level, finding)


@pytest.mark.parametrize(
    ("state", "level", "advice"),
    [
        (SchemaState.EMPTY, Level.PROBLEM, "Run 'heliograph migrate'."),
        (SchemaState.OLD, Level.PROBLEM, "Run 'heliograph migrate'."),
        (SchemaState.CURRENT, Level.OK, ""),
        (SchemaState.NEWER, Level.OK, ""),
        (SchemaState.TOO_NEW, Level.PROBLEM, "Install the Heliograph that migrated it."),
    ],
)
def test_a_schema_that_cannot_be_used_says_what_to_do(state: SchemaState, level: Level, advice: str) -> None:
    check = schema_check(state, 1)
    assert (check.level, check.advice) == (level, advice)


def test_a_migration_that_did_not_end_says_until_when_it_must() -> None:
    check = schema_check(SchemaState.OLD, 1, Instant(3 * DAY))
    assert (check.level, check.advice) == (Level.PROBLEM, "Run 'heliograph migrate' before that.")
    assert check.finding.endswith("nothing new is taken from 1970-01-04T00:00:00.000Z on")


@pytest.mark.parametrize(
    ("ahead", "sandbox", "level", "finding"),
    [
        (0, False, Level.OK, "not moved"),
        (DAY + HOUR, True, Level.OK, "moved by 1 day, 1:00:00"),
        (DAY, False, Level.WARNING, "moved by 1 day, 0:00:00"),
        (MILLISECOND, False, Level.WARNING, "moved by 0.001 s"),
    ],
)
def test_a_test_clock_that_nobody_goes_by_is_a_warning(ahead: int, sandbox: bool, level: Level, finding: str) -> None:
    check = sandbox_clock_check(ahead, sandbox=sandbox)
    assert (check.level, check.finding) == (level, finding)


def standing(*up: bool, error: str | None = None, name: str = "one") -> list[NodeState]:
    """One carrier as so many processes tell of it."""
    states = [
        CarrierState(
            name=name, kind="smpp", up=each, last_error=None if each else error, last_error_at=None if each else NOW
        )
        for each in up
    ]
    return [NodeState(str(number), NOW, state) for number, state in enumerate(states)]


@pytest.mark.parametrize(
    ("told", "level", "finding"),
    [
        (standing(True), Level.OK, "up in 1 process"),
        (standing(True, True), Level.OK, "up in 2 processes"),
        (standing(True, False), Level.WARNING, "down in 1 of 2 processes"),
        (standing(False, error="Bad password."), Level.PROBLEM, "down in 1 of 1 process, at last: Bad password"),
        (standing(True, name="two"), Level.WARNING, "no process reports it"),
        ([], Level.WARNING, "no process reports it"),
    ],
)
def test_each_carrier_is_judged_by_what_processes_tell(told: list[NodeState], level: Level, finding: str) -> None:
    check = named("carrier one", carrier_checks(CARRIED, told, {}))
    assert (check.level, check.finding, bool(check.advice)) == (level, finding, level is not Level.OK)


def test_no_carrier_at_all_is_a_warning_outside_the_sandbox() -> None:
    assert named("carriers", carrier_checks(Settings(), [], {})).level is Level.WARNING
    sandbox = Settings(sandbox=Sandbox(enabled=True))
    assert {check.level for check in carrier_checks(sandbox, [], {})} == {Level.OK}


@pytest.mark.parametrize(
    ("waiting", "level", "finding"),
    [
        ({}, Level.OK, "none"),
        ({"one": 3}, Level.OK, "none"),
        ({"one": 3, "gone": 1200, None: 1}, Level.WARNING, "1 for no carrier, 1,200 for gone"),
    ],
)
def test_messages_that_wait_for_what_nobody_has_are_a_warning(
    waiting: dict[str | None, int], level: Level, finding: str
) -> None:
    check = named("waiting in vain", carrier_checks(CARRIED, standing(False), waiting))
    assert (check.level, check.finding) == (level, finding)


def test_messages_are_counted_by_status() -> None:
    counted = replace(QUIET, by_status={"scheduled": 1200, "queued": 0, "delivered": 3})
    assert named("messages", message_checks(counted, NOW)).finding == "1,200 scheduled, 3 delivered"


def test_a_service_without_messages_is_well() -> None:
    checks = list(message_checks(QUIET, NOW))
    assert {check.level for check in checks} == {Level.OK}
    assert [check.finding for check in checks] == ["none yet", "none", "none", "nothing is due", *["none"] * 3]


@pytest.mark.parametrize(
    ("name", "overview"),
    [
        ("unknown outcomes", replace(QUIET, unknown=1234)),
        ("unmatched receipts", replace(QUIET, unmatched_receipts=1234)),
        ("events given up", replace(QUIET, given_up=1234)),
        ("endpoints off", replace(QUIET, endpoints_off=1234)),
        ("inbound refused", replace(QUIET, refused_inbound=1234)),
    ],
)
def test_what_somebody_should_look_into_is_a_warning(name: str, overview: Overview) -> None:
    check = named(name, message_checks(overview, NOW))
    assert (check.level, check.finding, bool(check.advice)) == (Level.WARNING, "1,234", True)


@pytest.mark.parametrize(
    ("late", "level", "finding"),
    [
        (-1, Level.OK, "nothing is due"),
        (0, Level.OK, "the oldest due message is 0.000 s late"),
        (5 * SECOND, Level.OK, "the oldest due message is 0:00:05 late"),
        (5 * SECOND + 1, Level.WARNING, "the oldest due message is 0:00:05 late"),
        (MINUTE, Level.WARNING, "the oldest due message is 0:01:00 late"),
        (25 * HOUR, Level.PROBLEM, "the oldest due message is 1 day, 1:00:00 late"),
    ],
)
def test_lateness_is_a_warning_and_then_a_problem(late: int, level: Level, finding: str) -> None:
    check = named("lateness", message_checks(replace(QUIET, oldest_due=Instant(NOW - late)), NOW))
    assert (check.level, check.finding) == (level, finding)


def test_the_worst_check_counts() -> None:
    checks = [Check(level, "", "") for level in (Level.OK, Level.WARNING, Level.PROBLEM)]
    assert [worst(checks[:count]) for count in range(4)] == [Level.OK, Level.OK, Level.WARNING, Level.PROBLEM]
