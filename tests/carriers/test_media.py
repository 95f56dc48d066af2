"""The media of an MMS, fetched from real servers on this machine."""

import socket
from collections.abc import AsyncIterator
from hashlib import sha256

import pytest

from heliograph.carriers.media import TYPES, MediaFetcher, MediaLimits, MediaProblem
from heliograph.clock import monotonic
from heliograph.domain.instant import MILLISECOND, SECOND
from heliograph.domain.message import Media
from heliograph.outgoing import OutgoingHttp, OutgoingOptions
from tests.outgoing.endpoints import LOCAL, STRICT, client, leads_to
from tests.webhooks.receiver import (
    Behaviour,
    Exchange,
    Receiver,
    answer,
    close_unanswered,
    cut_within_body,
    raw,
    receiving,
    reset_before_answer,
    silent,
)

TYPED = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"
PNG = b"\x89PNG" + bytes(100)
LIMITS = MediaLimits(total=1000, timeout=20 * SECOND)
HASTY = MediaLimits(total=1000, timeout=300 * MILLISECOND)


@pytest.fixture
async def host() -> AsyncIterator[Receiver]:
    """Where media lie."""
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def http() -> AsyncIterator[OutgoingHttp]:
    async with client(LOCAL) as started:
        yield started


def picture(size: int = len(PNG), kind: str = "image/png") -> Behaviour:
    return answer(200, PNG.ljust(size, b"\0")[:size], Content_Type=kind)


