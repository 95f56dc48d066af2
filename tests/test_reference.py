"""The page docs/cli.md."""

import re
import subprocess
import sys
from pathlib import Path

from heliograph import reference as reference_module
from heliograph.reference import reference
from heliograph.settings import clean_environment

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"
SOURCE = Path(reference_module.__file__).parent.parent


def test_the_page_in_docs_is_the_one_the_code_makes() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference()


def test_the_module_prints_the_page() -> None:
    command = [sys.executable, "-m", "heliograph.reference"]
    printed = subprocess.run(command, cwd=SOURCE, capture_output=True, check=True)
    assert printed.stdout.decode() == reference()


def test_these_are_all_the_commands() -> None:
    """A command that goes away breaks somebody's script."""
    assert re.findall("^## heliograph (.*)$", reference(), re.MULTILINE) == [
        "serve",
        "api",
        "worker",
        "migrate",
        "organizations create",
        "organizations set",
        "organizations list",
        "keys create",
        "keys list",
        "keys revoke",
        "keys webhook",
        "keys rotate-webhook",
        "profiles create",
        "profiles update",
        "profiles list",
        "profiles delete",
        "numbers add",
        "numbers list",
        "numbers update",
        "numbers remove",
        "brands list",
        "brands vet",
        "campaigns list",
        "webhooks endpoints",
        "webhooks enable",
        "inbound refused",
        "carriers list",
        "carriers receipts",
        "carriers test",
        "routes explain",
        "routes list",
        "smsc",
        "nodes",
        "doctor",
        "demo",
    ]


def test_every_argument_has_its_meaning() -> None:
    rows = re.findall(r"^\| `(.+)` \| (.*) \|$", reference(), re.MULTILINE)
    assert len(rows) > 30
    assert [name for name, meaning in rows if not meaning] == []


def test_the_example_on_the_page_works(tmp_path: Path) -> None:
    example = re.search(r"```console\n(.*?)```", reference(), re.DOTALL)
    assert example
    lines = [line.removeprefix("$ ") for line in example[1].splitlines()]
    assert lines.pop() == "heliograph serve"
    script = "\n".join(
        [f'heliograph() {{ "{sys.executable}" -m heliograph "$@"; }}', *lines, "heliograph numbers list"]
    )
    environment = clean_environment() | {"HELIOGRAPH_DATABASE__URL": f"sqlite:///{tmp_path / 'h.db'}"}
    ran = subprocess.run(["sh", "-e", "-c", script], cwd=SOURCE, env=environment, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.decode().splitlines()[-1].startswith("+13125550123")
