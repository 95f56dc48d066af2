"""`heliograph carriers test`, against the scriptable SMSC and against a Heliograph as upstream."""

import asyncio
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heliograph.carriers.interface import LateAnswer
from heliograph.carriers.smpp.smsc import Smsc
from heliograph.carriers.smpp.smsc_script import Final, IdForm, ReceiptId, Script
from heliograph.carriers.smpp.status import Status
from heliograph.commands import trial
from heliograph.commands.trial import TrialInbox
from heliograph.domain.errors import Code
from heliograph.domain.ids import MessageId
from heliograph.domain.inbound import Arrival
from heliograph.domain.instant import MILLISECOND, Instant
from heliograph.domain.lifecycle import Change
from heliograph.domain.outcome import delivery_error
from heliograph.domain.receipt import Receipt
from heliograph.store.engine import StoreUnavailable
from heliograph.testing.server_process import ServerProcess
from tests.carriers.smpp.esme import bound
from tests.carriers.upstreams import MESSAGES, message, refused, taken
from tests.terminal import Ran, Terminal
from tests.webhooks.receiver import answer, receiving
from tests.wire import TO, Caller, on_sqlite

FROM = "+18445550001"
LONG = "a" * 200
NO_RECEIPT = "+15005550004"
IMAGE = b"\x89PNG not really"


class Trial:
    """The command, on a file of settings with one carrier."""

    def __init__(self, terminal: Terminal, file: Path) -> None:
        self._terminal = terminal
        self._file = file

    def smpp(self, port: int, **settings: Any) -> None:
        """The carrier is an SMSC on this port."""
        told = {"kind": "smpp", "host": "127.0.0.1", "port": port, "system_id": "me", "password": "secret"}
        self._write(told | settings)

    def upstream(self, base_url: str, api_key: str = "KEY_1", **settings: Any) -> None:
        """The carrier is an upstream."""
        self._write({"kind": "upstream", "base_url": base_url, "api_key": api_key} | settings)

    def _write(self, settings: dict[str, Any]) -> None:
        lines = [
            f"{name} = {str(each).lower() if isinstance(each, bool) else repr(each)}" for name, each in settings.items()
        ]
        outgoing = '[outgoing]\nallow = "127.0.0.0/8"\n'
        self._file.write_text("\n".join([outgoing, "[carriers.one]", *lines]) + "\n")

    def run(self, text: str = "Good morning", *options: str, to: str = TO, name: str = "one") -> Ran:
        """Run it."""
        test = ("carriers", "test", name, "--from", FROM, "--to", to, text, *options)
        return self._terminal.run(*test, "--config", str(self._file))

    async def said(self, text: str = "Good morning", *options: str, **given: str) -> list[str]:
        """What one that succeeds prints, without the times."""
        ran = await asyncio.to_thread(self.run, text, *options, **given)
        assert (ran.status, ran.err) == (0, "")
        return [re.sub(r" +after \d+\.\d{3} s", "", line) for line in ran.out.splitlines()]

    async def failed(self, text: str = "Good morning", *options: str, **given: str) -> str:
        """The one line of one that does not."""
        return failure(await asyncio.to_thread(self.run, text, *options, **given))


def failure(ran: Ran) -> str:
    """The one line on standard error."""
    assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
    return ran.err.removeprefix("heliograph: ").removesuffix("\n")


@pytest.fixture
def test(terminal: Terminal, tmp_path: Path) -> Trial:
    """The command; its database is a file that is not there, for it needs none."""
    terminal.database_url = f"sqlite:///{tmp_path / 'gone.db'}"
    return Trial(terminal, tmp_path / "h.toml")


# ---------------------------------------------------------------------------------------------------------------- SMPP


async def test_the_id_and_the_receipt_are_printed(test: Trial) -> None:
    async with Smsc(Script(first_id=41, id_form=IdForm.DECIMAL)) as smsc:
        test.smpp(smsc.port)
        assert await test.said() == ["taken, as 41", "delivered"]
        (submit,) = smsc.submits
        assert (submit.source, submit.destination, submit.text) == (FROM[1:], TO[1:], "Good morning")
        await smsc.wait_bound(0)


async def test_the_ids_of_all_parts_are_printed_and_their_receipts_folded(test: Trial) -> None:
    async with Smsc(Script(first_id=41, id_form=IdForm.DECIMAL)) as smsc:
        test.smpp(smsc.port)
        assert await test.said(LONG) == ["taken, as 41, 42", "delivered"]


