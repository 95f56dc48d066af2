"""Things that tests are made of, with every part that does not matter filled in."""

from typing import Any

from msgspec.structs import replace

from heliograph import randomness
from heliograph.domain.accounts import Organization, Profile, ProfileSettings, RuleOverrides
from heliograph.domain.ids import MessageId, OrganizationId, ProfileId
from heliograph.domain.instant import HOUR, MINUTE, Instant
from heliograph.domain.lifecycle import Status, born
from heliograph.domain.message import Facts, Message, MessageType
from heliograph.domain.planning import Planner
from heliograph.domain.routes import RoutingTable, in_order
from heliograph.domain.text import Encoding
from heliograph.store.claims import Claim
from heliograph.store.messages import Acceptance, Accepted
from heliograph.store.store import Store

MANY = 1_000_000
PLANNER = Planner(RoutingTable(in_order(["sandbox"]), ["sandbox"]), ["sandbox"])
"""Everything goes to the simulated carrier, at no rate."""


def new_id(store: Store) -> str:
    """An id made at this moment of the store's clock."""
    return randomness.new_id(store.clock.now())


def make_message(store: Store, *, send_in: int | None = 10 * MINUTE, **given: Any) -> Message:
    """A message to be sent after `send_in` microseconds, or at once for None."""
    now = store.clock.now()
    send_at = None if send_in is None else Instant(now + send_in)
    due = send_at or now
    message = Message(
        id=MessageId(new_id(store)),
        organization_id=OrganizationId("00000000-0000-7000-8000-000000000001"),
        profile_id=ProfileId("00000000-0000-7000-8000-000000000002"),
        type=MessageType.SMS,
        status=born(scheduled=send_at is not None),
        sender="+18445550001",
        recipient="+18665550001",
        text="Hello, World!",
        parts=1,
        rate=205,
        carrier_fee=305,
        received_at=now,
        send_at=send_at,
        due_at=due,
        carrier="sandbox",
        valid_until=Instant(due + HOUR),
        facts=Facts(Encoding.GSM7, 13),
    )
    return replace(message, **given)


async def epoch(store: Store) -> int:
    """The epoch of the accounts."""
    await store.accounts.refresh()
    return store.accounts.epoch


async def accept(store: Store, *messages: Message, max_pending: int = MANY) -> Accepted:
    """Take messages in one request."""
    return (await store.accept(Acceptance(messages, await epoch(store), max_pending))).outcome


async def accepted(store: Store, **given: Any) -> Message:
    """A message that was taken."""
    message = make_message(store, **given)
    assert await accept(store, message) is Accepted.TAKEN
    return message


async def claim(
    store: Store, *, limit: int = 100, lease: int = MINUTE, carrier: str = "sandbox"
) -> tuple[str, list[Message]]:
    """Claim what is due: the token, and the messages."""
    token = new_id(store)
    claimed = await store.claim(Claim(token, carrier, limit, lease))
    return token, list(claimed.messages)


async def advance(store: Store, micros: int) -> None:
    """Move the test clock, and do nothing else."""
    clock = store.clock
    await store.sandbox.set_ahead(clock.offset + micros)


async def status_of(store: Store, message: Message) -> Status:
    """The status as it is stored."""
    found, _ = await store.messages.find(message.organization_id, message.id)
    assert found is not None
    return found.status


async def change_account(store: Store, organization: Organization) -> None:
    """Something of an organisation becomes other than what was remembered of it."""
    await store.changes.set_rules(organization.id, RuleOverrides(max_pending=MANY))


async def make_account(store: Store, name: str = "Acme", **settings: Any) -> tuple[Organization, Profile]:
    """An organisation with one profile."""
    now = store.clock.now()
    organization = Organization(OrganizationId(new_id(store)), name)
    await store.changes.create_organization(organization, now)
    profile = Profile(ProfileId(new_id(store)), organization.id, "Main", ProfileSettings(**settings), now, now)
    await store.changes.save_profile(profile)
    return organization, profile
