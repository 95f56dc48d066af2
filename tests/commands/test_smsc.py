"""`heliograph smsc`: arguments, lines on standard input, and what a killed one leaves behind."""

import argparse
import asyncio
import os
import re
import resource
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import fields
from pathlib import Path

import pytest
import trustme

from heliograph.carriers.smpp.events import Answered, Closed, Reason
from heliograph.carriers.smpp.smsc import Smsc
from heliograph.carriers.smpp.smsc_record import submits_in
from heliograph.carriers.smpp.smsc_script import MAGIC, Final, IdForm, ReceiptForm, ReceiptId, Script
from heliograph.carriers.smpp.status import Status
from heliograph.commands import smsc as command
from heliograph.commands.failure import CommandFailed
from heliograph.commands.smsc import Control, script_of, status_of
from heliograph.domain.instant import MILLISECOND, MINUTE, SECOND
from heliograph.settings import Settings, clean_environment
from tests.carriers.smpp.esme import TEXT, asking, bound

SOURCE = Path(command.__file__).parent.parent.parent
PAGE = (SOURCE.parent / "docs" / "smsc.md").read_text(encoding="utf-8")
PROGRAM = """
import argparse, sys
from heliograph.commands import smsc
from heliograph.commands.failure import CommandFailed
from heliograph.settings import Settings

parser = argparse.ArgumentParser("heliograph")
smsc.declare(parser.add_subparsers())
given = parser.parse_args(["smsc", *sys.argv[1:]])
try:
    sys.exit(given.run(given, Settings()))
except CommandFailed as problem:
    sys.exit(f"heliograph: {problem}")
except BrokenPipeError:
    sys.exit(1)
"""


def parsed(*arguments: str) -> argparse.Namespace:
    """The arguments as the command has them."""
    parser = argparse.ArgumentParser("heliograph")
    command.declare(parser.add_subparsers())
    return parser.parse_args(["smsc", *arguments])


def failed(*arguments: str) -> str:
    """What is said when it cannot begin."""
    given = parsed("--port", "0", *arguments)
    with pytest.raises(CommandFailed) as problem:
        given.run(given, Settings())
    return str(problem.value)


# ------------------------------------------------------------------------------------------------------------ arguments


def test_without_arguments_the_script_says_nothing() -> None:
    assert script_of(parsed()) == Script()


@pytest.mark.parametrize(
    ("arguments", "script"),
    [
        ("--account me:secret --account you:a:b", Script(accounts={"me": "secret", "you": "a:b"})),
        ("--bind-status RSYSERR --bind-refusals 3", Script(bind_status=8, bind_refusals=3)),
        ("--window 4 --throttle-every 5 --throttle-above 6", Script(window=4, throttle_every=5, throttle_above=6)),
        ("--queue-full-every 7 --refuse 0x45=8 --refuse 1024=9", Script(queue_full_every=7, refuse={69: 8, 1024: 9})),
        (
            "--answer-delay 10ms --late-every 2 --late-delay 1m",
            Script(answer_delay=10_000, late_every=2, late_delay=MINUTE),
        ),
        ("--drop-after 1 --drop-every 2", Script(drop_after=1, drop_every=2)),
        (
            "--silent-after 0 --silent-every 3 --unanswered-lost",
            Script(silent_after=0, silent_every=3, unanswered_lost=True),
        ),
        ("--id-form decimal --first-id 7 --no-magic", Script(id_form=IdForm.DECIMAL, first_id=7, magic=False)),
        ("--final UNDELIV --error 34", Script(final=Final.UNDELIV, error=34)),
        ("--receipt-form tlv --receipt-id zeros", Script(receipt_form=ReceiptForm.TLV, receipt_id=ReceiptId.ZEROS)),
        ("--receipt-delay 1 --slow-delay 2", Script(receipt_delay=SECOND, slow_delay=2 * SECOND)),
        ("--receipt-first --receipt-twice", Script(receipt_first=True, receipt_twice=True)),
        ("--receipt-missing-every 4 --deliver-window 5", Script(receipt_missing_every=4, deliver_window=5)),
        (
            "--redeliver-delay 1s --enquire-interval 2s --answer-timeout 3ms",
            Script(redeliver_delay=SECOND, enquire_interval=2 * SECOND, answer_timeout=3 * MILLISECOND),
        ),
    ],
)
def test_every_option_says_one_thing_of_the_script(arguments: str, script: Script) -> None:
    assert script_of(parsed(*arguments.split())) == script


