"""Every setting of the service: its name, default, limits and meaning, in one frozen tree.

`load` puts the sources together, a later one winning over an earlier one:

    defaults < TOML file < environment < command line

It reports every problem at once, with the value got and the value wanted. No other module reads the environment.
Durations are held in microseconds, sizes in bytes.

`reference` renders the docs page from the same classes: `python -m heliograph.settings > docs/settings.md`.
"""

import os
import re
import sys
import tomllib
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar, get_args

from heliograph.domain.instant import DAY, HOUR, MICROSECOND, MILLISECOND, MINUTE, SECOND
from heliograph.setting_kinds import (
    KIB,
    MIB,
    Kind,
    Network,
    Unfit,
    choice,
    database_url,
    duration,
    flag,
    networks,
    quoted,
    size,
    text,
    whole,
)

RepeatPolicy = Literal["never_twice", "rather_twice"]
OptOutScope = Literal["profile", "account"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "text"]
T = TypeVar("T")

_PREFIX = "HELIOGRAPH_"
_CONFIG = "HELIOGRAPH_CONFIG"
# Kubernetes ("Service: Discovering services") sets variables of our shape for a service that is called `heliograph`:
# HELIOGRAPH_SERVICE_HOST, HELIOGRAPH_PORT=tcp://10.0.0.1:8400, HELIOGRAPH_PORT_8400_TCP_ADDR.
_PLATFORM_NAME = re.compile(r"HELIOGRAPH_(?:\w+_)?(?:SERVICE_(?:HOST|PORT)(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)\w*)")
_PLATFORM_VALUE = re.compile(r"(?:tcp|udp|sctp)://.*")


