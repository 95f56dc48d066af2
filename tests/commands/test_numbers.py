"""`heliograph numbers`."""

from typing import Any

import pytest

from heliograph.testing.server_process import ServerProcess
from tests.terminal import Terminal
from tests.wire import NO_SUCH_ID, Caller

NUMBER = "+13125550123"


def added(terminal: Terminal, *arguments: str) -> Any:
    """A sender of a new profile, as it is listed."""
    terminal.organization()
    terminal.ok("numbers", "add", *arguments, "--profile", terminal.profile())
    (listed,) = terminal.json("numbers", "list")
    return listed


def test_a_number_is_added_with_everything_that_can_be_given(either_terminal: Terminal) -> None:
    facts = ["--carrier", "Bell", "--line-type", "Wireless", "--tag", "a", "--tag", "b"]
    campaign = ["--campaign", "C1", "--campaign-not-billable", "--campaign-unregistered"]
    listed = added(either_terminal, NUMBER, *facts, *campaign)
    assert listed.pop("profile") == either_terminal.json("profiles", "list")[0]["id"]
    assert listed == {
        "address": NUMBER,
        "kind": "long_code",
        "country": "US",
        "carrier": "Bell",
        "line_type": "Wireless",
        "tags": ["a", "b"],
        "campaign": "C1",
        "campaign_billable": False,
        "campaign_registered": None,
    }


def test_a_campaign_is_billable_and_registered_unless_said_otherwise(terminal: Terminal) -> None:
    listed = added(terminal, NUMBER, "--campaign", "C1")
    assert (listed["campaign_billable"], listed["campaign_registered"]) == (True, "REGISTERED")


@pytest.mark.parametrize(
    ("arguments", "kind", "country", "carrier"),
    [
        (("+18445550100",), "toll_free", "US", "Heliograph"),
        (("+4915112345678",), "long_code", "DE", "Heliograph"),
        (("12345", "--country", "ca"), "short_code", "CA", "Heliograph"),
        (("12345",), "short_code", None, "Heliograph"),
        (("Acme Inc",), "alphanumeric", None, ""),
    ],
)
def test_the_address_says_what_it_is(
    terminal: Terminal, arguments: tuple[str, ...], kind: str, country: str | None, carrier: str
) -> None:
    listed = added(terminal, *arguments)
    assert (listed["kind"], listed["country"], listed["carrier"]) == (kind, country, carrier)


def test_the_list_is_for_people_in_columns(terminal: Terminal) -> None:
    profile_id = added(terminal, NUMBER, "--tag", "a", "--tag", "b")["profile"]
    header, line = terminal.ok("numbers", "list").splitlines()
    assert header.split() == ["address", "kind", "country", "profile", "carrier", "line_type", "tags", "campaign"]
    assert line.split() == [NUMBER, "long_code", "US", profile_id, "Heliograph", "VoIP", "a,b", "-"]


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (("3125550123",), "Got '3125550123'; wanted a sender: "),
        ((NUMBER, "--country", "US"), f"--country is for short codes, and {NUMBER} is none."),
        ((NUMBER, "--campaign-unregistered"), "Name the campaign with --campaign."),
        ((NUMBER, "--campaign-not-billable"), "Name the campaign with --campaign."),
        ((NUMBER, "--organization", "Bolt"), "There is no organisation 'Bolt'; there are: Acme."),
    ],
)
def test_a_sender_that_could_not_work_is_not_added(
    terminal: Terminal, arguments: tuple[str, ...], refusal: str
) -> None:
    terminal.organization()
    assert terminal.refused("numbers", "add", *arguments, "--profile", terminal.profile()).startswith(refusal)
    assert terminal.json("numbers", "list") == []


@pytest.mark.parametrize("profile", [NO_SUCH_ID, "Main"])
def test_a_sender_needs_a_profile_that_exists(either_terminal: Terminal, profile: str) -> None:
    either_terminal.organization()
    refusal = either_terminal.refused("numbers", "add", NUMBER, "--profile", profile)
    assert refusal == f"There is no messaging profile '{profile}' of Acme."


def test_the_profile_must_be_of_the_same_organisation(terminal: Terminal) -> None:
    terminal.organization("Acme")
    profile_id = terminal.profile()
    terminal.organization("Bolt")
    refusal = terminal.refused("numbers", "add", NUMBER, "--profile", profile_id, "--organization", "Bolt")
    assert refusal == f"There is no messaging profile '{profile_id}' of Bolt."


def test_a_sender_is_not_added_twice(either_terminal: Terminal) -> None:
    profile_id = added(either_terminal, "Acme Inc")["profile"]
    refusal = either_terminal.refused("numbers", "add", "Acme Inc", "--profile", profile_id)
    assert refusal == "Acme Inc is a sender of that profile already."