async def endless(exchange: Exchange) -> None:
    await exchange.write(TYPED + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        await exchange.write(b"400\r\n%s\r\n" % bytes(1024))


async def huge(exchange: Exchange) -> None:
    await exchange.write(TYPED + b"Content-Length: 100000000\r\n\r\n")
    while True:
        await exchange.write(bytes(65536))


async def dripping(exchange: Exchange) -> None:
    await exchange.write(TYPED + b"Content-Length: 900\r\n\r\n")
    while True:
        await exchange.write(b"d")
        await exchange.pause(0.02)


async def fetched(http: OutgoingHttp, *urls: str, limits: MediaLimits = LIMITS) -> tuple[Media, ...]:
    return await MediaFetcher(http, limits).fetch([Media(url) for url in urls], monotonic() + 20 * SECOND)


async def problem(http: OutgoingHttp, *urls: str, limits: MediaLimits = LIMITS) -> MediaProblem:
    with pytest.raises(MediaProblem) as caught:
        await fetched(http, *urls, limits=limits)
    assert caught.value.error.code == "40009"
    assert caught.value.error.detail == str(caught.value)
    return caught.value


async def problem_of(
    http: OutgoingHttp, host: Receiver, *plays: Behaviour, limits: MediaLimits = LIMITS
) -> MediaProblem:
    urls = [host.script(f"/{number}", play) for number, play in enumerate(plays)]
    return await problem(http, *urls, limits=limits)


async def test_an_item_is_described_by_type_size_and_hash(http: OutgoingHttp, host: Receiver) -> None:
    url = host.script("/a.png?b=c", picture())
    assert await fetched(http, url) == (Media(url, "image/png", sha256(PNG).hexdigest(), len(PNG)),)


async def test_items_are_told_in_their_order(http: OutgoingHttp, host: Receiver) -> None:
    urls = [host.script(f"/{size}", picture(size)) for size in range(90, 100)]
    assert [(each.url, each.size) for each in await fetched(http, *urls)] == list(
        zip(urls, range(90, 100), strict=True)
    )


async def test_an_mms_without_media_has_nothing_to_fetch(http: OutgoingHttp) -> None:
    assert await fetched(http) == ()


async def test_the_parameters_of_a_type_are_left_out(http: OutgoingHttp, host: Receiver) -> None:
    (item,) = await fetched(http, host.script("/", picture(kind="Text/VCard; charset=utf-8")))
    assert item.content_type == "text/vcard"


@pytest.mark.parametrize("kind", sorted(TYPES))
async def test_every_type_of_the_contract_is_taken(http: OutgoingHttp, host: Receiver, kind: str) -> None:
    (item,) = await fetched(http, host.script("/", picture(kind=kind)))
    assert item.content_type == kind


@pytest.mark.parametrize(
    "kind", ["text/html", "application/octet-stream", "image/svg+xml", "image/png image/gif", "*/*"]
)
async def test_every_other_type_is_a_problem(http: OutgoingHttp, host: Receiver, kind: str) -> None:
    found = await problem_of(http, host, picture(kind=kind))
    assert (found.temporary, kind in str(found)) == (False, True)


async def test_what_does_not_say_what_it_is_is_a_problem_though_one_could_guess(
    http: OutgoingHttp, host: Receiver
) -> None:
    found = await problem_of(http, host, answer(200, PNG))
    assert (found.temporary, "no Content-Type" in str(found)) == (False, True)


async def test_what_is_empty_is_a_problem(http: OutgoingHttp, host: Receiver) -> None:
    found = await problem_of(http, host, picture(0))
    assert (found.temporary, "is empty" in str(found)) == (False, True)


@pytest.mark.parametrize("plays", [(picture(1000),), (picture(500), picture(500)), (picture(400),) * 3])
async def test_all_items_together_stay_under_the_limit(
    http: OutgoingHttp, host: Receiver, plays: tuple[Behaviour, ...]
) -> None:
    found = await problem_of(http, host, *plays)
    assert (found.temporary, "under 1,000" in str(found)) == (False, True)


async def test_just_under_the_limit_is_enough(http: OutgoingHttp, host: Receiver) -> None:
    urls = [host.script("/a", picture(499)), host.script("/b", picture(500))]
    assert len(await fetched(http, *urls)) == 2


@pytest.mark.parametrize("play", [endless, huge])
async def test_what_has_no_end_is_left_soon(http: OutgoingHttp, host: Receiver, play: Behaviour) -> None:
    found = await problem_of(http, host, play)
    assert (found.temporary, "too large" in str(found)) == (False, True)


async def test_more_items_than_an_mms_holds_are_a_problem_and_none_is_fetched(
    http: OutgoingHttp, host: Receiver
) -> None:
    found = await problem(http, *[host.url(f"/{number}") for number in range(11)])
    assert (found.temporary, host.requests) == (False, [])


@pytest.mark.parametrize(
    ("status", "temporary"),
    [
        *((status, False) for status in (204, 301, 302, 307, 400, 403, 404, 410)),
        *((status, True) for status in (408, 425, 429, 500, 502, 503, 504)),
    ],
)
async def test_a_status_that_brings_nothing_is_a_problem(
    http: OutgoingHttp, host: Receiver, status: int, temporary: bool
) -> None:
    found = await problem_of(http, host, answer(status, Location=host.url("/other"), Content_Type="image/png"))
    assert found.temporary is temporary
    assert host.at("/other") == []


@pytest.mark.parametrize("play", [silent, dripping])
async def test_what_does_not_come_in_time_may_come_another_time(
    http: OutgoingHttp, host: Receiver, play: Behaviour
) -> None:
    assert (await problem_of(http, host, play, limits=HASTY)).temporary


@pytest.mark.parametrize(
    "play", [close_unanswered, reset_before_answer, raw(b"220 mail.example\r\n\r\n")], ids=["end", "reset", "garbage"]
)
async def test_what_ends_without_an_answer_may_do_better_another_time(
    http: OutgoingHttp, host: Receiver, play: Behaviour
) -> None:
    assert (await problem_of(http, host, play)).temporary


async def test_a_body_that_ends_early_may_come_whole_another_time(http: OutgoingHttp, host: Receiver) -> None:
    found = await problem_of(http, host, raw(TYPED + b"Content-Length: 100\r\n\r\nhalf"))
    assert (found.temporary, "did not come whole" in str(found)) == (True, True)


async def test_a_type_is_judged_before_a_body_that_ended_early(http: OutgoingHttp, host: Receiver) -> None:
    assert not (await problem_of(http, host, cut_within_body())).temporary


async def test_a_host_that_is_not_there_may_come_back(http: OutgoingHttp) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert (await problem(http, f"http://127.0.0.1:{port}/")).temporary


@pytest.mark.parametrize("url", ["http://10.0.0.1/a.png", "http://169.254.169.254/latest", "ftp://media.example/a"])
async def test_a_url_that_may_not_be_called_is_a_problem_for_good(url: str) -> None:
    async with client(STRICT) as http:
        assert not (await problem(http, url)).temporary


async def test_a_name_that_leads_inside_is_a_problem_for_good() -> None:
    async with client(OutgoingOptions(), look_up=leads_to("127.0.0.1")) as http:
        assert not (await problem(http, "http://media.example/a.png")).temporary


async def test_one_bad_item_is_enough_and_ends_the_others(http: OutgoingHttp, host: Receiver) -> None:
    found = await problem_of(http, host, silent, answer(404), picture())
    assert "404" in str(found)
    await host.idle()


async def test_without_time_nothing_is_fetched(http: OutgoingHttp, host: Receiver) -> None:
    with pytest.raises(MediaProblem) as caught:
        await MediaFetcher(http, LIMITS).fetch([Media(host.url("/"))], monotonic())
    assert (caught.value.temporary, host.requests) == (True, [])


async def test_fetching_ends_when_its_time_does(http: OutgoingHttp, host: Receiver) -> None:
    url = host.script("/", silent)
    with pytest.raises(MediaProblem, match="No answer within"):
        await MediaFetcher(http, LIMITS).fetch([Media(url)], monotonic() + 200 * MILLISECOND)


async def test_a_problem_shows_no_signature_of_a_url(http: OutgoingHttp, host: Receiver) -> None:
    url = host.script("/a.png?signature=secret", answer(403))
    found = await problem(http, url)
    assert ("/a.png" in str(found), "secret" in str(found)) == (True, False)
