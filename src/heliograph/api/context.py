"""What every endpoint works with."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from heliograph.api.auth import Caller, authenticate
from heliograph.api.request_limits import RequestLimits
from heliograph.carriers.webhooks import Receiver
from heliograph.domain.compose import Tables
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.handset import HandsetSend
from heliograph.domain.inbound import InboundMessage
from heliograph.domain.instant import Instant
from heliograph.domain.planning import Planner
from heliograph.domain.schedule import ScheduleRules
from heliograph.store.store import Store

Answer = TypeVar("Answer")

STALE_TRIES = 20
"""Account changes that one request outlives, such as other callers' at the same time; more is a flood, not a race."""


class StaleAccounts(Exception):
    """What was known of the accounts is no longer so: look again."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What the routes of the sandbox do beyond reading the store."""

    advance: Callable[[Instant], Awaitable[None]]
    """Move the test clock to a moment, and return when everything due until then was done in order."""
    write: Callable[[HandsetSend], Awaitable[InboundMessage]]
    """Send a message from a handset. Raises `NotOurs`."""


@dataclass(frozen=True, slots=True)
class Billing:
    """What every organisation begins with, and how far it may go below nothing; in 1/100000 of the currency."""

    opening_balance: int = 0
    credit_limit: int = 0


@dataclass(frozen=True, slots=True)
class ApiContext:
    """The store, the settings as plain values, and the tables that messages are made with."""

    store: Store
    tables: Tables
    rules: ScheduleRules
    validity: int
    retention: int
    max_body: int
    released: Callable[[], None] = lambda: None
    """Told when a message was taken that is due at once."""
    sandbox: Sandbox | None = None
    planner: Planner = field(default_factory=Planner)
    """Who is to be given a message, and at which rates."""
    receivers: Mapping[str, Receiver] = field(default_factory=dict)
    """The carriers that report over HTTP."""
    link_bases: Mapping[str, str] = field(default_factory=dict)
    """The domains of short links, each with the URL that it is reached by."""

    registration_required: bool = False
    """Whether a US long code needs a 10DLC campaign to send to the US."""
    billing: Billing = Billing()
    public_url: str | None = None
    """How others reach this service; None for the address that a request came to."""
    own_numbers: bool = True
    """Whether a caller may add and remove numbers."""
    limits: RequestLimits | None = None
    """How often a key may ask; None is without bound."""

    @property
    def link_domains(self) -> Sequence[str]:
        """The domains that a profile may have its links shortened to (Contract 6.3)."""
        return list(self.link_bases)

    async def as_caller(self, authorization: str | None, attempt: Callable[[Caller, int], Awaitable[Answer]]) -> Answer:
        """Recognise the caller and make the attempt, again when the accounts changed under it.

        The attempt gets the epoch that it was recognised under, and raises `StaleAccounts` when its organisation has
        changed since. A refusal may come from what was remembered, so it stands only when that did not happen. Whether
        a key is there, is whose and is revoked is read anew or never changes again.
        """
        accounts = self.store.accounts
        for _ in range(STALE_TRIES):
            epoch = accounts.epoch
            caller = await authenticate(accounts, authorization)
            try:
                return await attempt(caller, epoch)
            except StaleAccounts:
                await accounts.refresh()
            except Refusal:
                await accounts.refresh()
                if accounts.holds(caller.organization_id, epoch):
                    raise
        raise Refusal(Code.SERVICE_UNAVAILABLE, "Accounts are being changed; try again.")

    async def confirm(self, caller: Caller, epoch: int) -> None:
        """For an attempt whose own statement does not compare: raise `StaleAccounts` unless `epoch` still holds."""
        await self.store.accounts.refresh()
        if not self.store.accounts.holds(caller.organization_id, epoch):
            raise StaleAccounts
