"""What the settings of a profile do to its messages, over the wire (Contract 6)."""

from collections.abc import Iterator
from itertools import count
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from heliograph.domain.accounts import NumberPool, Profile
from heliograph.domain.number_health import EVIDENCE
from tests.webhook_receiver import Receiver
from tests.wire import Accounts, Caller

HOOK = "/hooks"
NO_RECEIPT_BUT_A_FAILURE = "+15005550002"
LANDLINE, MOBILE = "+442079460000", "+447911123456"
POOL = NumberPool(long_code_weight=1, toll_free_weight=1, skip_unhealthy=False)
_PEOPLE = count(1000)


def person() -> str:
    """A number of Chicago that nobody has written to."""
    return f"+1312777{next(_PEOPLE):04}"


class Team:
    """An organisation and whoever watches its handsets and its clock."""

    def __init__(self, accounts: Accounts, call: Caller, receiver: Receiver) -> None:
        self.accounts = accounts
        self.call = call
        self.receiver = receiver
        self.organization = accounts.organization()
        self.me = accounts.caller(accounts.key(self.organization))

    def profile(self, numbers: int = 1, **settings: Any) -> tuple[Profile, list[str]]:
        """A profile, its events at the receiver, and its numbers."""
        profile = self.accounts.profile(self.organization, webhook_url=self.receiver.url(HOOK), **settings)
        return profile, [self.accounts.sender(profile) for _ in range(numbers)]

    def from_pool(self, profile: Profile, to: str, **fields: Any) -> str:
        """The number that the pool sends a message to somebody from."""
        sent = self.me.send(from_=None, messaging_profile_id=profile.id, to=to, **fields)
        return str(sent.data["from"]["phone_number"])

    def change(self, profile: Profile, **fields: Any) -> None:
        """Change settings over the API."""
        assert self.me("PATCH", f"/v2/messaging_profiles/{profile.id}", fields).status == 200

    def away_from_midnight(self) -> None:
        """What is about one day is to begin and end on it."""
        if self.call.time()[11:16] >= "23:30":
            self.call.advance_to(self.call.time(hours=1))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


@pytest.fixture
def team(accounts: Accounts, call: Caller, receiver: Receiver) -> Iterator[Team]:
    made = Team(accounts, call, receiver)
    with made.me:
        yield made


# -------------------------------------------------------------------------------------------------- sticky senders

STICKY = NumberPool(long_code_weight=1, toll_free_weight=1, skip_unhealthy=False, sticky_sender=True)


def test_a_person_is_written_to_from_one_number_for_eight_days(team: Team) -> None:
    profile, numbers = team.profile(8, number_pool_settings=STICKY)
    people = [person() for _ in range(6)]
    first = [team.from_pool(profile, each) for each in people]
    assert [team.from_pool(profile, each) for each in people] == first
    assert set(first) <= set(numbers)
    assert len(set(first)) > 1  # 1 in 32,768 by chance
    team.call.settle()
    assert {each["from"] for each in team.call.handset(people[0])} == {first[0]}


def test_a_sticky_number_comes_before_one_of_the_same_area(team: Team) -> None:
    near = msgspec.structs.replace(STICKY, geomatch=True)
    profile, (chicago,) = team.profile(number_pool_settings=near)
    friend = person()
    assert team.from_pool(profile, friend) == chicago
    team.change(profile, number_pool_settings={"sticky_sender": False})
    team.change(profile, number_pool_settings={"sticky_sender": True, "long_code_weight": 0})
    toll_free = team.accounts.sender(profile, f"+1844777{next(_PEOPLE):04}")
    assert team.from_pool(profile, friend) == toll_free
    team.change(profile, number_pool_settings={"long_code_weight": 1})
    assert team.from_pool(profile, friend) == toll_free


def test_a_refused_message_of_a_pool_answers_as_it_does_without(team: Team) -> None:
    profile, _ = team.profile(number_pool_settings=STICKY, whitelisted_destinations=("DE",))
    answer = team.me.send(from_=None, messaging_profile_id=profile.id, to=person())
    assert answer.refusal == (400, "40309", "/to")


# ---------------------------------------------------------------------------------------------------- skip_unhealthy


