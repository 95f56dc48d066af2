"""A session on a socket: the one file of SMPP that reads, writes and waits.

    submit --> session --bytes_to_send--> socket        at most once in a turn of the event loop
    socket --> session --> ends          to whoever awaits their submit
                           deliveries    each to a task of `Handler.delivered`, answered with what that returns
                           the rest      to `Handler.noticed`, one after the other

No rule is here. While the peer takes no bytes nothing is handed out, so that what waits remains known as not sent;
while the session's inbox is full nothing is read. To connect again, and when, is for the caller.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Hashable
from typing import Protocol, cast

from msgspec import Struct

from heliograph.carriers.smpp.events import Answered, Delivery, End, Event, NotSent, Request, Unanswered
from heliograph.carriers.smpp.session import Options, Session, State
from heliograph.carriers.smpp.status import Status
from heliograph.clock import monotonic
from heliograph.domain.instant import SECOND
from heliograph.log import get_logger

logger = get_logger("smpp")

FLUSH_TIME = 5.0
"""Seconds a peer has to take the last bytes."""


class Ticket(Struct, frozen=True):
    """The `key` of a submit in the events of a link."""

    number: int
    mark: Hashable
    """What the caller gave with it."""


class Handler(Protocol):
    """Who is told."""

    async def delivered(self, delivery: Delivery) -> int:
        """Keep a message or receipt; the `Status` to answer with, `ROK` only for what is kept.

        Many may run at once. When it raises, the peer is told to try again later.
        """

    async def noticed(self, event: Event) -> None:
        """Everything else that happened, in order; `Closed` is the last. Also the end of a submit given up by its
        caller."""


async def connect(
    host: str,
    port: int,
    options: Options,
    handler: Handler,
    *,
    timeout: float,  # noqa: ASYNC109  it bounds the connection alone, the rest has deadlines of its own
    tls: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
) -> "Link":
    """Connect and ask to be bound; `handler` hears of `Bound` or `Closed`.

    `timeout` is in seconds, for name, connection and TLS. Raises `OSError`, which `TimeoutError` and `ssl.SSLError`
    are.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout):
        _, link = await loop.create_connection(
            lambda: Link(options, handler), host, port, ssl=tls, server_hostname=server_hostname if tls else None
        )
    return link


