"""The way out: a message in parts, through the gate, over one bind, to what the carrier says of it.

    send --> part --> gate: order, room, rest --> link --> taken          the next part, or done
                       ^                            |----> too much       all rest, and this part goes first again
                       +----------------------------+----> anything else  a failure, with what was taken before it

A part leaves when the one before it was taken, so that a message is never sent past a part that was not.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct

from heliograph.carriers.interface import CarrierFailure, OutcomeUnknown, Refused, TemporarilyRefused, Throttled
from heliograph.carriers.smpp.events import Answered, End, Reason
from heliograph.carriers.smpp.fields import Unencodable
from heliograph.carriers.smpp.link import Link
from heliograph.carriers.smpp.options import SmppOptions
from heliograph.carriers.smpp.outcomes import failure, throttled, unreachable
from heliograph.carriers.smpp.parts import Part, TooLong
from heliograph.carriers.smpp.session import NotBound, TooManyWaiting
from heliograph.carriers.smpp.standing import Tally
from heliograph.carriers.smpp.status import Kind, kind_of
from heliograph.carriers.smpp.submits import Outgoing, ValidityOver, outgoing_of, request
from heliograph.carriers.smpp.throttling import Gate, GateClosed
from heliograph.clock import Clock, monotonic
from heliograph.domain.errors import Code
from heliograph.domain.ids import MessageId
from heliograph.domain.message import Message, MessageType
from heliograph.domain.outcome import delivery_error

NO_BIND = "no bind to the carrier is up"


class Mark(Struct, frozen=True):
    """Which part of which message a submit is: how a late answer is told to be its."""

    message_id: MessageId
    number: int
    total: int


class Sender:
    """Gives messages to one carrier.

    `links` are those that may be sent over now; `opened` is called when more may leave.
    """

    def __init__(
        self,
        options: SmppOptions,
        clock: Clock,
        tally: Tally,
        links: Callable[[], Sequence[Link]],
        opened: Callable[[], None],
    ) -> None:
        self.gate = Gate(options.throttle_base, options.throttle_max, opened, self._free)
        self._options = options
        self._clock = clock
        self._tally = tally
        self._links = links
        self._last_order = 0

    @property
    def room(self) -> int:
        """Submits that would leave at once; a message is one for each of its parts."""
        free = self._free() - self.gate.waiting
        allowance = self.gate.allowance
        return max(0, free if allowance is None else min(free, allowance))

    def _free(self) -> int:
        return sum(link.room for link in self._links())

    async def send(self, message: Message, until: int) -> tuple[str, ...]:
        """The carrier's ids of all parts. Raises a `CarrierFailure`. As of `Carrier.submit`."""
        outgoing = self._outgoing(message)
        taken = taken_before(message, self._options.name, len(outgoing.parts))
        self._last_order += 1
        passage = _Passage(message.id, outgoing, taken, self._last_order, until, self._links)
        try:
            for part in outgoing.parts[len(taken) :]:
                if part.number > 1 and self._options.part_interval:
                    await self.gate.space(self._options.part_interval, until)
                taken.append(await self._take(part, passage))
        except CarrierFailure as why:
            self._count(why)
            raise
        return tuple(taken)

    def _outgoing(self, message: Message) -> Outgoing:
        if message.type is not MessageType.SMS:
            detail = "The carrier takes no MMS."
            raise Refused(delivery_error(Code.UNSUPPORTED_TYPE, detail))
        try:
            return outgoing_of(message, self._options)
        except TooLong as error:
            raise Refused(delivery_error(Code.TOO_LARGE, f"It is too long for the carrier: {error}.")) from error
        except ValueError as error:
            raise Refused(delivery_error(Code.INVALID_BODY, f"It cannot be written: {error}")) from error

    async def _take(self, part: Part, passage: "_Passage") -> str:
        """Send one part until the carrier says something of it other than that it is too much."""
        refused_already = False
        while True:
            try:
                await self.gate.turn(passage.order, passage.until, passage.ready)
            except TimeoutError:
                resting = refused_already or self.gate.resting
                raise passage.too_much() if resting else passage.not_sent(Reason.NO_ROOM) from None
            except GateClosed:
                raise passage.not_sent("the carrier is being stopped") from None
            end = await self._submit(part, passage)
            if not isinstance(end, Answered):
                raise failure(end, passage.taken, passage.total)
            match kind_of(end.status):
                case Kind.OK:
                    self._tally.took()
                    return end.message_id
                case Kind.THROTTLED:
                    self._tally.throttled += 1
                    refused_already = True
                case _:
                    raise failure(end, passage.taken, passage.total)

    async def _submit(self, part: Part, passage: "_Passage") -> End:
        """One submit, from the gate to its end; the gate hears of it in any case."""
        sent_at = monotonic()
        throttled_now: bool | None = None
        try:
            pdu = request(passage.outgoing, part, self._options, self._clock.now(), self._clock.offset)
            mark = Mark(passage.message_id, part.number, passage.total)
            end = await passage.link().submit(pdu, until=passage.until, mark=mark)
        except (NotBound, TooManyWaiting) as why:
            raise passage.not_sent(str(why)) from None
        except ValidityOver:
            raise passage.not_sent("its validity is over") from None
        except Unencodable as error:
            detail = f"It cannot be written: {error}."
            raise Refused(delivery_error(Code.INVALID_BODY, detail), passage.taken, passage.total) from error
        else:
            if isinstance(end, Answered):
                throttled_now = kind_of(end.status) is Kind.THROTTLED
            return end
        finally:
            self.gate.ended(passage.order, sent_at, throttled_now)

    def _count(self, why: CarrierFailure) -> None:
        if isinstance(why, OutcomeUnknown):
            self._tally.unknown += 1
        elif isinstance(why, Refused | TemporarilyRefused):
            self._tally.refused += 1
        self._tally.troubled(why.error.detail)


