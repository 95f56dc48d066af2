"""What the system's service manager hears of a process, as systemd would: who says it counts."""

import asyncio
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from heliograph.commands.supervision import Supervision
from heliograph.settings import ServiceManager, service_manager
from heliograph.store.schema import migrate
from heliograph.testing.server_process import ServerProcess

_WHO = struct.Struct("iII")
PATIENCE = "200000"
"""Microseconds."""


class Manager:
    """Hears who says what."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.settimeout(60)
        self._socket.bind(address)
        self.address = address
        told = (f"NOTIFY_SOCKET={address}", f"WATCHDOG_USEC={PATIENCE}")
        self.program = ("env", *told, sys.executable, "-m", "heliograph")

    def heard(self) -> tuple[str, int]:
        """The next word, and the process that said it."""
        word, [(_, _, sender)], *_ = self._socket.recvmsg(256, socket.CMSG_SPACE(_WHO.size))
        return word.decode(), _WHO.unpack(sender)[0]

    def until(self, last: str) -> list[tuple[str, int]]:
        """All that is said, up to this word."""
        said = [self.heard()]
        while said[-1][0] != last:
            said.append(self.heard())
        return said

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager() -> Iterator[Manager]:
    """Listens at a path that is short enough for one."""
    with TemporaryDirectory(prefix="heliograph-") as folder:
        heard = Manager(f"{folder}/notify")
        yield heard
        heard.close()


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ({}, ServiceManager()),
        ({"NOTIFY_SOCKET": "/run/notify"}, ServiceManager("/run/notify")),
        ({"NOTIFY_SOCKET": "@notify", "WATCHDOG_USEC": PATIENCE}, ServiceManager("\0notify", int(PATIENCE))),
        ({"NOTIFY_SOCKET": "@notify", "WATCHDOG_USEC": PATIENCE, "WATCHDOG_PID": "1"}, ServiceManager("\0notify")),
    ],
    ids=["nobody", "ready only", "without a path", "meant for another"],
)
def test_the_environment_says_who_listens(
    monkeypatch: pytest.MonkeyPatch, told: Mapping[str, str], meant: ServiceManager
) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert service_manager() == meant


def test_it_hears_that_a_process_works_and_still_does_until_it_stops(manager: Manager, tmp_path: Path) -> None:
    with ServerProcess(f"sqlite:///{tmp_path / 'h.db'}", program=manager.program) as server:
        begun = manager.until("READY=1")
        working = [manager.heard() for _ in range(3)]
        pid = server.pid
        server.stop()
    ended = manager.until("STOPPING=1")
    assert {word for word, _ in [*begun[:-1], *working, *ended[:-1]]} == {"WATCHDOG=1"}
    assert {who for _, who in [*begun, *working, *ended]} == {pid}


async def test_that_it_works_is_said_again_to_a_manager_that_had_no_room_for_it(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as others, suppress(BlockingIOError):
        others.setblocking(False)
        while others.sendto(b"STATUS=full", manager.address):
            pass
    async with Supervision() as supervision:
        supervision.works()
        said = await asyncio.to_thread(manager.until, "READY=1")
    assert {word for word, _ in said} == {"STATUS=full", "READY=1"}


async def test_it_hears_of_several_processes_from_their_parent_alone(
    new_postgres_database: Callable[[], str], manager: Manager
) -> None:
    url = new_postgres_database()
    await migrate(url)
    options = ["--processes", "2"]
    with ServerProcess(url, role="api", options=options, program=manager.program) as parent:
        said = [*manager.until("READY=1"), manager.heard()]
        pid = parent.pid
        parent.stop()
    said += manager.until("STOPPING=1")
    assert {who for _, who in said} == {pid}
    assert [word for word, _ in said if word != "WATCHDOG=1"] == ["READY=1", "STOPPING=1"]
