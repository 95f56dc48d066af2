"""`heliograph organizations`."""

import pytest

from heliograph.testing.server_process import ServerProcess
from tests.terminal import Terminal
from tests.wire import Caller


def test_an_organisation_is_made_with_rules_of_its_own(either_terminal: Terminal) -> None:
    rules = ["--min-lead", "1m", "--max-lead", "2d", "--cancel-cutoff", "5s", "--max-pending", "7"]
    organization_id = either_terminal.ok("organizations", "create", "Acme", *rules)
    assert either_terminal.json("organizations", "list") == [
        {
            "id": organization_id,
            "name": "Acme",
            "min_lead": "1m",
            "max_lead": "2d",
            "cancel_cutoff": "5s",
            "max_pending": 7,
        }
    ]


def test_what_is_not_given_stays_the_servers(terminal: Terminal) -> None:
    terminal.ok("organizations", "create", "Acme", "--cancel-cutoff", "0")
    (listed,) = terminal.json("organizations", "list")
    assert (listed["min_lead"], listed["cancel_cutoff"], listed["max_pending"]) == (None, "0s", None)


def test_the_list_is_for_people_in_columns(terminal: Terminal) -> None:
    organization_id = terminal.organization()
    assert terminal.ok("organizations", "list").splitlines() == [
        "name  id                                    min_lead  max_lead  cancel_cutoff  max_pending",
        f"Acme  {organization_id}  -         -         -              -",
    ]


def test_two_organisations_do_not_have_one_name(either_terminal: Terminal) -> None:
    either_terminal.organization("Acme")
    refusal = either_terminal.refused("organizations", "create", "Acme")
    assert refusal == "There is an organisation 'Acme' already."


def test_a_rule_is_changed_and_the_others_stay(terminal: Terminal) -> None:
    terminal.ok("organizations", "create", "Acme", "--min-lead", "1m")
    said = terminal.ok("organizations", "set", "Acme", "--max-pending", "9")
    assert said == "Acme has these rules of its own now: min_lead 1m, max_pending 9."


def test_default_gives_a_rule_back_to_the_server(terminal: Terminal) -> None:
    terminal.ok("organizations", "create", "Acme", "--min-lead", "1m")
    said = terminal.ok("organizations", "set", "Acme", "--min-lead", "default")
    assert said == "Acme has these rules of its own now: none."


def test_an_organisation_is_found_by_its_id_too(terminal: Terminal) -> None:
    organization_id = terminal.organization()
    assert "max_pending 9" in terminal.ok("organizations", "set", organization_id, "--max-pending", "9")


def test_setting_nothing_says_what_could_be_set(terminal: Terminal) -> None:
    terminal.organization()
    assert "--min-lead, --max-lead, --cancel-cutoff, --max-pending" in terminal.refused("organizations", "set", "Acme")


def test_setting_rules_of_an_unknown_organisation_names_the_known(terminal: Terminal) -> None:
    terminal.organization("Acme")
    terminal.organization("Bolt")
    refusal = terminal.refused("organizations", "set", "Cog", "--max-pending", "9")
    assert refusal == "There is no organisation 'Cog'; there are: Acme, Bolt."


@pytest.mark.parametrize("command", [("create", "Bolt"), ("set", "Acme")])
def test_the_longest_lead_must_exceed_the_shortest_of_the_server(terminal: Terminal, command: tuple[str, str]) -> None:
    terminal.organization("Acme")
    refusal = terminal.refused("organizations", *command, "--max-lead", "5m")
    assert refusal == "max_lead would be 5m; wanted more than min_lead, which is 5m."
    assert [each["max_lead"] for each in terminal.json("organizations", "list")] == [None]


def test_the_server_that_rules_are_checked_against_is_the_configured_one(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELIOGRAPH_SCHEDULE__MIN_LEAD", "1m")
    assert terminal.ok("organizations", "create", "Acme", "--max-lead", "5m")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("create", "Acme", "--min-lead", "soon"), 'argument --min-lead: got "soon", wanted a duration'),
        (("create", "Acme", "--max-pending", "-1"), 'argument --max-pending: got "-1", wanted a whole number'),
        (("create", "Acme", "--min-lead", "default"), 'argument --min-lead: got "default", wanted a duration'),
        (("set", "Acme", "--cancel-cutoff", "9y"), 'argument --cancel-cutoff: got "9y", wanted a duration'),
        (("create", " "), "argument NAME: a name has 1 to 255 printable characters"),
        (("create", "a\nb"), "argument NAME: a name has 1 to 255 printable characters"),
        (("create", "a" * 256), "argument NAME: a name has 1 to 255 printable characters"),
    ],
)
def test_a_bad_value_is_a_wrong_argument(terminal: Terminal, arguments: tuple[str, ...], complaint: str) -> None:
    assert terminal.misused("organizations", *arguments).startswith(complaint)


def test_a_running_server_goes_by_new_rules_at_once(either_terminal: Terminal) -> None:
    with (
        ServerProcess(either_terminal.database_url) as server,
        Caller(server.ready["base_url"], server.ready["api_key"]) as caller,
    ):
        soon = {"send_at": caller.time(minutes=2)}
        assert caller.send("/v2/messages/schedule", **soon).error["source"] == {"pointer": "/send_at"}
        either_terminal.ok("organizations", "set", "Sandbox", "--min-lead", "1m")
        assert caller.send("/v2/messages/schedule", **soon).status == 200
