"""Settings: every limit, every source, every problem at once, and no secret shown."""

import re
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from heliograph import settings as settings_module
from heliograph.carrier_settings import KINDS
from heliograph.domain.instant import DAY, HOUR, MICROSECOND, MILLISECOND, MINUTE, SECOND
from heliograph.route_settings import RouteSection
from heliograph.setting_kinds import KIB, MIB
from heliograph.settings import (
    BadSettings,
    Database,
    Dispatch,
    Http,
    Log,
    Numbers,
    Retention,
    Sandbox,
    Schedule,
    Settings,
    describe,
    load,
    reference,
)

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
SECRET = "hunter2"


def value_of(name: str, raw: object) -> object:
    """What the setting holds after this override."""
    section, _, field = name.partition(".")
    return getattr(getattr(load(environ={}, overrides={name: raw}), section), field)


def problems_of(
    toml: Path | None = None, environ: dict[str, str] | None = None, overrides: dict[str, object] | None = None
) -> list[str]:
    """The problems of settings that must be refused."""
    with pytest.raises(BadSettings) as caught:
        load(toml, environ or {}, overrides or {})
    return caught.value.problems


def written(folder: Path, content: str | bytes) -> Path:
    """A TOML file."""
    path = folder / "heliograph.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# ------------------------------------------------------------------------------------------------------------- defaults


def test_nothing_given_means_the_defaults() -> None:
    assert load(environ={}) == Settings(
        database=Database(url="sqlite:///heliograph.db", pool_size=8, connect_timeout=5 * SECOND),
        http=Http(host="127.0.0.1", port=8400, max_body_bytes=262_144),
        schedule=Schedule(min_lead=5 * MINUTE, max_lead=5 * DAY, cancel_cutoff=60 * SECOND, max_pending=1_000_000),
        dispatch=Dispatch(
            window=256,
            lease=30 * SECOND,
            poll_interval=200 * MILLISECOND,
            validity=HOUR,
            unconfirmed_after=4 * HOUR,
            repeat_policy="never_twice",
            retry_base=SECOND,
            retry_max=60 * SECOND,
            drain_timeout=10 * SECOND,
        ),
        sandbox=Sandbox(
            enabled=False,
            receipt_delay=SECOND,
            slow_delay=30 * SECOND,
            answer_delay=0,
            repeat_safe=False,
            record_file="",
        ),
        numbers=Numbers(facts_file="", rates_file=""),
        log=Log(level="info", format="auto"),
        retention=Retention(messages=10 * DAY),
    )


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        load(environ={}).http.port = 1  # type: ignore[misc]  # what must fail


def test_every_default_is_a_value_that_may_be_given() -> None:
    assert load(environ={}, overrides=describe(Settings())) == Settings()


# --------------------------------------------------------------------------------------------------------------- limits


