"""Facts about a database itself, for whoever asks whether it can be relied on.

The options that we rely on differ between the engines in name and in values, so each comes with its verdict.
"""

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import BigInteger, func, literal_column, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from heliograph.clock import SystemClock
from heliograph.store.engine import Engine, StoreUnavailable
from heliograph.store.schema import SchemaState, schema_state
from heliograph.store.sqlite import SqliteEngine
from heliograph.store.tables import schema_version, test_clock

_LOSS = "a power loss can take messages that were acknowledged"
_WAITING = "readers and the writer wait for each other, as on a network file system"
_POSTGRES_OPTIONS = {"synchronous_commit": _LOSS, "fsync": _LOSS, "full_page_writes": _LOSS}
_SQLITE_OPTIONS = {"journal_mode": (("wal",), _WAITING), "synchronous": (("full", "extra"), _LOSS)}
_SQLITE_LEVELS = ("off", "normal", "full", "extra")
"""The values of `PRAGMA synchronous` in the order of their numbers."""
_DATABASE_CLOCK = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"


@dataclass(frozen=True, slots=True)
class Safeguard:
    """An option of the database that we rely on (promise P2), and what happens where its value is not enough."""

    option: str
    value: str
    wanted: str
    holds: bool
    otherwise: str


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What a database says of itself."""

    product: str
    version: str
    safeguards: Sequence[Safeguard]
    not_writable: str | None
    """Why nothing can be written; None when it can."""
    free_bytes: int | None
    """Room on the disk it is on; None where that is another machine's."""
    ahead: int | None
    """Microseconds its clock is ahead of this machine's; None where it is the same clock."""


@contextmanager
def answering(engine: Engine) -> Iterator[None]:
    """Raise `StoreUnavailable` for whatever a driver raises: a wrong password, a missing right, no such file.

    For who asks whether a database can be used at all; elsewhere a mistake of ours must not look like that.
    """
    try:
        yield
    except (DBAPIError, engine.driver_error) as error:
        raise StoreUnavailable(str(getattr(error, "orig", None) or error)) from error


async def database_facts(engine: Engine) -> DatabaseFacts:
    """Ask a database about itself. Raises `StoreUnavailable` with the reason when it does not answer."""
    await require_answer(engine)
    with answering(engine):
        return await (_sqlite_facts(engine) if isinstance(engine, SqliteEngine) else _postgres_facts(engine))


async def require_answer(engine: Engine) -> None:
    """Raise `StoreUnavailable` with the reason unless the database answers, also when it refuses who we are."""
    with answering(engine):
        if isinstance(engine, SqliteEngine):
            _open_once(engine.file)
        await engine.fetch(select(literal_column("1")))


def _open_once(file: str) -> None:
    """Open a file without aiosqlite, whose thread, when that fails, goes on to fail noisily as its loop is closed."""
    with closing(sqlite3.connect(file, uri=file.startswith("file:"))) as connection:
        connection.execute("PRAGMA schema_version").fetchall()


def missing_file(url: str) -> Path | None:
    """The file that a database URL names and that does not exist; asking the database would make it, empty."""
    address = make_url(url)
    file = Path(address.database or "")
    return file if address.get_backend_name() == "sqlite" and not file.exists() else None


async def migrated_version(engine: Engine) -> int | None:
    """The version of the schema; None for a database without one."""
    if await schema_state(engine) is SchemaState.EMPTY:
        return None
    return int((await engine.fetch(select(schema_version.c.version)))[0]["version"])


async def sandbox_clock_ahead(engine: Engine) -> int:
    """Microseconds that the test clock in the database is ahead, whether or not this process goes by it."""
    return int((await engine.fetch(select(test_clock.c.ahead)))[0]["ahead"])


async def _postgres_facts(engine: Engine) -> DatabaseFacts:
    names = ("server_version", "transaction_read_only", *_POSTGRES_OPTIONS)
    values = (await engine.fetch(select(*[func.current_setting(name).label(name) for name in names])))[0]
    options = [
        Safeguard(name, values[name], "on", values[name] != "off", otherwise)
        for name, otherwise in _POSTGRES_OPTIONS.items()
    ]
    return DatabaseFacts(
        product="PostgreSQL",
        version=values["server_version"],
        safeguards=options,
        not_writable="it takes no writes: it is a standby or read-only"
        if values["transaction_read_only"] == "on"
        else None,
        free_bytes=None,
        ahead=await _ahead(engine),
    )


async def _ahead(engine: Engine) -> int:
    """Against the middle of the time the answer took; call it on a connection that is open already."""
    machine = SystemClock()
    asked = machine.now()
    told = (await engine.fetch(select(literal_column(_DATABASE_CLOCK, BigInteger()).label("told"))))[0]["told"]
    return int(told - (asked + machine.now()) // 2)


async def _sqlite_facts(engine: Engine) -> DatabaseFacts:
    version = (await engine.fetch(select(func.sqlite_version().label("version"))))[0]["version"]
    options = [await _pragma(engine, name) for name in _SQLITE_OPTIONS]
    return DatabaseFacts(
        product="SQLite",
        version=version,
        safeguards=options,
        not_writable=await _refused_write(engine),
        free_bytes=shutil.disk_usage((await engine.fetch(text("PRAGMA database_list")))[0]["file"]).free,
        ahead=None,
    )


async def _pragma(engine: Engine, name: str) -> Safeguard:
    value = (await engine.fetch(text(f"PRAGMA {name}")))[0][name]
    said = _SQLITE_LEVELS[value] if isinstance(value, int) else value
    enough, otherwise = _SQLITE_OPTIONS[name]
    return Safeguard(name, said, " or ".join(enough), said in enough, otherwise)


class _Undo(Exception):
    """Raised to roll back."""


async def _refused_write(engine: Engine) -> str | None:
    """Why a write is refused, found by one that is rolled back: a look at the file's mode would not tell."""
    try:
        with suppress(_Undo), answering(engine):
            async with engine.transaction() as transaction:
                await transaction.execute(text("PRAGMA user_version = 1"))
                raise _Undo
    except StoreUnavailable as error:
        return str(error)
    return None
