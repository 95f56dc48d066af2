"""Parts of inbound messages that wait for the others, kept for carriers: what they are is the carrier's own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select

from heliograph.domain.instant import Instant
from heliograph.store.engine import Engine, Transaction
from heliograph.store.tables import pending_parts
from heliograph.store.writer import GroupCommit

Change = Callable[[bytes | None], bytes | None]


@dataclass(frozen=True, slots=True)
class _Keeping:
    carrier: str
    key: str
    at: Instant
    apply: Change


class PartBook:
    """The memory of carriers for parts: any process may be handed the next one."""

    def __init__(self, engine: Engine, writer: GroupCommit) -> None:
        self._engine = engine
        self._writer = writer

    async def change(self, carrier: str, key: str, at: Instant, apply: Change) -> bytes | None:
        """Replace what is kept under `key` by what `apply` makes of it, in one transaction; what is kept then.

        `apply` is pure. It may be called several times, also after its own result was kept. None is nothing.
        """
        return await self._writer.run(self._change, _Keeping(carrier, key, at, apply))

    async def _change(self, transaction: Transaction, items: Sequence[_Keeping]) -> Sequence[bytes | None]:
        """In the order of keys, as their rows are locked; items for one key stay in their order."""
        answers: list[bytes | None] = [None] * len(items)
        for index in sorted(range(len(items)), key=lambda index: (items[index].carrier, items[index].key)):
            answers[index] = await self._change_one(transaction, items[index])
        return answers

    async def _change_one(self, transaction: Transaction, item: _Keeping) -> bytes | None:
        mine = (pending_parts.c.carrier == item.carrier) & (pending_parts.c.key == item.key)
        first = self._engine.insert(pending_parts).values(
            carrier=item.carrier, key=item.key, content=b"", changed_at=item.at
        )
        # Made or locked in one statement: two processes may be handed the first two parts at once, and a row that was
        # there may be gone before a second statement locks it.
        held = first.on_conflict_do_update(
            index_elements=["carrier", "key"], set_={"content": pending_parts.c.content}
        ).returning(pending_parts.c.content)
        before = bytes((await transaction.execute(held)).scalar_one()) or None
        after = item.apply(before)
        if after is None:
            await transaction.execute(delete(pending_parts).where(mine))
        elif after != before:
            changed = {"content": after, "changed_at": item.at}
            await transaction.execute(pending_parts.update().where(mine).values(**changed))
        return after

    async def resting(self, carrier: str, before: Instant, limit: int) -> Sequence[tuple[str, bytes]]:
        """What was last changed before a moment, oldest first: key and content."""
        kept = pending_parts.c
        statement = select(kept.key, kept.content).where(kept.carrier == carrier, kept.changed_at < before)
        rows = await self._engine.fetch(statement.order_by(kept.changed_at).limit(limit))
        return [(row["key"], bytes(row["content"])) for row in rows if row["content"]]