def test_a_pool_passes_over_an_unhealthy_number(team: Team) -> None:
    healthy_only = msgspec.structs.replace(STICKY, skip_unhealthy=True)
    profile, (bad,) = team.profile(number_pool_settings=healthy_only)
    friend = person()
    assert team.from_pool(profile, friend) == bad
    for _ in range(EVIDENCE):
        assert team.me.send(from_=bad, to=NO_RECEIPT_BUT_A_FAILURE).status == 200
    team.call.settle()
    team.call.advance_to(team.call.time(minutes=6))
    refused = team.me.send(from_=None, messaging_profile_id=profile.id, to=friend)
    assert refused.refusal == (400, "40321", "/from")
    # Sticky and unhealthy: another number is chosen (Contract 13 #15); one that is named is left alone.
    good = team.accounts.sender(profile)
    assert [team.from_pool(profile, friend) for _ in range(3)] == [good] * 3
    assert team.me.send(from_=bad, to=friend).status == 200
    # A day later nothing is known against it any more.
    team.call.advance_to(team.call.time(hours=25))
    assert {team.from_pool(profile, person()) for _ in range(24)} == {bad, good}  # 1 in 8 million by chance


# -------------------------------------------------------------------------------------- destinations and fallbacks


def test_a_profile_for_mobiles_refuses_a_landline(team: Team) -> None:
    _, (number,) = team.profile(mobile_only=True)
    assert team.me.send(from_=number, to=LANDLINE).refusal == (400, "40301", "/to")
    assert team.me.send(from_=number, to=MOBILE).status == 200
    assert team.me.send(from_=number, to=person()).status == 200


def test_an_alphanumeric_sender_falls_back_to_its_number_where_it_may_not_go(team: Team) -> None:
    profile, (number,) = team.profile()
    body = {"alphanumeric_sender_id": "Acme", "messaging_profile_id": profile.id, "us_long_code_fallback": number}
    assert team.me("POST", "/v2/alphanumeric_sender_ids", body).status == 201
    friend, named = person(), {"from_": "Acme", "messaging_profile_id": profile.id}
    assert team.me.send(to=friend, **named).data["from"]["phone_number"] == number
    assert team.me.send(to=MOBILE, **named).data["from"]["phone_number"] == "Acme"
    team.call.settle()
    assert [each["from"] for each in team.call.handset(friend)] == [number]


def test_an_alphanumeric_sender_without_one_is_still_refused(team: Team) -> None:
    profile, _ = team.profile(alpha_sender="Acme")
    answer = team.me.send(to=person(), from_="Acme", messaging_profile_id=profile.id)
    assert answer.refusal == (400, "40301", "/to")


# ---------------------------------------------------------------------------------------------------------- spending

TWO_MESSAGES: dict[str, Any] = {"daily_spend_limit": "0.0102", "daily_spend_limit_enabled": True}


def test_a_profile_spends_no_more_than_its_limit_and_is_told_once(team: Team) -> None:
    team.away_from_midnight()
    profile, (number,) = team.profile(**TWO_MESSAGES)
    answers = [team.me.send(from_=number, to=person()) for _ in range(4)]
    assert [each.status for each in answers] == [200, 200, 429, 429]
    assert answers[2].refusal == (429, "40333", "/messaging_profile_id")
    assert answers[2].error["title"] == "Messaging profile spend limit reached"
    assert answers[2].headers["x-should-retry"] == "false"
    team.call.settle()
    told = [each.data for each in team.receiver.at(HOOK)]
    (event,) = [each for each in told if each["event_type"] == "messaging-profile.spend-limit-reached"]
    assert event["payload"] == {"configured_limit": "0.0102", "current_cost": "0.0102", "profile_id": profile.id}


def test_raising_or_switching_off_a_limit_counts_at_once_and_does_not_begin_anew(team: Team) -> None:
    team.away_from_midnight()
    profile, (number,) = team.profile(**TWO_MESSAGES)

    def send() -> int:
        return team.me.send(from_=number, to=person()).status

    assert [send() for _ in range(3)] == [200, 200, 429]
    team.change(profile, daily_spend_limit_enabled=False)
    assert send() == 200
    team.change(profile, daily_spend_limit_enabled=True, daily_spend_limit="0.0204")
    assert [send() for _ in range(2)] == [200, 429]


