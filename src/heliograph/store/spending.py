"""What profiles have spent today: one row a profile and day, locked while it is judged (Contract 6.4).

    accept --hold--> sums, judged one message after the other --put--> the same rows
    what is called off --give_back--> right before the commit

Rows are locked at one place in each transaction, in the order of profiles and days, and before those that are locked at
the end. What was given back earlier in a transaction is locked with what it takes.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Integer, and_, case, cast, func, literal, literal_column, null, select, true, update

from heliograph import randomness
from heliograph.domain.accounts import Profile
from heliograph.domain.events import EventType
from heliograph.domain.ids import OrganizationId, ProfileId, uuid7
from heliograph.domain.instant import DAY, MINUTE, Instant
from heliograph.domain.lifecycle import Status
from heliograph.domain.message import Message
from heliograph.domain.pricing import amount_text
from heliograph.domain.spending import DaySums, SpendDay, cost_of, day_of, spend_day
from heliograph.store.batch import COUNT, ID, MICROS, Batch, Sql
from heliograph.store.engine import Transaction
from heliograph.store.outbox import Outbox, ProfileEvent
from heliograph.store.tables import messages, organizations, profile_spend

_ON_ITS_WAY = MINUTE
"""How much older the id of a message may be than the moment at which its `send_at` is judged: retries keep the id."""
_DECIMALS = 2


def _same(rows: Any) -> Any:
    return and_(profile_spend.c.profile_id == rows.profile_id, profile_spend.c.day == rows.day)


def _hold(sql: Sql) -> Any:
    """Make rows that are missing, and lock all."""
    rows = select(sql.rows.c.profile_id, sql.rows.c.day, literal_column("0")).where(true())
    insert = sql.insert(profile_spend).from_select(["profile_id", "day", "amount"], rows)
    held = insert.on_conflict_do_update(index_elements=["profile_id", "day"], set_={"amount": profile_spend.c.amount})
    return held.returning(*profile_spend.c, sql.now.label("now"))


def _spend(sql: Sql) -> Any:
    rows = sql.rows.c
    return update(profile_spend).where(_same(rows)).values(amount=profile_spend.c.amount + rows.amount)


def _give_back(sql: Sql) -> Any:
    """Not below nothing: what was taken before there was a limit may not have been counted."""
    rows, amount = sql.rows.c, profile_spend.c.amount
    left = case((amount > rows.amount, amount - rows.amount), else_=literal_column("0"))
    return update(profile_spend).where(_same(rows)).values(amount=left)


def _tell(sql: Sql) -> Any:
    return update(profile_spend).where(_same(sql.rows.c)).values(told_at=sql.now)


HOLD = Batch({"profile_id": ID, "day": COUNT}, _hold)
SPEND = Batch({"profile_id": ID, "day": COUNT, "amount": MICROS}, _spend)
GIVE_BACK = Batch({"profile_id": ID, "day": COUNT, "amount": MICROS}, _give_back)
TELL = Batch({"profile_id": ID, "day": COUNT}, _tell)


class DailySpending:
    """The sums of profiles that have a limit."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def hold(self, transaction: Transaction, days: Iterable[SpendDay]) -> "HeldSums":
        """The sums of some days, held until the transaction ends."""
        returned = {_read_key(key): amount for key, amount in transaction.tallied(self.put_returned).items()}
        rows = await transaction.batch(HOLD, sorted({*days, *returned}))
        known, untold = {}, set()
        for row in rows:
            day = SpendDay(ProfileId(str(row["profile_id"])), row["day"])
            # What this transaction gives back is in no row yet.
            known[day] = max(0, row["amount"] - returned.get(day, 0))
            if row["told_at"] is None:
                untold.add(day)
        return HeldSums(DaySums(known, untold), Instant(rows[0]["now"]))

    async def put(self, transaction: Transaction, held: "HeldSums", owners: Mapping[ProfileId, OrganizationId]) -> None:
        """Write down what was spent, and tell profiles that their limit of a day is reached; once a day."""
        sums = held.sums
        if sums.spent:
            await transaction.batch(SPEND, sorted((*day, amount) for day, amount in sums.spent.items()))
        if sums.reached:
            await transaction.batch(TELL, sorted(sums.reached))
            await self._outbox.announce_profile(
                transaction, [_event(sums, day, owners[day.profile_id], held.now) for day in sorted(sums.reached)]
            )

    def give_back(self, transaction: Transaction, given: Iterable[Message]) -> None:
        """Take messages that cost nothing after all off the sums of their days, where there are any."""
        for message in given:
            if message.answers is None and (amount := cost_of([message])):
                transaction.tally(self.put_returned, {_key(spend_day(message)): amount})

    async def put_returned(self, transaction: Transaction, amounts: Mapping[str, int]) -> None:
        """Right before the commit; without a row there is no limit."""
        rows = sorted((*_read_key(key), amount) for key, amount in amounts.items())
        await transaction.batch(GIVE_BACK, rows)


