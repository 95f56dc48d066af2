"""The guarded HTTP client: names, connections, and what is kept of both."""

import asyncio
import socket
import threading
from collections.abc import Sequence

import pytest

from heliograph.domain.delivery import Fault
from heliograph.domain.instant import MILLISECOND
from heliograph.outgoing import OutgoingOptions
from heliograph.outgoing.client import LOOK_UPS, LOOK_UPS_OF_A_DOMAIN, Guard, _Names
from heliograph.outgoing.interface import LookUp
from tests.outgoing.endpoints import (
    ANSWERS,
    LOCAL,
    OK,
    Play,
    client,
    endpoint,
    failure,
    leads_to,
    post,
    says_and_hangs,
    says_and_hangs_up,
    says_and_resets,
)


async def test_where_nobody_listens_there_is_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with client() as http:
        ended = await failure(http, f"http://127.0.0.1:{port}/")
    assert (ended.fault, ended.detail) == (Fault.NO_CONNECTION, "No connection to 127.0.0.1 could be made.")


def _no_name(host: str) -> Sequence[str]:
    raise socket.gaierror(socket.EAI_NONAME, "not known")


def _unpronounceable(host: str) -> Sequence[str]:
    raise UnicodeError("label too long")


@pytest.mark.parametrize("look_up", [_no_name, _unpronounceable, leads_to()])
async def test_a_name_without_an_address_is_told_as_such(look_up: LookUp) -> None:
    async with client(look_up=look_up) as http:
        ended = await failure(http, "http://hooks.example/")
    assert ended.fault is Fault.NO_NAME
    assert "hooks.example" in ended.detail


async def test_a_name_that_is_not_resolved_in_the_time_for_connections_is_no_connection() -> None:
    held = threading.Event()
    options = OutgoingOptions(connect=200 * MILLISECOND)
    async with client(options, look_up=lambda _host: [str(held.wait())]) as http:
        ended = await failure(http, "http://hooks.example/")
    held.set()
    assert ended.fault is Fault.NO_CONNECTION


async def test_a_name_is_tried_at_its_next_address() -> None:
    async with endpoint() as place, client(look_up=leads_to("127.0.0.2", "127.0.0.1")) as http:
        assert (await post(http, f"http://hooks.example:{place.port}/")).status == 200


async def test_two_posts_share_a_connection() -> None:
    async with endpoint() as place, client() as http:
        for _ in range(2):
            await post(http, place.url)
        assert (len(place.requests), place.connections) == (2, 1)


async def test_a_kept_connection_that_the_server_closed_costs_no_delivery() -> None:
    async with endpoint(says_and_hangs_up(OK)) as place, client() as http:
        for number in range(1, 20):
            assert (await post(http, place.url)).status == 200
            await place.left.wait()
            place.left.clear()
            assert place.connections == number


@pytest.mark.parametrize("end", [says_and_hangs_up(b""), says_and_resets(b"")], ids=["end", "reset"])
async def test_what_was_sent_on_a_kept_connection_is_never_sent_twice(end: Play) -> None:
    plays = [ANSWERS, end, ANSWERS]
    async with endpoint(lambda reader, writer: plays.pop(0)(reader, writer)) as place, client() as http:
        assert (await post(http, place.url)).status == 200
        assert (await failure(http, place.url)).fault is Fault.OTHER
        assert (len(place.requests), place.connections) == (2, 1)


async def test_a_post_that_hangs_holds_up_no_other() -> None:
    async with endpoint(says_and_hangs(b"")) as deaf, endpoint() as place, client() as http:
        hanging = [asyncio.create_task(post(http, deaf.url)) for _ in range(150)]
        await deaf.asked.wait()
        assert (await post(http, place.url)).status == 200
        assert not any(task.done() for task in hanging)
        for task in hanging:
            task.cancel()
        ended = await asyncio.gather(*hanging, return_exceptions=True)
        assert {type(error) for error in ended} == {asyncio.CancelledError}


async def test_a_dead_name_server_holds_up_no_other_name() -> None:
    held = threading.Event()

    def look_up(host: str) -> Sequence[str]:
        return ["127.0.0.1"] if host == "alive.example" or held.wait() else []

    async with endpoint() as place, client(look_up=look_up) as http:
        dead = [
            asyncio.create_task(failure(http, f"http://n{n}.dead.test:{place.port}/", 300 * MILLISECOND))
            for n in range(2 * LOOK_UPS)
        ]
        assert {ended.fault for ended in await asyncio.gather(*dead)} == {Fault.OTHER}
        assert (await post(http, f"http://alive.example:{place.port}/")).status == 200
        held.set()


async def test_a_place_for_look_ups_is_given_back_when_the_look_up_ends() -> None:
    held = threading.Event()

    def look_up(host: str) -> Sequence[str]:
        held.wait()
        return ["127.0.0.1"]

    names = [f"n{n}.slow.test" for n in range(3 * LOOK_UPS_OF_A_DOMAIN)]
    async with endpoint() as place, client(look_up=look_up) as http:
        posts = [asyncio.create_task(post(http, f"http://{name}:{place.port}/")) for name in names]
        held.set()
        assert {answer.status for answer in await asyncio.gather(*posts)} == {200}


async def test_a_failure_of_the_resolver_itself_reaches_the_caller_and_keeps_no_place() -> None:
    def broken(host: str) -> Sequence[str]:
        raise LookupError(host)

    async with client(look_up=broken) as http:
        for _ in range(2 * LOOK_UPS_OF_A_DOMAIN):
            with pytest.raises(LookupError):
                await post(http, "http://hooks.example/")


async def test_where_no_thread_can_be_had_the_name_is_not_resolved_and_no_place_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with endpoint() as place, client(look_up=leads_to("127.0.0.1")) as http:
        url = f"http://hooks.example:{place.port}/"
        with monkeypatch.context() as scarcity:
            scarcity.setattr(threading.Thread, "start", _no_thread)
            for _ in range(2 * LOOK_UPS_OF_A_DOMAIN):
                assert (await failure(http, url)).fault is Fault.NO_NAME
        assert (await post(http, url)).status == 200


def _no_thread(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


async def test_a_request_given_up_while_it_waits_for_a_look_up_keeps_no_place() -> None:
    held, asked, loop = threading.Event(), asyncio.Event(), asyncio.get_running_loop()

    def look_up(host: str) -> Sequence[str]:
        loop.call_soon_threadsafe(asked.set)
        held.wait()
        return ["127.0.0.1"]

    names = _Names(look_up, Guard(LOCAL))
    slow = [f"n{n}.d{n // LOOK_UPS_OF_A_DOMAIN}.test" for n in range(2 * LOOK_UPS)]
    waiting = [asyncio.create_task(names.resolve(name)) for name in slow]
    await asked.wait()
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    held.set()
    found = await asyncio.gather(*map(names.resolve, slow))
    assert len(found) == len(slow)
