"""`heliograph carriers test`: one message, given to one carrier directly, past the queue and the database.

    settings --> the carrier, with a bind of its own --bound--> submit --> refused, or nobody knows
                                                                  +------> taken, and its receipt is awaited

Whatever else comes in on that bind is the service's. It is not acknowledged, so the carrier gives it again.
"""

import argparse
import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from heliograph import log, randomness
from heliograph.carrier_settings import SANDBOX, CarrierSettings, SmppSettings, UpstreamSettings
from heliograph.carriers.interface import (
    Carrier,
    CarrierFailure,
    LateAnswer,
    OutcomeUnknown,
    Refused,
    Taken,
    TemporarilyRefused,
    Throttled,
    Unreachable,
)
from heliograph.carriers.smpp.carrier import SmppCarrier
from heliograph.carriers.upstream import UpstreamCarrier
from heliograph.clock import Clock, SystemClock, monotonic
from heliograph.commands.arguments import Commands, a_duration, add_command
from heliograph.commands.failure import CommandFailed
from heliograph.commands.trial_upstream import asked_until_over
from heliograph.domain.address import parse_destination, parse_sender
from heliograph.domain.compose import MAX_MEDIA, check_url
from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.inbound import Arrival, InboundMessage
from heliograph.domain.instant import DAY, MILLISECOND, SECOND, Instant, duration_text
from heliograph.domain.lifecycle import Status, result
from heliograph.domain.message import DeliveryError, Facts, Media, Message, MessageType
from heliograph.domain.receipt import PartOutcome, Receipt, fold, forms, normal
from heliograph.domain.text import MAX_PARTS, RequestedEncoding, encode
from heliograph.outgoing import OutgoingHttp
from heliograph.settings import Settings
from heliograph.smpp_wiring import smpp_options
from heliograph.store.engine import StoreUnavailable
from heliograph.upstream_wiring import upstream_options
from heliograph.wiring import CONNECT, outgoing_options

PATIENCE = 30 * SECOND
"""How long the carrier may take until it is bound, and again to take the message."""
LOOK = 0.05
"""Seconds between two looks at a carrier that is not up yet: nothing tells of a bind that failed."""
WAIT = 30 * SECOND
LEAVE = 5 * SECOND
"""How long an unbind may take: there is nothing left to lose."""
_WORDS: tuple[tuple[type[CarrierFailure], str], ...] = (
    (Refused, "refused it"),
    (TemporarilyRefused, "refused it for now"),
    (Throttled, "wants no more at the moment"),
    (Unreachable, "was not reached"),
    (OutcomeUnknown, "may or may not have it"),
)
_NOBODY = "00000000-0000-7000-8000-000000000000"


def declare(commands: Commands) -> argparse.ArgumentParser:
    """Add the command."""
    test = add_command(commands, "test", "send one message through a carrier, past the queue", _test)
    test.add_argument("name", metavar="NAME", help="a carrier of the settings")
    test.add_argument("--from", dest="sender", required=True, metavar="SENDER", help="who sends it")
    test.add_argument("--to", required=True, metavar="NUMBER", help="whom it is for")
    test.add_argument("text", metavar="TEXT", help="what it says; '' for media alone")
    media = "URL of an item of an MMS, for an upstream; may be repeated"
    test.add_argument("--media", action="append", default=[], metavar="URL", help=media)
    wait = "how long its receipt is awaited; 30s if not given, 0 for not at all"
    test.add_argument("--wait", type=a_duration(DAY), default=WAIT, metavar="DURATION", help=wait)
    return test


def _test(given: argparse.Namespace, settings: Settings) -> int:
    """Raises `CommandFailed`, `BadAddress` and `Refusal`."""
    if settings.log.level != "debug":
        # Said in one line, below; and that a delivery of somebody else is left with the carrier is no fault.
        log.configure("critical", settings.log.format)
    clock = SystemClock()
    own, message = chosen(given.name, settings), message_of(given, settings, clock.now())
    asyncio.run(_try(given.name, own, settings, clock, message, given.wait))
    return 0


