"""How long the chaos lasts, and the seed of its dice."""

import os
from random import Random

import pytest


@pytest.fixture(scope="session")
def scale() -> int:
    """How many times longer than in every test run: `make chaos ROUNDS=10`."""
    return int(os.environ.get("HELIOGRAPH_TEST_CHAOS", "1"))


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> Random:
    """Dice with the seed of pytest-randomly, which heads every run: `--randomly-seed=N` throws them again."""
    seed = f"{request.config.getoption('randomly_seed', 0)} {request.node.name}"
    print(f"seed: {seed}")
    return Random(seed)
