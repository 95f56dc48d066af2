"""STOP against the due instant, against sends and against cancels; kill -9 while people write (P1 to P5)."""

import asyncio
import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
from msgspec.structs import replace
from sqlalchemy import Select, select

from heliograph import randomness
from heliograph.clock import SystemClock
from heliograph.domain.errors import Code
from heliograph.domain.events import EventType
from heliograph.domain.ids import MessageId
from heliograph.domain.inbound import InboundFacts, InboundMessage, Operation
from heliograph.domain.instant import MILLISECOND, SECOND, Instant
from heliograph.domain.lifecycle import Change, Status
from heliograph.domain.message import Message, MessageType
from heliograph.domain.text import Encoding
from heliograph.server import SANDBOX_ORGANIZATION
from heliograph.store.engine import Row, open_engine
from heliograph.store.inbound import RECEIVE, Received, Reception
from heliograph.store.messages import MESSAGE_COLUMNS, Acceptance, Accepted, Cancellation, to_message
from heliograph.store.schema import migrate
from heliograph.store.store import Store
from heliograph.store.tables import inbound_messages, message_events, opt_outs, webhook_deliveries
from tests.chaos.auditor import Answer, Expected, Handed, Story, audit, audit_pending, require_kept
from tests.chaos.evidence import Ledger, pending, read_record, reading, settled, summary
from tests.chaos.servers import Server, quick, serving
from tests.chaos.workload import NO_LIMIT, ORGANIZATION, PROFILE, Node, Witness, cluster, new_message, until

SENT = frozenset({Status.SENT})
NOWHERE = "http://127.0.0.1:9/hook"
PEOPLE = 300
SPREAD = 3 * SECOND
"""Over how long the STOPs are spread."""
WINDOW = 60 * MILLISECOND
"""How far from a person's STOP everything else about them happens, at most, to either side."""
CLIENTS = 24
CRASHES = 2


@dataclass
class Told:
    """What people and senders were answered, by the clock of the machine."""

    clock: SystemClock = field(default_factory=SystemClock)
    stopped_at: dict[str, Instant] = field(default_factory=dict)
    """When a person's first STOP was acknowledged."""
    stopped: set[MessageId] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    """Messages that were not taken, by person."""
    late: list[str] = field(default_factory=list)
    """Messages that were asked for after the STOP was acknowledged, and taken."""


async def test_after_a_stop_nothing_leaves_but_what_was_claimed_before(
    prepared_database_url: str, chance: Random, scale: int
) -> None:
    await migrate(prepared_database_url)
    carrier, ledger, told = Witness(), Ledger(), Told()
    async with cluster(prepared_database_url, carrier, nodes=2, dispatchers=2) as nodes:
        for round_ in range(scale):
            people = [f"+1773{2_000_000 + round_ * PEOPLE + index}" for index in range(PEOPLE)]
            await race(people, nodes, ledger, told, chance)
        store = nodes[0].store
        await settled(store, SENT)
        stories = await gather(store, ledger, carrier.handed)
        violations = audit([excused(each) for each in stories], Expected(unfinished=SENT))
        violations += audit_pending(stories, await pending(store))
        claims = await claimed_at(store)
        finalized = await announced(store, EventType.FINALIZED)
    print(summary(ledger, stories), f"refused {told.refused.total()}")
    require_kept(violations)
    assert told.late == []
    assert [each.message_id for each in stories if left_after_stop(each, told, claims)] == []
    require_explained(stories, finalized)
    require_one_reply(stories, told)
    require_all_won(stories, told)


async def race(people: Sequence[str], nodes: Sequence[Node], ledger: Ledger, told: Told, chance: Random) -> None:
    """Schedule messages to people, and let each of them write STOP about when theirs fall due."""
    first = told.clock.now() + 3 * SECOND
    moments = {person: Instant(first + chance.randrange(SPREAD)) for person in people}
    scheduled = await asyncio.gather(
        *(
            _send(nodes, ledger, told, chance, person, _near(moment, chance))
            for person, moment in 3 * [*moments.items()]
        )
    )
    assert told.clock.now() < first - WINDOW, "the messages were due before the race began"
    async with asyncio.TaskGroup() as contenders:
        for message in scheduled[:PEOPLE]:
            moment = moments[message.recipient]
            contenders.create_task(_cancel(nodes, ledger, told, chance, message, moment))
        for person, moment in moments.items():
            for _ in range(chance.randint(1, 2)):
                contenders.create_task(_stop(nodes, told, chance, person, moment))
            for send_at in (None, _near(Instant(moment + 2 * WINDOW), chance)):
                contenders.create_task(_send_about(nodes, ledger, told, chance, person, moment, send_at))


