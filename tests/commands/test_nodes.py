"""`heliograph nodes`: who works on the database."""

import asyncio
from dataclasses import replace

from heliograph.domain.instant import Instant
from heliograph.domain.nodes import DEAD, LATE, Node, Role, Standing
from heliograph.presence import Presence, this_process
from heliograph.store.engine import open_engine
from heliograph.store.store import Store
from tests.builders import new_id
from tests.terminal import Terminal

SENDER = Node("01900000-0000-7000-8000-00000000000a", Role.WORKER, "a.example", 7, "1.2", ("north", "south"), 3)


async def told(url: str, *nodes: Node) -> None:
    store = Store(open_engine(url))
    await store.start()
    for each in nodes:
        await store.nodes.tell(each)
    await store.stop()


def test_nobody_works_on_a_new_database(either_terminal: Terminal) -> None:
    assert either_terminal.json("nodes") == []


def test_a_process_is_shown_as_it_told_of_itself(either_terminal: Terminal) -> None:
    asyncio.run(told(either_terminal.database_url, SENDER, replace(SENDER, in_hand=4)))
    (shown,) = either_terminal.json("nodes")
    assert shown.pop("started_at") <= shown.pop("heard_at")
    assert shown == {
        "id": SENDER.id,
        "role": "worker",
        "host": "a.example",
        "pid": 7,
        "version": "1.2",
        "state": "up",
        "carriers": ["north", "south"],
        "in_hand": 4,
    }
    names, row = either_terminal.ok("nodes").splitlines()
    assert names.split()[:3] == ["node", "role", "host"]
    assert row.split()[:8] == [SENDER.id, "worker", "a.example", "7", "1.2", "up", "north,south", "4"]


def test_silence_is_judged_by_the_clock_of_the_database() -> None:
    node, now = replace(SENDER, heard_at=Instant(10)), [LATE - 1, LATE, DEAD - 1, DEAD]
    standings = [node.standing(Instant(10 + each)) for each in now]
    assert standings == [Standing.UP, Standing.LATE, Standing.LATE, Standing.DEAD]


async def test_a_process_is_there_from_its_start_to_its_stop(prepared_database_url: str) -> None:
    store = Store(open_engine(prepared_database_url))
    await store.start()
    presence = Presence(store, this_process(new_id(store), Role.API, ()), lambda: 5)
    await presence.start()
    await presence.wait_passed(1)
    (node,) = await store.nodes.all()
    assert (node.role, node.in_hand) == (Role.API, 5)
    await presence.stop()
    assert await store.nodes.all() == []
    await store.stop()
