"""What a session tells its caller. Sections (S.) are those of the SMPP Protocol Specification v3.4, issue 1.2."""

from collections.abc import Hashable
from enum import StrEnum

from msgspec import Struct

from heliograph.carriers.smpp.pdu import Body, CancelSm, DataSm, DeliverSm, Pdu, QuerySm, SubmitSm
from heliograph.carriers.smpp.status import Status

Key = Hashable
Request = SubmitSm | DataSm | QuerySm | CancelSm
Delivered = DeliverSm | DataSm


class Reason(StrEnum):
    """Why something ended."""

    UNBOUND = "the link was unbound as we asked"
    PEER_UNBOUND = "the peer unbound"
    REFUSED = "the peer refused the bind"
    SILENT_BIND = "the peer did not answer the bind"
    SILENT_UNBIND = "the peer did not answer the unbind"
    DEAD = "the peer did not answer an enquire_link"
    LOST = "the connection was lost"
    NOT_SMPP = "what came is not SMPP"
    NO_ANSWER = "the peer did not answer in time"
    NO_ROOM = "the window had no room in time"


class Bound(Struct, frozen=True):
    """The bind was accepted; `interface_version` is None where the peer does not say (S. 5.3.2.25)."""

    system_id: str
    interface_version: int | None


class Answered(Struct, frozen=True):
    """The end of a request: what the peer says of it. `message_id` is empty where it gave none that can be read."""

    key: Key
    status: int
    message_id: str
    body: Body


class NotSent(Struct, frozen=True):
    """The end of a request of which no byte left."""

    key: Key
    reason: Reason


class Unanswered(Struct, frozen=True):
    """The end of a request that left, or may have: nobody knows whether it was taken."""

    key: Key
    reason: Reason


class Delivery(Struct, frozen=True):
    """A message or a receipt. Keep it, then call `answer_deliver` with its sequence number."""

    sequence: int
    body: Delivered


class Unexpected(Struct, frozen=True):
    """A response that nothing waits for. `key` is that of an `Unanswered` request that it answers too late."""

    pdu: Pdu
    key: Key | None


class Unusable(Struct, frozen=True):
    """A PDU that was malformed, unknown or not the peer's to send; `answer` was sent unless it is a response."""

    sequence: int
    command: int
    answer: Status
    reason: str


class Notice(Struct, frozen=True):
    """An alert_notification, or an outbind to a link that is there already."""

    body: Body


class PeerUnbinding(Struct, frozen=True):
    """The peer has unbound; answers that are still on their way are waited for."""


class Closed(Struct, frozen=True):
    """The last event: write what `bytes_to_send` still gives, and close the connection.

    `status` says why a bind was refused.
    """

    reason: Reason
    status: int = Status.ROK


End = Answered | NotSent | Unanswered
Event = Bound | End | Delivery | Unexpected | Unusable | Notice | PeerUnbinding | Closed