def actions() -> list[argparse.Action]:
    """Every option of the command."""
    parser = argparse.ArgumentParser()
    command.declare(parser.add_subparsers())
    group = next(each for each in parser._actions if isinstance(each, argparse._SubParsersAction))
    smsc: argparse.ArgumentParser = group.choices["smsc"]
    return smsc._actions


def test_there_is_an_option_for_everything_in_a_script() -> None:
    wanted = {"account" if each.name == "accounts" else each.name for each in fields(Script)}
    assert wanted <= {each.dest for each in actions()}


def test_the_page_has_every_option_and_no_other() -> None:
    own = {each.option_strings[-1] for each in actions()} - {"--help", "--config", "--database"}
    assert set(re.findall(r"`(--[a-z-]+)", PAGE.partition("## Options")[2].partition("## Evidence")[0])) == own


def test_the_page_has_every_magic_number_with_its_meaning() -> None:
    rows = re.findall(r"^\| `\+(\d{11})` \| (.+) \|$", PAGE, re.MULTILINE)
    assert rows == [(number, magic.meaning) for number, magic in MAGIC.items()]


@pytest.mark.parametrize(
    ("text", "status"),
    [("0x58", 0x58), ("88", 88), ("RTHROTTLED", 0x58), ("ESME_RTHROTTLED", 0x58), ("rthrottled", 0x58)],
)
def test_a_status_is_a_number_or_a_name(text: str, status: int) -> None:
    assert status_of(text) == status


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("--bind-status XX", "'XX' is no status: give a number such as 0x45, or a name such as RSUBMITFAIL."),
        ("--bind-status 0", "The SMSC cannot be so: bind_status is 0; a refusal is 1 to 0xFFFFFFFF."),
        ("--refuse 0x45", "--refuse is STATUS=N, such as 0x45=10, and not '0x45'."),
        ("--refuse XX=1", "'XX' is no status: give a number such as 0x45, or a name such as RSUBMITFAIL."),
        ("--refuse 8=0", "The SMSC cannot be so: refuse is every 0; it must be 1 or more."),
        ("--account secret", "--account is SYSTEM_ID:PASSWORD, with a colon between the two."),
        ("--window 0", "The SMSC cannot be so: window is 0; it must be 1 or more."),
        ("--port 65536", "--port is 65536; it is 0 to 65535."),
        ("--tls-key k.pem", "--tls-key and --tls-ca want --tls-cert beside them."),
        (
            "--tls-cert /nowhere/c.pem",
            "The certificates cannot be used (/nowhere/c.pem): No such file or directory",
        ),
        ("--record /nowhere/r", "The record /nowhere/r cannot be written: No such file or directory"),
        ("--host host.invalid", "Cannot listen on host.invalid:0: "),
    ],
)
def test_what_cannot_be_is_one_line(arguments: str, problem: str) -> None:
    assert failed(*arguments.split()).startswith(problem)


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = failed("--port", str(port))
    assert said.startswith(f"Cannot listen on 127.0.0.1:{port}: ")
    assert "address already in use" in said


def test_a_certificate_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text("no certificate")
    assert failed("--tls-cert", str(tmp_path / "c.pem")).startswith("The certificates cannot be used ")


# ------------------------------------------------------------------------------------------------------------- controls


class Desk:
    """Controls of an SMSC in this process, and what they said."""

    def __init__(self, smsc: Smsc) -> None:
        self.smsc = smsc
        self.said: asyncio.Queue[str] = asyncio.Queue()
        self.stopped = asyncio.Event()
        self.control = Control(smsc, self.said.put_nowait, self.stopped.set)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with Smsc() as smsc:
        yield Desk(smsc)


@pytest.mark.parametrize(
    ("line", "parts", "coding"),
    [
        ("mo +15550001111 +15550002222 Good  morning", 1, 0),
        ("mo --ucs2 +15550001111 12345 hi", 1, 8),
        ("mo --sar +15550001111 12345 " + "x" * 200, 2, 0),
        ("mo --sar --ucs2 +15550001111 12345 " + "x" * 100, 2, 8),
    ],
)
async def test_a_line_sends_a_message(desk: Desk, line: str, parts: int, coding: int) -> None:
    async with bound(desk.smsc.port) as esme:
        desk.control.obey(line)
        bodies = [await esme.deliveries.get() for _ in range(parts)]
    assert {each.data_coding for each in bodies} == {coding}
    assert bool(bodies[0].tlvs) is ("--sar" in line)


