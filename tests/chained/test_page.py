"""docs/carriers.md: its settings can be used, and its commands do what it shows."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from heliograph.settings import clean_environment, load
from tests.ports import free_port

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "carriers.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
KEYS = {f"HELIOGRAPH_CARRIERS__{name}__API_KEY": "KEY_1" for name in ("PROVIDER_1", "SECOND_2")}
_VARYING = re.compile(r"after \d+\.\d{3} s|as [0-9a-f]+$", re.MULTILINE)
_SERVER_LINES = 5


def blocks(language: str) -> list[str]:
    """The blocks of one language, in order."""
    return [code for each, code in BLOCKS if each == language]


class Shell:
    """The page done as it is written, in an empty folder and on free ports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ports = {port: str(free_port()) for port in ("8400", "8401", "2775")}
        # Wherever this runs from, the command need not be installed.
        command = folder / "bin" / "heliograph"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m heliograph "$@"\n')
        command.chmod(0o755)

    def ours(self, code: str) -> str:
        """Code with our ports in it."""
        for theirs, port in self._ports.items():
            code = code.replace(theirs, port)
        return code.replace("heliograph smsc", f"heliograph smsc --port {self._ports['2775']}")

    def keep(self, name: str, content: str) -> None:
        """A file of the page."""
        (self.folder / name).write_text(self.ours(content))

    def prints(self, script: str, **variables: str) -> str:
        """What a script prints, on either stream."""
        process = self._started(script, variables, subprocess.STDOUT)
        printed, _ = process.communicate()
        return printed

    @contextmanager
    def running(self, script: str) -> Iterator["subprocess.Popen[str]"]:
        """A script of which the last command is a server, ended after that."""
        process = self._started(
            re.sub(r"^(heliograph (?:serve|smsc))", r"exec \1", script, flags=re.MULTILINE), {}, None
        )
        try:
            yield process
        finally:
            process.terminate()
            process.communicate()

    def _started(self, script: str, variables: dict[str, str], errors: int | None) -> "subprocess.Popen[str]":
        own = clean_environment()
        path = f"{self.folder / 'bin'}:{own['PATH']}"
        environment = own | {"HELIOGRAPH_HTTP__PORT": self._ports["8400"], "PATH": path, **variables}
        return subprocess.Popen(
            ["sh", "-c", self.ours(script)], cwd=self.folder, env=environment,
            stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Begun anew."""
    return Shell(tmp_path)


@pytest.mark.parametrize("settings", blocks("toml"))
def test_the_settings_can_be_used(settings: str, tmp_path: Path) -> None:
    (tmp_path / "h.toml").write_text(settings)
    carriers = re.findall(r"^\[carriers\.(\S+)\]$", settings, re.MULTILINE)
    environ = {
        name: key for name, key in KEYS.items() if any(each.upper().replace("-", "_") in name for each in carriers)
    }
    assert list(load(tmp_path / "h.toml", environ).carriers) == carriers != []


def test_the_test_messages_end_as_shown(shell: Shell) -> None:
    shell.keep("try.toml", blocks("toml")[0])
    lines = blocks("console")[0].splitlines(keepends=True)
    script = "".join(line.removeprefix("$ ") for line in lines if line.startswith("$ "))
    shown = "".join(line for line in lines if not line.startswith("$ "))
    with shell.running(blocks("sh")[0]) as smsc:
        assert smsc.stdout is not None
        assert smsc.stdout.readline().startswith("listening on ")
        assert _VARYING.sub("", shell.prints(script)) == _VARYING.sub("", shown)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_two_in_a_row_do_what_the_page_says(shell: Shell) -> None:
    second, first, talk = blocks("sh")[1:]
    send, look = re.findall(r"curl (?:.*\\\n)*.*\n", talk)
    with shell.running(second) as server:
        told = read(server, _SERVER_LINES)
        shell.keep("first.toml", re.sub(r'(?<=public_key = ").*(?=")', told["webhook_public_key"], blocks("toml")[-1]))
        setup = first.replace("KEY_...", told["api_key"]).replace(
            "heliograph serve", "echo key: $KEY\nheliograph serve"
        )
        with shell.running(setup) as server:
            assert server.stdout is not None
            key = next(line.partition(": ")[2].strip() for line in server.stdout if line.startswith("key: "))
            assert server.stdout.readline().startswith("base_url: ")
            assert '"queued"' in shell.prints(send, KEY=key)
            while "Your table is ready." not in shell.prints(look):
                pass


def read(server: "subprocess.Popen[str]", lines: int) -> dict[str, str]:
    """What a server says of itself."""
    assert server.stdout is not None
    told = (server.stdout.readline().strip().partition(": ") for _ in range(lines))
    return {name: value for name, _, value in told}
