"""Parts of messages, kept until they are whole: what stands in the book under one key, and what becomes of it.

    add --> collecting --the last part--> whole ----------> handed over --its time is over--> forgotten
                |                                                ^
                +--other octets for a part it has--> given up ---+--> forgotten
                +--no part for too long------------> given up

Everything here is pure, and does nothing when it is done again: the book may apply it more than once. Two processes may
hand over the same message, each time under the same reference; so may one that crashed in between.

A message that was whole stays for its time, so that a part that is given again begins no new one.
"""

from collections.abc import Sequence

import msgspec

from heliograph.carriers.smpp.assembly import Key, Pending, Piece
from heliograph.domain.instant import Instant


class Collection(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message that comes in parts."""

    reference: str
    """What it is known by when it is handed over."""
    pending: Pending
    given_up: bool = False
    """What misses is not awaited any more."""
    handed_over: bool = False

    @property
    def ended(self) -> bool:
        """No part is added any more."""
        return self.given_up or not self.pending.missing


Shelf = tuple[Collection, ...]
"""All there is under one key, where only the last may go on: a reference is used again for the next message."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Shelf).decode


def shelf_of(content: bytes | None) -> Shelf:
    """What the book keeps. Raises `msgspec.DecodeError` for what was never written here."""
    return _decode(content) if content else ()


def with_piece(content: bytes | None, key: Key, piece: Piece, now: Instant, reference: str) -> bytes:
    """The same with one part more; `reference` is for a message that begins with it.

    A part that is there already, with the same octets, changes nothing. With other octets it belongs to a new message
    under a reference that was used before (there are only 256 of the short ones): the old one, unless it is whole, is
    given up.
    """
    shelf = shelf_of(content)
    if any(each.pending.find(piece.number) == piece for each in shelf):
        return _encode(shelf)
    *before, last = shelf or (None,)
    if last is not None and not last.ended and last.pending.find(piece.number) is None:
        grown = msgspec.structs.replace(last, pending=last.pending.with_piece(piece, now))
        return _encode((*before, grown))
    ended = [_given_up(each) for each in shelf if not (each.ended and each.handed_over)]
    return _encode((*ended, Collection(reference, Pending(key, (piece,), now, now))))


def without_hope(content: bytes | None, before: Instant) -> bytes | None:
    """The same with everything given up of which no new part came since `before`, and what was whole forgotten."""
    kept = [
        _given_up(each) if each.pending.last_at < before else each
        for each in shelf_of(content)
        if not (each.handed_over and each.pending.last_at < before)
    ]
    return _encode(tuple(kept)) if kept else None


def with_handed_over(content: bytes | None, reference: str) -> bytes | None:
    """The same once a message was handed over: one that was given up is forgotten, a whole one stays."""
    kept = [
        msgspec.structs.replace(each, handed_over=True) if each.reference == reference else each
        for each in shelf_of(content)
        if not (each.reference == reference and each.given_up)
    ]
    return _encode(tuple(kept)) if kept else None


def to_hand_over(content: bytes | None) -> Sequence[Collection]:
    """Messages that have ended and were not handed over, in the order they began."""
    return [each for each in shelf_of(content) if each.ended and not each.handed_over]


def _given_up(collection: Collection) -> Collection:
    return collection if collection.ended else msgspec.structs.replace(collection, given_up=True)
