"""The command line: parses arguments, and calls what does the work.

Every command takes `--config FILE` and `--database URL`; the settings say the rest. A problem that the operator can
put right is one line on standard error and exit status 1; wrong arguments are exit status 2.

Only the command that is run is imported: the server takes most of a second of a processor to import, and a command
that needs none should not wait for it.
"""

import argparse
import gc
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from heliograph.commands.arguments import Commands, Run, add_command
from heliograph.commands.failure import CommandFailed
from heliograph.settings import Settings, load

_DEMO = "demo"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    given = _parser(_wanted(words)).parse_args(words)
    try:
        return _run(given)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever reads our output, such as `head`, has seen enough. At its end Python would try to write the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except _problems() as problem:
        print(f"heliograph: {_said(problem)}", file=sys.stderr)
        return 1


def _run(given: argparse.Namespace) -> int:
    settings = load(given.config, None, _overrides(given))
    # The library behind it takes longer to import than the whole parser, which `--version` and `--help` go without.
    from heliograph import log

    log.configure(settings.log.level, settings.log.format)
    command: Run = given.run
    status = command(given, settings)
    sys.stdout.flush()
    return status


def _problems() -> tuple[type[Exception], ...]:
    """What the operator can put right. Asked for when something was raised, which has imported most of it already."""
    from heliograph.domain.address import BadAddress
    from heliograph.domain.errors import Refusal
    from heliograph.domain.tables import BadTable
    from heliograph.server import CannotServe
    from heliograph.settings import BadSettings
    from heliograph.store.engine import StoreUnavailable
    from heliograph.store.schema import UnusableSchema

    return BadAddress, BadSettings, BadTable, CannotServe, CommandFailed, Refusal, StoreUnavailable, UnusableSchema


def _said(problem: Exception) -> str:
    from heliograph.domain.errors import Refusal
    from heliograph.store.engine import StoreUnavailable

    if isinstance(problem, Refusal):
        return problem.detail
    if isinstance(problem, StoreUnavailable):
        return f"The database cannot be used: {problem}"
    return str(problem)


def parser() -> argparse.ArgumentParser:
    """Every command and every argument there is."""
    return _parser([*_COMMANDS, _DEMO])


def _parser(commands: Sequence[str]) -> argparse.ArgumentParser:
    """These commands, and those that share a module with them."""
    made = argparse.ArgumentParser("heliograph", description="A self-hosted messaging service.", allow_abbrev=False)
    made.add_argument("--version", action=_Version, nargs=0, help="print the version")
    below = made.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in dict.fromkeys(_COMMANDS[each] for each in commands if each != _DEMO):
        _module(module).declare(below)
    if _DEMO in commands:
        _declare_demo(below)
    return made


def _wanted(words: Sequence[str]) -> Sequence[str]:
    """The command that is named, or none for the version; for help and mistakes all of them."""
    first = words[0] if words else ""
    if first in {*_COMMANDS, _DEMO}:
        return [first]
    return [] if first == "--version" else [*_COMMANDS, _DEMO]


def _module(name: str) -> Any:
    """A module of commands, imported now."""
    # Imports leave no garbage, and looking for it took a sixth of their time. Nor is it to be looked for later.
    gc.disable()
    try:
        return import_module(f"heliograph.commands.{name}")
    finally:
        gc.freeze()
        gc.enable()


def _declare_demo(commands: Commands) -> None:
    demo = add_command(commands, _DEMO, "show on this machine what the service does", _demo)
    demo.add_argument("--port", type=int, help="port to listen on; 0 takes any free one")
    demo.add_argument("--exit", action="store_true", help="end when everything was shown")


_COMMANDS: Mapping[str, str] = {
    "serve": "serve",
    "api": "serve",
    "worker": "serve",
    "migrate": "migrate",
    "organizations": "organizations",
    "keys": "keys",
    "profiles": "profiles",
    "numbers": "numbers",
    "brands": "registry",
    "campaigns": "registry",
    "webhooks": "webhooks",
    "inbound": "inbound",
    "carriers": "carriers",
    "routes": "routes",
    "smsc": "smsc",
    "nodes": "nodes",
    "doctor": "doctor",
}
"""The module of `commands` that declares each command, in the order of the help; the demo is declared here."""


class _Version(argparse.Action):
    """Looked up when it is asked for: that takes longer than all the rest of the parser, its import included."""

    def __call__(self, parser: argparse.ArgumentParser, *_given: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"heliograph {version('heliograph')}")
        except PackageNotFoundError:
            print("heliograph, not installed")
        parser.exit()


def _overrides(given: argparse.Namespace) -> dict[str, object]:
    named = {
        "host": "http.host",
        "port": "http.port",
        "database": "database.url",
        "sandbox_webhook_url": "sandbox.webhook_url",
    }
    values = {setting: getattr(given, name, None) for name, setting in named.items()}
    if getattr(given, "sandbox", False):
        values["sandbox.enabled"] = True
    return {setting: value for setting, value in values.items() if value is not None}


def _demo(given: argparse.Namespace, settings: Settings) -> int:
    if given.database is not None:
        raise CommandFailed("The demo moves the clock, so it has a new database of its own: leave --database out.")
    # No other command needs what this one brings along.
    from heliograph import demo

    return demo.run(settings, exit_after=given.exit)
