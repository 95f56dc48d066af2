"""What messages were charged, and the sums of those that are not kept any more.

An organisation's account goes by all of its messages: before one is forgotten, its charge is added to a sum, in the
same transaction. So each is counted once, whoever forgets it and whatever crashes in between.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import JSON, ColumnElement, Text, and_, case, cast, func, literal_column, select

from heliograph.domain.ids import OrganizationId
from heliograph.domain.lifecycle import Status
from heliograph.store.engine import Engine, Transaction
from heliograph.store.messages import word, words
from heliograph.store.tables import charged_before


class Charge(NamedTuple):
    """What an organisation was charged in one currency, in 1/100000 of it."""

    organization_id: str
    currency: str
    amount: int


def charged(columns: Any) -> ColumnElement[bool]:
    """Whether a message is charged; as `Message.charged`."""
    unsent = words((Status.SCHEDULED, Status.CANCELLED, Status.EXPIRED))
    held_back = (columns.status == word(Status.SENDING_FAILED)) & columns.left_at.is_(None)
    return and_(columns.status.not_in(unsent), ~held_back)


def fact(engine: Engine, facts: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    """A member of the facts as text; a list as JSON."""
    if engine.dialect.name == "sqlite":
        return func.json_extract(facts, literal_column(f"'$.{name}'"))
    return cast(facts, JSON).op("->>", return_type=Text())(literal_column(f"'{name}'"))


def currency(engine: Engine, facts: ColumnElement[Any]) -> ColumnElement[Any]:
    """Left out of the facts when it is the usual one."""
    return func.coalesce(fact(engine, facts, "currency"), literal_column("'USD'"))


def amount(columns: Any) -> ColumnElement[int]:
    """What a message costs its organisation."""
    return case((charged(columns), columns.rate + columns.carrier_fee), else_=literal_column("0"))


def before(organization_id: OrganizationId, of: str) -> ColumnElement[int]:
    """What an organisation was charged for messages that are not kept any more."""
    mine = (charged_before.c.organization_id == organization_id) & (charged_before.c.currency == of)
    return func.coalesce(select(charged_before.c.charged).where(mine).scalar_subquery(), literal_column("0"))


REMEMBERED = select(func.coalesce(func.sum(charged_before.c.charged), literal_column("0")).label("remembered"))
"""All that was ever added, whatever the currency. It only grows, so it tells whether anything was added since."""


async def remember(transaction: Transaction, charges: Iterable[Charge]) -> None:
    """Add the charges of messages that are forgotten in this transaction."""
    sums: Counter[tuple[str, str]] = Counter()
    for each in charges:
        sums[each.organization_id, each.currency] += each.amount
    rows = [
        {"organization_id": name, "currency": of, "charged": total}
        for (name, of), total in sorted(sums.items())
        if total
    ]
    if rows:
        insert = transaction.engine.insert(charged_before).values(rows)
        added = {"charged": charged_before.c.charged + insert.excluded.charged}
        await transaction.execute(
            insert.on_conflict_do_update(index_elements=["organization_id", "currency"], set_=added)
        )
