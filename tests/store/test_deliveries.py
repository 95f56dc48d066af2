"""Deliveries as their organisation sees them: which are listed, and where a replay goes."""

from dataclasses import replace as moved
from typing import Any

import pytest
from sqlalchemy import insert

from heliograph.domain.accounts import Profile
from heliograph.domain.delivery import DeliveryStatus
from heliograph.domain.events import EventType, endpoint_id
from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import MINUTE, SECOND, Instant
from heliograph.domain.message import Facts
from heliograph.domain.text import Encoding
from heliograph.store import deliveries as module
from heliograph.store.between import Between
from heliograph.store.deliveries import DeliveryFilter, DeliveryReport
from heliograph.store.lanes import Attempt, LaneClaim, Progress
from heliograph.store.store import Store
from heliograph.store.tables import webhook_deliveries
from tests.builders import accepted, make_account, new_id

HOOK = "https://a.example/hooks"
OTHER = "https://b.example/hooks"
WEBHOOK = '{"event_type":"message.sent","payload":{"text":"Grüße 🙂"}}'


async def delivery(store: Store, profile: Profile, **given: Any) -> str:
    """A delivery that was taken; its id."""
    values: dict[str, Any] = {
        "id": new_id(store),
        "event_id": new_id(store),
        "organization_id": profile.organization_id,
        "profile_id": profile.id,
        "message_id": new_id(store),
        "event_type": EventType.SENT.value,
        "status": DeliveryStatus.DELIVERED.value,
        "occurred_at": 1_000,
        "endpoint": endpoint_id(profile.organization_id, HOOK),
        "position": 0,
        "tries": 1,
        "attempts": 1,
        "started_at": 2_000,
        "finished_at": 3_000,
        "webhook": WEBHOOK,
    }
    async with store.engine.transaction() as transaction:
        await transaction.execute(insert(webhook_deliveries).values(**(values | given)))
    return str((values | given)["id"])


async def find(store: Store, profile: Profile, which: str) -> DeliveryReport:
    found = await store.deliveries.find(profile.organization_id, which)
    assert found is not None
    return found


async def listed(store: Store, profile: Profile, **wanted: Any) -> list[str]:
    """The ids of what is listed; `PENDING` shows what no one tried."""
    total, page = await store.deliveries.page(profile.organization_id, DeliveryFilter(**wanted), 0, 5_000)
    assert total == len(page)
    return [each.delivery.id for each in page]


async def replay(store: Store, profile: Profile, which: str, url: str | None = None) -> DeliveryReport | None:
    found = await find(store, profile, which)
    return await store.deliveries.replay(profile.organization_id, found.delivery, url)


async def replay_since(store: Store, profile: Profile, since: int = 0, **given: Any) -> int:
    wanted: dict[str, Any] = {"events": None, "url": None, **given}
    return await store.deliveries.replay_since(profile.organization_id, Instant(since), **wanted)


async def try_once(store: Store, profile: Profile, **given: Any) -> Attempt:
    """Claim the next delivery to `HOOK`, and record a failed attempt of it."""
    (claimed,) = await store.claim_deliveries([LaneClaim(endpoint_id(profile.organization_id, HOOK), 1, MINUTE)])
    now = store.clock.now()
    values: dict[str, Any] = {"errors": [75500], "request_headers": [("a", "b")], "response_status": 500}
    attempt = Attempt(id=new_id(store), delivered=False, url=HOOK, started_at=now, finished_at=now, **values | given)
    waiting = Progress(
        claimed, DeliveryStatus.PENDING, now, 0, claimed.tries + 1, now, claimed.endpoint, b"{}", attempt
    )
    assert await store.record_delivery(waiting)
    return attempt


async def test_a_replay_is_a_new_delivery_of_the_same_event(store: Store) -> None:
    _, profile = await make_account(store, webhook_url=HOOK)
    first = await find(store, profile, await delivery(store, profile))
    again = await replay(store, profile, first.delivery.id)
    assert again is not None
    same: dict[str, Any] = {"id": again.delivery.id, "replay_url": HOOK, "tries": 0, "attempts": 0}
    assert again.delivery == moved(first.delivery, **same)
    assert (again.status, again.started_at, again.finished_at) == (DeliveryStatus.PENDING, None, None)
    (claimed,) = await store.claim_deliveries([LaneClaim(endpoint_id(profile.organization_id, HOOK), 9, SECOND)])
    assert (claimed.id, claimed.webhook) == (again.delivery.id, WEBHOOK.encode())


