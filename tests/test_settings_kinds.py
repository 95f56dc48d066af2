"""What values settings take: rates, zones, addresses of services, secrets and lists."""

from datetime import UTC, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.instant import HOUR, MINUTE, SECOND
from heliograph.setting_kinds import Kind, Unfit, domains, http_url, listed, optional, rate, secret, time_zone, whole


def refuses(kind: Kind[Any], raw: object) -> bool:
    with pytest.raises(Unfit):
        kind.read(raw)
    return True


@pytest.mark.parametrize(
    ("raw", "interval"),
    [
        (0, 0),
        ("0", 0),
        ("0/m", 0),
        (1, SECOND),
        (0.1, 10 * SECOND),
        ("0.1", 10 * SECOND),
        ("20/s", 50_000),
        ("75/m", 800_000),
        (1.25, 800_000),
        ("1/h", HOUR),
        (1e-05, 100_000 * SECOND),
        ("0.000001", 1_000_000 * SECOND),
        (100_000, 10),
    ],
    ids=repr,
)
def test_a_rate_is_held_as_the_time_of_each(raw: object, interval: int) -> None:
    assert rate().read(raw) == interval


def test_a_rate_never_allows_more_than_was_asked_for() -> None:
    assert rate().read(3) == 333_334


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "fast",
        "-1",
        -1,
        "1/d",
        "1/",
        "/m",
        "1 / m",
        "100001",
        0.0000001,
        float("nan"),
        float("inf"),
        True,
        None,
        [1],
    ],
    ids=repr,
)
def test_what_is_no_rate_is_refused(raw: object) -> None:
    assert refuses(rate(), raw)


@pytest.mark.parametrize(
    ("raw", "shown"), [(3, "3"), (0.1, "0.1"), (15, "15"), ("75/m", "1.25"), ("1/m", "1/m"), (0, "0")]
)
def test_a_rate_is_shown_in_few_digits(raw: object, shown: str) -> None:
    assert rate().show(rate().read(raw)) == shown


@given(st.one_of(st.integers(10, 10_000), st.integers(10, 10 * MINUTE), st.integers(10, 1_000_000 * SECOND)))
def test_a_rate_that_is_shown_is_read_again(interval: int) -> None:
    assert rate().read(rate().show(interval)) == interval


@pytest.mark.parametrize(
    ("raw", "zone"),
    [
        ("UTC", UTC),
        ("Europe/Berlin", ZoneInfo("Europe/Berlin")),
        ("+02:00", timezone(timedelta(hours=2))),
        ("-05:30", timezone(-timedelta(hours=5, minutes=30))),
        ("UTC+02:00", timezone(timedelta(hours=2))),
    ],
)
def test_a_zone_is_a_name_or_a_distance(raw: str, zone: object) -> None:
    assert time_zone().read(raw) == zone
    assert time_zone().read(time_zone().show(time_zone().read(raw))) == zone


@pytest.mark.parametrize("raw", ["", "Berlin", "Europe", "../UTC", "+24:00", "+2", "+02:60", "a\0b", 2, None], ids=repr)
def test_what_is_no_zone_is_refused(raw: object) -> None:
    assert refuses(time_zone(), raw)


@pytest.mark.parametrize(
    ("raw", "url"),
    [
        ("https://api.example.com/v2", "https://api.example.com/v2"),
        ("https://api.example.com/v2/", "https://api.example.com/v2"),
        ("http://127.0.0.1:8400", "http://127.0.0.1:8400"),
        ("http://[::1]:8400/", "http://[::1]:8400"),
    ],
)
def test_the_address_of_a_service_has_no_slash_at_its_end(raw: str, url: str) -> None:
    assert http_url().read(raw) == url


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "api.example.com",
        "ftp://host",
        "https://",
        "https://host:99999",
        "https://host:0",
        "https://user:hunter2@host",
        "https://user@host",
        "https://host/?key=hunter2",
        "https://host/#x",
        "https://ho st",
        "https://host/\n",
        "https://host\\path",
        "https://[::1",
        "user:hunter2@host",
        5,
    ],
    ids=repr,
)
def test_what_paths_cannot_be_put_behind_is_refused_and_shown_without_a_password(raw: object) -> None:
    assert refuses(http_url(), raw)
    assert "hunter2" not in http_url().got(raw)


def test_a_secret_is_neither_shown_nor_told() -> None:
    kind = secret("a key", r"\w{3,8}")
    assert kind.read("hunter2") == "hunter2"
    assert kind.show("hunter2") == "***"
    assert kind.show("") == ""
    assert kind.got("hunter2hunter2") == kind.got(["hunter2"]) == "a value that is not shown, as it is secret"


@pytest.mark.parametrize(("raw", "value"), [("", None), ("auto", None), (5, 5), ("5", 5)], ids=repr)
def test_what_is_optional_may_be_empty_or_a_word(raw: object, value: int | None) -> None:
    assert optional(whole(0, 9), "auto").read(raw) == value


@pytest.mark.parametrize("raw", [10, "none", [], {}, None], ids=repr)
def test_what_is_optional_is_nothing_else(raw: object) -> None:
    assert refuses(optional(whole(0, 9), "auto"), raw)


@pytest.mark.parametrize(
    ("raw", "value"), [([1, "2"], (1, 2)), ("1, 2", (1, 2)), ("", ()), ([], ()), ("7", (7,))], ids=repr
)
def test_a_list_may_be_text_with_commas(raw: object, value: tuple[int, ...]) -> None:
    assert listed(whole(0, 9), "numbers").read(raw) == value


def test_of_a_refused_list_the_items_at_fault_are_told() -> None:
    kind = listed(whole(0, 9), "numbers")
    assert refuses(kind, [1, 12, "x"])
    assert kind.got([1, 12, "x"]) == '12, "x"'
    assert kind.got({}) == "a table"


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("", ()),
        ("Go.Example.com", ("go.example.com",)),
        ("go.example.com, localhost:8400", ("go.example.com", "localhost:8400")),
        (["a-b.example", "127.0.0.1:80"], ("a-b.example", "127.0.0.1:80")),
    ],
    ids=repr,
)
def test_domains_are_read_in_small_letters(raw: object, value: tuple[str, ...]) -> None:
    assert domains().read(raw) == value


@pytest.mark.parametrize(
    "raw", ["https://a.example", "a.example/b", "-a.example", "a..b", "a b", "a@b", "a:x", "ü.de", 1]
)
def test_what_is_no_domain_is_refused(raw: object) -> None:
    assert refuses(domains(), raw)