class Link(asyncio.Protocol):
    """One connection from its begin to its end."""

    def __init__(self, options: Options, handler: Handler, now: Callable[[], int] = monotonic) -> None:
        self.changed: Callable[[], None] = _nobody
        """Called when `room` or `bound` may be other than before; it must not raise."""
        self._loop = asyncio.get_running_loop()
        self._session = Session(options)
        self._handler = handler
        self._now = now
        self._transport: asyncio.Transport
        self._may_write = True
        self._reads = True
        self._turn: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._ending: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._submits: dict[int, asyncio.Future[End]] = {}
        self._last_key = 0
        self._delivering: set[asyncio.Task[None]] = set()
        self._to_tell: deque[Event] = deque()
        self._telling: asyncio.Task[None] | None = None

    @property
    def room(self) -> int:
        """Submits that would leave at once; 0 while the peer takes no bytes."""
        return self._session.room if self._takes_bytes() else 0

    @property
    def bound(self) -> bool:
        """The bind was accepted, and nobody unbinds yet."""
        return self._session.state is State.BOUND

    @property
    def in_flight(self) -> int:
        """Submits that the peer has not answered yet."""
        return self._session.outstanding

    async def submit(self, request: Request, *, until: int | None = None, mark: Hashable = None) -> End:
        """Send a request, and wait for its end.

        `until` is a moment of the link's clock: from then on none of its bytes is written. `mark` comes back in the
        `Ticket` of every event about it, also of a late answer.

        Raises `NotBound`, `TooManyWaiting` and `Unencodable`, all before anything is sent. When the waiting task is
        cancelled, the request stays where it is, and its end goes to `Handler.noticed`.
        """
        self._last_key += 1
        key = self._last_key
        self._session.submit(Ticket(key, mark), request, self._now(), until)
        future: asyncio.Future[End] = self._loop.create_future()
        self._submits[key] = future
        self._soon()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                # The end and the cancel came in one turn of the loop.
                self._tell(future.result())
            raise
        finally:
            del self._submits[key]

    async def close(self) -> None:
        """Unbind, and return when the connection is closed and the handler has heard of everything."""
        self._did(self._session.unbind(self._now()))
        await self.wait_closed()

    async def abort(self) -> None:
        """Drop the connection at once, and return as `close` does."""
        self._did(self._session.link_lost())
        self._transport.abort()
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Return when the connection is closed, by whomever, and the handler has heard of everything."""
        await asyncio.shield(self._ended)
        # A handler that closes the link does not wait for itself.
        while tasks := {*self._delivering, *([self._telling] if self._telling else [])} - {asyncio.current_task()}:
            await asyncio.wait(tasks)

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask to be bound."""
        self._transport = cast(asyncio.Transport, transport)
        # What the system does not take at once stops the next write: what waits here is known as not sent for longer.
        # Not 0: asyncio's TLS would take an empty buffer for a full one.
        self._transport.set_write_buffer_limits(high=1, low=0)
        self._session.bind(self._now())
        self._soon()

    def data_received(self, data: bytes) -> None:
        """Hand on what came."""
        self._did(self._session.receive(data, self._now()))

    def pause_writing(self) -> None:
        """The peer takes no more bytes at the moment."""
        self._may_write = False

    def resume_writing(self) -> None:
        """It does again."""
        self._may_write = True
        self._soon()
        self.changed()

    def connection_lost(self, exc: Exception | None) -> None:
        """End what has not ended."""
        if exc is not None:
            logger.warning("the connection broke", action="link_broken", error=type(exc).__name__)
        self._did(self._session.link_lost())
        for handle in (self._turn, self._timer, self._ending):
            if handle is not None:
                handle.cancel()
        self._ended.set_result(None)

    # ---- between the session and everybody else

    def _did(self, events: list[Event]) -> None:
        """Pass on what came of a call of the session, and see to what it wants now."""
        for event in events:
            if isinstance(event, Answered | NotSent | Unanswered):
                self._end(event)
            elif isinstance(event, Delivery):
                task = self._loop.create_task(self._deliver(event), name="smpp-delivery")
                self._delivering.add(task)
                task.add_done_callback(self._delivering.discard)
            else:
                self._tell(event)
        if self._session.closed:
            self._end_connection()
        else:
            self._steer_reading()
            self._soon()
        self.changed()

    def _end(self, end: End) -> None:
        future = self._submits.get(cast(Ticket, end.key).number)
        if future is None or future.done():
            self._tell(end)
        else:
            future.set_result(end)

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            status = await self._handler.delivered(delivery)
            events = self._session.answer_deliver(delivery.sequence, status, self._now())
        except Exception:
            logger.exception("a delivery was not kept; the peer has it still", action="delivery_failed")
            events = self._session.answer_deliver(delivery.sequence, Status.RX_T_APPN, self._now())
        self._did(events)

    def _tell(self, event: Event) -> None:
        self._to_tell.append(event)
        if self._telling is None:
            self._telling = self._loop.create_task(self._tell_all(), name="smpp-events")

    async def _tell_all(self) -> None:
        while self._to_tell:
            event = self._to_tell.popleft()
            try:
                await self._handler.noticed(event)
            except Exception:
                logger.exception("an event was not handled", action="event_failed", event_kind=type(event).__name__)
        self._telling = None

    def _steer_reading(self) -> None:
        if self._reads == self._session.inbox_full:
            self._reads = not self._reads
            if self._reads:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _soon(self) -> None:
        """Write what is to be written once this turn of the loop is over: many submits share a write."""
        if self._turn is None and not self._ended.done():
            self._turn = self._loop.call_soon(self._write)

    def _write(self) -> None:
        self._turn = None
        if self._session.closed:
            return
        now = self._now()
        if self._takes_bytes():
            data = self._session.bytes_to_send(now)
            if data:
                self._transport.write(data)
        self._set_timer(now)

    def _takes_bytes(self) -> bool:
        """Whether what is written now is on its way: a transport that is closing drops it without a word."""
        return self._may_write and not self._transport.is_closing()

    def _set_timer(self, now: int) -> None:
        """Wake for the next deadline; a timer that is earlier than needed is left to find that out."""
        deadline = self._session.next_deadline()
        if deadline is None or (self._timer is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_later(max(0, deadline - now) / SECOND, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        self._did(self._session.tick(self._now()))

    def _end_connection(self) -> None:
        if self._ending is not None or self._ended.done():
            return
        self._ending = self._loop.call_later(FLUSH_TIME, self._transport.abort)
        data = self._session.bytes_to_send(self._now())
        if data:
            self._transport.write(data)
        self._transport.close()


def _nobody() -> None:
    """Nobody wants to know."""
