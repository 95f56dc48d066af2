"""Several processes on one PostgreSQL: some take requests, others send, any of them may die."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest
from httpx import AsyncClient

from heliograph.domain.nodes import Node, Role, Standing
from heliograph.server import new_key, new_sender, open_store
from heliograph.settings import load
from heliograph.store.schema import migrate
from heliograph.store.store import Store
from heliograph.testing.server_process import ServerFailed, ServerProcess
from tests.builders import make_account

NUMBER = "+13125550100"
HANDSET = "+15005550000"
QUICK = {"SANDBOX__RECEIPT_DELAY": "0", "LOG__LEVEL": "warning"}
Run = Callable[..., ServerProcess]


@pytest.fixture
async def url(new_postgres_database: Callable[[], str]) -> str:
    found = new_postgres_database()
    await migrate(found)
    return found


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    opened = open_store(load(None, {}, {"database.url": url, "sandbox.enabled": True}))
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture
def run(url: str) -> Iterator[Run]:
    """Starts a process of a role, which is stopped at the end."""
    with ExitStack() as until_end:

        def begin(role: str, *options: str, port: int = 0, **settings: str) -> ServerProcess:
            process = ServerProcess(url, {**QUICK, **settings}, port=port, role=role, options=options)
            return until_end.enter_context(process)

        yield begin


class Caller:
    """Somebody with a key and a number."""

    def __init__(self, api: ServerProcess, key: str, number: str) -> None:
        self._client = AsyncClient(base_url=api.base_url, headers={"authorization": f"Bearer {key}"})
        self._number = number

    async def __aenter__(self) -> "Caller":
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def send(self) -> str:
        body = {"from": self._number, "to": HANDSET, "text": "Hello."}
        answer = await self._client.post("/messages", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["data"]["id"])

    async def status(self, message_id: str) -> str:
        answer = await self._client.get(f"/messages/{message_id}")
        return str(answer.json()["data"]["to"][0]["status"])

    async def until(self, message_id: str, *wanted: str) -> str:
        async with asyncio.timeout(60):
            while (status := await self.status(message_id)) not in wanted:
                continue
        return status

    async def write_from_handset(self) -> None:
        body = {"to": self._number, "text": "Where is it?"}
        answer = await self._client.post(f"{self.root}/sandbox/handsets/{HANDSET}/messages", json=body)
        assert answer.status_code == 200, answer.text

    @property
    def root(self) -> str:
        return str(self._client.base_url).removesuffix("/v2/")


async def caller(store: Store, api: ServerProcess) -> Caller:
    """A new organisation with one number."""
    organization, profile = await make_account(store)
    await store.changes.add_sender(new_sender(store, profile, NUMBER), store.clock.now())
    return Caller(api, await new_key(store, organization, "test"), NUMBER)


async def until_nodes(store: Store, fits: Callable[[Sequence[Node]], bool]) -> Sequence[Node]:
    """The processes that are known, once they are as is wanted."""
    async with asyncio.timeout(60):
        while not fits(found := await store.nodes.all()):
            continue
    return found


async def test_what_one_process_accepts_another_sends(store: Store, run: Run) -> None:
    api, worker = run("api"), run("worker")
    assert (list(api.ready), worker.ready) == (["base_url"], {"ready": "yes"})
    async with await caller(store, api) as someone:
        await someone.until(await someone.send(), "delivered")
        await someone.write_from_handset()
    nodes = await store.nodes.all()
    assert [(each.role, each.pid, each.carriers) for each in nodes] == [
        (Role.API, api.pid, ()),
        (Role.WORKER, worker.pid, ("sandbox",)),
    ]
    assert {each.standing(store.clock.now()) for each in nodes} == {Standing.UP}
    assert (api.stop(), worker.stop()) == (0, 0)
    assert await store.nodes.all() == []


async def test_what_a_dead_worker_had_claimed_is_decided_by_another(store: Store, run: Run) -> None:
    api = run("api")
    doomed = run("worker", DISPATCH__LEASE="1s", SANDBOX__ANSWER_DELAY="10m")
    async with await caller(store, api) as someone:
        ids = [await someone.send() for _ in range(5)]
        for message_id in ids:
            await someone.until(message_id, "sending")
        doomed.kill()
        run("worker", DISPATCH__LEASE="1s")
        ends = {await someone.until(each, "delivered", "delivery_unconfirmed", "sending_failed") for each in ids}
        assert ends == {"delivery_unconfirmed"}
        await someone.until(await someone.send(), "delivered")
    assert doomed.pid in {each.pid for each in await store.nodes.all()}


async def test_a_worker_says_that_it_is_there_where_it_is_told_to(run: Run) -> None:
    worker = run("worker", "--health-port", "0")
    async with AsyncClient(base_url=worker.ready["base_url"]) as client:
        healthy = await client.get("/healthz")
        assert (healthy.status_code, healthy.text) == (200, "ok\n")
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.text) == (200, "ready\n")
        others = [await client.get("/v2/messages"), await client.post("/healthz"), await client.get("/openapi.json")]
    assert [each.status_code for each in others] == [404, 405, 404]
    assert worker.stop() == 0


async def test_a_worker_whose_port_is_taken_says_so(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ServerFailed, match="in use"):
        run("worker", "--health-port", str(taken.getsockname()[1]))


async def test_an_api_process_that_dies_is_begun_again(store: Store, run: Run) -> None:
    parent = run("api", "--processes", "2")
    first = await until_nodes(store, lambda found: len(found) == 2)
    assert parent.pid not in {each.pid for each in first}
    os.kill(first[0].pid, signal.SIGKILL)
    async with await caller(store, parent) as someone:
        await someone.send()
        now = await until_nodes(store, lambda found: len(found) == 3)
        await someone.send()
    assert {each.pid for each in first} < {each.pid for each in now}
    assert parent.stop() == 0
    assert [each.pid for each in await store.nodes.all()] == [first[0].pid]


async def test_connections_that_last_are_spread_over_the_processes(store: Store, run: Run) -> None:
    parent = run("api", "--processes", "2")
    children = [each.pid for each in await until_nodes(store, lambda found: len(found) == 2)]
    before = [open_sockets(child) for child in children]
    async with AsyncExitStack() as until_end:
        clients = [await until_end.enter_async_context(AsyncClient()) for _ in range(64)]
        url = parent.ready["base_url"] + "/healthz"
        answers = await asyncio.gather(*(client.get(url) for client in clients))
        assert {each.status_code for each in answers} == {200}
        taken = [open_sockets(child) - count for child, count in zip(children, before, strict=True)]
    assert sum(taken) == 64
    # By chance, as the kernel spreads them: fewer than 8 come once in 10 billion times.
    assert min(taken) >= 8


def open_sockets(pid: int) -> int:
    """How many a process has."""
    found = Path(f"/proc/{pid}/fd").iterdir()
    return sum(each.readlink().name.startswith("socket:") for each in found)


async def test_processes_whose_address_is_taken_say_so(run: Run) -> None:
    other = run("api", "--processes", "2")
    with pytest.raises(ServerFailed, match=r"Cannot listen on 127\.0\.0\.1:\d+: Address already in use\."):
        run("api", "--processes", "2", port=int(other.ready["base_url"].rpartition(":")[2]))


async def test_api_processes_end_with_their_parent(store: Store, run: Run) -> None:
    parent = run("api", "--processes", "3")
    await until_nodes(store, lambda found: len(found) == 3)
    parent.kill()
    await until_nodes(store, lambda found: not found)


@pytest.mark.parametrize("role", ["api", "worker"])
def test_a_part_of_the_service_needs_a_database_that_can_be_shared(tmp_path: Path, role: str) -> None:
    with pytest.raises(ServerFailed, match="SQLite is for one"):
        ServerProcess(f"sqlite:///{tmp_path}/h.db", role=role).start()


def test_processes_that_cannot_start_are_given_up(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match=r"SQLite is for one(.|\n)*could not be started") as failed:
        ServerProcess(f"sqlite:///{tmp_path}/h.db", role="api", options=["--processes", "2"]).start()
    assert "Traceback" not in str(failed.value)
