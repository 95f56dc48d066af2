"""A process says that it is there, for as long as it is."""

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata

from heliograph.domain.instant import SECOND
from heliograph.domain.nodes import BEAT, Node, Role
from heliograph.log import get_logger
from heliograph.service import Loop
from heliograph.store.engine import StoreUnavailable
from heliograph.store.store import Store

logger = get_logger("presence")


def this_process(node_id: str, role: Role, carriers: tuple[str, ...]) -> Node:
    """Who we are."""
    return Node(node_id, role, socket.gethostname(), os.getpid(), metadata.version("heliograph"), carriers)


class Presence(Loop):
    """Tells at the start, then every `BEAT`, and takes it back at the end."""

    name = "presence"

    def __init__(self, store: Store, node: Node, in_hand: Callable[[], int]) -> None:
        super().__init__()
        self._store = store
        self._node = node
        self._in_hand = in_hand

    async def start(self) -> None:
        """Return once the others can know of it."""
        await self._store.nodes.tell(self._node)
        await super().start()

    async def stop(self) -> None:
        """Nobody needs to wait for us any more."""
        running = self._task is not None
        await super().stop()
        if not running:
            return
        try:
            await self._store.nodes.forget(self._node.id)
        except StoreUnavailable as error:
            logger.warning("this process is not signed off", action="not_forgotten", reason=str(error))

    async def run_pass(self) -> int:
        """Say so once more; after a failure soon again."""
        try:
            await self._store.nodes.tell(replace(self._node, in_hand=self._in_hand()))
        except StoreUnavailable as error:
            logger.warning("nobody was told that we are here", action="not_told", reason=str(error))
            return SECOND
        return BEAT
