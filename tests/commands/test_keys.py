"""`heliograph keys`."""

import pytest

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