async def test_why_it_was_not_delivered_is_printed(test: Trial) -> None:
    async with Smsc(Script(final=Final.UNDELIV, first_id=41, id_form=IdForm.DECIMAL)) as smsc:
        test.smpp(smsc.port)
        first, second = await test.said()
        assert first == "taken, as 41"
        assert second.startswith("delivery_failed, 40")


@pytest.mark.parametrize(
    "script", [Script(receipt_first=True), Script(receipt_id=ReceiptId.ZEROS), Script(receipt_twice=True)]
)
async def test_its_receipt_is_known_in_whatever_way_it_comes(test: Trial, script: Script) -> None:
    async with Smsc(script) as smsc:
        test.smpp(smsc.port)
        assert (await test.said())[1:] == ["delivered"]


async def test_a_receipt_that_does_not_come_is_awaited_so_long(test: Trial) -> None:
    async with Smsc() as smsc:
        test.smpp(smsc.port)
        said = await test.said("Hi", "--wait", "50ms", to=NO_RECEIPT)
        assert said[1:] == ["no receipt came within 0.05 seconds"]


async def test_nothing_is_awaited_where_nobody_wants_to(test: Trial) -> None:
    async with Smsc(Script(receipt_delay=60 * 60 * 1_000_000)) as smsc:
        test.smpp(smsc.port)
        assert len(await test.said("Hi", "--wait", "0")) == 1


async def test_nothing_is_awaited_where_nothing_comes(test: Trial) -> None:
    async with Smsc() as smsc:
        test.smpp(smsc.port, mode="transmitter", receipts=False)
        assert (await test.said())[1:] == ["no receipt is awaited: the carrier gives none, by its settings"]


async def test_a_pair_of_binds_hears_of_its_receipt(test: Trial) -> None:
    async with Smsc() as smsc:
        test.smpp(smsc.port, mode="transmitter_receiver", binds=3)
        assert (await test.said())[1:] == ["delivered"]


async def test_a_refusal_is_one_line(test: Trial) -> None:
    async with Smsc(Script(refuse={Status.RINVDSTADR: 1})) as smsc:
        test.smpp(smsc.port)
        assert await test.failed() == (
            "one refused it: 40012 Invalid messaging destination number: "
            "It was refused by the carrier with ESME_RINVDSTADR."
        )


async def test_a_refusal_names_the_parts_that_were_taken_before(test: Trial) -> None:
    async with Smsc(Script(refuse={Status.RINVDSTADR: 2}, first_id=41, id_form=IdForm.DECIMAL)) as smsc:
        test.smpp(smsc.port)
        assert (await test.failed(LONG)).endswith("ESME_RINVDSTADR. Of 2 parts it took these before: 41.")


async def test_a_refusal_for_now_is_one_line(test: Trial) -> None:
    async with Smsc(Script(refuse={Status.RSYSERR: 1})) as smsc:
        test.smpp(smsc.port)
        assert (await test.failed()).startswith("one refused it for now: 40006 ")


async def test_too_much_is_one_line(test: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "PATIENCE", 500 * MILLISECOND)
    async with Smsc(Script(throttle_every=1)) as smsc:
        test.smpp(smsc.port)
        assert (await test.failed()).startswith("one wants no more at the moment: 40011 ")


async def test_what_nobody_knows_is_one_line(test: Trial) -> None:
    async with Smsc(Script(drop_after=1)) as smsc:
        test.smpp(smsc.port)
        assert (await test.failed()).startswith("one may or may not have it: 49001 Outcome unknown: It was sent, and ")


async def test_a_bind_that_is_refused_sends_nothing(test: Trial) -> None:
    async with Smsc(Script(accounts={"me": "other"})) as smsc:
        test.smpp(smsc.port)
        assert (await test.failed()).startswith("one was not reached, and nothing was sent: transceiver-1: ")
        assert smsc.submits == []


def test_a_carrier_that_is_not_there_is_one_line(test: Trial) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    test.smpp(port)
    expected = f"one was not reached, and nothing was sent: transceiver-1: no connection to 127.0.0.1:{port}: "
    assert failure(test.run()).startswith(expected)


def test_a_carrier_that_says_nothing_is_one_line(test: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "PATIENCE", 100 * MILLISECOND)
    monkeypatch.setattr(trial, "LEAVE", 10 * MILLISECOND)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        test.smpp(silent.getsockname()[1], bind_timeout="300ms")
        assert failure(test.run()) == "one was not reached in 0.1 seconds, and nothing was sent."