def _near(moment: Instant, chance: Random) -> Instant:
    return Instant(moment + chance.randint(-WINDOW, WINDOW))


async def _send_about(
    nodes: Sequence[Node],
    ledger: Ledger,
    told: Told,
    chance: Random,
    person: str,
    moment: Instant,
    send_at: Instant | None,
) -> None:
    await until(_near(moment, chance), told.clock)
    await _send(nodes, ledger, told, chance, person, send_at)


async def _send(
    nodes: Sequence[Node], ledger: Ledger, told: Told, chance: Random, person: str, send_at: Instant | None
) -> Message:
    """Ask for a message to a person, with a URL of its own to tell what became of it."""
    store, stopped = chance.choice(nodes).store, person in told.stopped_at
    message = new_message(store.clock.now(), send_at)
    facts = replace(message.facts, own_webhooks=True, webhook_url=NOWHERE)
    message = replace(message, recipient=person, facts=facts)
    answer = (await store.accept(Acceptance([message], store.accounts.epoch, NO_LIMIT))).outcome
    if answer is Accepted.TAKEN:
        await ledger.took(message.id)
        told.late += [message.id] * stopped
    else:
        assert answer is Accepted.OPTED_OUT
        told.refused[person] += 1
    return message


async def _stop(nodes: Sequence[Node], told: Told, chance: Random, person: str, moment: Instant) -> None:
    store = chance.choice(nodes).store
    await until(_near(moment, chance), told.clock)
    now = store.clock.now()
    message = new_stop(person, now)
    reply = replace(new_message(now, None), recipient=person, answers=message.id)
    cancel_pending = chance.random() < 0.7
    asked = Reception(message, store.accounts.epoch, "STOP", reply, cancel_pending)
    assert await store.receive(asked) is Received.KEPT
    told.stopped_at.setdefault(person, told.clock.now())
    told.stopped.add(message.id)


def new_stop(person: str, now: Instant) -> InboundMessage:
    """A STOP as a receptionist makes it."""
    return InboundMessage(
        id=MessageId(randomness.new_id(now)),
        organization_id=ORGANIZATION,
        profile_id=PROFILE,
        type=MessageType.SMS,
        sender=person,
        recipient="+18445550001",
        text="STOP",
        parts=1,
        received_at=now,
        carrier="witness",
        facts=InboundFacts(Encoding.GSM7, 4),
        operation=Operation.STOP,
    )


async def _cancel(
    nodes: Sequence[Node], ledger: Ledger, told: Told, chance: Random, message: Message, moment: Instant
) -> None:
    # With less than no cut-off a message may be cancelled while it is being claimed.
    cutoff = chance.choice((0, -SECOND))
    await until(_near(moment, chance), told.clock)
    for node in chance.sample(nodes, 2):
        asked = Cancellation(ORGANIZATION, message.id, cutoff, node.store.accounts.epoch)
        answer = await node.store.cancel(asked)
        assert answer.message is not None
        cancelled = answer.message.status is Status.CANCELLED
        await ledger.cancelled(message.id, Answer.CANCELLED if cancelled else Answer.REFUSED)


async def gather(store: Store, ledger: Ledger, handed: Sequence[Handed]) -> list[Story]:
    """The story of every message that was sent; what came in has a log too, and is none of them."""
    rows = map(to_message, await store.engine.fetch(select(*MESSAGE_COLUMNS)))
    stories: dict[str, Story] = {str(row.id): Story(row.id, row=row) for row in rows}
    for message_id in ledger.acknowledged:
        stories.setdefault(message_id, Story(message_id)).acknowledged = True
    for message_id, answers in ledger.cancels.items():
        stories[message_id].cancels = answers
    for each in handed:
        stories.setdefault(each.message_id, Story(each.message_id)).handed.append(each)
    log = message_events.c
    for row in await store.engine.fetch(select(log.message_id, log.change, log.status).order_by(log.id)):
        if row["change"] != RECEIVE:
            stories[str(row["message_id"])].log.append((Change(row["change"]), Status(row["status"])))
    return list(stories.values())


