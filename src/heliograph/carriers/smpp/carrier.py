"""A carrier that speaks SMPP 3.4: its binds, what is sent over them, and what comes in.

submit --> sending --> a bind that transmits
binds that receive --deliver_sm, data_sm--> inbound --> inbox
any bind --an answer that nobody waited for any more--> inbox
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from heliograph import randomness
from heliograph.carriers.interface import Abilities, Inbox, LateAnswer, Taken
from heliograph.carriers.smpp.binds import Bind
from heliograph.carriers.smpp.events import Answered, Delivery, Event, Notice, Unexpected, Unusable
from heliograph.carriers.smpp.fields import Unencodable
from heliograph.carriers.smpp.inbound import Inbound, PartBook, receipt_of
from heliograph.carriers.smpp.link import Link, Ticket
from heliograph.carriers.smpp.options import SmppOptions
from heliograph.carriers.smpp.pdu import QuerySm, QuerySmResp, SubmitSmResp
from heliograph.carriers.smpp.receipts import Report, read_state
from heliograph.carriers.smpp.sending import Mark, Sender
from heliograph.carriers.smpp.session import NotBound, TooManyWaiting
from heliograph.carriers.smpp.standing import Tally
from heliograph.carriers.smpp.status import Status
from heliograph.clock import Clock, monotonic
from heliograph.domain.carriers import CarrierState
from heliograph.domain.instant import SECOND, Instant
from heliograph.domain.message import Message
from heliograph.domain.receipt import Receipt
from heliograph.log import get_logger
from heliograph.service import Loop

logger = get_logger("smpp")

LATE_KEPT = 1_000
"""Late answers that wait for a database that is away."""
LONGEST_PAUSE = 30 * SECOND
"""Between two sweeps."""


class SmppCarrier:
    """A `Carrier` over one or several binds."""

    def __init__(self, options: SmppOptions, book: PartBook, clock: Clock) -> None:
        self.name = options.name
        self.abilities = Abilities(
            repeatable=options.repeatable, receipts=options.awaits_receipts, mms=False, settles=True
        )
        self.changed: Callable[[], None] = _nobody
        self._options = options
        self._book = book
        self._clock = clock
        self._tally = Tally(clock)
        self._sender = Sender(options, clock, self._tally, self._links, self.room_changed)
        self._binds = [
            Bind(f"{mode.name.lower()}-{number}", mode, options, clock, self)
            for number in range(1, options.binds + 1)
            for mode in options.modes
        ]
        self._inbox: Inbox | None = None
        self._inbound: Inbound | None = None
        self._late: deque[LateAnswer] = deque(maxlen=LATE_KEPT)
        self._upkeep = _Upkeep(self._look_after, min(options.reassembly_timeout // 4, LONGEST_PAUSE))

    @property
    def room(self) -> int:
        """How many submits would leave at once; a message is one for each of its parts."""
        return self._sender.room

    @property
    def up(self) -> bool:
        """Whether a bind is there that takes messages."""
        return bool(self._links())

    def state(self) -> CarrierState:
        """How it stands, for people."""
        tally, resting_until = self._tally, self._sender.gate.resting_until
        return CarrierState(
            name=self.name,
            kind="smpp",
            up=self.up,
            links=tuple(bind.state() for bind in self._binds),
            resting_until=Instant(self._clock.now() + resting_until - monotonic()) if resting_until else None,
            taken=tally.taken,
            throttled=tally.throttled,
            refused=tally.refused,
            unknown=tally.unknown,
            receipts=tally.receipts,
            inbound=tally.inbound,
            rate=tally.rate,
            last_error=tally.last_error,
            last_error_at=tally.last_error_at,
        )

    def hold(self) -> None:
        """Close the gate: what waits before it comes back, also between two parts of a message."""
        self._sender.gate.close()

    def resume(self) -> None:
        """Open it again."""
        self._sender.gate.open()
        self.room_changed()

    async def start(self, inbox: Inbox) -> None:
        """Begin to connect, and to hand over to `inbox` what is delivered."""
        self._inbox = inbox
        self._inbound = Inbound(self._options, self._book, self._clock, inbox, self._tally)
        self._sender.gate.open()
        for service in (*self._binds, self._upkeep):
            await service.start()

    async def stop(self) -> None:
        """Let nothing more leave, wait for the answers to what is in flight, and unbind."""
        self._sender.gate.close()
        await asyncio.gather(*(bind.stop() for bind in self._binds))
        await self._upkeep.stop()

    async def submit(self, message: Message, until: int) -> Taken:
        """Give a message to the carrier. Raises a `CarrierFailure`.

        It may return up to `response_timeout` after `until`: from then on nothing leaves, but what left before is still
        waited for. Part after part is sent over one bind; `Throttled` is only raised once `until` is reached.
        """
        return Taken(await self._sender.send(message, until))

    async def query(self, message: Message, ids: Sequence[str]) -> Sequence[Receipt]:
        """Ask what became of parts of a message, by the ids that the carrier gave them.

        A receipt for each that has come to an end; none for those of which nothing is learnt, nor while the carrier
        rests, is down, or may not be asked.
        """
        link = max(self._links(), key=lambda link: link.room, default=None)
        if not self._options.query or link is None or self._sender.gate.resting:
            return []
        reports = [await self._ask(link, message, each) for each in ids]
        now = self._clock.now()
        return [
            receipt_of(each, self.name, randomness.new_id(now), now, recipient=message.recipient, sender=message.sender)
            for each in reports
            if each is not None and each.change is not None
        ]

    async def _ask(self, link: Link, message: Message, message_id: str) -> Report | None:
        source = self._options.addressing.of_sender(message.sender)
        try:
            end = await link.submit(QuerySm(message_id, source.ton, source.npi, source.text))
        except (NotBound, TooManyWaiting, Unencodable):
            return None
        if not isinstance(end, Answered) or end.status != Status.ROK or not isinstance(end.body, QuerySmResp):
            return None
        return read_state(
            message_id,
            end.body.message_state,
            final_date=end.body.final_date,
            error_code=end.body.error_code,
            reasons=self._options.reasons,
            zone=self._options.zone,
        )

    # ---- binds.Owner

    async def delivered(self, delivery: Delivery) -> int:
        """Keep what the carrier delivers; what to answer."""
        if self._inbound is None:
            raise RuntimeError("the carrier was not started")
        return await self._inbound.delivered(delivery.body)

    async def noticed(self, event: Event) -> None:
        """Settle what is answered late, and tell of what is odd."""
        match event:
            case Unexpected(pdu, Ticket(_, Mark() as mark)) if isinstance(pdu.body, SubmitSmResp):
                await self._answered_late(mark, pdu.status, pdu.body.message_id)
            case Answered(Ticket(_, Mark() as mark), status, message_id):
                # Whoever submitted it was cancelled meanwhile.
                await self._answered_late(mark, status, message_id)
            case Unusable(reason=reason):
                self.troubled(f"The carrier sent what cannot be used: {reason}.")
                logger.warning("a PDU cannot be used", action="pdu_unusable", carrier=self.name, why=reason)
            case Notice(body):
                logger.info("a notice", action="notice", carrier=self.name, kind=type(body).__name__)
            case _:
                logger.debug("nobody waits for it", action="unexpected", carrier=self.name, kind=type(event).__name__)

    def room_changed(self) -> None:
        """Let go who waits for room, and tell whoever waits for that."""
        self._sender.gate.poke()
        self.changed()

    def troubled(self, why: str) -> None:
        """Show what went wrong."""
        self._tally.troubled(why)

    # ---- late answers, and what is left over

    def _links(self) -> Sequence[Link]:
        return [bind.link for bind in self._binds if bind.sends and bind.link is not None]

    async def _answered_late(self, mark: Mark, status: int, message_id: str) -> None:
        if status != Status.ROK:
            return
        ids = tuple(message_id if number == mark.number else None for number in range(1, mark.total + 1))
        self._late.append(LateAnswer(mark.message_id, self.name, ids))
        await self._settle()

    async def _settle(self) -> None:
        """Hand over late answers; one that cannot be kept waits for the next time."""
        while self._late and self._inbox is not None:
            answer = self._late.popleft()
            try:
                await self._inbox.late(answer)
            except Exception:
                self._late.append(answer)
                raise

    async def _look_after(self) -> None:
        await self._settle()
        if self._inbound is not None:
            await self._inbound.sweep()


class _Upkeep(Loop):
    """Does over and over what waits for nobody."""

    name = "smpp-upkeep"

    def __init__(self, work: Callable[[], Awaitable[None]], pause: int) -> None:
        super().__init__()
        self._work = work
        self._pause = pause

    async def run_pass(self) -> int:
        """Once."""
        await self._work()
        return self._pause


def _nobody() -> None:
    """Nobody waits for more room."""
