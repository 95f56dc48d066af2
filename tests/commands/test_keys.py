"""`heliograph keys`."""

import sqlite3
from base64 import b64decode
from contextlib import closing

import pytest

from heliograph.domain.instant import DAY, HOUR, parse
from heliograph.testing.server_process import ServerProcess
from tests.terminal import Terminal
from tests.wire import NO_SUCH_ID, Caller


def test_standard_output_is_the_key_and_nothing_else(either_terminal: Terminal) -> None:
    either_terminal.organization()
    ran = either_terminal.run("keys", "create")
    assert ran.status == 0
    assert ran.out.startswith("KEY_")
    assert len(ran.out.split()) == 1
    assert ran.err == "This key is shown once: only its hash is stored.\n"


def test_keys_are_listed_without_their_secrets(terminal: Terminal) -> None:
    terminal.organization()
    key_id, secret = terminal.ok("keys", "create", "--name", "production").removeprefix("KEY_").split("_", 1)
    (listed,) = terminal.json("keys", "list")
    assert (listed["id"], listed["organization"], listed["name"], listed["revoked"]) == (
        key_id,
        "Acme",
        "production",
        None,
    )
    assert secret not in terminal.ok("keys", "list") + str(listed)


def test_a_key_needs_no_name(terminal: Terminal) -> None:
    terminal.organization()
    terminal.ok("keys", "create")
    assert [key["name"] for key in terminal.json("keys", "list")] == [""]


def test_a_key_needs_an_organisation(terminal: Terminal) -> None:
    refusal = terminal.refused("keys", "create")
    assert refusal == "There is no organisation yet: make one with 'heliograph organizations create NAME'."


def test_of_several_organisations_one_has_to_be_named(terminal: Terminal) -> None:
    terminal.organization("Acme")
    terminal.organization("Bolt")
    refusal = terminal.refused("keys", "create")
    assert refusal == "Name one of the organisations with --organization: Acme, Bolt."


def test_a_key_of_an_unknown_organisation_is_not_made(terminal: Terminal) -> None:
    terminal.organization()
    refusal = terminal.refused("keys", "create", "--organization", "Bolt")
    assert refusal == "There is no organisation 'Bolt'; there are: Acme."


@pytest.mark.parametrize("whole", [True, False], ids=["the key itself", "its id"])
def test_a_key_is_revoked(either_terminal: Terminal, whole: bool) -> None:
    either_terminal.organization()
    key = either_terminal.ok("keys", "create")
    key_id = key.split("_")[1]
    assert either_terminal.ok("keys", "revoke", key if whole else key_id) == f"The key {key_id} of Acme is revoked."
    assert either_terminal.json("keys", "list")[0]["revoked"] is not None


def test_revoking_again_keeps_the_first_moment(terminal: Terminal) -> None:
    terminal.organization()
    key = terminal.ok("keys", "create")
    terminal.ok("keys", "revoke", key)
    revoked = terminal.json("keys", "list")[0]["revoked"]
    assert terminal.ok("keys", "revoke", key).endswith(f"was revoked at {revoked} already.")
    assert terminal.json("keys", "list")[0]["revoked"] == revoked


def test_an_unknown_key_is_not_revoked(terminal: Terminal) -> None:
    refusal = terminal.refused("keys", "revoke", "0123456789abcdef")
    assert refusal == "There is no key 0123456789abcdef: 'heliograph keys list' shows those there are."


def test_what_is_no_key_is_refused_without_being_shown(terminal: Terminal) -> None:
    assert "c2VjcmV0" not in terminal.refused("keys", "revoke", "c2VjcmV0")


def test_a_running_server_refuses_a_revoked_key_that_it_knew(either_terminal: Terminal) -> None:
    with ServerProcess(either_terminal.database_url) as server:
        key = either_terminal.ok("keys", "create", "--organization", "Sandbox")
        with Caller(server.ready["base_url"], key) as caller:
            assert caller.send().status == 200
            assert caller("GET", f"/v2/messages/{NO_SUCH_ID}").status == 404
            either_terminal.ok("keys", "revoke", key)
            assert caller.send().refusal == (401, "20002", None)


def test_a_running_server_shows_a_revoked_key_nothing_more(either_terminal: Terminal) -> None:
    with ServerProcess(either_terminal.database_url) as server:
        key = either_terminal.ok("keys", "create", "--organization", "Sandbox")
        with Caller(server.ready["base_url"], key) as caller:
            assert len(caller("GET", "/v2/messaging_profiles").data) == 1
            either_terminal.ok("keys", "revoke", key)
            assert caller("GET", "/v2/messaging_profiles").refusal == (401, "20002", None)


def test_two_keys_of_one_organisation_work_side_by_side(either_terminal: Terminal) -> None:
    with ServerProcess(either_terminal.database_url) as server:
        keys = [either_terminal.ok("keys", "create", "--organization", "Sandbox") for _ in "ab"]
        with Caller(server.ready["base_url"], keys[0]) as old, Caller(server.ready["base_url"], keys[1]) as new:
            message = old.schedule(hours=1)
            assert new.read(message["id"])["id"] == message["id"]
            assert new.cancel(message["id"]).status == 200
            assert old.read(message["id"])["to"][0]["status"] == "cancelled"


