"""The command line: parses arguments, and calls what does the work.

Every command takes `--config FILE` and `--database URL`; the settings say the rest. A problem that the operator can
put right is one line on standard error and exit status 1; wrong arguments are exit status 2.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from heliograph import log, server
from heliograph.domain.tables import BadTable
from heliograph.server import CannotServe, Running
from heliograph.settings import BadSettings, Settings, load
from heliograph.store.engine import StoreUnavailable
from heliograph.store.schema import UnusableSchema, migrate

Problem = BadSettings | BadTable | CannotServe | StoreUnavailable | UnusableSchema
PROBLEMS = (BadSettings, BadTable, CannotServe, StoreUnavailable, UnusableSchema)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    given = _parser().parse_args(arguments)
    try:
        settings = load(given.config, None, _overrides(given))
        log.configure(settings.log.level, settings.log.format)
        command: Callable[[argparse.Namespace, Settings], int] = given.run
        return command(given, settings)
    except PROBLEMS as problem:
        print(f"heliograph: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="heliograph", description="A self-hosted messaging service.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    serve = _command(commands, "serve", "run the service", _serve)
    serve.add_argument("--host", help="address to listen on")
    serve.add_argument("--port", type=int, help="port to listen on; 0 takes any free one")
    serve.add_argument("--sandbox", action="store_true", help="simulated carrier, handsets and test clock")
    serve.add_argument("--ready-file", type=Path, metavar="PATH", help="written once requests are accepted")
    _command(commands, "migrate", "bring the database to this version", _migrate)
    return parser


def _command(
    commands: Any, name: str, text: str, run: Callable[[argparse.Namespace, Settings], int]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML")
    parser.add_argument("--database", metavar="URL", help="sqlite:///FILE or postgresql://USER@HOST/NAME")
    parser.set_defaults(run=run)
    return parser


def _overrides(given: argparse.Namespace) -> dict[str, object]:
    named = {"host": "http.host", "port": "http.port", "database": "database.url"}
    values = {setting: getattr(given, name, None) for name, setting in named.items()}
    if getattr(given, "sandbox", False):
        values["sandbox.enabled"] = True
    return {setting: value for setting, value in values.items() if value is not None}


def _serve(given: argparse.Namespace, settings: Settings) -> int:
    run_with_uvloop(serve_until_signal(settings, given.ready_file, _say_where))
    return 0


def _say_where(running: Running) -> None:
    for name, value in running.ready().items():
        print(f"{name}: {value}", flush=True)


def _migrate(_given: argparse.Namespace, settings: Settings) -> int:
    asyncio.run(migrate(settings.database.url))
    print("The database is at this version.")
    return 0


async def serve_until_signal(settings: Settings, ready_file: Path | None, announce: Callable[[Running], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain and stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    async with server.running(settings) as running:
        if ready_file is not None:
            server.write_ready_file(ready_file, running)
        announce(running)
        await stop.wait()


def run_with_uvloop(main: Coroutine[Any, Any, None]) -> None:
    """On uvloop where there is one; Windows has none."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)