async def test_a_replay_is_told_to_the_sender_once_it_is_kept(store: Store) -> None:
    _, profile = await make_account(store, webhook_url=HOOK)
    which = await delivery(store, profile)
    told: list[None] = []
    store.outbox.announced = lambda: told.append(None)
    await replay(store, profile, which)
    assert len(told) == 1
    assert await replay_since(store, profile) == 1
    assert len(told) == 2


async def test_a_replay_goes_first_to_the_url_that_came_with_the_message(store: Store) -> None:
    _, profile = await make_account(store, webhook_url=HOOK)
    own = Facts(Encoding.GSM7, 13, webhook_url=OTHER, own_webhooks=True)
    message = await accepted(store, organization_id=profile.organization_id, profile_id=profile.id, facts=own)
    with_own = await delivery(store, profile, message_id=message.id)
    forgotten = await delivery(store, profile)
    replayed = [await replay(store, profile, which) for which in (with_own, forgotten)]
    assert [each and each.delivery.replay_url for each in replayed] == [OTHER, HOOK]


async def test_a_replay_goes_to_the_failover_when_there_is_no_other(store: Store) -> None:
    _, profile = await make_account(store, webhook_failover_url=OTHER)
    begun = await replay(store, profile, await delivery(store, profile))
    assert begun is not None
    assert begun.delivery.replay_url == OTHER


async def test_a_replay_that_has_nowhere_to_go_is_not_begun(store: Store) -> None:
    _, profile = await make_account(store)
    which = await delivery(store, profile)
    assert await replay(store, profile, which) is None
    assert await replay_since(store, profile) == 0
    assert await listed(store, profile, status=DeliveryStatus.PENDING) == []
    assert await replay(store, profile, which, OTHER) is not None
    assert await replay_since(store, profile, url=OTHER) == 1


