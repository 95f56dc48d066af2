"""The demo: what it shows, how it ends, and that what it prints can be pasted as it stands."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from heliograph import demo
from heliograph.settings import clean_environment, load
from heliograph.testing.server_process import ServerProcess

COMMAND = [sys.executable, "-m", "heliograph", "demo", "--port", "0"]
NODE_MODULES = Path(__file__).parent / "sdk" / "node"
EXCHANGE = re.compile(r"^   (GET|POST|DELETE) +(\S+) +(\d{3})  \S", re.MULTILINE)


class Terminal(StringIO):
    """Paper that says it is a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


class Running:
    """A demo that was left running, and what it has printed."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            COMMAND, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.out = ""
        for line in self.process.stdout or ():
            self.out += line
            if line.startswith(demo.RUNNING):
                break

    def snippet(self, title: str) -> str:
        """The code under a title, as printed."""
        (code,) = re.findall(
            rf"^--- {title}.*\n\n((?:.*\n)+?)\n(?:---|{re.escape(demo.RUNNING)})", self.out, re.MULTILINE
        )
        return str(code)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ctrl-C, and the exit status."""
        self.process.send_signal(number)
        rest, errors = self.process.communicate()
        self.out += rest
        assert errors == ""
        return self.process.returncode


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """One for all snippets."""
    started = Running()
    yield started
    assert started.stop() == 0


@pytest.fixture(scope="module")
def shown() -> str:
    """All that a demo prints which ends by itself, and ends well."""
    with redirect_stdout(StringIO()) as out:
        assert demo.run(load(environ={}, overrides={"http.port": 0}), exit_after=True) == 0
    return out.getvalue()


def test_it_shows_every_exchange_in_a_line(shown: str) -> None:
    message, handset, advance = "/v2/messages/...ID", "/sandbox/handsets/+1312555010", "/sandbox/clock/advance"
    lines = [(method, re.sub(r"\.\w{6}\b", ".ID", path), status) for method, path, status in EXCHANGE.findall(shown)]
    assert lines == [
        *[("POST", "/v2/messages", "200")] * 3,
        *[("DELETE", message, "200")] * 2,
        ("POST", advance, "200"),
        ("DELETE", message, "403"),
        ("POST", advance, "200"),
        *[("GET", f"{handset}{number}", "200") for number in (1, 2, 3)],
        *[("GET", f"{message}/timeline", "200")] * 3,
        ("POST", "/v2/messages", "200"),
        ("POST", f"{handset}3/messages", "200"),
        ("GET", message, "200"),
        ("POST", "/v2/messages", "409"),
    ]


def test_it_tells_the_two_that_arrived_from_the_one_that_was_cancelled(shown: str) -> None:
    assert len(re.findall(r"your table is ready", shown)) == 2
    assert shown.count("nothing arrived") == shown.count("never left") == shown.count("cancel   cancelled") == 1
    assert len(re.findall(r"left \d+\.\d ms after its time", shown)) == 2


def test_it_is_plain_text_when_nobody_watches(shown: str) -> None:
    assert "\x1b" not in shown
    assert shown.isascii()


def test_it_leaves_nothing_behind(shown: str) -> None:
    assert demo.STOPPED in shown
    (database,) = re.findall(r"^   database +(\S+)", shown, re.MULTILINE)
    assert not Path(database).parent.exists()


def test_it_is_coloured_on_a_terminal() -> None:
    screen = Terminal()
    demo.Paper(screen).step(1, "One")
    assert screen.getvalue() == "\n\x1b[1m1. One\x1b[0m\n\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_it_is_told_to_stop(number: signal.Signals) -> None:
    started = Running()
    assert started.process.poll() is None
    assert started.stop(number) == 0
    assert started.out.endswith(f"{demo.STOPPED}\n")


def test_an_unexpected_answer_ends_it_and_is_shown(tmp_path: Path) -> None:
    paper = StringIO()
    with ServerProcess(f"sqlite:///{tmp_path / 'h.db'}", {"SCHEDULE__MIN_LEAD": "1h"}) as server:
        assert demo.show(server.ready, demo.Paper(paper), tmp_path / "h.db") == 1
    assert "POST /v2/messages was answered with 400" in paper.getvalue()
    assert '"code": "10033"' in paper.getvalue()
    assert "Now yours" not in paper.getvalue()


def test_no_answer_ends_it() -> None:
    paper = StringIO()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    ready = {"base_url": f"http://127.0.0.1:{port}", "api_key": "KEY", "from_number": "+18445550001"}
    assert demo.show(ready, demo.Paper(paper), Path("h.db")) == 1
    assert "GET /sandbox/clock was not answered: ConnectionRefusedError" in paper.getvalue()


def test_the_python_snippet_runs_as_printed(running: Running) -> None:
    assert output_of([sys.executable, "-"], running.snippet("Python")) == "scheduled\ncancelled\n"


def test_the_node_snippet_runs_as_printed(running: Running, node: str) -> None:
    command = [node, "--input-type=module", "-"]
    assert output_of(command, running.snippet("Node.js"), NODE_MODULES) == "scheduled\ncancelled\n"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_snippet_runs_as_printed(running: Running) -> None:
    answer = json.loads(output_of(["sh"], running.snippet("curl")))
    assert answer["data"]["to"][0]["status"] == "scheduled"


def output_of(command: list[str], code: str, folder: Path | None = None) -> str:
    """What a program prints that is given on standard input and must succeed."""
    done = subprocess.run(
        command, input=code, cwd=folder, env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
