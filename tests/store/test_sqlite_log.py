"""SQLite's log is put into the file beside whoever writes."""

from pathlib import Path

import pytest
from sqlalchemy import text

from heliograph.store import sqlite
from heliograph.store.engine import open_engine
from heliograph.store.sqlite import CHANGES_OF_LOG
from heliograph.store.store import Store
from tests.chaos.evidence import seen

HALF_A_PAGE = 2_048
MAKE = text("CREATE TABLE IF NOT EXISTS filling (content BLOB)")
FILL = text(
    "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < :rows)"
    " INSERT INTO filling SELECT zeroblob(:bytes) FROM n"
)
on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of `prepared_database_url`."""
    return tmp_path / "h.db"


async def write(store: Store) -> None:
    """As many rows as make the log long enough."""
    async with store.engine.transaction() as transaction:
        await transaction.execute(MAKE)
        await transaction.execute(FILL, {"rows": CHANGES_OF_LOG, "bytes": HALF_A_PAGE})


def size(file: Path) -> int:
    return file.stat().st_size


@on_sqlite
async def test_what_is_in_the_log_gets_into_the_file_while_the_store_is_open(store: Store, file: Path) -> None:
    for _ in range(2):
        before = size(file)
        await write(store)

        async def grown(before: int = before) -> bool:
            return size(file) > before

        await seen(grown)


@on_sqlite
async def test_while_somebody_writes_it_begins_anew(store: Store, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "PAGES_OF_LOG", CHANGES_OF_LOG)
    longest = 0
    for _ in range(40):
        await write(store)
        longest = max(longest, size(Path(f"{file}-wal")))
    assert longest < size(file) / 2


@on_sqlite
async def test_who_closes_it_meanwhile_leaves_no_log(prepared_database_url: str, file: Path) -> None:
    store = Store(open_engine(prepared_database_url))
    await store.start()
    await write(store)
    await store.stop()
    assert list(file.parent.glob("h.db-*")) == []
