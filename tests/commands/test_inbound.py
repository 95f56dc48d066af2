"""`heliograph inbound`."""

import asyncio

import pytest

from heliograph.commands import inbound
from heliograph.domain.instant import Instant
from heliograph.store.engine import open_engine
from heliograph.store.inbound import RefusedInbound
from heliograph.store.store import Store
from tests.builders import new_id
from tests.terminal import Terminal

REASON = "+13125550999 is nobody's."


def refuse(terminal: Terminal, *senders: str) -> None:
    """Let messages come in that are for nobody."""

    async def run() -> None:
        store = Store(open_engine(terminal.database_url))
        await store.start()
        try:
            for sender in senders:
                at = Instant(1_700_000_000_000_000)
                await store.refuse_inbound(RefusedInbound(new_id(store), "sandbox", sender, "+13125550999", REASON, at))
        finally:
            await store.stop()

    asyncio.run(run())


def test_messages_for_nobody_are_listed(either_terminal: Terminal) -> None:
    refuse(either_terminal, "+18665550001")
    (listed,) = either_terminal.json("inbound", "refused")
    assert listed.pop("id")
    assert listed == {
        "at": "2023-11-14T22:13:20.000Z",
        "from": "+18665550001",
        "to": "+13125550999",
        "carrier": "sandbox",
        "reason": REASON,
    }


def test_people_see_columns(terminal: Terminal) -> None:
    refuse(terminal, "+18665550001")
    header, line = terminal.ok("inbound", "refused").splitlines()
    assert header.split() == ["at", "from", "to", "carrier", "reason"]
    assert line.split(maxsplit=4)[1:] == ["+18665550001", "+13125550999", "sandbox", REASON]


def test_the_last_ones_are_listed_newest_first(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbound, "NEWEST", 2)
    refuse(terminal, "+18665550001", "+18665550002", "+18665550003")
    assert [each["from"] for each in terminal.json("inbound", "refused")] == ["+18665550003", "+18665550002"]


def test_nothing_to_list_is_an_empty_list(terminal: Terminal) -> None:
    assert terminal.json("inbound", "refused") == []
    assert terminal.ok("inbound", "refused").splitlines() == ["at  from  to  carrier  reason"]
