"""The provider's Python SDK, unchanged, with nothing but another base URL. Each test runs with both of its clients."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pydantic
import pytest
import telnyx
from telnyx import AsyncTelnyx, Telnyx

from tests.sdk.conftest import Sdk, Service
from tests.wire import ALPHANUMERIC, LONG_CODE, NO_SUCH_ID, SHORT_CODE, TO, TOLL_FREE, Accounts, on_sqlite

MESSAGE = {"from_": TOLL_FREE, "to": TO, "text": "Hello, World!"}
MEDIA = ["https://example.com/cat.png"]
SENDS = [
    ("messages.send", {}, TOLL_FREE, "SMS"),
    ("messages.send", {"text": telnyx.omit, "media_urls": MEDIA}, TOLL_FREE, "MMS"),
    ("messages.send_long_code", {"from_": LONG_CODE}, LONG_CODE, "SMS"),
    ("messages.send_short_code", {"from_": SHORT_CODE}, SHORT_CODE, "SMS"),
    ("messages.send_number_pool", {"from_": None}, None, "SMS"),
    ("messages.send_group_mms", {"from_": LONG_CODE, "to": [TO], "media_urls": MEDIA}, LONG_CODE, "MMS"),
    ("messages.send_with_alphanumeric_sender", {"from_": ALPHANUMERIC, "to": "+447400123456"}, ALPHANUMERIC, "SMS"),
]
# What the database has no part in need not be asked twice: a new client costs 50 ms.
on_one_database = pytest.mark.parametrize("database_kind", ["sqlite"])
NEEDS_PROFILE = {"messages.send_number_pool", "messages.send_with_alphanumeric_sender"}


def fields_of(method: str, service: Service, own: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call: those of `MESSAGE` with its own in their place, without those that are None."""
    profile = {"messaging_profile_id": service.profile_id} if method in NEEDS_PROFILE else {}
    return {name: value for name, value in {**MESSAGE, **profile, **own}.items() if value is not None}


def error_of(caught: pytest.ExceptionInfo[telnyx.APIStatusError]) -> Any:
    """The one error in the body that the SDK keeps."""
    body: Any = caught.value.body
    (error,) = body["errors"]
    return error


def objections(caught: pytest.ExceptionInfo[telnyx.APIResponseValidationError]) -> set[tuple[str, object]]:
    """What the strict SDK does not find in its own models: last two names of the place, and the value."""
    cause = caught.value.__cause__
    assert isinstance(cause, pydantic.ValidationError)
    return {(f"{each['loc'][-2]}.{each['loc'][-1]}", each["input"]) for each in cause.errors()}


async def scheduled(sdk: Sdk, service: Service, **fields: Any) -> Any:
    """A message that is scheduled an hour from now."""
    wanted = {**MESSAGE, "send_at": service.time(hours=1), **fields}
    return (await sdk("messages.schedule", **wanted)).data


@on_one_database
@pytest.mark.parametrize(("method", "own", "sender", "kind"), SENDS)
async def test_each_way_to_send_satisfies_the_strict_sdk(
    strict_sdk: Sdk, service: Service, method: str, own: dict[str, Any], sender: str | None, kind: str
) -> None:
    message = (await strict_sdk(method, **fields_of(method, service, own))).data
    assert (message.to[0].status, message.type, message.direction) == ("queued", kind, "outbound")
    assert message.from_.phone_number in ({sender} if sender else service.pool())
    service.tester.settle()
    assert (await strict_sdk("messages.retrieve", message.id)).data.to[0].status == "delivered"


async def test_what_was_sent_reaches_the_handset_and_is_read_as_delivered(sdk: Sdk, service: Service) -> None:
    number = "+18665550123"
    message = (await sdk("messages.send", **{**MESSAGE, "to": number})).data
    service.tester.settle()
    after = (await sdk("messages.retrieve", message.id)).data
    assert (after.to[0].status, after.cost.amount, after.cost.currency) == ("delivered", "0.0051", "USD")
    assert after.received_at <= after.sent_at <= after.completed_at
    assert message.id in [each["message_id"] for each in service.tester.handset(number)]