class BadSettings(ValueError):
    """The settings cannot be used; `problems` has one line for each thing to put right, with no secret in it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("the settings cannot be used:" + "".join(f"\n  - {problem}" for problem in problems))
        self.problems = problems


class Setting(NamedTuple):
    """What is known of a setting besides its value."""

    kind: Kind[Any]
    default: object
    meaning: str


def setting(default: T, kind: Kind[T], meaning: str) -> T:
    """Declare a field of a section."""
    return field(default=default, metadata={"setting": Setting(kind, default, meaning)})


class Rule(NamedTuple):
    """One setting of a section must be "more than" or "at least" another."""

    name: str
    wanted: Literal["more than", "at least"]
    other: str

    def holds(self, value: int, other: int) -> bool:
        return value > other or (self.wanted == "at least" and value == other)


class Section:
    """A group of settings. Its repr shows no secret."""

    __slots__ = ()
    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def settings(cls) -> dict[str, Setting]:
        """The settings of this section by name, in the order of the class."""
        return {each.name: each.metadata["setting"] for each in fields(cls)}  # type: ignore[arg-type]  # a dataclass

    def shown(self) -> dict[str, object]:
        """The values by name, as people may see them: secrets masked, durations as text."""
        return {name: each.kind.show(getattr(self, name)) for name, each in self.settings().items()}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.shown().items())})"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Database(Section):
    """Where everything is kept: one SQLite file, or PostgreSQL."""

    url: str = setting("sqlite:///heliograph.db", database_url(), "Address of the database.")
    pool_size: int = setting(8, whole(2, 200), "Connections kept by each process.")
    connect_timeout: int = setting(5 * SECOND, duration(MICROSECOND), "How long opening a connection may take.")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Http(Section):
    """The API as it listens."""

    host: str = setting("127.0.0.1", text("a host name or an address", r"\S+"), "Address to listen on.")
    port: int = setting(8400, whole(0, 65_535), "Port to listen on; 0 takes any free one.")
    max_body_bytes: int = setting(256 * KIB, size(KIB, 64 * MIB), "Largest request body taken.")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Schedule(Section):
    """What may be scheduled, and until when it may be cancelled. The defaults are the provider's."""

    rules = (Rule("max_lead", "more than", "min_lead"),)

    # Contract 1.1, 1.5.
    min_lead: int = setting(5 * MINUTE, duration(), "How far ahead `send_at` must be at least.")
    max_lead: int = setting(5 * DAY, duration(MICROSECOND), "How far ahead `send_at` may be at most.")
    cancel_cutoff: int = setting(MINUTE, duration(), "How long before `send_at` a cancel is no longer taken.")
    max_pending: int = setting(1_000_000, whole(0, 10**12), "How many messages may be scheduled at one time.")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Dispatch(Section):
    """How due messages are handed to a carrier."""

    rules = (Rule("retry_max", "at least", "retry_base"),)

    window: int = setting(64, whole(1, 10_000), "Messages one worker claims at once.")
    lease: int = setting(30 * SECOND, duration(SECOND), "How long a claim holds before another worker may judge it.")
    poll_interval: int = setting(
        200 * MILLISECOND,
        duration(10 * MILLISECOND, 10 * SECOND),
        "How often the database is asked when nothing is known to be due.",
    )
    # Contract 8.3.
    validity: int = setting(HOUR, duration(MICROSECOND), "How long a released message may wait before it expires.")
    # Contract 3.9.
    unconfirmed_after: int = setting(4 * HOUR, duration(MICROSECOND), "How long a delivery receipt is awaited.")
    repeat_policy: RepeatPolicy = setting(
        "never_twice",
        choice(get_args(RepeatPolicy)),
        "What to do with a message of which a crash leaves unknown whether the carrier took it.",
    )
    retry_base: int = setting(SECOND, duration(MICROSECOND), "Wait after a first temporary refusal; it then doubles.")
    retry_max: int = setting(MINUTE, duration(MICROSECOND), "Longest wait after a temporary refusal.")
    drain_timeout: int = setting(10 * SECOND, duration(), "How long stopping waits for submits in flight.")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Sandbox(Section):
    """The simulated carrier."""

    enabled: bool = setting(False, flag(), "Hand messages to the simulated carrier.")
    receipt_delay: int = setting(SECOND, duration(), "Time from a submit to its delivery receipt.")
    slow_delay: int = setting(30 * SECOND, duration(), "The same for the number that stands for a slow handset.")
    answer_delay: int = setting(0, duration(), "Time before the carrier answers a submit.")
    repeat_safe: bool = setting(False, flag(), "Whether the carrier de-duplicates submits on our id.")
    webhook_url: str = setting("", text(), "Send the events of the sandbox's own profile here; empty: as it is set.")
    record_file: str = setting(
        "", text(), "Append a synced record of every submit to this file; empty: none. For tests."
    )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Webhooks(Section):
    """How events are delivered. The defaults for tries and time are the provider's."""

    rules = (
        Rule("lease", "more than", "timeout"),
        Rule("lease", "more than", "timeout_v1"),
        Rule("retry_max", "at least", "retry_base"),
    )

    # Contract 3.6.
    timeout: int = setting(2 * SECOND, duration(MILLISECOND, MINUTE), "How long one attempt may take.")
    timeout_v1: int = setting(
        5 * SECOND, duration(MILLISECOND, MINUTE), 'The same for profiles with `webhook_api_version` "1".'
    )
    tries: int = setting(3, whole(1, 100), "Attempts at each URL before the next URL is tried.")
    retry_base: int = setting(SECOND, duration(MICROSECOND), "Wait after a first failed attempt; it then doubles.")
    retry_max: int = setting(HOUR, duration(MICROSECOND), "Longest wait between two attempts.")
    window: int = setting(128, whole(1, 10_000), "Attempts that one process makes at the same time.")
    endpoint_window: int = setting(32, whole(1, 10_000), "How many of them go to one URL.")
    lease: int = setting(30 * SECOND, duration(SECOND), "How long a claim holds before another process may try.")
    poll_interval: int = setting(
        200 * MILLISECOND,
        duration(10 * MILLISECOND, 10 * SECOND),
        "How often the database is asked when nothing is known to be due.",
    )
    scheduled_event: bool = setting(False, flag(), "Send `message.scheduled`, which the provider does not have.")
    cancelled_event: bool = setting(False, flag(), "Send `message.cancelled`, which the provider does not have.")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Outgoing(Section):
    """What may be reached from here over HTTP. Only public addresses are, and in the sandbox this machine's own."""

    allow: tuple[Network, ...] = setting((), networks(), "Networks that may be reached though they are not public.")
    connect_timeout: int = setting(
        1500 * MILLISECOND,
        duration(MILLISECOND, MINUTE),
        "How long looking up a name and connecting may take, within the time of the whole request.",
    )
    largest_answer: int = setting(10 * KIB, size(0, MIB), "How much of an answer is read; the rest is not.")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class OptOuts(Section):
    """What STOP, START and HELP do."""

    scope: OptOutScope = setting(
        "profile", choice(get_args(OptOutScope)), "Whether STOP to one number counts for its profile or the account."
    )
    cancel_pending: bool = setting(
        True, flag(), "Cancel at a STOP what waits for that person; otherwise it fails when it is due."
    )
    replies: bool = setting(True, flag(), "Answer these words by a message.")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Numbers(Section):
    """What is known of telephone numbers, and what messages cost."""

    facts_file: str = setting("", text(), "CSV file that corrects carrier and line type of numbers; empty: none.")
    rates_file: str = setting("", text(), "CSV file of rates; empty: the example that comes with the service.")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Log(Section):
    """What is logged, and how."""

    level: LogLevel = setting("info", choice(get_args(LogLevel)), "Least severe entry that is written.")
    format: LogFormat = setting("auto", choice(get_args(LogFormat)), "`auto` is text on a terminal, JSON elsewhere.")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Retention(Section):
    """How long things are kept."""

    # Contract 1.4.
    messages: int = setting(10 * DAY, duration(DAY, 3660 * DAY), "How long after its creation a message can be read.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole tree. Values made by `load` are within their limits; values made by hand are not checked."""

    database: Database = field(default_factory=Database)
    http: Http = field(default_factory=Http)
    schedule: Schedule = field(default_factory=Schedule)
    dispatch: Dispatch = field(default_factory=Dispatch)
    sandbox: Sandbox = field(default_factory=Sandbox)
    webhooks: Webhooks = field(default_factory=Webhooks)
    outgoing: Outgoing = field(default_factory=Outgoing)
    opt_outs: OptOuts = field(default_factory=OptOuts)
    numbers: Numbers = field(default_factory=Numbers)
    log: Log = field(default_factory=Log)
    retention: Retention = field(default_factory=Retention)


_SECTIONS: dict[str, type[Section]] = {each.name: type(getattr(Settings(), each.name)) for each in fields(Settings)}
_SETTINGS = {f"{section}.{name}": each for section, kind in _SECTIONS.items() for name, each in kind.settings().items()}


def _variable(name: str) -> str:
    return _PREFIX + name.upper().replace(".", "__")


_VARIABLES = {_variable(name): name for name in _SETTINGS}


class _Given(NamedTuple):
    """A value some source gives to a setting."""

    name: str
    raw: object
    source: str


def load(
    toml_path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] = {},
) -> Settings:
    """The settings from all sources.

    `toml_path` None means the file that HELIOGRAPH_CONFIG names, if any; `environ` None means the environment of the
    process. `overrides` are values by dotted name, written as in the TOML file: durations in seconds or as text.
    Raises `BadSettings` with every problem of every source, also of a value that a later source replaces.
    """
    environ = os.environ if environ is None else environ
    problems: list[str] = []
    given = [
        *_from_file(toml_path or environ.get(_CONFIG), problems),
        *_from_environment(environ, problems),
        *(_Given(name, raw, "command line") for name, raw in overrides.items()),
    ]
    values = _read(given, problems)
    if problems:
        raise BadSettings(problems)
    sections: dict[str, Any] = {section: kind(**values[section]) for section, kind in _SECTIONS.items()}
    return Settings(**sections)


