"""The processes that work on this database: who they are, and when they were last heard of."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import delete, select, true

from heliograph.domain.instant import Instant
from heliograph.domain.nodes import Node, Role
from heliograph.store.batch import COUNT, ID, TEXT, Batch, Sql
from heliograph.store.engine import Engine, Row
from heliograph.store.tables import carrier_states, nodes

_TOLD = ("id", "role", "host", "pid", "version", "carriers", "in_hand")


def _tell(sql: Sql) -> Any:
    rows = select(*[sql.rows.c[name] for name in _TOLD], sql.now, sql.now).where(true())
    insert = sql.insert(nodes).from_select([*_TOLD, "started_at", "heard_at"], rows)
    told = {name: insert.excluded[name] for name in ("carriers", "in_hand", "heard_at")}
    return insert.on_conflict_do_update(index_elements=["id"], set_=told)


TELL = Batch(
    {"id": ID, "role": TEXT, "host": TEXT, "pid": COUNT, "version": TEXT, "carriers": TEXT, "in_hand": COUNT}, _tell
)


class NodeBook:
    """Keeps what processes tell of themselves. Who vanished without a word is forgotten by the retention."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def tell(self, node: Node) -> None:
        """Keep that a process is there now, by the database's clock; its first word is its start."""
        carriers = msgspec.json.encode(node.carriers).decode()
        row = (node.id, node.role.value, node.host, node.pid, node.version, carriers, node.in_hand)
        async with self._engine.transaction() as transaction:
            await transaction.batch(TELL, [row])

    async def forget(self, node_id: str) -> None:
        """A process has stopped, and all that it told goes with it."""
        async with self._engine.transaction() as transaction:
            await transaction.execute(delete(carrier_states).where(carrier_states.c.node == node_id))
            await transaction.execute(delete(nodes).where(nodes.c.id == node_id))

    async def all(self) -> Sequence[Node]:
        """Every process that is known, the one started first before the others."""
        rows = await self._engine.fetch(select(*nodes.c).order_by(nodes.c.started_at, nodes.c.id))
        return [_to_node(row) for row in rows]


def _to_node(row: Row) -> Node:
    return Node(
        id=str(row["id"]),
        role=Role(row["role"]),
        host=row["host"],
        pid=row["pid"],
        version=row["version"],
        carriers=tuple(msgspec.json.decode(row["carriers"], type=list[str])),
        in_hand=row["in_hand"],
        started_at=Instant(row["started_at"]),
        heard_at=Instant(row["heard_at"]),
    )
