"""What values settings take: durations, sizes, words, addresses. A kind reads a value and shows it without secrets."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import PurePath
from typing import Generic, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from heliograph.domain.instant import DAY, HOUR, MICROSECOND, MILLISECOND, MINUTE, SECOND

Network = IPv4Network | IPv6Network
T = TypeVar("T")

KIB = 1024
MIB = 1024 * KIB
# The first unit is the one of a bare number.
_TIMES = {"s": SECOND, "d": DAY, "h": HOUR, "m": MINUTE, "ms": MILLISECOND, "us": MICROSECOND}
_BYTES = {"B": 1, "GiB": 1024 * MIB, "MiB": MIB, "KiB": KIB}
_COUNTS = {"": 1}
_AMOUNT = re.compile(r"(-?\d{1,15}(?:_\d{3}){0,4}(?:\.\d{1,9})?(?:e-\d\d)?)([A-Za-z]*)", re.ASCII)
_SPANS = {"": 1, "s": 1, "m": 60, "h": 3600}
_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,20})?(?:e-0\d)?)(?:/([smh]))?", re.ASCII)
_UNITS_SHOWN = {"": 1, "/m": 60, "/h": 3600}
_FEW_DIGITS = 5
_RATE_DIGITS = 18
"""More than the longest interval, a million seconds, needs to be told from its neighbours."""
_MOST_A_SECOND = 100_000
_LEAST_A_SECOND = Fraction(1, 1_000_000)
_OFFSET = re.compile(r"([+-])([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

# The server may be named in the address, or as `?host=` (several servers, or the folder of a socket).
_POSTGRES = re.compile(
    r"postgres(?:ql)?://((?:[^:/?#@\s]+(?::[^/?#@\s]*)?@)?"
    r"(?:(?:[^:/?#@\s\[\]]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?/[^/?#@\s]+(?:\?\S*)?|/[^/?#@\s]+\?(?:\S*&)?host=\S+))"
)
# A database in memory would break "acknowledged means kept", and each connection would see its own.
_SQLITE = re.compile(r"sqlite:///(?!:memory:)[^?\0]*[^?/\0]")
# These mask too much rather than too little: a stray `@` must not show the end of a password.
_PASSWORD = re.compile(r"^([^:/?#]+://[^:]*:).*(?=@)", re.DOTALL)
_PASSWORD_OR_PORT = re.compile(r"^([^:/?#]+://[^:]*:)[^@]*$")
_NOT_SHOWN = "a text that is not shown, as it may hold a password"
_QUERY_VALUE = re.compile(r"([?&](?!host=)[^=&]*=)[^&]*")


class Unfit(ValueError):
    """A value is not what its setting wants. It carries no text: the value may be a secret."""


def quoted(raw: object) -> str:
    """A value as a TOML file has it, cut to a readable length; of a table or a list only what it is."""
    if isinstance(raw, dict | list | tuple):
        return "a table" if isinstance(raw, dict) else "a list"
    if isinstance(raw, str):
        # What the environment holds need not be UTF-8.
        raw = raw.encode("utf-8", "backslashreplace").decode()
    quoted = json.dumps(raw, ensure_ascii=False, default=str)
    return quoted if len(quoted) <= 120 else f"{quoted[:120]}..."


@dataclass(frozen=True)
class Kind(Generic[T]):
    """What values a setting takes.

    `wanted` says it in words. `read` takes what a TOML file holds, or text, and raises `Unfit`. `show` is a value for
    people, written so that `read` takes it; `got` is a refused value for people. Neither shows a secret.
    """

    wanted: str
    read: Callable[[object], T]
    show: Callable[[T], object] = lambda value: value
    got: Callable[[object], str] = quoted


def _amount(raw: object, units: Mapping[str, int]) -> int:
    match = _AMOUNT.fullmatch(str(raw).strip()) if isinstance(raw, str | int | float) else None
    if match is None or (match[2] and match[2] not in units):
        raise Unfit
    amount = Decimal(match[1].replace("_", "")) * units[match[2] or next(iter(units))]
    if amount != int(amount):
        raise Unfit
    return int(amount)


def _amount_text(amount: int, units: Mapping[str, int]) -> str:
    """In the largest unit that divides it: `90s`, `5m`, `256KiB`, `0s`."""
    fitting = [unit for unit in units if amount and amount % units[unit] == 0]
    unit = max(fitting, key=units.__getitem__, default=next(iter(units)))
    return f"{amount // units[unit]}{unit}"


def _amount_kind(what: str, units: Mapping[str, int], low: int, high: int) -> Kind[int]:
    def read(raw: object) -> int:
        amount = _amount(raw, units)
        if not low <= amount <= high:
            raise Unfit
        return amount

    def show(amount: int) -> str:
        return _amount_text(amount, units)

    return Kind(f"{what} from {show(low)} to {show(high)}", read, show)


def duration(at_least: int = 0, at_most: int = 366 * DAY) -> Kind[int]:
    """A length of time in microseconds; the default limit is a year, as more is another unit taken for seconds."""
    return _amount_kind('a duration ("5m", "250ms", or seconds)', _TIMES, at_least, at_most)


def size(at_least: int, at_most: int) -> Kind[int]:
    """A number of bytes."""
    return _amount_kind('a size ("256KiB", or bytes)', _BYTES, at_least, at_most)


def whole(at_least: int, at_most: int) -> Kind[int]:
    """A whole number."""
    return replace(_amount_kind("a whole number", _COUNTS, at_least, at_most), show=int)


def rate() -> Kind[int]:
    """How often something may happen, held as the microseconds that each takes; 0 is without bound.

    They are rounded up: more than was asked for is never allowed.
    """
    wanted = 'a rate ("20", "0.1/s", "75/m", or a number, a second) from 0.000001 to 100000, or 0: without bound'
    return Kind(wanted, _interval, _rate_text)


def _interval(raw: object) -> int:
    match = None if isinstance(raw, bool) or not isinstance(raw, str | int | float) else _RATE.fullmatch(str(raw))
    if match is None:
        raise Unfit
    each_second = Fraction(match[1]) / _SPANS[match[2] or ""]
    if each_second == 0:
        return 0
    if not _LEAST_A_SECOND <= each_second <= _MOST_A_SECOND:
        raise Unfit
    return -int(-SECOND / each_second // 1)


def _rate_text(interval: int) -> str:
    """In few digits that are read as this interval again: 333,334 us are what `3` comes to, and 60 s are `1/m`."""
    if interval == 0:
        return "0"
    # Intervals are rounded up, so the rate that was meant lies up to a microsecond's worth above the exact one.
    meant = Decimal(2 * SECOND) / (2 * interval - 1)
    plain = ((digits, "") for digits in range(1, _FEW_DIGITS))
    others = ((digits, unit) for digits in range(1, _RATE_DIGITS) for unit in _UNITS_SHOWN)
    for digits, unit in (*plain, *others):
        text = f"{Decimal(f'{meant * _UNITS_SHOWN[unit]:.{digits}g}'):f}{unit}"
        if _interval(text) == interval:
            return text
    raise AssertionError(f"{interval} is no interval of a rate")


def flag() -> Kind[bool]:
    """True or false."""

    def read(raw: object) -> bool:
        value = _FLAGS.get(raw.strip().lower()) if isinstance(raw, str) else raw
        if not isinstance(value, bool):
            raise Unfit
        return value

    return Kind("true or false (as text also 1, 0, yes, no)", read)


def text(wanted: str = "text", pattern: str = r"[^\0]*") -> Kind[str]:
    """Text that matches the pattern as a whole; a path is read as its text."""

    def read(raw: object) -> str:
        value = str(raw) if isinstance(raw, PurePath) else raw
        if not isinstance(value, str) or re.fullmatch(pattern, value) is None:
            raise Unfit
        return value

    return Kind(wanted, read)


def secret(wanted: str, pattern: str) -> Kind[str]:
    """Text that nobody is shown."""
    return replace(text(wanted, pattern), show=_hidden, got=lambda _: "a value that is not shown, as it is secret")


def _hidden(value: str) -> str:
    return "***" if value else ""


def optional(kind: Kind[T], absent: str = "") -> Kind[T | None]:
    """What `kind` takes, or the word `absent`, or nothing; either is None."""

    def read(raw: object) -> T | None:
        return None if isinstance(raw, str) and raw in {"", absent} else kind.read(raw)

    def show(value: T | None) -> object:
        return absent if value is None else kind.show(value)

    return Kind(f"{kind.wanted}, or {quoted(absent)}", read, show, kind.got)


def listed(item: Kind[T], wanted: str) -> Kind[tuple[T, ...]]:
    """A list, or text with commas, of what `item` takes; of a refused one, the items that are at fault are shown."""

    def read(raw: object) -> tuple[T, ...]:
        return tuple(item.read(each) for each in _items(raw))

    def show(value: tuple[T, ...]) -> str:
        return ",".join(str(item.show(each)) for each in value)

    def got(raw: object) -> str:
        try:
            return ", ".join(item.got(each) for each in _items(raw) if not _reads(item, each))
        except Unfit:
            return item.got(raw)

    return Kind(wanted, read, show, got)


def _items(raw: object) -> list[object] | tuple[object, ...]:
    listed = [each.strip() for each in raw.split(",") if each.strip()] if isinstance(raw, str) else raw
    if not isinstance(listed, list | tuple):
        raise Unfit
    return listed


def _reads(kind: Kind[T], raw: object) -> bool:
    try:
        kind.read(raw)
    except Unfit:
        return False
    return True


def http_url() -> Kind[str]:
    """An http or https address that paths are put behind: no user, no query, and without the `/` at its end."""
    return Kind('an address such as "https://host/path", without user, query or fragment', _read_http_url, got=_got_url)


def _read_http_url(raw: object) -> str:
    if not isinstance(raw, str) or not raw.isprintable() or " " in raw or set(raw) & set("?#@\\"):
        raise Unfit
    try:
        parts = urlsplit(raw)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Unfit
    return raw.rstrip("/")


def domains() -> Kind[tuple[str, ...]]:
    """Names of hosts, each with a port if it has one, as they stand in links: no scheme, no path; in small letters."""
    name = text("a domain", r"(?i)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::\d{1,5})?")
    small = replace(name, read=lambda raw: name.read(raw).lower())
    return listed(small, 'domains such as "go.example.com", separated by commas')


def time_zone() -> Kind[tzinfo]:
    """A time zone by its IANA name, or a fixed distance from UTC."""
    return Kind('a time zone such as "Europe/Berlin", "UTC" or "+02:00"', _read_zone, str)


def _read_zone(raw: object) -> tzinfo:
    if raw == "UTC":
        return UTC
    if not isinstance(raw, str):
        raise Unfit
    if offset := _OFFSET.fullmatch(raw.removeprefix("UTC")):
        distance = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        return timezone(-distance if offset[1] == "-" else distance)
    try:
        return ZoneInfo(raw)
    except (LookupError, ValueError, OSError):
        raise Unfit from None


def choice(options: tuple[T, ...]) -> Kind[T]:
    """One of a few words: the arguments of a `Literal` type, or the members of a `StrEnum`."""

    def read(raw: object) -> T:
        for option in options:
            if raw == option:
                return option
        raise Unfit

    def show(value: T) -> object:
        return str(value) if isinstance(value, str) else value  # of an enumeration only the word

    return Kind("one of " + ", ".join(quoted(option) for option in options), read, show)


def networks() -> Kind[tuple[Network, ...]]:
    """Networks in CIDR notation, separated by commas, or as a list."""

    def read(raw: object) -> tuple[Network, ...]:
        listed = raw.split(",") if isinstance(raw, str) else raw
        if not isinstance(listed, list | tuple):
            raise Unfit
        try:
            return tuple(ip_network(str(each).strip()) for each in listed if str(each).strip())
        except ValueError:
            raise Unfit from None

    def show(value: tuple[Network, ...]) -> str:
        return ",".join(str(each) for each in value)

    return Kind('networks such as "10.1.0.0/16,fd00::/8"', read, show)


def database_url() -> Kind[str]:
    """The address of a database, `postgres://` read as `postgresql://`. The password in it is never shown."""
    wanted = (
        '"sqlite:///file", "sqlite:////folder/file" or "postgresql://user:password@host/database"'
        " (percent-encode / ? # @ in a password; no database in memory)"
    )
    return Kind(wanted, _read_url, _masked, _refused_url)


def _read_url(raw: object) -> str:
    if isinstance(raw, str):
        if match := _POSTGRES.fullmatch(raw):
            return f"postgresql://{match[1]}"
        if _SQLITE.fullmatch(raw):
            return raw
    raise Unfit


def _masked(url: str) -> str:
    return _QUERY_VALUE.sub(r"\1***", _PASSWORD.sub(r"\1***", url))


def _got_url(raw: object) -> str:
    if isinstance(raw, str) and "@" in raw and "://" not in raw:
        return _NOT_SHOWN
    return quoted(_masked(raw) if isinstance(raw, str) else raw)


def _refused_url(raw: object) -> str:
    if isinstance(raw, str) and "://" not in raw:
        return _NOT_SHOWN
    return quoted(_PASSWORD_OR_PORT.sub(r"\1***", _masked(raw)) if isinstance(raw, str) else raw)
