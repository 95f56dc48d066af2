"""From what is due to what was sent.

    claim --> lease still ours? --> carrier.submit --> outcome --> record

The dispatcher claims only as much as its window has room for, so that little is in doubt when a process dies. Right
before a message's bytes leave, the lease is looked at on the monotonic clock: a dispatcher that was paused for longer
must not send what the upkeep has since decided about (promises P1, P3).
"""

import asyncio
from dataclasses import dataclass

from heliograph import randomness
from heliograph.carriers.interface import (
    Carrier,
    CarrierFailure,
    OutcomeUnknown,
    Refused,
)
from heliograph.clock import monotonic
from heliograph.domain.errors import Code
from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import Change
from heliograph.domain.message import DeliveryError, Message
from heliograph.domain.outcome import RepeatPolicy, after_unknown, delivery_error
from heliograph.domain.retry import backoff
from heliograph.log import get_logger
from heliograph.service import Loop
from heliograph.store.claims import Claim, Outcome
from heliograph.store.engine import StoreUnavailable
from heliograph.store.store import Store

logger = get_logger("dispatch")

LEASE_MARGIN = 0.2
"""The part of a lease, at its end, in which nothing is given to a carrier any more."""

CLAIM_PART = 4
"""One in so many places of the window must be free before more is claimed."""


@dataclass(frozen=True, slots=True)
class DispatchOptions:
    """Lengths of time in microseconds."""

    window: int
    lease: int
    poll_interval: int
    unconfirmed_after: int
    retry_base: int
    retry_max: int
    drain_timeout: int
    repeat_policy: RepeatPolicy


@dataclass(frozen=True, slots=True)
class InHand:
    """A message that was claimed."""

    message: Message
    token: str
    claimed_at: Instant
    """By the database's clock."""
    usable_until: int
    """On the monotonic clock."""
    lease_until: int
    """Likewise; from then on the upkeep decides about it."""


class Dispatcher(Loop):
    """Hands what is due to one carrier."""

    name = "dispatcher"

    def __init__(self, store: Store, carrier: Carrier, options: DispatchOptions) -> None:
        super().__init__()
        self._store = store
        self._carrier = carrier
        self._options = options
        self._in_hand: set[asyncio.Task[None]] = set()
        self._draining = False

    async def start(self) -> None:
        """Begin to claim."""
        self._draining = False
        await super().start()

    async def stop(self) -> None:
        """Claim nothing more; finish what a carrier has been given, hand back what it has not."""
        self._draining = True
        await super().stop()
        if self._in_hand:
            await asyncio.wait(self._in_hand, timeout=self._options.drain_timeout / 1_000_000)

    async def run_pass(self) -> int:
        """Claim as much as there is room for; microseconds until it is worth looking again."""
        room = self._options.window - len(self._in_hand)
        # A claim for every message that is done would be a commit each: wait for a part of the window.
        if self._in_hand and room < self._options.window / CLAIM_PART:
            return self._options.poll_interval
        wait = await self._until_due()
        if wait > 0:
            return wait
        claimed = await self.claim(room)
        for each in claimed:
            task = asyncio.create_task(self.send(each))
            self._in_hand.add(task)
            task.add_done_callback(self._sent)
        # What is due and could not be claimed is being claimed elsewhere, or expires.
        return 0 if claimed else self._options.poll_interval // 10

    async def settle(self) -> None:
        """Send everything that is due at this moment, and return when nothing is in hand (the test clock's step)."""
        while claimed := await self.claim(self._options.window):
            await asyncio.gather(*(self.send(each) for each in claimed))
        if self._in_hand:
            await asyncio.wait(self._in_hand)

    async def claim(self, limit: int) -> list[InHand]:
        """Take what is due, at most `limit` messages."""
        token = randomness.new_id(self._store.clock.now())
        # Counted from before the question: whatever the database takes to answer is off our side of the lease.
        asked_at = monotonic()
        usable_until = asked_at + int(self._options.lease * (1 - LEASE_MARGIN))
        found = await self._store.claim(Claim(token, self._carrier.name, limit, self._options.lease))
        lease_until = asked_at + self._options.lease
        return [InHand(message, token, found.at, usable_until, lease_until) for message in found.messages]

    async def _until_due(self) -> int:
        """Microseconds until there is something to claim: a read, so that an idle service writes nothing."""
        upcoming = await self._store.next_due()
        if upcoming is None:
            return self._options.poll_interval
        return max(0, min(self._options.poll_interval, upcoming - self._store.clock.now()))

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._in_hand.discard(task)
        self.wake()

    async def send(self, claimed: InHand) -> None:
        """Give a message to the carrier and record what became of it; hand it back when its lease is nearly over."""
        try:
            outcome = await self._submit(claimed)
            if not await self._record(outcome, claimed.lease_until):
                what = {"message_id": outcome.message_id, "change": outcome.change}
                logger.warning("the lease was lost before the outcome was recorded", action="lease_lost", **what)
        except StoreUnavailable as error:
            what = {"message_id": claimed.message.id, "reason": str(error)}
            logger.warning("an outcome could not be recorded", action="outcome_unrecorded", **what)

    async def _record(self, outcome: Outcome, lease_until: int) -> bool:
        """Record an outcome, trying for as long as the lease holds: what is known must not end as unknown."""
        while True:
            try:
                return await self._store.record(outcome)
            except StoreUnavailable:
                if self._draining or monotonic() >= lease_until:
                    raise

    async def _submit(self, claimed: InHand) -> Outcome:
        message = claimed.message
        if self._draining or monotonic() >= claimed.usable_until:
            now = self._store.clock.now()
            return Outcome(message.id, claimed.token, Change.HAND_BACK, now, due_at=now)
        # Our clock may be behind the database's by what an answer takes to come: nothing left before its claim.
        left_at = max(self._store.clock.now(), claimed.claimed_at)
        try:
            carrier_message_id = await self._carrier.submit(message)
        except CarrierFailure as failure:
            return self._failed(claimed, left_at, failure)
        except Exception as error:
            logger.exception("a carrier failed in an unforeseen way", action="carrier_bug", message_id=message.id)
            return self._failed(claimed, left_at, OutcomeUnknown(_bug(error)))
        now = max(self._store.clock.now(), left_at)
        deadline = Instant(now + self._options.unconfirmed_after)
        return Outcome(
            message.id,
            claimed.token,
            Change.ACCEPT,
            now,
            left_at=left_at,
            deadline_at=deadline,
            carrier_message_id=carrier_message_id,
        )

    def _failed(self, claimed: InHand, left_at: Instant, failure: CarrierFailure) -> Outcome:
        now = max(self._store.clock.now(), left_at)
        message, token = claimed.message, claimed.token
        if isinstance(failure, Refused):
            return Outcome(message.id, token, Change.REFUSE, now, left_at=left_at, error=failure.error)
        change = Change.DEFER
        if isinstance(failure, OutcomeUnknown):
            change = after_unknown(self._options.repeat_policy, repeatable=self._carrier.abilities.repeatable)
        if change is Change.LOSE:
            return Outcome(message.id, token, change, now, left_at=left_at, error=failure.error)
        wait = backoff(message.attempts, self._options.retry_base, self._options.retry_max, randomness.fraction())
        in_doubt = isinstance(failure, OutcomeUnknown)
        return Outcome(message.id, token, change, now, due_at=Instant(now + wait), in_doubt=in_doubt)


def _bug(error: Exception) -> DeliveryError:
    detail = f"The carrier's link failed in an unforeseen way ({type(error).__name__})."
    return delivery_error(Code.OUTCOME_UNKNOWN, detail)
