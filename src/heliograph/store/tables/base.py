"""What all tables share, and the version of their schema."""

from sqlalchemy import BigInteger, MetaData, String, Uuid

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = Uuid(as_uuid=False).with_variant(String(36), "sqlite")
Micros = BigInteger()


# Options of a dialect are noted, not given to SQLAlchemy: it imports the dialect for each that it is given, and both
# together take a tenth of the start. Nothing but the migrations makes a table, and they say it themselves.


def where(condition: str) -> dict[str, str]:
    """The note of an index that holds only the rows for which `condition` is true."""
    return {"where": condition}


def by_day_of(key: str) -> dict[str, str]:
    """The note of a table that PostgreSQL divides by the day that an id tells."""
    return {"by_day_of": key}


SCHEMA_VERSION = 6
"""Raised with every migration."""
OLDEST_READER = 4
"""The oldest `SCHEMA_VERSION` of a program that may still use a database migrated by this one."""