# Name, what is taken and held as what, what is refused.
LIMITS: list[tuple[str, dict[object, object], list[object]]] = [
    ("database.pool_size", {2: 2, 200: 200}, [1, 201]),
    ("database.connect_timeout", {"1us": MICROSECOND}, [0]),
    ("http.host", {"::": "::", "a.example": "a.example"}, ["", "two words", 127]),
    ("http.port", {0: 0, 65_535: 65_535}, [-1, 65_536]),
    ("http.max_body_bytes", {KIB: KIB, 64 * MIB: 64 * MIB}, [KIB - 1, 64 * MIB + 1]),
    ("http.public_url", {"": None, "https://me/": "https://me"}, ["me"]),
    ("pacing.enabled", {"on": "on", "off": "off"}, [True, "yes"]),
    ("pacing.long_code", {0: 0, "75/m": 800 * MILLISECOND}, [-1]),
    ("pacing.queue", {1: SECOND}, ["999ms"]),
    ("schedule.min_lead", {0: 0}, [-1]),
    ("schedule.max_lead", {"366d": 366 * DAY}, [366 * 86_400 + 1]),
    ("schedule.cancel_cutoff", {0: 0}, [-0.001]),
    ("schedule.max_pending", {0: 0, 10**12: 10**12}, [-1, 10**12 + 1]),
    ("dispatch.window", {1: 1, 10_000: 10_000}, [0, 10_001]),
    ("dispatch.lease", {1: SECOND}, ["999ms"]),
    ("dispatch.poll_interval", {"10ms": 10 * MILLISECOND, 10: 10 * SECOND}, ["9999us", 10.001]),
    ("dispatch.validity", {"1us": MICROSECOND}, [0]),
    ("dispatch.unconfirmed_after", {"1us": MICROSECOND}, [0]),
    ("dispatch.repeat_policy", {"rather_twice": "rather_twice"}, ["sometimes", ""]),
    ("dispatch.retry_base", {"1us": MICROSECOND}, [0]),
    ("dispatch.retry_max", {"1s": SECOND}, ["367d"]),
    ("dispatch.drain_timeout", {0: 0}, [-1]),
    ("sandbox.receipt_delay", {0: 0}, [-1]),
    ("sandbox.slow_delay", {0: 0}, [-1]),
    ("sandbox.answer_delay", {0: 0}, [-1]),
    ("sandbox.repeat_safe", {True: True}, ["maybe"]),
    ("sandbox.record_file", {Path("out/record"): "out/record"}, [1, "a\0b"]),
    ("numbers.facts_file", {"facts.csv": "facts.csv"}, [1]),
    ("numbers.rates_file", {"rates.csv": "rates.csv"}, [1]),
    ("log.level", {"debug": "debug", "warning": "warning", "error": "error"}, ["INFO", "critical"]),
    ("log.format", {"json": "json", "text": "text"}, ["xml"]),
    ("retention.messages", {"1d": DAY, "3660d": 3660 * DAY}, ["23h", "3661d"]),
]


@pytest.mark.parametrize(
    ("name", "raw", "value"), [(name, *each) for name, taken, _ in LIMITS for each in taken.items()], ids=repr
)
def test_a_value_at_its_limit_is_taken(name: str, raw: object, value: object) -> None:
    assert value_of(name, raw) == value


@pytest.mark.parametrize(("name", "raw"), [(name, raw) for name, _, refused in LIMITS for raw in refused], ids=repr)
def test_a_value_past_its_limit_is_refused(name: str, raw: object) -> None:
    (problem,) = problems_of(overrides={name: raw})
    assert problem.startswith(f"{name} (command line): got ")


def test_the_latest_time_to_schedule_lies_after_the_earliest() -> None:
    assert problems_of(overrides={"schedule.min_lead": "2h", "schedule.max_lead": "2h"}) == [
        'schedule.max_lead: got "2h", wanted more than schedule.min_lead, which is "2h"'
    ]


def test_the_latest_time_to_schedule_may_be_a_microsecond_after_the_earliest() -> None:
    assert load(environ={}, overrides={"schedule.min_lead": 0, "schedule.max_lead": "1us"}).schedule.max_lead == 1


def test_a_given_value_is_held_against_the_default_of_the_other() -> None:
    (problem,) = problems_of(overrides={"schedule.min_lead": "6d"})
    assert problem == 'schedule.max_lead: got "5d", wanted more than schedule.min_lead, which is "6d"'


def test_the_longest_wait_is_no_shorter_than_the_first() -> None:
    assert problems_of(overrides={"dispatch.retry_base": 2, "dispatch.retry_max": 1}) == [
        'dispatch.retry_max: got "1s", wanted at least dispatch.retry_base, which is "2s"'
    ]


def test_the_longest_wait_may_equal_the_first() -> None:
    assert (
        load(environ={}, overrides={"dispatch.retry_base": 2, "dispatch.retry_max": 2}).dispatch.retry_max == 2 * SECOND
    )


def test_nothing_is_said_of_a_pair_when_one_of_the_two_was_refused() -> None:
    (problem,) = problems_of(overrides={"schedule.min_lead": "soon", "schedule.max_lead": "1s"})
    assert problem.startswith("schedule.min_lead ")


# ------------------------------------------------------------------------------------------------------ kinds of value


