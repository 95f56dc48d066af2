"""The guarded HTTP client: start and stop."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Sequence

import pytest

from heliograph.domain.delivery import Fault
from heliograph.outgoing import OutgoingHttp
from tests.outgoing.endpoints import (
    LOCAL,
    client,
    endpoint,
    failure,
    post,
    says_and_hangs,
)


async def test_it_may_be_started_and_stopped_twice_and_in_any_order() -> None:
    http = OutgoingHttp(LOCAL)
    await http.stop()
    async with endpoint() as place:
        for _ in range(2):
            await http.start()
            await http.start()
            assert (await post(http, place.url)).status == 200
            await http.stop()
            await http.stop()


async def test_a_request_before_the_start_is_a_mistake_of_the_program() -> None:
    with pytest.raises(RuntimeError, match="not started"):
        await post(OutgoingHttp(LOCAL), "http://hooks.example/")


async def test_a_stop_ends_the_requests_under_way() -> None:
    async with endpoint(says_and_hangs(b"")) as place, client() as http:
        hanging = asyncio.create_task(failure(http, place.url))
        await place.asked.wait()
        await http.stop()
        ended = await hanging
    assert (ended.fault, ended.detail) == (Fault.OTHER, "The request was given up because the service stopped.")


async def test_a_stop_does_not_wait_for_a_look_up() -> None:
    held, asked, loop = threading.Event(), asyncio.Event(), asyncio.get_running_loop()

    def look_up(host: str) -> Sequence[str]:
        loop.call_soon_threadsafe(asked.set)
        held.wait()
        return []

    async with client(look_up=look_up) as http:
        hanging = [asyncio.create_task(failure(http, "http://hooks.example/")) for _ in range(2)]
        await asked.wait()
        await http.stop()
        ended = await asyncio.gather(*hanging)
    held.set()
    assert {each.detail for each in ended} == {"The request was given up because the service stopped."}


async def test_a_request_that_is_cancelled_is_cancelled() -> None:
    async with endpoint(says_and_hangs(b"")) as place, client() as http:
        hanging = asyncio.create_task(post(http, place.url))
        await place.asked.wait()
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        await place.left.wait()


def test_a_look_up_that_blocks_does_not_keep_the_process_from_leaving() -> None:
    program = """
import asyncio, threading
from heliograph.outgoing import OutgoingFailure, OutgoingHttp, OutgoingOptions

async def main():
    http = OutgoingHttp(OutgoingOptions(), look_up=lambda host: threading.Event().wait())
    await http.start()
    try:
        await http.post("http://hooks.example/", b"", {}, timeout=100_000)
    except OutgoingFailure as failure:
        print(failure.detail)
    await http.stop()

asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert (ended.stdout, ended.stderr) == ("No answer within 0.1 seconds.\n", "")
