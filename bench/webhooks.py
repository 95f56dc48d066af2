"""Deliveries of events to a receiver on this machine, beside a bare loop of the same HTTP client.

The deliveries are real: messages were taken, sent and delivered before, so each has its row, its payload to make, its
signatures, its attempt to record. The bare loop posts the bytes of one such request again and again, as many at a time.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import uvloop

from bench.measure import ROOT, Options, show_table, spread
from bench.service import SENDER, new_database
from heliograph import randomness
from heliograph.domain.accounts import Organization, Profile, ProfileSettings
from heliograph.domain.delivery import Tries
from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.instant import HOUR, SECOND, Instant
from heliograph.domain.lifecycle import Change, Status
from heliograph.domain.message import Facts, Message, MessageType
from heliograph.domain.text import Encoding
from heliograph.outgoing import OutgoingHttp, OutgoingOptions
from heliograph.server import open_store
from heliograph.settings import load
from heliograph.store.claims import Claim
from heliograph.store.messages import Acceptance, Accepted
from heliograph.store.outcomes import Outcome
from heliograph.store.schema import migrate
from heliograph.store.store import Store
from heliograph.webhooks.sender import WebhookOptions, WebhookSender

AT_ONCE = 64
EVENTS = 4_000
"""Deliveries of one turn."""
_MAX_PENDING = 1 << 40
_BODY = b'{"data":' + b'{"event_type":"message.sent","payload":"' + b"x" * 1_050 + b'"},"meta":{"attempt":1}}'


@dataclass(slots=True)
class _Turns:
    rates: list[float]
    costs: list[float]
    """Processor time of this process for each delivery, in microseconds."""


def run(options: Options) -> None:
    """A table for each database."""
    with ExitStack() as until_end:
        port = until_end.enter_context(receiver())
        for each in options.databases:
            uvloop.run(_measure(each, new_database(each, options, until_end), options, port))


@contextmanager
def receiver() -> Iterator[int]:
    """The port of a receiver."""
    command = [sys.executable, "-m", "bench.receiver"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


async def _measure(name: str, url: str, options: Options, port: int) -> None:
    await migrate(url)
    store = open_store(load(None, {}, {"database.url": url}))
    await store.start()
    http = OutgoingHttp(OutgoingOptions(loopback=True))
    await http.start()
    try:
        profile = await _account(store, f"http://127.0.0.1:{port}/hook")
        bare, ours, ratios = _Turns([], []), _Turns([], []), []
        for _ in range(options.rounds):
            _add(bare, *await _bare(http, port, options.seconds / 2))
            await _prepare(store, profile)
            _add(ours, *await _deliver(store, http))
            await _check(http, port)
            ratios.append(ours.rates[-1] / bare.rates[-1])
    finally:
        await http.stop()
        await store.stop()
    rows = [
        ["bare loop of the client", f"{spread(bare.rates):,.0f}", f"{spread(bare.costs):.0f}", "1"],
        ["deliveries", f"{spread(ours.rates):,.0f}", f"{spread(ours.costs):.0f}", f"{spread(ratios):.2f}"],
    ]
    head = ["", "a second", "us of this process", "to the loop"]
    show_table(f"Webhooks, {name}: {AT_ONCE} at once to one endpoint", head, rows)


def _add(turns: _Turns, rate: float, cost: float) -> None:
    turns.rates.append(rate)
    turns.costs.append(cost)


async def _bare(http: OutgoingHttp, port: int, seconds: float) -> tuple[float, float]:
    url, headers = f"http://127.0.0.1:{port}/hook", {"Content-Type": "application/json"}
    end, count = time.perf_counter() + seconds, 0

    async def post() -> None:
        nonlocal count
        while time.perf_counter() < end:
            answer = await http.post(url, _BODY, headers, timeout=10 * SECOND)
            count += answer.status == 200

    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(post() for _ in range(AT_ONCE)))
    return count / (time.perf_counter() - began), 1_000_000 * (time.process_time() - used) / count


async def _account(store: Store, url: str) -> Profile:
    now = store.clock.now()
    organization = Organization(OrganizationId(randomness.new_id(now)), "Benchmark")
    settings = ProfileSettings(webhook_url=url)
    profile = Profile(ProfileId(randomness.new_id(now)), organization.id, "Benchmark", settings, now, now)
    await store.changes.create_organization(organization, now)
    await store.changes.save_profile(profile)
    await store.accounts.refresh()
    return profile


async def _prepare(store: Store, profile: Profile) -> None:
    """Take messages and have a carrier accept them: one `message.sent` each."""
    messages = [_message(store, profile) for _ in range(EVENTS)]
    epoch = store.accounts.epoch
    taken = await asyncio.gather(*(store.accept(Acceptance([each], epoch, _MAX_PENDING)) for each in messages))
    if any(answer.outcome is not Accepted.TAKEN for answer in taken):
        raise SystemExit("not every message was taken")
    token = randomness.new_id(store.clock.now())
    claimed: list[Message] = []
    while len(claimed) < EVENTS:  # by the database's clock the last ones may be due a moment later than by ours
        claimed += (await store.claim(Claim(token, "bench", EVENTS, HOUR))).messages
    now = store.clock.now()
    outcomes = [Outcome(each.id, token, Change.ACCEPT, now, left_at=now, ids=(f"bench-{each.id}",)) for each in claimed]
    if sum(await asyncio.gather(*(store.record(each) for each in outcomes))) != EVENTS:
        raise SystemExit("not every outcome was recorded")


def _message(store: Store, profile: Profile) -> Message:
    now = store.clock.now()
    return Message(
        id=MessageId(randomness.new_id(now)),
        organization_id=profile.organization_id,
        profile_id=profile.id,
        type=MessageType.SMS,
        status=Status.QUEUED,
        sender=SENDER,
        recipient="+18665550001",
        text="Hello, World!",
        parts=1,
        rate=205,
        carrier_fee=305,
        received_at=now,
        send_at=None,
        due_at=now,
        valid_until=Instant(now + HOUR),
        facts=Facts(Encoding.GSM7, 13),
        carrier="bench",
    )


async def _deliver(store: Store, http: OutgoingHttp) -> tuple[float, float]:
    sender = WebhookSender(
        store,
        http,
        WebhookOptions(
            timeout=10 * SECOND,
            timeout_v1=10 * SECOND,
            tries=Tries(3, SECOND, HOUR),
            window=AT_ONCE,
            endpoint_window=AT_ONCE,
            lease=60 * SECOND,
            poll_interval=SECOND // 5,
        ),
    )
    began, used = time.perf_counter(), time.process_time()
    await sender.settle()
    return EVENTS / (time.perf_counter() - began), 1_000_000 * (time.process_time() - used) / EVENTS


async def _check(http: OutgoingHttp, port: int) -> None:
    """Every event was delivered, each once."""
    answer = await http.request("GET", f"http://127.0.0.1:{port}/", headers={}, timeout=10 * SECOND)
    different = int(answer.body.split()[1])
    if different != EVENTS:
        raise SystemExit(f"{EVENTS} events were due, {different} came")
