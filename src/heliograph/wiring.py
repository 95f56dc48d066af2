"""Carriers as the settings name them, and everything that works with one: dispatcher, inbox, rerouting, routes, rates.

settings --> carriers --> a dispatcher each
                      --> the planner: who is to be given a message, and at which rates
                      --> their inbox, their webhooks
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from heliograph.carrier_settings import SANDBOX, SmppSettings
from heliograph.carriers.interface import Carrier, Inbox, Queried
from heliograph.carriers.sandbox import SandboxCarrier, SandboxOptions
from heliograph.dispatch.dispatcher import Dispatcher, DispatchOptions
from heliograph.dispatch.inquiry import Inquiry
from heliograph.dispatch.number_health import NumberHealthCheck
from heliograph.dispatch.reception import Receptionist, ReceptionOptions
from heliograph.dispatch.rerouting import Rerouting
from heliograph.dispatch.retention import Retention
from heliograph.dispatch.upkeep import Upkeep
from heliograph.domain.compose import Tables
from heliograph.domain.instant import SECOND
from heliograph.domain.outcome import RepeatPolicy
from heliograph.domain.pacing import UNPACED, Rates
from heliograph.domain.planning import Planner
from heliograph.outgoing import OutgoingHttp, OutgoingOptions
from heliograph.service import Service
from heliograph.settings import Settings
from heliograph.store.store import Store

if TYPE_CHECKING:
    from heliograph.carriers.upstream_webhooks import UpstreamWebhooks

CONNECT = 5 * SECOND
"""How long connecting to an upstream may take: it is one, and it is worth waiting for."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """What sends and receives."""

    planner: Planner
    inbox: Inbox
    dispatchers: Sequence[Dispatcher]
    upkeep: Upkeep
    number_health: NumberHealthCheck
    retention: Retention
    rerouting: Rerouting | None
    inquiries: Sequence[Inquiry]
    carriers: Sequence[Carrier]
    http: OutgoingHttp
    """What calls upstreams, and fetches media for them."""
    receivers: Mapping[str, "UpstreamWebhooks"]
    sandbox: SandboxCarrier | None

    @property
    def services(self) -> Sequence[Service]:
        """Everything with a loop, in the order of starting: who receives before who sends."""
        receiving = [Receiving(each, self.inbox) for each in self.carriers]
        rerouting = [self.rerouting] if self.rerouting else []
        looking = [self.upkeep, self.number_health, self.retention]
        return [self.http, *receiving, *rerouting, *self.dispatchers, *self.inquiries, *looking]

    @property
    def accepting(self) -> Service:
        """For a process that only takes requests: what comes in by them is kept, and no carrier is spoken to."""
        by_request: list[HandsOver] = [*self.receivers.values(), *([self.sandbox] if self.sandbox else [])]
        return Accepting(by_request, self.inbox)

    def wake(self) -> None:
        """Something is due at once."""
        for each in self.dispatchers:
            each.wake()

    def in_hand(self) -> int:
        """How many messages are claimed here and not yet done with."""
        return sum(each.in_hand for each in self.dispatchers)


class HandsOver(Protocol):
    """Hands over what comes in, while there is somebody to hand it to."""

    inbox: Inbox | None


class Accepting:
    """Those that hand over what a request brings, with the inbox that keeps it."""

    def __init__(self, sources: Sequence[HandsOver], inbox: Inbox) -> None:
        self._sources = sources
        self._inbox = inbox

    async def start(self) -> None:
        """Take what comes."""
        for each in self._sources:
            each.inbox = self._inbox

    async def stop(self) -> None:
        """Refuse it from now on, so that it comes again elsewhere."""
        for each in self._sources:
            each.inbox = None


class Receiving:
    """A carrier as a service, with the inbox that it hands over to."""

    def __init__(self, carrier: Carrier, inbox: Inbox) -> None:
        self._carrier = carrier
        self._inbox = inbox

    async def start(self) -> None:
        """Connect, or begin to."""
        await self._carrier.start(self._inbox)

    async def stop(self) -> None:
        """Finish and disconnect."""
        await self._carrier.stop()


def wire(settings: Settings, store: Store, tables: Tables, node: str) -> Wiring:
    """Everything between the store and the carriers, for the process `node`.

    Raises `ValueError` for options that no carrier can have.
    """
    http = OutgoingHttp(outgoing_options(settings, CONNECT))
    made = _carriers(settings, store, http)
    carriers = made.all
    planner = planner_of(settings)
    rerouting = Rerouting(store, carriers, planner, node) if carriers else None
    usable = rerouting.usable if rerouting else None
    sending = [each for each in carriers if _sends(settings, each.name)]
    inbox = Receptionist(store, tables, _reception_options(settings, carriers), planner)
    return Wiring(
        planner=planner,
        inbox=inbox,
        dispatchers=[
            Dispatcher(store, each, dispatch_options(settings, each.name), planner, usable) for each in sending
        ],
        upkeep=Upkeep(
            store,
            carriers,
            RepeatPolicy(settings.dispatch.repeat_policy),
            {name: each.settle_after for name, each in settings.carriers.items()},
        ),
        number_health=NumberHealthCheck(store, settings.numbers.health_interval),
        retention=Retention(
            store,
            messages=settings.retention.messages,
            links=settings.retention.links,
            reports=settings.retention.reports,
        ),
        rerouting=rerouting,
        inquiries=[Inquiry(store, each, inbox, settings.unconfirmed_after(each.name)) for each in made.asked],
        carriers=carriers,
        http=http,
        receivers=made.receivers,
        sandbox=made.sandbox,
    )


def outgoing_options(settings: Settings, connect: int | None = None) -> OutgoingOptions:
    """What may be reached over HTTP. In the sandbox receivers run on the same machine, so its own addresses may be."""
    outgoing = settings.outgoing
    return OutgoingOptions(
        allow=outgoing.allow,
        loopback=settings.sandbox.enabled,
        connect=connect or outgoing.connect_timeout,
        largest_answer=outgoing.largest_answer,
    )


def planner_of(settings: Settings) -> Planner:
    """The routes and the rates of the settings; without any carrier, nothing is planned."""
    if not settings.carriers and not settings.sandbox.enabled:
        return Planner(rates=rates_of(settings))
    mms = {SANDBOX, *(name for name, each in settings.carriers.items() if each.carries_mms)}
    return Planner(settings.routing(), mms, rates_of(settings))


def rates_of(settings: Settings) -> Rates:
    """The rates of senders and accounts."""
    if not settings.paced:
        return UNPACED
    pacing = settings.pacing
    return Rates(
        long_code=pacing.long_code,
        toll_free=pacing.toll_free,
        short_code=pacing.short_code,
        alphanumeric=pacing.alphanumeric,
        campaign=pacing.campaign,
        account=pacing.account,
        account_mms=pacing.account_mms,
        queue=pacing.queue,
    )


def dispatch_options(settings: Settings, carrier: str) -> DispatchOptions:
    """How what is due for a carrier is handed to it."""
    dispatch = settings.dispatch
    own = settings.carriers.get(carrier)
    return DispatchOptions(
        window=dispatch.window,
        lease=dispatch.lease,
        poll_interval=dispatch.poll_interval,
        unconfirmed_after=settings.unconfirmed_after(carrier),
        retry_base=dispatch.retry_base,
        retry_max=dispatch.retry_max,
        drain_timeout=dispatch.drain_timeout,
        repeat_policy=RepeatPolicy(dispatch.repeat_policy),
        settle_after=own.settle_after if own else 0,
        interval=own.throughput if own else 0,
        # An upstream's answer is not awaited past the moment until which it may be given a message.
        answer_time=own.response_timeout if isinstance(own, SmppSettings) else 0,
    )


class _Carriers(NamedTuple):
    """The carriers that are set, and those of them that can do more."""

    all: Sequence[Carrier]
    sandbox: SandboxCarrier | None
    receivers: Mapping[str, "UpstreamWebhooks"]
    asked: Sequence[Queried]
    """Those that are asked what became of a message."""


def _carriers(settings: Settings, store: Store, http: OutgoingHttp) -> _Carriers:
    options = _sandbox_options(settings)
    sandbox = SandboxCarrier(store.sandbox, store.clock, options) if settings.sandbox.enabled else None
    carriers: list[Carrier] = [sandbox] if sandbox else []
    receivers: dict[str, UpstreamWebhooks] = {}
    asked: list[Queried] = []
    for name, given in settings.carriers.items():
        # A kind of carrier is imported where there is one of it: both together take a tenth of a second.
        if isinstance(given, SmppSettings):
            from heliograph.smpp_wiring import smpp_carrier

            link = smpp_carrier(name, given, store)
            carriers.append(link)
            asked += [link] if given.query else []
        else:
            from heliograph.upstream_wiring import upstream_carrier

            upstream = upstream_carrier(name, given, settings.callback_url(given), http, store.clock)
            carriers.append(upstream)
            receivers[name] = upstream.webhooks
    return _Carriers(carriers, sandbox, receivers, asked)


def _sends(settings: Settings, carrier: str) -> bool:
    own = settings.carriers.get(carrier)
    return own is None or own.sends


def _reception_options(settings: Settings, carriers: Sequence[Carrier]) -> ReceptionOptions:
    opt_outs, dispatch = settings.opt_outs, settings.dispatch
    return ReceptionOptions(
        validity=dispatch.validity,
        unconfirmed_after=dispatch.unconfirmed_after,
        cancel_pending=opt_outs.cancel_pending,
        replies=opt_outs.replies,
        awaited={
            each.name: settings.unconfirmed_after(each.name) if each.abilities.receipts else None for each in carriers
        },
    )


def _sandbox_options(settings: Settings) -> SandboxOptions:
    sandbox = settings.sandbox
    return SandboxOptions(
        receipt_delay=sandbox.receipt_delay,
        slow_delay=sandbox.slow_delay,
        answer_delay=sandbox.answer_delay,
        repeatable=sandbox.repeat_safe,
        record_file=Path(sandbox.record_file) if sandbox.record_file else None,
    )
