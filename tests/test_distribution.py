"""How the processes of a run share the tests."""

import pytest

from tests.distribution import in_turns, shared_by


@pytest.mark.parametrize(
    ("nodeid", "shared"),
    [
        ("tests/api/test_wire.py::test_one[sqlite-a]", "tests/api/sqlite"),
        ("tests/api/test_reports.py::test_two[postgresql]", "tests/api/postgresql"),
        ("tests/sdk/test_links_sdk.py::test_three[Telnyx-sqlite]", "tests/sdk/sqlite"),
        ("tests/api/test_profiles.py::test_four[x]", "tests/api/test_profiles.py"),
        ("tests/store/test_claims.py::test_five[sqlite]", "tests/store/test_claims.py"),
        ("tests/test_demo.py::test_six", "tests/test_demo.py"),
        ("tests/chaos/test_crash.py::test_seven[sqlite]", "tests/chaos/test_crash.py::test_seven[sqlite]"),
        ("tests/availability/test_failover.py::test_eight[killed]", "tests/availability/test_failover.py"),
    ],
)
def test_tests_that_share_a_server_stay_together(nodeid: str, shared: str) -> None:
    assert shared_by(nodeid) == shared


def test_long_tests_do_not_come_last_and_not_all_at_once() -> None:
    scopes = [
        "tests/api/sqlite",
        "tests/store/a.py",
        "tests/domain/b.py",
        "tests/chaos/c.py::one",
        "tests/chaos/d.py::two",
    ]
    assert in_turns(scopes) == [
        "tests/chaos/c.py::one",
        "tests/api/sqlite",
        "tests/chaos/d.py::two",
        "tests/store/a.py",
        "tests/domain/b.py",
    ]
