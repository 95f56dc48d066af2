"""Which resource a path leads to does not depend on how it is looked up."""

import pytest

from heliograph.api import sandbox
from heliograph.api.app import RESOURCES

PATHS = [*RESOURCES, *sandbox.RESOURCES]


@pytest.mark.parametrize("path", [each for each in PATHS if each.rpartition("/")[2].startswith("{")])
def test_no_path_listed_before_takes_what_a_collection_holds(path: str) -> None:
    before = PATHS[: PATHS.index(path)]
    rivals = [each for each in before if "{" in each.rpartition("/")[0] and _overlap(each, path)]
    assert rivals == []


def _overlap(one: str, other: str) -> bool:
    """Whether one path of a request can be both."""
    steps = one.split("/"), other.split("/")
    if len(steps[0]) != len(steps[1]):
        return False
    return all(a == b or "{" in (a[:1], b[:1]) for a, b in zip(*steps, strict=True))