async def test_a_line_drops_all_links(desk: Desk) -> None:
    async with bound(desk.smsc.port) as esme:
        desk.control.obey("drop")
        assert await esme.events.get() == Closed(Reason.LOST)


async def test_a_line_asks_everybody_to_go(desk: Desk) -> None:
    async with bound(desk.smsc.port) as esme:
        desk.control.obey("unbind")
        await esme.events.get()
        assert await esme.events.get() == Closed(Reason.PEER_UNBOUND)


async def test_a_line_throttles_and_another_does_so_no_more(desk: Desk) -> None:
    async with bound(desk.smsc.port) as esme:
        desk.control.obey("throttle on")
        assert (await esme.submit()).status == Status.RTHROTTLED
        desk.control.obey("throttle off")
        assert (await esme.submit()).status == 0


async def test_a_line_makes_it_silent_and_another_lets_it_speak(desk: Desk) -> None:
    async with bound(desk.smsc.port) as esme:
        desk.control.obey("silence on")
        end = asyncio.create_task(esme.link.submit(TEXT))
        await desk.smsc.wait_submits(1)
        desk.control.obey("silence off")
        assert (await esme.submit()).status == 0
        await esme.link.abort()
        assert not isinstance(await end, Answered)


async def test_a_line_tells_counts(desk: Desk) -> None:
    desk.control.obey("stats")
    assert desk.said.get_nowait() == (
        "stats: connected 0, bound 0, waiting 0, binds 0, submits 0, taken 0, refused 0, unanswered 0, delivered 0, "
        "not delivered 0"
    )


async def test_a_line_ends_it(desk: Desk) -> None:
    desk.control.obey(" quit \n")
    assert desk.stopped.is_set()


@pytest.mark.parametrize("line", ["dorp", "drop all", "silence", "silence maybe", "throttle 1", "stats x", "quit now"])
async def test_a_line_that_is_not_understood_is_answered_with_what_there_is(desk: Desk, line: str) -> None:
    desk.control.obey(line)
    assert desk.said.get_nowait() == f"not understood: {line!r}; there are: {command.CONTROLS}"


async def test_an_empty_line_is_nothing(desk: Desk) -> None:
    desk.control.obey("")
    desk.control.obey("   ")
    assert desk.said.empty()


@pytest.mark.parametrize("line", ["mo", "mo 1 2", "mo --udh 1 2 3", "mo --sar", "mo --sar 1 2"])
async def test_a_message_that_lacks_something_is_not_sent(desk: Desk, line: str) -> None:
    desk.control.obey(line)
    assert desk.said.get_nowait() == "not understood: it is mo [--sar] [--ucs2] FROM TO TEXT"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("mo 1 2 x", "nobody has bound to receive yet"),
        ("mo 1 2 " + "x" * 50_000, "327 parts; a header can count 255"),
    ],
)
async def test_a_message_that_cannot_be_sent_says_why(desk: Desk, line: str, why: str) -> None:
    desk.control.obey(line)
    assert await desk.said.get() == f"not sent: {why}"


async def test_a_sender_that_fits_no_field_says_so(desk: Desk) -> None:
    async with bound(desk.smsc.port):
        desk.control.obey("mo A-very-long-alphanumeric-sender 2 x")
        assert await desk.said.get() == "not sent: source_addr has 31 bytes; the most is 20"


# --------------------------------------------------------------------------------------------------------- as a process


class Process:
    """The command in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.port = 0

    async def says(self, start: str) -> str:
        """Its next line that begins so; those before are passed over."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if line.decode().startswith(start):
                return line.decode().rstrip("\n")
        raise AssertionError(f"it ended without {start!r}")

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")

    async def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return await self.process.wait()


Run = Callable[..., Awaitable[Process]]


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    """Runs the command on a free port, until it listens."""
    running: list[asyncio.subprocess.Process] = []

    async def begin(*arguments: str) -> Process:
        pipe, environment = asyncio.subprocess.PIPE, clean_environment() | {"PYTHONPATH": str(SOURCE)}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            PROGRAM,
            "--port",
            "0",
            *arguments,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=environment,
        )
        running.append(process)
        begun = Process(process)
        begun.port = int((await begun.says("listening on ")).rpartition(":")[2])
        return begun

    yield begin
    for each in running:
        if each.returncode is None:
            each.kill()
        await each.communicate()