@pytest.mark.parametrize("count", [9, 10, 11, 20, 21])
async def test_any_number_of_events_is_replayed_oldest_first(
    store: Store, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(module, "REPLAYS_AT_ONCE", 10)
    _, profile = await make_account(store, webhook_url=HOOK)
    for number in range(count):
        await delivery(store, profile, occurred_at=number)
    assert await replay_since(store, profile) == count
    begun = await listed(store, profile, status=DeliveryStatus.PENDING)
    replayed = [(await find(store, profile, each)).delivery.occurred_at for each in reversed(begun)]
    assert replayed == list(range(count))


async def test_more_events_than_one_statement_takes_are_replayed(store: Store) -> None:
    _, profile = await make_account(store, webhook_url=HOOK)
    first = (await find(store, profile, await delivery(store, profile))).delivery
    made = [{**row_of(first), "id": new_id(store), "event_id": new_id(store)} for _ in range(2_345)]
    async with store.engine.transaction() as transaction:
        await transaction.execute(insert(webhook_deliveries), made)
    assert await replay_since(store, profile) == 2_346
    _, begun = await store.deliveries.page(
        profile.organization_id, DeliveryFilter(status=DeliveryStatus.PENDING), 0, 5_000
    )
    assert {each.delivery.event_id for each in begun} == {first.event_id, *(each["event_id"] for each in made)}
    assert len(begun) == 2_346


def row_of(first: Any) -> dict[str, Any]:
    names = ("organization_id", "profile_id", "message_id", "occurred_at", "endpoint", "position", "tries", "attempts")
    status = {"event_type": EventType.SENT.value, "status": DeliveryStatus.DELIVERED.value, "webhook": WEBHOOK}
    return {name: getattr(first, name) for name in names} | status


async def test_events_are_replayed_from_their_moment_on_and_by_type(store: Store) -> None:
    _, profile = await make_account(store, webhook_url=HOOK)
    for moment, event in ((1_000, EventType.SENT), (2_000, EventType.SENT), (3_000, EventType.FINALIZED)):
        await delivery(store, profile, occurred_at=moment, event_type=event.value)
    assert await replay_since(store, profile, 2_000) == 2
    assert await replay_since(store, profile, 2_001) == 1
    assert await replay_since(store, profile, 0, events=[EventType.SENT]) == 2
    assert await replay_since(store, profile, 0, events=[]) == 0


async def test_events_of_another_organisation_are_not_replayed(store: Store) -> None:
    _, profile = await make_account(store, webhook_url=HOOK)
    _, other = await make_account(store, "Other", webhook_url=OTHER)
    which = await delivery(store, profile)
    assert await replay_since(store, other) == 0
    assert await store.deliveries.find(other.organization_id, which) is None
    assert await listed(store, other) == await listed(store, other, attempts="a", webhook="e") == []


async def test_attempts_are_read_newest_first_with_all_they_hold(store: Store) -> None:
    _, profile = await make_account(store)
    which = await delivery(store, profile, status=DeliveryStatus.PENDING.value, due_at=0, attempts=0)
    first = await try_once(store, profile, response_headers=[("x-ü", 'say "so"')], response_body="Überlastet")
    second = await try_once(store, profile, response_status=None, errors=[75001], detail="No such name.")
    found = await find(store, profile, which)
    assert (found.attempts, found.delivery.attempts) == ([second, first], 2)


async def test_what_is_under_way_is_listed_as_failed_once_it_was_tried(store: Store) -> None:
    _, profile = await make_account(store)
    waiting = {"status": DeliveryStatus.PENDING.value, "due_at": 0, "attempts": 0, "finished_at": None}
    which = await delivery(store, profile, **waiting, started_at=None)
    statuses = (None, DeliveryStatus.FAILED, DeliveryStatus.DELIVERED, DeliveryStatus.PENDING)
    assert [await listed(store, profile, status=each) for each in statuses] == [[], [], [], [which]]
    await try_once(store, profile)
    assert [await listed(store, profile, status=each) for each in statuses] == [[which], [which], [], [which]]


async def test_what_became_of_a_delivery_is_known_when_it_is_given_again(store: Store) -> None:
    _, profile = await make_account(store)
    waiting = {"status": DeliveryStatus.PENDING.value, "due_at": 0, "attempts": 0}
    which = await delivery(store, profile, **waiting)
    lane = [LaneClaim(endpoint_id(profile.organization_id, HOOK), 1, 0)]
    (lost,) = await store.claim_deliveries(lane)
    (claimed,) = await store.claim_deliveries(lane)
    now = store.clock.now()
    made: dict[str, Any] = {
        "delivered": False,
        "url": HOOK,
        "started_at": now,
        "finished_at": now,
        "errors": [],
        "request_headers": [],
    }
    attempts = [Attempt(id=new_id(store), **made) for _ in range(2)]
    ended = Progress(claimed, DeliveryStatus.FAILED, now, 0, 3, None, claimed.endpoint, b"{}", attempts[0])
    assert [await store.record_delivery(ended) for _ in range(2)] == [True, True]
    other = moved(ended, delivery=lost, at=Instant(now + 1), attempt=attempts[1])
    assert [await store.record_delivery(other) for _ in range(2)] == [False, False]
    assert {each.id for each in (await find(store, profile, which)).attempts} == {each.id for each in attempts}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("x-queue", True),
        ("X-QUEUE", True),
        ("50 %_", True),
        ('the "big" one', True),
        (r"\"big\"", True),
        ("ß", True),
        ("75599", True),
        ("503", True),
        ("c.example", True),
        ("", True),
        ("50_%", False),
        ("5%", False),
        ("c_example", False),
        ("c/example", False),
        ("other's", False),
    ],
)
async def test_attempts_are_searched_in_every_part_and_literally(store: Store, wanted: str, found: bool) -> None:
    _, profile = await make_account(store)
    _, other = await make_account(store, "Other")
    waiting = {"status": DeliveryStatus.PENDING.value, "due_at": 0, "attempts": 0}
    which = await delivery(store, profile, **waiting)
    said = [("X-Queue", 'the "big" one')]
    given: dict[str, Any] = {"response_status": 503, "errors": [75599], "response_body": "50 %_ voll, heiß"}
    await try_once(store, profile, request_headers=[("to", "c.example")], response_headers=said, **given)
    await delivery(store, other, **waiting)
    await try_once(store, other, detail="other's")
    assert await listed(store, profile, attempts=wanted) == ([which] if found else [])


async def test_events_are_found_by_bounds_of_time(store: Store) -> None:
    _, profile = await make_account(store)
    early = await delivery(store, profile)
    late = await delivery(store, profile, started_at=4_000, finished_at=5_000)
    assert await listed(store, profile, started=Between(Instant(2_001), None)) == [late]
    assert await listed(store, profile, started=Between(Instant(2_000), Instant(4_000))) == [late, early]
    assert await listed(store, profile, finished=Between(None, Instant(4_999))) == [early]
    assert await listed(store, profile, finished=Between(Instant(5_001), None)) == []


async def test_pages_are_cut_from_all_that_pass(store: Store) -> None:
    _, profile = await make_account(store)
    made = [await delivery(store, profile) for _ in range(3)]
    await delivery(store, moved(profile, organization_id=OrganizationId(new_id(store))))
    pages = [await store.deliveries.page(profile.organization_id, DeliveryFilter(), at, 2) for at in (0, 2, 4)]
    assert [total for total, _ in pages] == [3, 3, 3]
    assert [[each.delivery.id for each in page] for _, page in pages] == [made[:0:-1], made[:1], []]
