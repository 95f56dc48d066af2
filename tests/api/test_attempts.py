"""A request that is composed again, because accounts changed under it, stays one request."""

from pathlib import Path

import httpx

from heliograph.domain.accounts import RuleOverrides
from heliograph.server import SANDBOX_ORGANIZATION, running
from heliograph.settings import load
from heliograph.store.messages import Acceptance, AcceptAnswer, Accepted
from tests.wire import MESSAGE


async def test_every_attempt_has_the_same_ids(tmp_path: Path) -> None:
    given = {
        "HELIOGRAPH_SANDBOX__ENABLED": "true",
        "HELIOGRAPH_HTTP__PORT": "0",
        "HELIOGRAPH_DATABASE__URL": f"sqlite:///{tmp_path}/h.db",
    }
    async with running(load(None, given)) as server:
        store, accept, asked = server.store, server.store.accept, list[tuple[list[str], Accepted]]()
        organization = await store.listing.organization(SANDBOX_ORGANIZATION)
        assert organization is not None

        async def raced(acceptance: Acceptance) -> AcceptAnswer:
            """The first time, an account changes right before the messages are put down."""
            if not asked:
                await store.changes.set_rules(organization.id, RuleOverrides())
            answer = await accept(acceptance)
            asked.append(([each.id for each in acceptance.messages], answer.outcome))
            return answer

        store.accept = raced  # type: ignore[method-assign]  # the moment cannot be met from outside
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {server.api_key}"}) as client:
            answer = await client.post(f"{server.base_url}/v2/messages", json=MESSAGE)
        assert [outcome for _, outcome in asked] == [Accepted.STALE, Accepted.TAKEN]
        assert [ids for ids, _ in asked] == [[answer.json()["data"]["id"]]] * 2
