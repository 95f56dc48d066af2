"""`heliograph profiles`."""

import pytest

from heliograph.commands import profiles
from tests.terminal import Terminal


def test_a_profile_is_made_with_everything_that_can_be_given(either_terminal: Terminal) -> None:
    either_terminal.organization()
    urls = ["--webhook-url", "https://a.example/x", "--webhook-failover-url", "https://b.example/x"]
    more = ["--destinations", "us, CA", "--alpha-sender", "Acme Inc", "--smart-encoding", "--pool"]
    profile_id = either_terminal.ok("profiles", "create", "Main", *urls, *more)
    (listed,) = either_terminal.json("profiles", "list")
    assert listed.pop("created")
    assert listed == {
        "id": profile_id,
        "organization": "Acme",
        "name": "Main",
        "enabled": True,
        "destinations": ["US", "CA"],
        "webhook_url": "https://a.example/x",
        "webhook_failover_url": "https://b.example/x",
        "alpha_sender": "Acme Inc",
        "smart_encoding": True,
        "pool": True,
    }


def test_a_plain_profile_may_send_anywhere_and_has_no_pool(terminal: Terminal) -> None:
    terminal.organization()
    profile_id = terminal.profile()
    header, line = terminal.ok("profiles", "list").splitlines()
    assert header.split() == [
        "id",
        "organization",
        "name",
        "enabled",
        "destinations",
        "alpha_sender",
        "pool",
        "webhook_url",
    ]
    assert line.split() == [profile_id, "Acme", "Main", "yes", "*", "-", "no", "-"]


def test_profiles_are_listed_of_all_organisations_or_of_one(terminal: Terminal) -> None:
    for name in ("Acme", "Bolt"):
        terminal.organization(name)
        terminal.profile("--organization", name)
    assert [each["organization"] for each in terminal.json("profiles", "list")] == ["Acme", "Bolt"]
    (listed,) = terminal.json("profiles", "list", "--organization", "Bolt")
    assert listed["organization"] == "Bolt"


def test_a_long_list_is_read_to_its_end(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "PAGE", 2)
    terminal.organization()
    made = [terminal.profile() for _ in range(5)]
    assert [each["id"] for each in terminal.json("profiles", "list")] == made[::-1]


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        (("--webhook-url", "ftp://a.example"), "Not an http or https URL: 'ftp://a.example'."),
        (("--webhook-failover-url", "x"), "Not an http or https URL: 'x'."),
        (("--alpha-sender", "12345"), "'12345' is a number: an alphanumeric sender has at least one letter."),
        (("--alpha-sender", "much too long"), "Got 'much too long'; wanted a sender: "),
        (("--organization", "Bolt"), "There is no organisation 'Bolt'; there are: Acme."),
    ],
)
def test_a_profile_that_could_not_work_is_not_made(terminal: Terminal, options: tuple[str, ...], refusal: str) -> None:
    terminal.organization()
    assert terminal.refused("profiles", "create", "Main", *options).startswith(refusal)
    assert terminal.json("profiles", "list") == []


def test_a_destination_is_a_country_that_numbers_have(terminal: Terminal) -> None:
    complaint = terminal.misused("profiles", "create", "Main", "--destinations", "US,UK")
    assert complaint == "argument --destinations: got 'UK', wanted ISO 3166 countries such as US,CA,GB, or '*'"
