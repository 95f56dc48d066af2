"""A real server in a process of its own, for tests that talk to it over HTTP.

with ServerProcess("sqlite:////tmp/t.db") as server:
    client = Telnyx(api_key=server.ready["api_key"], base_url=server.base_url)
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from heliograph.settings import clean_environment


class ServerFailed(Exception):
    """The server ended before it accepted requests; the text is what it wrote."""


class ServerProcess:
    """`heliograph serve --sandbox` on a free port; with a `role`, `heliograph api` or `heliograph worker` instead.

    `settings` are environment variables without their prefix: `{"SANDBOX__RECEIPT_DELAY": "0"}`. `options` are given to
    the command as they are. `program` is what is run, as where it is to be another version, or in another network.
    """

    def __init__(
        self,
        database_url: str,
        settings: Mapping[str, str] | None = None,
        *,
        sandbox: bool = True,
        port: int = 0,
        ready_file: Path | None = None,
        role: str = "serve",
        options: Sequence[str] = (),
        program: Sequence[str] = (sys.executable, "-m", "heliograph"),
    ) -> None:
        self.database_url = database_url
        self._ready_file = ready_file
        self._settings = dict(settings or {})
        self._sandbox = sandbox
        self._port = port
        self._role = role
        self._options = options
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: TemporaryDirectory[str] | None = None
        self.ready: dict[str, str] = {}

    @property
    def base_url(self) -> str:
        """Where the server is, with `/v2`, as an SDK takes it."""
        return self.ready["base_url"] + "/v2"

    @property
    def pid(self) -> int:
        """The process."""
        return self._running().pid

    def start(self) -> Self:
        """Start it, and return once it accepts requests. Raises `ServerFailed`."""
        self._folder = TemporaryDirectory(prefix="heliograph-")
        log = Path(self._folder.name) / "log"
        command = [*self._program, self._role, *self._options]
        command += [] if self._role == "worker" else ["--port", str(self._port)]
        command += ["--database", self.database_url, *(["--sandbox"] if self._sandbox else [])]
        command += ["--ready-file", str(self._ready_file)] if self._ready_file else []
        environment = clean_environment() | {f"HELIOGRAPH_{name}": value for name, value in self._settings.items()}
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
            )
        self.ready = self._read_ready()
        if not self.ready:
            self._process.wait()
            written = log.read_text(errors="replace")
            self._clean_up()
            raise ServerFailed(written)
        return self

    def log(self) -> str:
        """What it has written to standard error."""
        if self._folder is None:
            raise ServerFailed("it was not started")
        return (Path(self._folder.name) / "log").read_text(errors="replace")

    def kill(self) -> None:
        """kill -9, as a crash."""
        self._signal(signal.SIGKILL)
        self._running().wait()

    def pause(self) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def wait(self) -> int:
        """The exit status, once it has ended by itself."""
        return self._running().wait()

    def stop(self) -> int:
        """SIGTERM, and the exit status once it has drained."""
        process = self._running()
        if process.poll() is None:
            self._signal(signal.SIGTERM)
        return process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._running()
        if process.poll() is None:
            self.stop()
        self._clean_up()

    def _clean_up(self) -> None:
        if (stdout := self._running().stdout) is not None:
            stdout.close()
        if self._folder is not None:
            self._folder.cleanup()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise ServerFailed("it was not started")
        return self._process

    def _signal(self, number: signal.Signals) -> None:
        os.kill(self._running().pid, number)

    def _read_ready(self) -> dict[str, str]:
        """The lines `name: value` that the server prints when it accepts requests, up to the last of them."""
        told: dict[str, str] = {}
        last = b"webhook_public_key" if self._sandbox and self._role == "serve" else b"base_url"
        for line in self._running().stdout or ():
            name, _, value = line.decode().strip().partition(": ")
            told[name] = value
            if line.startswith((last, b"ready")):
                break
        return told


def ready_file(path: Path) -> dict[str, str]:
    """A ready file as `serve --ready-file` writes it."""
    told: dict[str, str] = json.loads(path.read_text())
    return told
