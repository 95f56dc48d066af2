"""Deliveries on their way: what waits for which endpoint, claimed and recorded.

    look --> claim --> (the attempt) --> record

Deliveries of one URL of one organisation are a lane. Claims are made lane by lane, so that the backlog of one endpoint
never stands before another's. A claimed delivery is due again at the end of its lease: whoever dies between an attempt
and its record leaves it to be tried again under the same event id.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Select, and_, case, func, null, select, true, update
from sqlalchemy.types import TypeEngine

from heliograph import randomness
from heliograph.domain.delivery import DeliveryStatus
from heliograph.domain.events import EventType, endpoint_id
from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.instant import Instant
from heliograph.store.batch import COUNT, FLAG, ID, MICROS, TEXT, Batch, Sql, scalar
from heliograph.store.engine import Engine, Row, Transaction
from heliograph.store.outbox import Outbox
from heliograph.store.tables import (
    account_epoch,
    webhook_attempts,
    webhook_deliveries,
    webhook_endpoints,
)


@dataclass(frozen=True, slots=True)
class Lane:
    """One endpoint that deliveries wait for."""

    endpoint: str
    opens_at: Instant
    """When the first of them may be claimed."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """All of them, at a moment of the database's clock and an epoch of its accounts."""

    lanes: Sequence[Lane]
    now: Instant
    epoch: int


class LaneClaim(NamedTuple):
    """A sender's wish for deliveries of one lane."""

    endpoint: str
    limit: int
    lease: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one receiver."""

    id: str
    event_id: str
    organization_id: OrganizationId
    profile_id: ProfileId
    message_id: MessageId | None
    """None for an event that is not a message's."""
    event: EventType
    occurred_at: Instant
    endpoint: str
    position: int
    tries: int
    attempts: int
    replay_url: str | None
    webhook: bytes | None
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt as it is kept. Headers are pairs, the body an excerpt."""

    id: str
    delivered: bool
    url: str
    started_at: Instant
    finished_at: Instant
    errors: Sequence[int]
    request_headers: Sequence[tuple[str, str]]
    response_status: int | None = None
    response_headers: Sequence[tuple[str, str]] | None = None
    response_body: str | None = None
    detail: str | None = None
    """Why there was no answer."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What became of a claimed delivery."""

    delivery: Delivery
    status: DeliveryStatus
    at: Instant
    position: int
    tries: int
    due_at: Instant | None
    """When it may be claimed again; None at the end."""
    endpoint: str
    """Of the URL to be tried next."""
    webhook: bytes | None = None
    attempt: Attempt | None = None
    reason: str | None = None
    """Why it ended without an attempt."""


@dataclass(frozen=True, slots=True)
class EndpointState:
    """What an endpoint asked for: a rest, an end, or neither any more."""

    organization_id: OrganizationId
    url: str
    paused_until: Instant | None = None
    disabled_at: Instant | None = None
    reason: str | None = None

    @property
    def id(self) -> str:
        """Its name."""
        return endpoint_id(self.organization_id, self.url)

    @property
    def turns_on(self) -> bool:
        """It asks for neither."""
        return self.paused_until is None and self.disabled_at is None

    def joined(self, later: "EndpointState") -> "EndpointState":
        """What holds when both are asked for."""
        off = self if self.disabled_at is not None else later
        until = max(self.paused_until or 0, later.paused_until or 0)
        return replace(off, paused_until=Instant(until) if until else None)


