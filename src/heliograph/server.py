"""The composition root: settings in, a running service out.

    settings -> store -> carrier -> dispatcher, upkeep -> API -> HTTP

Everything is started in that order and stopped in the reverse. A process may run a part of it (`Role`): the API and
what sends meet in the store only.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import msgspec
import uvicorn
from starlette.types import ASGIApp

from heliograph import randomness
from heliograph.api.app import create_app, create_health_app
from heliograph.api.auth import key_text, secret_hash
from heliograph.api.connection import HttpProtocol
from heliograph.api.context import ApiContext, Billing
from heliograph.api.context import Sandbox as SandboxRoutes
from heliograph.api.links import link_bases
from heliograph.api.request_limits import RequestLimits
from heliograph.carrier_settings import SANDBOX
from heliograph.dispatch.time_travel import TimeTravel
from heliograph.domain.accounts import NumberPool, Organization, Profile, ProfileSettings, Sender
from heliograph.domain.compose import Tables, check_url
from heliograph.domain.delivery import Tries
from heliograph.domain.errors import Refusal
from heliograph.domain.events import EventType
from heliograph.domain.ids import OrganizationId, ProfileId
from heliograph.domain.nodes import Role
from heliograph.domain.numbers import NumberDirectory, parse_overrides
from heliograph.domain.pricing import parse_amount, parse_rates
from heliograph.domain.request_rate import RequestRate
from heliograph.domain.schedule import ScheduleRules
from heliograph.domain.senders import own_sender
from heliograph.domain.signing_keys import keys_at
from heliograph.jobs.handlers import HANDLERS
from heliograph.jobs.runner import JobRunner
from heliograph.log import get_logger
from heliograph.outgoing import OutgoingHttp
from heliograph.presence import Presence, this_process
from heliograph.service import Service
from heliograph.settings import Settings
from heliograph.store.accounts import ApiKey
from heliograph.store.engine import Engine, StoreUnavailable, open_engine
from heliograph.store.health import require_answer
from heliograph.store.pace import take_requests
from heliograph.store.partitions import Partitions
from heliograph.store.schema import SchemaState, migrate, require_usable, schema_state
from heliograph.store.sqlite import SqliteEngine
from heliograph.store.store import Store
from heliograph.webhooks.sender import WebhookOptions, WebhookSender
from heliograph.webhooks.signing import public_key
from heliograph.wiring import Wiring, outgoing_options, wire

logger = get_logger("server")

KEEP_ALIVE = 75
"""Seconds that an idle connection is kept: longer than clients and proxies keep theirs, so that they close first."""
_VANISHED = {"TCP_KEEPIDLE": KEEP_ALIVE, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""When the system takes a client for gone that acknowledges nothing. uvicorn bounds the time between two requests only:
who vanishes within one would be waited for without end."""
_BACKLOG = 2048
SANDBOX_ORGANIZATION = "Sandbox"
SANDBOX_NUMBERS = ("+18445550001", "+18445550002")
"""The sending numbers of the provider's own examples, which run unchanged."""


class CannotServe(Exception):
    """The server cannot be started; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that accepts requests, or works without any."""

    base_url: str
    """Empty for a worker that listens nowhere."""
    store: Store
    api_key: str | None = None
    messaging_profile_id: str | None = None
    from_number: str | None = None
    webhook_public_key: str | None = None
    """What a receiver verifies webhooks with."""

    def ready(self) -> dict[str, str]:
        """What the ready file holds: where the server is and, in the sandbox, what to call it with."""
        told = {
            "base_url": self.base_url,
            "api_key": self.api_key,
            "messaging_profile_id": self.messaging_profile_id,
            "from_number": self.from_number,
            "webhook_public_key": self.webhook_public_key,
        }
        return {name: value for name, value in told.items() if value}


def open_store(settings: Settings) -> Store:
    """The store that the settings name; nothing is asked of the database yet."""
    database = settings.database
    engine = open_engine(
        database.url,
        pool_size=database.pool_size,
        connect_timeout=database.connect_timeout / 1_000_000,
        sandbox=settings.sandbox.enabled,
    )
    optional = {
        EventType.SCHEDULED: settings.webhooks.scheduled_event,
        EventType.CANCELLED: settings.webhooks.cancelled_event,
    }
    return Store(
        engine,
        optional_events=[event for event, wanted in optional.items() if wanted],
        account_wide_opt_outs=settings.opt_outs.scope == "account",
        campaign_required=settings.registration.required,
        max_lead=settings.schedule.max_lead,
    )


