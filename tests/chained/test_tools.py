"""What an operator of A sees of B, and a customer who moves A's clock."""

from pathlib import Path

import pytest

from tests.chained.conftest import Pair
from tests.chained.pair import Carrier, Theirs, ours
from tests.ports import free_port
from tests.terminal import Terminal


@pytest.fixture
def terminal(pair: Pair, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """At A's database."""
    return Terminal(pair.a.server.database_url, capsys, monkeypatch)


def test_how_they_stand_is_shown(pair: Pair, terminal: Terminal, person: str) -> None:
    pair.a.ends(pair.a.sends(person))
    (carrier,) = terminal.json("carriers", "--config", str(pair.a.config))
    # A process tells every five seconds that nothing has changed but counts.
    while not carrier["processes"] or carrier["processes"][0]["taken"] == 0:
        (carrier,) = terminal.json("carriers", "--config", str(pair.a.config))
    (process,) = carrier["processes"]
    assert (carrier["carrier"], carrier["waiting"], process["up"]) == ("b", 0, True)
    assert [link["state"] for link in process["links"]] == ["up"]


def test_a_test_message_arrives_past_the_queue(pair: Pair, terminal: Terminal, person: str) -> None:
    test = ("carriers", "test", "b", "--from", "+18445550001", "--to", person, "Only a test")
    first, second = terminal.ok(*test, "--config", str(pair.a.config)).splitlines()
    assert (first.split()[0], second.split()[0]) == ("taken", "delivered")
    assert [each["text"] for each in pair.b.handset(person)] == ["Only a test"]


def test_a_sandbox_may_stand_before_a_sandbox(tmp_path: Path, person: str) -> None:
    """With a route to it: without one everything goes to the simulated carrier of A."""
    route = '[[routes]]\nname = "all"\ncarriers = ["b"]\n'
    b = Theirs(tmp_path)
    with b, ours(tmp_path, free_port(), {"b": Carrier(b)}, more=route, sandbox=True) as a:
        message = a.schedules(person, "Tomorrow", days=1)
        # No further: a real carrier goes by its own time, and the message would expire on the way.
        a.call.advance_to(a.call.time(days=1))
        assert a.end(message) == ("delivered", "")
        assert [each["text"] for each in b.handset(person)] == ["Tomorrow"]
