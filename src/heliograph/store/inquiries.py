"""Messages whose receipt is missing: what a carrier may be asked about before nothing is awaited any more."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from heliograph.domain.instant import Instant
from heliograph.domain.lifecycle import Change, sources
from heliograph.domain.message import Message
from heliograph.store.engine import Engine
from heliograph.store.messages import MESSAGE_COLUMNS, to_message, words
from heliograph.store.tables import message_parts, messages


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """A message that its carrier took, and of which it has told nothing since."""

    message: Message
    deadline_at: Instant
    ids: tuple[str, ...]
    """The carrier's id of each part that no receipt came for."""


class Inquiries:
    """Read only."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def unconfirmed(self, carrier: str, before: Instant, limit: int) -> Sequence[Unconfirmed]:
        """What a carrier has, and of which the wait for a receipt ends before a moment; the next to end first."""
        sent = messages.c.status.in_(words(sources(Change.UNCONFIRM)))
        mine = sent & (messages.c.carrier == carrier) & (messages.c.deadline_at < before)
        statement = select(messages.c.deadline_at, *MESSAGE_COLUMNS).where(mine)
        rows = await self._engine.fetch(statement.order_by(messages.c.deadline_at).limit(limit))
        found = [(to_message(row), Instant(row["deadline_at"])) for row in rows]
        parts = await self._parts([message.id for message, _ in found])
        return [Unconfirmed(message, deadline, parts.get(message.id) or _own(message)) for message, deadline in found]

    async def _parts(self, message_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        if not message_ids:
            return {}
        parts = message_parts.c
        untold = parts.message_id.in_(message_ids) & parts.change.is_(None)
        statement = select(parts.message_id, parts.carrier_message_id).where(untold)
        found: dict[str, tuple[str, ...]] = {}
        for row in await self._engine.fetch(statement.order_by(parts.message_id, parts.number)):
            name = str(row["message_id"])
            found[name] = (*found.get(name, ()), row["carrier_message_id"])
        return found


def _own(message: Message) -> tuple[str, ...]:
    return (message.carrier_message_id,) if message.carrier_message_id else ()
