"""What the documentation says is so: names exist, links lead somewhere, tables are the code's, commands run."""

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from starlette.routing import compile_path

from heliograph.api import sandbox
from heliograph.api.app import PREFIX, RESOURCES
from heliograph.api.messages import not_served
from heliograph.carrier_settings import KINDS
from heliograph.carriers.sandbox import SCRIPTS
from heliograph.cli import parser
from heliograph.domain.errors import Code
from heliograph.reference import commands_of
from heliograph.settings import Settings, clean_environment, describe
from heliograph.testing.server_process import ServerProcess
from tests.docs.generate import ROOT, WHOLE, made, pages, stable
from tests.wire import Caller

PAGES = pages()
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
SETTINGS = frozenset(describe(Settings()))

CODE = re.compile(r"`([124]\d{4})`")
FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"`((?:[\w.-]+/)+[\w.*-]+\.(?:py|md|csv|toml|mjs))`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
PATH = re.compile(r"(?<![\w.:/-])((?:/v2)?/(?:messages|messaging_profiles|sandbox|healthz|readyz)\b[\w/{}+.-]*)")
ROW = re.compile(r"^\| `(GET|POST|PATCH|PUT|DELETE) (/\S+)` \|", re.MULTILINE)
SETTING = re.compile(r"`([a-z]+\.[a-z_]+)`")
COMMAND = re.compile(r"(?:`|\$ |^)(heliograph(?: [a-z]+)+)", re.MULTILINE)
VARIABLE = re.compile(r"\bHELIOGRAPH_[A-Z][A-Z_]*[A-Z]\b")
CARRIER_VARIABLE = re.compile(r"\bHELIOGRAPH_CARRIERS__[A-Z0-9]+(_[A-Z0-9]+)*?__")

# What an exact run shows otherwise: moments, and how far the clock has got meanwhile.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z|(?<=\"ahead_seconds\":)[\d.]+")


@pytest.fixture(params=PAGES, ids=NAMES)
def page(request: pytest.FixtureRequest) -> Path:
    """Each page in turn."""
    path: Path = request.param
    return path


@pytest.fixture
def text(page: Path) -> str:
    """What stands on it."""
    return page.read_text(encoding="utf-8")


def read_by_tests() -> set[str]:
    """The variables that only the tests know."""
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    return {name for source in sources for name in VARIABLE.findall(source) if name.startswith("HELIOGRAPH_TEST_")}


def test_what_is_made_from_the_code_is_up_to_date(page: Path, text: str) -> None:
    assert made(page) == text, "run `make docs`"


def test_every_page_that_is_made_whole_is_there() -> None:
    assert set(WHOLE) <= set(NAMES)


def test_every_environment_variable_exists(text: str) -> None:
    known = {f"HELIOGRAPH_{name.upper().replace('.', '__')}" for name in SETTINGS} | {"HELIOGRAPH_CONFIG"}
    # Carriers have the names that their operator gives them; what follows the name is a setting.
    named = {CARRIER_VARIABLE.sub("HELIOGRAPH_CARRIERS__", each) for each in VARIABLE.findall(text)}
    of_carriers = {f"HELIOGRAPH_CARRIERS__{name.upper()}" for kind in KINDS.values() for name in kind.settings()}
    assert named <= known | of_carriers | read_by_tests()


def test_every_setting_exists(text: str) -> None:
    sections = {name.partition(".")[0] for name in SETTINGS}
    named = {name for name in SETTING.findall(text) if name.partition(".")[0] in sections}
    files = {name for name in named if name.endswith((".py", ".md"))}
    assert named - files <= SETTINGS


def test_every_error_code_exists(text: str) -> None:
    assert set(CODE.findall(text)) <= {code.value for code in Code}


def test_every_path_is_served(text: str) -> None:
    served = [compile_path(PREFIX + path)[0] for path in RESOURCES] + [compile_path(path)[0] for path in RESOURCES]
    served += [compile_path(path)[0] for path in [*sandbox.RESOURCES, "/healthz", "/readyz", "/openapi.json"]]
    named = {path.rstrip(".") for path in PATH.findall(text)}
    assert [path for path in named if not any(each.match(path) for each in served)] == []


def test_every_command_exists(text: str) -> None:
    known = {each.prog for each in commands_of(parser())}
    groups = {name.rpartition(" ")[0] for name in known}
    named = {command for command in COMMAND.findall(text) if " " in command}
    assert [each for each in named if not any(f"{each} ".startswith(f"{name} ") for name in known | groups)] == []


