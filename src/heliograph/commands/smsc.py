"""`heliograph smsc`: an SMSC that does as it is told, for programs that speak SMPP to be tried against.

It knows no database: what it was given is in `--record`, if anywhere. While it runs, it takes lines on standard input.
"""

import argparse
import asyncio
import os
import signal
import ssl
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from threading import Thread
from typing import Any

from heliograph.carriers.smpp.fields import Unencodable
from heliograph.carriers.smpp.parts import TooLong
from heliograph.carriers.smpp.smsc import CannotRecord, NobodyReceives, Smsc
from heliograph.carriers.smpp.smsc_connection import server_tls
from heliograph.carriers.smpp.smsc_script import Final, IdForm, ReceiptForm, ReceiptId, Script
from heliograph.carriers.smpp.status import Status
from heliograph.commands.arguments import Commands, a_duration, add_command
from heliograph.commands.failure import CommandFailed
from heliograph.domain.instant import DAY
from heliograph.settings import Settings

PORT = 2775
"""The one that IANA registered for SMPP."""
MOST_PORT = 65_535
CONTROLS = "mo [--sar] [--ucs2] FROM TO TEXT, drop, unbind, silence on|off, throttle on|off, stats, quit"


def declare(commands: Commands) -> None:
    """Add the command."""
    smsc = add_command(commands, "smsc", "run an SMSC that does as it is told, to try programs against", _run)
    # Not `host` and `port`, which are settings of the server.
    smsc.add_argument("--host", dest="smsc_host", metavar="HOST", default="127.0.0.1", help="address to listen on")
    port_text = f"port to listen on, {PORT} if not given; 0 takes any free one"
    smsc.add_argument("--port", dest="smsc_port", type=int, metavar="PORT", default=PORT, help=port_text)
    smsc.add_argument("--quiet", action="store_true", help="print nothing but where it listens")
    record = "append each submit to this file, as a line of JSON that is on disk before the answer leaves"
    smsc.add_argument("--record", type=Path, metavar="FILE", help=record)
    smsc.add_argument("--tls-cert", type=Path, metavar="FILE", help="speak TLS with this certificate (PEM)")
    smsc.add_argument("--tls-key", type=Path, metavar="FILE", help="its key, if that is in a file of its own")
    smsc.add_argument("--tls-ca", type=Path, metavar="FILE", help="want a certificate of clients that this one signed")
    _declare_binds(smsc)
    _declare_answers(smsc)
    _declare_links(smsc)
    _declare_receipts(smsc)


def _declare_binds(smsc: argparse.ArgumentParser) -> None:
    account = "who may bind, by repeating it several; without it everybody"
    smsc.add_argument("--account", action="append", default=[], metavar="SYSTEM_ID:PASSWORD", help=account)
    status = "refuse binds with this: a number such as 0x0D, or a name such as RBINDFAIL"
    smsc.add_argument("--bind-status", metavar="STATUS", help=status)
    _number(smsc, "--bind-refusals", "refuse so many binds, then accept them")


def _declare_answers(smsc: argparse.ArgumentParser) -> None:
    _number(smsc, "--window", "throttle a link that has more than so many submits without an answer")
    _number(smsc, "--throttle-every", "answer every Nth submit with RTHROTTLED (0x58)")
    _number(smsc, "--throttle-above", "take so many submits in any one second, and throttle those beyond")
    _number(smsc, "--queue-full-every", "answer every Nth submit with RMSGQFUL (0x14)")
    refuse = "answer every Nth submit with this status; may be repeated"
    smsc.add_argument("--refuse", action="append", default=[], metavar="STATUS=N", help=refuse)
    _duration(smsc, "--answer-delay", "time before each answer to a submit")
    _number(smsc, "--late-every", "answer every Nth submit late")
    _duration(smsc, "--late-delay", "how late; 5s if not given")
    ids = "how ids of messages are written: hex, decimal or uuid"
    smsc.add_argument("--id-form", choices=_words(IdForm), default=argparse.SUPPRESS, metavar="FORM", help=ids)
    _number(smsc, "--first-id", "count ids from here; without it from a start that is drawn anew for each run")
    smsc.add_argument(
        "--no-magic", dest="magic", action="store_false", default=argparse.SUPPRESS, help="magic numbers are none"
    )


def _declare_links(smsc: argparse.ArgumentParser) -> None:
    _number(smsc, "--drop-after", "drop the link on which the Nth submit was read, and do not answer it")
    _number(smsc, "--drop-every", "the same with every Nth submit")
    _number(smsc, "--silent-after", "read submits after the first N and never answer them")
    _number(smsc, "--silent-every", "never answer every Nth submit")
    lost = "submits that are dropped or never answered are not delivered either"
    smsc.add_argument("--unanswered-lost", action="store_true", default=argparse.SUPPRESS, help=lost)
    _number(smsc, "--deliver-window", "receipts and messages that may be without an answer on one link; 100")
    _duration(smsc, "--redeliver-delay", "when one that was refused is sent again; 5s")
    _duration(smsc, "--enquire-interval", "ask a link that was silent for so long whether it is there; 30s")
    _duration(smsc, "--answer-timeout", "how long it has to answer that; 30s")