def test_of_a_number_that_is_there_it_is_told_where_and_what_to_do(either_terminal: Terminal) -> None:
    profile_id = added(either_terminal, NUMBER)["profile"]
    other = either_terminal.profile()

    def refusal(profile: str, *of: str) -> str:
        return either_terminal.refused("numbers", "add", NUMBER, "--profile", profile, *of)

    there, instead = f"{NUMBER} is there already, on ", ": change it with 'heliograph numbers update'."
    assert refusal(profile_id) == f"{there}this messaging profile{instead}"
    assert refusal(other) == f"{there}another messaging profile{instead}"
    either_terminal.ok("numbers", "update", NUMBER, "--profile", "")
    assert refusal(other) == f"{there}no messaging profile{instead}"
    either_terminal.organization("Bolt")
    bolt = either_terminal.profile("--organization", "Bolt")
    assert refusal(bolt, "--organization", "Bolt") == f"{NUMBER} is a sender of another organisation already."


def test_two_profiles_may_have_the_same_alphanumeric_sender(terminal: Terminal) -> None:
    added(terminal, "Acme Inc")
    terminal.ok("numbers", "add", "Acme Inc", "--profile", terminal.profile())
    assert [each["address"] for each in terminal.json("numbers", "list")] == ["Acme Inc", "Acme Inc"]


@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("--country", "UK", "argument --country: got 'UK', wanted an ISO 3166 country such as US"),
        ("--line-type", "Fax", "argument --line-type: invalid choice: 'Fax'"),
    ],
)
def test_a_bad_value_is_a_wrong_argument(terminal: Terminal, option: str, value: str, complaint: str) -> None:
    assert terminal.misused("numbers", "add", "12345", "--profile", "x", option, value).startswith(complaint)


def test_a_sender_is_removed(either_terminal: Terminal) -> None:
    added(either_terminal, NUMBER)
    said = either_terminal.ok("numbers", "remove", NUMBER)
    assert said == f"{NUMBER} is no longer a sender of Acme."
    assert either_terminal.json("numbers", "list") == []


@pytest.mark.parametrize(
    ("address", "refusal"),
    [("+13125550124", "+13125550124 is no sender of Acme."), ("+1", "Got '+1'; wanted a sender: ")],
)
def test_what_is_no_sender_is_not_removed(terminal: Terminal, address: str, refusal: str) -> None:
    added(terminal, NUMBER)
    assert terminal.refused("numbers", "remove", address).startswith(refusal)


def test_an_account_made_by_commands_can_send_at_once(either_terminal: Terminal) -> None:
    with ServerProcess(either_terminal.database_url) as server:
        either_terminal.organization("Acme")
        own = ["--organization", "Acme"]
        profile_id = either_terminal.profile(*own, "--pool")
        either_terminal.ok("numbers", "add", NUMBER, "--profile", profile_id, *own, "--tag", "a", "--campaign", "C1")
        with Caller(server.ready["base_url"], either_terminal.ok("keys", "create", *own)) as caller:
            sent = caller.send("/v2/messages/number_pool", from_=None, messaging_profile_id=profile_id).data
    assert (sent["from"]["phone_number"], sent["tags"], sent["tcr_campaign_id"]) == (NUMBER, ["a"], "C1")


def test_a_number_is_put_on_another_profile_and_tagged(either_terminal: Terminal) -> None:
    first = added(either_terminal, NUMBER, "--tag", "a")["profile"]
    second = either_terminal.profile()
    update = ("numbers", "update", NUMBER)

    def now() -> tuple[str | None, list[str]]:
        (listed,) = either_terminal.json("numbers", "list")
        return listed["profile"], listed["tags"]

    assert either_terminal.ok(*update, "--profile", second) == f"{NUMBER} is changed."
    assert now() == (second, ["a"])
    either_terminal.ok(*update, "--profile", "", "--tag", "b", "--tag", "c")
    assert now() == (None, ["b", "c"])
    either_terminal.ok(*update, "--profile", first, "--tag", "")
    assert now() == (first, [])


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ((NUMBER,), "Say what to change: --profile, --tag or both."),
        ((NUMBER, "--profile", NO_SUCH_ID), f"There is no messaging profile '{NO_SUCH_ID}' of Acme."),
        (("+13125550124", "--tag", "b"), "+13125550124 is no number of Acme."),
        ((NUMBER, "--tag", "x" * 101), "A tag has at most 100 characters, got 101."),
    ],
)
def test_a_change_that_could_not_work_is_not_made(terminal: Terminal, arguments: tuple[str, ...], refusal: str) -> None:
    before = added(terminal, NUMBER, "--tag", "a")
    assert terminal.refused("numbers", "update", *arguments) == refusal
    assert terminal.json("numbers", "list") == [before]
