"""How the processes of a run share the tests: whoever starts a server for many tests does them all.

pytest-xdist has marks for that, `--dist loadgroup`; with pytest 9.2 they have no effect (its issue 1386).
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # it ships no types

SHARED_SERVERS = ("tests/api/", "tests/sdk/")
"""Folders whose tests share a server on each database."""
APART = ("tests/availability/", "tests/chaos/", "tests/simulation/")
"""Folders whose tests are long, and share nothing."""
ONE_CLUSTER = ("tests/availability/test_failover.py",)
"""Files of such folders whose tests share something all the same."""


class Distribution(LoadScopeScheduling):  # type: ignore[misc]  # as above
    """Hands out tests by what they share."""

    _in_turns = False

    def _split_scope(self, nodeid: str) -> str:
        return shared_by(nodeid)

    def _assign_work_unit(self, node: Any) -> None:
        if not self._in_turns:
            for scope in in_turns(list(self.workqueue)):
                self.workqueue.move_to_end(scope)
            self._in_turns = True
        super()._assign_work_unit(node)


def in_turns(scopes: Sequence[str]) -> list[str]:
    """The order in which they are handed out: a long test that mostly waits beside tests that keep a core busy.

    The long ones by themselves would be the last, for xdist begins with what has the most tests.
    """
    long = [scope for scope in scopes if scope.startswith(APART)]
    others = [scope for scope in scopes if not scope.startswith(APART)]
    return [scope for pair in zip_longest(long, others) for scope in pair if scope is not None]


def shared_by(nodeid: str) -> str:
    """What tests have in common that one process has to do."""
    file, _, test = nodeid.partition("::")
    if file.startswith(APART) and file not in ONE_CLUSTER:
        return nodeid
    folder = f"{file.rpartition('/')[0]}/"
    kind = next((each for each in ("postgresql", "sqlite") if each in test.partition("[")[2]), None)
    return f"{folder}{kind}" if folder in SHARED_SERVERS and kind else file


def distribution(config: Any, log: Any) -> Distribution | None:
    """For a run with `--dist loadgroup`; None leaves it to pytest-xdist."""
    return Distribution(config, log) if config.getvalue("dist") == "loadgroup" else None
