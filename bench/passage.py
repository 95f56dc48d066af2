"""The whole way: messages over HTTP to a gateway, by SMPP to the npm SMSC, its receipts back, callbacks to a receiver.

A turn begins with the first request and ends when the last callback came; everything runs on this machine.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from bench.arrivals import Arrivals
from bench.burst import Burst, carry_out
from bench.load import Outcome
from bench.measure import Options, Processes, show_table, spread
from bench.smsc.process import Counted, Smsc, version

WARM_UP = 1_000
"""Messages of the first turn, which is not counted."""
_PATIENCE = 60
"""Seconds without any callback after which a turn has failed."""
_POLL = 0.05
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageOptions(Options):
    """What is to be measured, where messages go the whole way."""

    count: int
    """Messages of a turn."""
    servers: int
    """Processes of Heliograph that share the database."""
    due: int = 100_000
    """Messages of `storm`."""
    pending: int = 1_000_000
    """Messages that are scheduled in `cancel` and `pending`."""
    processes: int = 1
    """Processes of `heliograph api` in `schedule`; 1 is `heliograph serve`."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn. Processor times are for each message, in microseconds."""

    accepted: Outcome
    rate: float
    """Messages a second, from the first request to the last callback."""
    costs: Mapping[str, float]


@dataclass(slots=True, kw_only=True)
class Gateway:
    """What is measured."""

    name: str
    ports: list[int]
    request: str
    answer: str
    callbacks: int
    """For each message."""
    smsc: Smsc
    arrivals: Arrivals
    processes: Mapping[str, Processes]
    """Its own, by what they are called."""
    check: Callable[[int], None] = lambda _: None
    """Is given how many messages it has taken so far; ends the program when it does not hold them as delivered."""
    taken: int = 0
    turns: list[Turn] = field(default_factory=list)

    def take(self, count: int) -> Turn:
        """Carry out a turn. Ends the program when not every message has arrived, each once."""
        own = {**self.processes, "SMSC": self.smsc.processes, "receiver": self.arrivals.processes}
        self.smsc.counted()
        self.arrivals.begin()
        before = {name: each.seconds() for name, each in own.items()}
        burst = Burst(ports=self.ports, request=self.request, answer=self.answer, first=self.taken, count=count)
        taken = carry_out(burst)
        seconds = (self._wait(count * self.callbacks) - taken.began) / _NS
        costs = {name: 1_000_000 * (each.seconds() - before[name]) / count for name, each in own.items()}
        costs["load"] = 1_000_000 * taken.outcome.busy * taken.outcome.seconds / count
        self.taken += count
        self._check_smsc(count)
        self.check(self.taken)
        return Turn(taken.outcome, count / seconds, costs)

    def _wait(self, expected: int) -> int:
        """The moment at which the last callback came."""
        known, changed = 0, time.monotonic()
        while (arrived := self.arrivals.arrived()).new < expected:
            if arrived.new > known:
                known, changed = arrived.new, time.monotonic()
            elif time.monotonic() - changed > _PATIENCE:
                came = self.smsc.counted()
                raise SystemExit(f"{self.name}: {known} of {expected} callbacks came, then none; the SMSC: {came}")
            time.sleep(_POLL)
        if arrived.new > expected:
            raise SystemExit(f"{self.name}: {expected} callbacks were due, {arrived.new} different ones came")
        if arrived.repeats:
            print(f"\n{self.name}: {arrived.repeats} callbacks came once more.")
        return arrived.last

    def _check_smsc(self, count: int) -> None:
        """Each message came once, and each receipt was acknowledged; the last acknowledgements may be on their way."""
        came, until = self.smsc.counted(), time.monotonic() + _PATIENCE
        while came.acknowledged < count and time.monotonic() < until:
            time.sleep(_POLL)
            came = _sum(came, self.smsc.counted())
        if came != Counted(count, count, count, count):
            raise SystemExit(f"{self.name}: {count} messages were taken, and of the SMSC is known: {came}")


def _sum(first: Counted, second: Counted) -> Counted:
    return Counted(*(one + other for one, other in zip(*map(msgspec.structs.astuple, (first, second)), strict=True)))


def take_turns(gateways: Sequence[Gateway], options: PassageOptions) -> None:
    """A turn of each in every round, after one that warms up."""
    for each in gateways:
        each.take(min(WARM_UP, options.count))
    for _ in range(options.rounds):
        for each in gateways:
            each.turns.append(each.take(options.count))


def show(gateways: Sequence[Gateway], options: PassageOptions) -> None:
    """Print rates, their ratio to those of the first gateway, and what each process cost."""
    first = gateways[0]
    rows = []
    for each in gateways:
        rates, accepted = [turn.rate for turn in each.turns], [turn.accepted.rate for turn in each.turns]
        ratios = [mine.rate / beside.rate for mine, beside in zip(each.turns, first.turns, strict=True)]
        rows.append([each.name, f"{spread(rates):,.0f}", f"{spread(ratios):.2f}", f"{spread(accepted):,.0f}"])
    title = f"The whole way: {options.count:,} messages a turn, {options.rounds} rounds, to {version()}"
    show_table(title, ["", "messages a second", f"to {first.name}", "accepted a second"], rows)
    _show_costs(gateways)


def _show_costs(gateways: Sequence[Gateway]) -> None:
    rows = []
    for each in gateways:
        for name in each.turns[0].costs:
            rows.append([each.name, name, f"{spread([turn.costs[name] for turn in each.turns]):,.0f}"])
        own = spread([sum(turn.costs[name] for name in each.processes) for turn in each.turns])
        rows.append([each.name, f"its own: {', '.join(each.processes)}", f"{own:,.0f}"])
    show_table("Processor time for each message, us", ["", "process", "us"], rows)
