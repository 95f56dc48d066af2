"""The npm SMSC in a process of its own, and what it counted."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.measure import ROOT, Processes

PROGRAM = Path(__file__).with_name("smsc.js")
# The tests have the same peer; `make setup` installs it.
MODULES = ROOT / "tests" / "carriers" / "smpp" / "node" / "node_modules"


class Missing(Exception):
    """A program that a benchmark needs is not installed; the text says which, and how to get it."""


class Counted(msgspec.Struct):
    """What an SMSC was told since it was last asked."""

    submits: int
    different: int
    """Submits that differ in recipient or text; counted only where receipts are given."""
    receipts: int
    acknowledged: int
    """Receipts that were answered with status 0."""


class Smsc:
    """A running one."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self._process = process
        self.port = port
        self.processes = Processes(process.pid)

    def counted(self) -> Counted:
        """What came since this was last asked."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._process.stdout.readline(), type=Counted)


@contextmanager
def smsc(*, receipts: bool) -> Iterator[Smsc]:
    """An SMSC on a free port. Raises `Missing`."""
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [_node(), PROGRAM, json.dumps({"receipts": receipts})],
            env={"NODE_PATH": str(MODULES)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                errors.seek(0)
                raise SystemExit(f"the SMSC did not start: {errors.read().decode()}")
            yield Smsc(process, json.loads(line)["port"])
        finally:
            process.kill()


def version() -> str:
    """What the SMSC is made of. Raises `Missing`."""
    node = subprocess.run([_node(), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    package = json.loads((MODULES / "smpp" / "package.json").read_text())
    return f"npm {package['name']} {package['version']} on Node.js {node}"


def _node() -> str:
    node = shutil.which("node")
    if node is None:
        raise Missing("the SMSC needs Node.js (Debian: apt-get install nodejs npm), which is not on the path")
    if not (MODULES / "smpp").is_dir():
        raise Missing(f"the npm package smpp is not in {MODULES.relative_to(ROOT)}: make setup installs it")
    return node
