"""The description of our own API: it is served, and the service keeps to it whatever it is asked (schemathesis)."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from heliograph.api.app import PREFIX, RESOURCES
from tests.api.premises import Premises, premises
from tests.wire import Accounts, Caller

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
ROUNDS = int(os.environ.get("HELIOGRAPH_TEST_CHAOS", "1"))  # noqa: TID251 - not a setting of the service
LEFT_OUT = "/sandbox/clock/advance"
"""Moves every test's clock by years."""


def test_every_operation_is_described(call: Caller) -> None:
    answer = call("GET", "/openapi.json", headers={"Authorization": None})
    paths = answer.json["paths"]
    assert answer.status == 200
    assert {(path, method) for path, methods in RESOURCES.items() for method in methods} == {
        (path.removeprefix(PREFIX), method.upper())
        for path, methods in paths.items()
        for method in methods
        if path.startswith(PREFIX)
    }


def configuration(owned: Premises) -> str:
    """A file for schemathesis: what stands in paths leads to something, or half of all requests would find nothing."""
    lines = ["[generation]", "allow-x00 = true"]
    for path, parameters in owned.places.items():
        given = ", ".join(
            f'"path.{name}" = {msgspec.json.encode(value).decode()}' for name, value in parameters.items()
        )
        lines += ["[[operations]]", f'include-path = "{PREFIX}{path}"', f"parameters = {{ {given} }}"]
    return "\n".join(lines)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_no_request_gets_what_is_not_described(accounts: Accounts, tmp_path: Path) -> None:
    key = accounts.key(accounts.organization())
    with accounts.caller(key) as caller:
        owned = premises(caller)
        base_url = caller.base_url
    (tmp_path / "schemathesis.toml").write_text(configuration(owned))
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml",
        "run", f"{base_url}/openapi.json", "--header", f"Authorization: Bearer {key}",
        "--checks", CHECKS, "--phases", "coverage,fuzzing", "--max-examples", str(2 * ROUNDS),
        "--exclude-path", LEFT_OUT, "--no-shrink", "--warnings", "off", "--continue-on-failure",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
