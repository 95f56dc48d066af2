"""The guarded HTTP client: what is sent."""

import pytest

from heliograph.domain.instant import SECOND
from heliograph.outgoing import HttpAnswer
from tests.outgoing.endpoints import OK, client, endpoint, post, says


async def test_a_post_arrives_as_it_was_given() -> None:
    async with endpoint() as place, client() as http:
        await post(http, place.url + "a%2Fb?c=d#e", headers={"X-One": "1"})
        head, _, body = place.requests[0].partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        assert lines[0] == "POST /a%2Fb?c=d HTTP/1.1"
        assert {"X-One: 1", "Content-Type: application/json", f"Host: 127.0.0.1:{place.port}"} <= set(lines)
        assert body == b'{"a":1}'


async def test_an_empty_post_says_that_it_is_empty() -> None:
    async with endpoint() as place, client() as http:
        await http.post(place.url, b"", {}, timeout=20 * SECOND)
        assert b"Content-Length: 0\r\n" in place.requests[0]


async def test_an_answer_is_told_whole() -> None:
    said = b"HTTP/1.1 418 Teapot\r\nX-A: 1\r\nx-a: \xe4\r\nContent-Length: 3\r\n\r\nabc"
    async with endpoint(says(said)) as place, client() as http:
        answer = await post(http, place.url)
    assert answer == HttpAnswer(418, (("X-A", "1"), ("x-a", "ä"), ("Content-Length", "3")), b"abc", cut=False)


async def test_nothing_compressed_is_asked_for_and_no_version_is_told() -> None:
    async with endpoint() as place, client() as http:
        await post(http, place.url)
        assert {b"Accept-Encoding: identity", b"User-Agent: Heliograph"} <= set(place.requests[0].split(b"\r\n"))


async def test_the_caller_may_name_another_user_agent() -> None:
    async with endpoint() as place, client() as http:
        await post(http, place.url, headers={"user-agent": "Tester"})
        assert place.requests[0].lower().count(b"user-agent:") == 1


async def test_a_header_with_a_line_break_is_the_callers_mistake_and_sends_nothing() -> None:
    async with endpoint() as place, client() as http:
        with pytest.raises(ValueError, match="header"):
            await post(http, place.url, headers={"X-A": "1\r\nX-B: 2"})
        assert place.requests == []


async def test_cookies_are_not_kept() -> None:
    async with endpoint(says(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n"))) as place, client() as http:
        for _ in range(2):
            await post(http, place.url)
        assert b"cookie" not in place.requests[1].lower()


async def test_a_proxy_named_by_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with endpoint() as proxy, endpoint() as place, client() as http:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        await post(http, place.url)
        assert (proxy.connections, place.connections) == (0, 1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer(status: int) -> None:
    async with endpoint() as target:
        head = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {target.url}\r\nContent-Length: 0\r\n\r\n"
        async with endpoint(says(head.encode())) as place, client() as http:
            assert (await post(http, place.url)).status == status
        assert target.connections == 0
