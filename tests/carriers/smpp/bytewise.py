"""Both ends of a session without a link between them."""

from typing import Any

from heliograph.carriers.smpp import pdu
from heliograph.carriers.smpp.events import Bound
from heliograph.carriers.smpp.pdu import Body, Decoder, Pdu, SubmitSm, encode
from heliograph.carriers.smpp.session import Options, Session
from heliograph.domain.instant import SECOND

TEXT = SubmitSm(destination_addr="15550002222", short_message=b"hello")
START = 1_000 * SECOND


class Peer:
    """Both ends of a link without the link."""

    def __init__(self, *, first_sequence: int = 1, **options: Any) -> None:
        self.session = Session(Options("me", "secret", **options), first_sequence)
        self.decoder = Decoder()
        self.now = START

    def sent(self) -> list[Pdu]:
        """What the session has sent since last asked."""
        found = self.decoder.feed(self.session.bytes_to_send(self.now))
        assert all(isinstance(each, Pdu) for each in found)
        return [each for each in found if isinstance(each, Pdu)]

    def says(self, body: Body, sequence: int, status: int = 0) -> list[Any]:
        """What a PDU of the peer brings."""
        return self.hears(encode(body, sequence, status))

    def hears(self, data: bytes) -> list[Any]:
        """What bytes bring."""
        return list(self.session.receive(data, self.now))

    def submits(self, *keys: str) -> list[int]:
        """Submit, hand out; the sequence numbers."""
        for key in keys:
            self.session.submit(key, TEXT, self.now)
        return [each.sequence for each in self.sent()]

    def after(self, micros: int) -> list[Any]:
        """What the time brings once so much of it has gone by."""
        self.now += micros
        return list(self.session.tick(self.now))


def bound(**options: Any) -> Peer:
    """One whose bind was accepted."""
    peer = Peer(**options)
    peer.session.bind(peer.now)
    (bind,) = peer.sent()
    assert isinstance(peer.says(pdu.response_to(type(bind.body))(), bind.sequence)[0], Bound)
    return peer