def test_midnight_begins_a_new_day(team: Team) -> None:
    team.away_from_midnight()
    _, (number,) = team.profile(**TWO_MESSAGES)
    assert [team.me.send(from_=number, to=person()).status for _ in range(3)] == [200, 200, 429]
    team.call.advance_to(team.call.time(days=1)[:10] + "T00:00:00Z")
    assert team.me.send(from_=number, to=person()).status == 200


def test_a_cancel_and_a_stop_give_back_what_a_scheduled_message_was_to_cost(team: Team) -> None:
    team.away_from_midnight()
    _, (number,) = team.profile(**TWO_MESSAGES)
    friend, at = person(), team.call.time(days=2)

    def schedule(to: str) -> Any:
        return team.me.send("/v2/messages/schedule", from_=number, to=to, send_at=at)

    first, _ = schedule(friend).data, schedule(friend).data
    assert schedule(friend).status == 429
    assert team.me.cancel(first["id"]).status == 200
    assert [schedule(friend).status for _ in range(2)] == [200, 429]
    assert team.call("POST", f"/sandbox/handsets/{friend}/messages", {"to": number, "text": "STOP"}).status == 200
    assert [schedule(person()).status for _ in range(3)] == [200, 200, 429]


# --------------------------------------------------------------------------------------------------------- redaction


def test_what_a_profile_hides_is_shown_nowhere_once_the_message_is_final(team: Team) -> None:
    _, (number,) = team.profile(redaction_enabled=True)
    friend = person()
    sent = team.me.send(from_=number, to=friend, text="meet me").data
    assert (sent["text"], sent["to"][0]["phone_number"]) == ("meet me", friend)
    team.call.settle()
    hidden = friend[:-6] + "****"
    read = team.me.read(sent["id"])
    assert (read["to"][0]["status"], read["text"], read["to"][0]["phone_number"]) == ("delivered", "****", hidden)
    deliveries = team.me("GET", "/v2/webhook_deliveries").body.decode()
    assert '"message.finalized"' in deliveries
    for part in (friend, friend[-6:], "meet me"):
        query = urlencode({"filter[webhook][contains]": part})
        assert team.me("GET", f"/v2/webhook_deliveries?{query}").json["meta"]["total_results"] == 0
    assert (friend in deliveries, "meet me" in deliveries) == (False, False)
    # What went out is whole.
    assert [each["text"] for each in team.call.handset(friend)] == ["meet me"]
    payloads = [each.data["payload"] for each in team.receiver.at(HOOK)]
    assert {(each["text"], each["to"][0]["phone_number"]) for each in payloads} == {("meet me", friend)}


def test_what_a_person_wrote_to_such_a_profile_is_hidden_too(team: Team) -> None:
    _, (number,) = team.profile(redaction_enabled=True)
    friend = person()
    waiting = team.me.send("/v2/messages/schedule", from_=number, to=friend, send_at=team.call.time(days=2)).data
    came = team.call("POST", f"/sandbox/handsets/{friend}/messages", {"to": number, "text": "STOP"}).data
    read = team.me.read(came["id"])
    assert (read["from"]["phone_number"], read["text"]) == (friend[:-6] + "****", "****")
    listed = team.me("GET", "/v2/messaging_optouts").json["data"]
    assert [each["to"] for each in listed] == [friend[:-6] + "****"]
    timeline = team.me("GET", f"/v2/messages/{waiting['id']}/timeline").body.decode()
    assert (friend in timeline, friend[:-6] in timeline) == (False, True)


def test_a_cancel_shows_no_more_than_reading_does(accounts: Accounts) -> None:
    organization = accounts.organization()
    number = accounts.sender(accounts.profile(organization, redaction_enabled=True))
    with accounts.caller(accounts.key(organization)) as caller:
        message = caller.send(
            "/v2/messages/schedule", from_=number, text="My secret", send_at=caller.time(hours=1)
        ).data
        answers = [caller.cancel(message["id"]) for _ in range(2)]
        assert answers[0].body == answers[1].body
        assert (answers[0].json["text"], answers[0].json["to"][0]["phone_number"]) == ("****", "+18665****")
        assert caller.read(message["id"])["text"] == "****"
