"""The 10DLC registry: brands, campaigns, and which numbers belong to them.

What a campaign means to a message stands with its number (`senders.campaign`): sending asks no table of the registry.
Every change that reaches a number writes it there and raises the epoch of the accounts in its own transaction.

Locks go from the brand to its campaigns, to the numbers, to the epoch. What is locked is read by a statement of its own
afterwards: only that one sees what the holder before us did.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Select, delete, func, insert, null, select, update
from sqlalchemy.exc import IntegrityError

from heliograph import randomness
from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import Instant
from heliograph.domain.registry import (
    REGISTRY_NAMES,
    Assignment,
    Brand,
    BrandDetails,
    CampaignDetails,
    RegisteredCampaign,
    registry_name,
)
from heliograph.store.account_changes import AlreadyExists, NoSuchRecord
from heliograph.store.engine import Engine, Row, Transaction
from heliograph.store.epochs import raise_epoch
from heliograph.store.tables import brands, campaigns, phone_number_campaigns, senders


class BrandInUse(Exception):
    """The brand has active campaigns."""


class NoSuchCampaign(NoSuchRecord):
    """The campaign named does not exist."""


class CampaignEnded(Exception):
    """The campaign is not active any more."""


class AssignedElsewhere(Exception):
    """The number belongs to another campaign; the text is that one's name in the registry."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a list is wanted, and in which order: by a name of `*_ORDERS`, with `-` before it backwards."""

    order: str
    offset: int
    limit: int


class BrandFilter(NamedTuple):
    """Which brands are listed; None for any. Texts are compared as they are."""

    display_name: str | None = None
    entity_type: str | None = None
    state: str | None = None
    country: str | None = None
    id: str | None = None
    tcr_id: str | None = None


class AssignmentFilter(NamedTuple):
    """Which numbers are listed, by the ids of their campaign and brand; None for any."""

    campaign_id: str | None = None
    brand_id: str | None = None
    tcr_campaign_id: str | None = None
    tcr_brand_id: str | None = None


_OF_BRAND = select(func.count()).where(campaigns.c.brand_id == brands.c.id).correlate(brands).scalar_subquery()
_OF_CAMPAIGN = (
    select(func.count())
    .where(phone_number_campaigns.c.campaign_id == campaigns.c.id)
    .correlate(campaigns)
    .scalar_subquery()
)
BRAND_ORDERS: Mapping[str, Any] = {
    "assignedCampaignsCount": _OF_BRAND,
    "brandId": brands.c.id,
    "createdAt": brands.c.created_at,
    "displayName": brands.c.display_name,
    "identityStatus": brands.c.identity_status,
    "status": None,
    "tcrBrandId": brands.c.tcr_id,
}
"""By what brands are sorted. Their status is always the same."""
CAMPAIGN_ORDERS: Mapping[str, Any] = {
    "assignedPhoneNumbersCount": _OF_CAMPAIGN,
    "campaignId": campaigns.c.id,
    "createdAt": campaigns.c.created_at,
    "status": campaigns.c.active,
    "tcrCampaignId": campaigns.c.tcr_id,
}
ASSIGNMENT_ORDERS: Mapping[str, Any] = {
    "assignmentStatus": None,
    "createdAt": phone_number_campaigns.c.created_at,
    "phoneNumber": senders.c.address,
}
"""By what numbers are sorted. Their status is always the same."""


