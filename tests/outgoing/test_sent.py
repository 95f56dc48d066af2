"""The guarded HTTP client: whether bytes of a request left, until when they may, and how much of an answer is read."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from heliograph.clock import monotonic
from heliograph.domain.instant import MILLISECOND, SECOND
from heliograph.outgoing import OutgoingFailure, OutgoingHttp
from tests.outgoing.endpoints import (
    LOCAL,
    OK,
    STRICT,
    Play,
    client,
    drips,
    endpoint,
    failure,
    fault_of,
    leads_to,
    post,
    says,
    says_and_hangs,
    says_and_hangs_up,
    says_and_resets,
)


def no_name(host: str) -> Sequence[str]:
    raise socket.gaierror(socket.EAI_NONAME, "not known")


async def late(http: OutgoingHttp, url: str, until: int) -> OutgoingFailure:
    with pytest.raises(OutgoingFailure) as caught:
        await http.request("POST", url, headers={}, body=b"{}", timeout=20 * SECOND, until=until)
    return caught.value


@pytest.mark.parametrize("url", ["ftp://hooks.example/", "http://me@hooks.example/", "http://10.0.0.1/"])
async def test_nothing_was_sent_to_what_may_not_be_called(url: str) -> None:
    async with client(STRICT, look_up=leads_to("10.0.0.1")) as http:
        assert not (await failure(http, url)).sent


async def test_nothing_was_sent_where_there_is_no_name_or_no_permitted_address() -> None:
    for look_up in (no_name, leads_to(), leads_to("10.0.0.1")):
        async with client(STRICT, look_up=look_up) as http:
            assert not (await failure(http, "http://hooks.example/")).sent


async def test_nothing_was_sent_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with client() as http:
        assert not (await failure(http, f"http://127.0.0.1:{port}/")).sent


async def test_nothing_was_sent_where_tls_does_not_come_about() -> None:
    async with endpoint() as place, client(replace(LOCAL, connect=SECOND)) as http:
        assert not (await failure(http, f"https://127.0.0.1:{place.port}/")).sent


async def test_nothing_was_sent_when_the_time_ends_before_there_is_a_connection() -> None:
    held = threading.Event()
    async with client(look_up=lambda _host: [str(held.wait())]) as http:
        ended = await failure(http, "http://hooks.example/", 100 * MILLISECOND)
    held.set()
    assert (ended.sent, ended.detail) == (False, "No answer within 0.1 seconds.")


@pytest.mark.parametrize(
    "play",
    [
        says_and_hangs_up(b""),
        says_and_resets(b""),
        says_and_hangs_up(b"HTTP/1.1 200 OK\r\nX-A"),
        says_and_resets(b"HTTP/1.1 200 OK\r\nX-A"),
        says(b"220 mail.example ESMTP\r\n\r\n"),
    ],
    ids=["end", "reset", "end within", "reset within", "garbage"],
)
async def test_a_request_that_was_read_and_not_answered_was_sent(play: Play) -> None:
    assert (await fault_of(play)).sent


@pytest.mark.parametrize(
    "play", [says_and_hangs(b""), says_and_hangs(OK[:20]), drips(OK[:17], b"X")], ids=["none", "half", "drip"]
)
async def test_a_request_whose_answer_does_not_come_in_time_was_sent(play: Play) -> None:
    async with endpoint(play) as place, client() as http:
        assert (await failure(http, place.url, 300 * MILLISECOND)).sent


async def test_a_stop_tells_of_a_request_under_way_that_it_was_sent() -> None:
    async with endpoint(says_and_hangs(b"")) as place, client() as http:
        hanging = asyncio.create_task(failure(http, place.url))
        await place.asked.wait()
        await http.stop()
        assert (await hanging).sent


async def test_a_stop_tells_of_a_request_that_waits_for_its_name_that_it_was_not_sent() -> None:
    held, asked, loop = threading.Event(), asyncio.Event(), asyncio.get_running_loop()

    def look_up(host: str) -> Sequence[str]:
        loop.call_soon_threadsafe(asked.set)
        held.wait()
        return []

    async with client(look_up=look_up) as http:
        hanging = asyncio.create_task(failure(http, "http://hooks.example/"))
        await asked.wait()
        await http.stop()
        ended = await hanging
    held.set()
    assert not ended.sent


async def test_from_its_moment_on_no_byte_of_a_request_leaves() -> None:
    async with endpoint() as place, client() as http:
        ended = await late(http, place.url, monotonic())
        await place.left.wait()
        assert (ended.sent, place.connections, place.requests) == (False, 1, [])
        assert ended.detail == "The connection came about too late to send anything over it."


async def test_nor_over_a_kept_connection() -> None:
    async with endpoint() as place, client() as http:
        await post(http, place.url)
        ended = await late(http, place.url, monotonic() - SECOND)
        await place.left.wait()
        assert (ended.sent, place.connections, len(place.requests)) == (False, 1, 1)


async def test_nor_when_its_moment_comes_while_the_connection_is_made() -> None:
    until = monotonic() + 50 * MILLISECOND
    over = threading.Event()

    def slow(host: str) -> Sequence[str]:
        while monotonic() < until:
            over.wait(0.01)
        return ["127.0.0.1"]

    async with endpoint() as place, client(look_up=slow) as http:
        ended = await late(http, f"http://hooks.example:{place.port}/", until)
        assert (ended.sent, place.requests) == (False, [])


async def test_before_its_moment_a_request_leaves() -> None:
    async with endpoint() as place, client() as http:
        answer = await http.request(
            "POST", place.url, headers={}, body=b"{}", timeout=20 * SECOND, until=monotonic() + 20 * SECOND
        )
        assert answer.status == 200


@pytest.mark.parametrize(("largest", "read", "cut"), [(None, 1000, True), (10, 10, True), (5000, 2000, False)])
async def test_one_request_may_have_a_bound_of_its_own(largest: int | None, read: int, cut: bool) -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000
    async with endpoint(says(said)) as place, client(LOCAL) as http:
        answer = await http.request("POST", place.url, headers={}, body=b"", timeout=20 * SECOND, largest=largest)
        assert (len(answer.body), answer.cut) == (read, cut)
