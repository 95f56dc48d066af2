"""Carriers as the settings name them, and everything that works with one: dispatcher, inbox, rerouting, routes, rates.

settings --> carriers --> a dispatcher each
                      --> the planner: who is to be given a message, and at which rates
                      --> their inbox, their webhooks
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from heliograph.carrier_settings import SANDBOX, SmppSettings, UpstreamSettings
from heliograph.carriers.interface import Carrier, Inbox
from heliograph.carriers.sandbox import SandboxCarrier, SandboxOptions
from heliograph.carriers.smpp.addressing import Addressing, Rule
from heliograph.carriers.smpp.carrier import SmppCarrier
from heliograph.carriers.smpp.options import Binds, SmppOptions, Tls, Validity
from heliograph.carriers.smpp.parts import Manner
from heliograph.carriers.upstream import UpstreamCarrier
from heliograph.carriers.upstream_options import UpstreamOptions
from heliograph.carriers.upstream_webhooks import UpstreamWebhooks
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
    receivers: Mapping[str, UpstreamWebhooks]
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
    carriers, sandbox, receivers = _carriers(settings, store, http)
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
        inquiries=[
            Inquiry(store, each, inbox, settings.unconfirmed_after(each.name))
            for each in carriers
            if isinstance(each, SmppCarrier) and _may_be_asked(settings, each.name)
        ],
        carriers=carriers,
        http=http,
        receivers=receivers,
        sandbox=sandbox,
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


def smpp_options(name: str, given: SmppSettings) -> SmppOptions:
    """An SMPP carrier as it is set. Raises `ValueError` for what cannot be."""
    return SmppOptions(
        name=name,
        host=given.host,
        port=given.port,
        system_id=given.system_id,
        password=given.password,
        tls=_tls(given) if given.tls else None,
        mode=_MODES[given.mode],
        binds=given.binds,
        system_type=given.system_type,
        interface_version=given.interface_version,
        address_range=given.address_range,
        window=given.window,
        part_interval=given.throughput,
        bind_timeout=given.bind_timeout,
        response_timeout=given.response_timeout,
        enquire_interval=given.enquire_interval,
        rebind_base=given.rebind_base,
        rebind_max=given.rebind_max,
        throttle_base=given.throttle_base,
        throttle_max=given.throttle_max,
        manner=Manner(given.long_messages, given.gsm7, dict(given.data_codings)),
        addressing=_addressing(given),
        service_type=given.service_type,
        registered_delivery=int(given.registered_delivery),
        receipts=given.receipts,
        validity=Validity(given.validity),
        message_reference=given.message_reference,
        repeatable=given.repeat_safe,
        query=given.query,
        zone=given.receipt_zone,
        reassembly_timeout=given.reassembly_timeout,
    )


_MODES: Mapping[str, Binds] = {
    "transceiver": Binds.TRANSCEIVER,
    "transmitter_receiver": Binds.PAIR,
    "transmitter": Binds.TRANSMITTER,
    "receiver": Binds.RECEIVER,
}


def _tls(given: SmppSettings) -> Tls:
    return Tls(
        ca_file=_path(given.tls_ca_file),
        server_name=given.tls_server_name or None,
        check_hostname=given.tls_check_host,
        certificate=_path(given.tls_cert_file),
        key=_path(given.tls_key_file),
    )


def _path(name: str) -> Path | None:
    return Path(name) if name else None


def _addressing(given: SmppSettings) -> Addressing:
    usual = Addressing()
    rules = {}
    for kind, prefix in _RULES.items():
        rule: Rule = getattr(usual, kind)
        ton, npi = getattr(given, f"{prefix}_ton"), getattr(given, f"{prefix}_npi")
        rules[kind] = Rule(rule.ton if ton is None else ton, rule.npi if npi is None else npi)
    return Addressing(**rules, keep_plus=given.keep_plus, home_country=given.home_country)


_RULES = {
    "long_code": "long_code",
    "toll_free": "toll_free",
    "short_code": "short_code",
    "alphanumeric": "alphanumeric",
    "destination": "destination",
    "short_destination": "short_destination",
}


def upstream_options(name: str, given: UpstreamSettings, callback_url: str | None) -> UpstreamOptions:
    """An upstream as it is set. Raises `ValueError` for what cannot be."""
    return UpstreamOptions(
        name=name,
        base_url=given.base_url,
        api_key=given.api_key,
        messaging_profile_id=given.messaging_profile_id or None,
        callback_url=callback_url,
        public_keys=given.public_key,
        window=given.window,
        timeout=given.timeout,
        repeat_safe=given.repeat_safe,
        mms=given.mms,
        fetch_media=given.fetch_media,
    )


def _carriers(
    settings: Settings, store: Store, http: OutgoingHttp
) -> tuple[Sequence[Carrier], SandboxCarrier | None, Mapping[str, UpstreamWebhooks]]:
    sandbox = (
        SandboxCarrier(store.sandbox, store.clock, _sandbox_options(settings)) if settings.sandbox.enabled else None
    )
    carriers: list[Carrier] = [sandbox] if sandbox else []
    receivers: dict[str, UpstreamWebhooks] = {}
    for name, given in settings.carriers.items():
        if isinstance(given, SmppSettings):
            carriers.append(SmppCarrier(smpp_options(name, given), store.parts, store.clock))
            continue
        upstream = UpstreamCarrier(upstream_options(name, given, settings.callback_url(given)), http, store.clock)
        carriers.append(upstream)
        receivers[name] = upstream.webhooks
    return carriers, sandbox, receivers


def _sends(settings: Settings, carrier: str) -> bool:
    own = settings.carriers.get(carrier)
    return own is None or own.sends


def _may_be_asked(settings: Settings, carrier: str) -> bool:
    own = settings.carriers[carrier]
    return isinstance(own, SmppSettings) and own.query


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