class Registry:
    """Changes the registry, and reads it. A brand and a campaign are named by their id or by their name in it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # --------------------------------------------------------------------------------------------------------- brands

    async def create_brand(
        self, organization_id: OrganizationId, which: str, details: BrandDetails, now: Instant
    ) -> Brand:
        """Register a brand under an id."""
        async with self._engine.transaction() as transaction:
            name = await _free_name(transaction, "B", brands.c.tcr_id)
            brand = Brand(which, organization_id, name, details, now, now)
            own = {"id": which, "organization_id": organization_id, "tcr_id": name, "created_at": now}
            await transaction.execute(insert(brands).values(**own, **_brand_values(brand)))
        return brand

    async def brand(self, organization_id: OrganizationId, which: str) -> tuple[Brand, int] | None:
        """A brand, and how many campaigns it has."""
        statement = select(*brands.c, _OF_BRAND.label("count")).where(_named(brands, organization_id, which))
        rows = await self._engine.fetch(statement)
        return (_to_brand(rows[0]), rows[0]["count"]) if rows else None

    async def brands(
        self, organization_id: OrganizationId, wanted: BrandFilter, part: Part
    ) -> tuple[int, Sequence[tuple[Brand, int]]]:
        """How many brands pass the filter, and one part of them, each with the number of its campaigns."""
        given = {name: value for name, value in wanted._asdict().items() if value is not None}
        where = [brands.c.organization_id == organization_id, *(brands.c[name] == each for name, each in given.items())]
        statement = select(*brands.c, _OF_BRAND.label("count")).where(*where)
        total, rows = await self._part(statement, part, BRAND_ORDERS, brands.c.id)
        return total, [(_to_brand(row), row["count"]) for row in rows]

    async def change_brand(
        self, organization_id: OrganizationId, which: str, change: Callable[[Brand], Brand]
    ) -> Brand:
        """Put what `change` makes of a brand in its place; its campaigns get the class that follows from it.

        Raises `NoSuchRecord`, and whatever `change` raises; then nothing is changed.
        """
        mine = _named(brands, organization_id, which)
        async with self._engine.transaction() as transaction:
            row = await _held(transaction, select(*brands.c).where(mine).with_for_update(key_share=True))
            changed = change(_to_brand(row))
            await transaction.execute(update(brands).where(mine).values(**_brand_values(changed)))
            await self._reclassify(transaction, changed)
        return changed

    async def _reclassify(self, transaction: Transaction, brand: Brand) -> None:
        """Tell the numbers of a brand the classes of their campaigns as they are now."""
        of_brand = campaigns.c.brand_id == brand.id
        held = select(campaigns.c.id).where(of_brand).order_by(campaigns.c.id).with_for_update(key_share=True)
        await transaction.execute(held)
        mine = select(campaigns.c.id).where(of_brand)
        await _hold_numbers(transaction, phone_number_campaigns.c.campaign_id.in_(mine))
        for row in (await transaction.execute(_campaigns().where(of_brand, campaigns.c.active))).mappings().all():
            campaign = _to_campaign(row)
            await transaction.execute(update(senders).where(_of(campaign)).values(campaign=_on_number(campaign)))
        await raise_epoch(transaction, brand.organization_id)

    async def delete_brand(self, organization_id: OrganizationId, which: str) -> None:
        """Forget a brand, and its campaigns that have ended. Raises `NoSuchRecord` or `BrandInUse`."""
        async with self._engine.transaction() as transaction:
            mine = _named(brands, organization_id, which)
            row = await _held(transaction, select(brands.c.id).where(mine).with_for_update())
            of_brand = campaigns.c.brand_id == row["id"]
            active = select(campaigns.c.id).where(of_brand, campaigns.c.active).limit(1)
            if (await transaction.execute(active)).first() is not None:
                raise BrandInUse
            await transaction.execute(delete(campaigns).where(of_brand))
            await transaction.execute(delete(brands).where(brands.c.id == row["id"]))

    # ------------------------------------------------------------------------------------------------------ campaigns

    async def create_campaign(
        self,
        organization_id: OrganizationId,
        brand: str,
        which: str,
        details: Callable[[Brand], CampaignDetails],
        now: Instant,
    ) -> RegisteredCampaign:
        """Register a campaign of a brand under an id.

        Raises `NoSuchRecord` without such a brand, `AlreadyExists` when another has its `reference_id`, and whatever
        `details` raises.
        """
        mine = _named(brands, organization_id, brand)
        try:
            async with self._engine.transaction() as transaction:
                row = await _held(transaction, select(*brands.c).where(mine).with_for_update(read=True))
                owner = _to_brand(row)
                name = await _free_name(transaction, "C", campaigns.c.tcr_id)
                campaign = RegisteredCampaign(
                    which, organization_id, name, owner, details(owner), active=True, created_at=now, updated_at=now
                )
                own = {"id": which, "organization_id": organization_id, "tcr_id": name, "created_at": now}
                own |= {"brand_id": owner.id, "reference_id": campaign.details.reference_id}
                await transaction.execute(insert(campaigns).values(**own, **_campaign_values(campaign)))
        except IntegrityError as error:
            raise AlreadyExists(str(error.orig)) from error
        return campaign

    async def campaign(self, organization_id: OrganizationId, which: str) -> RegisteredCampaign | None:
        """A campaign."""
        rows = await self._engine.fetch(_campaigns().where(_named(campaigns, organization_id, which)))
        return _to_campaign(rows[0]) if rows else None

    async def campaigns(
        self, organization_id: OrganizationId, brand: str | None, part: Part
    ) -> tuple[int, Sequence[tuple[RegisteredCampaign, int]]]:
        """How many campaigns a brand has, or the organisation, and one part, each with the number of its numbers."""
        where = [campaigns.c.organization_id == organization_id]
        if brand is not None:
            where.append((brands.c.id == brand) | (brands.c.tcr_id == brand))
        statement = _campaigns().add_columns(_OF_CAMPAIGN.label("count")).where(*where)
        total, rows = await self._part(statement, part, CAMPAIGN_ORDERS, campaigns.c.id)
        return total, [(_to_campaign(row), row["count"]) for row in rows]

    async def change_campaign(
        self,
        organization_id: OrganizationId,
        which: str,
        change: Callable[[RegisteredCampaign], RegisteredCampaign],
    ) -> RegisteredCampaign:
        """Put what `change` makes of a campaign in its place; what it is for stays.

        Raises `NoSuchRecord` or `CampaignEnded`, and whatever `change` raises; then nothing is changed.
        """
        async with self._engine.transaction() as transaction:
            campaign = await _hold_campaign(transaction, organization_id, which, shared=False)
            if not campaign.active:
                raise CampaignEnded
            changed = change(campaign)
            values = _campaign_values(changed)
            await transaction.execute(update(campaigns).where(campaigns.c.id == campaign.id).values(**values))
        return changed

    async def deactivate(self, organization_id: OrganizationId, which: str, now: Instant) -> RegisteredCampaign:
        """End a campaign for good, and take its numbers off it; one that has ended is returned as it is.

        Raises `NoSuchRecord`.
        """
        async with self._engine.transaction() as transaction:
            campaign = await _hold_campaign(transaction, organization_id, which, shared=False)
            if not campaign.active:
                return campaign
            await _hold_numbers(transaction, phone_number_campaigns.c.campaign_id == campaign.id)
            await transaction.execute(update(senders).where(_of(campaign)).values(campaign=null()))
            mine = phone_number_campaigns.c.campaign_id == campaign.id
            await transaction.execute(delete(phone_number_campaigns).where(mine))
            ended = update(campaigns).where(campaigns.c.id == campaign.id).values(active=False, updated_at=now)
            await transaction.execute(ended)
            await raise_epoch(transaction, organization_id)
        return replace(campaign, active=False, updated_at=now)

    # -------------------------------------------------------------------------------------------------------- numbers

    async def assign(
        self, organization_id: OrganizationId, sender_id: str, which: str, now: Instant, *, move: bool
    ) -> Assignment:
        """Give a number to a campaign; `move` one that has a campaign, else one that has none or has this one.

        Raises `NoSuchCampaign`, `CampaignEnded`, `AssignedElsewhere`, and `NoSuchRecord` when the number is gone or,
        to be moved, has no campaign.
        """
        kept = phone_number_campaigns.c
        async with self._engine.transaction() as transaction:
            campaign = await _hold_campaign(transaction, organization_id, which, shared=True)
            if not campaign.active:
                raise CampaignEnded
            mine = (senders.c.id == sender_id) & (senders.c.organization_id == organization_id)
            await _held(transaction, select(senders.c.id).where(mine).with_for_update(key_share=True))
            before = (
                await transaction.execute(
                    select(kept.campaign_id, kept.created_at, kept.updated_at, campaigns.c.tcr_id)
                    .join(campaigns, campaigns.c.id == kept.campaign_id)
                    .where(kept.sender_id == sender_id)
                )
            ).first()
            if before is None and move:
                raise NoSuchRecord
            if before is not None and before.campaign_id != campaign.id and not move:
                raise AssignedElsewhere(before.tcr_id)
            if before is None or before.campaign_id != campaign.id:
                await _put(transaction, organization_id, sender_id, campaign, now, known=before is not None)
            return await _assignment(transaction, sender_id)

    async def assignment(self, organization_id: OrganizationId, number: str) -> Assignment | None:
        """The campaign of a number."""
        rows = await self._engine.fetch(_assignments().where(_of_number(organization_id, number)))
        return _to_assignment(rows[0]) if rows else None

    async def assignments(
        self, organization_id: OrganizationId, wanted: AssignmentFilter, part: Part
    ) -> tuple[int, Sequence[Assignment]]:
        """How many numbers with a campaign pass the filter, and one part of them."""
        columns = (campaigns.c.id, brands.c.id, campaigns.c.tcr_id, brands.c.tcr_id)
        pairs = zip(columns, wanted, strict=True)
        where = [column == value for column, value in pairs if value is not None]
        where.append(phone_number_campaigns.c.organization_id == organization_id)
        statement = _assignments().where(*where)
        total, rows = await self._part(statement, part, ASSIGNMENT_ORDERS, phone_number_campaigns.c.sender_id)
        return total, [_to_assignment(row) for row in rows]

    async def unassign(self, organization_id: OrganizationId, number: str) -> Assignment:
        """Take a number off its campaign; what it was. Raises `NoSuchRecord`."""
        mine = (senders.c.organization_id == organization_id) & (senders.c.address == number) & (senders.c.scope == "")
        async with self._engine.transaction() as transaction:
            row = await _held(transaction, select(senders.c.id).where(mine).with_for_update(key_share=True))
            before = await _assignment(transaction, row["id"])
            gone = delete(phone_number_campaigns).where(phone_number_campaigns.c.sender_id == row["id"])
            await transaction.execute(gone)
            await transaction.execute(update(senders).where(senders.c.id == row["id"]).values(campaign=null()))
            await raise_epoch(transaction, organization_id)
        return before

    async def _part(
        self, statement: Select[Any], part: Part, orders: Mapping[str, Any], last: Any
    ) -> tuple[int, Sequence[Row]]:
        """How many rows a statement has, and a part of them; what is equal is in the order of ids, newest first."""
        counted: Select[Any] = select(func.count().label("total")).select_from(statement.subquery())
        total: int = (await self._engine.fetch(counted))[0]["total"]
        column = orders[part.order.removeprefix("-")]
        order = [] if column is None else [column.desc() if part.order.startswith("-") else column.asc()]
        page = statement.order_by(*order, last.desc()).offset(part.offset).limit(part.limit)
        return total, await self._engine.fetch(page)


async def _free_name(transaction: Transaction, kind: str, column: Any) -> str:
    """A name that nobody in the registry has."""
    while True:
        name = registry_name(kind, randomness.below(REGISTRY_NAMES))
        if (await transaction.execute(select(column).where(column == name))).first() is None:
            return name


def _named(table: Any, organization_id: OrganizationId, which: str) -> ColumnElement[bool]:
    mine: ColumnElement[bool] = table.c.organization_id == organization_id
    named: ColumnElement[bool] = (table.c.id == which) | (table.c.tcr_id == which)
    return mine & named


async def _held(transaction: Transaction, statement: Any) -> Any:
    """One row, locked until the commit. Raises `NoSuchRecord`."""
    row = (await transaction.execute(statement)).mappings().one_or_none()
    if row is None:
        raise NoSuchRecord
    return row


async def _hold_campaign(
    transaction: Transaction, organization_id: OrganizationId, which: str, *, shared: bool
) -> RegisteredCampaign:
    """A campaign that stays as it is until the commit, `shared` with others who want that. Raises `NoSuchCampaign`."""
    named = select(campaigns.c.id).where(_named(campaigns, organization_id, which))
    held = named.with_for_update(read=True) if shared else named.with_for_update(key_share=True)
    try:
        row = await _held(transaction, held)
    except NoSuchRecord:
        raise NoSuchCampaign from None
    return _to_campaign(await _held(transaction, _campaigns().where(campaigns.c.id == row["id"])))


async def _hold_numbers(transaction: Transaction, which: ColumnElement[bool]) -> None:
    """Lock the numbers of some assignments, in the order of their ids."""
    joined = select(senders.c.id).join(phone_number_campaigns, phone_number_campaigns.c.sender_id == senders.c.id)
    held = joined.where(which).order_by(senders.c.id).with_for_update(key_share=True, of=senders)
    await transaction.execute(held)


def _of(campaign: RegisteredCampaign) -> ColumnElement[bool]:
    """The numbers of a campaign."""
    mine = phone_number_campaigns.c.campaign_id == campaign.id
    return senders.c.id.in_(select(phone_number_campaigns.c.sender_id).where(mine))


async def _put(
    transaction: Transaction,
    organization_id: OrganizationId,
    sender_id: str,
    campaign: RegisteredCampaign,
    now: Instant,
    *,
    known: bool,
) -> None:
    table = phone_number_campaigns
    if known:
        moved = update(table).where(table.c.sender_id == sender_id)
        await transaction.execute(moved.values(campaign_id=campaign.id, updated_at=now))
    else:
        own = {"sender_id": sender_id, "organization_id": organization_id, "campaign_id": campaign.id}
        await transaction.execute(insert(table).values(**own, created_at=now, updated_at=now))
    await transaction.execute(update(senders).where(senders.c.id == sender_id).values(campaign=_on_number(campaign)))
    await raise_epoch(transaction, organization_id)


async def _assignment(transaction: Transaction, sender_id: str) -> Assignment:
    wanted = _assignments().where(phone_number_campaigns.c.sender_id == sender_id)
    return _to_assignment(await _held(transaction, wanted))


def _of_number(organization_id: OrganizationId, number: str) -> ColumnElement[bool]:
    mine: ColumnElement[bool] = phone_number_campaigns.c.organization_id == organization_id
    return mine & (senders.c.address == number) & (senders.c.scope == "")


def _campaigns() -> Select[Any]:
    """Campaigns, each with its brand."""
    columns = [each.label(f"campaign_{each.name}") for each in campaigns.c]
    return select(*columns, *brands.c).select_from(campaigns.join(brands))


def _assignments() -> Select[Any]:
    """Numbers, each with its campaign and the brand of that."""
    kept = phone_number_campaigns
    own = (senders.c.address.label("number"), kept.c.created_at.label("since"), kept.c.updated_at.label("changed_at"))
    columns = [each.label(f"campaign_{each.name}") for each in campaigns.c]
    joined = kept.join(senders, senders.c.id == kept.c.sender_id).join(campaigns, campaigns.c.id == kept.c.campaign_id)
    return select(*own, *columns, *brands.c).select_from(joined.join(brands, brands.c.id == campaigns.c.brand_id))


def _brand_values(brand: Brand) -> dict[str, Any]:
    """The columns that a change may change."""
    return {
        "display_name": brand.details.display_name,
        "entity_type": brand.details.entity_type,
        "identity_status": brand.identity_status,
        "country": brand.details.country,
        "state": brand.details.state,
        "content": msgspec.json.encode(brand.details).decode(),
        "updated_at": brand.updated_at,
    }


def _campaign_values(campaign: RegisteredCampaign) -> dict[str, Any]:
    """The same of a campaign."""
    content = msgspec.json.encode(campaign.details).decode()
    return {"active": campaign.active, "content": content, "updated_at": campaign.updated_at}


def _on_number(campaign: RegisteredCampaign) -> str:
    return msgspec.json.encode(campaign.of_number).decode()


def _to_brand(row: Any) -> Brand:
    """A row of `brands` as the domain knows it."""
    return Brand(
        id=row["id"],
        organization_id=OrganizationId(str(row["organization_id"])),
        tcr_id=row["tcr_id"],
        details=msgspec.json.decode(row["content"], type=BrandDetails),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _to_campaign(row: Any) -> RegisteredCampaign:
    """A row of `_campaigns` as the domain knows it."""
    return RegisteredCampaign(
        id=row["campaign_id"],
        organization_id=OrganizationId(str(row["campaign_organization_id"])),
        tcr_id=row["campaign_tcr_id"],
        brand=_to_brand(row),
        details=msgspec.json.decode(row["campaign_content"], type=CampaignDetails),
        active=row["campaign_active"],
        created_at=row["campaign_created_at"],
        updated_at=row["campaign_updated_at"],
    )


def _to_assignment(row: Any) -> Assignment:
    """A row of `_assignments` as the domain knows it."""
    return Assignment(row["number"], _to_campaign(row), row["since"], row["changed_at"])
