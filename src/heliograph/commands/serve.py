"""`heliograph serve`, and its parts `api` and `worker`: the service, until it is told to stop."""

import argparse
import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from heliograph import outgoing, server
from heliograph.commands.arguments import Commands, Run, add_command
from heliograph.commands.failure import CommandFailed
from heliograph.commands.processes import Given, run_processes
from heliograph.commands.supervision import Supervision
from heliograph.domain.nodes import Role
from heliograph.server import Running
from heliograph.settings import Settings

MOST_PROCESSES = 64


def declare(commands: Commands) -> None:
    """Add the commands."""
    serve = add_command(commands, "serve", "run the service: requests, and all that sends", _run_as(Role.SERVE))
    _add_listening(serve)
    _add_sandbox(serve)
    webhook_url = "where events of the sandbox's profile are sent"
    serve.add_argument("--webhook-url", dest="sandbox_webhook_url", metavar="URL", help=webhook_url)
    api = add_command(commands, "api", "take requests only, beside workers that send", _api)
    _add_listening(api)
    _add_sandbox(api)
    processes = "processes that share the address"
    api.add_argument("--processes", type=_process_count, default=1, metavar="N", help=processes)
    api.add_argument("--given", type=Given.read, help=argparse.SUPPRESS)
    worker = add_command(commands, "worker", "send, receive and report, without requests", _run_as(Role.WORKER))
    _add_sandbox(worker)
    health = "port that answers GET /healthz and /readyz, and nothing else; without it there is none"
    worker.add_argument("--health-port", dest="port", type=int, metavar="PORT", help=health)
    for each in (serve, api, worker):
        each.add_argument("--ready-file", type=Path, metavar="PATH", help="written once it works")


def _add_listening(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on; 0 takes any free one")


def _add_sandbox(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sandbox", action="store_true", help="simulated carrier, handsets and test clock")


def _process_count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST_PROCESSES):
        raise argparse.ArgumentTypeError(f"got '{text}', wanted a number from 1 to {MOST_PROCESSES}")
    return int(text)


def _run_as(role: Role) -> Run:
    def run(given: argparse.Namespace, settings: Settings) -> int:
        if getattr(given, "sandbox_webhook_url", None) and not settings.sandbox.enabled:
            raise CommandFailed(
                "--webhook-url is for the sandbox's profile: give --sandbox too, or set it on a profile."
            )
        asked = role is Role.WORKER and given.port is not None
        listening = server.listen(settings) if asked else None
        run_with_uvloop(serve_until_signal(settings, given.ready_file, _say_where, role, listening))
        return 0

    return run


def _api(given: argparse.Namespace, settings: Settings) -> int:
    if given.processes > 1:
        return run_processes(given, settings)
    inherited: Given | None = given.given
    listening = None if inherited is None else server.share(settings, inherited.port)
    parent = None if inherited is None else inherited.parent
    serving = serve_until_signal(settings, given.ready_file, _say_where, Role.API, listening, parent)
    run_with_uvloop(serving)
    return 0


def _say_where(running: Running) -> None:
    for name, value in (running.ready() or {"ready": "yes"}).items():
        print(f"{name}: {value}", flush=True)


async def serve_until_signal(
    settings: Settings,
    ready_file: Path | None,
    announce: Callable[[Running], None],
    role: Role = Role.SERVE,
    listening: socket.socket | None = None,
    parent: int | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, or until the pipe to `parent` ends, then drain and stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    if parent is not None:
        loop.add_reader(parent, stop.set)
    async with Supervision() as supervision, server.running(settings, role, listening) as running:
        if ready_file is not None:
            server.write_ready_file(ready_file, running.ready())
        announce(running)
        _settle_memory()
        supervision.works()
        if role is not Role.API:
            await _load_what_sends()
        await stop.wait()
        supervision.stops()


def _settle_memory() -> None:
    """Take what is loaded by now out of the collector's sight, and let it look less often.

    A request makes hundreds of objects and no cycles: at the defaults the collector walks the whole program every
    second, which stops every request for 40 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


async def _load_what_sends() -> None:
    """Import what calls are made with, beside the requests that are answered already.

    The first webhook would wait for it otherwise.
    """
    await asyncio.to_thread(outgoing.load)
    gc.freeze()


def run_with_uvloop(main: Coroutine[Any, Any, None]) -> None:
    """On uvloop where there is one; Windows has none."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)
