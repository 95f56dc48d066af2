"""`heliograph carriers` and its lists. The test message: tests/commands/test_trial.py."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from heliograph.cli import main
from heliograph.commands.carriers import stands
from heliograph.domain.carriers import CarrierState, LinkState
from heliograph.domain.errors import Code
from heliograph.domain.instant import MINUTE, SECOND, Instant, to_text
from heliograph.domain.lifecycle import Change
from heliograph.domain.outcome import delivery_error
from heliograph.domain.receipt import Receipt
from heliograph.store.engine import open_engine
from heliograph.store.store import Store
from heliograph.testing.server_process import ServerProcess
from tests.builders import accepted, new_id
from tests.terminal import Terminal

Done = TypeVar("Done")

NODE = "0192f0c1-0000-7000-8000-0000004f2a1c"
OTHER_NODE = "0192f0c1-0000-7000-8000-000000b3b3b3"
SINCE = Instant(1_795_557_633_463_670)
LINKS = (
    LinkState(name="transceiver-1", state="bound", since=SINCE, in_flight=3, window=10),
    LinkState(name="transceiver-2", state="waiting", since=SINCE, window=10),
)
UP = CarrierState(
    name="agg-1", kind="smpp", up=True, links=LINKS, taken=12, throttled=1, refused=2, unknown=3, receipts=4, inbound=5,
    rate=7.25, last_error="A bind was lost.", last_error_at=SINCE,
)  # fmt: skip
CONFIG = """
[carriers.agg-1]
kind = "smpp"
host = "smpp.example.com"
system_id = "acme"

