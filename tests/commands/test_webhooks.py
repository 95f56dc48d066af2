"""`heliograph webhooks`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import HOUR, Instant, to_text
from heliograph.store.engine import open_engine
from heliograph.store.lanes import EndpointState
from heliograph.store.store import Store
from heliograph.testing.server_process import ServerProcess
from tests.terminal import Terminal
from tests.webhook_receiver import Receiver
from tests.wire import Caller

Done = TypeVar("Done")

HOOK = "https://a.example/hooks"
GONE = "It answered 410 Gone."
OFF_SINCE = Instant(1_700_000_000_000_000)


def beside(terminal: Terminal, work: Callable[[Store], Awaitable[Done]]) -> Done:
    """Do something with a store of our own."""

    async def run() -> Done:
        store = Store(open_engine(terminal.database_url))
        await store.start()
        try:
            return await work(store)
        finally:
            await store.stop()

    return asyncio.run(run())


def turn_off(terminal: Terminal, organization_id: str, url: str = HOOK) -> None:
    state = EndpointState(OrganizationId(organization_id), url, None, OFF_SINCE, GONE)
    beside(terminal, lambda store: store.set_endpoint(state))


def rest(terminal: Terminal, organization_id: str, url: str = HOOK, ahead: int = HOUR) -> str:
    """Let an endpoint rest from now; until when."""

    async def keep(store: Store) -> str:
        until = Instant(store.clock.now() + ahead)
        await store.set_endpoint(EndpointState(OrganizationId(organization_id), url, until))
        return to_text(until)

    return beside(terminal, keep)


def test_endpoints_that_are_off_or_resting_are_listed(either_terminal: Terminal) -> None:
    organization_id = either_terminal.organization()
    turn_off(either_terminal, organization_id, f"{HOOK}/gone")
    until = rest(either_terminal, organization_id, f"{HOOK}/tired")
    shared = {"organization": "Acme"}
    off = {"url": f"{HOOK}/gone", "state": "off", "since": to_text(OFF_SINCE), "until": None, "reason": GONE}
    resting = {"url": f"{HOOK}/tired", "state": "resting", "since": None, "until": until}
    first, second = either_terminal.json("webhooks", "endpoints")
    assert first == {**shared, **off}
    assert second.items() >= {**shared, **resting}.items()
    assert second["reason"] == "It asked to be left alone until then."


def test_people_see_columns(terminal: Terminal) -> None:
    turn_off(terminal, terminal.organization())
    header, line = terminal.ok("webhooks", "endpoints").splitlines()
    assert header.split() == ["organization", "url", "state", "since", "until", "reason"]
    assert line.split(maxsplit=5) == ["Acme", HOOK, "off", to_text(OFF_SINCE), "-", GONE]


def test_what_rested_and_what_is_on_again_is_not_listed(terminal: Terminal) -> None:
    organization_id = terminal.organization()
    rest(terminal, organization_id, f"{HOOK}/1", ahead=-1)
    turn_off(terminal, organization_id, f"{HOOK}/2")
    terminal.ok("webhooks", "enable", f"{HOOK}/2")
    assert terminal.json("webhooks", "endpoints") == []


def test_endpoints_are_listed_of_all_organisations_or_of_one(terminal: Terminal) -> None:
    for name in ("Bolt", "Acme"):
        turn_off(terminal, terminal.organization(name))
    assert [each["organization"] for each in terminal.json("webhooks", "endpoints")] == ["Acme", "Bolt"]
    (listed,) = terminal.json("webhooks", "endpoints", "--organization", "Bolt")
    assert listed["organization"] == "Bolt"
    refusal = terminal.refused("webhooks", "endpoints", "--organization", "Cask")
    assert refusal == "There is no organisation 'Cask'; there are: Acme, Bolt."


def test_nothing_to_list_is_an_empty_list(terminal: Terminal) -> None:
    assert terminal.json("webhooks", "endpoints") == []


def test_an_endpoint_that_is_off_is_turned_on(either_terminal: Terminal) -> None:
    turn_off(either_terminal, either_terminal.organization())
    ran = either_terminal.run("webhooks", "enable", HOOK)
    assert (ran.status, ran.out) == (0, f"Events of Acme go to {HOOK} again.\n")
    assert ran.err == (
        f"What failed since {to_text(OFF_SINCE)} is not sent again by itself:"
        " POST /v2/webhook_deliveries/replay with status failed does that.\n"
    )
    assert either_terminal.json("webhooks", "endpoints") == []


def test_a_rest_is_ended(terminal: Terminal) -> None:
    rest(terminal, terminal.organization())
    ran = terminal.run("webhooks", "enable", HOOK)
    assert (ran.status, ran.out, ran.err) == (0, f"Events of Acme go to {HOOK} again.\n", "")
    assert terminal.json("webhooks", "endpoints") == []


def test_what_is_on_stays_on(terminal: Terminal) -> None:
    turn_off(terminal, terminal.organization())
    terminal.ok("webhooks", "enable", HOOK)
    assert terminal.ok("webhooks", "enable", HOOK) == f"Events of Acme go to {HOOK} already."


def test_only_the_endpoint_of_the_organisation_named_is_turned_on(terminal: Terminal) -> None:
    for name in ("Acme", "Bolt"):
        turn_off(terminal, terminal.organization(name))
    assert terminal.refused("webhooks", "enable", HOOK) == (
        "Name one of the organisations with --organization: Acme, Bolt."
    )
    terminal.ok("webhooks", "enable", HOOK, "--organization", "Bolt")
    assert [each["organization"] for each in terminal.json("webhooks", "endpoints")] == ["Acme"]


def test_the_endpoint_of_another_organisation_is_not_turned_on(terminal: Terminal) -> None:
    turn_off(terminal, terminal.organization("Acme"))
    terminal.organization("Bolt")
    refusal = terminal.refused("webhooks", "enable", HOOK, "--organization", "Bolt")
    assert refusal.startswith(f"Bolt has no endpoint '{HOOK}' that is off or resting: ")
    assert [each["organization"] for each in terminal.json("webhooks", "endpoints")] == ["Acme"]


@pytest.mark.parametrize("url", [f"{HOOK}/", "nonsense", ""])
def test_an_endpoint_that_is_not_known_is_not_turned_on(terminal: Terminal, url: str) -> None:
    turn_off(terminal, terminal.organization())
    assert terminal.refused("webhooks", "enable", url) == (
        f"Acme has no endpoint '{url}' that is off or resting: 'heliograph webhooks endpoints' lists those there are."
    )
    assert len(terminal.json("webhooks", "endpoints")) == 1


def test_an_endpoint_has_to_be_named(terminal: Terminal) -> None:
    assert terminal.misused("webhooks", "enable") == "the following arguments are required: URL"


def test_a_running_server_delivers_to_an_endpoint_that_was_turned_on(either_terminal: Terminal) -> None:
    with ServerProcess(either_terminal.database_url, {"SANDBOX__RECEIPT_DELAY": "0"}) as server, Receiver() as receiver:
        url, written = receiver.url("/"), {"to": server.ready["from_number"], "text": "Hello!"}
        either_terminal.ok("profiles", "update", server.ready["messaging_profile_id"], "--webhook-url", url)
        receiver.answer("/", 410)
        with Caller(server.ready["base_url"], server.ready["api_key"]) as caller:
            for wanted in (1, 1, 2):
                if wanted == 2:
                    assert [each["url"] for each in either_terminal.json("webhooks", "endpoints")] == [url]
                    either_terminal.ok("webhooks", "enable", url)
                caller("POST", "/sandbox/handsets/%2B18665550001/messages", written)
                caller.settle()
                assert len(receiver.told) == wanted