@pytest.mark.parametrize(
    ("raw", "micros"),
    [
        (90, 90 * SECOND),
        (0.25, 250 * MILLISECOND),
        (1e-05, 10),
        ("90", 90 * SECOND),
        ("90s", 90 * SECOND),
        ("5m", 5 * MINUTE),
        ("4h", 4 * HOUR),
        ("5d", 5 * DAY),
        ("250ms", 250 * MILLISECOND),
        ("7us", 7),
        ("1.5h", 90 * MINUTE),
        (" 5m ", 5 * MINUTE),
    ],
    ids=repr,
)
def test_a_duration_is_seconds_or_text_with_a_unit(raw: object, micros: int) -> None:
    assert value_of("sandbox.answer_delay", raw) == micros


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "soon",
        "5 minutes",
        "5M",
        "1h30m",
        "-5s",
        "s",
        "0.5us",
        1e-07,
        float("nan"),
        float("inf"),
        True,
        [5],
        {},
        None,
    ],
    ids=repr,
)
def test_what_is_no_duration_is_refused(raw: object) -> None:
    (problem,) = problems_of(overrides={"sandbox.answer_delay": raw})
    assert problem.endswith('wanted a duration ("5m", "250ms", or seconds) from 0s to 366d')


@pytest.mark.parametrize(
    ("raw", "size"),
    [(2048, 2048), ("2048", 2048), ("2048B", 2048), ("256KiB", 262_144), ("1MiB", MIB), ("0.5MiB", 512 * KIB)],
    ids=repr,
)
def test_a_size_is_bytes_or_text_with_a_unit(raw: object, size: int) -> None:
    assert value_of("http.max_body_bytes", raw) == size


@pytest.mark.parametrize("raw", ["", "1MB", "1 MiB", "1mib", "5m", "1GiB", True, 2048.5], ids=repr)
def test_what_is_no_size_is_refused(raw: object) -> None:
    (problem,) = problems_of(overrides={"http.max_body_bytes": raw})
    assert problem.endswith('wanted a size ("256KiB", or bytes) from 1KiB to 64MiB')


@pytest.mark.parametrize(("raw", "number"), [(9, 9), ("9", 9), (" 9 ", 9), ("1_000", 1000)], ids=repr)
def test_a_whole_number_may_be_text(raw: object, number: int) -> None:
    assert value_of("dispatch.window", raw) == number


@pytest.mark.parametrize("raw", ["", "nine", "9.5", 9.5, "9s", "0x9", "1_0", "٩", True, None], ids=repr)
def test_what_is_no_whole_number_is_refused(raw: object) -> None:
    (problem,) = problems_of(overrides={"dispatch.window": raw})
    assert problem.endswith("wanted a whole number from 1 to 10000")


@pytest.mark.parametrize(
    ("raw", "value"),
    [("true", True), ("1", True), ("yes", True), ("YES", True), ("false", False), ("0", False), ("no", False)],
    ids=repr,
)
def test_the_environment_says_true_and_false_in_several_words(raw: str, value: bool) -> None:
    assert load(environ={"HELIOGRAPH_SANDBOX__ENABLED": raw}).sandbox.enabled is value


@pytest.mark.parametrize("raw", ["", "on", "2", 1, 0, None], ids=repr)
def test_what_is_neither_true_nor_false_is_refused(raw: object) -> None:
    (problem,) = problems_of(overrides={"sandbox.enabled": raw})
    assert problem.endswith("wanted true or false (as text also 1, 0, yes, no)")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///heliograph.db",
        "sqlite:////var/lib/heliograph/messages.db",
        "postgresql://host/heliograph",
        "postgresql://user@host/heliograph",
        "postgresql://user:pw@host:5432/heliograph",
        "postgresql://user:p:w%40@[::1]:5432/heliograph?ssl=require",
        "postgresql://user:pw@/heliograph?host=one:5432&host=two:5432",
        "postgresql:///heliograph?ssl=require&host=/var/run/postgresql",
    ],
    ids=repr,
)
def test_the_address_of_a_database_is_kept_as_given(url: str) -> None:
    assert value_of("database.url", url) == url