def chosen(name: str, settings: Settings) -> CarrierSettings:
    """The settings of a carrier that messages can be given to. Raises `CommandFailed`."""
    own = settings.carriers.get(name)
    if own is None and name == SANDBOX:
        raise CommandFailed("The sandbox's carrier is simulated within the service: send through the API.")
    if own is None:
        known = ", ".join(settings.carriers) or "none at all"
        raise CommandFailed(f"There is no carrier '{name}' in the settings; there are: {known}.")
    if not own.sends:
        raise CommandFailed(f"{name} only receives: its mode is receiver.")
    return own


def message_of(given: argparse.Namespace, settings: Settings, now: Instant) -> Message:
    """The message of the arguments; nobody's, and in no database. Raises as `_test`."""
    if not given.text and not given.media:
        raise CommandFailed("There is nothing to send: give a text, or --media.")
    if len(given.media) > MAX_MEDIA:
        raise CommandFailed(f"An MMS has at most {MAX_MEDIA} items.")
    for url in given.media:
        check_url(url, "/media_urls")
    recipient, sender = parse_destination(given.to), parse_sender(given.sender)
    encoded = encode(given.text, RequestedEncoding.AUTO, smart=False)
    if encoded.parts > MAX_PARTS and not given.media:
        raise CommandFailed(f"The text needs {encoded.parts} parts; a message has at most {MAX_PARTS}.")
    facts = Facts(encoded.encoding, encoded.num_chars, media=tuple(map(Media, given.media)))
    return Message(
        id=MessageId(randomness.new_id(now)),
        organization_id=OrganizationId(_NOBODY),
        profile_id=ProfileId(_NOBODY),
        type=MessageType.MMS if given.media else MessageType.SMS,
        status=Status.SENDING,
        sender=sender.text,
        recipient=recipient.text,
        text=given.text or None,
        parts=1 if given.media else encoded.parts,
        rate=0,
        carrier_fee=0,
        received_at=now,
        send_at=None,
        valid_until=Instant(now + settings.dispatch.validity),
        facts=facts,
        attempts=1,
        carrier=given.name,
    )


# ------------------------------------------------------------------------------------------------------------- the try


async def _try(name: str, own: CarrierSettings, settings: Settings, clock: Clock, message: Message, wait: int) -> None:
    http = OutgoingHttp(outgoing_options(settings, CONNECT))
    await http.start()
    try:
        carrier = _carrier(name, own, http, clock)
        inbox = TrialInbox(message)
        woken = asyncio.Event()
        carrier.changed = woken.set
        await carrier.start(inbox)
        try:
            await _until_bound(carrier, woken)
            begun = monotonic()
            taken = await _given(carrier, inbox, message)
            _say("taken", begun, f"as {', '.join(taken.ids)}")
            for each in taken.media or ():
                print(f"{'media':15} {each.content_type}, {each.size:,} bytes, SHA-256 {each.sha256}")
            await _await_receipt(own, inbox, http, taken, begun, wait)
        finally:
            inbox.close()
            await carrier.stop()
    finally:
        await http.stop()


def _carrier(name: str, own: CarrierSettings, http: OutgoingHttp, clock: Clock) -> Carrier:
    """Raises `CommandFailed` for settings that no carrier can have."""
    try:
        if isinstance(own, SmppSettings):
            options = replace(smpp_options(name, own), binds=1, unbind_timeout=LEAVE)
            return SmppCarrier(options, _NoBook(), clock)
        # No callback: its receipt would come to the service, which knows of no such message.
        return UpstreamCarrier(upstream_options(name, own, None), http, clock)
    except ValueError as error:
        raise CommandFailed(f"The carrier cannot be used: {error}") from error


async def _until_bound(carrier: Carrier, woken: asyncio.Event) -> None:
    """Return once it takes messages, and would tell of them too. Raises `CommandFailed` at the first thing wrong."""
    until = monotonic() + PATIENCE
    while not _bound(carrier):
        if (why := carrier.state().last_error) is not None:
            raise CommandFailed(f"{carrier.name} was not reached, and nothing was sent: {why}")
        if monotonic() >= until:
            raise CommandFailed(f"{carrier.name} was not reached in {duration_text(PATIENCE)}, and nothing was sent.")
        woken.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(woken.wait(), LOOK)


def _bound(carrier: Carrier) -> bool:
    """Every link of it: the one for receipts may be another than the one that sends."""
    state = carrier.state()
    return carrier.up and (state.kind != SmppSettings.kind or all(link.state == "bound" for link in state.links))


