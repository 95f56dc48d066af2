"""Somebody who opted out, by the provider's Python SDK, unchanged, with both of its clients."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
import telnyx
from telnyx import AsyncTelnyx, DefaultAsyncHttpxClient, DefaultHttpxClient

from heliograph.domain.accounts import NumberPool, Profile
from tests.sdk.conftest import NO_TLS, Sdk, Service, connected

CAT = "https://example.com/cat.png"
_PEOPLE = count(3_000_000)


@dataclass
class Line:
    """A number with a profile of its own, and a person whom nobody else writes to."""

    service: Service
    profile: Profile
    number: str
    person: str = field(default_factory=lambda: f"+1773{next(_PEOPLE)}")

    def says(self, text: str) -> Any:
        """The person writes to the number."""
        path = f"/sandbox/handsets/{self.person}/messages"
        return self.service.tester("POST", path, {"to": self.number, "text": text}).data


@pytest.fixture
def line(service: Service) -> Line:
    organization, _ = service.accounts.sandbox()
    pool = NumberPool(1, 1, skip_unhealthy=False)
    profile = service.accounts.profile(organization, number_pool_settings=pool)
    return Line(service, profile, service.accounts.sender(profile))


@pytest.fixture
def wire() -> list[str]:
    """Every request that leaves the SDK."""
    return []


@pytest.fixture
async def watched(client_class: Any, service: Service, wire: list[str]) -> AsyncIterator[Sdk]:
    """A client of each class, with the retries that it comes with; each of its requests is seen on `wire`."""

    def seen(request: Any) -> None:
        wire.append(f"{request.method} {request.url.path}")

    async def seen_later(request: Any) -> None:
        seen(request)

    if client_class is AsyncTelnyx:
        http: Any = DefaultAsyncHttpxClient(verify=NO_TLS, event_hooks={"request": [seen_later]})
    else:
        http = DefaultHttpxClient(verify=NO_TLS, event_hooks={"request": [seen]})
    async with connected(client_class, service, http_client=http) as sdk:
        assert sdk.client.max_retries > 0
        yield sdk


def ways(line: Line) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every way in which the SDK sends to the person."""
    message = {"from_": line.number, "to": line.person, "text": "Hello, World!"}
    yield "send", message
    yield "send_long_code", message
    yield "schedule", {**message, "send_at": line.service.time(hours=1)}
    yield "send_number_pool", {"messaging_profile_id": line.profile.id, "to": line.person, "text": "Hello, World!"}
    yield "send_group_mms", {"from_": line.number, "to": [line.person], "media_urls": [CAT]}
    code = f"{next(_PEOPLE) % 1_000_000:06d}"
    line.service.accounts.sender(line.profile, code)
    yield "send_short_code", {**message, "from_": code}


async def test_a_blocked_message_is_a_conflict_that_is_not_tried_again(
    watched: Sdk, line: Line, wire: list[str]
) -> None:
    line.says("STOP")
    for method, fields in ways(line):
        wire.clear()
        with pytest.raises(telnyx.ConflictError) as conflict:
            await watched(f"messages.{method}", **fields)
        assert (method, len(wire)) == (method, 1)
        body: Any = conflict.value.body
        (error,) = body["errors"]
        assert (error["code"], error["title"]) == ("40300", "Blocked due to STOP message")


async def test_after_a_start_the_same_message_is_taken(sdk: Sdk, line: Line) -> None:
    line.says("STOP")
    line.says("START")
    answer = await sdk("messages.send", from_=line.number, to=line.person, text="Hello, World!")
    assert answer.data.to[0].status == "queued"


async def test_a_message_that_came_in_is_read_by_the_models_of_the_sdk(strict_sdk: Sdk, line: Line) -> None:
    message = line.says("stop")
    found = (await strict_sdk("messages.retrieve", message["id"])).data
    assert (found.id, found.direction, found.text, found.type) == (message["id"], "inbound", "stop", "SMS")
    assert (found.from_.phone_number, found.to[0].phone_number) == (line.person, line.number)
    assert found.messaging_profile_id == line.profile.id


async def test_an_opt_out_is_listed_until_it_ends(strict_sdk: Sdk, line: Line) -> None:
    wanted = {"messaging_profile_id": line.profile.id}
    line.says("quit")
    (only,) = (await strict_sdk("messaging_optouts.list", filter=wanted)).data
    assert (only.from_, only.to, only.keyword) == (line.number, line.person, "QUIT")
    line.says("unstop")
    assert (await strict_sdk("messaging_optouts.list", filter=wanted)).data == []


async def test_what_a_stop_cancelled_is_cancelled_for_the_sdk_too(sdk: Sdk, line: Line) -> None:
    at = line.service.time(hours=1)
    message = await sdk("messages.schedule", from_=line.number, to=line.person, text="Hello", send_at=at)
    line.says("STOP")
    answer = await sdk("messages.cancel_scheduled", message.data.id)
    assert answer.to[0].status == "cancelled"
    assert [error.code for error in answer.errors] == ["40300"]
    found = (await sdk("messages.retrieve", message.data.id)).data
    assert (found.to[0].status, [error.code for error in found.errors]) == ("cancelled", ["40300"])
