"""An SMSC that does as its script says, on a socket: the part of it that reads, writes and waits.

    socket --> centre: submits are judged --> record, in a thread, all that came meanwhile with one fsync
           <-- centre: answers, receipts <--- written down

No answer to a submit is made before its line is on disk, and what cannot be written down ends the SMSC: `broken` says
why. For demonstrations, for tests of programs that send, and as the witness of our own crash tests.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

from heliograph import randomness
from heliograph.carriers.smpp.pdu import DataSm, DeliverSm
from heliograph.carriers.smpp.smsc_centre import Centre, Line, Plan, Tell
from heliograph.carriers.smpp.smsc_connection import Connection
from heliograph.carriers.smpp.smsc_deliveries import message_of
from heliograph.carriers.smpp.smsc_record import Record, Submit
from heliograph.carriers.smpp.smsc_script import IdForm, Script
from heliograph.carriers.smpp.smsc_session import State
from heliograph.clock import Clock, SystemClock, monotonic
from heliograph.domain.instant import SECOND
from heliograph.service import InContext

SUBMITS_KEPT = 100_000

# 15 hexadecimal digits, of which the first is 8 to f: 18 or 19 decimal ones. Two runs draw the same with no chance.
_LEAST_ID = 1 << 59
_LEAST_UUID = 1 << 127


class CannotRecord(Exception):
    """The evidence cannot be written down; the text says where and why."""


class NobodyReceives(Exception):
    """Nobody has bound to receive yet, so it is not known who is to get the message."""


class Smsc(InContext):
    """An SMSC on a port of its own.

    async with Smsc(Script(throttle_every=10)) as smsc:
        ...                                 # bind to smsc.port and submit
        await smsc.wait_submits(3)
        print(smsc.submits[-1].text)
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        record: Path | None = None,
        tls: ssl.SSLContext | None = None,
        tell: Tell | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`port` 0 takes any free one; `record` is a file for the evidence; `tell` is told of everything, in lines."""
        self.script = script or Script()
        self._host = host
        self._port = port
        self._record_path = record
        self._tls = tls
        self._clock = clock or SystemClock()
        self._centre = Centre(self.script, _first_id(self.script), tell or _nobody)
        self._server: asyncio.Server | None = None
        self._record: Record | None = None
        self._submits: list[Submit] = []
        self._connections: set[Connection] = set()
        self._unwritten: list[Plan] = []
        self._writing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._waiters: set[asyncio.Future[None]] = set()
        self._unanswered: set[asyncio.Future[int]] = set()
        self._reference = randomness.below(1 << 16)
        self.broken: asyncio.Future[CannotRecord]
        """Done once the record could not be written: then nobody is connected any more, and nobody can."""

    # ---- start and stop

    async def start(self) -> None:
        """Listen. Raises `CannotRecord`, and `OSError` when the port cannot be had."""
        loop = asyncio.get_running_loop()
        self.broken = loop.create_future()
        self._record = self._opened_record()
        try:
            self._server = await loop.create_server(lambda: Connection(self), self._host, self._port, ssl=self._tls)
        except OSError:
            self._close_record()
            raise
        self._port = self._server.sockets[0].getsockname()[1]

    def _opened_record(self) -> Record | None:
        try:
            return Record(self._record_path) if self._record_path else None
        except OSError as error:
            raise self._cannot_record(error) from error

    def _cannot_record(self, error: OSError) -> CannotRecord:
        return CannotRecord(f"The record {self._record_path} cannot be written: {error.strerror or error}")

    async def stop(self) -> None:
        """Hang up on everybody. What was read and not written down yet is written down, and not answered.

        Whoever waits for the answer to a message is cancelled.
        """
        if self._server is None:
            return
        self._server.close()
        self.drop_links()
        if self._writing is not None:
            await self._writing
        while self._connections:
            await self._next_change()
        await self._server.wait_closed()
        self._server = None
        for answer in list(self._unanswered):
            answer.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._close_record()

    def _close_record(self) -> None:
        if self._record is not None:
            self._record.close()
            self._record = None

    @property
    def port(self) -> int:
        """Where it listens, from its first start on: it comes back to the same port."""
        if not self._port:
            raise RuntimeError("it was not started")
        return self._port

    # ---- what happened

    @property
    def submits(self) -> Sequence[Submit]:
        """What was read and written down, in that order; of very many the last."""
        return self._submits

    async def wait_submits(self, count: int) -> None:
        """Return once so many submits were written down since the start, refused ones included."""
        await self._until(lambda: self._centre.counts["submits"] >= count)

    async def wait_bound(self, count: int = 1) -> None:
        """Return once so many links are bound at one time; with 0, once nobody is connected."""
        if count == 0:
            await self._until(lambda: not self._connections)
        await self._until(lambda: self.bound >= count)

    async def wait_delivered(self, count: int) -> None:
        """Return once so many receipts and messages were taken since the start."""
        await self._until(lambda: self._centre.counts["delivered"] >= count)

    @property
    def bound(self) -> int:
        """How many links are bound."""
        return sum(each.session.state is State.BOUND for each in self._centre.lines.values())

    def stats(self) -> dict[str, int]:
        """Counts since the start, and what is the case now."""
        centre = self._centre
        names = ("binds", "submits", "taken", "refused", "unanswered", "delivered", "not delivered")
        now = {"connected": len(self._connections), "bound": self.bound, "waiting": centre.waiting}
        return now | {name: centre.counts[name] for name in names}

    # ---- what is done to it

    async def send_mo(
        self,
        source: str,
        destination: str,
        text: str,
        *,
        ucs2: bool = False,
        sar: bool = False,
        system_id: str | None = None,
    ) -> list[int]:
        """Send a message from a handset; what each part is answered with, once all are.

        It goes to a link of `system_id`, else of whoever bound to receive last; if none is there now, when one comes.
        Parts that are refused are sent again. Raises `NobodyReceives`, `TooLong` and `Unencodable`.
        """
        self._reference += 1
        parts = message_of(source, destination, text, self._reference, ucs2=ucs2, sar=sar)
        return list(await asyncio.gather(*[self.send(each, system_id) for each in parts]))

    def send(self, body: DeliverSm | DataSm, system_id: str | None = None) -> asyncio.Future[int]:
        """Send any delivery; the status it is first answered with. As `send_mo` else."""
        whose = self._centre.receiver() if system_id is None else system_id
        if whose is None:
            raise NobodyReceives("nobody has bound to receive yet")
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._unanswered.add(answer)
        answer.add_done_callback(self._unanswered.discard)

        def answered(status: int) -> None:
            if not answer.done():
                answer.set_result(status)

        self._centre.post(whose, body, f"message {body.source_addr} -> {body.destination_addr}", answered)
        self._settle()
        return answer

    def drop_links(self) -> None:
        """Drop all connections at once."""
        for each in list(self._connections):
            self._centre.drop(each.line, "dropped", monotonic())
        self._settle()

    def unbind_links(self) -> None:
        """Ask everybody to go."""
        for each in list(self._connections):
            self._centre.unbind(each.line, monotonic())
        self._settle()

    def silence(self, on: bool) -> None:
        """Let nothing leave from now on, not even answers to enquire_link. What is swallowed never comes."""
        self._centre.judge.silent = on
        self._settle()

    def throttle(self, on: bool) -> None:
        """Refuse each submit as one too many."""
        self._centre.judge.throttles = on

    # ---- between the centre and the sockets

    def connected(self, connection: Connection, peer: str) -> None:
        """A new connection; it is given its line."""
        connection.line = self._centre.connect(peer, monotonic())
        self._connections.add(connection)
        self._settle()

    def received(self, line: Line, data: bytes) -> None:
        """Bytes came."""
        plans = self._centre.receive(line, data, monotonic(), self._clock.now())
        if plans and self._record is not None:
            self._unwritten += plans
            if self._writing is None:
                self._writing = asyncio.get_running_loop().create_task(
                    self._write_all(self._record), name="smsc-record"
                )
        else:
            self._enact(plans)
        self._settle()

    def lost(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        self._centre.drop(connection.line, "the connection is gone", monotonic())
        self._settle()

    async def _write_all(self, record: Record) -> None:
        loop = asyncio.get_running_loop()
        while self._unwritten:
            plans, self._unwritten = self._unwritten, []
            try:
                await loop.run_in_executor(None, record.append, [each.submit for each in plans])
            except OSError as error:
                self._break(error)
                break
            self._enact(plans)
            self._settle()
        self._writing = None

    def _break(self, error: OSError) -> None:
        """What cannot be written down must not be answered, and nothing after it."""
        self._unwritten.clear()
        if not self.broken.done():
            self.broken.set_result(self._cannot_record(error))
        if self._server is not None:
            self._server.close()
        self.drop_links()

    def _enact(self, plans: Sequence[Plan]) -> None:
        now = monotonic()
        for plan in plans:
            self._submits.append(plan.submit)
            self._centre.enact(plan, now)
        if len(self._submits) > 2 * SUBMITS_KEPT:
            del self._submits[:-SUBMITS_KEPT]

    def _settle(self) -> None:
        """See to what is due, write what is to be written, and tell those who wait."""
        self._centre.tick(monotonic())
        self._centre.pump()
        for connection in list(self._connections):
            connection.write(silent=self._centre.judge.silent)
        self._set_timer()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _set_timer(self) -> None:
        """Wake for the next deadline; a timer that is earlier than needed is left to find that out."""
        deadline = self._centre.next_deadline()
        if deadline is None or (self._timer is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        wait = max(0, deadline - monotonic()) / SECOND
        self._timer = asyncio.get_running_loop().call_later(wait, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        self._settle()

    async def _until(self, fact: Callable[[], bool]) -> None:
        while not fact():
            if self.broken.done():
                raise self.broken.result()
            await self._next_change()

    async def _next_change(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)


def _first_id(script: Script) -> int:
    if script.first_id is not None:
        return script.first_id
    least = _LEAST_UUID if script.id_form is IdForm.UUID else _LEAST_ID
    return least + randomness.below(least)


def _nobody(_line: str) -> None:
    """Nobody wants to know."""
