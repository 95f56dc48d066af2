"""From an event that is due to the receiver who took it.

    lanes --> claim --> prepare --> call --> judge --> record

Each endpoint has a lane with places of its own, so a slow one delays nobody. An attempt is signed when it is made and
never before: receivers refuse an old time. It is recorded whatever came of it; what dies in between is tried again
under the same event id when its lease is over (promise P6).
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from itertools import accumulate

from heliograph import randomness
from heliograph.bodies import payload_of, webhook
from heliograph.clock import monotonic
from heliograph.domain.accounts import Profile
from heliograph.domain.delivery import Attempted, DeliveryStatus, Fault, Tries, Verdict, judge
from heliograph.domain.events import OF_PROFILES, endpoint_id, urls_for
from heliograph.domain.ids import OrganizationId
from heliograph.domain.inbound import InboundMessage
from heliograph.domain.instant import DAY, SECOND, Instant
from heliograph.domain.message import Message
from heliograph.domain.signing_keys import SigningKeys, WebhookKey, keys_at
from heliograph.log import get_logger
from heliograph.outgoing import HttpAnswer, OutgoingFailure, OutgoingHttp
from heliograph.service import Attention, Loop
from heliograph.store.deliveries import subject_of
from heliograph.store.engine import StoreUnavailable
from heliograph.store.lanes import Attempt, Delivery, EndpointState, Lane, LaneClaim, Lanes, Progress
from heliograph.store.store import Store
from heliograph.webhooks.payload import (
    envelope,
    inbound_record_of,
    is_version_1,
    record_of,
    wants_version_1,
)
from heliograph.webhooks.signing import signed_headers, signed_headers_v1

logger = get_logger("webhooks")

KEYS_KEPT = 5 * SECOND
"""How long an organisation's keys are remembered; a rotation without overlap counts on every node after this."""
LANES_AT_ONCE = 16
"""Lanes that one claim takes from: it is a statement each, and all that is written shares the transaction."""
CLAIM_PART = 4
"""One in so many places must be free before more is claimed."""
LARGEST_EXCERPT = 10 * 1024
"""Bytes that are kept of the headers of an answer, and of its body (Contract 10)."""
LEASE_MARGIN = 0.2
"""The part of a lease, beyond the time of an attempt, at its end in which no attempt is begun."""


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """Times in microseconds."""

    timeout: int
    timeout_v1: int
    tries: Tries
    window: int
    endpoint_window: int
    lease: int
    poll_interval: int


@dataclass(frozen=True, slots=True)
class InHand:
    """A delivery that was claimed, and what is known for it."""

    delivery: Delivery
    message: Message | InboundMessage | None
    profile: Profile | None
    disabled: Mapping[str, str]
    """Endpoints of the organisation that are turned off, and why."""
    usable_until: int
    """On the monotonic clock."""
    seen_at: Instant
    """When it was found due, by the database's clock. What is to follow at once is due from then: ours may be ahead."""


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt, about to be made."""

    url: str
    position: int
    tries: int
    urls: Sequence[str]
    webhook: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """What one attempt sends; `timeout` in microseconds."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    timeout: int


@dataclass(frozen=True, slots=True)
class NoCall:
    """A delivery that has nowhere to go any more."""

    reason: str


