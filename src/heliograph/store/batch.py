"""Statements that run once over many rows.

A `Batch` is written once, in SQLAlchemy Core, over a table `rows` of its parameters; it is compiled once for each
engine and then handed to the driver as it stands. `rows` is `unnest` of one array a column on PostgreSQL and
`json_each` of one array of arrays on SQLite, so a batch of one row and a batch of 500 are the same statement.
Why the driver and not `Connection.execute`: `docs/decisions/0003-batches.md` and `bench/store.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    FromClause,
    Integer,
    Text,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ColumnElement
from sqlalchemy.types import TypeEngine

from heliograph.store.tables import Id

ROWS = "given"


@dataclass(frozen=True)
class Sql:
    """What a statement is built from."""

    rows: Any
    """The table of the rows given; None for a batch without columns."""
    now: ColumnElement[int]
    """This moment by the database's clock."""
    passing: ColumnElement[int]
    """The same, and later for a row whose lock had to be waited for."""
    insert: Callable[..., Any]
    """The engine's INSERT, with ON CONFLICT."""
    dialect: str

    def few(self, found: Any) -> Any:
        """The ids of what a statement found first, for `in_`.

        How much a LIMIT lets through is not known to a plan that is made for any of them, and PostgreSQL then takes a
        tenth of the table for it and reads all partitions as a whole. Of an array it takes ten for granted, and goes
        along the keys.
        """
        ids = select(found.c.id)
        if self.dialect != "postgresql":
            return ids
        return select(func.unnest(func.array(ids.scalar_subquery()), type_=Id))


@dataclass(frozen=True, eq=False)
class Batch:
    """One statement over rows: the names and types of a row's columns, and what builds the statement."""

    columns: Mapping[str, TypeEngine[Any]]
    build: Callable[[Sql], Any]


@dataclass(frozen=True)
class Compiled:
    """A batch as a driver takes it."""

    sql: str
    order: tuple[str, ...]
    names: tuple[str, ...]
    constants: Mapping[str, Any]


def scalar(name: str, type_: TypeEngine[Any] | None = None) -> Any:
    """A parameter that is the same for all rows; 64 bits unless said otherwise."""
    return cast(bindparam(name), type_ or BigInteger())


def compile_batch(batch: Batch, dialect: Dialect, now: ColumnElement[int], passing: ColumnElement[int]) -> Compiled:
    """The text of a batch for one dialect, and the order of its parameters."""
    statement = batch.build(
        Sql(_rows(batch.columns, dialect.name), now, passing, insert_of(dialect.name), dialect.name)
    )
    compiled = statement.compile(dialect=dialect)
    names = tuple(each.name for each in getattr(statement, "exported_columns", ()))
    constants = {name: value for name, value in compiled.params.items() if value is not None}
    return Compiled(str(compiled), tuple(compiled.positiontup or ()), names, constants)


def insert_of(dialect: str) -> Callable[..., Any]:
    """The INSERT of an engine, with ON CONFLICT."""
    # A process uses one of the two dialects, and each takes long to import.
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert
    from sqlalchemy.dialects import sqlite

    return sqlite.insert


def _rows(columns: Mapping[str, TypeEngine[Any]], dialect: str) -> FromClause | None:
    if not columns:
        return None
    return _unnest(columns) if dialect == "postgresql" else _json_rows(columns)


def _unnest(columns: Mapping[str, TypeEngine[Any]]) -> FromClause:
    arrays = [cast(bindparam(f"row_{name}"), ARRAY(type_)) for name, type_ in columns.items()]
    typed = [column(name, type_) for name, type_ in columns.items()]
    return func.unnest(*arrays).table_valued(*typed).render_derived(name=ROWS)


def _json_rows(columns: Mapping[str, TypeEngine[Any]]) -> FromClause:
    each = func.json_each(bindparam("row_json")).table_valued("value", name="each")
    typed = [
        func.json_extract(each.c.value, literal_column(f"'$[{index}]'"), type_=type_).label(name)
        for index, (name, type_) in enumerate(columns.items())
    ]
    return select(*typed).select_from(each).subquery(ROWS)


def array_arguments(
    compiled: Compiled, batch: Batch, rows: Sequence[tuple[Any, ...]], scalars: Mapping[str, Any]
) -> list[Any]:
    """Arguments for PostgreSQL: one list a column."""
    transposed: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(batch.columns)
    given = {f"row_{name}": values for name, values in zip(batch.columns, transposed, strict=True)} | dict(scalars)
    return _in_order(compiled, given)


def json_arguments(compiled: Compiled, rows: Sequence[tuple[Any, ...]], scalars: Mapping[str, Any]) -> list[Any]:
    """Arguments for SQLite: all rows as one JSON text."""
    return _in_order(compiled, {"row_json": msgspec.json.encode(rows).decode(), **scalars})


def _in_order(compiled: Compiled, given: Mapping[str, Any]) -> list[Any]:
    return [given[name] if name in given else compiled.constants[name] for name in compiled.order]


ID, TEXT, MICROS, COUNT, FLAG = Id, Text(), BigInteger(), Integer(), Boolean()
"""The types of a batch's columns."""
