"""Two processes on one database, whichever it is."""

from collections.abc import AsyncIterator

import pytest

from heliograph.store.engine import open_engine
from heliograph.store.store import Store


@pytest.fixture
async def store(prepared_database_url: str) -> AsyncIterator[Store]:
    """A store on a fresh database, with the test clock at hand."""
    opened = Store(open_engine(prepared_database_url, sandbox=True))
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
async def beside(prepared_database_url: str, store: Store) -> AsyncIterator[Store]:
    """Another process on the database of `store`."""
    opened = Store(open_engine(prepared_database_url, sandbox=True))
    await opened.start()
    yield opened
    await opened.stop()
