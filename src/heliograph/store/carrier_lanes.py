"""Which carriers something waits for, found by stepping along the index of their lanes: two probes a carrier.

In the database's own order of names: what sorts first there may sort second here.
"""

from typing import Any

from sqlalchemy import func, select

from heliograph.store.tables import messages


def carrier_lanes() -> Any:
    """A table with the `carrier` of every lane that something waits in, and one row more that has none."""
    waiting = messages.c
    first: Any = select(func.min(waiting.carrier).label("carrier")).where(waiting.due_at.is_not(None))
    lanes = first.cte("carrier_lanes", recursive=True)
    following = select(func.min(waiting.carrier)).where(waiting.carrier > lanes.c.carrier, waiting.due_at.is_not(None))
    return lanes.union_all(select(following.scalar_subquery()).where(lanes.c.carrier.is_not(None)))
