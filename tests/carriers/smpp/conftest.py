"""SMSCs in processes: a failure in CI where one cannot be started, a skip elsewhere."""

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.carriers.smpp.peers import NODE_PROGRAM, PERL_PROGRAM, Start, running

_IN_CI = os.environ.get("CI", "") not in ("", "0", "false")  # noqa: TID251  asks the environment whether this is CI


def _missing(what: str) -> None:
    if _IN_CI:
        pytest.fail(f"SMPP must be tested against it in CI, but {what}")
    pytest.skip(what)


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts the npm SMSC with options by name."""
    node = shutil.which("node")
    if node is None or not (NODE_PROGRAM.parent / "node_modules").is_dir():
        _missing("Node.js or the package smpp is missing: run `make setup`")
    async with AsyncExitStack() as until_end:
        yield lambda **options: until_end.enter_async_context(running(str(node), NODE_PROGRAM, json.dumps(options)))


@pytest.fixture(scope="session")
def perl() -> str:
    """The path of a Perl that has Net::SMPP."""
    path = shutil.which("perl")
    if path is None or subprocess.run([path, "-MNet::SMPP", "-e1"], check=False, capture_output=True).returncode:
        _missing("Perl with Net::SMPP is missing: on Debian and Ubuntu, apt-get install libnet-smpp-perl")
    return str(path)


@pytest.fixture
async def start_perl(perl: str) -> AsyncIterator[Start]:
    """Starts the SMSC of Net::SMPP with options by name."""
    async with AsyncExitStack() as until_end:
        yield lambda **options: until_end.enter_async_context(
            running(perl, PERL_PROGRAM, *(f"{name}={value}" for name, value in options.items()))
        )