def test_the_short_name_of_postgresql_is_understood() -> None:
    assert value_of("database.url", "postgres://user:pw@host/db") == "postgresql://user:pw@host/db"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "heliograph.db",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///folder/",
        "sqlite:///file?mode=memory",
        "mysql://host/db",
        "postgresql+asyncpg://host/db",
        "postgresql://host",
        "postgresql://host/",
        "postgresql:///db",
        "postgresql://user:p/w@host/db",
        "postgresql://user:p@w@host/db",
        "postgresql://host:port/db",
        "postgresql://host/db\n",
        5432,
    ],
    ids=repr,
)
def test_any_other_address_of_a_database_is_refused(url: object) -> None:
    (problem,) = problems_of(overrides={"database.url": url})
    assert '"postgresql://user:password@host/database"' in problem


# -------------------------------------------------------------------------------------------------------------- sources


def test_a_file_wins_over_the_defaults(tmp_path: Path) -> None:
    path = written(tmp_path, '[schedule]\nmin_lead = "90s"\ncancel_cutoff = 0.5\n[sandbox]\nenabled = true\n')
    settings = load(path, {})
    assert settings == Settings(
        schedule=Schedule(min_lead=90 * SECOND, cancel_cutoff=500 * MILLISECOND), sandbox=Sandbox(enabled=True)
    )


def test_the_environment_wins_over_a_file(tmp_path: Path) -> None:
    path = written(tmp_path, "[http]\nport = 1\nhost = 'a'\n")
    assert load(path, {"HELIOGRAPH_HTTP__PORT": "2"}).http == Http(port=2, host="a")


def test_the_command_line_wins_over_the_environment() -> None:
    environ = {"HELIOGRAPH_HTTP__PORT": "2", "HELIOGRAPH_HTTP__HOST": "b"}
    assert load(environ=environ, overrides={"http.port": 3}).http == Http(port=3, host="b")


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HELIOGRAPH_TEST_POSTGRES", raising=False)
    monkeypatch.setenv("HELIOGRAPH_HTTP__PORT", "2")
    assert load().http.port == 2


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "[http]\nport = 1\n")
    assert load(environ={"HELIOGRAPH_CONFIG": str(path)}).http.port == 1


def test_the_file_given_wins_over_the_one_the_environment_names(tmp_path: Path) -> None:
    path = written(tmp_path, "[http]\nport = 1\n")
    assert load(path, {"HELIOGRAPH_CONFIG": "/no/such/file"}).http.port == 1


def test_an_empty_name_of_the_file_means_no_file() -> None:
    assert load(environ={"HELIOGRAPH_CONFIG": ""}) == Settings()


def test_each_setting_has_a_variable() -> None:
    environ = {
        "HELIOGRAPH_" + name.upper().replace(".", "__"): str(value) for name, value in describe(Settings()).items()
    }
    assert load(environ=environ) == Settings()


def test_variables_of_others_are_passed_over() -> None:
    assert load(environ={"PATH": "/bin", "HELIOGRAPHER": "x", "heliograph_http__port": "x"}) == Settings()


def test_variables_of_kubernetes_are_passed_over() -> None:
    environ = {
        "HELIOGRAPH_SERVICE_HOST": "10.0.0.1",
        "HELIOGRAPH_SERVICE_PORT": "8400",
        "HELIOGRAPH_SERVICE_PORT_HTTP": "8400",
        "HELIOGRAPH_PORT": "tcp://10.0.0.1:8400",
        "HELIOGRAPH_PORT_8400_TCP_ADDR": "10.0.0.1",
        "HELIOGRAPH_API_PORT": "tcp://10.0.0.1:8400",
    }
    assert load(environ=environ) == Settings()


# ------------------------------------------------------------------------------------------------------------- problems