async def test_a_scheduled_message_shows_when_it_will_go(sdk: Sdk, service: Service) -> None:
    send_at = service.time(hours=1)
    message = await scheduled(sdk, service, send_at=send_at)
    read = (await sdk("messages.retrieve", message.id)).data
    assert type(read).__name__ == "OutboundMessagePayload"
    assert message.to[0].status == read.to[0].status == "scheduled"
    assert message.send_at == read.send_at == send_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def test_sending_takes_a_time_too(sdk: Sdk, service: Service) -> None:
    message = (await sdk("messages.send", **MESSAGE, send_at=service.time(hours=1))).data
    assert message.to[0].status == "scheduled"
    assert (await sdk("messages.cancel_scheduled", message.id)).to[0].status == "cancelled"


async def test_a_scheduled_message_leaves_at_its_time(sdk: Sdk, service: Service) -> None:
    send_at = service.time(hours=1)
    message = await scheduled(sdk, service, send_at=send_at)
    service.tester.advance_to(service.tester.time(hours=1, seconds=1))
    read = (await sdk("messages.retrieve", message.id)).data
    assert read.to[0].status == "delivered"
    assert 0 <= (read.sent_at - send_at).total_seconds() < 1


async def test_a_cancelled_message_is_answered_flat_and_costs_nothing(sdk: Sdk, service: Service) -> None:
    message = await scheduled(sdk, service)
    cancelled = await sdk("messages.cancel_scheduled", message.id)
    assert (cancelled.id, cancelled.to[0].status) == (message.id, "cancelled")
    assert (cancelled.cost.amount, cancelled.cost.currency, cancelled.cost_breakdown) == (0, None, None)
    assert (await sdk("messages.retrieve", message.id)).data.to[0].status == "cancelled"


async def test_a_cancelled_message_never_reaches_the_handset(sdk: Sdk, service: Service) -> None:
    number = "+18665550124"
    message = await scheduled(sdk, service, to=number)
    await sdk("messages.cancel_scheduled", message.id)
    service.tester.advance_to(service.tester.time(hours=2))
    assert message.id not in [each["message_id"] for each in service.tester.handset(number)]


async def test_a_cancel_that_is_repeated_answers_the_same(sdk: Sdk, service: Service) -> None:
    message = await scheduled(sdk, service)
    first, second = [await sdk("messages.with_raw_response.cancel_scheduled", message.id) for _ in range(2)]
    assert first.http_response.content == second.http_response.content
    assert second.http_response.status_code == 200


@asynccontextmanager
async def losing_the_first_answer(base_url: str) -> AsyncIterator[str]:
    """The URL of a way to the server on which the answer to the first request is lost after it was carried out."""
    place = urlsplit(base_url)
    answers = 0

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answers
        request = await reader.readuntil(b"\r\n\r\n")
        there, back = await asyncio.open_connection(place.hostname, place.port)
        back.write(request.replace(b"Connection: keep-alive", b"Connection: close"))
        answer = await there.read()
        back.close()
        answers += 1
        writer.write(answer if answers > 1 else b"")
        writer.close()

    async with await asyncio.start_server(relay, "127.0.0.1") as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{place.path}"


async def test_the_sdk_repeats_a_cancel_whose_answer_was_lost_and_is_told_the_truth(service: Service) -> None:
    message = service.tester.schedule(hours=1)
    async with (
        losing_the_first_answer(service.base_url) as base_url,
        AsyncTelnyx(api_key=service.api_key, base_url=base_url, max_retries=1) as client,
    ):
        raw = await client.messages.with_raw_response.cancel_scheduled(message["id"])
    assert raw.retries_taken == 1
    assert (await raw.parse()).to[0].status == "cancelled"  # type: ignore[index]  # every field of its models is optional


async def test_a_group_is_read_as_its_messages(sdk: Sdk, service: Service) -> None:
    recipients = [TO, "+18665550002"]
    group = (await sdk("messages.send_group_mms", from_=LONG_CODE, to=recipients, text="Hello")).data
    each = (await sdk("messages.retrieve_group_messages", group.id)).data
    assert [to.phone_number for to in group.to] == recipients
    assert [message.to[0].phone_number for message in each] == recipients
    assert {message.group_message_id for message in each} == {group.id} == {group.group_message_id}


