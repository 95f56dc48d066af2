"""A server on each database for all tests of the wire, and somebody who calls it; each test finds its own messages."""

from collections.abc import Iterator

import pytest

from tests.wire import Accounts, Caller, on_postgres, on_sqlite

MAX_BODY = 16 * 1024
LINK_DOMAIN = "go.example.com"
on_one_database = pytest.mark.parametrize("database_kind", ["sqlite"])
"""For what is answered before a database is asked, or whatever it answers: the other would prove the same again."""


@pytest.fixture(scope="session")
def sqlite_accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accounts]:
    """The accounts of a server on SQLite."""
    with on_sqlite(
        tmp_path_factory.mktemp("wire"), HTTP__MAX_BODY_BYTES=str(MAX_BODY), LINKS__DOMAINS=LINK_DOMAIN
    ) as server:
        yield Accounts(server)


@pytest.fixture(scope="session")
def postgresql_accounts(postgres_server: str) -> Iterator[Accounts]:
    """The accounts of a server on PostgreSQL."""
    with on_postgres(postgres_server, HTTP__MAX_BODY_BYTES=str(MAX_BODY), LINKS__DOMAINS=LINK_DOMAIN) as server:
        yield Accounts(server)


@pytest.fixture
def accounts(database_kind: str, request: pytest.FixtureRequest) -> Accounts:
    """The accounts of a server on each database."""
    found: Accounts = request.getfixturevalue(f"{database_kind}_accounts")
    return found


@pytest.fixture
def call(accounts: Accounts) -> Iterator[Caller]:
    """The organisation that every sandbox begins with, on a connection of its own."""
    with accounts.caller() as caller:
        yield caller


@pytest.fixture
def stranger(accounts: Accounts) -> Iterator[Caller]:
    """Another organisation."""
    with accounts.caller(accounts.key(accounts.organization())) as caller:
        yield caller
