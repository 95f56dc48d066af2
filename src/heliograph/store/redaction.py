"""What is hidden of messages, as statements ask for it: rows are kept whole, and shown by `domain.redaction`."""

from typing import Any

from sqlalchemy import ColumnElement, Select, Text, and_, case, func, not_, select

from heliograph.domain.ids import OrganizationId
from heliograph.domain.redaction import HIDDEN, MASK
from heliograph.store.tables import messaging_profiles


def hiding_profiles(organization_id: OrganizationId) -> Select[Any]:
    """The ids of an organisation's profiles that hide numbers, as `level` has it; those that are deleted too."""
    profiles = messaging_profiles.c
    return select(profiles.id).where(
        profiles.organization_id == organization_id,
        profiles.settings.contains('"redaction_enabled":true', autoescape=True),
        not_(profiles.settings.contains('"redaction_level":0', autoescape=True)),
    )


def shown_number(
    number: ColumnElement[Any],
    profile_id: ColumnElement[Any],
    organization_id: OrganizationId,
    over: ColumnElement[bool],
) -> ColumnElement[Any]:
    """A person's number as `hide_number` leaves it where its profile hides it: nobody finds by asking what is hidden.

    `over` is whether the message is at its end, before which nothing is hidden of it.
    """
    length = func.length(number)
    begun = case((length > HIDDEN, func.substr(number, 1, length - HIDDEN, type_=Text())), else_="")
    return case((and_(profile_id.in_(hiding_profiles(organization_id)), over), begun.concat(MASK)), else_=number)