async def _given(carrier: Carrier, inbox: "TrialInbox", message: Message) -> Taken:
    """Raises `CommandFailed` for everything that is not a yes."""
    try:
        taken = await carrier.submit(message, monotonic() + PATIENCE)
    except CarrierFailure as failure:
        word = next(word for kind, word in _WORDS if isinstance(failure, kind))
        known = [each for each in failure.taken if each is not None]
        before = f" Of {failure.parts} parts it took these before: {', '.join(known)}." if known else ""
        error = failure.error
        raise CommandFailed(f"{carrier.name} {word}: {error.code} {error.title}: {error.detail}{before}") from failure
    inbox.taken(taken.ids)
    return taken


async def _await_receipt(
    own: CarrierSettings, inbox: "TrialInbox", http: OutgoingHttp, taken: Taken, begun: int, wait: int
) -> None:
    if not wait:
        return
    if isinstance(own, UpstreamSettings):
        found = await asked_until_over(http, own, taken.ids[0], wait)
        if found is not None:
            _say(found.status, begun, _words(found.error))
            return
    elif not own.receipts:
        print("no receipt is awaited: the carrier gives none, by its settings")
        return
    else:
        with suppress(TimeoutError):
            outcome = await asyncio.wait_for(asyncio.shield(inbox.outcome), wait / SECOND)
            _say(result(outcome.change), begun, _words(outcome.error))
            return
    print(f"no receipt came within {duration_text(wait)}")


def _say(what: str, begun: int, more: str) -> None:
    """A line with the time that has gone by since the submit began."""
    after = f"after {(monotonic() - begun) // MILLISECOND / 1_000:.3f} s"
    print(f"{what:15} {after}{', ' if more else ''}{more}", flush=True)


def _words(error: DeliveryError | None) -> str:
    return "" if error is None else f"{error.code} {error.title}: {error.detail}"


# -------------------------------------------------------------------------------------------------------- what comes in


class TrialInbox:
    """Takes the receipts of one message. Everything else it cannot keep, and so the carrier is told.

    `outcome` is done once all its parts are told of, or one failed.
    """

    def __init__(self, message: Message) -> None:
        self.outcome: asyncio.Future[PartOutcome] = asyncio.get_running_loop().create_future()
        self._recipient = message.recipient
        self._ids: tuple[str, ...] = ()
        self._parts: list[PartOutcome | None] = []
        self._answered = asyncio.Event()

    def taken(self, ids: Sequence[str]) -> None:
        """The carrier has it, by these ids."""
        self._ids = tuple(map(normal, ids))
        self._parts = [None] * len(ids)
        self._answered.set()

    def close(self) -> None:
        """Nothing is awaited any more."""
        self._answered.set()

    async def receipt(self, receipt: Receipt) -> None:
        """Take it if it is of the message. Raises `StoreUnavailable` if not."""
        if not self._answered.is_set() and receipt.recipient in {None, self._recipient}:
            # It may be there before the answer that says the id.
            await self._answered.wait()
        number = self._number_of(receipt)
        if number is None:
            raise _not_ours()
        if self._parts[number] is None:
            self._parts[number] = PartOutcome(receipt.change, receipt.at, receipt.error)
        whole = fold(self._parts)
        if whole is not None and not self.outcome.done():
            self.outcome.set_result(whole)

    def _number_of(self, receipt: Receipt) -> int | None:
        """Which part it is about. An id in another form is a guess, believed of the same recipient only."""
        told = [receipt.carrier_message_id, *receipt.other_ids]
        guessing = receipt.recipient == self._recipient
        names = {form for each in told for form in (forms(each) if guessing else [normal(each)])}
        return next((number for number, own in enumerate(self._ids) if own in names), None)

    async def message(self, arrival: Arrival) -> InboundMessage:  # noqa: ARG002 - whatever it says
        """It is for the service. Raises `StoreUnavailable`."""
        raise _not_ours()

    async def late(self, answer: LateAnswer) -> None:
        """What was taken so late was given up already."""


class _NoBook:
    """Keeps no part of an inbound message."""

    async def change(self, *_given: object) -> bytes | None:
        """Raises `StoreUnavailable`."""
        raise _not_ours()

    async def resting(self, *_given: object) -> Sequence[tuple[str, bytes]]:
        """Nothing."""
        return ()


def _not_ours() -> StoreUnavailable:
    return StoreUnavailable("it is not of the test message; the service is to have it")