def test_every_file_is_there(text: str) -> None:
    folders = (ROOT, ROOT / "src" / "heliograph")
    missing = [name for name in FILE.findall(text) if not any(list(folder.glob(name)) for folder in folders)]
    assert missing == []


def test_every_link_leads_somewhere(page: Path, text: str) -> None:
    targets = [link for link in LINK.findall(text) if "://" not in link]
    assert [link for link in targets if not leads_somewhere(page, link)] == []


def leads_somewhere(page: Path, link: str) -> bool:
    """Whether a link of a page names a file and, if it has one, a heading of that page."""
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as they are made from them."""
    headings = HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("bad", ["architecture.md#no-such-heading", "no-such-page.md", "#no-such-heading"])
def test_a_broken_link_is_seen(bad: str) -> None:
    assert not leads_somewhere(ROOT / "docs" / "api.md", bad)


def test_the_endpoints_are_all_listed_and_no_others() -> None:
    listed = ROW.findall((ROOT / "docs" / "api.md").read_text(encoding="utf-8"))
    every = {**RESOURCES, **sandbox.RESOURCES}.items()
    served = {
        (method, path) for path, methods in every for method in methods if methods[method].endpoint is not not_served
    }
    assert sorted(listed) == sorted({*served, ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/openapi.json")})


def test_the_words_of_the_demo_are_compared_without_what_varies() -> None:
    assert stable("left 9.5 ms at 09:40:00.007, ...88462c") == stable("left 12.0 ms at 10:00:01.100, ...0f0f0f")
    assert stable("left 9.5 ms late") != stable("left 9.5 ms early")


def test_the_magic_numbers_do_what_the_page_says(tmp_path: Path) -> None:
    rows = re.findall(
        r"^\| `(\+\d+)` \| `(\w+)` \| (?:`(\d+)`)? *\| (yes|no) \|",
        (ROOT / "docs" / "magic-numbers.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert [number for number, *_ in rows] == list(SCRIPTS)
    with served_to(tmp_path) as caller:
        sent = {number: caller.send(to=number).data["id"] for number, *_ in rows}
        caller.advance_to(caller.time(hours=5))
        assert [seen(caller, number, sent[number]) for number in sent] == rows


@contextmanager
def served_to(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Caller]:
    """A caller of a sandbox of its own."""
    with ExitStack() as until_end:
        server = until_end.enter_context(ServerProcess(f"sqlite:///{folder / 'h.db'}", settings))
        yield until_end.enter_context(Caller(server.ready["base_url"], server.ready["api_key"]))


def seen(caller: Caller, number: str, message_id: str) -> tuple[str, str, str, str]:
    """A row of the table, as it really went."""
    message = caller.read(message_id)
    error = "".join(each["code"] for each in message["errors"])
    return number, message["to"][0]["status"], error, "yes" if caller.handset(number) else "no"


@pytest.mark.parametrize(
    ("setting", "arrivals"), [({"DISPATCH__REPEAT_POLICY": "rather_twice"}, 2), ({"SANDBOX__REPEAT_SAFE": "true"}, 1)]
)
def test_a_message_of_unknown_outcome_may_be_tried_again(
    setting: Mapping[str, str], arrivals: int, tmp_path: Path
) -> None:
    with served_to(tmp_path, setting) as caller:
        caller.send(to="+15005550009")
        caller.advance_to(caller.time(minutes=5))
        assert len(caller.handset("+15005550009")) == arrivals


class QuickStart:
    """The quick start done as it is written, in an empty folder and on a free port."""

    def __init__(self, folder: Path) -> None:
        text = (ROOT / "docs" / "quick-start.md").read_text(encoding="utf-8")
        self.blocks = [(language, code) for _, language, code in FENCED.findall(text)]
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = str(listening.getsockname()[1])
        # Wherever this runs from, the command need not be installed.
        command = folder / "bin" / "heliograph"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m heliograph "$@"\n')
        command.chmod(0o755)

    def code(self, language: str, index: int) -> str:
        """A block by its language and place, with our port in it."""
        found = [code for each, code in self.blocks if each == language]
        return str(found[index]).replace("8400", self.port)

    def shell(self, script: str) -> str:
        """What a script prints that must succeed."""
        process = self.started(f"set -e\n{script}")
        printed, _ = process.communicate()
        assert process.returncode == 0, printed
        return printed

    def started(self, script: str) -> "subprocess.Popen[str]":
        """A shell at work; what goes wrong is on the test's own standard error."""
        return subprocess.Popen(
            ["sh", "-c", script], cwd=self.folder, env=self.environment(), stdout=subprocess.PIPE, text=True
        )

    def environment(self) -> dict[str, str]:
        """Ours, with the command and this Python first on the path, and the port of the server."""
        own = clean_environment()
        path = f"{self.folder / 'bin'}:{Path(sys.executable).parent}:{own['PATH']}"
        return own | {"HELIOGRAPH_HTTP__PORT": self.port, "PATH": path}