async def claimed_at(store: Store) -> dict[str, Instant]:
    """When each message was last claimed, by the database's clock."""
    log = message_events.c
    rows = await store.engine.fetch(select(log.message_id, log.at).where(log.change == Change.CLAIM.value))
    return {str(row["message_id"]): Instant(row["at"]) for row in rows}


async def announced(store: Store, event: EventType) -> Counter[str]:
    """How many deliveries of an event each message has."""
    kept = webhook_deliveries.c
    rows = await store.engine.fetch(select(kept.message_id).where(kept.event_type == event.value))
    return Counter(str(row["message_id"]) for row in rows)


def withheld(story: Story) -> bool:
    """Whether it was kept from the carrier at its release."""
    row = story.row
    return row is not None and row.status is Status.SENDING_FAILED and [each.code for each in row.errors] == [_BLOCKED]


def called_off(story: Story) -> bool:
    """Whether a STOP cancelled it."""
    return [change for change, _ in story.log] == [Change.OPT_OUT]


_BLOCKED = Code.OPTED_OUT.value


def excused(story: Story) -> Story:
    """A story as the auditor knows them.

    A STOP cancels also what it was too late to cancel for its sender. And what is withheld was never given to a
    carrier, which in any other story would mean that its failure was made up.
    """
    handed, cancels = story.handed, story.cancels
    if called_off(story):
        cancels = [each for each in cancels if each is Answer.CANCELLED]
    if withheld(story) and not handed:
        handed = [Handed(story.message_id, 1)]
    return Story(story.message_id, story.acknowledged, cancels, handed, story.row, story.log)


def left_after_stop(story: Story, told: Told, claims: dict[str, Instant]) -> bool:
    """Whether it was given to the carrier though it was claimed after its recipient was told that it would not be."""
    row = story.row
    if row is None or row.answers is not None or not story.handed:
        return False
    return claims[story.message_id] > told.stopped_at[row.recipient] or withheld(story)


def require_explained(stories: Sequence[Story], finalized: Counter[str]) -> None:
    """What a STOP cancelled says so, and its end was told once; what its sender cancelled was told to nobody."""
    for story in stories:
        assert story.row is not None
        blocked = [each.code for each in story.row.errors] == [_BLOCKED]
        assert blocked == (called_off(story) or withheld(story)), story
        assert finalized[story.message_id] == blocked, story


def require_one_reply(stories: Sequence[Story], told: Told) -> None:
    """However many STOPs a person wrote, at whatever nodes, one was answered, and the answer left once."""
    replies = [story for story in stories if story.row is not None and story.row.answers is not None]
    people = Counter(story.row.recipient for story in replies if story.row is not None)
    assert people == dict.fromkeys(told.stopped_at, 1)
    assert {story.row.answers for story in replies if story.row is not None} <= told.stopped
    assert {len(story.handed) for story in replies} == {1}


def require_all_won(stories: Sequence[Story], told: Told) -> None:
    """Where one side always wins nothing was raced."""
    by_change = Counter(story.log[-1][0] for story in stories if story.log)
    won = {
        "called off": sum(map(called_off, stories)),
        "withheld": sum(map(withheld, stories)),
        "cancelled": by_change[Change.CANCEL],
        "sent": by_change[Change.ACCEPT] - len(told.stopped_at),
        "not taken": told.refused.total(),
    }
    print(won)
    assert min(won.values()) > len(told.stopped_at) // 50, won


TEXTS = {"STOP": Operation.STOP, "Help": Operation.HELP, "start": Operation.START, "On my way": None}


@dataclass
class Written:
    """What people wrote: who, what, and the id it was acknowledged with; None where no answer came."""

    requests: dict[str, str] = field(default_factory=dict)
    acknowledged: dict[str, str] = field(default_factory=dict)
    people: Iterator[int] = field(default_factory=lambda: count(2_000_000))


