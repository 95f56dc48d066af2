"""What the database tells of a message: its row, its log, and whether the one leads to the other (promise P5)."""

from typing import Any

from heliograph.domain.instant import SECOND, Instant
from heliograph.domain.lifecycle import Change, born, replay
from heliograph.domain.message import Message
from heliograph.store.store import Store
from tests.builders import accepted


async def read(store: Store, message: Message) -> Message:
    """The message as it is stored."""
    found, _ = await store.messages.find(message.organization_id, message.id)
    assert found is not None
    return found


async def history(store: Store, message: Message) -> list[str]:
    """What happened to it, in order; it leads to the row."""
    changes = [row["change"] for row in await store.messages.timeline(message.id)]
    found = await read(store, message)
    assert replay(born(scheduled=found.send_at is not None), map(Change, changes)) is found.status
    return changes


async def overdue(store: Store, **given: Any) -> Message:
    """A message for now, taken and due a second before: a node's clock may be ahead of its database's."""
    before = Instant(store.clock.now() - SECOND)
    return await accepted(store, send_in=None, **{"received_at": before, "due_at": before} | given)
