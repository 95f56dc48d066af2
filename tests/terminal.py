"""The command line as somebody at a terminal has it, in this process."""

import json
from typing import Any, NamedTuple

import pytest

from heliograph.cli import main


class Ran(NamedTuple):
    """How a command ended, and what it wrote."""

    status: int
    out: str
    err: str


class Terminal:
    """Runs commands on one database."""

    def __init__(self, database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.database_url = database_url
        self._capsys = capsys
        # The settings refuse a variable that is no setting, as this one of the tests is.
        monkeypatch.delenv("HELIOGRAPH_TEST_POSTGRES", raising=False)
        monkeypatch.delenv("HELIOGRAPH_CONFIG", raising=False)

    def run(self, *arguments: str) -> Ran:
        """Run a command with `--database` at its end."""
        self._capsys.readouterr()
        try:
            status = main([*arguments, "--database", self.database_url])
        except SystemExit as ended:
            status = int(ended.code or 0)
        return Ran(status, *self._capsys.readouterr())

    def ok(self, *arguments: str) -> str:
        """What a command that must succeed wrote, without the end of its last line."""
        ran = self.run(*arguments)
        assert ran.status == 0, ran.err
        return ran.out.removesuffix("\n")

    def json(self, *arguments: str) -> Any:
        """The document that a command with `--json` wrote."""
        return json.loads(self.ok(*arguments, "--json"))

    def refused(self, *arguments: str) -> str:
        """The one line that a command which must fail wrote on standard error; on standard output it wrote nothing."""
        ran = self.run(*arguments)
        assert (ran.status, ran.out) == (1, "")
        start, line, end = ran.err.partition("heliograph: ")[0], *ran.err.removeprefix("heliograph: ").split("\n")
        assert (start, end) == ("", "")
        return line

    def misused(self, *arguments: str) -> str:
        """What is said of arguments that must be wrong."""
        ran = self.run(*arguments)
        assert (ran.status, ran.out) == (2, "")
        return ran.err.splitlines()[-1].partition("error: ")[2]

    def organization(self, name: str = "Acme") -> str:
        """The id of a new organisation."""
        return self.ok("organizations", "create", name)

    def profile(self, *options: str) -> str:
        """The id of a new messaging profile."""
        return self.ok("profiles", "create", "Main", *options)