async def test_a_message_that_comes_in_meanwhile_is_left_for_the_service(test: Trial) -> None:
    async with Smsc() as smsc:
        test.smpp(smsc.port)
        waiting = asyncio.create_task(test.said("Hi", "--wait", "1s", to=NO_RECEIPT))
        await smsc.wait_submits(1)
        assert await smsc.send_mo(TO, FROM, "Hello", system_id="me") == [Status.RX_T_APPN]
        parts = await smsc.send_mo(TO, FROM, LONG, system_id="me")
        assert set(parts) == {Status.RX_T_APPN}
        await waiting
        async with bound(smsc.port) as service:
            came = [await service.deliveries.get() for _ in range(3)]
        assert came[0].short_message == b"Hello"


async def test_a_receipt_of_another_message_is_left_for_the_service(test: Trial) -> None:
    async with Smsc(Script(receipt_delay=100 * MILLISECOND)) as smsc:
        test.smpp(smsc.port)
        async with bound(smsc.port) as service:
            theirs = await service.submit()
        await test.said("Hi", "--wait", "1s", to=NO_RECEIPT)
        async with bound(smsc.port) as service:
            receipt = await service.deliveries.get()
        assert f"id:{theirs.message_id} ".encode() in receipt.short_message


# ------------------------------------------------------------------------------------------------------------- upstream


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A Heliograph in sandbox mode."""
    with on_sqlite(tmp_path_factory.mktemp("other")) as server:
        yield server


async def test_an_upstream_takes_it_and_is_asked_what_became_of_it(test: Trial, other: ServerProcess) -> None:
    test.upstream(other.base_url, other.ready["api_key"])
    first, second = await test.said("Good evening", to="+13125550177")
    assert second == "delivered"
    with Caller(other.ready["base_url"], other.ready["api_key"]) as caller:
        assert caller.read(first.removeprefix("taken, as "))["text"] == "Good evening"


async def test_an_error_of_an_upstream_is_printed(test: Trial, other: ServerProcess) -> None:
    test.upstream(other.base_url, other.ready["api_key"])
    assert (await test.said(to="+15005550001"))[1].startswith(
        "delivery_failed, 40001 Not routable: The upstream reports"
    )


async def test_an_upstream_that_reports_no_end_is_asked_so_long(test: Trial, other: ServerProcess) -> None:
    test.upstream(other.base_url, other.ready["api_key"])
    assert (await test.said("Hi", "--wait", "100ms", to=NO_RECEIPT))[1] == "no receipt came within 0.1 seconds"


async def test_an_upstream_that_cannot_be_asked_is_waited_for(test: Trial) -> None:
    async with receiving() as server:
        server.script(MESSAGES, taken())
        server.script(f"{MESSAGES}/40317a6e-8f3c-4a4e-9b1f-0d6e4f1d2c3b", answer(500), answer(200, b"[]"))
        test.upstream(server.url("/v2"))
        assert (await test.said("Hi", "--wait", "600ms"))[1] == "no receipt came within 0.6 seconds"


async def test_an_upstream_that_does_not_know_our_key_is_one_line(test: Trial, other: ServerProcess) -> None:
    test.upstream(other.base_url, "KEY_unknown")
    said = await test.failed()
    assert said.startswith("one was not reached, and nothing was sent: The upstream answered with status 401: ")


async def test_a_refusal_of_an_upstream_is_one_line(test: Trial) -> None:
    async with receiving() as server:
        server.script(MESSAGES, refused(422, "40310"))
        test.upstream(server.url("/v2"))
        assert (await test.failed()).startswith(
            "one refused it: 40012 Invalid messaging destination number: The upstream"
        )


async def test_media_are_described(test: Trial) -> None:
    async with receiving() as server:
        server.script(MESSAGES, taken())
        url = server.script("/a.png", answer(200, IMAGE, Content_Type="image/png"))
        test.upstream(server.url("/v2"))
        _, described = await test.said("", "--wait", "0", "--media", url)
        assert described.startswith("media           image/png, 15 bytes, SHA-256 ")
        assert server.at(MESSAGES)[0].told["media_urls"] == [url]


async def test_media_that_are_not_there_are_a_refusal(test: Trial) -> None:
    async with receiving() as server:
        test.upstream(server.url("/v2"))
        server.script("/a.png", answer(404))
        said = await test.failed("", "--media", server.url("/a.png"))
        assert said.startswith("one refused it: 40009 ")
        assert server.at(MESSAGES) == []


# ------------------------------------------------------------------------------------------------- what cannot be tried


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("two", "There is no carrier 'two' in the settings; there are: one."),
        ("sandbox", "The sandbox's carrier is simulated within the service: send through the API."),
    ],
)
def test_only_a_carrier_of_the_settings_can_be_tried(test: Trial, name: str, said: str) -> None:
    test.smpp(1)
    assert failure(test.run(name=name)) == said


def test_a_carrier_that_only_receives_cannot_be_tried(test: Trial) -> None:
    test.smpp(1, mode="receiver")
    assert failure(test.run()) == "one only receives: its mode is receiver."


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("", [], "There is nothing to send: give a text, or --media."),
        ("a" * 1531, [], "The text needs 11 parts; a message has at most 10."),
        ("", ["--media", "http://127.0.0.1/"] * 11, "An MMS has at most 10 items."),
    ],
)
def test_what_is_no_message_is_not_sent(test: Trial, text: str, options: list[str], said: str) -> None:
    test.smpp(1)
    assert failure(test.run(text, *options)) == said


def test_media_have_a_url(test: Trial) -> None:
    test.smpp(1)
    assert failure(test.run("", "--media", "nonsense")) == "Not an http or https URL: 'nonsense'."


def test_numbers_are_read_as_everywhere(test: Trial) -> None:
    test.smpp(1)
    assert failure(test.run(to="866")).startswith("Got '866'; wanted one destination: ")


def test_settings_that_no_carrier_can_have_are_one_line(test: Trial) -> None:
    test.upstream("http://0x7f000001/v2")
    assert failure(test.run()).startswith(
        "The carrier cannot be used: 'base_url' cannot be used. The URL holds an IPv4 "
    )


# ------------------------------------------------------------------------------------------------------------ its inbox


def receipt(carrier_message_id: str, **given: Any) -> Receipt:
    """A receipt that says that it arrived."""
    return Receipt("r", "one", carrier_message_id, Change.DELIVER, Instant(1), **given)


@pytest.mark.parametrize(
    "told",
    [receipt("0A0"), receipt("160", recipient=TO), receipt("ff", other_ids=("a0",)), receipt("a0", recipient="1")],
)
async def test_an_id_is_known_in_its_forms(told: Receipt) -> None:
    inbox = TrialInbox(message(recipient=TO))
    inbox.taken(["a0"])
    await inbox.receipt(told)
    assert (await inbox.outcome).change is Change.DELIVER


@pytest.mark.parametrize("told", [receipt("a1"), receipt("160"), receipt("160", recipient=FROM)])
async def test_an_id_of_another_is_not_taken(told: Receipt) -> None:
    inbox = TrialInbox(message(recipient=TO))
    inbox.taken(["a0"])
    with pytest.raises(StoreUnavailable):
        await inbox.receipt(told)
    assert not inbox.outcome.done()


async def test_it_is_over_once_every_part_is_told_of_or_one_failed() -> None:
    inbox = TrialInbox(message(recipient=TO))
    inbox.taken(["a0", "a1"])
    await inbox.receipt(receipt("a0"))
    assert not inbox.outcome.done()
    error = delivery_error(Code.UNDELIVERABLE, "err 1.")
    await inbox.receipt(Receipt("r", "one", "a1", Change.FAIL, Instant(2), error))
    assert (await inbox.outcome).change is Change.FAIL


async def test_what_came_for_others_before_the_answer_waits_for_nothing() -> None:
    inbox = TrialInbox(message(recipient=TO))
    with pytest.raises(StoreUnavailable):
        await inbox.receipt(receipt("a0", recipient="+15550001111"))


async def test_what_may_be_its_own_is_left_when_no_answer_came() -> None:
    inbox = TrialInbox(message(recipient=TO))
    waiting = asyncio.create_task(inbox.receipt(receipt("a0")))
    await asyncio.sleep(0)
    inbox.close()
    with pytest.raises(StoreUnavailable):
        await waiting


async def test_messages_are_not_taken_and_late_answers_are_nothing() -> None:
    inbox = TrialInbox(message(recipient=TO))
    with pytest.raises(StoreUnavailable):
        await inbox.message(Arrival(carrier="one", sender=TO, recipient=FROM))
    await inbox.late(LateAnswer(MessageId("m"), "one", ("a0",)))
