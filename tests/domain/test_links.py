"""Links in running text: where they begin and end, which are replaced, and what a browser is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.clock import monotonic
from heliograph.domain.accounts import UrlShortener
from heliograph.domain.instant import SECOND
from heliograph.domain.links import PUBLIC_SHORTENERS, domain_name, links_in, location, short_url, shortened

EVERY = UrlShortener("go.example.com")
PUBLIC = UrlShortener("go.example.com", replace_blacklist_only=True)
SHORT = "https://go.example.com/a/B123456789"


def replaced(text: str, shortener: UrlShortener = EVERY) -> str:
    """A text with `<>` in the place of each link."""
    found = links_in(text, shortener)
    return shortened(text, found, dict.fromkeys((each.url for each in found), "<>"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("https://example.com", "<>"),
        ("HTTP://EXAMPLE.COM/A", "<>"),
        ("See https://example.com/a?b=c&d=%20#e.", "See <>."),
        ("https://example.com, https://example.org! (http://example.net)", "<>, <>! (<>)"),
        ("https://example.com/a_(b)", "<>"),
        ("(https://example.com/a_(b))", "(<>)"),
        ("[x](https://example.com/)", "[x](<>)"),
        ('"https://example.com/x"; <https://example.com/y>', '"<>"; <<>>'),
        ("“https://example.com/x”…", "“<>”…"),
        ("https://example.com/x?!?!", "<>?!?!"),
        ("https://example.com/a\nhttps://example.com/b\u00a0c", "<>\n<>\u00a0c"),
        ("https://münchen.example/straße?q=ü", "<>"),
        ("見て https://例え.jp/道。はい", "見て <>。はい"),
        ("👉https://example.com/🙂👈", "👉<>"),
        ("https://example.com:8443/a", "<>"),
        ("http://[2001:db8::1]/a", "<>"),
        ("https://example.com/\u200b", "<>\u200b"),
        ("\ud800https://example.com/\udc00", "\ud800<>\udc00"),
        ("one:https://example.com", "one:<>"),
    ],
)
def test_a_link_ends_where_a_reader_sees_it_end(text: str, wanted: str) -> None:
    assert replaced(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com and www.example.com",
        "ftp://example.com javascript://example.com/%0aalert(1)",
        "xhttps://example.com",
        "http:// https://, http:///path",
        "https://user:secret@example.com/ https://bank.example@evil.example/",
        "http://example.com:0/ http://example.com:99999/ http://[::1/",
        "https://go.example.com/a/B123456789",
        "https://GO.example.com/",
        "https://example.com/" + "a" * 2_000,
        f"https://{'a' * 64}ü.example/",
    ],
)
def test_what_is_no_link_to_lead_on_to_is_left_alone(text: str) -> None:
    assert links_in(text, EVERY) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("https://bit.ly/x", "<>"),
        ("http://WWW.TinyURL.com/x and https://t.co./y", "<> and <>"),
        ("https://bit.ly:443/x", "<>"),
        ("https://example.com/?u=https://bit.ly/x", "https://example.com/?u=https://bit.ly/x"),
        ("https://notbit.ly/x https://bit.ly.example/x", "https://notbit.ly/x https://bit.ly.example/x"),
    ],
)
def test_of_public_shorteners_the_host_decides(text: str, wanted: str) -> None:
    assert replaced(text, PUBLIC) == wanted


def test_those_that_the_provider_names_are_public_shorteners() -> None:
    named = "bit.do bit.ly goo.gl ht.ly is.gd ow.ly rebrand.ly t.co tiny.cc tinyurl.com"
    assert set(named.split()) <= PUBLIC_SHORTENERS


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://example.com/a?b=%20c#d", "https://example.com/a?b=%20c#d"),
        ("HTTPS://Example.com/A", "https://Example.com/A"),
        ("https://münchen.example:8443/straße?q=ü", "https://xn--mnchen-3ya.example:8443/stra%C3%9Fe?q=%C3%BC"),
        ("https://example.com", "https://example.com"),
        ("http://http/a?b", "http://http/a?b"),
        ("http://[2001:db8::1]/a", "http://[2001:db8::1]/a"),
        ("https://example.com/a\r\nSet-Cookie:b", "https://example.com/a%0D%0ASet-Cookie:b"),
    ],
)
def test_a_browser_is_told_a_link_in_ascii(url: str, wanted: str) -> None:
    assert location(url) == wanted


@given(st.text(st.sampled_from("https:/.()[]a 💬\u200bé\r\n\0?!\ud800%@#")) | st.text())
def test_whatever_stands_in_a_text_nothing_else_of_it_changes(text: str) -> None:
    for opening in ("", "https://example.com/", "https://"):
        found = links_in(opening + text, EVERY)
        assert shortened(opening + text, found, {each.url: each.url for each in found}) == opening + text
        for each in found:
            told = location(each.url)
            assert told.isascii()
            assert told.isprintable()
            assert " " not in told
            assert told.startswith(("http://", "https://"))


@pytest.mark.parametrize("unit", ["https://example.com/a ", "https://a.b/))))", ")", "https://", "("])
def test_a_very_long_text_takes_no_longer_than_its_length_asks_for(unit: str) -> None:
    text = ("https://example.com/" + unit * (250_000 // len(unit)))[:250_000]
    began = monotonic()
    links_in(text, EVERY)
    assert monotonic() - began < 5 * SECOND  # quadratic, it takes minutes


def test_a_short_link_has_its_prefix_if_there_is_one() -> None:
    assert short_url("https://go.example.com", "a", "B123456789") == SHORT
    assert short_url("https://go.example.com", "", "B123456789") == "https://go.example.com/B123456789"


@pytest.mark.parametrize("text", ["go.example.com", "https://GO.example.com/", "http://go.example.com"])
def test_a_domain_may_be_written_as_the_start_of_a_link(text: str) -> None:
    assert domain_name(text) == "go.example.com"
