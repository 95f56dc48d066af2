"""What callers see of routes and rates: who may be sent to, how long it waits, and when a queue is full."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heliograph.domain.message import Message
from tests.wire import TOLL_FREE, Accounts, Caller, on_postgres, on_sqlite

CAT = "https://example.com/cat.jpg"
CANADIAN, GERMAN = "+16135550123", "+4915112345678"
"""The one is reached by a carrier without MMS, the other by none."""
CONFIG = """
[pacing]
enabled = "on"
long_code = "1"
toll_free = "0"
short_code = "0"
account = "0"
account_mms = "0"
queue = "3s"

[carriers.unreached]
kind = "smpp"
host = "127.0.0.1"
port = 9
system_id = "me"
password = "secret"

[[routes]]
name = "canada"
countries = ["CA"]
carriers = ["unreached"]

[[routes]]
name = "rest"
to = ["+1866"]
carriers = ["sandbox"]
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of settings."""
    path = tmp_path_factory.mktemp("carriers") / "heliograph.toml"
    path.write_text(CONFIG)
    return str(path)


@pytest.fixture(scope="module")
def sqlite_accounts(tmp_path_factory: pytest.TempPathFactory, config: str) -> Iterator[Accounts]:
    """The accounts of a server on SQLite with carriers, routes and rates."""
    folder: Path = tmp_path_factory.mktemp("wire")
    with on_sqlite(folder, CONFIG=config) as server:
        yield Accounts(server)


@pytest.fixture(scope="module")
def postgresql_accounts(postgres_server: str, config: str) -> Iterator[Accounts]:
    """The same on PostgreSQL."""
    with on_postgres(postgres_server, CONFIG=config) as server:
        yield Accounts(server)


@pytest.fixture
def slow(accounts: Accounts) -> str:
    """A long code of its own, at one part a second."""
    _, profile = accounts.sandbox()
    return accounts.sender(profile)


@pytest.fixture
def falling_back(accounts: Accounts) -> str:
    """A number whose profile sends an MMS as an SMS where it must."""
    organization, _ = accounts.sandbox()
    return accounts.sender(accounts.profile(organization, mms_fall_back_to_sms=True))


def stored(accounts: Accounts, call: Caller, message_id: str) -> Message:
    organization, _ = accounts.sandbox()
    found: Message = accounts._beside(lambda store: store.messages.find(organization.id, message_id))[0]  # type: ignore[arg-type,assignment]  # the id is one
    return found


# --------------------------------------------------------------------------------------------------------------- rates


def test_a_message_says_how_long_it_waits_for_its_sender(call: Caller, slow: str) -> None:
    first, second = [call.send(from_=slow).data for _ in range(2)]
    assert first["wait_seconds"] == 0.0
    assert 0 < second["wait_seconds"] <= 1
    assert second["to"][0]["status"] == "queued"


def test_each_part_makes_the_next_one_wait(call: Caller, slow: str) -> None:
    call.send(from_=slow, text="x" * 300)
    assert 1 < call.send(from_=slow).data["wait_seconds"] <= 2


def test_a_sender_without_a_rate_does_not_wait(call: Caller) -> None:
    assert [call.send(from_=TOLL_FREE).data["wait_seconds"] for _ in range(5)] == [0.0] * 5


def test_a_full_queue_is_refused_with_what_waits_and_what_may(call: Caller, slow: str) -> None:
    answers = [call.send(from_=slow) for _ in range(6)]
    full = answers[-1]
    assert full.refusal == (429, "40318", "/from")
    assert full.error["title"] == "Message queue full"
    assert full.error["detail"] == "2 parts wait, and the limit is 3: wait, then send again."
    assert [each.status for each in answers].count(200) == 3


def test_what_is_scheduled_does_not_wait_in_the_queue(call: Caller, slow: str) -> None:
    for _ in range(3):
        call.send(from_=slow)
    message = call.send("/v2/messages/schedule", from_=slow, send_at=call.time(hours=1)).data
    assert (message["wait_seconds"], message["to"][0]["status"]) == (0.0, "scheduled")


def test_what_was_scheduled_for_one_moment_leaves_at_its_senders_rate(call: Caller, slow: str) -> None:
    moment = call.time(minutes=30)
    made = [call.send("/v2/messages/schedule", from_=slow, send_at=moment).data["id"] for _ in range(3)]
    call.advance_to(call.time(minutes=40))
    left = [call("GET", f"/v2/messages/{each}/timeline").json["meta"]["lateness_ms"] for each in made]
    changes = [[each["change"] for each in call("GET", f"/v2/messages/{name}/timeline").data] for name in made]
    assert changes == [["release", "claim", "accept", "deliver"]] * 3
    assert sorted(round(each / 1000) for each in left) == [0, 1, 2]


# -------------------------------------------------------------------------------------------------------------- routes


def test_where_no_route_leads_nothing_is_taken(call: Caller) -> None:
    refused = call.send(to=GERMAN)
    assert refused.refusal == (400, "40301", "/to")
    assert refused.error["detail"] == f"No route leads from {TOLL_FREE} to {GERMAN}."


def test_nor_is_it_scheduled(call: Caller) -> None:
    refused = call.send("/v2/messages/schedule", to=GERMAN, send_at=call.time(hours=1))
    assert refused.refusal == (400, "40301", "/to")


def test_a_group_with_one_whom_no_route_leads_to_is_refused_as_a_whole(call: Caller) -> None:
    refused = call.send("/v2/messages/group_mms", to=["+18665550001", CANADIAN], media_urls=[CAT])
    assert refused.refusal == (400, "40301", "/to")


@pytest.mark.parametrize(("to", "carrier"), [("+18665550001", "sandbox"), (CANADIAN, "unreached")])
def test_a_message_waits_for_the_carrier_of_its_route(accounts: Accounts, call: Caller, to: str, carrier: str) -> None:
    message = call.send("/v2/messages/schedule", to=to, send_at=call.time(hours=1)).data
    assert stored(accounts, call, message["id"]).carrier == carrier


def test_what_waits_for_a_carrier_that_is_down_is_taken_and_kept(accounts: Accounts, call: Caller) -> None:
    message = call.send(to=CANADIAN).data
    call.settle()
    assert call.read(message["id"])["to"][0]["status"] == "queued"
    assert stored(accounts, call, message["id"]).carrier == "unreached"


# ---------------------------------------------------------------------------------------------------------------- MMS


def test_where_no_carrier_carries_mms_it_is_refused(call: Caller) -> None:
    refused = call.send(to=CANADIAN, media_urls=[CAT])
    assert refused.refusal == (400, "40301", "/to")
    assert "does not fall back to SMS" in refused.error["detail"]


def test_where_the_profile_wants_it_an_mms_goes_as_an_sms_with_links(call: Caller, falling_back: str) -> None:
    fields: dict[str, Any] = {"text": "Look", "subject": "Cats", "media_urls": [CAT, f"{CAT}?2"]}
    message = call.send(from_=falling_back, to=CANADIAN, **fields).data
    assert (message["type"], message["media"]) == ("SMS", [])
    assert message["text"] == f"Cats\nLook\n{CAT}\n{CAT}?2"
    assert "subject" not in message
    assert (message["parts"], message["num_chars"]) == (1, len(message["text"]))


def test_the_links_of_many_media_are_priced_as_the_parts_that_they_take(call: Caller, falling_back: str) -> None:
    media = [f"https://example.com/{'x' * 80}/{number}.jpg" for number in range(5)]
    message = call.send(from_=falling_back, to=CANADIAN, media_urls=media).data
    assert message["parts"] > 1
    assert float(message["cost"]["amount"]) == pytest.approx(0.0051 * message["parts"])


def test_where_a_carrier_carries_it_an_mms_stays_one(call: Caller, falling_back: str) -> None:
    message = call.send(from_=falling_back, media_urls=[CAT]).data
    assert (message["type"], len(message["media"])) == ("MMS", 1)
