"""Automatic replies and opt-outs by the provider's Python SDK, unchanged, with both of its clients."""

from datetime import UTC, datetime
from typing import Any

import pytest
import telnyx
from msgspec.structs import asdict
from sqlalchemy import insert

from heliograph.domain.accounts import Profile
from heliograph.domain.consent import OptOut
from heliograph.domain.instant import parse
from heliograph.store.store import Store
from heliograph.store.tables import opt_outs
from tests.builders import new_id
from tests.sdk.conftest import Sdk, Service
from tests.wire import NO_SUCH_ID, TO, TOLL_FREE

CONFIGS = "messaging_profiles.autoresp_configs"
GIVEN: dict[str, Any] = {
    "op": "start",
    "keywords": ["START", "BEGIN"],
    "country_code": "US",
    "resp_text": "Thank you for subscribing US customer.",
}


@pytest.fixture
def profile(service: Service) -> Profile:
    """A profile of the caller's that nothing is set on."""
    organization, _ = service.accounts.sandbox()
    return service.accounts.profile(organization)


def opt_out(service: Service, profile: Profile, **given: Any) -> None:
    """Put an opt-out into the database as a STOP does."""

    async def keep(store: Store) -> None:
        values: dict[str, Any] = {"sender": TOLL_FREE, "recipient": TO, "keyword": "STOP", "created_at": 1}
        owner: dict[str, Any] = {"organization_id": profile.organization_id, "profile_id": profile.id}
        async with store.engine.transaction() as transaction:
            made = OptOut(id=new_id(store), **owner, **(values | given))
            await transaction.execute(insert(opt_outs).values(**asdict(made)))

    service.accounts._beside(keep)


async def test_settings_live_and_end_as_the_sdk_has_it(strict_sdk: Sdk, profile: Profile) -> None:
    made = (await strict_sdk(f"{CONFIGS}.create", profile.id, **GIVEN)).data
    assert {name: getattr(made, name) for name in GIVEN} == GIVEN
    assert isinstance(made.created_at, datetime)
    assert (await strict_sdk(f"{CONFIGS}.retrieve", made.id, profile_id=profile.id)).data == made
    given = {"op": "info", "keywords": ["WHO"], "country_code": "*"}
    kept = (await strict_sdk(f"{CONFIGS}.update", made.id, profile_id=profile.id, **given)).data
    assert (kept.op, kept.resp_text, kept.created_at) == ("info", None, made.created_at)
    # The SDK gives the body of an answer that is a text as it came.
    assert await strict_sdk(f"{CONFIGS}.delete", made.id, profile_id=profile.id) == '"OK"'
    assert (await strict_sdk(f"{CONFIGS}.list", profile.id)).data == []


async def test_settings_are_listed_by_country_and_moment(strict_sdk: Sdk, profile: Profile) -> None:
    made = (await strict_sdk(f"{CONFIGS}.create", profile.id, **GIVEN)).data
    moment = {"gte": made.created_at.isoformat(), "lte": made.created_at.isoformat()}
    answer = await strict_sdk(f"{CONFIGS}.list", profile.id, country_code="US", created_at=moment, updated_at=moment)
    assert (answer.data, answer.meta.total_results) == ([made], 1)
    assert (await strict_sdk(f"{CONFIGS}.list", profile.id, country_code="MX")).data == []


async def test_bad_settings_raise_what_the_sdk_has_for_them(sdk: Sdk, profile: Profile) -> None:
    with pytest.raises(telnyx.BadRequestError):
        await sdk(f"{CONFIGS}.create", profile.id, **{**GIVEN, "keywords": ["STOP"]})
    with pytest.raises(telnyx.NotFoundError):
        await sdk(f"{CONFIGS}.retrieve", NO_SUCH_ID, profile_id=profile.id)


async def test_opt_outs_are_found_by_every_filter(strict_sdk: Sdk, service: Service, profile: Profile) -> None:
    opt_out(service, profile, created_at=parse("2025-04-28T12:00:38.631252Z"))
    moment = datetime(2025, 4, 28, 12, 0, 38, 631_000, tzinfo=UTC)
    wanted = {"messaging_profile_id": profile.id, "from": TOLL_FREE}
    found = await strict_sdk("messaging_optouts.list", filter=wanted, created_at={"gte": moment, "lte": moment})
    (only,) = found.data
    assert (only.from_, only.to, only.keyword, only.messaging_profile_id) == (TOLL_FREE, TO, "STOP", profile.id)
    assert only.created_at == moment
    masked = await strict_sdk("messaging_optouts.list", filter=wanted, redaction_enabled="true")
    assert [each.to for each in masked.data] == ["+18665****"]


async def test_the_sdk_goes_through_every_page_of_opt_outs(sdk: Sdk, service: Service, profile: Profile) -> None:
    people = [f"+1866555010{number}" for number in range(3)]
    for moment, person in enumerate(people):
        opt_out(service, profile, recipient=person, created_at=moment)
    wanted = {"messaging_profile_id": profile.id}
    page, found = await sdk("messaging_optouts.list", filter=wanted, page_size=2), []
    while True:
        found += [each.to for each in page.data]
        if not page.has_next_page():
            break
        page = await Sdk(page)("get_next_page")
    assert found == people[::-1]
