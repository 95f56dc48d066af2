"""The files under deploy/, as far as the programs they are for can check them."""

import asyncio
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from heliograph.store.schema import migrate
from heliograph.testing.server_process import ServerProcess
from tests.availability.conftest import require_installed

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
def several(new_postgres_database: Callable[[], str]) -> list[ServerProcess]:
    """API processes on one database, not yet started."""
    url = new_postgres_database()
    asyncio.run(migrate(url))
    return [ServerProcess(url, role="api") for _ in SERVERS[:2]]


@pytest.fixture
def proxy(haproxy: str, several: list[ServerProcess], tmp_path: Path) -> Iterator[str]:
    """The URL of HAProxy before them, with the configuration that is shipped but for its addresses."""
    with ExitStack() as until_end, socket.create_server(("127.0.0.1", 0)) as listening:
        ports = [until_end.enter_context(each).ready["base_url"].rpartition(":")[2] for each in several]
        given = HAPROXY.read_text().replace("bind :80", f"bind fd@{listening.fileno()}")
        for name, port in zip(SERVERS, [*ports, ports[0]], strict=True):
            given = re.sub(rf"server {name} \S+", f"server {name} 127.0.0.1:{port}", given)
        (tmp_path / "haproxy.cfg").write_text(given)
        with subprocess.Popen(
            [haproxy, "-db", "-f", tmp_path / "haproxy.cfg"], pass_fds=[listening.fileno()], stderr=subprocess.DEVNULL
        ) as running:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            running.kill()


def test_haproxy_passes_over_a_process_that_is_gone(several: list[ServerProcess], proxy: str) -> None:
    with httpx.Client(base_url=proxy, timeout=60) as client:
        before = [client.post("/v2/messages").status_code for _ in range(4)]
        several[1].kill()
        after = [client.post("/v2/messages").status_code for _ in range(4)]
    assert before + after == [401] * 8
