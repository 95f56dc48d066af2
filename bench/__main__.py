"""`python -m bench [what ...]`: measure, and print Markdown. What is measured and what is not: docs/benchmarks.md."""

import argparse
import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from bench import (
    disk,
    kannel,
    lateness,
    migration,
    pending_cost,
    pipeline,
    process,
    queues,
    schedule,
    smpp,
    stages,
    store,
    storm,
    webhooks,
)
from bench.measure import ROOT, keep, postgres_settings, show, show_machine
from bench.passage import PassageOptions
from bench.service import durable_postgres
from bench.smsc.process import Missing

BENCHMARKS: Mapping[str, Callable[[PassageOptions], None]] = {
    "schedule": schedule.run,
    "latency": schedule.run_latency,
    "lateness": lateness.run,
    "cancel": pending_cost.run_cancel,
    "pending": pending_cost.run_pending,
    "storm": storm.run,
    "stages": stages.run,
    "disk": disk.run,
    "store": store.run,
    "webhooks": webhooks.run,
    "smpp": smpp.run,
    "kannel": kannel.run,
    "pipeline": pipeline.run,
    "migration": migration.run,
    "start": process.run_start,
    "memory": process.run_memory,
}
RESULTS = ROOT / "bench" / "results"
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
        settings = asyncio.run(postgres_settings(postgres)) if postgres else "not used"
        show_machine(settings, {"graphile-worker": queues.graphile_version()})
        options = PassageOptions(
            databases,
            given.rounds,
            given.seconds,
            given.rate,
            given.messages,
            postgres,
            count=given.count,
            servers=given.servers,
            due=given.due,
            pending=given.pending,
            processes=given.processes,
        )
        missing = [name for name in what or BENCHMARKS if not _measured(name, options)]
    if given.keep:
        print(f"\nkept: {keep(RESULTS)}", flush=True)
    if missing and what:
        raise SystemExit(f"not measured: {', '.join(missing)}")


def _measured(name: str, options: PassageOptions) -> bool:
    """Run a benchmark, or say what it needs and does not find."""
    try:
        BENCHMARKS[name](options)
    except Missing as missing:
        show(f"\n## {name}: not measured\n\n{missing}.")
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
    parser.add_argument("--due", type=int, default=100_000, help="messages of `storm` that fall due together")
    parser.add_argument("--pending", type=int, default=1_000_000, help="scheduled messages of `cancel` and `pending`")
    parser.add_argument("--processes", type=int, default=1, help="processes of `heliograph api`, beside one `serve`")
    parser.add_argument("--keep", action="store_true", help="write the result into bench/results, Markdown and JSON")
    return parser


if __name__ == "__main__":
    main()
