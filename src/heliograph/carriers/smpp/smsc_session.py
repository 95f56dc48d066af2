"""One SMPP link as its server (SMSC) sees it, without the link: bytes in, events and bytes out, deadlines as values.

    OPEN --bind--> BOUND --unbind--> UNBINDING --> CLOSED
      |              |                   |            ^
      +--------------+-------------------+------------+   refused, silent, lost, not SMPP

Whoever holds one calls `bytes_to_send` after every other call, writes what it gives and, once `closed`, closes the
connection; calls `tick` when `next_deadline` is reached. Each submit it tells of is answered with `answer` or let go of
with `release`. An unbind is answered once all submits are.

Sections (S.) are those of the SMPP Protocol Specification v3.4, issue 1.2; the states are those of S. 2.2.
"""

from collections.abc import Callable, Sequence
from enum import Enum

from msgspec import Struct

from heliograph.carriers.smpp.pdu import (
    BODIES,
    MAX_SEQUENCE,
    AlertNotification,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    Body,
    CancelSm,
    DataSm,
    Decoder,
    EnquireLink,
    Found,
    FramingError,
    GenericNack,
    Malformed,
    Outbind,
    Pdu,
    QuerySm,
    SubmitSm,
    Tag,
    Unbind,
    UnbindResp,
    command_id,
    encode,
    is_response,
    response_to,
    tlv_of_number,
    with_header,
)
from heliograph.carriers.smpp.smsc_script import Script
from heliograph.carriers.smpp.status import Status, status_name

INTERFACE_VERSION = 0x34

Bind = BindTransmitter | BindReceiver | BindTransceiver
Submitted = SubmitSm | DataSm
Asking = SubmitSm | DataSm | QuerySm | CancelSm
Gate = Callable[[str, str], int]
"""Judges a system_id and its password: the status to answer a bind with."""


class Bound(Struct, frozen=True):
    """The peer is bound."""

    system_id: str
    receives: bool


class Asked(Struct, frozen=True):
    """A request to be answered."""

    sequence: int
    body: Asking
    in_hand: int
    """Submits without an answer, itself included if it is one."""


class Settled(Struct, frozen=True):
    """The peer's answer to a delivery."""

    key: int
    status: int


class Seen(Struct, frozen=True):
    """Something for people to read."""

    text: str


class Ended(Struct, frozen=True):
    """The last event; `unsettled` are the deliveries that the peer did not answer, oldest first."""

    reason: str
    unsettled: tuple[int, ...]


Event = Bound | Asked | Settled | Seen | Ended


class State(Enum):
    """Where a link is."""

    OPEN = "open"
    BOUND = "bound"
    UNBINDING = "unbinding"
    CLOSED = "closed"


