"""The system's service manager is told that a process works, and that it still does: systemd's `Type=notify`.

What it wants to know is in the environment: a socket, and within how long it wants to hear of us again. A process whose
event loop no longer turns goes silent, and is killed and begun again by whoever listens.
"""

import socket

from heliograph.domain.instant import HOUR, MILLISECOND
from heliograph.log import get_logger
from heliograph.service import InContext, Loop
from heliograph.settings import service_manager

logger = get_logger("supervision")

AGAIN = 100 * MILLISECOND
"""Until a manager is told again that had no room for what it waits for: it gives a process up that is never ready."""


class Supervision(Loop, InContext):
    """Speaks to the service manager from its start to its stop; where there is none, to nobody."""

    name = "supervision"

    def __init__(self) -> None:
        super().__init__()
        self._manager = service_manager()
        self._unsaid = False

    def works(self) -> None:
        """All that the process does has begun."""
        self._unsaid = not self._say("READY=1")
        if self._unsaid:
            self.wake()

    def stops(self) -> None:
        """The process finishes what it has in hand."""
        self._say("STOPPING=1")

    async def run_pass(self) -> int:
        """Say that the event loop turns, twice as often as is wanted."""
        if self._unsaid:
            self._unsaid = not self._say("READY=1")
        if self._manager.patience:
            self._say("WATCHDOG=1")
        turns = self._manager.patience // 2 or HOUR
        return min(turns, AGAIN) if self._unsaid else turns

    def _say(self, word: str) -> bool:
        """Whether it was heard, or nobody listens."""
        if not self._manager.address:
            return True
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as saying:
                saying.setblocking(False)
                saying.sendto(word.encode(), self._manager.address)
        except OSError as error:
            logger.warning("the service manager was not told", action="not_notified", reason=str(error))
            return False
        return True