class HeldSums:
    """Sums that are ours until the transaction ends, and the moment by the database's clock."""

    __slots__ = ("now", "sums")

    def __init__(self, sums: DaySums, now: Instant) -> None:
        self.sums = sums
        self.now = now


async def begin_counting(transaction: Transaction, profile: Profile, now: Instant, max_lead: int) -> None:
    """Let the sums of a profile whose limit is new begin with what was taken for today and later days.

    What is for today was taken at most `max_lead` before, or what its organisation has in place of it. Not seen is
    what other transactions take in this very moment, under the settings before, what is not kept any more, and what was
    scheduled under a longer lead that was shortened since.
    """
    today = day_of(now)
    own = select(organizations.c.max_lead).where(organizations.c.id == profile.organization_id)
    lead = max(max_lead, (await transaction.execute(own)).scalar_one_or_none() or 0)
    first = uuid7(Instant(max(0, today * DAY - lead - _ON_ITS_WAY)), 0)
    mine = and_(profile_spend.c.profile_id == profile.id, profile_spend.c.day >= today)
    await transaction.execute(update(profile_spend).where(mine).values(amount=0))
    leaves = func.coalesce(messages.c.send_at, messages.c.received_at)
    # Written out, because what is grouped by must be the same expression; of integers it is a whole number.
    day = cast(leaves.op("/")(literal_column(str(DAY))), Integer())
    free = messages.c.status.in_([Status.CANCELLED.value, Status.EXPIRED.value])
    taken = (
        select(
            literal(profile.id, profile_spend.c.profile_id.type).label("profile_id"),
            day.label("day"),
            cast(func.sum(messages.c.rate + messages.c.carrier_fee), BigInteger).label("amount"),
            null().label("told_at"),
        )
        .where(
            messages.c.organization_id == profile.organization_id,
            messages.c.id >= first,
            messages.c.profile_id == profile.id,
            leaves >= today * DAY,
            messages.c.answers.is_(None),
            ~free,
            # Held back by ourselves, and so not charged.
            ~and_(messages.c.status == Status.SENDING_FAILED.value, messages.c.left_at.is_(None)),
        )
        .group_by(day)
        .order_by(day)
    )
    insert = transaction.engine.insert(profile_spend)
    counted = insert.from_select(["profile_id", "day", "amount", "told_at"], taken)
    await transaction.execute(
        counted.on_conflict_do_update(index_elements=["profile_id", "day"], set_={"amount": insert.excluded.amount})
    )


def _event(sums: DaySums, day: SpendDay, organization_id: OrganizationId, now: Instant) -> ProfileEvent:
    payload = {
        "configured_limit": sums.reached[day].text,
        "current_cost": amount_text(sums.total(day), _DECIMALS),
        "profile_id": str(day.profile_id),
    }
    event = EventType.SPEND_LIMIT_REACHED
    return ProfileEvent(randomness.new_id(now), event, organization_id, day.profile_id, now, payload)


def _key(day: SpendDay) -> str:
    return f"{day.profile_id}/{day.day}"


def _read_key(key: str) -> SpendDay:
    profile_id, _, day = key.partition("/")
    return SpendDay(ProfileId(profile_id), int(day))


def days_of(taken: Iterable[Sequence[Message]]) -> set[SpendDay]:
    """The days that messages of some requests count on."""
    return {spend_day(each[0]) for each in taken}