def load_tables(settings: Settings) -> Tables:
    """Rates and number facts. Raises `BadTable` with every bad line, and `CannotServe` for an unreadable file."""
    rates = _read(settings.numbers.rates_file) or (
        resources.files("heliograph").joinpath("data/rates.csv").read_text(encoding="utf-8")
    )
    facts = _read(settings.numbers.facts_file)
    overrides = parse_overrides(facts, settings.numbers.facts_file) if facts else {}
    return Tables(parse_rates(rates, settings.numbers.rates_file or "data/rates.csv"), NumberDirectory(overrides))


def _read(path: str) -> str | None:
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotServe(f"{path} cannot be read: {error}") from error


@asynccontextmanager
async def running(
    settings: Settings, role: Role = Role.SERVE, listening: socket.socket | None = None
) -> AsyncIterator[Running]:
    """A server for as long as the context lasts; it has stopped, with nothing in hand, when the context is left.

    It serves where the settings say, unless it is given a socket; a worker serves only with such a one.
    Raises `CannotServe`, `UnusableSchema`, `BadTable` and `StoreUnavailable`.
    """
    tables = load_tables(settings)
    _check_webhook_url(settings.sandbox.webhook_url)
    _check_role(role, settings.database.url)
    if listening is None and role is not Role.WORKER:
        listening = listen(settings)
    store = open_store(settings)
    try:
        await _prepare(store.engine, settings.database.url)
        async with started([store]), _serving(settings, store, tables, role, listening) as base_url:
            yield await introduce(store, settings, base_url, role)
    finally:
        if listening is not None:
            listening.close()
        await store.engine.close()


def _check_role(role: Role, database: str) -> None:
    if role is not Role.SERVE and database.startswith("sqlite:"):
        raise CannotServe(
            f"'heliograph {role.value}' shares its database with other processes, and SQLite is for one: "
            "name a PostgreSQL database, or run 'heliograph serve', which does everything."
        )


@asynccontextmanager
async def _serving(
    settings: Settings, store: Store, tables: Tables, role: Role, listening: socket.socket | None
) -> AsyncIterator[str]:
    parts = assemble(settings, store, tables)
    base_url = "" if listening is None else address(settings, listening)
    own = base_url if settings.sandbox.enabled else None
    domains = link_bases(settings.links.domains, settings.links.public_scheme, own)
    carriers = ", ".join(_carriers(settings)) or "none"
    said = {"role": role.value, "base_url": base_url, "carriers": carriers}
    presence = presence_of(store, parts, role)
    context = replace(parts.context, link_bases=domains)
    app = create_health_app(store.engine) if role is Role.WORKER else create_app(context)
    http = [] if listening is None else [_Http(app, listening)]
    working = [parts.wiring.accepting] if role is Role.API else parts.working
    async with started([presence, *working, *http]):
        logger.info("the server has started", action="started", **said)
        try:
            yield base_url
        finally:
            logger.info("the server is stopping", action="stopping", **said)
    logger.info("the server has stopped", action="stopped", **said)


def presence_of(store: Store, parts: "Parts", role: Role) -> Presence:
    """Who tells the other processes of this one, by what it is made of."""
    names = () if role is Role.API else tuple(each.name for each in parts.wiring.carriers)
    return Presence(store, this_process(parts.node, role, names), parts.wiring.in_hand)


