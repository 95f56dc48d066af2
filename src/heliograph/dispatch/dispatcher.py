"""From what is due for one carrier to what was sent.

    claim --> lease still ours? --> carrier.submit --> outcome --> record

The dispatcher claims only as much as its carrier takes now, so that little is in doubt when a process dies. Right
before a message's bytes leave, the lease is looked at on the monotonic clock: a dispatcher that was paused for longer
must not send what the upkeep has since decided about (promises P1, P3).
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from heliograph import randomness
from heliograph.carriers.interface import (
    Carrier,
    CarrierFailure,
    OutcomeUnknown,
    Refused,
    Taken,
    TemporarilyRefused,
    Throttled,
    Unreachable,
)
from heliograph.clock import monotonic
from heliograph.domain.errors import Code
from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import Change
from heliograph.domain.message import DeliveryError, Message, MessageType, Progress
from heliograph.domain.outcome import (
    CANNOT_CARRY,
    RepeatPolicy,
    after_unknown,
    asked_all,
    delivery_error,
    unknown_before,
)
from heliograph.domain.planning import Planner
from heliograph.domain.retry import backoff
from heliograph.log import get_logger
from heliograph.service import Attention, Loop
from heliograph.store.claims import Claim
from heliograph.store.doubts import Settlement
from heliograph.store.engine import StoreUnavailable
from heliograph.store.outcomes import Outcome
from heliograph.store.store import Store

logger = get_logger("dispatch")

LEASE_MARGIN = 0.2
"""The part of a lease, at its end, in which nothing is given to a carrier any more."""

CLAIM_PART = 4
"""One in so many places must be free before more is claimed."""

Usable = Callable[[], Collection[str]]
"""The carriers that some process reaches now."""


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
    settle_after: int = 0
    """How long a late answer or a receipt is awaited for what is in doubt."""
    interval: int = 0
    """What the carrier wants between two parts; 0 is without bound."""
    answer_time: int = 0
    """How long after its bytes left a message's answer may come; 0 where no answer comes later than `until`."""

    @property
    def usable(self) -> int:
        """The part of a lease in which a message may be given to the carrier: its answer is to come within it."""
        return min(int(self.lease * (1 - LEASE_MARGIN)), self.lease - self.answer_time)


@dataclass(frozen=True, slots=True)
class InHand:
    """A message that was claimed."""

    message: Message
    token: str
    claimed_at: Instant
    """By the database's clock."""
    usable_until: int
    """On the monotonic clock."""
    in_doubt: bool = False
    """The carrier may have it by an earlier try."""


