"""One bind of a carrier, kept for as long as it is wanted.

    connecting -> binding -> bound --lost--> waiting -> connecting ...
         |           +------refused-------> refused ------^
         +--no connection-----------------> waiting ------^

What went wrong is logged once, not at each of the tries that follow; so is that it is over.
"""

import asyncio
import ssl
from dataclasses import dataclass
from typing import Protocol

from heliograph import randomness
from heliograph.carriers.smpp.events import Bound, Closed, Delivery, Event, PeerUnbinding, Reason
from heliograph.carriers.smpp.link import Link, connect
from heliograph.carriers.smpp.options import SmppOptions, Tls
from heliograph.carriers.smpp.session import Mode
from heliograph.carriers.smpp.status import status_name
from heliograph.clock import Clock, monotonic
from heliograph.domain.carriers import LinkState
from heliograph.domain.instant import SECOND
from heliograph.domain.retry import backoff
from heliograph.log import get_logger
from heliograph.service import Loop

logger = get_logger("smpp")


class Owner(Protocol):
    """Whose bind it is."""

    async def delivered(self, delivery: Delivery) -> int:
        """As of `link.Handler`."""

    async def noticed(self, event: Event) -> None:
        """As of `link.Handler`, without what is about the bind itself."""

    def room_changed(self) -> None:
        """There may be more room than before, or none."""

    def troubled(self, why: str) -> None:
        """The bind is not there, and why."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a bind ended."""

    why: str
    refused: bool = False
    """The carrier was there and did not want it."""


class Bind(Loop):
    """Connects, binds, and does so again whenever that ended; one pass is one connection."""

    def __init__(self, name: str, mode: Mode, options: SmppOptions, clock: Clock, owner: Owner) -> None:
        super().__init__()
        self.name = name
        self.mode = mode
        self.link: Link | None = None
        """The connection there is, bound or not."""
        self._options = options
        self._clock = clock
        self._owner = owner
        self._state, self._since = "stopped", clock.now()
        self._connecting: asyncio.Task[Link] | None = None
        self._bound_at: int | None = None
        self._closed = Closed(Reason.LOST)
        self._last: Trouble | None = None
        self._tries = 0

    @property
    def sends(self) -> bool:
        """Messages may be given to it."""
        return self.mode is not Mode.RECEIVER and self.link is not None and self.link.bound

    def state(self) -> LinkState:
        """How it stands, for people."""
        in_flight = self.link.in_flight if self.link else 0
        window = 0 if self.mode is Mode.RECEIVER else self._options.window
        return LinkState(name=self.name, state=self._state, since=self._since, in_flight=in_flight, window=window)

    async def stop(self) -> None:
        """Unbind: what is in flight is finished first, within its time."""
        self._stopping = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self.link is not None:
            self._become("unbinding")
            await self.link.close()
        await super().stop()
        self._become("stopped")

    async def run_pass(self) -> int:
        """One connection from its begin to its end; how long to wait before the next."""
        trouble = await self._live()
        if self._stopping:
            return 0
        self._count(trouble)
        self._become("refused" if trouble.refused else "waiting")
        options = self._options
        base, maximum = options.rebind_base, options.rebind_max
        if trouble.refused:
            base, maximum = options.refused_base, options.refused_max
        return backoff(self._tries, base, maximum, randomness.fraction())

    # ---- link.Handler

    async def delivered(self, delivery: Delivery) -> int:
        """For the owner."""
        return await self._owner.delivered(delivery)

    async def noticed(self, event: Event) -> None:
        """What is about the bind itself; the rest is for the owner."""
        match event:
            case Bound(system_id):
                self._bound_at = monotonic()
                self._become("bound")
                logger.info("bound", action="bound", carrier=self._options.name, bind=self.name, peer=system_id)
            case Closed():
                self._closed = event
            case PeerUnbinding():
                self._become("unbinding")
            case _:
                await self._owner.noticed(event)

    # ---- one connection

    async def _live(self) -> Trouble:
        self._become("connecting")
        self._bound_at = None
        try:
            self._connecting = asyncio.create_task(self._connect(), name=f"{self.name}-connect")
            link = await self._connecting
        except (OSError, ValueError) as error:  # ValueError is of a host that is no name
            return Trouble(f"no connection to {self._options.place}: {str(error) or type(error).__name__}")
        finally:
            self._connecting = None
        self.link = link
        link.changed = self._owner.room_changed
        if not link.bound:
            self._become("binding")
        if self._stopping:
            await link.close()
        await link.wait_closed()
        self.link = None
        self._owner.room_changed()
        return _trouble(self._closed)

    async def _connect(self) -> Link:
        options, tls = self._options, self._options.tls
        return await connect(
            options.host,
            options.port,
            options.session(self.mode),
            self,
            timeout=options.connect_timeout / SECOND,
            tls=await asyncio.to_thread(tls_context, tls) if tls else None,
            server_hostname=(tls.server_name if tls else None) or options.host,
        )

    def _count(self, trouble: Trouble) -> None:
        """How many tries failed like this one; a bind that held for long begins anew."""
        held = self._bound_at is not None and monotonic() - self._bound_at >= self._options.rebind_max
        same_kind = self._last is not None and self._last.refused == trouble.refused
        self._tries = self._tries + 1 if same_kind and not held else 1
        self._owner.troubled(f"{self.name}: {trouble.why}")
        if self._bound_at is not None or trouble != self._last:
            logger.warning(
                "not bound; it is tried again",
                action="bind_refused" if trouble.refused else "not_bound",
                carrier=self._options.name,
                bind=self.name,
                why=trouble.why,
            )
        self._last = trouble

    def _become(self, state: str) -> None:
        if state != self._state:
            self._state, self._since = state, self._clock.now()


def tls_context(tls: Tls) -> ssl.SSLContext:
    """What TLS is made with. Reads files. Raises `OSError`, which `ssl.SSLError` is."""
    context = ssl.create_default_context(cafile=tls.ca_file)
    context.check_hostname = tls.check_hostname
    if tls.certificate is not None:
        # Else a key that is locked with a passphrase would have it asked for at the terminal.
        context.load_cert_chain(tls.certificate, tls.key, password=lambda: "")
    return context


def _trouble(closed: Closed) -> Trouble:
    if closed.reason is Reason.REFUSED:
        return Trouble(f"{closed.reason} with {status_name(closed.status)}", refused=True)
    return Trouble(closed.reason)