def _claim_lane(sql: Sql) -> Any:
    waiting = webhook_deliveries.c
    due = (
        select(waiting.id)
        .where(waiting.endpoint == scalar("endpoint", TEXT), waiting.due_at <= sql.now)
        .order_by(waiting.due_at)
        .limit(scalar("limit"))
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    return (
        update(webhook_deliveries)
        .where(waiting.id.in_(sql.few(due)))
        .values(
            claim_token=scalar("token", ID),
            due_at=sql.now + scalar("lease"),
            started_at=func.coalesce(waiting.started_at, sql.now),
        )
        .returning(*webhook_deliveries.c)
    )


def _progress(sql: Sql) -> Any:
    rows, kept = sql.rows.c, webhook_deliveries.c
    return (
        update(webhook_deliveries)
        .where(kept.id == rows.id, kept.claim_token == rows.token)
        .values(
            {name: rows[name] for name in _STANDS}
            | {
                "claim_token": null(),
                "attempts": kept.attempts + rows.attempts,
                "webhook": func.coalesce(kept.webhook, rows.webhook),
            }
        )
        .returning(kept.id)
    )


def _progressed(sql: Sql) -> Any:
    """Deliveries that stand as a record would leave them, claimed by nobody since."""
    rows, kept = sql.rows.c, webhook_deliveries.c
    changed = [kept[name].is_not_distinct_from(rows[name]) for name in _STANDS]
    stands = and_(kept.id == rows.id, kept.claim_token.is_(None), *changed)
    return select(kept.id).select_from(webhook_deliveries.join(sql.rows, stands))


_STANDS: Mapping[str, TypeEngine[Any]] = {
    "status": TEXT,
    "position": COUNT,
    "tries": COUNT,
    "endpoint": TEXT,
    "due_at": MICROS,
    "attempts": COUNT,
    "finished_at": MICROS,
    "reason": TEXT,
}
"""What a record changes."""
_ATTEMPT: Mapping[str, TypeEngine[Any]] = {
    "id": ID,
    "delivery_id": ID,
    "delivered": FLAG,
    "url": TEXT,
    "started_at": MICROS,
    "finished_at": MICROS,
    "errors": TEXT,
    "request_headers": TEXT,
    "response_status": COUNT,
    "response_headers": TEXT,
    "response_body": TEXT,
    "detail": TEXT,
}
_ENDPOINT: Mapping[str, TypeEngine[Any]] = {
    "id": TEXT,
    "organization_id": ID,
    "url": TEXT,
    "paused_until": MICROS,
    "disabled_at": MICROS,
    "reason": TEXT,
}


def _attempt(sql: Sql) -> Any:
    rows = select(*[sql.rows.c[name] for name in _ATTEMPT]).where(true())
    insert = sql.insert(webhook_attempts).from_select(list(_ATTEMPT), rows, include_defaults=False)
    return insert.on_conflict_do_nothing(index_elements=["id"])


def _endpoint(sql: Sql) -> Any:
    rows = select(*[sql.rows.c[name] for name in _ENDPOINT]).where(true())
    insert = sql.insert(webhook_endpoints).from_select(list(_ENDPOINT), rows, include_defaults=False)
    kept, asked = webhook_endpoints.c, insert.excluded
    turned_on = and_(asked.paused_until.is_(None), asked.disabled_at.is_(None))
    longer = func.coalesce(kept.paused_until, 0) > func.coalesce(asked.paused_until, 0)
    changed = {
        "paused_until": case((turned_on, null()), (longer, kept.paused_until), else_=asked.paused_until),
        "disabled_at": case((turned_on, null()), else_=func.coalesce(kept.disabled_at, asked.disabled_at)),
        "reason": case((turned_on, null()), else_=func.coalesce(kept.reason, asked.reason)),
    }
    return insert.on_conflict_do_update(index_elements=["id"], set_=changed)


def _wake(sql: Sql) -> Any:
    waiting = webhook_deliveries.c
    return (
        update(webhook_deliveries)
        .where(waiting.endpoint == sql.rows.c.id, waiting.due_at > sql.now, waiting.claim_token.is_(None))
        .values(due_at=sql.now)
    )


CLAIM_LANE = Batch({}, _claim_lane)


PROGRESS = Batch({"id": ID, "token": ID, "webhook": TEXT, **_STANDS}, _progress)


PROGRESSED = Batch({"id": ID, **_STANDS}, _progressed)


ATTEMPT = Batch(_ATTEMPT, _attempt)


ENDPOINT = Batch(_ENDPOINT, _endpoint)


WAKE = Batch({"id": TEXT}, _wake)


def _lanes(now: Any) -> Select[Any]:
    """Every endpoint that something waits for, found by stepping along the index: two probes a lane."""
    waiting = webhook_deliveries.c
    first: Any = select(func.min(waiting.endpoint).label("endpoint")).where(waiting.due_at.is_not(None))
    lanes = first.cte("lanes", recursive=True)
    following = select(func.min(waiting.endpoint)).where(
        waiting.endpoint > lanes.c.endpoint, waiting.due_at.is_not(None)
    )
    step = select(following.scalar_subquery()).where(lanes.c.endpoint.is_not(None))
    lanes = lanes.union_all(step)
    soonest = select(func.min(waiting.due_at)).where(waiting.endpoint == lanes.c.endpoint, waiting.due_at.is_not(None))
    # The walk ends with a row without an endpoint, so there is always one that tells the moment and the epoch.
    found = lanes.outerjoin(webhook_endpoints, webhook_endpoints.c.id == lanes.c.endpoint)
    epoch = select(account_epoch.c.epoch).scalar_subquery()
    return select(
        lanes.c.endpoint,
        soonest.scalar_subquery().label("due_at"),
        webhook_endpoints.c.paused_until,
        now.label("now"),
        epoch.label("epoch"),
    ).select_from(found)


class DeliveryLanes:
    """Hands out deliveries, and keeps what became of them."""

    def __init__(self, engine: Engine, outbox: Outbox) -> None:
        self._engine = engine
        self._outbox = outbox
        self._lanes = _lanes(engine.now)

    async def look(self) -> Lanes:
        """What waits, by endpoint."""
        rows = await self._engine.fetch(self._lanes)
        lanes = [
            Lane(row["endpoint"], Instant(max(row["due_at"], row["paused_until"] or 0)))
            for row in rows
            if row["endpoint"] is not None
        ]
        return Lanes(lanes, Instant(rows[0]["now"]), rows[0]["epoch"])

    async def claim(
        self, transaction: Transaction, items: Sequence[Sequence[LaneClaim]]
    ) -> Sequence[Sequence[Delivery]]:
        """Take what is due of some lanes; a verb of the group commit."""
        return [await self._claim(transaction, item) for item in items]

    async def _claim(self, transaction: Transaction, claims: Sequence[LaneClaim]) -> Sequence[Delivery]:
        token = randomness.new_id(self._engine.clock.now())
        claimed: list[Delivery] = []
        for each in claims:
            given = {"endpoint": each.endpoint, "limit": each.limit, "token": token, "lease": each.lease}
            claimed.extend(to_delivery(row) for row in await transaction.batch(CLAIM_LANE, (), **given))
        return sorted(claimed, key=lambda delivery: delivery.id)

    async def record(self, transaction: Transaction, items: Sequence[Progress]) -> Sequence[bool]:
        """Record attempts and what follows from them; a verb of the group commit.

        False where the lease was lost: somebody else decides, and the attempt is kept all the same. What a commit
        recorded whose answer was lost is known again.
        """
        if attempts := [_attempt_row(item.delivery.id, item.attempt) for item in items if item.attempt]:
            await transaction.batch(ATTEMPT, attempts)
        moved = await transaction.batch(PROGRESS, [_progress_row(item) for item in items])
        recorded = {str(row["id"]) for row in moved}
        if others := [_stands_row(item) for item in items if item.delivery.id not in recorded]:
            recorded |= {str(row["id"]) for row in await transaction.batch(PROGRESSED, others)}
        if any(item.due_at is not None for item in items):
            transaction.then(self._outbox.announced)
        return [item.delivery.id in recorded for item in items]

    async def set_endpoints(self, transaction: Transaction, items: Sequence[EndpointState]) -> Sequence[None]:
        """Keep what endpoints asked for; a verb of the group commit.

        Attempts that were under way together answer in any order: none ends the longer rest that another asked for, or
        turns on what another turned off. A state that asks for nothing does both.
        """
        for states in _rounds(items):
            rows = [
                (name, each.organization_id, each.url, each.paused_until, each.disabled_at, each.reason)
                for name, each in sorted(states.items())
            ]
            await transaction.batch(ENDPOINT, rows)
            if turned_on := [(name,) for name, each in sorted(states.items()) if each.turns_on]:
                # What was to wait out its rest is due now.
                await transaction.batch(WAKE, turned_on)
                transaction.then(self._outbox.announced)
        return [None] * len(items)

    async def disabled(self, organization_ids: Collection[OrganizationId]) -> Mapping[str, str]:
        """The endpoints of these organisations that are turned off, and why."""
        columns = (webhook_endpoints.c.id, webhook_endpoints.c.reason)
        mine = webhook_endpoints.c.organization_id.in_(organization_ids)
        rows = await self._engine.fetch(select(*columns).where(mine, webhook_endpoints.c.disabled_at.is_not(None)))
        return {row["id"]: row["reason"] or "" for row in rows}

    async def endpoints(self, organization_id: OrganizationId | None = None) -> Sequence[EndpointState]:
        """Endpoints that ever asked for a rest or an end: of one organisation, or of all."""
        statement = select(*webhook_endpoints.c).order_by(webhook_endpoints.c.url)
        if organization_id is not None:
            statement = statement.where(webhook_endpoints.c.organization_id == organization_id)
        return [
            EndpointState(
                OrganizationId(str(row["organization_id"])),
                row["url"],
                row["paused_until"],
                row["disabled_at"],
                row["reason"],
            )
            for row in await self._engine.fetch(statement)
        ]

    async def next_due(self, after: Instant) -> Instant | None:
        """The next moment after `after` at which a delivery falls due or an endpoint's rest ends."""
        columns = (webhook_deliveries.c.due_at, webhook_endpoints.c.paused_until)
        moments = [
            select(func.min(column)).where(column > after).scalar_subquery().label(f"moment_{index}")
            for index, column in enumerate(columns)
        ]
        row = (await self._engine.fetch(select(*moments)))[0]
        known = [Instant(each) for each in row.values() if each is not None]
        return min(known) if known else None


def _rounds(items: Sequence[EndpointState]) -> Sequence[Mapping[str, EndpointState]]:
    """States of different endpoints, for one statement each; together they are `items`, one after another."""
    rounds: list[dict[str, EndpointState]] = [{}]
    for item in items:
        before = rounds[-1].get(item.id, item)
        if before.turns_on and not item.turns_on:
            rounds.append({item.id: item})
        else:
            rounds[-1][item.id] = item if item.turns_on else before.joined(item)
    return rounds


def _progress_row(item: Progress) -> tuple[Any, ...]:
    """The columns of `PROGRESS`, in their order."""
    webhook = None if item.webhook is None else item.webhook.decode()
    return (item.delivery.id, item.delivery.token, webhook, *_stands(item, _made(item)))


def _stands_row(item: Progress) -> tuple[Any, ...]:
    """The columns of `PROGRESSED`, in their order."""
    return (item.delivery.id, *_stands(item, item.delivery.attempts + _made(item)))


def _stands(item: Progress, attempts: int) -> tuple[Any, ...]:
    """The columns of `_STANDS`, in their order."""
    finished_at = item.at if item.due_at is None else None
    moved = (item.status, item.position, item.tries, item.endpoint, item.due_at)
    return (*moved, attempts, finished_at, item.reason)


def _made(item: Progress) -> int:
    return 0 if item.attempt is None else 1


def _attempt_row(delivery_id: str, attempt: Attempt) -> tuple[Any, ...]:
    return (
        attempt.id,
        delivery_id,
        attempt.delivered,
        attempt.url,
        attempt.started_at,
        attempt.finished_at,
        _json(attempt.errors),
        _json(attempt.request_headers),
        attempt.response_status,
        None if attempt.response_headers is None else _json(attempt.response_headers),
        attempt.response_body,
        attempt.detail,
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def to_delivery(row: Row) -> Delivery:
    """A row of `webhook_deliveries`."""
    return Delivery(
        id=str(row["id"]),
        event_id=str(row["event_id"]),
        organization_id=OrganizationId(str(row["organization_id"])),
        profile_id=ProfileId(str(row["profile_id"])),
        message_id=None if row["message_id"] is None else MessageId(str(row["message_id"])),
        event=EventType(row["event_type"]),
        occurred_at=Instant(row["occurred_at"]),
        endpoint=row["endpoint"],
        position=row["position"],
        tries=row["tries"],
        attempts=row["attempts"],
        replay_url=row["replay_url"],
        webhook=None if row["webhook"] is None else row["webhook"].encode(),
        token=None if row["claim_token"] is None else str(row["claim_token"]),
    )
