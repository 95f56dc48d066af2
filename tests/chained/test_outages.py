"""B that is down, or dies in the middle: what waits, what goes to another, and what is in doubt until B tells."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chained.pair import Between, Carrier, Ours, Theirs, ours
from tests.ports import free_port
from tests.wire import Accounts

PERSON = "+17735550123"
BOTH = '[[routes]]\nname = "both"\ncarriers = ["b"]\n\n[[routes]]\nname = "spare"\ncarriers = ["c"]\n'
"""B is asked first; C is its fail-over."""
SETTLE = 'settle_after = "1s"'


@contextmanager
def with_spare(folder: Path, b: Theirs, base_url: str = "", own: str = "") -> Iterator[tuple[Ours, Theirs]]:
    """A with B, which is called at `base_url` and has settings of its own, and C for its fail-over."""
    c = Theirs(folder)
    with c, ours(folder, free_port(), {"b": Carrier(b, base_url, own), "c": Carrier(c)}, more=BOTH) as a:
        yield a, c


@pytest.fixture
def b(tmp_path: Path) -> Iterator[Theirs]:
    """B, up; whether it still is at the end does not matter."""
    with Theirs(tmp_path) as started:
        yield started


def test_a_message_waits_for_them_and_then_arrives(b: Theirs, tmp_path: Path) -> None:
    with ours(tmp_path, free_port(), {"b": Carrier(b)}) as a:
        a.ends(a.sends(PERSON, "First"))
        b.kill()
        message = a.sends(PERSON, "Second")
        later_one = a.schedules(PERSON, "Third", seconds=0.5)
        b.start()
        assert a.end(message) == a.end(later_one) == ("delivered", "")
        assert [each["text"] for each in b.handset(PERSON)] == ["First", "Second", "Third"]


def test_a_cancel_counts_while_they_are_down(b: Theirs, tmp_path: Path) -> None:
    with ours(tmp_path, free_port(), {"b": Carrier(b)}) as a:
        b.kill()
        regretted = a.schedules(PERSON, "Regretted", seconds=30)
        assert a.call.cancel(regretted).status == 200
        b.start()
        assert a.end(a.sends(PERSON, "Meant")) == ("delivered", "")
        assert [each["text"] for each in b.handset(PERSON)] == ["Meant"]


def test_what_waits_for_one_that_is_down_goes_to_the_next(b: Theirs, tmp_path: Path) -> None:
    b.kill()
    with with_spare(tmp_path, b) as (a, c):
        assert a.end(a.sends(PERSON)) == ("delivered", "")
        assert len(c.handset(PERSON)) == 1


def test_one_that_does_not_know_our_key_any_more_leaves_it_to_the_next(b: Theirs, tmp_path: Path) -> None:
    with with_spare(tmp_path, b) as (a, c):
        assert a.end(a.sends(PERSON, "To B")) == ("delivered", "")
        Accounts(b.server).revoke(b.ready["api_key"])
        assert a.end(a.sends(PERSON, "To C")) == ("delivered", "")
        assert [each["text"] for each in c.handset(PERSON)] == ["To C"]


def test_what_they_may_have_is_in_doubt_and_settled_by_their_webhook(tmp_path: Path) -> None:
    # It may be killed while it sends: its own carrier knows what it was given, or else B would end as not knowing.
    known = {"SANDBOX__REPEAT_SAFE": "true", "DISPATCH__LEASE": "5s"}
    with (
        Theirs(tmp_path, **known) as b,
        Between(b.port) as between,
        with_spare(tmp_path, b, between.base_url) as (a, c),
    ):
        a.ends(a.sends(PERSON, "First"))
        between.before_lost = b.kill
        message = a.sends(PERSON, "In doubt")
        # B has kept it, and was killed before its answer was passed on.
        in_doubt(a, message)
        b.start()
        assert a.end(message) == ("delivered", "")
        assert [each["text"] for each in b.handset(PERSON)] == ["First", "In doubt"]
        assert c.handset(PERSON) == []
        assert a.customer.count("message.finalized", message) == 1


def in_doubt(a: Ours, message: str) -> None:
    """Return once A has put on record that it does not know."""
    for _ in iter(lambda: "doubt" in changes(a, message), True):
        pass


def changes(a: Ours, message: str) -> list[str]:
    """What has happened to a message so far, by A's log."""
    return [each["change"] for each in a.call("GET", f"/v2/messages/{message}/timeline").data]


def test_what_they_never_tell_of_is_given_up_as_unknown(b: Theirs, tmp_path: Path) -> None:
    """It is given to nobody else (promise P3): they may have it."""
    with Between(b.port) as between, with_spare(tmp_path, b, between.base_url, SETTLE) as (a, c):
        a.ends(a.sends(PERSON, "First"))
        between.before_lost = b.kill
        message = a.sends(PERSON, "Unknown")
        assert a.end(message) == ("delivery_unconfirmed", "49001")
        b.start()
        # They had it, and sent it when they were back; their word on it came too late to change ours.
        assert [each["text"] for each in b.handset(PERSON)] == ["First", "Unknown"]
        assert a.status(message) == "delivery_unconfirmed"
        assert c.handset(PERSON) == []
