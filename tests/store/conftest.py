"""The store on both databases."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from heliograph.store.engine import open_engine
from heliograph.store.store import Store
from tests.databases import fresh_database

Fill = Callable[[Store], Awaitable[None]]
Filled = Callable[[Fill], AbstractAsyncContextManager[Store]]


@asynccontextmanager
async def running(database_url: str) -> AsyncIterator[Store]:
    """A store at work."""
    opened = Store(open_engine(database_url, sandbox=True))
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
async def store(prepared_database_url: str) -> AsyncIterator[Store]:
    """A store on a fresh database, with the test clock at hand."""
    async with running(prepared_database_url) as opened:
        yield opened


@pytest.fixture(scope="session")
def _fillings() -> Iterator[tuple[dict[tuple[str, Fill], str], ExitStack]]:
    """The databases that were filled, by their kind and by what filled them."""
    with ExitStack() as until_end:
        yield {}, until_end


@pytest.fixture
def filled(
    database_kind: str,
    prepared_database_url: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    _fillings: tuple[dict[tuple[str, Fill], str], ExitStack],
) -> Filled:
    """Opens a store on a copy of a database that is filled once, however many tests ask for it."""
    known, until_end = _fillings

    @asynccontextmanager
    async def on_copy(fill: Fill) -> AsyncIterator[Store]:
        key = (database_kind, fill)
        if database_kind == "sqlite":
            if key not in known:
                async with running(prepared_database_url) as opened:
                    await fill(opened)
                known[key] = str(shutil.copy(tmp_path / "h.db", tmp_path_factory.mktemp("filled")))
            url = f"sqlite:///{shutil.copy(known[key], tmp_path / 'copy.db')}"
            async with running(url) as opened:
                yield opened
            return
        server = request.getfixturevalue("postgres_server")
        if key not in known:
            known[key] = until_end.enter_context(fresh_database(server, prepared_database_url))
            async with running(known[key]) as opened:
                await fill(opened)
        with fresh_database(server, known[key]) as url:
            async with running(url) as opened:
                yield opened

    return on_copy


@pytest.fixture
async def beside(prepared_database_url: str, store: Store) -> AsyncIterator[Store]:
    """Another process on the database of `store`."""
    async with running(prepared_database_url) as opened:
        yield opened
