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

SCHEMA_VERSION = 6
"""Raised with every migration."""
OLDEST_READER = 4
"""The oldest `SCHEMA_VERSION` of a program that may still use a database migrated by this one."""