def clean_environment() -> dict[str, str]:
    """The environment without our own variables, for a process that is to be given its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}


def _from_file(path: Path | str | None, problems: list[str]) -> Iterator[_Given]:
    if not path:
        return
    for section, table in _document(Path(path), problems).items():
        if section not in _SECTIONS:
            problems.append(f"{section} ({path}): no such section{_nearest(section, [*_SECTIONS, *_SETTINGS])}")
        elif not isinstance(table, dict):
            # The value is not shown: `database = "postgresql://..."` holds a password.
            problems.append(f"{section} ({path}): got a single value, wanted the table [{section}]")
        else:
            yield from (_Given(f"{section}.{name}", raw, str(path)) for name, raw in table.items())


def _document(path: Path, problems: list[str]) -> dict[str, object]:
    content = b""
    try:
        content = path.read_bytes()
        return tomllib.loads(content.decode())
    except OSError as error:
        problems.append(f"{path}: cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        problems.append(f"{path}: not UTF-8 (at line {_line(content[: error.start])})")
    except ValueError as error:
        reason = str(error).replace("at end of document", f"at line {_line(content)}, the end of the file")
        problems.append(f"{path}: not TOML: {reason}")
    return {}


def _line(content: bytes) -> int:
    return content.count(b"\n") + 1


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> Iterator[_Given]:
    for variable, raw in sorted(environ.items()):
        if variable in _VARIABLES:
            yield _Given(_VARIABLES[variable], raw, variable)
        elif variable.startswith(_PREFIX) and variable != _CONFIG and not _of_platform(variable, raw):
            problems.append(f"{variable}: no such setting{_nearest(variable, [*_VARIABLES, _CONFIG])}")


def _of_platform(variable: str, value: str) -> bool:
    if "__" in variable:
        return False
    about_port = variable.endswith("_PORT") and _PLATFORM_VALUE.fullmatch(value) is not None
    return about_port or _PLATFORM_NAME.fullmatch(variable) is not None


def _nearest(name: str, known: Iterable[str]) -> str:
    return "".join(f"; did you mean {near}?" for near in get_close_matches(name, list(known), 1))


def _read(given: Iterable[_Given], problems: list[str]) -> dict[str, dict[str, Any]]:
    """All values by section and name, the defaults where nothing is given."""
    values = {section: _defaults(kind) for section, kind in _SECTIONS.items()}
    refused = set()
    for name, raw, source in given:
        if name not in _SETTINGS:
            problems.append(f"{name} ({source}): no such setting{_nearest(name, _SETTINGS)}")
            continue
        kind = _SETTINGS[name].kind
        section, _, field_name = name.partition(".")
        try:
            values[section][field_name] = kind.read(raw)
        except Unfit:
            refused.add(name)
            problems.append(f"{name} ({source}): got {kind.got(raw)}, wanted {kind.wanted}")
    problems.extend(_broken_rules(values, refused))
    return values


def _defaults(section: type[Section]) -> dict[str, Any]:
    return {name: each.default for name, each in section.settings().items()}


def _broken_rules(values: Mapping[str, Mapping[str, Any]], refused: Container[str]) -> Iterator[str]:
    for section, rule in ((section, rule) for section, kind in _SECTIONS.items() for rule in kind.rules):
        name, other = f"{section}.{rule.name}", f"{section}.{rule.other}"
        value, limit = values[section][rule.name], values[section][rule.other]
        # Of a refused value nothing is known, so nothing is said of the pair.
        if name not in refused and other not in refused and not rule.holds(value, limit):
            show = _SETTINGS[name].kind.show
            yield f"{name}: got {quoted(show(value))}, wanted {rule.wanted} {other}, which is {quoted(show(limit))}"


def describe(settings: Settings) -> dict[str, object]:
    """Every value by dotted name, as people may see it: secrets masked, durations and sizes as text."""
    return {
        f"{section}.{name}": value
        for section in _SECTIONS
        for name, value in getattr(settings, section).shown().items()
    }


_INTRODUCTION = """\
# Settings