@pytest.fixture
def quick_start(tmp_path: Path) -> QuickStart:
    """Begun anew."""
    return QuickStart(tmp_path)


@pytest.fixture
def served(quick_start: QuickStart) -> Iterator[str]:
    """The server of step 1; the key that it printed."""
    process = quick_start.started(f"exec {quick_start.code('sh', 1)}")
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in quick_start.code("text", 0).splitlines()]
    shown = quick_start.code("text", 0).splitlines()
    assert [line.partition(": ")[0] for line in told] == [line.partition(": ")[0] for line in shown]
    assert told[0] + told[3] == f"{shown[0]}\n{shown[3]}\n"
    yield told[1].partition(": ")[2].strip()
    process.terminate()
    process.communicate()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_quick_start_schedules_cancels_and_moves_the_clock(quick_start: QuickStart, served: str) -> None:
    (quick_start.folder / "reminders.py").write_text(quick_start.code("python", 0))
    where = quick_start.code("sh", 2).replace("KEY_...", served)
    assert quick_start.shell(where + quick_start.code("sh", 3)) == quick_start.code("text", 1)
    moved = quick_start.shell(quick_start.code("sh", 4).replace("\n", "; echo\n"))
    assert _MOMENT.sub("", moved) == _MOMENT.sub("", quick_start.code("text", 2))


def test_the_tests_of_the_quick_start_pass(quick_start: QuickStart) -> None:
    (quick_start.folder / "conftest.py").write_text(quick_start.code("python", 1))
    (quick_start.folder / "test_reminders.py").write_text(quick_start.code("python", 2))
    assert "1 passed" in quick_start.shell(quick_start.code("sh", 5))


def test_the_steps_for_ci_point_an_sdk_at_a_running_server(quick_start: QuickStart) -> None:
    program = "python -c 'from telnyx import Telnyx; print(len(Telnyx().messaging_profiles.list().data))'\nkill $!\n"
    assert quick_start.shell(quick_start.code("sh", 6) + program).splitlines()[-1] == "1"


def test_the_readme_has_the_same_steps_for_ci(quick_start: QuickStart) -> None:
    steps = [code for language, code in quick_start.blocks if language == "sh"][6]
    assert f"```sh\n{steps}```" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_webhooks_of_the_page_come_to_its_receiver(quick_start: QuickStart) -> None:
    text = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
    blocks = [(language, code) for _, language, code in FENCED.findall(text)]
    python, shown = (code for language, code in blocks if language in {"python", "text"})
    serve, point, talk = (code for language, code in blocks if language == "sh")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        theirs = str(listening.getsockname()[1])

    def ours(code: str) -> str:
        return code.replace("8400", quick_start.port).replace("3000", theirs)

    (quick_start.folder / "receiver.py").write_text(ours(python))
    server = quick_start.started(f"exec {ours(serve)}")
    assert server.stdout is not None
    told = dict(server.stdout.readline().strip().split(": ", 1) for _ in range(5))
    where = ours(point).replace("KEY_...", told["api_key"]).replace("KEY=...", f"KEY={told['webhook_public_key']}")
    receiver = quick_start.started(where.replace("python receiver.py", "exec python receiver.py"))
    assert receiver.stdout is not None
    try:
        lines = [receiver.stdout.readline()]
        quick_start.shell(where.replace("python receiver.py", ours(talk)))
        lines += [receiver.stdout.readline() for _ in range(3)]
    finally:
        for process in (receiver, server):
            process.terminate()
            process.communicate()
    first, *events = shown.splitlines(keepends=True)
    assert (lines[0], sorted(lines[1:])) == (first, sorted(events))
