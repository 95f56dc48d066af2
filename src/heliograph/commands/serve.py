"""`heliograph serve`: the service, until it is told to stop."""

import argparse
import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from heliograph import server
from heliograph.commands.arguments import Commands, add_command
from heliograph.commands.failure import CommandFailed
from heliograph.server import Running
from heliograph.settings import Settings


def declare(commands: Commands) -> None:
    """Add the command."""
    serve = add_command(commands, "serve", "run the service", _serve)
    serve.add_argument("--host", help="address to listen on")
    serve.add_argument("--port", type=int, help="port to listen on; 0 takes any free one")
    serve.add_argument("--sandbox", action="store_true", help="simulated carrier, handsets and test clock")
    webhook_url = "where events of the sandbox's profile are sent"
    serve.add_argument("--webhook-url", dest="sandbox_webhook_url", metavar="URL", help=webhook_url)
    serve.add_argument("--ready-file", type=Path, metavar="PATH", help="written once requests are accepted")


def _serve(given: argparse.Namespace, settings: Settings) -> int:
    if given.sandbox_webhook_url and not settings.sandbox.enabled:
        raise CommandFailed("--webhook-url is for the sandbox's profile: give --sandbox too, or set it on a profile.")
    run_with_uvloop(serve_until_signal(settings, given.ready_file, _say_where))
    return 0


def _say_where(running: Running) -> None:
    for name, value in running.ready().items():
        print(f"{name}: {value}", flush=True)


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