class WebhookSender(Loop):
    """Delivers events to the endpoints of their organisations."""

    name = "webhooks"

    def __init__(self, store: Store, http: OutgoingHttp, options: WebhookOptions) -> None:
        super().__init__()
        self._store = store
        self._http = http
        self._options = options
        self._attention = Attention(options.poll_interval)
        self._claiming = asyncio.Lock()
        """Held from a look at the room there is until it is taken: the test clock's step comes beside the loop."""
        self._in_hand: set[asyncio.Task[None]] = set()
        self._busy: Counter[str] = Counter()
        self._full: frozenset[str] = frozenset()
        """Lanes that were open at the last look, and had no room."""
        self._turns = 0
        self._served: Mapping[str, int] = {}
        """When each lane that is there was last claimed from, counted in turns."""
        self._keys = _Keys(store)

    async def stop(self) -> None:
        """Claim nothing more, and finish what is under way: it is bounded by the time of an attempt."""
        await super().stop()
        if self._in_hand:
            await asyncio.wait(self._in_hand)

    async def run_pass(self) -> int:
        """Claim what there is room for; microseconds until it is worth looking again."""
        lanes, claims = await self._begin_due()
        if claims:
            self._attention.found()
        return 0 if claims else self._until_open(lanes)

    async def settle(self) -> None:
        """Make every attempt that is due at this moment, and return when they are recorded (the test clock's step)."""
        while True:
            _, claims = await self._begin_due()
            if not claims and not self._in_hand:
                return
            if self._in_hand:
                await asyncio.wait(self._in_hand, return_when=asyncio.FIRST_COMPLETED)

    async def _begin_due(self) -> tuple[Lanes, Sequence[LaneClaim]]:
        """Look what waits, and begin what there is room for: the lanes seen, and what was asked of them."""
        async with self._claiming:
            lanes = await self._store.lanes.look()
            if lanes.epoch != self._store.accounts.epoch:
                await self._store.accounts.refresh()
            claims = self._claims(lanes)
            for each in await self._claim(claims, lanes.now) if claims else ():
                self._begin(each)
        return lanes, claims

    def _claims(self, lanes: Lanes) -> list[LaneClaim]:
        """How much to take of which lanes: an even share of what room there is, in turn."""
        due = sorted((lane for lane in lanes.lanes if lane.opens_at <= lanes.now), key=self._turn)
        room = _part_free(self._options.window, len(self._in_hand))
        taken = [lane for lane in due if self._room(lane) > 0][: min(room, LANES_AT_ONCE)]
        self._full = frozenset(lane.endpoint for lane in due) - {lane.endpoint for lane in taken}
        self._turns += 1
        waiting = {lane.endpoint: self._served.get(lane.endpoint, 0) for lane in lanes.lanes}
        self._served = waiting | dict.fromkeys((lane.endpoint for lane in taken), self._turns)
        share = max(1, room // max(1, len(taken)))
        return [LaneClaim(lane.endpoint, min(share, self._room(lane)), self._options.lease) for lane in taken]

    def _turn(self, lane: Lane) -> tuple[int, int, Instant]:
        """Fewest attempts under way first, then longest not served: by age, dead endpoints would stand before all."""
        return self._busy[lane.endpoint], self._served.get(lane.endpoint, 0), lane.opens_at

    def _room(self, lane: Lane) -> int:
        return _part_free(self._options.endpoint_window, self._busy[lane.endpoint])

    def _until_open(self, lanes: Lanes) -> int:
        """A lane that is open and full is looked at again when one of its attempts is over, which wakes us."""
        opening = [lane.opens_at - lanes.now for lane in lanes.lanes if lane.endpoint not in self._full]
        return max(0, min([self._attention.pause, *opening]))

    async def _claim(self, claims: Sequence[LaneClaim], now: Instant) -> list[InHand]:
        # Counted from before the question: whatever the database takes to answer is off our side of the lease.
        longest = max(self._options.timeout, self._options.timeout_v1)
        usable_until = monotonic() + int(max(0, self._options.lease - longest) * (1 - LEASE_MARGIN))
        claimed = await self._store.claim_deliveries(claims)
        if not claimed:
            return []
        messages = await self._store.deliveries.subjects(claimed)
        disabled = await self._store.lanes.disabled({each.organization_id for each in claimed})
        return [
            InHand(each, subject_of(each, messages), await self._profile(each), disabled, usable_until, now)
            for each in claimed
        ]

    async def _profile(self, delivery: Delivery) -> Profile | None:
        return await self._store.accounts.profile_ever(delivery.organization_id, delivery.profile_id)

    def _begin(self, in_hand: InHand) -> None:
        endpoint = in_hand.delivery.endpoint
        task = asyncio.create_task(self.deliver(in_hand))
        self._in_hand.add(task)
        self._busy[endpoint] += 1

        def done(finished: asyncio.Task[None]) -> None:
            self._in_hand.discard(finished)
            self._busy[endpoint] -= 1
            if self._busy[endpoint] <= 0:
                del self._busy[endpoint]
            if self._full:
                self.wake()

        task.add_done_callback(done)

    async def deliver(self, in_hand: InHand) -> None:
        """Make one attempt and record it. One that cannot be recorded is made again when the lease is over."""
        delivery = in_hand.delivery
        if monotonic() >= in_hand.usable_until:
            logger.warning("a lease was over before its attempt began", action="webhook_late", delivery_id=delivery.id)
            return
        try:
            prepared = self._prepare(in_hand)
            if isinstance(prepared, NoCall):
                await self._store.record_delivery(_ended(delivery, prepared.reason, self._store.clock.now()))
            elif endpoint_id(delivery.organization_id, prepared.url) != delivery.endpoint:
                await self._store.record_delivery(_moved(delivery, prepared, in_hand.seen_at))
            else:
                await self._attempt(in_hand, prepared)
        except StoreUnavailable as error:
            what = {"delivery_id": delivery.id, "reason": str(error)}
            logger.warning("an attempt could not be recorded", action="attempt_unrecorded", **what)
        except Exception:
            logger.exception("an event could not be delivered", action="webhook_bug", delivery_id=delivery.id)

    def _prepare(self, in_hand: InHand) -> Call | NoCall:
        delivery, message = in_hand.delivery, in_hand.message
        told = delivery.webhook or self._webhook(in_hand)
        if told is not None and delivery.replay_url is not None:
            return Call(delivery.replay_url, 0, delivery.tries, [delivery.replay_url], told)
        if told is None or (message is None and delivery.event not in OF_PROFILES):
            # Its own URLs went with it, and those of its profile may not be meant for it.
            return NoCall("The message is no longer kept.")
        facts = message.facts if isinstance(message, Message) else None
        urls = urls_for(facts, in_hand.profile.settings if in_hand.profile else None)
        for position in range(delivery.position, len(urls)):
            if endpoint_id(delivery.organization_id, urls[position]) not in in_hand.disabled:
                tries = delivery.tries if position == delivery.position else 0
                return Call(urls[position], position, tries, urls, told)
        return NoCall(_why_nowhere(urls, delivery.position))

    def _webhook(self, in_hand: InHand) -> bytes | None:
        """What the event says, at its first attempt; later ones send the same bytes."""
        delivery, message = in_hand.delivery, in_hand.message
        if message is None:
            return None
        old = in_hand.profile is not None and wants_version_1(in_hand.profile.settings.webhook_api_version)
        if not old:
            payload = payload_of(message, delivery.event)
            return webhook(delivery.event_id, delivery.event, delivery.occurred_at, payload)
        if isinstance(message, InboundMessage):
            return inbound_record_of(message)
        return record_of(message, delivery.event, delivery.occurred_at)

    async def _attempt(self, in_hand: InHand, call: Call) -> None:
        request = await self._request(in_hand, call)
        started_at = self._store.clock.now()
        attempted, answer, detail = await self._call(request)
        now = self._store.clock.now()
        attempt = Attempt(
            id=randomness.new_id(now),
            delivered=attempted.taken,
            url=call.url,
            started_at=started_at,
            finished_at=now,
            errors=attempted.errors,
            request_headers=list(request.headers.items()),
            response_status=answer.status if answer else None,
            response_headers=_first(answer.headers) if answer else None,
            response_body=_excerpt(answer.body) if answer else None,
            detail=detail,
        )
        chance = randomness.fraction()
        verdict = judge(attempted, call.position, call.tries, len(call.urls), self._options.tries, now, chance)
        await self._keep_endpoint(in_hand, call, attempted, verdict, now)
        progress = _progress(in_hand, call, verdict, attempt)
        what = {"delivery_id": in_hand.delivery.id, "errors": attempted.errors}
        if not await self._store.record_delivery(progress):
            logger.warning("a lease was lost before its attempt was recorded", action="webhook_lease_lost", **what)
        elif verdict.status is DeliveryStatus.FAILED:
            logger.warning("an event is given up", action="event_given_up", **what)

    async def _request(self, in_hand: InHand, call: Call) -> Request:
        """The request of one attempt, signed now."""
        delivery, seconds = in_hand.delivery, self._seconds()
        if is_version_1(call.webhook):
            secret = in_hand.profile.settings.v1_secret if in_hand.profile else ""
            headers = signed_headers_v1(secret, seconds, call.webhook)
            return Request(call.url, call.webhook, headers, self._options.timeout_v1)
        body = envelope(call.webhook, delivery.attempts + 1, call.url)
        headers = signed_headers(await self._keys.of(delivery.organization_id), delivery.event_id, seconds, body)
        return Request(call.url, body, headers, self._options.timeout)

    async def _call(self, request: Request) -> tuple[Attempted, HttpAnswer | None, str | None]:
        try:
            answer = await self._http.post(request.url, request.body, request.headers, timeout=request.timeout)
        except OutgoingFailure as failure:
            return Attempted(None, failure.fault), None, failure.detail
        except Exception:
            # Without an attempt on record it would be made again at the end of each lease, for ever.
            logger.exception("an attempt could not be made", action="webhook_bug")
            return Attempted(None, Fault.OTHER), None, "The request could not be made."
        told = {name.lower(): value for name, value in answer.headers}
        return Attempted(answer.status, None, retry_after(told.get("retry-after"), self._seconds())), answer, None

    async def _keep_endpoint(
        self, in_hand: InHand, call: Call, attempted: Attempted, verdict: Verdict, now: Instant
    ) -> None:
        organization_id = in_hand.delivery.organization_id
        if verdict.gone:
            reason = "It answered 410 Gone."
            await self._store.set_endpoint(EndpointState(organization_id, call.url, None, now, reason))
            logger.warning("an endpoint is turned off", action="endpoint_gone", organization_id=organization_id)
        elif attempted.taken and endpoint_id(organization_id, call.url) in in_hand.disabled:
            # Only a replay goes to an endpoint that is turned off, and this one was taken.
            await self._store.set_endpoint(EndpointState(organization_id, call.url))
        elif verdict.rest_until is not None:
            await self._store.set_endpoint(EndpointState(organization_id, call.url, verdict.rest_until))

    def _seconds(self) -> int:
        """Unix time as receivers know it, whatever the test clock says: they refuse what is over 300 s off."""
        clock = self._store.clock
        return (clock.now() - clock.offset) // SECOND


def _part_free(window: int, busy: int) -> int:
    """Places free; none while only a few are, for a claim for each attempt that is over would be a commit each."""
    free = window - busy
    return free if free * CLAIM_PART >= window else 0


class _Keys:
    """Signing keys, remembered for a moment; asked for once, however many attempts want them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[OrganizationId, tuple[int, asyncio.Task[Sequence[WebhookKey]]]] = {}

    async def of(self, organization_id: OrganizationId) -> SigningKeys:
        """What signs now; made when the organisation has none yet."""
        now = self._store.clock.now()
        known = self._known.get(organization_id)
        if known is None or monotonic() >= known[0] or (known[1].done() and known[1].exception() is not None):
            asked = asyncio.create_task(self._ask(organization_id, now))
            self._known[organization_id] = known = (monotonic() + KEYS_KEPT, asked)
        return keys_at(await asyncio.shield(known[1]), now)

    async def _ask(self, organization_id: OrganizationId, now: Instant) -> Sequence[WebhookKey]:
        book = self._store.webhook_keys
        return await book.of(organization_id, now) or await book.ensure(organization_id, now)


def _progress(in_hand: InHand, call: Call, verdict: Verdict, attempt: Attempt) -> Progress:
    at_once = verdict.position != call.position
    return Progress(
        delivery=in_hand.delivery,
        status=verdict.status,
        at=attempt.finished_at,
        position=verdict.position,
        tries=verdict.tries,
        due_at=in_hand.seen_at if at_once else verdict.due_at,
        endpoint=endpoint_id(in_hand.delivery.organization_id, call.urls[verdict.position]),
        webhook=call.webhook,
        attempt=attempt,
    )


def _moved(delivery: Delivery, call: Call, now: Instant) -> Progress:
    """It waited for another URL than it goes to now: it joins those that wait for that one, and for its rest."""
    return Progress(
        delivery=delivery,
        status=DeliveryStatus.PENDING,
        at=now,
        position=call.position,
        tries=call.tries,
        due_at=now,
        endpoint=endpoint_id(delivery.organization_id, call.url),
    )


def _ended(delivery: Delivery, reason: str, now: Instant) -> Progress:
    return Progress(
        delivery=delivery,
        status=DeliveryStatus.FAILED,
        at=now,
        position=delivery.position,
        tries=delivery.tries,
        due_at=None,
        endpoint=delivery.endpoint,
        reason=reason,
    )


def _why_nowhere(urls: Sequence[str], position: int) -> str:
    if position < len(urls):
        return "Every URL it could go to is turned off."
    return "There is no further URL any more." if urls else "There is no URL any more."


def _excerpt(body: bytes) -> str:
    """The first bytes of a stranger's answer, as text that every database can hold."""
    return body[:LARGEST_EXCERPT].decode("utf-8", "replace").replace("\0", "\ufffd")


def _first(headers: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """Those headers that come before it is too much."""
    sizes = accumulate(len(name) + len(value) for name, value in headers)
    return [header for header, size in zip(headers, sizes, strict=True) if size <= LARGEST_EXCERPT]


def retry_after(text: str | None, seconds: int) -> int | None:
    """`Retry-After` in microseconds: seconds, or a date (RFC 9110, 10.2.3). None for anything else."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]) * SECOND, DAY)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:  # "-0000" is UTC all the same (RFC 5322, 3.3)
        moment = moment.replace(tzinfo=UTC)
    return max(0, min(int(moment.timestamp()) - seconds, DAY // SECOND)) * SECOND