def _carriers(settings: Settings) -> Sequence[str]:
    """As an operator knows them: by name and kind."""
    sandbox = [SANDBOX] if settings.sandbox.enabled else []
    return [*sandbox, *(f"{name} ({each.kind})" for name, each in settings.carriers.items())]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a server is made of."""

    node: str
    """The id of this process."""
    wiring: Wiring
    working: Sequence[Service]
    """Everything with a loop but the API, in the order of starting."""
    context: ApiContext


def assemble(settings: Settings, store: Store, tables: Tables) -> Parts:
    """What sends, and what the API works with.

    Without a carrier messages are taken and kept, nothing is claimed, and what waits past its validity expires.
    """
    node = randomness.new_id(store.clock.now())
    http = OutgoingHttp(outgoing_options(settings))
    webhooks = WebhookSender(store, http, _webhook_options(settings))
    store.outbox.announced = webhooks.wake
    try:
        wiring = wire(settings, store, tables, node)
    except ValueError as error:
        raise CannotServe(f"A carrier cannot be used: {error}") from error
    if not wiring.carriers:
        logger.warning("no carrier is configured: messages are taken, and none is sent", action="no_carrier")
    store.messages.released = wiring.wake
    jobs = JobRunner(store, HANDLERS)
    store.jobs.added = jobs.wake
    context = ApiContext(
        store=store,
        tables=tables,
        rules=schedule_rules(settings),
        validity=settings.dispatch.validity,
        retention=settings.retention.messages,
        max_body=settings.http.max_body_bytes,
        released=wiring.wake,
        sandbox=_sandbox_routes(store, wiring, webhooks, jobs),
        planner=wiring.planner,
        receivers=wiring.receivers,
        registration_required=settings.registration.required,
        billing=_billing(settings),
        public_url=settings.http.public_url,
        own_numbers=settings.numbers.self_service,
        limits=_request_limits(settings, store),
    )
    return Parts(node, wiring, [http, webhooks, *wiring.services, jobs], context)


def _billing(settings: Settings) -> Billing:
    return Billing(parse_amount(settings.billing.opening_balance), parse_amount(settings.billing.credit_limit))


def _request_limits(settings: Settings, store: Store) -> RequestLimits | None:
    limit = settings.http.requests_per_second
    if not limit:
        return None
    rate = RequestRate(limit)
    return RequestLimits(rate, lambda key_id: take_requests(store.engine, key_id, rate))


def _sandbox_routes(store: Store, wiring: Wiring, webhooks: WebhookSender, jobs: JobRunner) -> SandboxRoutes | None:
    """The test clock settles only what is simulated: a real carrier goes by its own time."""
    carrier = wiring.sandbox
    if carrier is None:
        return None
    mine = [each.settle for each in wiring.dispatchers if each.carrier is carrier]
    simulated = [*mine, carrier.deliver_receipts, webhooks.settle, jobs.settle]
    travel = TimeTravel(store, [wiring.upkeep.tidy, *simulated, wiring.number_health.check])
    return SandboxRoutes(travel.advance, carrier.send_from_handset)


def http_config(app: ASGIApp) -> uvicorn.Config:
    """How uvicorn serves the API; a benchmark serves its echo the same way."""
    return uvicorn.Config(
        app,
        http=HttpProtocol,
        loop="none",
        ws="none",
        lifespan="off",
        access_log=False,
        proxy_headers=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=10,
        timeout_keep_alive=KEEP_ALIVE,
    )


class _Http:
    """uvicorn as a service."""

    def __init__(self, app: ASGIApp, listening: socket.socket) -> None:
        self._server = _Uvicorn(http_config(app))
        self._listening = listening
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._server.serve([self._listening]), name="http")
        while not self._server.started:
            await asyncio.wait([self._task], timeout=0.005)
            if self._task.done():
                raise CannotServe("The HTTP server did not start.") from self._task.exception()

    async def stop(self) -> None:
        if self._task is not None:
            self._server.should_exit = True
            await self._task
            self._task = None


class _Uvicorn(uvicorn.Server):
    """uvicorn without its signal handlers: the command line has its own."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def started(services: Sequence[Service]) -> AsyncIterator[None]:
    """Services that run, in the order of starting, for as long as the context lasts; raises what any of them raised."""
    begun: list[Service] = []
    try:
        for service in services:
            await service.start()
            begun.append(service)
        yield
    except BaseException:
        await _stop(begun)
        raise
    if failed := await _stop(begun):
        raise failed


async def _stop(begun: Sequence[Service]) -> Exception | None:
    """Stop everything in the reverse order of starting, whatever becomes of each; the first error."""
    errors = []
    for service in reversed(begun):
        try:
            await service.stop()
        except Exception as error:
            logger.exception("a service did not stop as it should", action="stop_failed", service=_named(service))
            errors.append(error)
    return errors[0] if errors else None


def _named(service: Service) -> str:
    return str(getattr(service, "name", type(service).__name__))


async def _prepare(engine: Engine, url: str) -> None:
    """An empty SQLite file is made ready here; anything else waits for the operator's `heliograph migrate`."""
    await require_answer(engine)
    if isinstance(engine, SqliteEngine) and await schema_state(engine) is SchemaState.EMPTY:
        await migrate(url)
    await require_usable(engine)
    with suppress(StoreUnavailable):  # a lock that is not to be had now: whoever clears up tries again
        await engine.synchronize_clock()
        await Partitions(engine).make_ahead()


def listen(settings: Settings) -> socket.socket:
    """Listen where the settings say. Raises `CannotServe`."""
    listening = _bound(settings, settings.http.port, shared=False)
    listening.listen(_BACKLOG)
    return listening


def share(settings: Settings, port: int) -> socket.socket:
    """A socket at an address that others of this user share (SO_REUSEPORT); it does not listen before it is served.

    The kernel spreads new connections over those that listen. Raises `CannotServe`.
    """
    return _bound(settings, port, shared=True)


def _bound(settings: Settings, port: int, *, shared: bool) -> socket.socket:
    host = settings.http.host
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Each connection that is accepted inherits these.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, seconds in _VANISHED.items():
            if hasattr(socket, name):
                bound.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise CannotServe(f"Cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}.") from error
    return bound


