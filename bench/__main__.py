"""`python -m bench [what ...]`: measure, and print Markdown. What is measured and what is not: docs/benchmarks.md."""

import argparse
import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from bench import lateness, process, schedule, store, webhooks
from bench.measure import Options, postgres_settings, show_machine
from bench.service import durable_postgres

BENCHMARKS: Mapping[str, Callable[[Options], None]] = {
    "schedule": schedule.run,
    "latency": schedule.run_latency,
    "lateness": lateness.run,
    "store": store.run,
    "webhooks": webhooks.run,
    "start": process.run_start,
    "memory": process.run_memory,
}
DATABASES = ("postgresql", "sqlite")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmarks named, or all."""
    parser = _parser()
    given = parser.parse_args(arguments)
    what = getattr(given, "what", [])
    if unknown := set(what) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    databases = getattr(given, "database", DATABASES)
    with ExitStack() as until_end:
        postgres = until_end.enter_context(durable_postgres()) if "postgresql" in databases else ""
        show_machine(asyncio.run(postgres_settings(postgres)) if postgres else "not used")
        options = Options(databases, given.rounds, given.seconds, given.rate, given.messages, postgres)
        for name in what or BENCHMARKS:
            BENCHMARKS[name](options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=main.__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "what",
        nargs="*",
        metavar="WHAT",
        default=argparse.SUPPRESS,
        help=f"of {', '.join(BENCHMARKS)}; none: all of them",
    )
    parser.add_argument(
        "--database", action="append", choices=DATABASES, default=argparse.SUPPRESS, help="may be repeated; none: both"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each subject has its turn")
    parser.add_argument("--seconds", type=float, default=4, help="length of a turn")
    parser.add_argument("--rate", type=float, default=300, help="requests a second of `latency`")
    parser.add_argument("--messages", type=int, default=100_000, help="schedules of `memory`")
    return parser


if __name__ == "__main__":
    main()
