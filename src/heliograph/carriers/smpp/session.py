"""One SMPP link as its client (ESME) sees it, without the link: bytes in, events and bytes out, deadlines as values.

    bind -> OPEN --> BINDING --> BOUND --> UNBINDING --> CLOSED
                        |          |           |            ^
                        +----------+-----------+------------+   refused, silent, lost, not SMPP

    submit -> waiting --bytes_to_send--> in flight --> Answered     what the peer says of it
                 |                           |
                 +--> NotSent                +-------> Unanswered   it may have it: nobody knows

Whoever holds one calls `bytes_to_send` after every other call and writes what it gives, calls `tick` when
`next_deadline` is reached, and reads no bytes while `inbox_full`. A request that is waiting has no byte outside; one
that `bytes_to_send` handed out counts as sent, whatever became of the bytes. Each ends in exactly one of the three
events. A delivery is answered when the caller says so and never before: it must be kept first.

`now` is microseconds on any clock that never steps. A session serves one connection. Sections (S.) are those of the
SMPP Protocol Specification v3.4, issue 1.2; the states are those of S. 2.2, BOUND standing for all three.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from msgspec import Struct

from heliograph.carriers.smpp.events import (
    Answered,
    Bound,
    Closed,
    Delivered,
    Delivery,
    Event,
    Key,
    Notice,
    NotSent,
    PeerUnbinding,
    Reason,
    Request,
    Unanswered,
    Unexpected,
    Unusable,
)
from heliograph.carriers.smpp.pdu import (
    BODIES,
    MAX_SEQUENCE,
    AlertNotification,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    Body,
    DataSm,
    Decoder,
    DeliverSm,
    EnquireLink,
    Found,
    FramingError,
    GenericNack,
    Malformed,
    Outbind,
    Pdu,
    Tag,
    Unbind,
    UnbindResp,
    command_id,
    encode,
    encode_body,
    find_number,
    is_response,
    response_to,
    with_header,
)
from heliograph.carriers.smpp.status import Status
from heliograph.domain.instant import MINUTE, SECOND

LATE_KEPT = 1_000
"""Unanswered requests that are remembered, so that a late answer can be told whose it is."""


class State(Enum):
    """Where a session is."""

    OPEN = "open"
    BINDING = "binding"
    BOUND = "bound"
    UNBINDING = "unbinding"
    CLOSED = "closed"


_NEXT: Mapping[State, frozenset[State]] = {
    State.OPEN: frozenset({State.BINDING, State.UNBINDING, State.CLOSED}),
    State.BINDING: frozenset({State.BOUND, State.UNBINDING, State.CLOSED}),
    State.BOUND: frozenset({State.UNBINDING, State.CLOSED}),
    State.UNBINDING: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
}


class Mode(Enum):
    """What a bind is for (S. 2.1)."""

    TRANSMITTER = BindTransmitter
    RECEIVER = BindReceiver
    TRANSCEIVER = BindTransceiver


@dataclass(frozen=True, slots=True)
class Options:
    """How to bind, and bounds. Times in microseconds.

    Raises `ValueError` for a bound that is not positive, and `Unencodable`, which is one, for what fits no bind.
    """

    system_id: str
    password: str = field(repr=False)
    mode: Mode = Mode.TRANSCEIVER
    system_type: str = ""
    interface_version: int = 0x34
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""
    window: int = 10
    """Requests that may be unanswered at once; S. 2.9 suggests no more than ten."""
    waiting_limit: int = 1_000
    """Requests that may wait for room in the window."""
    inbox_limit: int = 1_000
    """Deliveries that may be unanswered before reading is to stop."""
    bind_timeout: int = 30 * SECOND
    response_timeout: int = 30 * SECOND
    """For an answer, and for room in the window before that unless the request says less."""
    enquire_interval: int = 30 * SECOND
    """Silence of the peer after which it is asked whether it is there; it is asked sooner when it owes an answer."""
    unbind_timeout: int = 1 * MINUTE
    """For all that is in hand when unbinding begins."""

    def __post_init__(self) -> None:
        for name in ("window", "waiting_limit", "inbox_limit", *_TIMES):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be more than 0")
        encode_body(self.bind())

    def bind(self) -> Body:
        """The request to be bound."""
        body: Body = self.mode.value(
            self.system_id,
            self.password,
            self.system_type,
            self.interface_version,
            self.addr_ton,
            self.addr_npi,
            self.address_range,
        )
        return body


_TIMES = ("bind_timeout", "response_timeout", "enquire_interval", "unbind_timeout")


class NotBound(Exception):
    """The session is in no state for that."""


class TooManyWaiting(Exception):
    """`waiting_limit` requests wait already."""


# ------------------------------------------------------------------------------------------------------------- session


class _Waiting(Struct, frozen=True):
    key: Key
    request: type[Body]
    encoded: bytes
    deadline: int


class _InFlight(Struct, frozen=True):
    key: Key
    response: type[Body]
    deadline: int


class Session:
    """A link from its bind to its end."""

    def __init__(self, options: Options, first_sequence: int = 1) -> None:
        self.options = options
        self.state = State.OPEN
        self._decoder = Decoder()
        self._sequence = first_sequence - 1
        self._out: list[bytes] = []
        self._waiting: deque[_Waiting] = deque()
        # No deadline of a waiting request is before it; looking for the exact one each time would cost a pass each.
        self._waiting_until = 0
        # All time out after the same time, so the first is the next that does.
        self._in_flight: dict[int, _InFlight] = {}
        self._late: OrderedDict[int, _InFlight] = OrderedDict()
        # Deliveries by sequence number; a peer that uses one twice is owed two answers.
        self._inbox: dict[int, list[type[Body]]] = {}
        self._inbox_count = 0
        self._control: dict[int, type[Body]] = {}
        self._state_deadline: int | None = None
        self._heard_at = 0
        self._enquired_at: int | None = None
        # It has said nothing since a request left whose answer did not come.
        self._owes = False
        self._peer_unbound = False

    @property
    def room(self) -> int:
        """Requests that would leave at once if they were given now: none while we ask whether the peer is there."""
        if self.state is not State.BOUND or self._enquired_at is not None:
            return 0
        return max(0, self.options.window - len(self._in_flight) - len(self._waiting))

    @property
    def closed(self) -> bool:
        """There was a `Closed`."""
        return self.state is State.CLOSED

    @property
    def outstanding(self) -> int:
        """Requests in flight."""
        return len(self._in_flight)

    @property
    def inbox_full(self) -> bool:
        """So many deliveries are unanswered that no more should be read."""
        return self._inbox_count >= self.options.inbox_limit

    # ---- what the caller does

    def bind(self, now: int) -> None:
        """Ask to be bound. Raises `NotBound` when that was done before."""
        if self.state is not State.OPEN:
            raise NotBound(f"the session is {self.state.value}")
        self._become(State.BINDING, now + self.options.bind_timeout)
        self._ask(self.options.bind())

    def submit(self, key: Key, request: Request, now: int, until: int | None = None) -> None:
        """Send a request as soon as the window has room; `key` is given back with its end.

        From `until` on no byte of the request is handed out any more.

        Raises `Unencodable`, `TooManyWaiting`, and `NotBound` unless the session is bound to transmit; then there is
        no end to wait for.
        """
        if self.state is not State.BOUND:
            raise NotBound(f"the session is {self.state.value}")
        if self.options.mode is Mode.RECEIVER:
            raise NotBound("the session is bound to receive only (S. 2.3)")
        free = max(0, self.options.window - len(self._in_flight))
        if len(self._waiting) >= self.options.waiting_limit + free:
            raise TooManyWaiting(f"{len(self._waiting) - free} requests wait for room in the window")
        encoded = encode_body(request)
        deadline = now + self.options.response_timeout
        if until is not None:
            deadline = min(deadline, until)
        self._waiting_until = min(self._waiting_until, deadline) if self._waiting else deadline
        self._waiting.append(_Waiting(key, type(request), encoded, deadline))

    def answer_deliver(self, sequence: int, status: int, now: int) -> list[Event]:
        """Answer a delivery: `Status.ROK` once it is kept, else why it is not taken.

        When the session is over, nothing happens: the peer gives it again. Raises `KeyError` where none is unanswered
        with that number, and `Unencodable` for a status of more than four bytes; then it is still to be answered.
        """
        if self.closed:
            return []
        owed = self._inbox[sequence]
        answer = encode(response_to(owed[0])(), sequence, status)
        if self.inbox_full:
            # What the peer sent meanwhile was not read: its silence begins now.
            self._heard(now)
        owed.pop(0)
        self._inbox_count -= 1
        if not owed:
            del self._inbox[sequence]
        self._out.append(answer)
        return self._unbind_when_done(now)

    def unbind(self, now: int) -> list[Event]:
        """Begin to end: what waits is not sent, what is in flight or unanswered is finished first, within its time."""
        match self.state:
            case State.OPEN | State.BINDING:
                return self._close(Reason.UNBOUND, flush=False)
            case State.BOUND:
                self._become(State.UNBINDING, now + self.options.unbind_timeout)
                return [*self._drop_waiting(Reason.UNBOUND), *self._unbind_when_done(now)]
            case _:
                return []

    def link_lost(self) -> list[Event]:
        """The connection is gone, or is to go at once."""
        return self._close(Reason.LOST, flush=False)

    # ---- what goes out

    def bytes_to_send(self, now: int) -> bytes:
        """What is to be written now, each byte once; what was handed out is taken as sent.

        A request whose time is over stops those behind it, until `tick` takes it away. A peer that is asked whether it
        is there is given nothing more until it says something: nobody would know whether it took it.
        """
        out, self._out = self._out, []
        if self._enquired_at is not None:
            return b"".join(out)
        waiting, in_flight, options = self._waiting, self._in_flight, self.options
        while waiting and len(in_flight) < options.window and waiting[0].deadline > now:
            next_one = waiting.popleft()
            sequence = self._next_sequence()
            out.append(with_header(next_one.request, next_one.encoded, sequence))
            deadline = now + options.response_timeout
            in_flight[sequence] = _InFlight(next_one.key, response_to(next_one.request), deadline)
        return b"".join(out)

    def _next_sequence(self) -> int:
        """1 to 0x7FFFFFFF and from the start again (S. 5.1.4), leaving out what is in use."""
        while True:
            self._sequence = self._sequence % MAX_SEQUENCE + 1
            if self._sequence not in self._in_flight and self._sequence not in self._control:
                self._late.pop(self._sequence, None)
                return self._sequence

    def _ask(self, body: Body) -> None:
        sequence = self._next_sequence()
        self._control[sequence] = type(body)
        self._out.append(encode(body, sequence))

    # ---- time

    def next_deadline(self) -> int | None:
        """When to call `tick` unless something else happens before."""
        candidates = [self._state_deadline, self._liveness_deadline()]
        if self._waiting:
            candidates.append(self._waiting_until)
        if self._in_flight:
            candidates.append(self._first_in_flight()[1].deadline)
        return min((each for each in candidates if each is not None), default=None)

    def tick(self, now: int) -> list[Event]:
        """What the time brings."""
        events: list[Event] = []
        if self._waiting and self._waiting_until <= now:
            events += self._drop_overdue(now)
        while self._in_flight and self._first_in_flight()[1].deadline <= now:
            events.append(self._give_up(self._first_in_flight()[0]))
        if self._state_deadline is not None and self._state_deadline <= now:
            return events + self._state_timed_out(now)
        events += self._unbind_when_done(now)
        liveness = self._liveness_deadline()
        if liveness is None or liveness > now:
            return events
        if self._enquired_at is not None:
            return events + self._close(Reason.DEAD, flush=False)
        self._enquired_at = now
        self._ask(EnquireLink())
        return events

    def _first_in_flight(self) -> tuple[int, _InFlight]:
        return next(iter(self._in_flight.items()))

    def _give_up(self, sequence: int) -> Unanswered:
        request = self._late[sequence] = self._in_flight.pop(sequence)
        self._owes = self._owes or self._heard_at <= request.deadline - self.options.response_timeout
        if len(self._late) > LATE_KEPT:
            self._late.popitem(last=False)
        return Unanswered(request.key, Reason.NO_ANSWER)

    def _liveness_deadline(self) -> int | None:
        # With a full inbox nothing is read, so silence says nothing; leaving has a deadline of its own.
        if self.state is not State.BOUND or self.inbox_full:
            return None
        if self._enquired_at is not None:
            return self._enquired_at + self.options.response_timeout
        return self._heard_at + (0 if self._owes else self.options.enquire_interval)

    def _state_timed_out(self, now: int) -> list[Event]:
        if self.state is State.BINDING:
            return self._close(Reason.SILENT_BIND, flush=False)
        if self._peer_unbound:
            return self._close(Reason.PEER_UNBOUND)
        if Unbind in self._control.values():
            return self._close(Reason.SILENT_UNBIND, flush=False)
        return self._say_unbind(now)

    # ---- what comes in

    def receive(self, data: bytes, now: int) -> list[Event]:
        """What bytes from the peer bring; after the end, nothing."""
        events: list[Event] = []
        for found in self._decoder.feed(data) if not self.closed else ():
            if not self.closed:
                events += self._take(found, now)
        return events

    def _take(self, found: Found, now: int) -> list[Event]:
        if isinstance(found, FramingError):
            self._out.append(encode(GenericNack(), 0, found.answer))
            return [Unusable(0, 0, found.answer, found.reason), *self._close(Reason.NOT_SMPP)]
        self._heard(now)
        if isinstance(found, Malformed):
            return self._take_malformed(found, now)
        if is_response(command_id(type(found.body))):
            return self._take_response(found, now)
        return self._take_request(found, now)

    def _heard(self, now: int) -> None:
        """Whatever the peer says, it is there: also an answer to something else than our enquire_link."""
        self._heard_at = now
        self._enquired_at = None
        self._owes = False

    def _take_malformed(self, found: Malformed, now: int) -> list[Event]:
        unusable = Unusable(found.sequence, found.command, found.answer, found.reason)
        body = BODIES.get(found.command)
        if not is_response(found.command):
            response = response_to(body) if body else GenericNack
            if body is not AlertNotification and body is not Outbind:
                self._out.append(encode(response(), found.sequence, found.answer))
            return [unusable]
        if body is None:
            return [unusable]
        # Its header can be read, and says what became of the request; only the rest of the answer is missing.
        return [unusable, *self._take_response(Pdu(found.sequence, found.status, body()), now)]

    def _take_request(self, pdu: Pdu, now: int) -> list[Event]:
        match pdu.body:
            case DeliverSm() | DataSm() as body:
                return self._take_delivery(pdu.sequence, body)
            case EnquireLink() as body:
                self._out.append(encode(response_to(type(body))(), pdu.sequence))
                return []
            case Unbind():
                return self._take_unbind(pdu.sequence, now)
            case AlertNotification() | Outbind() as body:
                return [Notice(body)]
            case body:
                # S. 2.3: the other requests are ours to make.
                command, answer = command_id(type(body)), Status.RINVCMDID
                self._out.append(encode(GenericNack(), pdu.sequence, answer))
                return [Unusable(pdu.sequence, command, answer, "a request that only a client makes")]

    def _take_delivery(self, sequence: int, body: Delivered) -> list[Event]:
        # One before the answer to our bind is taken too: a peer may write both from two threads.
        if self.state not in (State.BINDING, State.BOUND):
            answer = Status.RINVBNDSTS
            self._out.append(encode(response_to(type(body))(), sequence, answer))
            return [Unusable(sequence, command_id(type(body)), answer, f"the session is {self.state.value}")]
        self._inbox.setdefault(sequence, []).append(type(body))
        self._inbox_count += 1
        return [Delivery(sequence, body)]

    def _take_unbind(self, sequence: int, now: int) -> list[Event]:
        self._out.append(encode(UnbindResp(), sequence))
        if self._peer_unbound:
            return []
        self._peer_unbound = True
        if self.state is not State.UNBINDING:
            self._become(State.UNBINDING, now + self.options.response_timeout)
        events: list[Event] = [PeerUnbinding(), *self._drop_waiting(Reason.PEER_UNBOUND)]
        return events + self._unbind_when_done(now)

    def _take_response(self, pdu: Pdu, now: int) -> list[Event]:
        request = self._in_flight.get(pdu.sequence)
        if request is not None and isinstance(pdu.body, (request.response, GenericNack)):
            del self._in_flight[pdu.sequence]
            return [self._answered(request, pdu), *self._unbind_when_done(now)]
        asked = self._control.get(pdu.sequence)
        if asked is not None and isinstance(pdu.body, (response_to(asked), GenericNack)):
            del self._control[pdu.sequence]
            return self._take_control(asked, pdu)
        late = self._late.get(pdu.sequence)
        if late is not None and isinstance(pdu.body, (late.response, GenericNack)):
            del self._late[pdu.sequence]
            return [Unexpected(pdu, late.key)]
        return [Unexpected(pdu, None)]

    def _answered(self, request: _InFlight, pdu: Pdu) -> Answered:
        return Answered(request.key, _status(pdu), getattr(pdu.body, "message_id", ""), pdu.body)

    def _take_control(self, asked: type[Body], pdu: Pdu) -> list[Event]:
        """An answer to what the session asked on its own account; that to an enquire_link was `_heard` already."""
        if asked is Unbind:
            return self._close(Reason.UNBOUND)
        if asked is EnquireLink or self.state is not State.BINDING:
            return []
        status = _status(pdu)
        if status != Status.ROK:
            return self._close(Reason.REFUSED, status)
        self._become(State.BOUND, None)
        version = find_number(pdu.body.tlvs, Tag.SC_INTERFACE_VERSION)
        return [Bound(getattr(pdu.body, "system_id", ""), version)]

    # ---- the end

    def _become(self, state: State, deadline: int | None) -> None:
        if state not in _NEXT[self.state]:
            raise NotBound(f"from {self.state.value} there is no way to {state.value}")
        self.state = state
        self._state_deadline = deadline

    def _drop_waiting(self, reason: Reason) -> Iterable[Event]:
        dropped = [NotSent(each.key, reason) for each in self._waiting]
        self._waiting.clear()
        return dropped

    def _drop_overdue(self, now: int) -> Iterable[Event]:
        overdue = [NotSent(each.key, Reason.NO_ROOM) for each in self._waiting if each.deadline <= now]
        self._waiting = deque(each for each in self._waiting if each.deadline > now)
        self._waiting_until = min((each.deadline for each in self._waiting), default=0)
        return overdue

    def _unbind_when_done(self, now: int) -> list[Event]:
        """Take the last step of unbinding as soon as nothing is in hand."""
        if self.state is not State.UNBINDING or self._in_flight:
            return []
        if self._peer_unbound:
            return self._close(Reason.PEER_UNBOUND)
        if self._inbox_count or Unbind in self._control.values():
            return []
        return self._say_unbind(now)

    def _say_unbind(self, now: int) -> list[Event]:
        self._state_deadline = now + self.options.response_timeout
        self._ask(Unbind())
        return []

    def _close(self, reason: Reason, status: int = Status.ROK, *, flush: bool = True) -> list[Event]:
        """End everything that has not ended; `flush` leaves the answers that are due for a last `bytes_to_send`."""
        if self.closed:
            return []
        self._become(State.CLOSED, None)
        events = [*self._drop_waiting(reason)]
        events += [Unanswered(each.key, reason) for each in self._in_flight.values()]
        self._in_flight.clear()
        self._control.clear()
        self._inbox.clear()
        self._inbox_count = 0
        # A request that nobody waits for any more is not made; the bit is that of its command_id (S. 5.1.2.1).
        self._out = [pdu for pdu in self._out if flush and pdu[4] & 0x80]
        return [*events, Closed(reason, status)]


def _status(pdu: Pdu) -> int:
    """A generic_nack is a refusal also where its status, against S. 4.3.1, claims that all is well."""
    refused_as_ok = isinstance(pdu.body, GenericNack) and pdu.status == Status.ROK
    return Status.RUNKNOWNERR if refused_as_ok else pdu.status
