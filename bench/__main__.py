"""`python -m bench [what ...]`: measure, and print Markdown. What is measured and what is not: docs/benchmarks.md."""

import argparse
import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from bench import kannel, lateness, pipeline, process, schedule, smpp, store, webhooks
from bench.measure import postgres_settings, show_machine
from bench.passage import PassageOptions
from bench.service import durable_postgres
from bench.smsc.process import Missing

BENCHMARKS: Mapping[str, Callable[[PassageOptions], None]] = {
    "schedule": schedule.run,
    "latency": schedule.run_latency,
    "lateness": lateness.run,
    "store": store.run,
    "webhooks": webhooks.run,
    "smpp": smpp.run,
    "kannel": kannel.run,
    "pipeline": pipeline.run,
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
        options = PassageOptions(
            databases,
            given.rounds,
            given.seconds,
            given.rate,
            given.messages,
            postgres,
            count=given.count,
            servers=given.servers,
        )
        missing = [name for name in what or BENCHMARKS if not _measured(name, options)]
    if missing and what:
        raise SystemExit(f"not measured: {', '.join(missing)}")


def _measured(name: str, options: PassageOptions) -> bool:
    """Run a benchmark, or say what it needs and does not find."""
    try:
        BENCHMARKS[name](options)
    except Missing as missing:
        print(f"\n## {name}: not measured\n\n{missing}.", flush=True)
        return False
    return True


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
    parser.add_argument("--count", type=int, default=10_000, help="messages of a turn of `kannel` and `pipeline`")
    parser.add_argument("--servers", type=int, default=1, help="processes of Heliograph in `pipeline` on PostgreSQL")
    return parser


if __name__ == "__main__":
    main()