def address(settings: Settings, listening: socket.socket) -> str:
    """The URL of what is listened on."""
    host = settings.http.host
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listening.getsockname()[1]}"


async def introduce(store: Store, settings: Settings, base_url: str, role: Role) -> Running:
    """In the sandbox, a first organisation and a new key for this start; elsewhere only the address."""
    if not settings.sandbox.enabled or role is not Role.SERVE:
        await store.webhook_keys.ensure_all(store.clock.now())
        return Running(base_url, store)
    organization, profile = await _sandbox_account(store)
    await store.webhook_keys.ensure_all(store.clock.now())
    if settings.sandbox.webhook_url:
        await _report_to(store, profile, settings.sandbox.webhook_url)
    key = await new_key(store, organization, "sandbox")
    signing = keys_at(await store.webhook_keys.of(organization.id, store.clock.now()), store.clock.now())
    return Running(base_url, store, key, profile.id, SANDBOX_NUMBERS[0], public_key(signing.signer))


def _check_webhook_url(url: str) -> None:
    """Before anything is written. Raises `CannotServe` for a text that is no URL."""
    try:
        check_url(url or None, "/webhook_url")
    except Refusal as refusal:
        raise CannotServe(f"sandbox.webhook_url: {refusal.detail}") from None


async def _report_to(store: Store, profile: Profile, url: str) -> None:
    """Give the sandbox's profile the URL that was asked for at the start."""

    def change(before: Profile) -> Profile:
        settings = msgspec.structs.replace(before.settings, webhook_url=url)
        return replace(before, settings=settings, updated_at=store.clock.now())

    await store.changes.change_profile(profile.organization_id, profile.id, change)


async def new_key(store: Store, organization: Organization, name: str) -> str:
    """Make a key, and return it as its owner sees it: once, for only its hash is stored."""
    key_id, secret = randomness.key_id(), randomness.secret()
    now = store.clock.now()
    await store.changes.create_key(ApiKey(key_id, organization, name, secret_hash(secret), now))
    return key_text(key_id, secret)


async def _sandbox_account(store: Store) -> tuple[Organization, Profile]:
    organization = await store.listing.organization(SANDBOX_ORGANIZATION)
    if organization is None:
        organization = await _make_sandbox_account(store)
    sender = await store.accounts.sender(organization.id, SANDBOX_NUMBERS[0])
    if sender is None or sender.profile_id is None:
        raise CannotServe(f"{SANDBOX_NUMBERS[0]} is no longer a number of the organisation {SANDBOX_ORGANIZATION}.")
    profile = await store.accounts.profile(organization.id, sender.profile_id)
    if profile is None:
        raise CannotServe(f"The messaging profile of {SANDBOX_NUMBERS[0]} is gone.")
    return organization, profile


async def _make_sandbox_account(store: Store) -> Organization:
    now = store.clock.now()
    organization = Organization(OrganizationId(randomness.new_id(now)), SANDBOX_ORGANIZATION)
    pool = NumberPool(long_code_weight=1, toll_free_weight=1, skip_unhealthy=False)
    settings = ProfileSettings(number_pool_settings=pool, v1_secret=randomness.secret())
    profile = Profile(ProfileId(randomness.new_id(now)), organization.id, "Sandbox", settings, now, now)
    await store.changes.create_organization(organization, now)
    await store.changes.save_profile(profile)
    for number in SANDBOX_NUMBERS:
        await store.changes.add_sender(new_sender(store, profile, number), now)
    logger.info("made a first organisation", action="sandbox_account", organization_id=organization.id)
    return organization


def new_sender(store: Store, profile: Profile, address: str) -> Sender:
    """A sender of a profile with our own description of it. Raises `BadAddress`."""
    return own_sender(randomness.new_id(store.clock.now()), profile.organization_id, profile.id, address)


def schedule_rules(settings: Settings) -> ScheduleRules:
    """The bounds for organisations that have none of their own."""
    schedule = settings.schedule
    return ScheduleRules(schedule.min_lead, schedule.max_lead, schedule.cancel_cutoff, schedule.max_pending)


def _webhook_options(settings: Settings) -> WebhookOptions:
    webhooks = settings.webhooks
    return WebhookOptions(
        timeout=webhooks.timeout,
        timeout_v1=webhooks.timeout_v1,
        tries=Tries(webhooks.tries, webhooks.retry_base, webhooks.retry_max),
        window=webhooks.window,
        endpoint_window=webhooks.endpoint_window,
        lease=webhooks.lease,
        poll_interval=webhooks.poll_interval,
    )


def write_ready_file(path: Path, told: Mapping[str, str]) -> None:
    """Say that it works; whoever waits for the file never sees half of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(told)) + b"\n")
    partial.replace(path)
