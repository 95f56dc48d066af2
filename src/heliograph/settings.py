"""Every setting of the service: its name, default, limits and meaning, in one frozen tree.

`load` puts the sources together, a later one winning over an earlier one:

    defaults < TOML file < environment < command line

It reports every problem at once, with the value got and the value wanted. No other module reads the environment.
Durations are held in microseconds, sizes in bytes, rates as the microseconds that each takes.

Most settings stand in sections that are always there. Carriers are as many as the file declares, each a section of its
own (`carrier_settings`), and routes are a list (`route_settings`).

`reference` renders the docs page from the same classes: `python -m heliograph.settings > docs/settings.md`.
"""

import os
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from heliograph.carrier_settings import (
    KINDS,
    SANDBOX,
    CarrierSettings,
    Declared,
    SmppSettings,
    UpstreamSettings,
    read_declared,
)
from heliograph.domain.instant import DAY, HOUR, MICROSECOND, MILLISECOND, MINUTE, SECOND
from heliograph.domain.routes import Route, RoutingTable, in_order
from heliograph.domain.schedule import MAX_LEAD
from heliograph.route_settings import RouteSection, read_routes
from heliograph.setting_kinds import (
    KIB,
    MIB,
    Network,
    choice,
    database_url,
    domains,
    duration,
    flag,
    http_url,
    networks,
    optional,
    quoted,
    rate,
    size,
    text,
    whole,
)
from heliograph.setting_sections import (
    PREFIX,
    Given,
    Reading,
    Rule,
    Section,
    known,
    nearest,
    setting,
    variable,
)

RepeatPolicy = Literal["never_twice", "rather_twice"]
LinkScheme = Literal["https", "http"]
OptOutScope = Literal["profile", "account"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "text"]
PacingChoice = Literal["auto", "on", "off"]
AMOUNT = text("an amount such as 100.00", r"[0-9]{1,9}(\.[0-9]{1,5})?")

_CONFIG = "HELIOGRAPH_CONFIG"
_OF_CARRIERS = variable("carriers.")
# Kubernetes ("Service: Discovering services") sets variables of our shape for a service that is called `heliograph`:
# HELIOGRAPH_SERVICE_HOST, HELIOGRAPH_PORT=tcp://10.0.0.1:8400, HELIOGRAPH_PORT_8400_TCP_ADDR.
_PLATFORM_NAME = re.compile(r"HELIOGRAPH_(?:\w+_)?(?:SERVICE_(?:HOST|PORT)(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)\w*)")
_PLATFORM_VALUE = re.compile(r"(?:tcp|udp|sctp)://.*")


