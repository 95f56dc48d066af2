"""The upstream carrier: the media of an MMS, and its options."""

import asyncio
from typing import Any

import pytest

from heliograph.carriers.interface import (
    CarrierFailure,
    Refused,
    Taken,
    TemporarilyRefused,
    Throttled,
    Unreachable,
)
from heliograph.domain.instant import MILLISECOND
from tests.carriers.upstreams import (
    KEY,
    MESSAGES,
    PROBE,
    THEIR_ID,
    Signer,
    forwarding,
    mms,
    options,
    upstream,
)
from tests.webhooks.receiver import (
    Behaviour,
    Receiver,
    answer,
    close_unanswered,
    held,
    silent,
)


def picture(size: int = 100) -> Behaviour:
    return answer(200, bytes(size), Content_Type="image/png")


async def submitted_mms(play: Behaviour, attempts: int = 1, **named: Any) -> tuple[Taken | CarrierFailure, Receiver]:
    async with upstream() as server, forwarding(server, **named) as watched:
        given = mms(server.script("/a.png", play), attempts=attempts)
        try:
            return await watched.submit(given), server
        except CarrierFailure as failure:
            return failure, server


async def test_the_media_of_an_mms_are_looked_at_before_it_is_submitted() -> None:
    told, server = await submitted_mms(picture())
    assert isinstance(told, Taken)
    assert told.media is not None
    (item,) = told.media
    assert (item.url, item.content_type, item.size) == (server.url("/a.png"), "image/png", 100)
    assert [each.path for each in server.requests if each.path != PROBE] == ["/a.png", MESSAGES]


async def test_media_are_left_alone_where_nobody_wants_them_looked_at() -> None:
    told, server = await submitted_mms(picture(), fetch_media=False)
    assert (told, server.at("/a.png")) == (Taken((THEIR_ID,), None), [])


@pytest.mark.parametrize(
    ("play", "attempts", "kind"),
    [
        (answer(404), 1, Refused),
        (answer(200, b"<p>", Content_Type="text/html"), 1, Refused),
        (picture(1_000_000), 1, Refused),
        (answer(503), 1, TemporarilyRefused),
        (answer(503), 2, TemporarilyRefused),
        (answer(503), 3, Refused),
        (close_unanswered, 1, TemporarilyRefused),
    ],
    ids=["missing", "type", "size", "503", "503 again", "503 for good", "lost"],
)
async def test_media_that_cannot_be_sent_fail_the_message_before_it_leaves(
    play: Behaviour, attempts: int, kind: type[CarrierFailure]
) -> None:
    told, server = await submitted_mms(play, attempts)
    assert isinstance(told, CarrierFailure)
    assert (type(told), told.error.code, server.at(MESSAGES)) == (kind, "40009", [])


async def test_media_may_take_half_of_the_time_there_is() -> None:
    async with upstream() as server, forwarding(server) as watched:
        given = mms(server.script("/a.png", silent))
        failure = await watched.failure(given, within=400 * MILLISECOND)
        assert (type(failure), server.at(MESSAGES), watched.carrier.up) == (TemporarilyRefused, [], True)


@pytest.mark.parametrize(("status", "kind"), [(503, Unreachable), (429, Throttled)], ids=["down", "resting"])
async def test_an_upstream_that_went_down_while_media_were_fetched_is_given_nothing(
    status: int, kind: type[CarrierFailure]
) -> None:
    gate = asyncio.Event()
    async with upstream() as server, forwarding(server) as watched:
        task = asyncio.create_task(watched.failure(mms(server.script("/a.png", held(gate, picture())))))
        await server.holds(1, "/a.png")
        server.script(MESSAGES, answer(status))
        await watched.failure()
        gate.set()
        assert (type(await task), len(server.at(MESSAGES))) == (kind, 1)


async def test_a_stop_while_media_are_fetched_comes_before_the_message() -> None:
    gate = asyncio.Event()
    async with upstream() as server, forwarding(server) as watched:
        task = asyncio.create_task(watched.failure(mms(server.script("/a.png", held(gate, picture())))))
        await server.holds(1, "/a.png")
        stopping = asyncio.create_task(watched.carrier.stop())
        await asyncio.sleep(0)
        gate.set()
        await stopping
        assert (type(await task), server.at(MESSAGES)) == (Unreachable, [])


async def test_an_upstream_without_mms_takes_none() -> None:
    told, server = await submitted_mms(picture(), mms=False)
    assert (type(told), server.at(MESSAGES)) == (Refused, [])


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"name": ""}, "'name'"),
        ({"name": "a/b"}, "'name'"),
        ({"name": ".."}, "'name'"),
        ({"base_url": "up.example/v2"}, "'base_url'"),
        ({"base_url": "https://me:secret@up.example/v2"}, "'base_url'"),
        ({"base_url": "https://up.example/v2?a=b"}, "'base_url'"),
        ({"base_url": "https://up.example/v2#a"}, "'base_url'"),
        ({"api_key": ""}, "'api_key'"),
        ({"api_key": "KEY\r\nX-A: b"}, "'api_key'"),
        ({"api_key": "KEY é"}, "'api_key'"),
        ({"window": 0}, "'window'"),
        ({"timeout": 0}, "'timeout'"),
        ({"public_keys": ("AAAA",)}, "public key"),
        ({"public_keys": ("not base64",)}, "public key"),
        ({"callback_url": "https://ours.example"}, "public key"),
        ({"callback_url": "ours.example", "public_keys": (Signer().public,)}, "'callback_url'"),
    ],
)
def test_options_that_cannot_be_used_are_refused_by_name(given: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        options(**{"base_url": "https://up.example/v2"} | given)


def test_the_key_is_not_shown() -> None:
    assert KEY not in repr(options("https://up.example/v2"))
