"""What a run over SMPP leaves behind, and the audit of it."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import select

from heliograph.carriers.smpp.smsc_record import Submit
from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import Change
from heliograph.domain.receipt import normal
from heliograph.store.store import Store
from heliograph.store.tables import messages, receipts
from tests.chaos.auditor import Expected, Handed, Story, Violation, audit, audit_pending, is_unknown
from tests.chaos.evidence import Ledger, collect, made_at, pending, summary
from tests.chaos.smpp_auditor import RULES, audit_doubts

AS_USUAL = Expected()

_MARKER = re.compile(r"m(\d{7})(?!\d)").search


Kept = Callable[[Instant], Instant]
"""From when a receipt was in the database at the latest, by when it was received."""


def at_once(received_at: Instant) -> Instant:
    """As where the database is within reach."""
    return received_at


async def collect_over_smpp(
    store: Store, ledger: Ledger, submits: Sequence[Submit], kept: Kept = at_once
) -> list[Story]:
    """The story of every message that a client, the SMSC or the database knows of."""
    owners = await _owners(store)
    given: defaultdict[str, list[Submit]] = defaultdict(list)
    for each in submits:
        marker = _marker(each.text)
        given[owners.get(marker, f"of {marker}")].append(each)
    handed = [Handed(name, number, each.at) for name, group in given.items() for number, each in enumerate(group, 1)]
    stories = await collect(store, ledger, handed)
    received = await _receipts(store)
    for story in stories:
        story.submits = given[story.message_id]
        story.receipts = [
            (each.message_id, kept(at))
            for each in story.submits
            if each.taken
            for at in received.get(normal(each.message_id), ())
        ]
    return stories


async def audited(
    store: Store, ledger: Ledger, submits: Sequence[Submit], expected: Expected = AS_USUAL, kept: Kept = at_once
) -> tuple[list[Story], list[Violation]]:
    """The stories, and every promise that was broken; what happened is printed."""
    stories = await collect_over_smpp(store, ledger, submits, kept)
    print(told(ledger, stories))
    violations = audit(stories, expected, RULES) + audit_doubts(stories)
    return stories, violations + audit_pending(stories, await pending(store))


def told(ledger: Ledger, stories: Sequence[Story]) -> str:
    """How much happened."""
    submits = [each for story in stories for each in story.submits]
    answers = Counter(each.answer.value for each in submits)
    counts = {
        "taken": sum(each.taken for each in submits),
        "refused": sum(each.status != 0 for each in submits),
        "of several parts": sum(story.row is not None and story.row.parts > 1 for story in stories),
        "in doubt once": len(doubted(stories)),
        "settled": len(settled_doubts(stories)),
        "unknown and not with the carrier": sum(is_unknown(story) and not story.submits for story in stories),
    }
    more = counts | {f"answered {name}": count for name, count in answers.items()}
    return ", ".join([summary(ledger, stories), *(f"{name} {count}" for name, count in more.items())])


def doubted(stories: Sequence[Story]) -> list[Story]:
    """Those of which it was not known for a while whether the carrier had them."""
    return [story for story in stories if Change.DOUBT in story.changes]


def settled_doubts(stories: Sequence[Story]) -> list[Story]:
    """Those of them of which it became known after all."""
    return [story for story in doubted(stories) if Change.ACCEPT in story.changes]


async def _owners(store: Store) -> Mapping[str, str]:
    """Messages by marker."""
    rows = await store.engine.fetch(select(messages.c.id, messages.c.text))
    owners = {_marker(row["text"]): str(row["id"]) for row in rows}
    assert len(owners) == len(rows), "two messages have one marker"
    return owners


def _marker(text: str) -> str:
    found = _MARKER(text)
    assert found is not None, f"there is no marker in {text!r}"
    return found[1]


async def _receipts(store: Store) -> Mapping[str, list[Instant]]:
    """When receipts were received, by what they call their message."""
    kept: defaultdict[str, list[Instant]] = defaultdict(list)
    for row in await store.engine.fetch(select(receipts.c.id, receipts.c.receipt_key)):
        kept[row["receipt_key"]].append(made_at(str(row["id"])))
    return kept
