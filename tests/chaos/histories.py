"""The promises P1 to P7 held against histories alone: what outsiders were told and saw. Nobody looks into the database.

clients: answers to sends, cancels, reads   --+
the carrier's record of submits             --+--> History --> `judge` --> violations
the receiver of webhooks                    --+
a stranger with a key of its own            --+
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import aiohttp

from heliograph.domain.lifecycle import FINAL, RANK, Status
from tests.chaos.auditor import Answer, Handed, Violation
from tests.chaos.evidence import Ledger, seen
from tests.chaos.servers import GONE, Client, Server
from tests.webhooks.receiver import Request

ASKED_AT_ONCE = 32
_FINAL = frozenset({status.value for status in FINAL} | {GONE})
_TOOK = frozenset({Status.DELIVERED, Status.DELIVERY_FAILED, Status.SENT})
_UNSENT = frozenset({Status.SCHEDULED, Status.QUEUED, Status.CANCELLED, Status.EXPIRED})
FINALIZED = "message.finalized"
UNTOLD = frozenset({GONE, Status.CANCELLED.value})
"""A cancel has its answer, and no event."""


@dataclass(slots=True)
class History:
    """Everything that was told and seen in a run."""

    ledger: Ledger
    handed: Sequence[Handed] = ()
    webhooks: Sequence[Request] = ()
    strangers: dict[str, list[int]] = field(default_factory=dict)
    """What a stranger was answered, by the id it asked for."""
    kills: int = 0
    told_all: bool = True
    """Whether there was somebody to be told of every message."""

    def __str__(self) -> str:
        cancels = Counter(answer for answers in self.ledger.cancels.values() for answer in answers)
        counts = {
            "acknowledged": len(self.ledger.acknowledged),
            "schedules": len(self.ledger.send_at),
            "cancels 200": cancels[Answer.CANCELLED],
            "cancels 403": cancels[Answer.REFUSED],
            "answers lost": self.ledger.lost,
            "503": self.ledger.unavailable,
            "submits": len(self.handed),
            "kills": self.kills,
            "in doubt": sum(each[-1] == Status.DELIVERY_UNCONFIRMED for each in self.ledger.reads.values()),
            "webhooks": len(self.webhooks),
            "reads": sum(map(len, self.ledger.reads.values())),
        }
        return ", ".join(f"{name} {count}" for name, count in counts.items())


async def read_all(ledger: Ledger, sender: Client, server: Server) -> None:
    """Read every message that anybody was given the id of, again and again until nothing more can happen to it."""
    left = set(ledger.acknowledged)
    turns = asyncio.Semaphore(ASKED_AT_ONCE)

    async def ask(message_id: str) -> None:
        async with turns:
            if await sender.read(server, message_id) in _FINAL:
                left.discard(message_id)

    async def look() -> bool:
        await asyncio.gather(*(ask(each) for each in sorted(left)))
        return not left

    await seen(look)


async def ask_as_stranger(
    session: aiohttp.ClientSession, server: Server, key: str, ids: Sequence[str]
) -> dict[str, list[int]]:
    """What somebody else is answered who asks for these, and who calls them off."""
    told: defaultdict[str, list[int]] = defaultdict(list)
    for message_id in ids:
        for method in ("GET", "DELETE"):
            status, _ = await server.ask(session, method, f"/messages/{message_id}", key=key)
            told[message_id].append(status)
    return dict(told)


def judge(history: History) -> list[Violation]:
    """Every promise that was broken."""
    handed: defaultdict[str, list[Handed]] = defaultdict(list)
    for each in history.handed:
        handed[each.message_id].append(each)
    found = list(_webhooks(history))
    for message_id in sorted(history.ledger.acknowledged | handed.keys() | history.ledger.cancels.keys()):
        of_it = _judge_message(message_id, history.ledger, handed[message_id])
        found += [Violation(promise, message_id, what) for promise, what in of_it]
    for message_id, answers in history.strangers.items():
        if set(answers) != {404}:
            found.append(Violation("P7", message_id, f"a stranger was answered {answers}"))
    return found


def _judge_message(message_id: str, ledger: Ledger, handed: Sequence[Handed]) -> Iterator[tuple[str, str]]:
    reads, cancels = ledger.reads.get(message_id, []), ledger.cancels.get(message_id, [])
    last = reads[-1] if reads else None
    if Answer.CANCELLED in cancels:
        if handed:
            yield "P1", f"its cancel was answered 200, and it was submitted {len(handed)} times"
        if last not in {None, Status.CANCELLED}:
            yield "P1", f"its cancel was answered 200, and it is {last}"
    if len(set(cancels)) > 1 or (Answer.REFUSED in cancels and last == Status.CANCELLED):
        yield "P1", f"cancels were answered {[each.value for each in cancels]}, and it is {last}"
    if message_id in ledger.acknowledged and GONE in reads:
        yield "P2", "it was acknowledged, and a read of it says that there is none"
    if message_id in ledger.acknowledged and last not in _FINAL:
        yield "P2", f"it was left {last}"
    if len(handed) > 1:
        yield "P3", f"it was submitted {len(handed)} times"
    if last in _UNSENT and handed:
        yield "P3", f"it was submitted, and is {last}"
    if last in _TOOK and not handed:
        yield "P3", f"it was never submitted, and is {last}"
    yield from _early(ledger, message_id, handed)
    yield from _back(reads)


def _early(ledger: Ledger, message_id: str, handed: Sequence[Handed]) -> Iterator[tuple[str, str]]:
    send_at = ledger.send_at.get(message_id)
    for each in handed:
        if send_at is not None and each.at is not None and each.at < send_at:
            yield "P4", f"it was submitted {send_at - each.at} us early"


def _back(reads: Sequence[str]) -> Iterator[tuple[str, str]]:
    for before, after in pairwise(reads):
        if GONE in {before, after}:
            continue
        if RANK[Status(after)] < RANK[Status(before)] or (before in _FINAL and after != before):
            yield "P5", f"it was read as {before}, and then as {after}"


def _webhooks(history: History) -> Iterator[Violation]:
    """One id for each event of a message, at each attempt; and for each message one that says how it ended."""
    ids: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    ended: dict[str, str] = {}
    for each in history.webhooks:
        data = each.told["data"]
        message_id = str(data["payload"]["id"])
        ids[message_id, data["event_type"]] |= {data["id"], each.headers["webhook-id"]}
        if data["event_type"] == FINALIZED:
            ended[message_id] = data["payload"]["to"][0]["status"]
    for (message_id, event), known in ids.items():
        if len(known) > 1:
            yield Violation("P6", message_id, f"{event} came as {sorted(known)}")
    for message_id in sorted(history.ledger.acknowledged if history.told_all else ()):
        reads = history.ledger.reads.get(message_id, [])
        if reads and reads[-1] not in UNTOLD and ended.get(message_id) != reads[-1]:
            yield Violation("P6", message_id, f"it is {reads[-1]}, and its webhook says {ended.get(message_id)}")