@pytest.mark.parametrize(
    ("variable", "suggestion"),
    [
        ("HELIOGRAPH_SCHEDULE_MIN_LEAD", "HELIOGRAPH_SCHEDULE__MIN_LEAD"),
        ("HELIOGRAPH_HTTP_PORT", "HELIOGRAPH_HTTP__PORT"),
        ("HELIOGRAPH_HTTP__SERVICE_HOST", "HELIOGRAPH_HTTP__HOST"),
        ("HELIOGRAPH_CONFG", "HELIOGRAPH_CONFIG"),
    ],
    ids=repr,
)
def test_an_unknown_variable_is_a_problem(variable: str, suggestion: str) -> None:
    assert problems_of(environ={variable: "1"}) == [f"{variable}: no such setting; did you mean {suggestion}?"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[shedule]\nmin_lead = 1", "shedule ({}): no such section; did you mean schedule?"),
        ("[schedule]\nmin_led = 1", "schedule.min_led ({}): no such setting; did you mean schedule.min_lead?"),
        ("min_lead = 1", "min_lead ({}): no such section; did you mean schedule.min_lead?"),
        ("[http.port]\nmin = 1", "http.port ({}): got a table, wanted a whole number from 0 to 65535"),
        ("[http]\nport = [1, 2]", "http.port ({}): got a list, wanted a whole number from 0 to 65535"),
    ],
    ids=repr,
)
def test_what_has_no_place_in_the_file_is_a_problem(content: str, problem: str, tmp_path: Path) -> None:
    path = written(tmp_path, content)
    assert problems_of(path) == [problem.format(path)]


def test_an_unknown_override_is_a_problem() -> None:
    assert problems_of(overrides={"http.prt": 1}) == [
        "http.prt (command line): no such setting; did you mean http.port?"
    ]


def test_a_value_in_the_place_of_a_section_is_a_problem_and_not_shown(tmp_path: Path) -> None:
    path = written(tmp_path, f'database = "postgresql://user:{SECRET}@host/db"\n')
    assert problems_of(path) == [f"database ({path}): got a single value, wanted the table [database]"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"[http]\nport = \n", "line 2,"),
        (b"[http]\n\n[http]\n", "line 3,"),
        (b'[http]\nhost = """a\n\n', "line 4,"),
        (b"[http]\nhost = '\xff'\n", "line 2)"),
    ],
    ids=repr,
)
def test_a_malformed_file_is_a_problem_with_its_line(content: bytes, line: str, tmp_path: Path) -> None:
    path = written(tmp_path, content)
    (problem,) = problems_of(path)
    assert problem.startswith(f"{path}: not ")
    assert f"(at {line}" in problem


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "absent.toml"
    assert problems_of(path) == [f"{path}: cannot be read: No such file or directory"]


def test_a_folder_in_the_place_of_the_file_is_a_problem(tmp_path: Path) -> None:
    assert problems_of(tmp_path) == [f"{tmp_path}: cannot be read: Is a directory"]


def test_all_problems_of_all_sources_are_reported_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, '[http]\nport = "x"\nhots = "y"\n')
    environ = {"HELIOGRAPH_LOG__LEVEL": "loud", "HELIOGRAPH_LOG__LEVLE": "info"}
    problems = problems_of(path, environ, {"dispatch.window": 0, "schedule.min_lead": "6d"})
    assert {problem.split()[0].rstrip(":") for problem in problems} == {
        "http.port",
        "http.hots",
        "log.level",
        "HELIOGRAPH_LOG__LEVLE",
        "dispatch.window",
        "schedule.max_lead",
    }


def test_a_malformed_file_does_not_hide_other_problems(tmp_path: Path) -> None:
    assert len(problems_of(written(tmp_path, "["), {"HELIOGRAPH_LOG__LEVEL": "loud"})) == 2


def test_a_wrong_value_is_a_problem_even_when_a_later_source_replaces_it() -> None:
    (problem,) = problems_of(environ={"HELIOGRAPH_HTTP__PORT": "x"}, overrides={"http.port": 1})
    assert problem == 'http.port (HELIOGRAPH_HTTP__PORT): got "x", wanted a whole number from 0 to 65535'


def test_the_error_reads_as_a_list() -> None:
    with pytest.raises(ValueError, match="settings") as caught:
        load(environ={}, overrides={"zzz": 1, "log.level": "loud"})
    assert str(caught.value) == (
        "the settings cannot be used:\n"
        "  - zzz (command line): no such setting\n"
        '  - log.level (command line): got "loud", wanted one of "debug", "info", "warning", "error"'
    )


