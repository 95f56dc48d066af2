"""Fixtures for every test: the event loop, PostgreSQL and SQLite databases, Node.js.

`async def test_...` needs no marker and runs on the loop of `anyio_backend`. A test that takes `database_url` (or
`prepared_database_url`) runs twice, on SQLite and on PostgreSQL; `-k "not postgresql"` leaves the second out.
"""

import asyncio
import compileall
import os
import py_compile
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog

from heliograph.store.schema import migrate
from tests.databases import fresh_database, lent_server

_IN_CI = os.environ.get("CI", "") not in ("", "0", "false")
_SOURCE = Path(__file__).parent.parent / "src"
_NODE_MODULES = Path(__file__).parent / "sdk" / "node" / "node_modules"
_LENT = pytest.StashKey[tuple[ExitStack, str]]()
_WORKER_INPUT = "postgres_url"

# In CI the library's own choice: the same examples each time. No deadline anywhere: a busy machine is no bug.
hypothesis.settings.register_profile(
    "heliograph", hypothesis.settings.get_profile("ci" if _IN_CI else "default"), deadline=None
)
hypothesis.settings.load_profile("heliograph")


def prepare_template(url: str) -> None:
    """Bring an empty database to the state that `prepared_database_url` hands out copies of; once for each session.

    It must have closed its connections on return.
    """
    asyncio.run(migrate(url))


@pytest.fixture(autouse=True)
def _log_as_at_first() -> Iterator[None]:
    """A command that a test runs within this process sets the level of its log: not for the tests after it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """asyncio's own event loop: a new one for each test and its async fixtures, and one for all tests within the scope
    of an async fixture wider than a test.
    """
    return "asyncio", {"use_uvloop": False}


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """With pytest-xdist the controller starts the one server for all workers."""
    node.workerinput[_WORKER_INPUT] = _borrow_server(node.config)


def pytest_configure(config: pytest.Config) -> None:
    """Compile the program once. Where Python may not write bytecode, as in many containers, each of the hundred
    processes that tests start would do so by itself; a file that was changed since is compiled by whoever imports it.
    """
    if not hasattr(config, "workerinput"):
        by_content = py_compile.PycInvalidationMode.CHECKED_HASH
        compileall.compile_dir(_SOURCE, quiet=2, invalidation_mode=by_content)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give the tests that share a server to one worker, so that it is started once and not by each worker."""
    from tests.distribution import distribution  # without pytest-xdist it cannot be imported

    return distribution(config, log)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Runs at the end of every session, also of one that Ctrl-C ended."""
    if _LENT in config.stash:
        config.stash[_LENT][0].close()


def _borrow_server(config: pytest.Config) -> str:
    if _LENT not in config.stash:
        until_end = ExitStack()
        config.stash[_LENT] = until_end, until_end.enter_context(lent_server())
    return config.stash[_LENT][1]


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> str:
    """The admin URL of a PostgreSQL server, started when the first test asks and shared by all workers."""
    from_controller: dict[str, str] = getattr(request.config, "workerinput", {})
    return from_controller.get(_WORKER_INPUT) or _borrow_server(request.config)


@pytest.fixture
def new_postgres_database(postgres_server: str) -> Iterator[Callable[[], str]]:
    """Makes empty databases and returns their URLs; they are dropped after the test."""
    with ExitStack() as until_end:
        yield lambda: until_end.enter_context(fresh_database(postgres_server))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """`sqlite` or `postgresql`."""
    return str(request.param)


@pytest.fixture
def database_url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a new, empty database of each kind."""
    if database_kind == "sqlite":
        yield _sqlite_url(tmp_path)
        return
    with fresh_database(request.getfixturevalue("postgres_server")) as url:
        yield url


@pytest.fixture
def prepared_database_url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a new copy of what `prepare_template` made, of each kind."""
    if database_kind == "sqlite":
        shutil.copyfile(request.getfixturevalue("_sqlite_template"), tmp_path / "h.db")
        yield _sqlite_url(tmp_path)
        return
    template = request.getfixturevalue("_postgres_template")
    with fresh_database(request.getfixturevalue("postgres_server"), template) as url:
        yield url


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    file = folder / "h.db"
    file.touch()  # to SQLite an empty file is an empty database
    prepare_template(_sqlite_url(folder))
    return file


@pytest.fixture(scope="session")
def _postgres_template(postgres_server: str) -> Iterator[str]:
    with fresh_database(postgres_server) as url:
        prepare_template(url)
        yield url


def _sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'h.db'}"


@pytest.fixture(scope="session")
def node() -> str:
    """The path of Node.js, with the SDK installed beside its tests: a failure without it in CI, a skip elsewhere."""
    path = shutil.which("node")
    if path is not None and _NODE_MODULES.is_dir():
        return path
    missing = "Node.js is not installed" if path is None else f"{_NODE_MODULES} is missing: run `make setup`"
    if _IN_CI:
        pytest.fail(f"The Node SDK must be tested in CI, but {missing}")
    pytest.skip(missing)
