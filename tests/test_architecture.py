"""The rules of the house that no linter knows, each with a proof that its check sees what it forbids."""

import ast
import re
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "heliograph"
SOURCE_FILES = sorted(SOURCE.rglob("*.py"))
TEST_FILES = sorted((ROOT / "tests").rglob("*.py"))

FUNCTION_LINES = 60
FILE_LINES = 600
# Bytes in, events and bytes out: the shells around these own the sockets and the timers.
SHELLS = {"binds.py", "carrier.py", "link.py", "smsc.py", "smsc_connection.py", "smsc_record.py", "throttling.py"}
SANS_IO = [path for path in (SOURCE / "carriers" / "smpp").glob("*.py") if path.name not in SHELLS]

SQL = re.compile(r"\b(SELECT\b.+\bFROM|INSERT INTO|UPDATE\b.+\bSET|DELETE FROM|(CREATE|ALTER|DROP) TABLE)\b", re.DOTALL)
SILENCES = re.compile(r"#\s*(noqa|ruff: noqa|type: ignore|mypy: |pragma: no cover)")
EXPLAINS = re.compile(r"#\s*(noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*|type: ignore\[[\w, -]+\]|pragma: no cover)\W+\w.*")

Check = Callable[[ast.AST], Iterator[int]]


def reads_environment(tree: ast.AST) -> Iterator[int]:
    """Lines that reach for the environment."""
    yield from _lines_with(tree, "os", {"environ", "environb", "getenv", "putenv", "unsetenv"})


def reads_clock(tree: ast.AST) -> Iterator[int]:
    """Lines that ask what time it is; a monotonic clock tells no time and is free."""
    yield from _lines_with(tree, "time", {"time", "time_ns", "localtime", "gmtime"})
    yield from _lines_with(tree, "datetime", {"now", "utcnow", "today"})
    yield from _lines_with(tree, "date", {"today"})


def sleeps(tree: ast.AST) -> Iterator[int]:
    """Lines that let time pass; `sleep(0)` only lets the other tasks run."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(args=[ast.Constant(value=0)]):
                continue
            case ast.Call() if ast.unparse(node.func).rpartition(".")[2] == "sleep":
                yield node.lineno


def speaks_sql(tree: ast.AST) -> Iterator[int]:
    """Lines with a text that is a statement, keywords in capitals."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.search(node.value):
            yield node.lineno


def does_io(tree: ast.AST) -> Iterator[int]:
    """Lines that import what waits or connects."""
    for node in ast.walk(tree):
        match node:
            case ast.Import() if any(_waits(alias.name) for alias in node.names):
                yield node.lineno
            case ast.ImportFrom() if _waits(node.module or ""):
                yield node.lineno


def _waits(module: str) -> bool:
    return module.partition(".")[0] in {"anyio", "asyncio", "select", "selectors", "socket", "ssl", "threading"}


def is_long_function(tree: ast.AST) -> Iterator[int]:
    """First lines of functions longer than the hard stop, docstring included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _lines(node) > FUNCTION_LINES:
            yield node.lineno


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _lines_with(tree: ast.AST, owner: str, names: set[str]) -> Iterator[int]:
    """Lines with `owner.name`, with whatever before the owner, or `from owner import name`."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute() if node.attr in names and ast.unparse(node.value).rpartition(".")[2] == owner:
                yield node.lineno
            case ast.ImportFrom() if node.module == owner and names & {alias.name for alias in node.names}:
                yield node.lineno


def found_by(check: Check, files: list[Path], *, allowed: str = "") -> list[str]:
    """`file:line` of everything the check sees outside the allowed file or folder of the source."""
    return [
        f"{path.relative_to(ROOT)}:{line}"
        for path in files
        if not (allowed and path.is_relative_to(SOURCE / allowed))
        for line in check(ast.parse(path.read_text(encoding="utf-8"), str(path)))
    ]


def unexplained_ignores(path: Path) -> Iterator[str]:
    """`file:line` of each silenced warning that does not name its rule and, on the same line, its reason."""
    with tokenize.open(path) as source:
        comments = [token for token in tokenize.generate_tokens(source.readline) if token.type == tokenize.COMMENT]
    for comment in comments:
        if SILENCES.match(comment.string) and not EXPLAINS.match(comment.string):
            yield f"{path.name}:{comment.start[0]}"


@pytest.mark.parametrize(
    ("check", "code"),
    [
        (reads_environment, "import os\nos.environ['HOME']"),
        (reads_environment, "\nfrom os import getenv"),
        (reads_clock, "import time\ntime.time()"),
        (reads_clock, "\nfrom time import time_ns"),
        (reads_clock, "import datetime\ndatetime.datetime.now(UTC)"),
        (reads_clock, "from datetime import datetime\ndatetime.utcnow()"),
        (sleeps, "import asyncio\nasyncio.sleep(0.1)"),
        (sleeps, "from time import sleep\nsleep(1)"),
        (speaks_sql, "\n'SELECT id\\nFROM message'"),
        (speaks_sql, "\nf'UPDATE message SET status = {status}'"),
        (does_io, "\nfrom asyncio import Protocol"),
        (does_io, "import struct\nimport socket"),
        (is_long_function, "\ndef long():\n" + "    step()\n" * FUNCTION_LINES),
    ],
)
def test_each_check_sees_what_it_forbids(check: Check, code: str) -> None:
    assert list(check(ast.parse(code))) == [2]


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa",
        "# noqa: S101",
        "# noqa because it is right",
        "# type: ignore",
        "# type: ignore[arg-type]",
        "# ruff: noqa",
    ],
)
def test_an_ignore_without_rule_or_reason_is_seen(comment: str, tmp_path: Path) -> None:
    path = tmp_path / "silent.py"
    path.write_text(f"x = 1  {comment}\n")
    assert list(unexplained_ignores(path)) == ["silent.py:1"]


def test_imports_keep_the_contracts(capfd: pytest.CaptureFixture[str]) -> None:
    broken = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)
    assert not broken, capfd.readouterr().out


def test_only_settings_read_the_environment() -> None:
    assert found_by(reads_environment, SOURCE_FILES, allowed="settings.py") == []


def test_only_the_clock_knows_the_time() -> None:
    assert found_by(reads_clock, SOURCE_FILES, allowed="clock.py") == []


def test_only_the_store_speaks_sql() -> None:
    assert found_by(speaks_sql, SOURCE_FILES, allowed="store") == []


def test_protocols_do_no_io() -> None:
    assert found_by(does_io, SANS_IO) == []


def test_no_test_sleeps() -> None:
    # In the simulation time is made up: a pause there waits for nothing.
    waiting = [path for path in TEST_FILES if path.name != "databases.py" and path.parent.name != "simulation"]
    assert found_by(sleeps, waiting) == []


def test_no_function_is_longer_than_a_page() -> None:
    assert found_by(is_long_function, SOURCE_FILES + TEST_FILES) == []


def test_no_file_is_longer_than_a_chapter() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCE_FILES + TEST_FILES}
    assert {str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines > FILE_LINES} == {}


def test_each_silenced_warning_says_why() -> None:
    assert [place for path in SOURCE_FILES + TEST_FILES for place in unexplained_ignores(path)] == []
