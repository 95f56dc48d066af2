"""From what a carrier hands over to what is kept.

    arrival --> whose number? --> what does it ask for? --> message, opt-out, reply, event: one commit --> acknowledged

Nothing is acknowledged before it is kept. What an arrival means is judged from accounts that are remembered; the commit
compares their epoch, and what has changed meanwhile is judged again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from heliograph import randomness
from heliograph.carriers.interface import LateAnswer
from heliograph.domain.accounts import Profile, Sender
from heliograph.domain.address import country_of
from heliograph.domain.compose import Form, SendCommand, Tables, compose, draft
from heliograph.domain.consent import Heard, read
from heliograph.domain.errors import Refusal
from heliograph.domain.ids import MessageId
from heliograph.domain.inbound import Arrival, InboundMessage, NotOurs, received
from heliograph.domain.instant import Instant
from heliograph.domain.message import Message
from heliograph.domain.planning import Planner
from heliograph.domain.receipt import Receipt
from heliograph.log import get_logger
from heliograph.store.doubts import Settlement
from heliograph.store.engine import StoreUnavailable
from heliograph.store.inbound import Received, Reception, RefusedInbound
from heliograph.store.store import Store

logger = get_logger("reception")

STALE_TRIES = 20
"""Account changes that one arrival outlives; then the carrier is told to come again."""


@dataclass(frozen=True, slots=True)
class ReceptionOptions:
    """What opt-outs do, and how long a reply may wait and a receipt is awaited, in microseconds."""

    validity: int
    unconfirmed_after: int
    cancel_pending: bool
    replies: bool
    awaited: Mapping[str, int | None] = field(default_factory=dict)
    """How long a receipt of each carrier is awaited; None where none comes. Of others it is `unconfirmed_after`."""


class Receptionist:
    """Takes receipts and messages from carriers: their inbox."""

    def __init__(self, store: Store, tables: Tables, options: ReceptionOptions, planner: Planner) -> None:
        self._store = store
        self._tables = tables
        self._options = options
        self._planner = planner

    async def receipt(self, receipt: Receipt) -> None:
        """Keep a receipt. Raises `StoreUnavailable` when it is not known to be kept."""
        await self._store.keep_receipt(receipt)

    async def late(self, answer: LateAnswer) -> None:
        """Settle a message in doubt. Raises `StoreUnavailable` when that is not known to be kept."""
        now = self._store.clock.now()
        awaited = self._options.awaited.get(answer.carrier, self._options.unconfirmed_after)
        deadline = None if awaited is None else Instant(now + awaited)
        settlement = Settlement(answer.message_id, answer.carrier, answer.ids, now, deadline)
        if await self._store.settle(settlement):
            logger.info("a late answer was taken", action="late_answer", message_id=answer.message_id)

    async def message(self, arrival: Arrival) -> InboundMessage:
        """Keep a message, with what it asks for; one that was handed over before is answered as it was kept then.

        Raises `NotOurs`, and `StoreUnavailable` when it is not known to be kept.
        """
        for _ in range(STALE_TRIES):
            reception = await self._judge(arrival)
            answer = await self._store.receive(reception)
            if answer is not Received.STALE:
                return await self._as_kept(reception.message, answer)
            await self._store.accounts.refresh()
        raise StoreUnavailable("accounts are being changed")

    async def _as_kept(self, message: InboundMessage, answer: Received) -> InboundMessage:
        if answer is Received.KEPT or message.carrier_reference is None:
            return message
        return await self._store.inbound.kept(message.carrier, message.carrier_reference) or message

    async def _judge(self, arrival: Arrival) -> Reception:
        accounts = self._store.accounts
        epoch = accounts.epoch
        number = await accounts.number(arrival.recipient)
        profile = None
        if number is not None and number.profile_id is not None:
            profile = await accounts.profile(number.organization_id, number.profile_id)
        if number is None or profile is None:
            await accounts.refresh()
            if number is not None and not accounts.holds(number.organization_id, epoch):
                return await self._judge(arrival)
            # That nobody has a number is not remembered: it was read just now.
            raise await self._refuse(arrival, "on no messaging profile" if number else "nobody's number here")
        configs = await accounts.autoresponses(profile.organization_id, profile.id)
        heard = read(arrival.text, number.kind, country_of(arrival.sender), configs)
        return self._reception(arrival, number, profile, heard, epoch)

    def _reception(
        self, arrival: Arrival, number: Sender, profile: Profile, heard: Heard | None, epoch: int
    ) -> Reception:
        now = self._store.clock.now()
        message_id = MessageId(randomness.new_id(now))
        reply, no_reply = self._reply(arrival, number, profile, heard, message_id, now)
        message = received(
            arrival,
            number,
            profile,
            self._tables.directory,
            message_id=message_id,
            now=now,
            operation=heard.operation if heard else None,
            no_reply=no_reply,
        )
        keyword = heard.keyword if heard else None
        return Reception(message, epoch, keyword, reply, self._options.cancel_pending)

    def _reply(
        self,
        arrival: Arrival,
        number: Sender,
        profile: Profile,
        heard: Heard | None,
        message_id: MessageId,
        now: Instant,
    ) -> tuple[Message | None, str | None]:
        """The message that answers a keyword by itself; or why there is none, where one would expect it."""
        if heard is None or not self._options.replies:
            return None, None
        command = SendCommand(
            form=Form.ANY, to=arrival.sender, sender=number.address, profile_id=profile.id, text=heard.reply
        )
        try:
            (reply,) = compose(
                draft(command), number, profile, self._tables, now, self._options.validity, [randomness.new_id(now)]
            )
            reply = self._planner.planned(reply)
        except Refusal as refusal:
            what = {"message_id": message_id, "code": refusal.code, "reason": refusal.detail}
            logger.warning("a keyword could not be answered", action="reply_refused", **what)
            return None, str(refusal)
        return replace(reply, answers=message_id), None

    async def _refuse(self, arrival: Arrival, why: str) -> NotOurs:
        """Put on record that nobody is there for a message."""
        now = self._store.clock.now()
        reason = f"{arrival.recipient} is {why}."
        refused = RefusedInbound(
            randomness.new_id(now), arrival.carrier, arrival.sender, arrival.recipient, reason, now
        )
        await self._store.refuse_inbound(refused)
        logger.warning("a message came in for nobody", action="inbound_refused", carrier=arrival.carrier, reason=reason)
        return NotOurs(reason)