def test_a_long_value_is_cut_in_the_problem() -> None:
    (problem,) = problems_of(overrides={"log.level": "x" * 10_000})
    assert len(problem) < 300


def test_a_problem_can_be_encoded_whatever_bytes_the_environment_holds() -> None:
    (problem,) = problems_of(environ={"HELIOGRAPH_LOG__LEVEL": "\udcff"})
    assert problem.encode().startswith(b"log.level ")


# -------------------------------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://user:{SECRET}@host/db", "postgresql://user:***@host/db"),
        (f"postgresql://user:a:{SECRET}@host:5432/db", "postgresql://user:***@host:5432/db"),
        (f"postgresql://host/db?password={SECRET}", "postgresql://host/db?password=***"),
        (
            f"postgresql://u:{SECRET}@/db?host=one&password={SECRET}&host=two",
            "postgresql://u:***@/db?host=one&password=***&host=two",
        ),
        ("postgresql://user@host:5432/db", "postgresql://user@host:5432/db"),
    ],
    ids=repr,
)
def test_a_password_is_neither_in_repr_nor_described(url: str, shown: str) -> None:
    settings = load(environ={}, overrides={"database.url": url})
    assert describe(settings)["database.url"] == shown
    assert f"url='{shown}'" in repr(settings)
    assert SECRET not in f"{settings!r}{settings}{settings.database!r}{describe(settings)}"


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://user:{SECRET}@host/db",
        f"postgresql://user:x@{SECRET}@host/db",
        f"postgresql://user:x/{SECRET}@host/db",
        f"postgresql://user:{SECRET}/db",
        f"postgresql://user:{SECRET}\n@host/db",
        f"mysql://host/db?pwd={SECRET}",
        f"user:{SECRET}@host/db",
        f"postgresql:/user:{SECRET}@host/db",
        [f"postgresql://user:{SECRET}@host/db"],
    ],
    ids=repr,
)
def test_a_password_is_not_in_a_problem(url: object) -> None:
    assert SECRET not in "".join(problems_of(overrides={"database.url": url}))


def test_what_is_no_secret_is_shown_in_the_problem() -> None:
    (problem,) = problems_of(overrides={"database.url": f"mysql://user:{SECRET}@host/db"})
    assert problem.startswith('database.url (command line): got "mysql://user:***@host/db", wanted ')


# ------------------------------------------------------------------------------------------------------ shown to people


def test_values_are_described_by_dotted_name_with_durations_as_text() -> None:
    described = describe(load(environ={}, overrides={"schedule.min_lead": "90s", "retention.messages": "48h"}))
    expected = {
        "schedule.min_lead": "90s",
        "retention.messages": "2d",
        "dispatch.poll_interval": "200ms",
        "sandbox.answer_delay": "0s",
        "http.max_body_bytes": "256KiB",
        "http.port": 8400,
        "sandbox.enabled": False,
    }
    assert described.items() >= expected.items()


def test_the_page_in_docs_is_the_one_the_code_makes() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference()


def test_the_page_has_a_row_for_every_setting() -> None:
    of_lists = sum(len(each.settings()) for each in (*KINDS.values(), RouteSection))
    rows = re.findall(r"^\| `\w+` \| (?:`|required \|)", reference(), re.MULTILINE)
    assert len(rows) == len(describe(Settings())) + of_lists


def test_the_example_on_the_page_can_be_loaded(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", reference(), re.DOTALL)
    assert example
    assert load(written(tmp_path, example[1]), {}) == replace(
        Settings(), schedule=Schedule(min_lead=90 * SECOND, cancel_cutoff=0)
    )


def test_the_module_prints_the_page() -> None:
    folder = Path(settings_module.__file__).parent.parent
    printed = subprocess.run([sys.executable, "-m", "heliograph.settings"], cwd=folder, capture_output=True, check=True)
    assert printed.stdout.decode() == reference()
