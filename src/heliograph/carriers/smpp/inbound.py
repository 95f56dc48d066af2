"""What a carrier delivers: receipts, messages, and parts of messages. It is kept first, and acknowledged then.

deliver_sm, data_sm --a receipt--> inbox
                    --a message--> inbox
                    --a part-----> book --the last one--> inbox --> book: handed over
book --sweep--> what a crash left whole, or nobody completed --> inbox
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from heliograph import randomness
from heliograph.carriers.interface import Inbox
from heliograph.carriers.smpp.assembly import Joined, Key, Numbering, Pending, Piece, key_of, read_piece
from heliograph.carriers.smpp.collecting import to_hand_over, with_handed_over, with_piece, without_hope
from heliograph.carriers.smpp.encoding import UNREADABLE
from heliograph.carriers.smpp.events import Delivered
from heliograph.carriers.smpp.options import SmppOptions
from heliograph.carriers.smpp.parts import Sar
from heliograph.carriers.smpp.pdu import Tag, find, find_number, user_data
from heliograph.carriers.smpp.receipts import Report, is_receipt, read
from heliograph.carriers.smpp.standing import Tally
from heliograph.carriers.smpp.status import Status
from heliograph.clock import Clock
from heliograph.domain.inbound import Arrival, NotOurs
from heliograph.domain.instant import DAY, MINUTE, SECOND, Instant
from heliograph.domain.receipt import Receipt
from heliograph.log import get_logger

logger = get_logger("smpp")

OLDEST_RECEIPT = 30 * DAY
"""A done date before that is a wrong clock or another century."""
PATIENCE = 30 * SECOND
"""How long what is whole is left to those who are about to hand it over."""
SWEPT_AT_ONCE = 500

Apply = Callable[[bytes | None], bytes | None]
"""Makes what is kept next of what is kept now."""


class PartBook(Protocol):
    """Where parts of messages are kept, for all processes of a carrier."""

    async def change(self, carrier: str, key: str, at: Instant, apply: Apply) -> bytes | None:
        """Replace what is kept under `key` by what `apply` makes of it (None: nothing), in one transaction.

        What is kept then. `apply` is pure and may be called several times, also after its own result was kept.
        """

    async def resting(self, carrier: str, before: Instant, limit: int) -> Sequence[tuple[str, bytes]]:
        """What was last changed before a moment, oldest first: key and content."""


class Inbound:
    """Takes what one carrier delivers."""

    def __init__(self, options: SmppOptions, book: PartBook, clock: Clock, inbox: Inbox, tally: Tally) -> None:
        self._options = options
        self._book = book
        self._clock = clock
        self._inbox = inbox
        self._tally = tally

    async def delivered(self, body: Delivered) -> int:
        """Keep it; what to answer. Raises what the inbox or the book raises: then the carrier is to give it again."""
        receipted, state = find(body.tlvs, Tag.RECEIPTED_MESSAGE_ID), find_number(body.tlvs, Tag.MESSAGE_STATE)
        if is_receipt(body.esm_class, receipted, state):
            await self._take_receipt(body)
        else:
            await self._take_piece(body, self._piece(body))
        return Status.ROK

    async def sweep(self) -> None:
        """Hand over what was left whole, give up what nobody completes, and forget what is long over."""
        now, timeout = self._clock.now(), self._options.reassembly_timeout
        before = Instant(now - timeout)
        while await self._sweep(before, before) == SWEPT_AT_ONCE:
            pass
        await self._sweep(Instant(now - min(PATIENCE, timeout)), before)

    async def _sweep(self, resting: Instant, before: Instant) -> int:
        """Look after what rests since a moment; of how many something became."""
        swept = 0
        for key, content in await self._book.resting(self._options.name, resting, SWEPT_AT_ONCE):
            try:
                over = without_hope(content, before) != content or to_hand_over(content)
            except msgspec.DecodeError:
                self._tally.troubled("Parts of a message cannot be read; they are left where they are.")
                continue
            if over:
                await self._hand_over(key, _giving_up(before))
                swept += 1
        return swept

    # ---- receipts

    async def _take_receipt(self, body: Delivered) -> None:
        report = self._report(body)
        if not report.ids:
            # To refuse it would make the carrier give it again for ever.
            logger.warning("a receipt names no message", action="receipt_without_id", carrier=self._options.name)
            self._tally.troubled("A receipt named no message.")
        elif report.change is not None:
            now = self._clock.now()
            addressing = self._options.addressing
            # Its sender is whom our message went to.
            recipient = addressing.read(body.source_addr_ton, body.source_addr)
            sender = addressing.read(body.dest_addr_ton, body.destination_addr)
            await self._inbox.receipt(
                receipt_of(report, self._options.name, randomness.new_id(now), now, recipient=recipient, sender=sender)
            )
        self._tally.receipts += 1

    def _report(self, body: Delivered) -> Report:
        return read(
            user_data(body),
            esm_class=body.esm_class,
            data_coding=body.data_coding,
            receipted_message_id=find(body.tlvs, Tag.RECEIPTED_MESSAGE_ID),
            message_state=find_number(body.tlvs, Tag.MESSAGE_STATE),
            network_error_code=find(body.tlvs, Tag.NETWORK_ERROR_CODE),
            meanings=self._options.manner.meanings,
            reasons=self._options.reasons,
            zone=self._options.zone,
        )

    # ---- messages

    def _piece(self, body: Delivered) -> Piece:
        reference, total, number = (find_number(body.tlvs, tag) for tag in _SAR)
        complete = reference is not None and total is not None and number is not None
        return read_piece(
            user_data(body),
            esm_class=body.esm_class,
            data_coding=body.data_coding,
            sar=Sar(reference or 0, total or 0, number or 0) if complete else None,
            meanings=self._options.manner.meanings,
        )

    async def _take_piece(self, body: Delivered, piece: Piece) -> None:
        addressing, now = self._options.addressing, self._clock.now()
        sender = addressing.read(body.source_addr_ton, body.source_addr)
        recipient = addressing.read(body.dest_addr_ton, body.destination_addr)
        key = key_of(self._options.name, sender, recipient, piece)
        if piece.numbering is Numbering.NONE:
            await self._message(Pending(key, (piece,), now, now).joined(), None)
            return
        await self._hand_over(str(key), _adding(key, piece, now, randomness.new_id(now)))

    async def _hand_over(self, key: str, change: Apply) -> None:
        """Make a change, and give the inbox what has ended by it or earlier."""
        name = self._options.name
        for each in to_hand_over(await self._book.change(name, key, self._clock.now(), change)):
            await self._message(each.pending.joined(), each.reference)
            await self._book.change(name, key, self._clock.now(), _handed_over(each.reference))

    async def _message(self, joined: Joined, reference: str | None) -> None:
        if joined.missing:
            missing = ", ".join(map(str, joined.missing))
            self._tally.troubled(f"Of a message of {joined.parts} parts these never came: {missing}.")
            logger.warning(
                "parts of a message never came; it is handed over without them",
                action="parts_given_up",
                carrier=joined.carrier,
                sender=joined.sender,
                recipient=joined.recipient,
                missing=missing,
                parts=joined.parts,
            )
        try:
            await self._inbox.message(_arrival(joined, reference))
        except NotOurs:
            logger.info("a message was for no number of ours", action="not_ours", carrier=joined.carrier)
        self._tally.inbound += 1


_SAR = (Tag.SAR_MSG_REF_NUM, Tag.SAR_TOTAL_SEGMENTS, Tag.SAR_SEGMENT_SEQNUM)


def receipt_of(
    report: Report, carrier: str, receipt_id: str, now: Instant, *, recipient: str | None, sender: str | None
) -> Receipt:
    """A report that decides something, in our words. `at` is the carrier's moment where that can be, else `now`.

    Dates of receipts mostly have whole minutes: one of the current minute would lie before its message was sent.
    """
    if report.change is None:
        raise ValueError("the report decides nothing")
    done_at = report.done_at
    plausible = done_at is not None and now - OLDEST_RECEIPT <= done_at <= now - MINUTE
    return Receipt(
        id=receipt_id,
        carrier=carrier,
        carrier_message_id=report.ids[0],
        change=report.change,
        at=done_at if done_at is not None and plausible else now,
        error=report.error,
        other_ids=report.ids[1:],
        recipient=recipient or None,
        sender=sender or None,
        text=_storable(report.text),
    )


def _adding(key: Key, piece: Piece, now: Instant, reference: str) -> Apply:
    return lambda content: with_piece(content, key, piece, now, reference)


def _giving_up(before: Instant) -> Apply:
    return lambda content: without_hope(content, before)


def _handed_over(reference: str) -> Apply:
    return lambda content: with_handed_over(content, reference)


def _arrival(joined: Joined, reference: str | None) -> Arrival:
    """A message that stands alone has no reference: two that are alike may be two."""
    return Arrival(
        carrier=joined.carrier,
        sender=joined.sender,
        recipient=joined.recipient,
        text=_storable(joined.text),
        encoding=joined.encoding,
        parts=joined.parts,
        reference=reference,
    )


def _storable(text: str) -> str:
    """No database keeps a NUL in a text, and a message that cannot be kept would come again for ever."""
    return text.replace("\0", UNREADABLE)