def _declare_receipts(smsc: argparse.ArgumentParser) -> None:
    for option, kind, text in (
        ("--final", Final, "what receipts say: DELIVRD, EXPIRED, DELETED, UNDELIV, ACCEPTD, UNKNOWN or REJECTD"),
        ("--receipt-form", ReceiptForm, "text (appendix B), tlv or both"),
        ("--receipt-id", ReceiptId, "how they write the id, against the answer: same, decimal, hex, upper or zeros"),
    ):
        smsc.add_argument(option, choices=_words(kind), default=argparse.SUPPRESS, metavar="WORD", help=text)
    _number(smsc, "--error", "the number for the reason in them, 0 to 999")
    _duration(smsc, "--receipt-delay", "time from an answer to its receipt")
    _duration(smsc, "--slow-delay", "the same for the magic number of a slow handset; 30s")
    _flag(smsc, "--receipt-first", "send a receipt before the answer to its submit")
    _flag(smsc, "--receipt-twice", "send each receipt twice")
    _number(smsc, "--receipt-missing-every", "leave out every Nth receipt")


def _number(smsc: argparse.ArgumentParser, option: str, text: str) -> None:
    smsc.add_argument(option, type=int, default=argparse.SUPPRESS, metavar="N", help=text)


def _duration(smsc: argparse.ArgumentParser, option: str, text: str) -> None:
    smsc.add_argument(option, type=a_duration(DAY), default=argparse.SUPPRESS, metavar="DURATION", help=text)


def _flag(smsc: argparse.ArgumentParser, option: str, text: str) -> None:
    smsc.add_argument(option, action="store_true", default=argparse.SUPPRESS, help=text)


def _words(kind: type[StrEnum]) -> list[str]:
    return [each.value for each in kind]


# ---------------------------------------------------------------------------------------------------- from arguments


def script_of(given: argparse.Namespace) -> Script:
    """The script that the arguments ask for. Raises `CommandFailed`."""
    values = {each.name: getattr(given, each.name) for each in fields(Script) if hasattr(given, each.name)}
    for name, kind in _KINDS.items():
        if name in values:
            values[name] = kind(values[name])
    values["accounts"] = _accounts(given.account)
    values["refuse"] = _refusals(given.refuse)
    values["bind_status"] = None if given.bind_status is None else status_of(given.bind_status)
    try:
        return Script(**values)
    except ValueError as error:
        raise CommandFailed(f"The SMSC cannot be so: {error}.") from error


_KINDS: Mapping[str, Callable[[str], object]] = {
    "final": Final,
    "id_form": IdForm,
    "receipt_form": ReceiptForm,
    "receipt_id": ReceiptId,
}


def _accounts(given: Sequence[str]) -> Mapping[str, str]:
    accounts = {}
    for each in given:
        system_id, colon, password = each.partition(":")
        if not system_id or not colon:
            # It is not shown: it may be a password.
            raise CommandFailed("--account is SYSTEM_ID:PASSWORD, with a colon between the two.")
        accounts[system_id] = password
    return accounts


def _refusals(given: Sequence[str]) -> Mapping[int, int]:
    refusals = {}
    for each in given:
        status, _, every = each.partition("=")
        if not every.isdecimal():
            raise CommandFailed(f"--refuse is STATUS=N, such as 0x45=10, and not '{each}'.")
        refusals[status_of(status)] = int(every)
    return refusals


def status_of(text: str) -> int:
    """A command_status: a number in decimal or as `0x0D`, or its name. Raises `CommandFailed`."""
    named = Status.__members__.get(text.upper().removeprefix("ESME_"))
    if named is not None:
        return named
    try:
        return int(text, 0)
    except ValueError:
        raise CommandFailed(
            f"'{text}' is no status: give a number such as 0x45, or a name such as RSUBMITFAIL."
        ) from None


def _tls(given: argparse.Namespace) -> ssl.SSLContext | None:
    if given.tls_cert is None:
        if given.tls_key or given.tls_ca:
            raise CommandFailed("--tls-key and --tls-ca want --tls-cert beside them.")
        return None
    try:
        return server_tls(given.tls_cert, given.tls_key, given.tls_ca)
    except OSError as error:
        files = ", ".join(str(each) for each in (given.tls_cert, given.tls_key, given.tls_ca) if each)
        raise CommandFailed(f"The certificates cannot be used ({files}): {error.strerror or error}") from error


# ------------------------------------------------------------------------------------------------------------- running


