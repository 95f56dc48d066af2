"""The command line: parses arguments, and calls what does the work.

Every command takes `--config FILE` and `--database URL`; the settings say the rest. A problem that the operator can
put right is one line on standard error and exit status 1; wrong arguments are exit status 2.
"""

import argparse
import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from heliograph import log, server
from heliograph.commands import (
    carriers,
    doctor,
    inbound,
    keys,
    numbers,
    organizations,
    profiles,
    routes,
    smsc,
    webhooks,
)
from heliograph.commands.arguments import Commands, Run, add_command
from heliograph.commands.session import CommandFailed
from heliograph.domain.address import BadAddress
from heliograph.domain.errors import Refusal
from heliograph.domain.tables import BadTable
from heliograph.server import CannotServe, Running, open_store
from heliograph.settings import BadSettings, Settings, load
from heliograph.store.engine import StoreUnavailable
from heliograph.store.health import migrated_version, require_answer
from heliograph.store.schema import UnusableSchema, migrate, require_usable
from heliograph.store.tables import SCHEMA_VERSION

PROBLEMS = (
    BadAddress,
    BadSettings,
    BadTable,
    CannotServe,
    CommandFailed,
    Refusal,
    StoreUnavailable,
    UnusableSchema,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    given = parser().parse_args(arguments)
    try:
        return _run(given)
    except PROBLEMS as problem:
        print(f"heliograph: {_said(problem)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever reads our output, such as `head`, has seen enough. At its end Python would try to write the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(given: argparse.Namespace) -> int:
    settings = load(given.config, None, _overrides(given))
    log.configure(settings.log.level, settings.log.format)
    command: Run = given.run
    status = command(given, settings)
    sys.stdout.flush()
    return status


def _said(problem: Exception) -> str:
    if isinstance(problem, Refusal):
        return problem.detail
    if isinstance(problem, StoreUnavailable):
        return f"The database cannot be used: {problem}"
    return str(problem)


def parser() -> argparse.ArgumentParser:
    """Every command and every argument there is."""
    made = argparse.ArgumentParser("heliograph", description="A self-hosted messaging service.", allow_abbrev=False)
    made.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = made.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _declare_serve(commands)
    add_command(commands, "migrate", "bring the database to this version", _migrate)
    for each in (organizations, keys, profiles, numbers, webhooks, inbound, carriers, routes, smsc, doctor):
        each.declare(commands)
    demo = add_command(commands, "demo", "show on this machine what the service does", _demo)
    demo.add_argument("--port", type=int, help="port to listen on; 0 takes any free one")
    demo.add_argument("--exit", action="store_true", help="end when everything was shown")
    return made


def _declare_serve(commands: Commands) -> None:
    serve = add_command(commands, "serve", "run the service", _serve)
    serve.add_argument("--host", help="address to listen on")
    serve.add_argument("--port", type=int, help="port to listen on; 0 takes any free one")
    serve.add_argument("--sandbox", action="store_true", help="simulated carrier, handsets and test clock")
    webhook_url = "where events of the sandbox's profile are sent"
    serve.add_argument("--webhook-url", dest="sandbox_webhook_url", metavar="URL", help=webhook_url)
    serve.add_argument("--ready-file", type=Path, metavar="PATH", help="written once requests are accepted")


class _Version(argparse.Action):
    """Looked up when it is asked for: that takes longer than all the rest of the parser."""

    def __call__(self, parser: argparse.ArgumentParser, *_given: object) -> None:
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


def _serve(given: argparse.Namespace, settings: Settings) -> int:
    if given.sandbox_webhook_url and not settings.sandbox.enabled:
        raise CommandFailed("--webhook-url is for the sandbox's profile: give --sandbox too, or set it on a profile.")
    run_with_uvloop(serve_until_signal(settings, given.ready_file, _say_where))
    return 0


def _say_where(running: Running) -> None:
    for name, value in running.ready().items():
        print(f"{name}: {value}", flush=True)


def _demo(given: argparse.Namespace, settings: Settings) -> int:
    if given.database is not None:
        raise CommandFailed("The demo moves the clock, so it has a new database of its own: leave --database out.")
    # No other command needs what this one brings along.
    from heliograph import demo

    return demo.run(settings, exit_after=given.exit)


def _migrate(_given: argparse.Namespace, settings: Settings) -> int:
    before = asyncio.run(_migrate_from(settings))
    if before is None:
        print("The database was made.")
    elif before < SCHEMA_VERSION:
        print(f"The database was brought from version {before} to {SCHEMA_VERSION}.")
    else:
        print(f"The database is at version {before} already.")
    return 0


async def _migrate_from(settings: Settings) -> int | None:
    """Migrate; the version before, if any. Raises `UnusableSchema` when this program is too old for the database."""
    engine = open_store(settings).engine
    try:
        await require_answer(engine)
        before = await migrated_version(engine)
        await migrate(settings.database.url)
        await require_usable(engine)
        return before
    finally:
        await engine.close()


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
        _settle_memory()
        await stop.wait()


def _settle_memory() -> None:
    """Take what is loaded by now out of the collector's sight, and let it look less often.

    A request makes hundreds of objects and no cycles: at the defaults the collector walks the whole program every
    second, which stops every request for 40 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def run_with_uvloop(main: Coroutine[Any, Any, None]) -> None:
    """On uvloop where there is one; Windows has none."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)
