"""The guarded HTTP client: answers of hostile servers."""

import gzip
import tracemalloc
from collections.abc import Callable

import pytest

from heliograph.domain.delivery import Fault
from heliograph.domain.instant import MILLISECOND
from tests.outgoing.endpoints import (
    OK,
    OPEN_END,
    Play,
    client,
    drips,
    endpoint,
    failure,
    fault_of,
    floods,
    post,
    says,
    says_and_hangs,
    says_and_hangs_up,
    says_and_resets,
)


@pytest.mark.parametrize(("size", "cut"), [(0, False), (999, False), (1000, False), (1001, True), (70_000, True)])
async def test_so_much_of_a_body_is_read_and_no_more(size: int, cut: bool) -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    async with endpoint(says(said)) as place, client() as http:
        answer = await post(http, place.url)
    assert (answer.status, len(answer.body), answer.cut) == (200, min(size, 1000), cut)


@pytest.mark.parametrize("head", [OPEN_END, b"HTTP/1.1 200 OK\r\n\r\n"], ids=["length", "until the end"])
async def test_an_endless_body_costs_little_memory_and_is_hung_up_on(head: bytes) -> None:
    async with endpoint(floods(head, b"x" * 65536)) as place, client() as http:
        tracemalloc.start()
        try:
            answer = await post(http, place.url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert answer.cut
        assert peak < 2_000_000
        await place.left.wait()


async def test_a_connection_with_a_cut_answer_is_not_used_again() -> None:
    async with endpoint(says(OPEN_END + b"x" * 5000)) as place, client() as http:
        for _ in range(2):
            assert (await post(http, place.url)).cut
        assert place.connections == 2


async def test_what_is_compressed_stays_so() -> None:
    bomb = gzip.compress(bytes(100_000))
    said = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb
    async with endpoint(says(said)) as place, client() as http:
        answer = await post(http, place.url)
    assert (answer.body, answer.cut) == (bomb, False)


@pytest.mark.parametrize("play", [drips(OPEN_END, b"x"), says_and_hangs(OPEN_END + b"x")], ids=["drip", "silence"])
async def test_a_body_that_does_not_end_is_cut_at_the_time_out(play: Play) -> None:
    async with endpoint(play) as place, client() as http:
        answer = await post(http, place.url, 300 * MILLISECOND)
        assert (answer.status, answer.body[:1], answer.cut) == (200, b"x", True)
        await place.left.wait()


@pytest.mark.parametrize(
    "play",
    [
        says_and_hangs(b""),
        says_and_hangs(b"HTTP/1.1 200 OK\r\nX-A: "),
        drips(b"HTTP/1.1 200 OK\r\nX-A: ", b"x"),
        drips(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ],
    ids=["silence", "half a head", "drip", "hints"],
)
async def test_a_head_that_does_not_end_is_no_answer_after_the_time_out(play: Play) -> None:
    async with endpoint(play) as place, client() as http:
        ended = await failure(http, place.url, 300 * MILLISECOND)
        assert (ended.fault, ended.detail) == (Fault.OTHER, "No answer within 0.3 seconds.")
        await place.left.wait()


@pytest.mark.parametrize(
    "garbage",
    [
        b"220 mail.example ESMTP\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: x\r\n" * 1000 + b"\r\n",
        b"\x00" * 1000,
    ],
    ids=lambda garbage: ascii(garbage[:40]),
)
async def test_what_is_not_http_is_no_answer(garbage: bytes) -> None:
    ended = await fault_of(says(garbage))
    assert (ended.fault, ended.detail) == (Fault.OTHER, "What 127.0.0.1 answered could not be read as HTTP.")


@pytest.mark.parametrize("end", [says_and_hangs_up, says_and_resets])
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nX-A"], ids=["before", "within"])
async def test_a_connection_that_ends_before_the_head_does_is_no_answer(
    end: Callable[[bytes], Play], said: bytes
) -> None:
    ended = await fault_of(end(said))
    assert (ended.fault, ended.detail) == (
        Fault.OTHER,
        "The connection to 127.0.0.1 was closed before an answer came.",
    )


async def test_a_body_that_ends_early_is_cut() -> None:
    async with endpoint(says_and_hangs_up(OPEN_END + b"abc")) as place, client() as http:
        answer = await post(http, place.url)
    assert (answer.status, answer.body, answer.cut) == (200, b"abc", True)


async def test_a_connection_made_over_to_another_protocol_is_not_used_again() -> None:
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
    async with endpoint(says(upgrade)) as place, client() as http:
        for _ in range(2):
            assert (await post(http, place.url, 300 * MILLISECOND)).status == 101
        assert place.connections == 2


async def test_an_answer_sent_ahead_of_its_request_is_not_taken_for_one() -> None:
    async with endpoint(says(OK + OK.replace(b"200", b"299"))) as place, client() as http:
        for _ in range(2):
            assert (await post(http, place.url)).status == 200
        assert place.connections == 2
