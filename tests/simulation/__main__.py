"""`python -m tests.simulation`: play seeds, and print what broke with the command that plays it again."""

import argparse
import asyncio
import logging
import os
import sys
import tempfile
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from sqlalchemy.exc import OperationalError, SAWarning

from heliograph import log
from tests.simulation.mutants import MUTANTS
from tests.simulation.seeds import Outcome, make_template, play

FIXED = "0"
"""`PYTHONHASHSEED`: sets of text are walked in the same order in every process."""
MEMORY = Path("/dev/shm")  # noqa: S108 - the folder made in it is private
AT_ONCE = 25


def main() -> int:
    """Play; 1 when a promise was broken."""
    parser = argparse.ArgumentParser("python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="play one, and print its history")
    parser.add_argument("--seeds", type=int, default=100, help="how many; 100 if not given")
    parser.add_argument("--first", type=int, default=1, help="the first of them; 1 if not given")
    parser.add_argument("--processes", type=int, default=1, help="how many play at a time")
    parser.add_argument("--mutant", choices=MUTANTS, help="plant a bug, and stop at the first seed that shows it")
    given = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != FIXED:
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": FIXED},
        )
    if given.seed is not None:
        return _tell(_several([given.seed], given.mutant)[0])
    seeds = range(given.first, given.first + given.seeds)
    parts = [seeds[at : at + AT_ONCE] for at in range(0, len(seeds), AT_ONCE)]
    counts: Counter[str] = Counter()
    broken: list[Outcome] = []
    played = 0
    with ProcessPoolExecutor(given.processes) as pool:
        for outcomes in pool.map(partial(_several, mutant=given.mutant), parts):
            for each in outcomes:
                played += 1
                counts += each.counts
                if each.violations:
                    broken.append(each)
            if given.mutant and any(_shows(given.mutant, each) for each in outcomes):
                break
        pool.shutdown(cancel_futures=True)
    for each in broken[:10]:
        _tell_broken(each, given.mutant)
    print(f"seeds {seeds.start} to {seeds.start + played - 1}: {len(broken)} broke a promise")
    print(", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())))
    return 1 if broken else 0


def _several(seeds: "range | list[int]", mutant: str | None = None) -> list[Outcome]:
    log.configure("critical", "text")
    # What a killed process held is never given back; that is what is played here.
    warnings.simplefilter("ignore", ResourceWarning)
    warnings.simplefilter("ignore", SAWarning)
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    sys.unraisablehook = _of_no_killed_process
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        template = make_template(Path(folder))
        outcomes = []
        for seed in seeds:
            outcomes.append(play(seed, template, Path(folder), *([MUTANTS[mutant][1]] if mutant else [])))
            if mutant and _shows(mutant, outcomes[-1]):
                break
        return outcomes


def _shows(mutant: str, outcome: Outcome) -> bool:
    """Whether a planted bug has broken the promise that it is planted for; it may break others before."""
    return any(each.promise == MUTANTS[mutant][0] for each in outcome.violations)


def _of_no_killed_process(fault: "sys.UnraisableHookArgs") -> None:
    """What a killed process would have done at its end has no event loop to be done on, and no database to ask."""
    if not (asyncio.iscoroutine(fault.object) and isinstance(fault.exc_value, RuntimeError | OperationalError)):
        sys.__unraisablehook__(fault)


def _tell(outcome: Outcome) -> int:
    print("\n".join(outcome.history))
    _tell_broken(outcome, None)
    print(f"digest {outcome.digest}")
    return 1 if outcome.violations else 0


def _tell_broken(outcome: Outcome, mutant: str | None) -> None:
    for each in outcome.violations[:10]:
        print(f"seed {outcome.seed}: {each}")
    if outcome.violations:
        with_bug = f" --mutant {mutant}" if mutant else ""
        print(f"again: python -m tests.simulation --seed {outcome.seed}{with_bug}")


if __name__ == "__main__":
    sys.exit(main())