This page is made from the code: `python -m heliograph.settings > docs/settings.md`.

A setting has one value from the last of these that gives one: its default, the TOML file, the environment, the command
line. All are checked before anything starts, and every problem found is reported at once. A name that is not on this
page is a problem too.

- The TOML file is the one that `HELIOGRAPH_CONFIG` or the command line names. Each section is a table:

    ```toml
    [schedule]
    min_lead = "90s"
    cancel_cutoff = 0
    ```

- In the environment a setting is called `HELIOGRAPH_<SECTION>__<NAME>`, with two underscores between:
  `HELIOGRAPH_SCHEDULE__MIN_LEAD=90s`. Variables that Kubernetes sets for a service of this name are passed over.
- A duration is a number of seconds, or text with a unit: `us`, `ms`, `s`, `m`, `h`, `d`. Nothing is finer than a
  microsecond.
- A size is a number of bytes, or text with a unit: `B`, `KiB`, `MiB`, `GiB`.
- A file that is not named from the root is looked for from the folder the service is started in.
"""


def reference() -> str:
    """The page docs/settings.md."""
    return _INTRODUCTION + "".join(_page_of(section, kind) for section, kind in _SECTIONS.items())


def _page_of(section: str, kind: type[Section]) -> str:
    lines = [f"\n## {section}\n", f"{kind.__doc__}\n", "| Name | Default | Values | Meaning |", "|---|---|---|---|"]
    for name, each in kind.settings().items():
        default = quoted(each.kind.show(each.default))
        lines.append(f"| `{name}` | `{default}` | {each.kind.wanted} | {each.meaning} |")
    lines.extend(f"\n`{rule.name}` must be {rule.wanted} `{rule.other}`." for rule in kind.rules)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