class _Passage:
    """One message on its way through, and the bind that it takes."""

    def __init__(
        self,
        message_id: MessageId,
        outgoing: Outgoing,
        taken: Sequence[str],
        order: int,
        until: int,
        links: Callable[[], Sequence[Link]],
    ) -> None:
        self.message_id = message_id
        self.outgoing = outgoing
        self.taken = taken
        self.order = order
        self.until = until
        self.total = len(outgoing.parts)
        self._links = links
        self._link: Link | None = None

    def ready(self) -> bool:
        """Whether there is room for it; with no bind at all it need not wait to learn that."""
        link = self._link or self._roomiest()
        return link is None or not link.bound or link.room > 0

    def link(self) -> Link:
        """The bind for all its parts: that with the most room when the first leaves. Raises `NotBound`."""
        self._link = self._link or self._roomiest()
        if self._link is None:
            raise NotBound(NO_BIND)
        return self._link

    def _roomiest(self) -> Link | None:
        return max(self._links(), key=lambda link: link.room, default=None)

    def not_sent(self, why: str) -> CarrierFailure:
        """The next part did not leave."""
        return unreachable(why, self.taken, self.total)

    def too_much(self) -> Throttled:
        """The next part was too much."""
        return throttled(self.taken, self.total)


def taken_before(message: Message, carrier: str, total: int) -> list[str]:
    """Ids of the parts that the carrier has already.

    Raises `OutcomeUnknown` where nobody knows of one of them, and `Refused` where the message was begun in other parts
    than it would be sent in now.
    """
    progress = message.progress
    if progress is None or progress.carrier != carrier or not progress.ids:
        return []
    known = [each for each in progress.ids if each is not None]
    if len(known) < len(progress.ids):
        detail = "Of some of its parts nobody knows whether the carrier has them."
        raise OutcomeUnknown(delivery_error(Code.OUTCOME_UNKNOWN, detail), progress.ids, progress.total)
    if progress.total != total:
        detail = f"It was begun in {progress.total} parts, and the carrier is to be given {total} now."
        raise Refused(delivery_error(Code.UNDELIVERABLE, detail), progress.ids, progress.total)
    return known
