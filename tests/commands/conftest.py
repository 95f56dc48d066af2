"""A terminal on a fresh database."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from heliograph.store.schema import migrate
from tests.terminal import Terminal


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command configures the log of its process, here onto what pytest captures."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database without anything in it."""
    file = tmp_path_factory.mktemp("commands") / "h.db"
    asyncio.run(migrate(f"sqlite:///{file}"))
    return file


@pytest.fixture
def terminal(
    migrated_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    """A terminal on SQLite, for what does not depend on the database."""
    return Terminal(f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'h.db')}", capsys, monkeypatch)


@pytest.fixture
def either_terminal(
    prepared_database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    """A terminal on each database."""
    return Terminal(prepared_database_url, capsys, monkeypatch)
