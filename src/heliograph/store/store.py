"""The store: every verb there is, in the words of the domain.

Verbs that write on the path of a message go through the group commit; they answer once their change is committed.
All raise `StoreUnavailable` when the database cannot be asked.
"""

from collections.abc import Collection, Sequence

from heliograph.clock import Clock
from heliograph.domain.carriers import CarrierState
from heliograph.domain.events import EventType
from heliograph.domain.instant import Instant
from heliograph.domain.receipt import Receipt
from heliograph.domain.schedule import MAX_LEAD
from heliograph.store.account_changes import AccountChanges
from heliograph.store.accounts import AccountListing, AccountLookup
from heliograph.store.claims import Claim, Claimed, ClaimVerbs
from heliograph.store.consent import ConsentBook
from heliograph.store.deliveries import DeliveryBook
from heliograph.store.doubts import DoubtVerbs, Settlement
from heliograph.store.engine import Engine
from heliograph.store.inbound import InboundVerbs, Received, Reception, RefusedInbound
from heliograph.store.inquiries import Inquiries
from heliograph.store.jobs import JobBook
from heliograph.store.lanes import Delivery, DeliveryLanes, EndpointState, LaneClaim, Progress
from heliograph.store.lapses import Expiry, LapseVerbs, Recovered, Recovery
from heliograph.store.links import Click, LinkBook
from heliograph.store.messages import Acceptance, AcceptAnswer, CancelAnswer, Cancellation, MessageVerbs
from heliograph.store.nodes import NodeBook
from heliograph.store.number_health import NumberHealthBook
from heliograph.store.numbers import SenderBook
from heliograph.store.outbox import Outbox
from heliograph.store.outcomes import Outcome, OutcomeVerbs
from heliograph.store.partitions import Partitions
from heliograph.store.pending_parts import PartBook
from heliograph.store.receipts import ReceiptVerbs
from heliograph.store.registry import Registry
from heliograph.store.reports import Reports
from heliograph.store.rerouting import NodeState, Reroute, ReroutingVerbs
from heliograph.store.retention import RetentionBook
from heliograph.store.sandbox import SandboxBook
from heliograph.store.sticky import StickyVerbs, StickyWish, forget_ended
from heliograph.store.traffic import Traffic
from heliograph.store.webhook_keys import WebhookKeys
from heliograph.store.writer import GroupCommit


