"""The partitions of PostgreSQL: made before their day comes, dropped when everything in them is over.

Anybody may do both at any time, several processes at once: one does it, under an advisory lock, and the others find it
done. Neither holds up who sends for longer than `LOCK_WAIT`: a lock that is not had by then is tried for again later.
SQLite has no partitions; there everything here does nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from re import compile as regex

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from heliograph.domain.instant import DAY, Instant
from heliograph.store.engine import Engine, Transaction
from heliograph.store.partition_ddl import LOCK_WAIT, PARTITIONED, REST, day_name, first_id, moment_of
from heliograph.store.schema import UnusableSchema

AHEAD = 2
"""Days after today that have their partition."""
UNKNOWN_TABLE, _NO_RIGHT = "42P01", "42501"
"""What PostgreSQL calls a table that is gone, and a right that is missing (SQLSTATE)."""
_LOCK = 0x4865_6C69_6F44_6179
"""An advisory lock of PostgreSQL: one process at a time makes or drops partitions."""
_BOUND = regex(r"^FOR VALUES FROM \((MINVALUE|'[^']+')\) TO \('([^']+)'\)$")


@dataclass(frozen=True, slots=True)
class Partition:
    """A part of a table: the ids from `low`, which is None for all, up to `high`, which it has no more."""

    table: str
    name: str
    low: str | None
    high: str

    @property
    def ends(self) -> Instant:
        """The moment of the first id after it."""
        return moment_of(self.high)


class Partitions:
    """Of the message tables."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.usable = engine.dialect.name == "postgresql"
        """Whether the database has any."""

    async def known(self) -> Mapping[str, Sequence[Partition]]:
        """By table, the oldest first; without that for ids of no day."""
        if not self.usable:
            return {}
        found: dict[str, list[Partition]] = {table: [] for table in PARTITIONED}
        for row in await self._engine.fetch(_KNOWN, {"names": list(PARTITIONED)}):
            if bound := _BOUND.match(row["bound"]):
                low = None if bound[1] == "MINVALUE" else bound[1].strip("'")
                found[row["parent"]].append(Partition(row["parent"], row["name"], low, bound[2]))
        return {table: sorted(parts, key=lambda part: part.high) for table, parts in found.items()}

    async def make_ahead(self) -> Sequence[str]:
        """Make what is missing for today and the days ahead; the names of what was made.

        A day that came before its partition was made stays with the ids of no day. Raises `UnusableSchema`, and
        `StoreUnavailable` when a lock is not to be had now.
        """
        today = self._engine.clock.now() // DAY
        made = []
        for table, parts in (await self.known()).items():
            begun = parts[-1].ends // DAY if parts else today
            for day in range(max(begun, today), today + AHEAD + 1):
                if await self._make(table, day):
                    made.append(day_name(table, day))
        return made

    async def _make(self, table: str, day: int) -> bool:
        try:
            async with self._engine.transaction() as transaction:
                return await locked(transaction) and await _make(transaction, table, day)
        except IntegrityError:
            return False  # an id of that day came in while its partition was made
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) == _NO_RIGHT:
                raise UnusableSchema(
                    f"The database user may not make the partition {day_name(table, day)}: let the server run as the"
                    " user that ran 'heliograph migrate', who owns the tables."
                ) from error
            raise

    async def claim(self, transaction: Transaction, parts: Sequence[Partition]) -> bool:
        """Take the right to drop them; False when somebody else has dropped one, or is at it."""
        if not await locked(transaction, usable=self.usable):
            return False
        return all([await _exists(transaction, part.name) for part in parts])

    async def drop(self, transaction: Transaction, parts: Sequence[Partition]) -> None:
        """Drop claimed ones: the last statement of a transaction, because everybody waits until its commit."""
        await transaction.execute(text(f"DROP TABLE {', '.join(part.name for part in parts)}"))


async def locked(transaction: Transaction, *, usable: bool = True) -> bool:
    """Whether this transaction is the one that changes partitions or forgets; on SQLite the one that writes is."""
    if not usable:
        return True
    await transaction.execute(text(f"SET LOCAL lock_timeout = {LOCK_WAIT}"))
    return bool((await transaction.execute(text(f"SELECT pg_try_advisory_xact_lock({_LOCK})"))).scalar_one())


async def nothing_goes(transaction: Transaction) -> None:
    """Wait for who forgets, and let nobody forget until this transaction ends; on SQLite who writes is alone."""
    if transaction.engine.dialect.name == "postgresql":
        await transaction.execute(text(f"SELECT pg_advisory_xact_lock_shared({_LOCK})"))


_KNOWN = text(
    "SELECT parent.relname::text AS parent, child.relname::text AS name,"
    " pg_get_expr(child.relpartbound, child.oid) AS bound"
    " FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid JOIN pg_class AS parent ON parent.oid = inhparent"
    " WHERE parent.relname = ANY (CAST(:names AS text[])) AND pg_table_is_visible(parent.oid)"
    " AND parent.relkind = 'p' AND child.relkind = 'r'"
)
_INDEXES = text(
    "SELECT indexrelid::regclass::text AS name, indisunique, pg_get_indexdef(indexrelid) AS definition FROM pg_index"
    " WHERE indrelid = CAST(:table AS regclass) AND NOT indisprimary"
)
_PRIMARY = text(
    "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = CAST(:table AS regclass) AND contype = 'p'"
)


async def _exists(transaction: Transaction, name: str) -> bool:
    found = await transaction.execute(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": name})
    return bool(found.scalar_one())


async def _make(transaction: Transaction, table: str, day: int) -> bool:
    """A table of its own first, with all that it needs; to attach it then takes no time."""
    key, name = PARTITIONED[table], day_name(table, day)
    low, high = first_id(day), first_id(day + 1)
    strayed = text(
        f"SELECT EXISTS (SELECT FROM {table}_{REST} WHERE {key} >= '{low}' AND {key} < '{high}')"  # noqa: S608 - names of ours
    )
    if await _exists(transaction, name) or (await transaction.execute(strayed)).scalar_one():
        return False
    await transaction.execute(
        text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING COMMENTS INCLUDING STORAGE)")
    )
    await _index(transaction, table, name, name.removeprefix(f"{table}_"))
    await transaction.execute(
        text(f"ALTER TABLE {name} ADD CONSTRAINT of_day CHECK ({key} >= '{low}' AND {key} < '{high}')")
    )
    await transaction.execute(
        text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')")
    )
    await transaction.execute(text(f"ALTER TABLE {name} DROP CONSTRAINT of_day"))
    return True


async def _index(transaction: Transaction, table: str, name: str, suffix: str) -> None:
    """The indexes of the table, under their names and the day's."""
    given = {"table": table}
    primary = (await transaction.execute(_PRIMARY, given)).scalar_one()
    await transaction.execute(text(f"ALTER TABLE {name} ADD CONSTRAINT pk_{table}_{suffix} {primary}"))
    for row in (await transaction.execute(_INDEXES, given)).all():
        unique = "UNIQUE " if row.indisunique else ""
        how = row.definition.partition(" USING ")[2]
        await transaction.execute(text(f"CREATE {unique}INDEX {row.name}_{suffix} ON {name} USING {how}"))
