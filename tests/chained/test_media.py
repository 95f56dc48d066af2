"""MMS by way of B: A looks at the media before it hands them over, and says what they are."""

from hashlib import sha256
from typing import Any

import pytest

from tests.chained.conftest import Pair
from tests.chained.pair import Pictures

CAT = b"\x89PNG\r\n\x1a\n, and then a cat"
PURR = b"ID3, and then a purr" * 100


@pytest.fixture(autouse=True)
def _kept(pictures: Pictures) -> None:
    pictures.keep("/cat.png", "image/png", CAT)
    pictures.keep("/purr.mp3", "audio/mpeg", PURR)
    pictures.keep("/page", "text/html; charset=utf-8", b"<html>")
    pictures.keep("/huge.png", "image/png", bytes(1_000_000))


def test_media_are_described_and_arrive(pair: Pair, pictures: Pictures, person: str) -> None:
    urls = [pictures.url("/cat.png"), pictures.url("/purr.mp3")]
    message = pair.a.ends(pair.a.sends(person, "Listen", subject="A cat", media_urls=urls))
    assert (message["type"], message["to"][0]["status"]) == ("MMS", "delivered")
    assert message["media"] == [
        described(urls[0], "image/png", CAT),
        described(urls[1], "audio/mpeg", PURR),
    ]
    (arrived,) = pair.b.handset(person)
    assert (arrived["text"], arrived["subject"], arrived["media_urls"]) == ("Listen", "A cat", urls)


def described(url: str, content_type: str, content: bytes) -> Any:
    """One item, as a message shows it."""
    return {"url": url, "content_type": content_type, "sha256": sha256(content).hexdigest(), "size": len(content)}


def test_media_without_a_text_arrive(pair: Pair, pictures: Pictures, person: str) -> None:
    message = pair.a.sends(person, None, media_urls=[pictures.url("/cat.png")])
    assert pair.a.end(message) == ("delivered", "")
    assert [each["text"] for each in pair.b.handset(person)] == [None]


def test_each_of_a_group_gets_its_own(pair: Pair, pictures: Pictures, person: str) -> None:
    people = [person, f"+1872{person[5:]}"]
    sent = pair.a.call.send("/v2/messages/group_mms", to=people, media_urls=[pictures.url("/cat.png")]).data
    members = pair.a.call("GET", f"/v2/messages/group/{sent['id']}").data
    assert {pair.a.end(each["id"]) for each in members} == {("delivered", "")}
    assert [len(pair.b.handset(each)) for each in people] == [1, 1]


@pytest.mark.parametrize("path", ["/gone.png", "/page", "/huge.png"])
def test_media_that_cannot_be_sent_fail_the_message(pair: Pair, pictures: Pictures, person: str, path: str) -> None:
    message = pair.a.sends(person, "Look", media_urls=[pictures.url(path)])
    assert pair.a.end(message) == ("sending_failed", "40009")
    assert pair.b.handset(person) == []


def test_media_on_a_network_that_is_not_ours_to_reach_fail_the_message(pair: Pair, person: str) -> None:
    message = pair.a.sends(person, "Look", media_urls=["http://169.254.169.254/latest/meta-data"])
    assert pair.a.end(message) == ("sending_failed", "40009")
    assert pair.b.handset(person) == []
