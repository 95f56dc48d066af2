"""The chain with A on PostgreSQL."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heliograph.store.schema import migrate
from tests.chained.conftest import Pair, paired


@pytest.fixture
def on_postgres(new_postgres_database: Callable[[], str], tmp_path: Path) -> Iterator[Pair]:
    """A on PostgreSQL, B on SQLite."""
    url = new_postgres_database()
    asyncio.run(migrate(url))
    yield from paired(tmp_path, url)


def test_messages_receipts_and_answers_go_both_ways(on_postgres: Pair, person: str) -> None:
    a, b = on_postgres.a, on_postgres.b
    regretted = a.schedules(person, "Regretted", seconds=1)
    assert a.call.cancel(regretted).status == 200
    assert a.end(a.sends("+15005550001")) == ("delivery_failed", "40001")
    assert a.end(a.schedules(person, "Your table is ready.", seconds=1)) == ("delivered", "")
    assert [each["text"] for each in b.handset(person)] == ["Your table is ready."]
    b.writes(person, "On my way")
    assert a.customer.received("On my way")["from"]["phone_number"] == person
