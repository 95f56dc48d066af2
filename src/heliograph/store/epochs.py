"""The epoch of accounts: what tells a process that something it remembers of them is no longer so.

    account_epoch.epoch     raised by every change of any account
    organizations.epoch     where it stood after the last change of this organisation

What was read at an epoch holds while its organisation has not changed since. A program from before there was an epoch
for each organisation raises the first alone: whatever it changed counts as a change of them all.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, select, update

from heliograph.store.engine import Transaction
from heliograph.store.tables import account_epoch, organizations

_ACCOUNTS = account_epoch.c
GENERAL = case((_ACCOUNTS.epoch > _ACCOUNTS.own, _ACCOUNTS.epoch), else_=_ACCOUNTS.general)
"""Where the epoch stood after the last change that may be one of any organisation."""
EPOCH = select(_ACCOUNTS.epoch).scalar_subquery()
"""The state of all accounts."""


def changed(organization_id: Any) -> Any:
    """Where the epoch stood after the last change of an organisation, for a row of a statement."""
    later = case((organizations.c.epoch > GENERAL, organizations.c.epoch), else_=GENERAL)
    joined = account_epoch.outerjoin(organizations, organizations.c.id == organization_id)
    return select(later).select_from(joined).scalar_subquery()


@dataclass(frozen=True, slots=True)
class Standing:
    """How the accounts of an organisation stand in the database."""

    changed: int
    epoch: int

    def holds(self, known: int) -> bool:
        """Whether what was known at an epoch is still so. A database that was set back knows nothing of a later one."""
        return self.changed <= known <= self.epoch


async def raise_epoch(transaction: Transaction, *organization_ids: str) -> None:
    """Make everybody look again at what they remember of some organisations; in the transaction of the change.

    Nobody who holds a row of `organizations` may come here with it, nor lock one before the epoch.
    """
    own = {
        "general": case((_ACCOUNTS.epoch > _ACCOUNTS.own, _ACCOUNTS.epoch), else_=_ACCOUNTS.general),
        "own": _ACCOUNTS.epoch + 1,
        "epoch": _ACCOUNTS.epoch + 1,
    }
    raised = update(account_epoch).values(**own).returning(_ACCOUNTS.epoch)
    epoch = (await transaction.execute(raised)).scalar_one()
    of_them = organizations.c.id.in_(organization_ids)
    await transaction.execute(update(organizations).where(of_them).values(epoch=epoch))