class Dispatcher(Loop):
    """Hands what is due to one carrier."""

    name = "dispatcher"

    def __init__(
        self,
        store: Store,
        carrier: Carrier,
        options: DispatchOptions,
        planner: Planner | None = None,
        usable: Usable | None = None,
    ) -> None:
        super().__init__()
        self.carrier = carrier
        self._store = store
        self._options = options
        self._planner = planner or Planner()
        self._usable = usable or _none
        self._attention = Attention(options.poll_interval)
        self._again_at: Instant | None = None
        self._more = False
        self._unanswered: list[tuple[Claim, int]] = []
        """Claims whose answers were lost, which may have been given messages, and when each was first asked."""
        carrier.changed = self.wake
        self._in_hand: set[asyncio.Task[None]] = set()
        self._draining = False

    @property
    def in_hand(self) -> int:
        """How many messages are claimed and not yet done with."""
        return len(self._in_hand)

    async def start(self) -> None:
        """Begin to claim."""
        self._draining = False
        self.carrier.resume()
        await super().start()

    async def stop(self) -> None:
        """Claim nothing more; finish what a carrier has been given, hand back what it has not."""
        self._draining = True
        # What only waits, as for the end of a rest, comes back at once.
        self.carrier.hold()
        await super().stop()
        try:
            self._take_in_hand(await self.claim(0))
        except StoreUnavailable as error:
            what = {"carrier": self.carrier.name, "reason": str(error)}
            logger.warning("what a claim was given is not known", action="claim_unanswered", **what)
        if self._in_hand:
            await asyncio.wait(self._in_hand, timeout=self._options.drain_timeout / 1_000_000)

    async def run_pass(self) -> int:
        """Claim as much as there is room for; microseconds until it is worth looking again."""
        room = min(self._options.window - len(self._in_hand), self.carrier.room)
        # A claim for every message that is done would be a commit each: wait for a part of what there is.
        full = room <= 0 or (self._in_hand and room < (room + len(self._in_hand)) / CLAIM_PART)
        if full and not self._unanswered:
            return self._options.poll_interval
        # After a claim that was given all it asked for there is more: the question would cost as much as a claim.
        wait = 0 if self._more or self._unanswered else await self._until_due()
        if wait > 0:
            return wait
        claimed = await self.claim(room)
        if claimed:
            self._attention.found()
        self._more = 0 < room <= len(claimed)
        self._take_in_hand(claimed)
        # What is due and could not be claimed is being claimed elsewhere, or expires.
        return 0 if claimed else self._options.poll_interval // 10

    async def settle(self) -> None:
        """Send everything that is due at this moment, and return when nothing is in hand (the test clock's step)."""
        while claimed := await self.claim(min(self._options.window, self.carrier.room)):
            await asyncio.gather(*(self.send(each) for each in claimed))
        if self._in_hand:
            await asyncio.wait(self._in_hand)

    async def claim(self, limit: int) -> list[InHand]:
        """Take what is due, at most `limit` messages; before that, all that a claim was given whose answer was lost."""
        claimed = await self._ask_again()
        if claimed or limit <= 0:
            return claimed
        token = randomness.new_id(self._store.clock.now())
        paces = self._planner.paces if self._planner.paced else None
        wish = Claim(token, self.carrier.name, limit, self._options.lease, self._options.interval, paces)
        # Counted from before the question: whatever the database takes to answer is off our side of the lease.
        return await self._ask(wish, monotonic())

    async def _ask_again(self) -> list[InHand]:
        """What a claim was given whose answer was lost; once its lease is over the upkeep decides about that."""
        while self._unanswered:
            # Nobody else may ask it at the same time: two who have its answer would both send it.
            wish, asked_at = self._unanswered.pop(0)
            if monotonic() >= asked_at + self._options.lease:
                continue
            # What it holds, and nothing more: part of its lease has gone by.
            wish.limit = 0
            if claimed := await self._ask(wish, asked_at):
                return claimed
        return []

    async def _ask(self, wish: Claim, asked_at: int) -> list[InHand]:
        try:
            found = await self._store.claim(wish)
        except BaseException:
            self._unanswered.append((wish, asked_at))
            raise
        self._again_at = found.again_at
        usable_until = asked_at + self._options.usable
        return [
            InHand(message, wish.token, found.at, usable_until, message.id in found.in_doubt)
            for message in found.messages
        ]

    def _take_in_hand(self, claimed: Sequence[InHand]) -> None:
        for each in claimed:
            task = asyncio.create_task(self.send(each))
            self._in_hand.add(task)
            task.add_done_callback(self._sent)

    async def _until_due(self) -> int:
        """Microseconds until there is something to claim: a read, so that an idle service writes nothing."""
        upcoming = await self._store.next_due(self.carrier.name)
        if upcoming is None:
            return self._attention.pause
        upcoming = max(upcoming, self._again_at or upcoming)
        return max(0, min(self._attention.pause, upcoming - self._store.clock.now()))

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._in_hand.discard(task)
        self.wake()

    async def send(self, claimed: InHand) -> None:
        """Give a message to the carrier and record what became of it; hand it back when its lease is nearly over."""
        try:
            outcome = await self._submit(claimed)
            if await self._record(outcome):
                self._tell(outcome)
            else:
                await self._lost(outcome)
        except StoreUnavailable as error:
            what = {"message_id": claimed.message.id, "reason": str(error)}
            logger.warning("an outcome could not be recorded", action="outcome_unrecorded", **what)

    def _tell(self, outcome: Outcome) -> None:
        """Log what an operator may be asked about."""
        error = outcome.error
        what = {"message_id": outcome.message_id, "carrier": self.carrier.name}
        what["reason"] = error.detail if error else outcome.detail or ""
        if outcome.carrier is not None:
            moved = {"from": self.carrier.name, "to": outcome.carrier, "why": what["reason"]}
            logger.info("a message goes to another carrier", action="rerouted", message_id=outcome.message_id, **moved)
        if outcome.change is Change.REFUSE and error:
            logger.info("a carrier refused a message", action="refused", code=error.code, **what)
        elif outcome.in_doubt or outcome.change is Change.LOSE:
            said = "nobody knows whether a carrier took a message"
            logger.warning(said, action="in_doubt", change=outcome.change, **what)

    async def _lost(self, outcome: Outcome) -> None:
        """The lease was over first. What the upkeep has put in doubt since is settled by what is known of its parts.

        The store takes no refusal of what is in doubt: that ends as unknown.
        """
        what = {"message_id": outcome.message_id, "change": outcome.change}
        logger.warning("the lease was lost before the outcome was recorded", action="lease_lost", **what)
        ids = outcome.ids or self._ids_of(outcome.progress)
        if any(ids):
            given = (outcome.message_id, self.carrier.name, ids, outcome.at, self._awaited_until(outcome.at))
            await self._store.settle(Settlement(*given, outcome.left_at))

    def _ids_of(self, progress: Progress | None) -> tuple[str | None, ...]:
        """One place for each part of what this carrier has a part of."""
        if progress is None or progress.carrier != self.carrier.name:
            return ()
        return (*progress.ids, *[None] * (progress.total - len(progress.ids)))

    def _awaited_until(self, now: Instant) -> Instant | None:
        """Where no receipts come, none is awaited: `sent` is the last that is known (Contract 3.1)."""
        return Instant(now + self._options.unconfirmed_after) if self.carrier.abilities.receipts else None

    async def _record(self, outcome: Outcome) -> bool:
        """Record an outcome, trying until the database answers: what is known must not end as unknown.

        Also past the lease: as long as nobody has decided otherwise, the claim is still its token's.
        """
        while True:
            try:
                return await self._store.record(outcome)
            except StoreUnavailable:
                if self._draining:
                    raise

    async def _submit(self, claimed: InHand) -> Outcome:
        message = claimed.message
        if self._draining or monotonic() >= claimed.usable_until:
            now = self._store.clock.now()
            return Outcome(message.id, claimed.token, Change.HAND_BACK, now, due_at=now, progress=message.progress)
        # Our clock may be behind the database's by what an answer takes to come: nothing left before its claim.
        left_at = max(self._store.clock.now(), claimed.claimed_at)
        try:
            taken = await self._give(message, claimed.usable_until)
        except CarrierFailure as failure:
            return self._failed(claimed, left_at, failure)
        except Exception as error:
            logger.exception("a carrier failed in an unforeseen way", action="carrier_bug", message_id=message.id)
            return self._failed(claimed, left_at, OutcomeUnknown(_bug(error)))
        return self._taken(claimed, left_at, taken)

    async def _give(self, message: Message, until: int) -> Taken:
        if message.type is MessageType.MMS and not self.carrier.abilities.mms:
            raise Refused(CANNOT_CARRY)
        return await self.carrier.submit(message, until)

    def _taken(self, claimed: InHand, left_at: Instant, taken: Taken) -> Outcome:
        now = max(self._store.clock.now(), left_at)
        return Outcome(
            claimed.message.id,
            claimed.token,
            Change.ACCEPT,
            now,
            left_at=left_at,
            deadline_at=self._awaited_until(now),
            ids=taken.ids,
            media=taken.media,
        )

    def _failed(self, claimed: InHand, left_at: Instant, failure: CarrierFailure) -> Outcome:
        now = max(self._store.clock.now(), left_at)
        if isinstance(failure, Refused):
            return self._refused(claimed, left_at, now, failure.error)
        if isinstance(failure, OutcomeUnknown):
            return self._unknown(claimed, left_at, now, failure)
        message = claimed.message
        progress = self._progress(failure) or message.progress
        # Once it may be with this carrier no other is given it: another could not recognise it.
        if isinstance(failure, Throttled | Unreachable) and self._only_waited(claimed):
            due_at, carrier = _place(message), None
        else:
            due_at, carrier = self._next_try(message, failure, now, moved=progress is None and not claimed.in_doubt)
        return Outcome(
            message.id, claimed.token, Change.DEFER, now, due_at=due_at, carrier=carrier, progress=progress,
            left_at=left_at if progress else None, detail=failure.error.detail,
        )  # fmt: skip

    def _refused(self, claimed: InHand, left_at: Instant, now: Instant, error: DeliveryError) -> Outcome:
        """A refusal is of this try only, unless the carrier recognises what it was given before."""
        change = Change.REFUSE
        if claimed.in_doubt and not self.carrier.abilities.repeatable:
            change, error = Change.LOSE, unknown_before(error)
        # What was not even given to the carrier did not leave, and is not charged.
        left = None if error is CANNOT_CARRY else left_at
        return Outcome(claimed.message.id, claimed.token, change, now, left_at=left, error=error)

    def _unknown(self, claimed: InHand, left_at: Instant, now: Instant, failure: OutcomeUnknown) -> Outcome:
        message, abilities = claimed.message, self.carrier.abilities
        progress = self._progress(failure) or message.progress
        change = after_unknown(self._options.repeat_policy, repeatable=abilities.repeatable, settles=abilities.settles)
        what = Outcome(message.id, claimed.token, change, now, left_at=left_at)
        if change is Change.LOSE:
            return replace(what, error=failure.error)
        if change is Change.DOUBT:
            until = Instant(now + self._options.settle_after)
            return replace(what, deadline_at=until, in_doubt=True, progress=progress, error=failure.error)
        due_at, known = Instant(now + self._wait(message)), _known(progress)
        return replace(what, due_at=due_at, in_doubt=True, progress=known, detail=failure.error.detail)

    def _progress(self, failure: CarrierFailure) -> Progress | None:
        if not failure.taken:
            return None
        return Progress(self.carrier.name, failure.taken, failure.parts)

    def _next_try(
        self, message: Message, failure: CarrierFailure, now: Instant, *, moved: bool
    ) -> tuple[Instant, str | None]:
        """When it is tried again, and with whom.

        What was refused for now is given to the next carrier at once, and waits when all have refused it.
        """
        usable = {*self._usable(), self.carrier.name}
        carrier = self._planner.after(message, usable) if moved and isinstance(failure, TemporarilyRefused) else None
        others = len(usable.intersection(self._planner.plan(message)))
        if carrier is not None and not asked_all(message.attempts, others):
            return now, carrier
        return Instant(now + self._wait(message)), carrier

    def _only_waited(self, claimed: InHand) -> bool:
        """Whether the carrier had no room, or its turn did not come within the lease: then it keeps its place.

        The carrier tells when it takes more; a lease that went by is pause enough.
        """
        return self.carrier.room == 0 or monotonic() >= claimed.usable_until

    def _wait(self, message: Message) -> int:
        return backoff(message.attempts, self._options.retry_base, self._options.retry_max, randomness.fraction())


def _none() -> Sequence[str]:
    return ()


def _place(message: Message) -> Instant:
    """Where it stands in its lane."""
    return message.received_at if message.send_at is None else message.send_at


def _known(progress: Progress | None) -> Progress | None:
    """The parts before the first of which nobody knows: what is given again begins after them."""
    ids = tuple(takewhile(lambda each: each is not None, progress.ids)) if progress else ()
    return Progress(progress.carrier, ids, progress.total) if progress and ids else None


def _bug(error: Exception) -> DeliveryError:
    detail = f"The carrier's link failed in an unforeseen way ({type(error).__name__})."
    return delivery_error(Code.OUTCOME_UNKNOWN, detail)
