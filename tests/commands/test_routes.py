"""`heliograph routes`."""

import argparse
import json
import re
from pathlib import Path
from typing import Any

import pytest

from heliograph.commands import routes
from heliograph.domain.address import BadAddress
from heliograph.settings import load

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "routing.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```console\n\$ heliograph routes (.*)\n((?:.*\n)*?)```", PAGE)

CARRIERS = """
[carriers.agg-1]
kind = "smpp"
host = "smpp.example.com"
system_id = "acme"

[carriers.agg-2]
kind = "smpp"
host = "smpp.example.net"
system_id = "acme"

[carriers.provider]
kind = "upstream"
base_url = "https://api.example.com/v2"
api_key = "hunter2"
"""
ROUTES = """
[[routes]]
name = "us"
to = ["+1"]
carriers = [{ name = "agg-1", weight = 3 }, "agg-2"]

[[routes]]
name = "uk"
countries = ["GB"]
from = ["Acme*"]
type = "SMS"
carriers = ["agg-2"]

[[routes]]
name = "rest"
carriers = ["provider"]
"""
CHICAGO = "+13125550100"
LONDON = "+447400123456"
MESSAGE = "0192f0c1-0000-7000-8000-000000000001"


class Routes:
    """The command on a file of settings; no database is there."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._path = path
        self._capsys = capsys
        self.settings = CARRIERS + ROUTES

    def run(self, *arguments: str) -> str:
        """What it wrote."""
        self._path.write_text(self.settings)
        parser = argparse.ArgumentParser("heliograph")
        routes.declare(parser.add_subparsers(required=True))
        given = parser.parse_args(["routes", *arguments])
        sandbox = {"sandbox.enabled": True} if given.sandbox else {}
        self._capsys.readouterr()
        assert given.run(given, load(self._path, {}, sandbox)) == 0
        return self._capsys.readouterr().out

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json"))

    def misused(self, *arguments: str) -> str:
        """What is said of arguments that must be wrong."""
        with pytest.raises(SystemExit) as ended:
            self.run(*arguments)
        assert ended.value.code == 2
        return self._capsys.readouterr().err.splitlines()[-1].partition("error: ")[2]


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Routes:
    return Routes(tmp_path / "h.toml", capsys)


def test_explain_says_who_is_first_who_is_next_and_why(command: Routes) -> None:
    assert command.run("explain", CHICAGO) == (
        "first  agg-1 (75 %) or agg-2 (25 %)\n"
        "then   the other of them\n"
        "then   provider\n"
        "\n"
        "route  matches  why\n"
        "us     yes      agg-1 75 %, agg-2 25 %\n"
        "uk     no       countries: US is not among GB\n"
        "rest   yes      provider\n"
    )


def test_explain_knows_of_a_message_what_its_id_decides(command: Routes) -> None:
    assert command.run("explain", CHICAGO, "--message", MESSAGE.upper()).startswith(
        "first  agg-2\nthen   agg-1\nthen   provider\n\n"
    )


def test_explain_of_more_than_two_says_the_others(command: Routes) -> None:
    command.settings = f'{CARRIERS}[[routes]]\nname = "r"\ncarriers = ["agg-1", "agg-2", "provider"]\n'
    assert command.run("explain", CHICAGO).startswith(
        "first  agg-1 (33.3 %) or agg-2 (33.3 %) or provider (33.3 %)\nthen   the others of them, by weight\n\n"
    )


def test_explain_goes_by_sender_and_type(command: Routes) -> None:
    assert command.run("explain", LONDON, "--from", "Acme Ltd").startswith("first  agg-2\nthen   provider\n")
    assert "uk     no       type: MMS is not SMS" in command.run("explain", LONDON, "--from", "Acme", "--type", "MMS")
    assert "uk     no       from: a sender that is not told is not among Acme*" in command.run("explain", LONDON)


def test_explain_goes_by_profile(command: Routes) -> None:
    command.settings = f'{CARRIERS}[[routes]]\nname = "r"\nprofiles = ["{MESSAGE}"]\ncarriers = ["agg-1"]\n'
    assert command.run("explain", CHICAGO, "--profile", MESSAGE).startswith("first  agg-1\n")


def test_explain_says_which_carriers_are_left_out(command: Routes) -> None:
    assert command.run("explain", CHICAGO, "--type", "MMS").splitlines() == [
        "first  provider",
        "",
        "route  matches  why",
        "us     yes      agg-1 (cannot carry MMS), agg-2 (cannot carry MMS)",
        "uk     no       countries: US is not among GB",
        "rest   yes      provider",
    ]


MMS_NOWHERE = f"""{CARRIERS}
[[routes]]
name = "us"
to = ["+1"]
carriers = [{{ name = "agg-1", weight = 3 }}, "agg-2"]
"""


def test_explain_says_when_no_carrier_of_the_routes_carries_mms_and_who_does(command: Routes) -> None:
    command.settings = MMS_NOWHERE
    assert command.run("explain", CHICAGO, "--type", "MMS").splitlines() == [
        "none   No carrier of the matching routes can carry MMS; provider can, and no matching route names it. "
        "It is refused, or sent as an SMS where its profile wants that.",
        "",
        "route  matches  why",
        "us     yes      agg-1 (cannot carry MMS), agg-2 (cannot carry MMS)",
    ]
    told = command.json("explain", CHICAGO, "--type", "MMS", "--message", MESSAGE)
    assert (told["plan"], told["stages"]) == ([], [])
    assert [each["left_out"] for each in told["routes"][0]["carriers"]] == ["cannot carry MMS"] * 2


def test_explain_says_when_no_carrier_at_all_carries_mms(command: Routes) -> None:
    command.settings = CARRIERS.partition("[carriers.provider]")[0]
    said = command.run("explain", CHICAGO, "--type", "MMS")
    assert said.startswith(
        "none   No carrier of the matching routes can carry MMS; no carrier of the settings can. It is refused"
    )
    assert command.run("explain", CHICAGO).startswith("first  agg-1\nthen   agg-2\n")


@pytest.mark.parametrize("kind", ["SMS", "MMS"])
def test_without_a_carrier_explain_says_that_messages_are_kept(command: Routes, kind: str) -> None:
    command.settings = ""
    assert command.run("explain", CHICAGO, "--type", kind).splitlines()[0] == (
        "none   No carrier is configured: such a message is kept until there is one, or until its validity is over."
    )


def test_explain_says_when_no_route_matches(command: Routes) -> None:
    command.settings = f'{CARRIERS}[[routes]]\nname = "uk"\nto = ["+44"]\ncarriers = ["agg-1"]\n'
    assert command.run("explain", "12345").splitlines() == [
        "none   No route matches: such a message cannot be sent.",
        "",
        "route  matches  why",
        "uk     no       to: 12345 is not among +44",
    ]


def test_explain_for_a_machine(command: Routes) -> None:
    told = command.json("explain", CHICAGO, "--message", MESSAGE)
    assert told["plan"] == ["agg-2", "agg-1", "provider"]
    assert (told["to"], told["country"], told["from"], told["type"]) == (CHICAGO, "US", None, "SMS")
    assert [[each["carrier"] for each in stage] for stage in told["stages"]] == [["agg-1", "agg-2"], ["provider"]]
    assert told["routes"][0]["carriers"][0] == {"carrier": "agg-1", "weight": 3, "share": 0.75, "left_out": None}
    assert told["routes"][1] == {
        "route": "uk",
        "matches": False,
        "why": "countries: US is not among GB",
        "carriers": [],
    }


def test_explain_for_a_machine_has_no_plan_where_weights_decide(command: Routes) -> None:
    assert command.json("explain", CHICAGO)["plan"] is None
    assert command.json("explain", LONDON)["plan"] == ["provider"]


@pytest.mark.parametrize("number", ["3125550100", "+1312", "Acme", ""])
def test_explain_wants_a_destination(number: str, command: Routes) -> None:
    with pytest.raises(BadAddress):
        command.run("explain", number)


def test_explain_wants_a_sender(command: Routes) -> None:
    with pytest.raises(BadAddress):
        command.run("explain", CHICAGO, "--from", "")


@pytest.mark.parametrize("option", ["--profile", "--message"])
def test_explain_wants_ids(option: str, command: Routes) -> None:
    assert command.misused("explain", CHICAGO, option, "x") == (
        f"argument {option}: got 'x', wanted an id, which is a UUID"
    )


def test_list_has_the_routes_in_their_order(command: Routes) -> None:
    assert command.run("list") == (
        "route  to  countries  from   profiles  type  carriers\n"
        "us     +1  -          -      -         -     agg-1 3, agg-2 1\n"
        "uk     -   GB         Acme*  -         SMS   agg-2\n"
        "rest   -   -          -      -         -     provider\n"
    )


def test_list_for_a_machine(command: Routes) -> None:
    assert command.json("list")[:2] == [
        {
            "route": "us",
            "to": ["+1"],
            "carriers": [{"carrier": "agg-1", "weight": 3}, {"carrier": "agg-2", "weight": 1}],
        },
        {
            "route": "uk",
            "countries": ["GB"],
            "from": ["Acme*"],
            "type": ["SMS"],
            "carriers": [{"carrier": "agg-2", "weight": 1}],
        },
    ]


@pytest.mark.parametrize(
    ("settings", "options", "said"),
    [
        (CARRIERS, [], "No routes are set: the carriers are taken in the order of the file."),
        (CARRIERS, ["--sandbox"], "No routes are set: everything goes to the sandbox."),
        ("", [], "No routes are set, and no carriers."),
    ],
)
def test_what_goes_without_routes_is_said(settings: str, options: list[str], said: str, command: Routes) -> None:
    command.settings = settings
    assert command.run("list", *options).splitlines()[0] == said
    assert said in command.run("explain", CHICAGO, *options).splitlines()


def test_without_routes_the_carriers_are_listed_as_they_are_taken(command: Routes) -> None:
    command.settings = CARRIERS
    assert [each["route"] for each in command.json("list")] == ["agg-1", "agg-2", "provider"]
    assert command.json("explain", CHICAGO)["plan"] == ["agg-1", "agg-2", "provider"]


@pytest.mark.parametrize(("arguments", "shown"), EXAMPLES, ids=[arguments for arguments, _ in EXAMPLES])
def test_the_examples_of_the_page_are_what_the_command_says(arguments: str, shown: str, command: Routes) -> None:
    (command.settings,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert command.run(*arguments.split()) == shown


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == PAGE.count("$ heliograph") == 6
