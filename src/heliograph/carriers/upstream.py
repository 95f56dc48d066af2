"""A carrier that forwards to any API of this kind over HTTP: the provider's own, or another Heliograph.

    submit --> room? --> media of an MMS fetched --> POST /messages --> answer judged --> Taken, or a failure
    watch  --> probe of an upstream that is down; end of a rest --> changed
    its webhooks --> `upstream_webhooks` --> inbox

Each message goes with our id as its `Idempotency-Key`. The provider takes no notice of it, and sends twice what it is
given twice, so repeats are safe only where the operator says so (promise P3).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from heliograph import randomness
from heliograph.carriers.interface import (
    Abilities,
    CarrierFailure,
    Inbox,
    OutcomeUnknown,
    Refused,
    Taken,
    TemporarilyRefused,
    Throttled,
    Unreachable,
)
from heliograph.carriers.media import MediaFetcher, MediaProblem
from heliograph.carriers.upstream_answers import AtFault, Judged, forbidden, judge
from heliograph.carriers.upstream_options import UpstreamOptions
from heliograph.carriers.upstream_requests import MESSAGES_PATH, body_of, path_of
from heliograph.carriers.upstream_standing import Standing
from heliograph.carriers.upstream_webhooks import UpstreamWebhooks
from heliograph.clock import Clock, monotonic
from heliograph.domain.carriers import CarrierState, LinkState
from heliograph.domain.errors import Code
from heliograph.domain.instant import MINUTE, SECOND, Instant
from heliograph.domain.message import Media, Message, MessageType
from heliograph.domain.outcome import delivery_error
from heliograph.log import get_logger
from heliograph.outgoing import OutgoingFailure, OutgoingHttp
from heliograph.service import Loop

logger = get_logger("upstream")

KIND = "upstream"
LARGEST_ANSWER = 256 * 1024
"""Bytes of an answer that are read: an MMS with ten long URLs has some 25 KB."""
PROBE_TIMEOUT = 5 * SECOND
LOOK_EVERY = MINUTE
"""How often an upstream is looked after of which nothing is expected."""


class UpstreamCarrier:
    """Forwards messages to one upstream. `http` is started and stopped by its owner, and outlives this."""

    def __init__(self, options: UpstreamOptions, http: OutgoingHttp, clock: Clock) -> None:
        self.name = options.name
        reports = options.callback_url is not None
        self.abilities = Abilities(options.repeat_safe, receipts=reports, mms=options.mms, settles=reports)
        self.changed: Callable[[], None] = lambda: None
        self.webhooks = UpstreamWebhooks(options.name, options.public_keys, clock)
        self._options = options
        self._http = http
        self._clock = clock
        self._media = MediaFetcher(http, options.media)
        self._standing = Standing(options.window, options.pauses, monotonic())
        self._watch = _Watch(f"upstream {options.name}", self._look)
        self._running = False
        self._held = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._place = _place_of(options.base_url)
        self._last_error: str | None = None
        self._last_error_at: Instant | None = None

    @property
    def room(self) -> int:
        """How many messages it would take at this moment."""
        return self._standing.room(monotonic()) if self._running and not self._held else 0

    @property
    def up(self) -> bool:
        """Whether it answers and takes our key, as far as is known. It is asked at the start."""
        return self._running and self._standing.up()

    def state(self) -> CarrierState:
        """How it stands, for people."""
        now, standing, counts = monotonic(), self._standing, self._standing.counts
        link = LinkState(
            name=urlsplit(self._options.base_url).netloc,
            state=standing.condition(now).value if self._running else "stopped",
            since=self._instant(standing.since(now), now),
            in_flight=standing.in_flight,
            window=self._options.window,
        )
        rest_until = standing.rest_until(now)
        return CarrierState(
            name=self.name,
            kind=KIND,
            up=self.up,
            links=(link,),
            resting_until=None if rest_until is None else self._instant(rest_until, now),
            taken=counts.taken,
            throttled=counts.throttled,
            refused=counts.refused,
            unknown=counts.unknown,
            receipts=self.webhooks.receipts,
            inbound=self.webhooks.inbound,
            rate=round(standing.rate(now), 3),
            last_error=self._last_error,
            last_error_at=self._last_error_at,
        )

    def hold(self) -> None:
        """Post nothing more; an MMS whose media are being fetched comes back with them."""
        self._held = True

    def resume(self) -> None:
        """Post again."""
        self._held = False
        self.changed()

    async def start(self, inbox: Inbox) -> None:
        """Take webhooks for `inbox`, and ask whether the upstream is there; messages go once it has said so."""
        self.webhooks.inbox = inbox
        self._held = False
        if not self._running:
            self._running = True
            await self._watch.start()

    async def stop(self) -> None:
        """Submit nothing more, and return when what is under way is over: it is bounded by its time-out.

        Webhooks are refused from then on, so that the upstream brings them again.
        """
        self._running = False
        await self._watch.stop()
        await self._idle.wait()
        self.webhooks.inbox = None

    async def webhook(self, headers: Mapping[str, str], body: bytes, query: Mapping[str, str]) -> None:
        """Take a webhook of the upstream; see `carriers.webhooks.Receiver`."""
        await self.webhooks.webhook(headers, body, query)

    async def submit(self, message: Message, until: int) -> Taken:
        """Forward a message. Raises a `CarrierFailure`."""
        before = message.progress
        if before is not None and before.carrier == self.name and before.ids and before.ids[0] is not None:
            return Taken((before.ids[0],))
        self._check_room()
        self._standing.in_flight += 1
        self._idle.clear()
        try:
            return await self._forward(message, until)
        finally:
            self._standing.in_flight -= 1
            if not self._standing.in_flight:
                self._idle.set()
            self.changed()

    def _check_room(self) -> None:
        """Whoever does not ask for `room` before is told so."""
        self._check_open()
        if self.room < 1:
            raise Throttled(delivery_error(Code.TOO_MANY_AT_CARRIER, "The upstream has no room at this moment."))

    def _check_open(self) -> None:
        """Nothing is submitted to an upstream that is down, stopped or at rest."""
        if not self.up:
            detail = "The upstream is down." if self._running else "The upstream is down. It is stopped."
            raise Unreachable(delivery_error(Code.SERVER_UNAVAILABLE, detail))
        if self._held:
            raise Unreachable(delivery_error(Code.SERVER_UNAVAILABLE, "The service is being stopped."))
        if self._standing.rest_until(monotonic()) is not None:
            raise Throttled(delivery_error(Code.TOO_MANY_AT_CARRIER, "The upstream is left alone for a while."))

    async def _forward(self, message: Message, until: int) -> Taken:
        media = await self._fetch(message, until)
        self._check_open()
        path, body = path_of(message), body_of(message, self._options)
        now = monotonic()
        if now >= until:
            raise Unreachable(delivery_error(Code.SERVER_UNAVAILABLE, "There was no time left to submit it."))
        try:
            answer = await self._http.request(
                "POST",
                self._url(path),
                headers=self._headers() | {"Content-Type": "application/json", "Idempotency-Key": message.id},
                body=body,
                # An answer that comes after `until` may be to a message that is somebody else's by then.
                timeout=min(self._options.timeout, until - now),
                largest=LARGEST_ANSWER,
                until=until,
            )
        except OutgoingFailure as failure:
            raise self._unanswered(failure, until) from failure
        judged = judge(answer, self._seconds())
        if isinstance(judged, Judged):
            raise self._noted(judged, path)
        self._standing.took(monotonic())
        self._standing.answered(monotonic())
        return replace(judged, media=media)

    async def _fetch(self, message: Message, until: int) -> tuple[Media, ...] | None:
        """What the media of an MMS are; None where nobody looks. Half of the time that is left is the submit's."""
        if message.type is not MessageType.MMS:
            return None
        if not self._options.mms:
            raise Refused(delivery_error(Code.NOT_ROUTABLE, "The upstream takes no MMS."))
        if not self._options.fetch_media or not message.facts.media:
            return None
        now = monotonic()
        try:
            return await self._media.fetch(message.facts.media, now + (until - now) // 2)
        except MediaProblem as problem:
            again = problem.temporary and message.attempts < self._options.media_tries
            raise (TemporarilyRefused if again else Refused)(problem.error) from problem

    def _url(self, path: str) -> str:
        return self._options.base_url.rstrip("/") + path

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._options.api_key}", "Accept": "application/json"}

    def _unanswered(self, failure: OutgoingFailure, until: int) -> CarrierFailure:
        """Nothing came back: whether anything went there decides what is known."""
        now = monotonic()
        if not failure.sent:
            if now < until:
                self._failed(f"{self._place}: {failure.detail}")
            return Unreachable(
                delivery_error(Code.SERVER_UNAVAILABLE, f"The upstream is not reached. {failure.detail}")
            )
        self._standing.counts.unknown += 1
        self._failed(f"{self._place}: {failure.detail}")
        detail = f"{failure.detail} The upstream may or may not have taken the message."
        return OutcomeUnknown(delivery_error(Code.OUTCOME_UNKNOWN, detail), (None,))

    def _noted(self, judged: Judged, path: str) -> CarrierFailure:
        """Draw the consequences of an answer for those that follow."""
        failure, counts, now = judged.failure, self._standing.counts, monotonic()
        counts.unknown += isinstance(failure, OutcomeUnknown)
        counts.refused += isinstance(failure, Refused | TemporarilyRefused)
        counts.throttled += isinstance(failure, Throttled)
        if judged.at_fault is AtFault.ADDRESS and path == MESSAGES_PATH:
            self._failed(failure.error.detail, self._standing.misdirected)
        elif judged.at_fault in {AtFault.UPSTREAM, AtFault.ADDRESS}:
            self._failed(failure.error.detail)
        elif judged.at_fault is AtFault.PACE:
            self._standing.throttled(now, judged.rest, randomness.fraction())
            self._remember(failure.error.detail)
            self._watch.wake()
        else:
            self._standing.answered(now)
            self._remember(failure.error.detail)
        return failure

    def _failed(self, detail: str, goes_down: Callable[[int, float], None] | None = None) -> None:
        was_up = self._standing.up()
        (goes_down or self._standing.failed)(monotonic(), randomness.fraction())
        self._remember(detail)
        if was_up:
            logger.warning("an upstream is down", action="upstream_down", carrier=self.name, reason=detail)
        self._watch.wake()

    def _remember(self, error: str) -> None:
        self._last_error, self._last_error_at = error, self._clock.now()

    async def _look(self) -> int:
        """Probe it if that is due, and say what has changed; microseconds until the next look."""
        if self._standing.probe_due(monotonic()):
            await self._probe()
        self.changed()
        now = monotonic()
        self._standing.since(now)
        upcoming = self._standing.next_change(now)
        return LOOK_EVERY if upcoming is None else max(0, upcoming - now)

    async def _probe(self) -> None:
        """Ask for something harmless that needs the key."""
        why: str | None
        try:
            answer = await self._http.request(
                "GET", self._url("/messaging_profiles?page%5Bsize%5D=1"), headers=self._headers(), timeout=PROBE_TIMEOUT
            )
            why = forbidden(answer)
        except OutgoingFailure as failure:
            why = f"{self._place}: {failure.detail}"
        if why is None:
            self._standing.probed()
            logger.info("an upstream is up", action="upstream_up", carrier=self.name)
            return
        self._standing.probe_failed(monotonic(), randomness.fraction())
        self._remember(why)
        logger.warning("an upstream is not there", action="upstream_probe_failed", carrier=self.name, reason=why)

    def _instant(self, moment: int, now: int) -> Instant:
        """A moment of the monotonic clock on the service's."""
        return Instant(self._clock.now() + moment - now)

    def _seconds(self) -> int:
        """Unix time as the upstream knows it, whatever the test clock says."""
        return (self._clock.now() - self._clock.offset) // SECOND


def _place_of(base_url: str) -> str:
    """Host and port, for an operator who looks for what is wrong."""
    parts = urlsplit(base_url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


class _Watch(Loop):
    """Looks after an upstream."""

    def __init__(self, name: str, look: Callable[[], Awaitable[int]]) -> None:
        super().__init__()
        self.name = name
        self._look = look

    async def run_pass(self) -> int:
        """Look; microseconds until the next look."""
        return await self._look()