class BadSettings(ValueError):
    """The settings cannot be used; `problems` has one line for each thing to put right, with no secret in it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("the settings cannot be used:" + "".join(f"\n  - {problem}" for problem in problems))
        self.problems = problems


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
    requests_per_second: int = setting(
        0, whole(0, 1_000_000), "Requests an API key may make a second, over all processes; 0 is without bound."
    )
    public_url: str | None = setting(
        None, optional(http_url()), "How others reach this service; carriers are given it for their webhooks."
    )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Schedule(Section):
    """What may be scheduled, and until when it may be cancelled. The defaults are the provider's."""

    rules = (Rule("max_lead", "more than", "min_lead"),)

    # Contract 1.1, 1.5.
    min_lead: int = setting(5 * MINUTE, duration(), "How far ahead `send_at` must be at least.")
    max_lead: int = setting(MAX_LEAD, duration(MICROSECOND), "How far ahead `send_at` may be at most.")
    cancel_cutoff: int = setting(MINUTE, duration(), "How long before `send_at` a cancel is no longer taken.")
    max_pending: int = setting(1_000_000, whole(0, 10**12), "How many messages may be scheduled at one time.")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Dispatch(Section):
    """How due messages are handed to a carrier."""

    rules = (Rule("retry_max", "at least", "retry_base"),)

    window: int = setting(256, whole(1, 10_000), "Messages that a process has in hand for one carrier, at most.")
    # A doubt that a receipt settles looks for rivals that were claimed within this (store/doubts.py, LONGEST_LEASE).
    lease: int = setting(
        30 * SECOND, duration(SECOND, 10 * MINUTE), "How long a claim holds before another worker may judge it."
    )
    poll_interval: int = setting(
        200 * MILLISECOND,
        duration(10 * MILLISECOND, 10 * SECOND),
        "How often the database is asked when nothing is known to be due; after 10 quiet seconds once a second.",
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
class Pacing(Section):
    """How fast messages leave, in parts a second. The defaults are the provider's."""

    enabled: PacingChoice = setting(
        "auto", choice(get_args(PacingChoice)), "`auto` is off in the sandbox, on elsewhere."
    )
    # Contract 8.1.
    long_code: int = setting(10 * SECOND, rate(), "Of a long code.")
    toll_free: int = setting(50 * MILLISECOND, rate(), "Of a toll-free number.")
    short_code: int = setting(MILLISECOND, rate(), "Of a short code.")
    alphanumeric: int = setting(10 * SECOND, rate(), "Of an alphanumeric sender.")
    # Contract 8.2: class T, of a campaign that nobody has vetted.
    campaign: int = setting(
        800 * MILLISECOND, rate(), "Of a long code of a campaign without a class; 0 lifts those of the classes too."
    )
    account: int = setting(20 * MILLISECOND, rate(), "Of the SMS of an organisation.")
    account_mms: int = setting(66_667, rate(), "Of the MMS of an organisation.")
    queue: int = setting(4 * HOUR, duration(SECOND), "How long a queue may get; its limit in parts is rate times this.")


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
    window: int = setting(256, whole(1, 10_000), "Attempts that one process makes at the same time.")
    endpoint_window: int = setting(64, whole(1, 10_000), "How many of them go to one URL.")
    lease: int = setting(30 * SECOND, duration(SECOND), "How long a claim holds before another process may try.")
    poll_interval: int = setting(
        200 * MILLISECOND,
        duration(10 * MILLISECOND, 10 * SECOND),
        "How often the database is asked when nothing is known to be due; after 10 quiet seconds once a second.",
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
class Links(Section):
    """Short links in messages."""

    domains: tuple[str, ...] = setting(
        (), domains(), "Domains that lead here and that profiles may have their links shortened to."
    )
    public_scheme: LinkScheme = setting(
        "https", choice(get_args(LinkScheme)), "How these domains are reached: TLS ends before this service."
    )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Numbers(Section):
    """What is known of telephone numbers, and what messages cost."""

    self_service: bool = setting(
        True, flag(), "Whether API keys may add and remove numbers, and not only the command line."
    )
    facts_file: str = setting("", text(), "CSV file that corrects carrier and line type of numbers; empty: none.")
    rates_file: str = setting("", text(), "CSV file of rates; empty: the example that comes with the service.")
    health_interval: int = setting(
        5 * MINUTE, duration(10 * SECOND, DAY), "How often it is measured how well the messages of each number arrive."
    )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Billing(Section):
    """What `GET /v2/balance` reckons with. Nothing is refused for want of it."""

    opening_balance: str = setting("0", AMOUNT, "What every organisation begins with, in the currency of the rates.")
    credit_limit: str = setting("0", AMOUNT, "How far an organisation's balance may go below nothing.")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Registration(Section):
    """What is asked of long codes of the US. A laptop has no campaigns, so nothing is unless it is set."""

    required: bool = setting(
        False,
        flag(),
        "Refuse a message from a US long code to a US number without an active 10DLC campaign, also when it is due.",
    )


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
    links: int = setting(
        90 * DAY, duration(DAY, 3660 * DAY), "How long after its message was created a short link leads on."
    )
    reports: int = setting(30 * DAY, duration(DAY, 3660 * DAY), "How long after it was asked for a report is kept.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole tree. Values made by `load` are within their limits; values made by hand are not checked."""

    database: Database = field(default_factory=Database)
    http: Http = field(default_factory=Http)
    schedule: Schedule = field(default_factory=Schedule)
    dispatch: Dispatch = field(default_factory=Dispatch)
    pacing: Pacing = field(default_factory=Pacing)
    sandbox: Sandbox = field(default_factory=Sandbox)
    webhooks: Webhooks = field(default_factory=Webhooks)
    outgoing: Outgoing = field(default_factory=Outgoing)
    opt_outs: OptOuts = field(default_factory=OptOuts)
    links: Links = field(default_factory=Links)
    numbers: Numbers = field(default_factory=Numbers)
    registration: Registration = field(default_factory=Registration)
    billing: Billing = field(default_factory=Billing)
    log: Log = field(default_factory=Log)
    retention: Retention = field(default_factory=Retention)
    carriers: Mapping[str, CarrierSettings] = field(default_factory=lambda: MappingProxyType({}))
    """By name, in the order of the file; the simulated one is not among them."""
    routes: tuple[Route, ...] = ()

    @property
    def paced(self) -> bool:
        """Whether messages wait for the slots of their senders."""
        return self.pacing.enabled == "on" or (self.pacing.enabled == "auto" and not self.sandbox.enabled)

    def unconfirmed_after(self, carrier: str) -> int:
        """How long a receipt of this carrier is awaited, in microseconds: that of `dispatch` where it has none."""
        own = self.carriers[carrier].unconfirmed_after if carrier in self.carriers else None
        return self.dispatch.unconfirmed_after if own is None else own

    def callback_url(self, upstream: UpstreamSettings) -> str | None:
        """Where this upstream reaches us for its webhooks."""
        return self.http.public_url if upstream.callback_url is None else upstream.callback_url

    def routing(self) -> RoutingTable:
        """The routes as they are set; where none are, the sandbox takes all, or else the carriers in their order."""
        sending = [name for name, each in self.carriers.items() if each.sends]
        mms = {SANDBOX, *(name for name, each in self.carriers.items() if each.carries_mms)}
        return RoutingTable(self.routes or in_order([SANDBOX] if self.sandbox.enabled else sending), mms)


_SECTIONS: dict[str, type[Section]] = {
    each.name: type(getattr(Settings(), each.name))
    for each in fields(Settings)
    if each.name not in {"carriers", "routes"}
}


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
    path = toml_path or environ.get(_CONFIG)
    document = _document(Path(path), problems) if path else {}
    routes = document.pop("routes", [])
    declared = read_declared(document.pop("carriers", {}), str(path), problems)
    sections = _SECTIONS | {each.section: each.kind for each in declared if each.kind}
    given = [
        *_from_file(document, str(path), problems),
        *(value for each in declared for value in each.given),
        *_from_environment(environ, sections, declared, problems),
        *(Given(name, raw, "command line") for name, raw in overrides.items()),
    ]
    reading = Reading(sections, given, problems)
    _judge_callbacks(reading, declared)
    carriers, unusable = _for_routes(reading, declared)
    made = read_routes(routes, str(path), carriers, unusable, problems)
    if problems:
        raise BadSettings(problems)
    flat: dict[str, Any] = {section: kind(**reading.values(section)) for section, kind in _SECTIONS.items()}
    own = {each.name: each.kind(**reading.values(each.section)) for each in declared if each.kind}
    return Settings(**flat, carriers=MappingProxyType(own), routes=made)


def clean_environment() -> dict[str, str]:
    """The environment without our own variables, for a process that is to be given its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """Who started this process and wants to hear of it, as sd_notify(3) says."""

    address: str = ""
    """Of its socket; empty where nobody listens."""
    patience: int = 0
    """Microseconds within which it wants to hear of the process again; 0 where it does not."""


def service_manager() -> ServiceManager:
    """The one that the environment names."""
    address = os.environ.get(_MANAGER, "")
    patience = os.environ.get("WATCHDOG_USEC", "")
    meant = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    # An address that begins with @ is in the abstract namespace, where the kernel wants a zero.
    place = address.replace("@", "\0", 1) if address.startswith("@") else address
    return ServiceManager(place, int(patience) if meant and patience.isdecimal() else 0)


def unsupervised_environment() -> dict[str, str]:
    """The environment for a process of ours that its parent speaks for."""
    return {name: value for name, value in os.environ.items() if name != _MANAGER}


_MANAGER = "NOTIFY_SOCKET"


def _from_file(document: Mapping[str, object], source: str, problems: list[str]) -> Iterator[Given]:
    for section, table in document.items():
        if section not in _SECTIONS:
            near = nearest(section, [*_SECTIONS, "carriers", "routes", *known(_SECTIONS)])
            problems.append(f"{section} ({source}): no such section{near}")
        elif not isinstance(table, dict):
            # The value is not shown: `database = "postgresql://..."` holds a password.
            problems.append(f"{section} ({source}): got a single value, wanted the table [{section}]")
        else:
            yield from (Given(f"{section}.{name}", raw, source) for name, raw in table.items())


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


def _from_environment(
    environ: Mapping[str, str], sections: Mapping[str, type[Section]], declared: Iterable[Declared], problems: list[str]
) -> Iterator[Given]:
    names = {variable(name): name for name in known(sections)}
    # Of a carrier without a kind no setting is known, and the kind is what there is to put right.
    passed = tuple(each.variables for each in declared if each.kind is None)
    for each, raw in sorted(environ.items()):
        if each in names:
            yield Given(names[each], raw, each)
        elif each.startswith(PREFIX) and each != _CONFIG and not (each.startswith(passed) or _of_platform(each, raw)):
            where = "; a carrier is declared in the file" if each.startswith(_OF_CARRIERS) else ""
            problems.append(f"{each}: no such setting{nearest(each, [*names, _CONFIG])}{where}")


def _of_platform(variable: str, value: str) -> bool:
    if "__" in variable:
        return False
    about_port = variable.endswith("_PORT") and _PLATFORM_VALUE.fullmatch(value) is not None
    return about_port or _PLATFORM_NAME.fullmatch(variable) is not None


def _judge_callbacks(reading: Reading, declared: Iterable[Declared]) -> None:
    """An upstream that is told where to send webhooks must have the key that they are verified with."""
    for each in declared:
        own, key = f"{each.section}.callback_url", f"{each.section}.public_key"
        if each.kind is not UpstreamSettings or not reading.sound(own, key, "http.public_url"):
            continue
        name = "http.public_url" if reading.value(own) is None else own
        if reading.value(name) is not None and not reading.value(key):
            wanted = UpstreamSettings.settings()["public_key"].kind.wanted
            reading.refuse(key, f"missing, wanted {wanted}, to verify what comes to {name}")


def _for_routes(reading: Reading, declared: Iterable[Declared]) -> tuple[list[str], dict[str, str]]:
    """The carriers that routes may name, and those that they may not, with the reason.

    One that could not be read may be named: what is wrong with it is said already.
    """
    unusable = {
        each.name: "which only receives"
        for each in declared
        if each.kind is SmppSettings and reading.value(f"{each.section}.mode") == "receiver"
    }
    if reading.sound("sandbox.enabled") and not reading.value("sandbox.enabled"):
        unusable[SANDBOX] = "which is there with sandbox.enabled only"
    names = [SANDBOX, *(each.name for each in declared)]
    return [name for name in names if name not in unusable], unusable


def describe(settings: Settings) -> dict[str, object]:
    """Every value by dotted name, as people may see it: secrets masked, durations and sizes as text."""
    shown = {section: getattr(settings, section).shown() for section in _SECTIONS}
    for name, carrier in settings.carriers.items():
        shown[f"carriers.{name}"] = {"kind": carrier.kind, **carrier.shown()}
    described = {f"{section}.{name}": value for section, values in shown.items() for name, value in values.items()}
    return described | {f"routes.{route.name}": str(route) for route in settings.routes}


def changed(settings: Settings) -> dict[str, object]:
    """As `describe`, without what is as it is by default."""
    usual = describe(Settings())
    for name, carrier in settings.carriers.items():
        of_kind = ((each, known) for each, known in carrier.settings().items() if not known.required)
        usual |= {f"carriers.{name}.{each}": known.kind.show(known.default) for each, known in of_kind}
    return {name: value for name, value in describe(settings).items() if name not in usual or value != usual[name]}


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
- Carriers and [routes](routing.md) are declared in the file. A setting of a carrier that is declared there can have its
  value from the environment, as a password should: `HELIOGRAPH_CARRIERS__<CARRIER>__<NAME>`, with `_` for each `-`.
- A duration is a number of seconds, or text with a unit: `us`, `ms`, `s`, `m`, `h`, `d`. Nothing is finer than a
  microsecond.
- A rate is a number of parts a second, or text such as `75/m` or `100/h`; 0 is without bound.
- A size is a number of bytes, or text with a unit: `B`, `KiB`, `MiB`, `GiB`.
- A file that is not named from the root is looked for from the folder the service is started in.
"""


def reference() -> str:
    """The page docs/settings.md."""
    flat = (_page_of(section, str(kind.__doc__), kind) for section, kind in _SECTIONS.items())
    carriers = (
        _page_of(f"carriers: {name}", f'{kind.__doc__} A table `[carriers.NAME]` with `kind = "{name}"`.', kind)
        for name, kind in KINDS.items()
    )
    return "".join([_INTRODUCTION, *flat, *carriers, _page_of("routes", str(RouteSection.__doc__), RouteSection)])


def _page_of(title: str, duty: str, kind: type[Section]) -> str:
    lines = [f"\n## {title}\n", f"{duty}\n", "| Name | Default | Values | Meaning |", "|---|---|---|---|"]
    for name, each in kind.settings().items():
        default = "required" if each.required else f"`{quoted(each.kind.show(each.default))}`"
        lines.append(f"| `{name}` | {default} | {each.kind.wanted} | {each.meaning} |")
    lines.extend(f"\n`{rule.name}` must be {rule.wanted} `{rule.other}`." for rule in kind.rules)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
