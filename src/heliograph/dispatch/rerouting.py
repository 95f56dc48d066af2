"""What waits for a carrier that is down is given to the next one; how carriers stand is told to all processes.

    state of our carriers --> store <-- states of theirs
    a carrier that nobody reaches --> what is due and waits for it --> the next usable carrier of its plan
    a message for no carrier, or for one that is gone from the settings --> the first usable of its plan

A carrier is down when no process reaches it: one that lost its own link leaves its lane to those that have theirs.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from heliograph.carriers.interface import Carrier
from heliograph.clock import monotonic
from heliograph.domain.carriers import CarrierState
from heliograph.domain.instant import MINUTE, SECOND, Instant
from heliograph.domain.message import Message
from heliograph.domain.nodes import Standing
from heliograph.domain.planning import Planner
from heliograph.log import get_logger
from heliograph.service import Loop
from heliograph.store.engine import StoreUnavailable
from heliograph.store.rerouting import NodeState, Reroute
from heliograph.store.store import Store

logger = get_logger("rerouting")

INTERVAL = SECOND
STEADY = 5 * SECOND
"""How often to look at the others, and for what nobody has, while all of our carriers are up."""
FIGURES_TOLD = 5 * SECOND
"""How often it is told that something was sent or came in; how the links stand is told at once."""
TOLD_AGAIN = MINUTE
"""How often it is told that nothing has changed: an idle service should write seldom."""
FRESH = 3 * MINUTE
"""A process that has told nothing for so long is not counted on."""
GRACE = 3 * SECOND
"""How long a carrier must be down before its messages are moved: most links are back by then."""
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class _Told:
    """What was last told of a carrier, and when on the monotonic clock."""

    at: int
    stands: object
    figures: object


async def told_lately(store: Store) -> Sequence[NodeState]:
    """How carriers stand in the processes that run.

    A steady carrier tells nothing while it is idle: where nothing of it is fresh, its last word counts, unless its
    process is known to be dead.
    """
    now = store.clock.now()
    dead = {each.id for each in await store.nodes.all() if each.standing(now) is Standing.DEAD}
    told, since = [each for each in await store.carrier_states(Instant(0)) if each.node not in dead], now - FRESH
    fresh = [each for each in told if each.at >= since]
    known = {each.state.name for each in fresh}
    # They come newest first.
    steady = {each.state.name: each for each in reversed(told) if each.state.steady and each.state.name not in known}
    return [*fresh, *steady.values()]


class Rerouting(Loop):
    """Looks once a second at our carriers; any number of processes may do so at the same time."""

    name = "rerouting"

    def __init__(
        self, store: Store, carriers: Sequence[Carrier], planner: Planner, node: str, grace: int = GRACE
    ) -> None:
        super().__init__()
        self._store = store
        self._carriers = carriers
        self._planner = planner
        self._node = node
        self._grace = grace
        self._usable: frozenset[str] = frozenset()
        self._told: dict[str, _Told] = {}
        self._looked: int | None = None
        """When the others were last looked at, on the monotonic clock."""
        self._down_since: dict[str, int] = {}
        self._looked_at: dict[str | None, Message] = {}
        """Where the next look goes on, by carrier; what cannot be moved must not stand before the rest for ever."""

    def usable(self) -> Collection[str]:
        """The carriers that some process reached at the last look, and those that we reach now."""
        return self._usable | {each.name for each in self._carriers if each.up}

    async def stop(self) -> None:
        """Tell nothing more; what was told is taken back."""
        running = self._task is not None
        await super().stop()
        self._told.clear()
        if not running:
            return
        try:
            await self._store.rerouting.forget(self._node)
        except StoreUnavailable as error:
            # Others stop counting on it once it is no longer fresh.
            logger.warning("what was told of carriers is not taken back", action="not_forgotten", reason=str(error))

    async def run_pass(self) -> int:
        """One look; again at once while there is more to move.

        How ours stand is told every time. The others are needed when one of ours is down, and seldom otherwise.
        """
        now = monotonic()
        if self._looked is not None and now - self._looked < STEADY and all(each.up for each in self._carriers):
            await self._tell_ours()
            return INTERVAL
        moved = await self.look()
        self._looked = now if moved < AT_ONCE else None
        return INTERVAL if moved < AT_ONCE else 0

    async def _tell_ours(self) -> None:
        await asyncio.gather(*(self._tell(each.state()) for each in self._carriers))

    async def look(self) -> int:
        """Tell how our carriers stand, look at the others', and move what waits in vain; how many were moved."""
        await self._tell_ours()
        told = await told_lately(self._store)
        self._usable = frozenset(each.state.name for each in told if each.state.up)
        moved = sum([await self._leave(carrier) for carrier in self._down()])
        return moved + await self._adopt(told)

    async def _tell(self, state: CarrierState) -> None:
        # What was told before the test clock moved would not be fresh after it.
        stands = (state.up, [link.state for link in state.links], self._store.clock.offset)
        given = _Told(monotonic(), stands, _figures(state))
        if self._is_news(state, given):
            await self._store.tell_carrier(self._node, state)
            self._told[state.name] = given

    def _is_news(self, state: CarrierState, given: _Told) -> bool:
        before = self._told.get(state.name)
        if before is None or given.stands != before.stands:
            return True
        if given.figures != before.figures:
            return given.at - before.at >= FIGURES_TOLD
        return not state.steady and given.at - before.at >= TOLD_AGAIN

    def _down(self) -> Sequence[str]:
        """Our carriers that nobody has reached for a while."""
        now, usable = monotonic(), self.usable()
        down = {each.name for each in self._carriers} - set(usable)
        self._down_since = {name: self._down_since.get(name, now) for name in down}
        return [name for name, since in self._down_since.items() if now - since >= self._grace]

    async def _leave(self, carrier: str) -> int:
        found = await self._store.rerouting.waiting_for(carrier, AT_ONCE, self._looked_at.get(carrier))
        return await self._move(self._page(carrier, found), "no process reaches its carrier")

    async def _adopt(self, told: Sequence[NodeState]) -> int:
        """Take what waits for a carrier that no process has."""
        known = {each.name for each in self._carriers} | {each.state.name for each in told}
        if not known:
            return 0
        found = await self._store.rerouting.stray(known, AT_ONCE, self._looked_at.get(None))
        return await self._move(self._page(None, found), "no process has it")

    def _page(self, carrier: str | None, found: Sequence[Message]) -> Sequence[Message]:
        """What was found, and the place after it kept; at the end the next look begins anew."""
        self._looked_at.pop(carrier, None)
        if len(found) == AT_ONCE:
            self._looked_at[carrier] = found[-1]
        return found

    async def _move(self, waiting: Sequence[Message], why: str) -> int:
        usable = self.usable()
        planned = ((each, self._planner.after(each, usable) or self._adopter(each)) for each in waiting)
        wanted = [Reroute(each.id, each.carrier, after) for each, after in planned if after is not None]
        answers = await asyncio.gather(*(self._store.reroute(each) for each in wanted))
        moved = Counter((each.before, each.after) for each, done in zip(wanted, answers, strict=True) if done)
        for (before, after), count in moved.items():
            what = {"from": before, "to": after, "why": why, "count": count}
            logger.warning("messages were given to another carrier", action="rerouted", **what)
        return moved.total()

    def _adopter(self, message: Message) -> str | None:
        """For what waits for nobody here, the first of its plan, also when that is down just now."""
        plan = self._planner.plan(message)
        return plan[0] if plan and message.carrier not in {each.name for each in self._carriers} else None


def _figures(state: CarrierState) -> object:
    return (
        state.taken,
        state.throttled,
        state.refused,
        state.unknown,
        state.receipts,
        state.inbound,
        state.last_error,
        state.resting_until is None,
    )