[carriers.provider]
kind = "upstream"
base_url = "https://api.example.com/v2"
api_key = "hunter2"
"""


@pytest.fixture
def config(tmp_path: Path) -> tuple[str, str]:
    """The options that name a file with two carriers."""
    (tmp_path / "h.toml").write_text(CONFIG)
    return "--config", str(tmp_path / "h.toml")


def beside(terminal: Terminal, work: Callable[[Store], Awaitable[Done]]) -> Done:
    """Do something with a store of our own."""

    async def run() -> Done:
        store = Store(open_engine(terminal.database_url))
        await store.start()
        try:
            return await work(store)
        finally:
            await store.stop()

    return asyncio.run(run())


def tell(terminal: Terminal, *states: CarrierState, node: str = NODE) -> None:
    """Report carriers as a process does."""

    async def told(store: Store) -> None:
        for each in states:
            await store.tell_carrier(node, each)

    beside(terminal, told)


def wait_for(terminal: Terminal, *carriers: str | None) -> None:
    """Let a message that is due wait for each of these."""

    async def waiting(store: Store) -> None:
        for each in carriers:
            await accepted(store, send_in=None, carrier=each)

    beside(terminal, waiting)


def keep(terminal: Terminal, *ids: str, **given: Any) -> None:
    """Keep receipts of ids that nobody was told."""

    async def kept(store: Store) -> None:
        for each in ids:
            receipt = Receipt(new_id(store), "agg-1", each, Change.DELIVER, SINCE)
            await store.keep_receipt(Receipt(**{**{n: getattr(receipt, n) for n in Receipt.__slots__}, **given}))

    beside(terminal, kept)


# ------------------------------------------------------------------------------------------------------------ standing


def test_what_processes_report_and_what_waits_is_shown(either_terminal: Terminal, config: tuple[str, str]) -> None:
    tell(either_terminal, UP)
    wait_for(either_terminal, "agg-1", "agg-1")
    first, second = either_terminal.json("carriers", *config)
    (process,) = first.pop("processes")
    assert first == {"carrier": "agg-1", "kind": "smpp", "configured": True, "waiting": 2}
    assert process.pop("at").endswith("Z")
    assert process.pop("links")[0] == {
        "link": "transceiver-1", "state": "bound", "since": to_text(SINCE), "in_flight": 3, "window": 10,
    }  # fmt: skip
    assert process == {
        "process": NODE, "up": True, "resting_until": None, "rate": 7.25, "taken": 12, "throttled": 1, "refused": 2,
        "unknown": 3, "receipts": 4, "inbound": 5, "last_error": "A bind was lost.", "last_error_at": to_text(SINCE),
    }  # fmt: skip
    assert second == {"carrier": "provider", "kind": "upstream", "configured": True, "waiting": 0, "processes": []}


def test_people_see_columns_then_links_then_errors(terminal: Terminal, config: tuple[str, str]) -> None:
    tell(terminal, UP)
    wait_for(terminal, "agg-1")
    assert terminal.ok("carriers", *config).splitlines() == [
        "carrier   process  kind      state         in flight  rate  taken  throttled  refused  unknown  receipts"
        "  inbound  waiting",
        "agg-1     4f2a1c   smpp      up            3/20       7.2   12     1          2        3        4       "
        "  5        1",
        "provider  -        upstream  not reported  -          -     -      -          -        -        -       "
        "  -        0",
        "",
        "carrier  process  link           state    since                     in flight",
        f"agg-1    4f2a1c   transceiver-1  bound    {to_text(SINCE)}  3/10",
        f"agg-1    4f2a1c   transceiver-2  waiting  {to_text(SINCE)}  0/10",
        "",
        "carrier  process  at                        last error",
        f"agg-1    4f2a1c   {to_text(SINCE)}  A bind was lost.",
    ]


def test_the_list_is_what_the_word_alone_shows(terminal: Terminal, config: tuple[str, str]) -> None:
    assert terminal.ok("carriers", "list", *config) == terminal.ok("carriers", *config)


def test_each_process_has_its_line(terminal: Terminal, config: tuple[str, str]) -> None:
    tell(terminal, UP)
    tell(terminal, CarrierState(name="agg-1", kind="smpp", up=False), node=OTHER_NODE)
    lines = terminal.ok("carriers", *config).splitlines()[1:3]
    assert sorted(line.split()[:4] for line in lines) == [
        ["agg-1", "4f2a1c", "smpp", "up"],
        ["agg-1", "b3b3b3", "smpp", "down"],
    ]


def test_a_carrier_that_is_reported_and_not_set_is_shown(terminal: Terminal) -> None:
    tell(terminal, UP)
    (carrier,) = terminal.json("carriers")
    assert (carrier["carrier"], carrier["kind"], carrier["configured"]) == ("agg-1", "smpp", False)


def test_messages_for_a_carrier_that_is_gone_or_for_none_are_shown(either_terminal: Terminal) -> None:
    wait_for(either_terminal, "gone", None, None)
    told = {each["carrier"]: each["waiting"] for each in either_terminal.json("carriers")}
    assert told == {"gone": 1, None: 2}
    lines = either_terminal.ok("carriers").splitlines()[1:]
    assert [(line.split()[0], line.split()[-1]) for line in lines] == [("gone", "1"), ("(none)", "2")]


def test_what_is_not_due_yet_does_not_wait(terminal: Terminal, config: tuple[str, str]) -> None:
    beside(terminal, lambda store: accepted(store, send_in=10 * MINUTE, carrier="agg-1"))
    assert [each["waiting"] for each in terminal.json("carriers", *config)] == [0, 0]


def test_without_any_carrier_that_is_said(terminal: Terminal) -> None:
    assert terminal.refused("carriers") == "There is no carrier in the settings, and no process reports one."
    assert terminal.json("carriers") == []


def test_a_running_service_reports_its_carriers(either_terminal: Terminal) -> None:
    with ServerProcess(either_terminal.database_url):
        (carrier,) = either_terminal.json("carriers", "--sandbox")
        assert (carrier["carrier"], carrier["configured"]) == ("sandbox", True)
        assert [each["up"] for each in carrier["processes"]] == [True]
    (carrier,) = either_terminal.json("carriers", "--sandbox")
    assert carrier["processes"] == []


@pytest.mark.parametrize(
    ("up", "resting", "word"),
    [(True, None, "up"), (True, -1, "up"), (True, SECOND, f"resting until {to_text(Instant(SINCE + SECOND))}")],
)
def test_a_carrier_that_rests_is_said_to(up: bool, resting: int | None, word: str) -> None:
    until = None if resting is None else Instant(SINCE + resting)
    assert stands(CarrierState(name="a", kind="smpp", up=up, resting_until=until), SINCE) == word


def test_a_carrier_that_is_down_is_down_whatever_it_rests(terminal: Terminal) -> None:
    assert stands(CarrierState(name="a", kind="smpp", up=False, resting_until=Instant(SINCE + 9)), SINCE) == "down"


# ------------------------------------------------------------------------------------------------------------ receipts


def test_receipts_that_no_message_is_known_for_are_listed(either_terminal: Terminal) -> None:
    error = delivery_error(Code.UNDELIVERABLE, "err 005")
    keep(either_terminal, "a0")
    keep(either_terminal, "a1", change=Change.FAIL, error=error, recipient="+1866", sender="+1844", text="Hi")
    newest, oldest = either_terminal.json("carriers", "receipts")
    assert newest == {
        "at": to_text(SINCE), "carrier": "agg-1", "id": "a1", "says": "delivery_failed", "to": "+1866",
        "from": "+1844", "error": "40008 err 005", "text": "Hi",
    }  # fmt: skip
    assert (oldest["id"], oldest["says"], oldest["to"]) == ("a0", "delivered", None)


def test_people_see_receipts_in_columns(terminal: Terminal) -> None:
    keep(terminal, "a0")
    header, line = terminal.ok("carriers", "receipts").splitlines()
    assert header.split() == ["at", "carrier", "id", "says", "to", "from", "error"]
    assert line.split() == [to_text(SINCE), "agg-1", "a0", "delivered", "-", "-", "-"]


def test_only_so_many_receipts_are_listed_as_are_asked_for(terminal: Terminal) -> None:
    keep(terminal, "a0", "a1", "a2")
    assert [each["id"] for each in terminal.json("carriers", "receipts", "--limit", "2")] == ["a2", "a1"]


def test_a_receipt_whose_message_is_known_is_not_listed(terminal: Terminal) -> None:
    assert terminal.json("carriers", "receipts") == []


@pytest.mark.parametrize("limit", ["0", "-1", "many", "100001", "٣"])
def test_a_limit_is_a_number(limit: str, terminal: Terminal) -> None:
    assert terminal.misused("carriers", "receipts", f"--limit={limit}") == (
        f"argument --limit: got '{limit}', wanted a number from 1 to 100000"
    )


# ------------------------------------------------------------------------------------------------------------ arguments


def test_options_may_stand_before_the_word(terminal: Terminal, config: tuple[str, str]) -> None:
    keep(terminal, "a0")
    assert terminal.ok("carriers", "--json", "receipts").startswith("[")
    assert terminal.ok("carriers", *config, "list").splitlines()[1].split()[0] == "agg-1"


def test_the_last_option_counts_where_one_stands_twice(terminal: Terminal, tmp_path: Path) -> None:
    keep(terminal, "a0")
    gone = f"sqlite:///{tmp_path / 'gone.db'}"
    assert terminal.ok("carriers", "--database", gone, "receipts").splitlines()[1].split()[2] == "a0"


def test_a_database_that_is_named_before_the_word_is_read(
    terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(terminal, "a0")
    assert main(["carriers", "--database", terminal.database_url, "receipts"]) == 0
    assert " a0 " in capsys.readouterr().out