class ServerSession:
    """A link from its connection to its end."""

    def __init__(self, script: Script, gate: Gate, now: int) -> None:
        self.state = State.OPEN
        self.system_id = ""
        self.receives = False
        self.transmits = False
        self._script = script
        self._gate = gate
        self._decoder = Decoder()
        self._sequence = 0
        self._out: list[bytes] = []
        self._in_hand = 0
        # Deliveries by our sequence number: the caller's key, and what answers it.
        self._delivering: dict[int, tuple[int, type[Body]]] = {}
        self._enquiry: int | None = None
        self._unbind: tuple[int, bool] | None = None
        self._unbind_deadline = 0
        self._heard_at = now
        self._enquired_at: int | None = None

    @property
    def closed(self) -> bool:
        """There was an `Ended`."""
        return self.state is State.CLOSED

    @property
    def room(self) -> int:
        """Deliveries that it takes at this moment."""
        if self.state is not State.BOUND or not self.receives:
            return 0
        return max(0, self._script.deliver_window - len(self._delivering))

    # ---- what the caller does

    def answer(self, sequence: int, request: type[Body], status: int, body: Body) -> list[Event]:
        """Answer a request; a refusal has no body (S. 4.4.2). After the end nothing happens."""
        if self.closed:
            return []
        response = response_to(request)
        data = encode(body, sequence) if status == Status.ROK else with_header(response, b"", sequence, status)
        self._out.append(data)
        return self.release() if request in {SubmitSm, DataSm} else []

    def release(self) -> list[Event]:
        """A submit is answered, or never will be."""
        self._in_hand -= 1
        return self._unbind_when_done()

    def deliver(self, key: int, body: type[Body], encoded: bytes) -> None:
        """Send what `encode_body` gave; only while there is `room`."""
        sequence = self._next_sequence()
        self._delivering[sequence] = (key, response_to(body))
        self._out.append(with_header(body, encoded, sequence))

    def unbind(self, now: int) -> list[Event]:
        """Ask the peer to go; one that is not bound is hung up on."""
        if self.state is State.OPEN:
            return self._end("it was not bound")
        if self.state is State.BOUND:
            self.state = State.UNBINDING
            self._unbind = (self._next_sequence(), True)
            self._unbind_deadline = now + self._script.answer_timeout
            self._out.append(encode(Unbind(), self._unbind[0]))
        return []

    def drop(self, reason: str) -> list[Event]:
        """The connection is gone, or is to go at once; what was to be sent may still be."""
        return self._end(reason)

    def bytes_to_send(self) -> bytes:
        """What is to be written now."""
        out, self._out = self._out, []
        return b"".join(out)

    # ---- time

    def next_deadline(self) -> int | None:
        """When to call `tick` unless something else happens before."""
        if self.closed:
            return None
        if self._unbind is not None and self._unbind[1]:
            return self._unbind_deadline
        if self._enquired_at is not None:
            return self._enquired_at + self._script.answer_timeout
        return self._heard_at + self._script.enquire_interval

    def tick(self, now: int) -> list[Event]:
        """What the time brings."""
        deadline = self.next_deadline()
        if deadline is None or deadline > now:
            return []
        if self.state is State.OPEN:
            return self._end("it did not bind")
        if self._enquired_at is not None or self._unbind is not None:
            return self._end("it does not answer")
        self._enquired_at = now
        self._enquiry = self._next_sequence()
        self._out.append(encode(EnquireLink(), self._enquiry))
        return []

    # ---- what comes in

    def receive(self, data: bytes, now: int) -> list[Event]:
        """What bytes from the peer bring; after the end, nothing."""
        events: list[Event] = []
        for found in self._decoder.feed(data) if not self.closed else ():
            if not self.closed:
                events += self._take(found, now)
        return events

    def _take(self, found: Found, now: int) -> Sequence[Event]:
        if isinstance(found, FramingError):
            self._out.append(encode(GenericNack(), 0, found.answer))
            return [Seen(f"not SMPP: {found.reason}"), *self._end("what came is not SMPP")]
        # The time to bind runs from the connection, however much is said meanwhile.
        if self.state is not State.OPEN:
            self._heard_at = now
            self._enquired_at = None
        if isinstance(found, Malformed):
            return self._take_malformed(found)
        if is_response(command_id(type(found.body))):
            return self._take_response(found)
        return self._take_request(found, now)

    def _take_malformed(self, found: Malformed) -> Sequence[Event]:
        seen = Seen(f"0x{found.command:08X} #{found.sequence} is malformed: {found.reason}")
        if is_response(found.command):
            body = BODIES.get(found.command)
            # What it says of a delivery stands in its header.
            return [seen, *(self._take_response(Pdu(found.sequence, found.status, body())) if body else ())]
        request = BODIES.get(found.command)
        if request is not AlertNotification and request is not Outbind:
            self._refuse(found.sequence, request, found.answer)
        return [seen]

    def _refuse(self, sequence: int, request: type[Body] | None, status: int) -> None:
        response = response_to(request) if request else GenericNack
        self._out.append(with_header(response, b"", sequence, status))

    def _take_request(self, pdu: Pdu, now: int) -> Sequence[Event]:
        match pdu.body:
            case BindTransmitter() | BindReceiver() | BindTransceiver() as body:
                return self._take_bind(pdu.sequence, body, now)
            case EnquireLink():
                # S. 2.3 allows it in any state.
                self._out.append(encode(response_to(EnquireLink)(), pdu.sequence))
                return []
            case Unbind():
                return self._take_unbind(pdu.sequence)
            case SubmitSm() | DataSm() | QuerySm() | CancelSm() as body:
                return self._take_asked(pdu.sequence, body)
            case body:
                self._out.append(encode(GenericNack(), pdu.sequence, Status.RINVCMDID))
                return [Seen(f"{type(body).__name__} is not an ESME's to send")]

    def _take_bind(self, sequence: int, bind: Bind, now: int) -> Sequence[Event]:
        if self.state is not State.OPEN:
            self._refuse(sequence, type(bind), Status.RALYBND)
            return [Seen("it is bound already")]
        status = self._gate(bind.system_id, bind.password)
        if status != Status.ROK:
            self._refuse(sequence, type(bind), status)
            return [*self._end(f"the bind of {bind.system_id!r} was refused with {status_name(status)}")]
        self.state = State.BOUND
        self.system_id = bind.system_id
        self.receives = not isinstance(bind, BindTransmitter)
        self.transmits = not isinstance(bind, BindReceiver)
        self._heard_at = now
        version = tlv_of_number(Tag.SC_INTERFACE_VERSION, INTERFACE_VERSION)
        self._out.append(encode(_accepted(bind, (version,)), sequence))
        return [Bound(bind.system_id, self.receives)]

    def _take_asked(self, sequence: int, body: Asking) -> Sequence[Event]:
        if self.state is not State.BOUND or not self.transmits:
            self._refuse(sequence, type(body), Status.RINVBNDSTS)
            return [Seen(f"{type(body).__name__} #{sequence} on a link that is not bound to transmit")]
        if isinstance(body, SubmitSm | DataSm):
            self._in_hand += 1
        return [Asked(sequence, body, self._in_hand)]

    def _take_unbind(self, sequence: int) -> Sequence[Event]:
        if self.state is State.OPEN:
            self._refuse(sequence, Unbind, Status.RINVBNDSTS)
            return [Seen("an unbind on a link that is not bound")]
        self.state = State.UNBINDING
        self._unbind = (sequence, False)
        return self._unbind_when_done()

    def _unbind_when_done(self) -> list[Event]:
        if self._unbind is None or self._unbind[1] or self._in_hand:
            return []
        self._out.append(encode(UnbindResp(), self._unbind[0]))
        return self._end("it unbound")

    def _take_response(self, pdu: Pdu) -> Sequence[Event]:
        delivered = self._delivering.get(pdu.sequence)
        if delivered is not None and isinstance(pdu.body, (delivered[1], GenericNack)):
            del self._delivering[pdu.sequence]
            nack = isinstance(pdu.body, GenericNack) and pdu.status == Status.ROK
            return [Settled(delivered[0], Status.RUNKNOWNERR if nack else pdu.status)]
        if pdu.sequence == self._enquiry:
            self._enquiry = None
            return []
        if self._unbind is not None and self._unbind == (pdu.sequence, True):
            return self._end("it unbound as it was asked to")
        return [Seen(f"{type(pdu.body).__name__} #{pdu.sequence} answers nothing")]

    def _next_sequence(self) -> int:
        while True:
            self._sequence = self._sequence % MAX_SEQUENCE + 1
            if self._sequence not in self._delivering:
                return self._sequence

    def _end(self, reason: str) -> list[Event]:
        if self.closed:
            return []
        self.state = State.CLOSED
        unsettled = tuple(key for key, _ in self._delivering.values())
        self._delivering.clear()
        return [Ended(reason, unsettled)]


def _accepted(bind: Bind, tlvs: tuple[tuple[int, bytes], ...]) -> Body:
    body: Body = response_to(type(bind))(system_id="SMSC", tlvs=tlvs)  # type: ignore[call-arg]  # those of binds have one
    return body
