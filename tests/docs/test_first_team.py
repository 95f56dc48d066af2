"""The page about a first team, done as it is written."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.docs.generate import ROOT
from tests.docs.test_docs import FENCED, QuickStart

PROGRAMS = ("receiver.py", "campaign.py", "day.py", "report.py")
EVENTS = {"message.sent", "message.finalized", "messaging-profile.spend-limit-reached"}


class FirstTeam(QuickStart):
    """The page in an empty folder, its server and its receiver on free ports."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            theirs = str(listening.getsockname()[1])
        blocks = FENCED.findall((ROOT / "docs" / "first-team.md").read_text(encoding="utf-8"))
        self.blocks = [(language, code.replace("3000", theirs)) for _, language, code in blocks]
        self.theirs = theirs
        for index, name in enumerate(PROGRAMS):
            (folder / name).write_text(self.code("python", index))

    @contextmanager
    def running(self, script: str) -> Iterator[Iterator[str]]:
        """Something that goes on beside; the lines that it prints."""
        before, _, last = script.rstrip().rpartition("\n")
        process = self.started(f"{before}\nexec {last}")
        assert process.stdout is not None
        try:
            yield iter(process.stdout)
        finally:
            process.terminate()
            process.communicate()


@pytest.mark.timeout(300)  # of twenty processes, most begin with the SDK's thousands of models
def test_the_team_of_the_page_sends_and_sees_what_became_of_it(tmp_path: Path) -> None:
    page = FirstTeam(tmp_path)
    made, serve, receive, register, spend, report = (page.code("sh", index) for index in range(6))
    told, refused, spent, summed = (page.code("text", index) for index in range(4))
    assert page.shell(made) == told
    with ExitStack() as until_end:
        server = until_end.enter_context(page.running(serve))
        assert [next(server) for _ in range(5)][-1].startswith("webhook_public_key: ")
        events = until_end.enter_context(page.running(receive))
        assert next(events) == "listening\n"
        assert page.shell(register) == refused
        where = register.partition("\n")[0] + "\n"
        assert page.shell(where + spend) == spent
        assert page.shell(where + report) == summed
        # Which comes last is not said, and one that came too late for its time-out comes again.
        missing = set(EVENTS)
        while missing:
            missing.discard(next(events).strip())
