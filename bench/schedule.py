"""Schedules and cancels over HTTP beside an echo on the same stack, and beside queues that others wrote.

    round: echo, then for each database schedule and cancel, then the same of procrastinate and of graphile-worker

Everything runs on the same machine within the same minute, in turns, so that a disturbance hits all alike.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from bench import echo, queues
from bench.load import CONNECTIONS, Plan
from bench.measure import Options, Processes, Spread, program, show, show_table, spread
from bench.passage import PassageOptions
from bench.service import SENDER, Service, Turn, carry_out, new_database, send_at, service, timed
from bench.smsc.process import Missing

WARM_UP = 1.5
"""Seconds of the first turn, which is not counted."""
QUEUES: Mapping[str, Callable[[str], queues.Queue]] = {
    "procrastinate": queues.procrastinate,
    "graphile-worker": queues.graphile,
}


@dataclass(slots=True)
class Subject:
    """What is measured."""

    name: str
    take: Callable[[float], Turn]
    """Carry out a turn of so many seconds."""
    turns: list[Turn] = field(default_factory=list)


def run(options: PassageOptions) -> None:
    """How many schedules and cancels a second, as ratios; and how long each takes when the server is full."""
    with _subjects(options) as subjects:
        _take_turns(subjects, options)
    _show_rates(subjects)
    _show_latencies(subjects, f"Latency at {CONNECTIONS} in flight")


def run_latency(options: Options) -> None:
    """How long a schedule and a cancel take when they come at a modest, even rate."""
    with ExitStack() as until_end:
        subjects = []
        for each in options.databases:
            subjects += _verbs(each, until_end.enter_context(service(new_database(each, options, until_end))), options)
        _take_turns(subjects, options)
    _show_latencies(subjects, f"Latency at {options.rate:g} requests a second")


def _take_turns(subjects: Sequence[Subject], options: Options) -> None:
    for subject in subjects:
        subject.take(WARM_UP)
    for _ in range(options.rounds):
        for subject in subjects:
            subject.turns.append(subject.take(options.seconds))


def _verbs(name: str, running: Service, options: Options) -> list[Subject]:
    return [
        Subject(f"schedule, {name}", lambda seconds: running.schedule(seconds, options.rate)),
        Subject(f"cancel, {name}", lambda seconds: running.cancel(seconds, options.rate)),
    ]


@contextmanager
def _subjects(options: PassageOptions) -> Iterator[list[Subject]]:
    with ExitStack() as until_end:
        subjects = [_echo(*until_end.enter_context(program("bench.echo")))]
        for each in options.databases:
            subjects += _ours(each, until_end.enter_context(service(new_database(each, options, until_end))))
        if "postgresql" in options.databases:
            if options.processes > 1:
                several = service(new_database("postgresql", options, until_end), options.processes)
                subjects += _ours(f"api --processes {options.processes}", until_end.enter_context(several))
            subjects += _queues(options, until_end)
        yield subjects


def _echo(port: int, pid: int) -> Subject:
    def take(seconds: float) -> Turn:
        plan = Plan(port=port, path=echo.PATH, sender=SENDER, seconds=seconds, send_at=send_at())
        return timed(lambda: carry_out("bench.load", plan), Processes(pid), Processes())

    return Subject("echo", take)


def _ours(name: str, running: Service) -> list[Subject]:
    return [Subject(f"schedule, {name}", running.schedule), Subject(f"cancel, {name}", running.cancel)]


def _queues(options: Options, until_end: ExitStack) -> list[Subject]:
    """Other queues, those that are installed."""
    subjects = []
    for name, make in QUEUES.items():
        try:
            queue = make(new_database("postgresql", options, until_end))
        except Missing as missing:
            show(f"\n{missing}.")
            continue
        subjects += [Subject(f"schedule, {name}", queue.add), Subject(f"cancel, {name}", queue.cancel)]
    return subjects


def _show_rates(subjects: Sequence[Subject]) -> None:
    beside = [name for name in QUEUES if any(each.name.endswith(name) for each in subjects)]
    times = [f"times {name}" for name in beside]
    head = ["", "per second", "of the echo", *times, "server us", "database us", "generator busy"]
    rows = [[each.name, *_rates(each, subjects, beside)] for each in subjects]
    rounds = len(subjects[0].turns)
    show_table(f"Rate at {CONNECTIONS} in flight: median of {rounds} rounds (lowest to highest)", head, rows)


def _rates(subject: Subject, subjects: Sequence[Subject], beside: Sequence[str]) -> list[str]:
    by_name = {each.name: each for each in subjects}
    verb = subject.name.partition(",")[0]
    others = [by_name.get(f"{verb}, {name}") for name in beside]
    return [
        f"{spread([turn.outcome.rate for turn in subject.turns]):,.0f}",
        f"{_ratio(subject, subjects[0]):.2f}",
        *(f"{_ratio(subject, other):.1f}" if other else "" for other in others),
        f"{spread([turn.server_us for turn in subject.turns]):.0f}",
        f"{spread([turn.database_us for turn in subject.turns]):.0f}",
        f"{spread([100 * turn.outcome.busy for turn in subject.turns]).middle:.0f} %",
    ]


def _ratio(subject: Subject, base: Subject) -> Spread:
    """Within each round, then over the rounds."""
    pairs = zip(subject.turns, base.turns, strict=True)
    return spread([mine.outcome.rate / beside.outcome.rate for mine, beside in pairs])


def _show_latencies(subjects: Sequence[Subject], title: str) -> None:
    rows = []
    for subject in subjects:
        outcomes = [turn.outcome for turn in subject.turns]
        middle = [f"{spread([getattr(each, name) / 1_000 for each in outcomes]):.1f}" for name in ("p50", "p99")]
        rows.append([subject.name, *middle, f"{max(each.longest for each in outcomes) / 1_000:.1f}"])
    show_table(f"{title}, ms: median of the rounds (lowest to highest)", ["", "p50", "p99", "longest"], rows)
