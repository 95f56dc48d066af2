"""How often a key may ask (Contract 8.4)."""

import asyncio
from collections.abc import Iterator

import pytest

from heliograph.api.request_limits import RequestLimits
from heliograph.clock import monotonic
from heliograph.domain.instant import SECOND, Instant
from heliograph.domain.request_rate import Block, RequestRate, take
from heliograph.store.engine import Engine, StoreUnavailable, open_engine
from heliograph.store.pace import take_requests
from heliograph.testing.server_process import ServerProcess
from tests.wire import Accounts, Answer, Caller, on_sqlite

LIMIT = 20


class Slots:
    """The slots of keys at a moment that does not pass."""

    def __init__(self) -> None:
        self._next_at: dict[str, Instant] = {}
        self.asked = 0

    async def take(self, key_id: str) -> Block:
        """The next block of a key."""
        self.asked += 1
        block = take(RequestRate(LIMIT), self._next_at.get(key_id, Instant(0)), Instant(1_800_000_000 * SECOND))
        self._next_at[key_id] = block.next_at
        return block


async def test_a_burst_gets_the_limit_and_no_more_and_asks_once_a_block() -> None:
    slots = Slots()
    limits = RequestLimits(RequestRate(LIMIT), slots.take)
    standings = await asyncio.gather(*(limits.count("key") for _ in range(3 * LIMIT)))
    assert [each.wait is None for each in standings] == [True] * LIMIT + [False] * 2 * LIMIT
    assert [each.remaining for each in standings[:LIMIT]] == list(range(LIMIT - 1, -1, -1))
    assert slots.asked <= LIMIT // RequestRate(LIMIT).block + 2 * LIMIT


async def test_keys_are_counted_apart() -> None:
    limits = RequestLimits(RequestRate(LIMIT), Slots().take)
    for _ in range(LIMIT + 1):
        last = await limits.count("one")
    assert last.wait is not None
    assert (await limits.count("other")).wait is None


async def test_processes_share_a_limit(prepared_database_url: str) -> None:
    rate = RequestRate(LIMIT)
    engines = [open_engine(prepared_database_url) for _ in range(3)]
    began = monotonic()
    granted = sum(await asyncio.gather(*(all_of(each, rate) for each in engines)))
    elapsed = monotonic() - began
    assert LIMIT <= granted <= LIMIT + elapsed // rate.interval + 1
    for each in engines:
        await each.close()


async def all_of(engine: Engine, rate: RequestRate) -> int:
    """Everything that one process is given until it is told to wait."""
    granted = 0
    while (block := await take_requests(engine, "key", rate)).granted:
        granted += block.granted
    return granted


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose keys may ask once a second."""
    with on_sqlite(tmp_path_factory.mktemp("limited"), HTTP__REQUESTS_PER_SECOND="1") as server:
        yield server


def refused(call: Caller) -> Answer:
    """The first answer that says to wait."""
    return next(answer for answer in iter(lambda: call("GET", "/v2/messaging_profiles"), None) if answer.status == 429)


def test_too_many_requests_are_refused_and_say_how_long_to_wait(limited: ServerProcess) -> None:
    accounts = Accounts(limited)
    with accounts.caller(accounts.key(accounts.organization())) as call:
        first = call("GET", "/v2/messaging_profiles")
        assert first.status == 200
        assert {name: first.headers[name] for name in ("x-ratelimit-limit", "x-ratelimit-remaining")} == {
            "x-ratelimit-limit": "1",
            "x-ratelimit-remaining": "0",
        }
        answer = refused(call)
        assert (answer.error["code"], answer.error["title"]) == ("10011", "Too many requests")
        assert (answer.headers["retry-after"], answer.headers["x-ratelimit-reset"]) == ("1", "1")


def test_who_is_not_recognised_uses_up_nothing(limited: ServerProcess) -> None:
    accounts = Accounts(limited)
    key = accounts.key(accounts.organization())
    with accounts.caller(key[:-1] + ("A" if key[-1] != "A" else "B")) as thief:
        assert [thief("GET", "/v2/messaging_profiles").status for _ in range(5)] == [401] * 5
    with accounts.caller(key) as call:
        assert call("GET", "/v2/messaging_profiles").status == 200


def test_without_a_limit_there_are_no_headers(call: Caller) -> None:
    assert "x-ratelimit-limit" not in call("GET", "/v2/messaging_profiles").headers


async def test_who_waits_for_an_answer_that_does_not_come_waits_once() -> None:
    asked = 0

    async def fails(_key_id: str) -> Block:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        raise StoreUnavailable("away")

    limits = RequestLimits(RequestRate(LIMIT), fails)
    answers = await asyncio.gather(*(limits.count("key") for _ in range(8)), return_exceptions=True)
    assert [type(each) for each in answers] == [StoreUnavailable] * 8
    assert asked == 1
