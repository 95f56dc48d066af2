"""The store: every verb there is, in the words of the domain.

Verbs that write on the path of a message go through the group commit; they answer once their change is committed.
All raise `StoreUnavailable` when the database cannot be asked.
"""

from heliograph.clock import Clock
from heliograph.domain.instant import Instant
from heliograph.domain.receipt import Receipt
from heliograph.store.accounts import AccountChanges, AccountListing, AccountLookup
from heliograph.store.claims import Claim, Claimed, ClaimVerbs, Expiry, Outcome, Recovery
from heliograph.store.engine import Engine
from heliograph.store.messages import Acceptance, Accepted, CancelAnswer, Cancellation, MessageVerbs
from heliograph.store.receipts import ReceiptVerbs
from heliograph.store.reports import Reports
from heliograph.store.sandbox import SandboxBook
from heliograph.store.writer import GroupCommit


class Store:
    """One database, shared by everything in a process."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.accounts = AccountLookup(engine)
        self.changes = AccountChanges(engine)
        self.listing = AccountListing(engine)
        self.messages = MessageVerbs(engine)
        self.reports = Reports(engine)
        self._receipts = ReceiptVerbs(self.messages)
        self._claims = ClaimVerbs(self.messages, self._receipts)
        self.writer = GroupCommit(engine)
        self.sandbox = SandboxBook(engine, self.writer)

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

    async def accept(self, acceptance: Acceptance) -> Accepted:
        """Take the messages of one request; on `TAKEN` they are kept whatever happens (promise P2)."""
        return await self.writer.run(self.messages.accept, acceptance)

    async def cancel(self, cancellation: Cancellation) -> CancelAnswer:
        """Call a message off; when the answer shows it cancelled, it is never sent (promise P1)."""
        return await self.writer.run(self.messages.cancel, cancellation)

    async def claim(self, claim: Claim) -> Claimed:
        """Take what is due, to send it."""
        return await self.writer.run(self._claims.claim, claim)

    async def next_due(self) -> Instant | None:
        """When the next message may be claimed."""
        return await self.reports.oldest_due()

    async def record(self, outcome: Outcome) -> bool:
        """Record what became of a claimed message; False when the claim had been lost to the upkeep."""
        return await self.writer.run(self._claims.record, outcome)

    async def recover(self, recovery: Recovery) -> tuple[int, int]:
        """Decide about claims whose lease is over: how many are due again, how many are lost."""
        return await self.writer.run(self._claims.recover, recovery)

    async def expire(self, expiry: Expiry) -> tuple[int, int]:
        """Let go of what waited past its `valid_until`: how many expired unsent, how many may have been sent."""
        return await self.writer.run(self._claims.expire, expiry)

    async def unconfirm(self, limit: int) -> int:
        """Stop waiting for receipts that did not come in time; for how many messages."""
        return await self.writer.run(self._claims.unconfirm, limit)

    async def keep_receipt(self, receipt: Receipt) -> None:
        """Keep a receipt, and apply it when its message is known."""
        await self.writer.run(self._receipts.keep, receipt)

    async def match_receipts(self, limit: int) -> int:
        """Apply receipts that came before their message's id did; how many."""
        return await self.writer.run(self._receipts.match, limit)