@on_one_database
async def test_a_number_brings_its_tags_and_its_campaign(sdk: Sdk) -> None:
    message = (await sdk("messages.send", **{**MESSAGE, "from_": LONG_CODE})).data
    assert message.tags == ["Greetings"]
    assert (message.tcr_campaign_id, message.tcr_campaign_billable) == ("TCPA3X7", True)
    assert message.tcr_campaign_registered == "REGISTERED"


async def test_a_profile_is_read_as_it_was_made(strict_sdk: Sdk) -> None:
    pool = {"long_code_weight": 1, "toll_free_weight": 10, "skip_unhealthy": True}
    made = (
        await strict_sdk(
            "messaging_profiles.create",
            name="Alerts",
            whitelisted_destinations=["US", "CA"],
            webhook_url="https://www.example.com/hooks",
            number_pool_settings=pool,
            daily_spend_limit="100.00",
            smart_encoding=True,
        )
    ).data
    assert (await strict_sdk("messaging_profiles.retrieve", made.id)).data == made
    assert (made.name, made.whitelisted_destinations, made.smart_encoding) == ("Alerts", ["US", "CA"], True)
    assert made.number_pool_settings.toll_free_weight == 10


async def test_profiles_are_listed_over_pages_and_by_name(sdk: Sdk, request: pytest.FixtureRequest) -> None:
    name = request.node.name
    for number in range(3):
        await sdk("messaging_profiles.create", name=f"{name} {number}", whitelisted_destinations=["US"])
    page = await sdk("messaging_profiles.list", page_size=2, filter={"name": f"{name} 1"})
    assert [each.name for each in page.data] == [f"{name} 1"]
    page = await sdk("messaging_profiles.list", page_size=2, extra_query={"filter[name][contains]": name})
    found = [each.name async for each in page] if hasattr(page, "__aiter__") else [each.name for each in page]
    assert found == [f"{name} {number}" for number in (2, 1, 0)]


ERRORS: list[tuple[str, tuple[str, ...], dict[str, Any], type[telnyx.APIStatusError], str]] = [
    ("messages.send", (), {"to": "12"}, telnyx.BadRequestError, "40310"),
    ("messages.send", (), {"from_": "+13125559999"}, telnyx.BadRequestError, "40305"),
    ("messages.send", (), {"text": 5}, telnyx.BadRequestError, "10026"),
    ("messages.send", (), {"send_at": "2020-01-01T00:00:00Z"}, telnyx.BadRequestError, "10033"),
    ("messages.send", (), {"send_at": "tomorrow"}, telnyx.BadRequestError, "10015"),
    ("messages.schedule", (), {}, telnyx.BadRequestError, "10004"),
    ("messages.send_long_code", (), {"from_": SHORT_CODE}, telnyx.BadRequestError, "40305"),
    ("messages.send", (), {"messaging_profile_id": NO_SUCH_ID}, telnyx.UnprocessableEntityError, "10017"),
    ("messages.retrieve", (NO_SUCH_ID,), {}, telnyx.NotFoundError, "10005"),
    ("messages.cancel_scheduled", (NO_SUCH_ID,), {}, telnyx.NotFoundError, "10005"),
    ("messages.cancel_scheduled", ("no id",), {}, telnyx.NotFoundError, "10005"),
    ("messages.retrieve_group_messages", (NO_SUCH_ID,), {}, telnyx.NotFoundError, "10005"),
    ("messaging_profiles.retrieve", (NO_SUCH_ID,), {}, telnyx.NotFoundError, "10005"),
]


@on_one_database
@pytest.mark.parametrize(("method", "arguments", "own", "kind", "code"), ERRORS)
async def test_a_refusal_is_the_error_class_of_its_status(
    sdk: Sdk,
    method: str,
    arguments: tuple[str, ...],
    own: dict[str, Any],
    kind: type[telnyx.APIStatusError],
    code: str,
) -> None:
    fields = own if arguments else {**MESSAGE, **own}
    with pytest.raises(kind) as caught:
        await sdk(method, *arguments, **fields)
    assert type(caught.value) is kind
    assert error_of(caught)["code"] == code