def _run(given: argparse.Namespace, _settings: Settings) -> int:
    if not 0 <= given.smsc_port <= MOST_PORT:
        raise CommandFailed(f"--port is {given.smsc_port}; it is 0 to {MOST_PORT}.")
    script, tls = script_of(given), _tls(given)
    asyncio.run(_serve(given, script, tls))
    return 0


async def _serve(given: argparse.Namespace, script: Script, tls: ssl.SSLContext | None) -> None:
    """Serve until SIGTERM, SIGINT, `quit`, or nobody reads what is printed. Raises `CommandFailed`."""
    printer = _Printer()
    smsc = Smsc(
        script,
        host=given.smsc_host,
        port=given.smsc_port,
        record=given.record,
        tls=tls,
        tell=None if given.quiet else printer.say,
    )
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, printer.stop.set)
    try:
        await smsc.start()
    except CannotRecord as error:
        raise CommandFailed(str(error)) from error
    except OSError as error:
        raise CommandFailed(
            f"Cannot listen on {given.smsc_host}:{given.smsc_port}: {error.strerror or error}"
        ) from error
    printer.say(f"listening on {given.smsc_host}:{smsc.port}")
    _read_lines(loop, Control(smsc, printer.say, printer.stop.set).obey)
    try:
        await _until_over(smsc, printer)
    finally:
        await smsc.stop()


async def _until_over(smsc: Smsc, printer: "_Printer") -> None:
    stopped = asyncio.ensure_future(printer.stop.wait())
    reasons: list[asyncio.Future[Any]] = [stopped, smsc.broken]
    await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if smsc.broken.done():
        raise CommandFailed(str(smsc.broken.result()))
    if printer.unread:
        raise BrokenPipeError


class _Printer:
    """Prints lines at once, and ends everything when nobody reads them."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.unread = False

    def say(self, line: str) -> None:
        """Print a line, unless nobody reads any more."""
        if self.unread:
            return
        try:
            print(line, flush=True)
        except BrokenPipeError:
            self.unread = True
            self.stop.set()


class Control:
    """Does what lines on standard input ask for."""

    def __init__(self, smsc: Smsc, say: Callable[[str], None], stop: Callable[[], None]) -> None:
        self._smsc = smsc
        self._say = say
        self._stop = stop
        self._sending: set[asyncio.Task[None]] = set()

    def obey(self, line: str) -> None:
        """Carry out one line; what it is not understood to be is said."""
        word, _, rest = line.strip().partition(" ")
        match word, rest.strip():
            case "", _:
                pass
            case "mo", message:
                self._send(message)
            case "drop", "":
                self._smsc.drop_links()
            case "unbind", "":
                self._smsc.unbind_links()
            case "silence", "on" | "off" as switch:
                self._smsc.silence(switch == "on")
            case "throttle", "on" | "off" as switch:
                self._smsc.throttle(switch == "on")
            case "stats", "":
                self._say("stats: " + ", ".join(f"{name} {count}" for name, count in self._smsc.stats().items()))
            case "quit", "":
                self._stop()
            case _:
                self._say(f"not understood: {line.strip()!r}; there are: {CONTROLS}")

    def _send(self, message: str) -> None:
        options = set()
        while message.startswith("--"):
            option, _, message = message.partition(" ")
            options.add(option)
        words = message.split(None, 2)
        if len(words) != 3 or options - {"--sar", "--ucs2"}:
            self._say("not understood: it is mo [--sar] [--ucs2] FROM TO TEXT")
            return
        task = asyncio.ensure_future(self._send_words(words, options))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send_words(self, words: Sequence[str], options: set[str]) -> None:
        source, destination, text = words
        try:
            await self._smsc.send_mo(source, destination, text, ucs2="--ucs2" in options, sar="--sar" in options)
        except (NobodyReceives, TooLong, Unencodable) as error:
            self._say(f"not sent: {error}")


def _read_lines(loop: asyncio.AbstractEventLoop, take: Callable[[str], None]) -> None:
    """Hand on each line of standard input, read in a thread: it may be a file, a pipe or a terminal."""
    try:
        descriptor = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return  # there is none
    if os.isatty(descriptor):
        # In the background a read fails then, where it would stop the process.
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    Thread(target=_read, args=(descriptor, loop, take), name="smsc-control", daemon=True).start()


def _read(descriptor: int, loop: asyncio.AbstractEventLoop, take: Callable[[str], None]) -> None:
    # Not through sys.stdin: at the end of the program Python would wait for its lock.
    rest = b""
    with suppress(OSError, RuntimeError):  # it cannot be read; the loop is closed
        while data := os.read(descriptor, 65_536):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                loop.call_soon_threadsafe(take, line.decode("utf-8", "replace"))
        if rest:
            loop.call_soon_threadsafe(take, rest.decode("utf-8", "replace"))
