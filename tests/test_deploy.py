"""The files under deploy/, as far as the programs they are for can check them."""

import asyncio
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from heliograph import randomness
from heliograph.api.auth import key_text
from heliograph.domain.errors import Code
from heliograph.store.schema import migrate
from heliograph.testing.server_process import ServerProcess
from tests.availability.conftest import require_installed
from tests.lines import Line

DEPLOY = Path(__file__).parent.parent / "deploy"
HAPROXY = DEPLOY / "haproxy.cfg"
SERVERS = ("one", "two", "three")


@pytest.fixture(scope="module")
def haproxy() -> str:
    """Where the program is."""
    require_installed("haproxy")
    return str(shutil.which("haproxy"))


def test_haproxy_takes_its_configuration_without_a_warning(haproxy: str) -> None:
    checked = subprocess.run([haproxy, "-c", "-dW", "-f", HAPROXY], check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.fixture
def database(new_postgres_database: Callable[[], str]) -> str:
    """One that is migrated."""
    url = new_postgres_database()
    asyncio.run(migrate(url))
    return url


@dataclass(frozen=True, slots=True)
class Proxy:
    """HAProxy before some processes."""

    url: str
    _control: Path

    async def until_ready(self, *names: str) -> None:
        """Return once it takes these servers for ready, and no others."""
        async with asyncio.timeout(60):
            while await self._ready() != set(names):
                continue

    async def _ready(self) -> set[str]:
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._control))
        except (FileNotFoundError, ConnectionRefusedError):
            return set()  # it has not begun
        writer.write(b"show servers state ready\n")
        lines = (await reader.read()).decode().splitlines()
        writer.close()
        # One line each: numbers and names of the backend and the server, its address, and 0 when it is down.
        return {each.split()[3] for each in lines[2:] if each.strip() and each.split()[5] != "0"}


@contextmanager
def proxy_before(haproxy: str, folder: Path, processes: Sequence[ServerProcess]) -> Iterator[Proxy]:
    """HAProxy with the configuration that is shipped but for its addresses."""
    control = folder / "control"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        given = HAPROXY.read_text().replace("bind :80", f"bind fd@{listening.fileno()}")
        given = given.replace("global\n", f"global\n    stats socket {control}\n", 1)
        for name, process in zip(SERVERS, processes, strict=True):
            port = process.ready["base_url"].rpartition(":")[2]
            given = re.sub(rf"server {name} \S+", f"server {name} 127.0.0.1:{port}", given)
        (folder / "haproxy.cfg").write_text(given)
        command = [haproxy, "-db", "-f", str(folder / "haproxy.cfg")]
        with subprocess.Popen(command, pass_fds=[listening.fileno()], stderr=subprocess.DEVNULL) as running:
            try:
                yield Proxy(f"http://127.0.0.1:{listening.getsockname()[1]}", control)
            finally:
                running.kill()


def test_haproxy_passes_over_a_process_that_is_gone(haproxy: str, database: str, tmp_path: Path) -> None:
    with (
        ServerProcess(database, role="api") as one,
        ServerProcess(database, role="api") as two,
        proxy_before(haproxy, tmp_path, [one, two, one]) as proxy,
        httpx.Client(base_url=proxy.url, timeout=60) as client,
    ):
        before = [client.post("/v2/messages").status_code for _ in range(4)]
        two.kill()
        after = [client.post("/v2/messages").status_code for _ in range(4)]
    assert before + after == [401] * 8


async def ask(client: httpx.AsyncClient) -> httpx.Response:
    """With a key that is nobody's, which the database is asked for."""
    key = key_text(randomness.key_id(), randomness.secret())
    return await client.get("/v2/balance", headers={"authorization": f"Bearer {key}"})


async def test_haproxy_passes_over_a_process_that_is_cut_off_from_the_database(
    haproxy: str, new_postgres_database: Callable[[], str], tmp_path: Path
) -> None:
    url = new_postgres_database()
    await migrate(url)
    async with AsyncExitStack() as until_end:
        lines = [Line(url) for _ in range(2)]
        ways = [await until_end.enter_async_context(each.laid()) for each in lines]
        started = [ServerProcess(way, role="api") for way in ways]
        one, two = [await asyncio.to_thread(until_end.enter_context, each) for each in started]
        proxy = until_end.enter_context(proxy_before(haproxy, tmp_path, [one, two, one]))
        client = await until_end.enter_async_context(httpx.AsyncClient(base_url=proxy.url, timeout=60))
        await proxy.until_ready("one", "two", "three")
        lines[0].carries.clear()
        await proxy.until_ready("two")
        assert [(await ask(client)).status_code for _ in range(8)] == [401] * 8
        lines[1].carries.clear()
        await proxy.until_ready()
        answer = await ask(client)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, Code.SERVICE_UNAVAILABLE)
        for each in lines:
            each.carries.set()
        await proxy.until_ready("one", "two", "three")
        await asyncio.gather(*(asyncio.to_thread(each.stop) for each in started))
