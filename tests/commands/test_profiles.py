"""`heliograph profiles`."""

import asyncio

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from heliograph.commands import profiles
from heliograph.domain.accounts import NumberPool, ProfileSettings
from heliograph.store.accounts import to_profile
from heliograph.store.engine import open_engine
from heliograph.store.store import Store
from heliograph.store.tables import messaging_profiles
from tests.terminal import Terminal
from tests.wire import NO_SUCH_ID


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


def urls_of(terminal: Terminal) -> tuple[str | None, str | None]:
    (listed,) = terminal.json("profiles", "list")
    return listed["webhook_url"], listed["webhook_failover_url"]


def test_the_urls_of_a_profile_are_changed_one_by_one(either_terminal: Terminal) -> None:
    either_terminal.organization()
    update = ("profiles", "update", either_terminal.profile("--smart-encoding"))
    before = either_terminal.json("profiles", "list")[0]
    first, second = "https://a.example/x", "https://b.example/x"
    said = "Events of the messaging profile Main are sent"
    assert either_terminal.ok(*update, "--webhook-url", first) == f"{said} to {first} now."
    assert either_terminal.ok(*update, "--webhook-failover-url", second) == f"{said} to {first}, then to {second} now."
    assert urls_of(either_terminal) == (first, second)
    assert either_terminal.ok(*update, "--webhook-url", "") == f"{said} to {second} now."
    assert either_terminal.ok(*update, "--webhook-failover-url", "", "--webhook-url", "") == f"{said} nowhere now."
    assert either_terminal.json("profiles", "list") == [before]


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ((), "Say what to change; 'heliograph profiles update --help' lists it."),
        (("--sticky-sender",), "--sticky-sender is of a number pool, and this messaging profile has none: add --pool."),
        (("--alpha-sender", "12345"), "'12345' is a number: an alphanumeric sender has at least one letter."),
        (("--webhook-url", "ftp://a.example"), "Not an http or https URL: 'ftp://a.example'."),
        (("--webhook-failover-url", "x"), "Not an http or https URL: 'x'."),
        (("--webhook-url", " "), "Not an http or https URL: ' '."),
        (("--webhook-url", "https://b.example", "--organization", "Bolt"), "There is no organisation 'Bolt'; "),
    ],
)
def test_a_change_that_could_not_work_is_not_made(terminal: Terminal, options: tuple[str, ...], refusal: str) -> None:
    terminal.organization()
    profile_id = terminal.profile("--webhook-url", "https://a.example/x")
    assert terminal.refused("profiles", "update", profile_id, *options).startswith(refusal)
    assert urls_of(terminal) == ("https://a.example/x", None)


@pytest.mark.parametrize("profile_id", ["nope", "", NO_SUCH_ID])
def test_an_unknown_profile_is_not_changed(terminal: Terminal, profile_id: str) -> None:
    terminal.organization()
    refusal = terminal.refused("profiles", "update", profile_id, "--webhook-url", "")
    assert refusal == f"There is no messaging profile '{profile_id}' of Acme."


def test_a_profile_of_another_organisation_is_not_changed(terminal: Terminal) -> None:
    for name in ("Acme", "Bolt"):
        terminal.organization(name)
    profile_id = terminal.profile("--organization", "Acme")
    update = ("profiles", "update", profile_id, "--webhook-url", "https://a.example/x")
    assert terminal.refused(*update) == "Name one of the organisations with --organization: Acme, Bolt."
    refusal = terminal.refused(*update, "--organization", "Bolt")
    assert refusal == f"There is no messaging profile '{profile_id}' of Bolt."
    terminal.ok(*update, "--organization", "Acme")
    assert urls_of(terminal) == ("https://a.example/x", None)


def settings_of(terminal: Terminal, profile_id: str) -> tuple[str, ProfileSettings]:
    """The name and the settings of a profile, as they are stored."""

    async def found() -> tuple[str, ProfileSettings]:
        store = Store(open_engine(terminal.database_url, sandbox=True))
        try:
            rows = await store.engine.fetch(select(messaging_profiles).where(messaging_profiles.c.id == profile_id))
        finally:
            await store.engine.close()
        profile = to_profile(rows[0])
        return profile.name, profile.settings

    return asyncio.run(found())


def test_everything_that_can_be_named_is_changed_and_nothing_else(either_terminal: Terminal) -> None:
    either_terminal.organization()
    profile_id = either_terminal.profile("--webhook-url", "https://a.example/x")
    _, before = settings_of(either_terminal, profile_id)
    update = ("profiles", "update", profile_id)
    limits = ["--daily-spend-limit", "100.00", "--redaction", "1", "--destinations", "us,ca", "--alpha-sender", "Acme"]
    switches = ["--no-enabled", "--smart-encoding", "--mobile-only", "--mms-fall-back-to-sms"]
    pool = ["--pool", "--sticky-sender", "--geomatch", "--skip-unhealthy"]
    said = either_terminal.ok(*update, "--name", "New", *limits, *switches, *pool)
    assert said == "The messaging profile New is changed."
    everything = replace(
        before,
        enabled=False,
        smart_encoding=True,
        mobile_only=True,
        mms_fall_back_to_sms=True,
        number_pool_settings=NumberPool(1, 1, skip_unhealthy=True, sticky_sender=True, geomatch=True),
        daily_spend_limit="100.00",
        daily_spend_limit_enabled=True,
        redaction_enabled=True,
        redaction_level=1,
        whitelisted_destinations=("US", "CA"),
        alpha_sender="Acme",
    )
    assert settings_of(either_terminal, profile_id) == ("New", everything)
    either_terminal.ok(*update, "--no-geomatch", "--enabled")
    after = replace(everything, enabled=True, number_pool_settings=NumberPool(1, 1, True, True, False))
    assert settings_of(either_terminal, profile_id) == ("New", after)
    undone = ["--no-pool", "--daily-spend-limit", "", "--redaction", "0", "--destinations", "*", "--alpha-sender", ""]
    either_terminal.ok(*update, *[f"--no-{each[2:]}" for each in switches[1:]], *undone)
    assert settings_of(either_terminal, profile_id) == ("New", replace(before, redaction_level=1))


@pytest.mark.parametrize("limit", ["-1", "1,5", "1.", ".5", "9" * 16])
def test_an_amount_that_is_none_is_a_wrong_argument(terminal: Terminal, limit: str) -> None:
    complaint = terminal.misused("profiles", "update", "x", f"--daily-spend-limit={limit}")
    assert (
        complaint == f"argument --daily-spend-limit: got '{limit}', wanted an amount such as 100.00, or '' for no limit"
    )


def test_a_profile_is_deleted_and_its_numbers_are_on_none(either_terminal: Terminal) -> None:
    either_terminal.organization()
    profile_id = either_terminal.profile()
    either_terminal.ok("numbers", "add", "+13125550123", "--profile", profile_id)
    said = either_terminal.ok("profiles", "delete", profile_id)
    assert said == "The messaging profile Main is deleted; its numbers are on no profile now."
    assert either_terminal.json("profiles", "list") == []
    assert [each["profile"] for each in either_terminal.json("numbers", "list")] == [None]
    refusal = either_terminal.refused("profiles", "delete", profile_id)
    assert refusal == f"There is no messaging profile '{profile_id}' of Acme."