async def test_what_a_killed_server_acknowledged_is_kept_once_with_all_that_follows(
    prepared_database_url: str, tmp_path: Path, chance: Random, scale: int
) -> None:
    await migrate(prepared_database_url)
    record, ledger, written = tmp_path / "record", Ledger(), Written()
    settings = quick(record, WEBHOOKS__TRIES="1")
    async with serving(prepared_database_url, settings) as (server,), reading(prepared_database_url) as store:
        await give_url(prepared_database_url)
        await flood(server, ledger, written, chance, CRASHES * scale)
        await settled(store)
        stories = await gather(store, ledger, read_record(record))
        kept = await store.engine.fetch(select(*inbound_messages.c))
        arrivals = await _ids(store, select(message_events.c.message_id).where(message_events.c.change == RECEIVE))
        held = await _ids(store, select(opt_outs.c.id))
        received = await announced(store, EventType.RECEIVED)
    print(summary(ledger, stories), f"people {len(written.requests)}, acknowledged {len(written.acknowledged)}")
    require_kept(audit(stories))
    assert ledger.lost > 0, "nobody was writing when the server was killed"
    require_kept_once(kept, written)
    assert arrivals == received == Counter(str(row["id"]) for row in kept)
    assert held == Counter(_with(kept, Operation.STOP))
    replies = Counter(str(story.row.answers) for story in stories if story.row)
    assert replies == Counter(name for each in Operation for name in _with(kept, each))


def require_kept_once(kept: Sequence[Row], written: Written) -> None:
    """Each person wrote once: what was acknowledged is there as it was written, and nothing is there twice."""
    found = defaultdict(list)
    for row in kept:
        found[row["sender"]].append((str(row["id"]), row["text"], row["operation"]))
    missing = {
        person for person, name in written.acknowledged.items() if name not in [each[0] for each in found[person]]
    }
    assert missing == set()
    assert {person: each for person, each in found.items() if len(each) > 1} == {}
    for person, [(_, text, operation)] in ((person, each) for person, each in found.items() if each):
        assert (text, operation) == (written.requests[person], TEXTS[text])


def _with(kept: Sequence[Row], operation: Operation) -> list[str]:
    return [str(row["id"]) for row in kept if row["operation"] == operation]


async def _ids(store: Store, statement: Select[Any]) -> Counter[str]:
    return Counter(str(value) for row in await store.engine.fetch(statement) for value in row.values())


async def give_url(url: str) -> None:
    """Let the sandbox's profile have a URL, so that each arrival is told."""
    store = Store(open_engine(url, sandbox=True))
    try:
        organization = await store.listing.organization(SANDBOX_ORGANIZATION)
        assert organization is not None
        _, (profile,) = await store.listing.profiles(organization.id, 0, 1, {})
        settings = replace(profile.settings, webhook_url=NOWHERE)
        await store.changes.save_profile(dataclasses.replace(profile, settings=settings))
    finally:
        await store.engine.close()


async def flood(server: Server, ledger: Ledger, written: Written, chance: Random, crashes: int) -> None:
    """Let many people write at once, and kill the server again and again."""
    calm = asyncio.Event()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as clients:
        for _ in range(CLIENTS):
            clients.create_task(_keep_writing(session, server, ledger, written, chance, calm))
        for _ in range(crashes):
            await ledger.more_answers(chance.randint(100, 300))
            await server.crash_and_start()
        await ledger.more_answers(100)
        calm.set()


async def _keep_writing(
    session: aiohttp.ClientSession,
    server: Server,
    ledger: Ledger,
    written: Written,
    chance: Random,
    calm: asyncio.Event,
) -> None:
    """One person after another writes one message, whether it is answered or not."""
    while not calm.is_set():
        person, text = f"+1773{next(written.people)}", chance.choice([*TEXTS])
        await server.up.wait()
        written.requests[person] = text
        try:
            message_id = await _write(session, server, person, text)
        except (aiohttp.ClientError, ConnectionError):
            ledger.lost += 1
            continue
        written.acknowledged[person] = message_id
        await ledger.answered()


async def _write(session: aiohttp.ClientSession, server: Server, person: str, text: str) -> str:
    """Write from a handset; the id that the message was acknowledged with."""
    # The handsets are beside the API, not below its prefix.
    path = f"/../sandbox/handsets/{person}/messages"
    status, told = await server.ask(session, "POST", path, {"to": server.number, "text": text})
    assert status == 200, told
    return str(told["data"]["id"])