def test_the_key_of_webhooks_is_shown_and_stays(either_terminal: Terminal) -> None:
    either_terminal.organization()
    (key,) = either_terminal.json("keys", "webhook")
    assert (key["organization"], key["signs_now"], key["signs_until"], key["retires"]) == ("Acme", True, None, None)
    assert len(b64decode(key["public_key"], validate=True)) == 32
    assert key["secret"].startswith("whsec_")
    assert either_terminal.json("keys", "webhook") == [key]


def test_the_keys_of_webhooks_are_for_people_in_columns(terminal: Terminal) -> None:
    terminal.organization()
    (key,) = terminal.json("keys", "webhook")
    header, line = terminal.ok("keys", "webhook").splitlines()
    assert header.split() == ["signs_now", "public_key", "secret", "signs_from", "signs_until", "retires"]
    assert line.split() == ["yes", key["public_key"], key["secret"], key["signs_from"], "-", "-"]


def test_each_organisation_has_webhook_keys_of_its_own(terminal: Terminal) -> None:
    keys = []
    for name in ("Acme", "Bolt"):
        terminal.organization(name)
        keys += terminal.json("keys", "webhook", "--organization", name)
    assert [key["organization"] for key in keys] == ["Acme", "Bolt"]
    assert len({key["public_key"] for key in keys}) == len({key["secret"] for key in keys}) == 2
    refusal = terminal.refused("keys", "webhook")
    assert refusal == "Name one of the organisations with --organization: Acme, Bolt."


@pytest.mark.parametrize(("option", "overlap"), [((), DAY), (("--overlap", "1h"), HOUR)], ids=["default", "1h"])
def test_a_new_webhook_key_is_shown_before_it_signs(
    either_terminal: Terminal, option: tuple[str, ...], overlap: int
) -> None:
    either_terminal.organization()
    (first,) = either_terminal.json("keys", "webhook")
    old, new = either_terminal.json("keys", "rotate-webhook", *option)
    assert (old["public_key"], old["signs_now"], new["signs_now"]) == (first["public_key"], True, False)
    assert old["signs_until"] == new["signs_from"]
    assert parse(old["retires"]) - parse(new["signs_from"]) == overlap
    assert either_terminal.json("keys", "webhook") == [old, new]


def test_a_rotation_says_what_is_to_be_done(terminal: Terminal) -> None:
    terminal.organization()
    terminal.ok("keys", "webhook")
    said = terminal.run("keys", "rotate-webhook").err
    old, new = terminal.json("keys", "webhook")
    told = f"Give the new key to every receiver before {new['signs_from']}. The old one retires at {old['retires']}.\n"
    assert said == told


def test_a_compromised_webhook_key_is_replaced_even_while_a_rotation_is_under_way(either_terminal: Terminal) -> None:
    either_terminal.organization()
    either_terminal.ok("keys", "webhook")
    known = {key["public_key"] for key in either_terminal.json("keys", "rotate-webhook")}
    ran = either_terminal.run("keys", "rotate-webhook", "--overlap", "0")
    assert ran.err == "The new key signs from now on, and no other is trusted: give it to every receiver.\n"
    (key,) = either_terminal.json("keys", "webhook")
    assert key["public_key"] in ran.out
    assert key["signs_now"]
    assert key["public_key"] not in known


def test_a_second_rotation_is_refused_until_the_first_is_over(terminal: Terminal) -> None:
    terminal.organization()
    terminal.ok("keys", "webhook")
    old, new = terminal.json("keys", "rotate-webhook")
    refusal = terminal.refused("keys", "rotate-webhook")
    assert refusal.startswith(f"A rotation of Acme ends at {old['retires']}: wait, or give --overlap 0,")
    assert terminal.json("keys", "webhook") == [old, new]


@pytest.mark.parametrize("overlap", ["soon", "31d", "2592001", "-1h", ""])
def test_an_overlap_that_is_none_is_a_wrong_argument(terminal: Terminal, overlap: str) -> None:
    terminal.organization()
    complaint = terminal.misused("keys", "rotate-webhook", f"--overlap={overlap}")
    assert complaint.startswith(f'argument --overlap: got "{overlap}", wanted a duration')


def test_the_private_half_of_a_webhook_key_is_never_shown(terminal: Terminal) -> None:
    terminal.organization()
    ran = [terminal.run("keys", *command) for command in (["webhook"], ["rotate-webhook"], ["webhook", "--json"])]
    private = private_keys(terminal)
    assert len(private) == 2
    assert not [each for each in private for shown in ran if each in shown.out + shown.err]


def private_keys(terminal: Terminal) -> list[str]:
    """What is in the database and nowhere else."""
    with closing(sqlite3.connect(terminal.database_url.removeprefix("sqlite:///"))) as connection:
        return [row[0] for row in connection.execute("SELECT private_key FROM webhook_keys")]
