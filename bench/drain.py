"""The service's own dispatcher with a carrier that takes everything at once. A process of its own.

What it does is what `heliograph worker` does with a message: claim under a token and a lease, look at the lease, hand
over, record the outcome under the token, log both events, keep what a receipt will need; only the carrier is nobody.
"""

import asyncio
import sys
from collections.abc import Callable

import uvloop

from bench.claim_loop import BATCH
from heliograph.carriers.interface import Abilities, Inbox, Taken
from heliograph.dispatch.dispatcher import Dispatcher
from heliograph.domain.carriers import CarrierState
from heliograph.domain.message import Message
from heliograph.server import open_store
from heliograph.settings import load
from heliograph.wiring import dispatch_options

NAME = "bench"


class Nobody:
    """Takes every message at once; tells when it has taken so many."""

    name = NAME
    abilities = Abilities(repeatable=False, receipts=True, mms=True)
    changed: Callable[[], None] = staticmethod(lambda: None)
    room = 1_000_000
    up = True

    def state(self) -> CarrierState:
        """Always up."""
        return CarrierState(name=NAME, kind=NAME, up=True)

    async def submit(self, message: Message, _until: int) -> Taken:
        """Taken."""
        return Taken((message.id,))

    def hold(self) -> None:
        """Nothing waits here."""

    def resume(self) -> None:
        """Nothing waits here."""

    async def start(self, inbox: Inbox) -> None:
        """There is nothing to connect to."""

    async def stop(self) -> None:
        """There is nothing to end."""


async def _drain(url: str) -> None:
    settings = load(None, {}, {"database.url": url, "dispatch.window": str(BATCH)})
    store = open_store(settings)
    await store.start()
    dispatcher = Dispatcher(store, Nobody(), dispatch_options(settings, NAME))
    await dispatcher.start()
    print("ready", flush=True)
    try:
        await _until_closed()
    finally:
        await dispatcher.stop()
        await store.stop()


async def _until_closed() -> None:
    """Until the parent closes our standard input."""
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(_drain(sys.argv[1]))
