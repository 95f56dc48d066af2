"""The short form: seeds keep every promise, one seed has one history, planted bugs are noticed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.mutants import MUTANTS

ROOT = Path(__file__).resolve().parent.parent.parent
SEEDS = 25
ENOUGH = 60
"""A planted bug must show within so many seeds."""


def simulate(*arguments: str) -> tuple[int, str]:
    """Run it in a process of its own: it replaces the clock, chance and the event loop. Its status and what it said."""
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout or done.stderr


def test_the_promises_are_kept() -> None:
    status, said = simulate("--seeds", str(SEEDS * int(os.environ.get("HELIOGRAPH_TEST_CHAOS", "1"))))
    print(said)
    assert status == 0, said


def test_a_seed_has_one_history() -> None:
    first, second = simulate("--seed", "9"), simulate("--seed", "9")
    assert first == second
    assert "submit" in first[1]


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_planted_bug_is_noticed(mutant: str) -> None:
    promise, _ = MUTANTS[mutant]
    status, said = simulate("--seeds", str(ENOUGH), "--mutant", mutant)
    assert status == 1, said
    assert f": {promise} " in said
    assert "again: python -m tests.simulation --seed" in said