@on_one_database
async def test_a_wrong_key_is_an_authentication_error(sdk: Sdk) -> None:
    with pytest.raises(telnyx.AuthenticationError) as caught:
        await sdk.with_options(api_key="KEY_wrong")("messages.send", **MESSAGE)
    assert error_of(caught)["code"] == "10009"


async def test_a_cancel_that_comes_too_late_is_permission_denied(sdk: Sdk, service: Service) -> None:
    message = (await sdk("messages.send", **MESSAGE)).data
    service.tester.settle()
    with pytest.raises(telnyx.PermissionDeniedError) as caught:
        await sdk("messages.cancel_scheduled", message.id)
    assert error_of(caught)["meta"]["status"] == "delivered"


async def test_too_many_scheduled_messages_are_a_rate_limit_until_one_is_cancelled(sdk: Sdk, service: Service) -> None:
    small = service.accounts.organization(max_pending=1)
    number = service.accounts.sender(service.accounts.profile(small))
    theirs = sdk.with_options(api_key=service.accounts.key(small), max_retries=0)
    message = await scheduled(theirs, service, from_=number)
    with pytest.raises(telnyx.RateLimitError) as caught:
        await scheduled(theirs, service, from_=number)
    assert error_of(caught)["code"] == "40318"
    await theirs("messages.cancel_scheduled", message.id)
    assert (await scheduled(theirs, service, from_=number)).to[0].status == "scheduled"


def test_a_fault_of_the_server_is_an_internal_error_and_only_what_is_harmless_is_repeated(tmp_path: Path) -> None:
    with on_sqlite(tmp_path) as server:
        with Accounts(server).caller() as caller:
            message = caller.schedule(hours=1)
        damage(tmp_path / "h.db")
        with Telnyx(api_key=server.ready["api_key"], base_url=server.base_url, max_retries=1) as client:
            with pytest.raises(telnyx.InternalServerError) as sending:
                client.messages.send(**MESSAGE)  # type: ignore[arg-type]  # a dict of texts
            with pytest.raises(telnyx.InternalServerError) as cancelling:
                client.messages.cancel_scheduled(message["id"])
    assert error_of(sending)["code"] in {"10007", "10037"}
    assert sending.value.response.headers["x-should-retry"] == "false"
    assert sending.value.request.headers["x-stainless-retry-count"] == "0"
    assert cancelling.value.request.headers["x-stainless-retry-count"] == "1"


def damage(database: Path) -> None:
    """Let nothing be written to the table of messages. Of a table that is gone the server would ask for 5 seconds."""
    connection = sqlite3.connect(database)
    for change in ("INSERT", "UPDATE"):
        connection.execute(
            f"CREATE TRIGGER no_{change} BEFORE {change} ON messages BEGIN SELECT RAISE(ABORT, 'damaged'); END"
        )
    connection.close()


@on_one_database
async def test_the_strict_sdk_objects_to_nothing_but_the_word_scheduled(strict_sdk: Sdk, service: Service) -> None:
    with pytest.raises(telnyx.APIResponseValidationError) as caught:
        await scheduled(strict_sdk, service)
    # The model of a send has no such status, the page on scheduling has it (Contract 1.3).
    assert objections(caught) == {("0.status", "scheduled")}


@on_one_database
async def test_the_strict_sdk_objects_to_nothing_but_the_cost_of_the_cancel_page(
    strict_sdk: Sdk, service: Service
) -> None:
    message = service.tester.schedule(hours=1)
    with pytest.raises(telnyx.APIResponseValidationError) as caught:
        await strict_sdk("messages.cancel_scheduled", message["id"])
    assert objections(caught) == {("cost.amount", 0)}


@on_one_database
def test_the_environment_alone_is_enough(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELNYX_BASE_URL", service.base_url)
    monkeypatch.setenv("TELNYX_API_KEY", service.api_key)
    with Telnyx() as client:
        profile = client.messaging_profiles.retrieve(service.profile_id).data
    assert profile is not None
    assert profile.id == service.profile_id
