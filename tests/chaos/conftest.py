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


IN_THE_LONG_FORM = (
    "test_points.py::test_servers_killed_at_named_points_keep_their_promises[sqlite",
    "test_points_at_rest.py::test_a_migration_killed_after_any_change_is_made_by_the_next[sqlite",
    "test_points_at_rest.py::test_a_server_killed_while_it_keeps_house_counts_everything_once[sqlite",
    "test_upgrade.py::test_one_node_is_upgraded_under_load",
    "test_full_disk.py::test_a_full_disk_under_the_tables_of_postgresql_loses_nothing",
)
"""What is only played in the long form: the suite has the same for the other database, or the other disks."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out of the suite what is in the long form."""
    if os.environ.get("HELIOGRAPH_TEST_CHAOS", "1") == "1":
        for item in items:
            if any(f"tests/chaos/{each}" in item.nodeid for each in IN_THE_LONG_FORM):
                item.add_marker(pytest.mark.skip(reason="in the long form: HELIOGRAPH_TEST_CHAOS=2 or more"))