class Store:
    """One database, shared by everything in a process."""

    def __init__(
        self,
        engine: Engine,
        *,
        optional_events: Collection[EventType] = (),
        account_wide_opt_outs: bool = False,
        campaign_required: bool = False,
        max_lead: int = MAX_LEAD,
    ) -> None:
        self.engine = engine
        self.outbox = Outbox(engine, optional_events)
        self.accounts = AccountLookup(engine)
        self.changes = AccountChanges(engine, max_lead)
        self.listing = AccountListing(engine)
        self.senders = SenderBook(engine)
        self.consent = ConsentBook(engine)
        self.registry = Registry(engine)
        self.webhook_keys = WebhookKeys(engine)
        self.messages = MessageVerbs(engine, self.outbox, account_wide=account_wide_opt_outs)
        self.lanes = DeliveryLanes(engine, self.outbox)
        self.deliveries = DeliveryBook(engine, self.outbox)
        self.inbound = InboundVerbs(engine, self.messages, self.outbox)
        self.reports = Reports(engine)
        self._receipts = ReceiptVerbs(self.outbox)
        self._outcomes = OutcomeVerbs(self.messages, self.outbox, self._receipts)
        self._doubts = DoubtVerbs(self.outbox, self._outcomes)
        self._receipts.ownerless = self._doubts.settle_by_receipt
        self._claims = ClaimVerbs(engine, self.messages, self.outbox, self._outcomes)
        self._claims.campaign_required = campaign_required
        self._lapses = LapseVerbs(self.messages, self.outbox)
        self._sticky = StickyVerbs()
        self.number_health = NumberHealthBook(engine)
        self.rerouting = ReroutingVerbs(engine)
        self.nodes = NodeBook(engine)
        self.inquiries = Inquiries(engine)
        self.links = LinkBook(engine, self.outbox)
        self.jobs = JobBook(engine)
        self.traffic = Traffic(engine)
        self.partitions = Partitions(engine)
        self.retention = RetentionBook(engine, self.partitions)
        self.writer = GroupCommit(engine)
        self.sandbox = SandboxBook(engine, self.writer)
        self.parts = PartBook(engine, self.writer)

    @property
    def clock(self) -> Clock:
        """The database's clock, as this process knows it."""
        return self.engine.clock

    async def start(self) -> None:
        """Read the clock and begin to write."""
        await self.engine.synchronize_clock()
        await self.writer.start()

    async def stop(self) -> None:
        """Write what is waiting, and close."""
        await self.writer.stop()
        await self.engine.close()

    async def accept(self, acceptance: Acceptance) -> AcceptAnswer:
        """Take the messages of one request; on `TAKEN` they are kept whatever happens (promise P2)."""
        return await self.writer.run(self.messages.accept, acceptance)

    async def stick(self, wish: StickyWish) -> str:
        """The number of a pool that a person is written to from: whoever asks first decides, for everybody."""
        return await self.writer.run(self._sticky.choose, wish)

    async def forget_sticky(self, before: Instant, limit: int) -> int:
        """Take away sticky senders that ended before a moment; how many."""
        async with self.engine.transaction() as transaction:
            return await forget_ended(transaction, before, limit)

    async def cancel(self, cancellation: Cancellation) -> CancelAnswer:
        """Call a message off; when the answer shows it cancelled, it is never sent (promise P1)."""
        return await self.writer.run(self.messages.cancel, cancellation)

    async def claim(self, claim: Claim) -> Claimed:
        """Take what is due, to send it; what was scheduled gets its slot first, where senders have rates."""
        if claim.paces is not None:
            await self._claims.release(claim.carrier, claim.limit, claim.paces)
        return await self.writer.run(self._claims.claim, claim)

    async def next_due(self, carrier: str) -> Instant | None:
        """When the next message may be claimed for a carrier."""
        return await self.reports.oldest_due(carrier)

    async def next_moment(self, after: Instant) -> Instant | None:
        """The next moment after `after` at which anything at all falls due."""
        moments = [await each.next_due(after) for each in (self.sandbox, self.lanes, self.jobs)]
        return min((each for each in moments if each is not None), default=None)

    async def record(self, outcome: Outcome) -> bool:
        """Record what became of a claimed message; False when the claim had been lost to the upkeep."""
        return await self.writer.run(self._outcomes.record, outcome)

    async def settle(self, settlement: Settlement) -> bool:
        """Take a late answer for a message in doubt; False when it is in doubt no more."""
        return await self.writer.run(self._doubts.settle, settlement)

    async def reroute(self, reroute: Reroute) -> bool:
        """Plan a waiting message for another carrier; False when it waits no more."""
        return await self.writer.run(self.rerouting.move, reroute)

    async def tell_carrier(self, node: str, state: CarrierState) -> None:
        """Keep how a carrier stands in a process."""
        await self.writer.run(self.rerouting.tell, (node, state))

    async def carrier_states(self, since: Instant) -> Sequence[NodeState]:
        """How carriers stand in every process that told so since a moment."""
        return await self.rerouting.states(since)

    async def recover(self, recovery: Recovery) -> Recovered:
        """Decide about leases that are over and doubts that were not settled."""
        return await self.writer.run(self._lapses.recover, recovery)

    async def expire(self, expiry: Expiry) -> tuple[int, int]:
        """Let go of what waited past its `valid_until`: how many expired unsent, how many may have been sent."""
        return await self.writer.run(self._lapses.expire, expiry)

    async def unconfirm(self, limit: int) -> int:
        """Stop waiting for receipts that did not come in time; for how many messages."""
        return await self.writer.run(self._lapses.unconfirm, limit)

    async def keep_receipt(self, receipt: Receipt) -> None:
        """Keep a receipt, and apply it when its message is known."""
        await self.writer.run(self._receipts.keep, receipt)

    async def match_receipts(self, since: str, limit: int) -> int:
        """Apply receipts, made since an id, that crossed with their message's id or settle a doubt; how many."""
        return await self.writer.run(self._receipts.match, (since, limit))

    async def receive(self, reception: Reception) -> Received:
        """Keep a message that came in, with its opt-out, its reply and its event."""
        return await self.writer.run(self.inbound.receive, reception)

    async def refuse_inbound(self, refused: RefusedInbound) -> None:
        """Keep that a message came in for nobody."""
        await self.writer.run(self.inbound.refuse, refused)

    async def claim_deliveries(self, claims: Sequence[LaneClaim]) -> Sequence[Delivery]:
        """Take events that are due to be delivered, of some endpoints."""
        return await self.writer.run(self.lanes.claim, claims)

    async def record_delivery(self, progress: Progress) -> bool:
        """Record an attempt and what follows from it; False when the claim had been lost to another sender."""
        return await self.writer.run(self.lanes.record, progress)

    async def click(self, click: Click) -> None:
        """Keep that somebody followed a short link, with its event."""
        await self.writer.run(self.links.click, click)

    async def set_endpoint(self, state: EndpointState) -> None:
        """Keep what an endpoint asked for: a rest, or an end."""
        await self.writer.run(self.lanes.set_endpoints, state)
