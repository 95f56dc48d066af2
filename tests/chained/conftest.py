"""A pair that is up for all tests, each of which has handsets of its own."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.chained.pair import Carrier, Ours, Pictures, Theirs, ours
from tests.ports import free_port

_PEOPLE = count(3_000_000)


class Pair:
    """A and B, both up."""

    def __init__(self, a: Ours, b: Theirs) -> None:
        self.a = a
        self.b = b


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """On SQLite."""
    yield from paired(tmp_path_factory.mktemp("pair"))


def paired(folder: Path, database_url: str = "") -> Iterator[Pair]:
    """A and B, started."""
    port = free_port()
    b = Theirs(folder, f"http://127.0.0.1:{port}/carriers/b/webhooks")
    # What A is told of B is known once B is up.
    with b, ours(folder, port, {"b": Carrier(b)}, database_url=database_url) as a:
        yield Pair(a, b)


@pytest.fixture
def person() -> str:
    """A handset that nothing has arrived at, in Chicago."""
    return f"+1773{next(_PEOPLE)}"


@pytest.fixture(scope="session")
def pictures() -> Iterator[Pictures]:
    """A server with media."""
    with Pictures() as server:
        yield server
