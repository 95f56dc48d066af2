"""Who does not want to be written to: asked when a message is taken, and again when it is about to leave."""

from typing import Any

from sqlalchemy import or_, select

from heliograph.store.batch import FLAG, scalar
from heliograph.store.tables import opt_outs


def in_scope(profile_id: Any, of_opt_out: Any) -> Any:
    """Whether an opt-out from one profile reaches another: it is the same, or the scope is the account.

    The scope is the scalar `account_wide` of the statement (Contract 7.2, 13 #11).
    """
    return or_(profile_id == of_opt_out, scalar("account_wide", FLAG))


def holding(organization_id: Any, profile_id: Any, recipient: Any) -> Any:
    """Whether an opt-out of `recipient` holds for messages of this profile, as a condition of a statement."""
    held = opt_outs.c
    return (
        select(held.id)
        .where(
            held.organization_id == organization_id,
            held.recipient == recipient,
            held.ended_at.is_(None),
            in_scope(profile_id, held.profile_id),
        )
        .exists()
    )
