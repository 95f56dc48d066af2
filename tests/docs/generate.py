"""Writes what the documentation takes from the code: `make docs`.

Some pages are made whole. In the others, what stands between `<!-- made: NAME -->` and `<!-- end -->` is made, and all
else is written by hand. The tests demand that a second run would change nothing.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from heliograph import reference, settings
from heliograph.api.problems import STATUSES
from heliograph.carriers.sandbox import SCRIPTS, Script
from heliograph.domain.errors import TITLES, Code
from heliograph.domain.lifecycle import MEANING, Change, Status, diagram, result, sources

ROOT = Path(__file__).resolve().parents[2]
WHOLE: Mapping[str, Callable[[], str]] = {
    "docs/cli.md": reference.reference,
    "docs/settings.md": settings.reference,
}
_BLOCK = re.compile(r"<!-- made: (?P<name>[\w ]+) -->\n(?P<text>.*?)<!-- end -->", re.DOTALL)

# What differs from one run of the demo to the next.
_VARYING = [
    (re.compile(r"http://127\.0\.0\.1:\d+"), "http://HERE"),
    (re.compile(r"/\S*heliograph-demo-\w+"), "/FOLDER"),
    (re.compile(r"\d\d:\d\d(:\d\d(\.\d+)?)?"), "TIME"),
    (re.compile(r"\.\.\.[0-9a-f]{6}"), "...ID"),
    (re.compile(r"\d+\.\d (ms|seconds)"), r"N \1"),
]


def pages() -> list[Path]:
    """Every page there is."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def made(page: Path) -> str:
    """What a page must hold, given what it holds."""
    name = str(page.relative_to(ROOT))
    if name in WHOLE:
        return WHOLE[name]()
    return _BLOCK.sub(_filled, page.read_text(encoding="utf-8"))


def _filled(block: "re.Match[str]") -> str:
    name = block["name"]
    text = tour(block["text"].strip()) if name == "demo" else BLOCKS[name]()
    return f"<!-- made: {name} -->\n\n{text}\n\n<!-- end -->"


def tour(before: str) -> str:
    """What the demo prints up to its snippets; `before`, when only times, ids and places are others."""
    command = [sys.executable, "-m", "heliograph", "demo", "--exit", "--port", "0"]
    environment = settings.clean_environment()
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    shown = ended.stdout.partition("\nNow yours.")[0].strip("\n")
    now = f"```text\n{shown}\n```"
    return before if stable(before) == stable(now) else now


def stable(text: str) -> str:
    """`text` of the demo without what differs from run to run."""
    for pattern, replacement in _VARYING:
        text = pattern.sub(replacement, text)
    return text


def layers() -> str:
    """The rows of modules, as the check of imports has them; without those that are still to come."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (rows,) = (each["layers"] for each in linter["contracts"] if each["id"] == "layers")
    present = {path.stem for path in (ROOT / "src" / "heliograph").iterdir()}
    named = ([name.strip(" ()") for name in row.split("|")] for row in rows)
    lines = (", ".join(name for name in row if name in present) for row in named)
    return "\n".join(["```text", *filter(None, lines), "```"])


def states() -> str:
    """The diagram of statuses."""
    return f"```mermaid\n{diagram()}\n```"


def changes() -> str:
    """Each change, where it may happen, and where it leads."""
    rows = ((code(each), _list(sources(each)), code(result(each)), MEANING[each]) for each in Change)
    return table(("Change", "From", "To", "What happened"), rows)


def request_errors() -> str:
    """The codes that answer a request."""
    rows = ((code(each), str(status), TITLES[each]) for each, status in sorted(STATUSES.items()))
    return table(("Code", "HTTP", "Title"), rows)


def delivery_errors() -> str:
    """The codes that stand in a message's own `errors[]`; one of them answers a request as well."""
    of_messages = [each for each in Code if each not in STATUSES or each is Code.NOT_REGISTERED]
    return table(("Code", "Title"), ((code(each), TITLES[each]) for each in of_messages))


def magic_numbers() -> str:
    """The destinations of the simulated carrier that have a script."""
    rows = (
        (
            code(number),
            code(ends_as(script)),
            code(script.error.code) if script.error else code(Code.OUTCOME_UNKNOWN) if script.unknown else "",
            "yes" if script.arrives else "no",
            script.meaning,
        )
        for number, script in SCRIPTS.items()
    )
    return table(("To", "Last status", "Error", "Arrives", "What happens"), rows)


def ends_as(script: Script) -> Status:
    """The last status of a message under the default settings."""
    if script.refused:
        return result(Change.REFUSE)
    return result(script.receipts[0] if script.receipts else Change.UNCONFIRM)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def code(text: str) -> str:
    """A word of the machine."""
    return f"`{text}`"


def _list(words: Iterable[str]) -> str:
    return ", ".join(map(code, words))


BLOCKS: Mapping[str, Callable[[], str]] = {
    "changes": changes,
    "delivery errors": delivery_errors,
    "layers": layers,
    "magic numbers": magic_numbers,
    "request errors": request_errors,
    "states": states,
}


def main() -> None:
    """Write every page that has changed."""
    for page in {*pages(), *(ROOT / name for name in WHOLE)}:
        text = made(page)
        if not page.exists() or text != page.read_text(encoding="utf-8"):
            page.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{page.relative_to(ROOT)} was written anew\n")


if __name__ == "__main__":
    main()