async def test_it_says_what_happens_and_takes_lines(run: Run) -> None:
    smsc = await run("--first-id", "1")
    async with bound(smsc.port) as esme:
        await esme.submit()
        assert await smsc.says("link 1: submit_sm") == "link 1: submit_sm #2 15550002222 -> 15550001111 'hi': 1"
        assert await smsc.says("link 1: receipt") == "link 1: receipt DELIVRD for 1: ESME_ROK"
        smsc.tell("mo +15550001111 +15550002222 Grüße")
        assert await smsc.says("link 1: message") == "link 1: message 15550001111 -> 15550002222: ESME_ROK"
    smsc.tell("quit")
    assert await smsc.process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_well_when_it_is_asked_to(run: Run, number: signal.Signals) -> None:
    smsc = await run()
    assert await smsc.end(number) == 0
    assert smsc.process.stderr is not None
    assert await smsc.process.stderr.read() == b""


async def test_it_goes_on_when_its_input_ends_and_obeys_a_last_line_without_an_end(run: Run) -> None:
    smsc = await run()
    assert smsc.process.stdin is not None
    smsc.process.stdin.write(b"stats")
    smsc.process.stdin.close()
    await smsc.says("stats: ")
    async with bound(smsc.port) as esme:
        assert (await esme.submit()).status == 0


async def test_quietly_it_says_where_it_listens_and_no_more(run: Run) -> None:
    smsc = await run("--quiet")
    async with bound(smsc.port) as esme:
        await esme.submit()
    assert await smsc.end(signal.SIGTERM) == 0
    assert smsc.process.stdout is not None
    assert await smsc.process.stdout.read() == b""


async def test_it_ends_when_nobody_reads_what_it_says(run: Run) -> None:
    smsc = await run()
    # asyncio has no way to close the reading end alone.
    transport = smsc.process._transport.get_pipe_transport(1)  # type: ignore[attr-defined]  # private for that reason
    transport.close()
    esme = await asking(smsc.port)
    assert await smsc.process.wait() == 1
    await esme.link.abort()


async def test_it_speaks_tls(run: Run, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("smsc.example")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "c.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "k.pem")
    smsc = await run("--tls-cert", str(tmp_path / "c.pem"), "--tls-key", str(tmp_path / "k.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with bound(smsc.port, tls=context, name="smsc.example") as esme:
        assert (await esme.submit()).status == 0


async def test_a_record_that_can_no_longer_be_written_ends_it(run: Run, tmp_path: Path) -> None:
    smsc = await run("--record", str(tmp_path / "record"))
    smsc.process.send_signal(signal.SIGSTOP)
    _limit_files(smsc.process.pid, 10)
    smsc.process.send_signal(signal.SIGCONT)
    async with bound(smsc.port) as esme:
        assert not isinstance(await esme.link.submit(TEXT), Answered)
    assert await smsc.process.wait() == 1
    assert smsc.process.stderr is not None
    assert b"cannot be written: File too large" in await smsc.process.stderr.read()
    assert list(submits_in(tmp_path / "record")) == []


def _limit_files(pid: int, size: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("answers_seen", [1, 40, 400])
async def test_after_kill_9_every_answer_that_was_seen_is_on_record(
    run: Run, tmp_path: Path, answers_seen: int
) -> None:
    record = tmp_path / "record"
    smsc = await run("--quiet", "--record", str(record))
    seen = await killed_under_load(smsc, answers_seen)
    recorded = [each.message_id for each in submits_in(record)]
    assert len(seen) >= answers_seen
    assert set(seen) <= set(recorded)
    assert len(set(recorded)) == len(recorded)


async def test_after_kill_9_the_next_run_goes_on_with_the_record(run: Run, tmp_path: Path) -> None:
    record, seen = tmp_path / "record", []
    for _ in range(3):
        seen += await killed_under_load(await run("--quiet", "--record", str(record)), 30)
    recorded = [each.message_id for each in submits_in(record)]
    assert set(seen) <= set(recorded)
    assert len(set(recorded)) == len(recorded)


async def killed_under_load(smsc: Process, answers_seen: int) -> list[str]:
    """Kill it once so many answers came, with a window full of submits in flight; the ids that were seen."""
    seen: list[str] = []
    async with bound(smsc.port, window=64, waiting_limit=5_000) as esme:

        async def one() -> None:
            end = await esme.link.submit(TEXT)
            if isinstance(end, Answered):
                seen.append(end.message_id)
                if len(seen) == answers_seen:
                    os.kill(smsc.process.pid, signal.SIGKILL)

        await asyncio.gather(*(one() for _ in range(2_000)))
    await smsc.process.wait()
    return seen
