"""`heliograph brands` and `heliograph campaigns`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from heliograph.domain.registry import BrandDetails, CampaignDetails
from heliograph.store.engine import open_engine
from heliograph.store.store import Store
from tests.builders import new_id
from tests.terminal import Terminal

Made = TypeVar("Made")
NUMBER = "+13125550123"


def beside(terminal: Terminal, work: Callable[[Store], Awaitable[Made]]) -> Made:
    """Do something in the database of a terminal, as a server would."""

    async def run() -> Made:
        store = Store(open_engine(terminal.database_url))
        try:
            return await work(store)
        finally:
            await store.engine.close()

    return asyncio.run(run())


def registered(terminal: Terminal) -> tuple[str, str]:
    """The names of a new brand and of its campaign."""

    async def made(store: Store) -> tuple[str, str]:
        organization, now = (await store.listing.organizations())[0].id, store.clock.now()
        details = BrandDetails(
            entity_type="PRIVATE_PROFIT", display_name="ABC", country="US", email="a@example.com", vertical="RETAIL"
        )
        brand = await store.registry.create_brand(organization, new_id(store), details, now)
        wanted = CampaignDetails(description="x", usecase="MARKETING", sample1="y")
        campaign = await store.registry.create_campaign(organization, brand.id, new_id(store), lambda _: wanted, now)
        return brand.tcr_id, campaign.tcr_id

    return beside(terminal, made)


def only(terminal: Terminal, what: str) -> Any:
    (found,) = terminal.json(what, "list")
    return found


def test_a_vetting_raises_the_class_of_a_brands_campaigns(either_terminal: Terminal) -> None:
    either_terminal.organization()
    brand, campaign = registered(either_terminal)
    listed = only(either_terminal, "brands")
    assert (listed["tcr_id"], listed["score"], listed["daily"], listed["campaigns"]) == (brand, None, 2_000, 1)
    assert (only(either_terminal, "campaigns")["class"], only(either_terminal, "campaigns")["sms_a_minute"]) == (
        "T",
        75,
    )
    assert either_terminal.ok("brands", "vet", brand, "--score", "60") == f"ABC ({brand}) has the score 60."
    listed = only(either_terminal, "brands")
    assert (listed["identity_status"], listed["score"], listed["daily"]) == ("VETTED_VERIFIED", 60, 40_000)
    found = only(either_terminal, "campaigns")
    assert (found["tcr_id"], found["class"], found["mms_a_minute"], found["active"]) == (campaign, "C", 1_200, True)
    assert either_terminal.ok("brands", "vet", brand, "--score", "none") == f"ABC ({brand}) has no score."
    assert only(either_terminal, "brands")["score"] is None


def test_the_lists_are_for_people_in_columns(terminal: Terminal) -> None:
    terminal.organization()
    brand, campaign = registered(terminal)
    assert terminal.ok("brands", "list").splitlines()[1].split()[1:3] == [brand, "ABC"]
    assert terminal.ok("campaigns", "list").splitlines()[1].split()[1:4] == [campaign, brand, "MARKETING"]


@pytest.mark.parametrize("score", ["101", "-1", "high", "1.5"])
def test_a_score_is_a_whole_number_to_100(terminal: Terminal, score: str) -> None:
    assert "wanted a whole number from 0 to 100" in terminal.misused("brands", "vet", "B1", f"--score={score}")


def test_a_brand_that_is_not_there_cannot_be_vetted(terminal: Terminal) -> None:
    terminal.organization()
    assert terminal.refused("brands", "vet", "B1", "--score", "1") == "There is no brand 'B1' of that organisation."


def test_a_number_is_added_to_a_campaign_of_the_registry(terminal: Terminal) -> None:
    terminal.organization()
    _, campaign = registered(terminal)
    profile = terminal.profile()
    terminal.ok("numbers", "add", NUMBER, "--profile", profile, "--campaign", campaign)
    assert (only(terminal, "numbers")["campaign"], only(terminal, "campaigns")["numbers"]) == (campaign, 1)
    refusal = terminal.refused("numbers", "add", "+18445550100", "--profile", profile, "--campaign", campaign)
    assert refusal.startswith("10DLC campaigns have long codes of the US")


def test_a_number_is_not_added_to_a_campaign_that_has_ended(terminal: Terminal) -> None:
    terminal.organization()
    _, campaign = registered(terminal)

    async def end(store: Store) -> None:
        organization = (await store.listing.organizations())[0].id
        await store.registry.deactivate(organization, campaign, store.clock.now())

    beside(terminal, end)
    profile = terminal.profile()
    refusal = terminal.refused("numbers", "add", NUMBER, "--profile", profile, "--campaign", campaign)
    assert refusal == f"Campaign {campaign} is not active any more."
    assert terminal.json("numbers", "list") == []
