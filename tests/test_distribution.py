"""How the processes of a run share the tests."""

import pytest

from tests.distribution import shared_by


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
    ],
)
def test_tests_that_share_a_server_stay_together(nodeid: str, shared: str) -> None:
    assert shared_by(nodeid) == shared
