"""`/messaging_profiles` and `/sandbox` over HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from heliograph.testing.server_process import ServerProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A sandbox on SQLite."""
    folder: Path = tmp_path_factory.mktemp("profiles")
    with ServerProcess(f"sqlite:///{folder}/h.db") as started:
        yield started


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    """Speaks to it with its key."""
    headers = {"authorization": f"Bearer {server.ready['api_key']}"}
    with httpx.Client(base_url=server.ready["base_url"], headers=headers) as opened:
        yield opened


def make(client: httpx.Client, **given: Any) -> httpx.Response:
    return client.post("/v2/messaging_profiles", json={"name": "Mine", "whitelisted_destinations": ["US"], **given})


def test_a_profile_is_made_read_and_listed(client: httpx.Client) -> None:
    made = make(client, webhook_url="https://example.com/hooks", smart_encoding=True)
    assert made.status_code == 200
    profile = made.json()["data"]
    assert profile["record_type"] == "messaging_profile"
    assert (profile["whitelisted_destinations"], profile["smart_encoding"]) == (["US"], True)
    assert client.get(f"/v2/messaging_profiles/{profile['id']}").json()["data"] == profile
    listed = client.get("/v2/messaging_profiles", params={"page[size]": 1}).json()
    assert listed["data"] == [profile]
    assert listed["meta"]["page_size"] == 1


def test_a_number_pool_is_kept_and_an_empty_one_is_off(client: httpx.Client) -> None:
    pool = {"long_code_weight": 1, "toll_free_weight": 10, "skip_unhealthy": True}
    kept = make(client, number_pool_settings=pool).json()["data"]["number_pool_settings"]
    assert kept == {**pool, "sticky_sender": False, "geomatch": False}
    assert make(client, number_pool_settings={}).json()["data"]["number_pool_settings"] is None


@pytest.mark.parametrize(
    ("given", "code", "pointer"),
    [
        ({"name": None}, "10004", "/name"),
        ({"name": "  "}, "10004", "/name"),
        ({"name": "x" * 256}, "10025", "/name"),
        ({"name": 5}, "10026", "/name"),
        ({"whitelisted_destinations": None}, "10004", "/whitelisted_destinations"),
        ({"whitelisted_destinations": ["us"]}, "10015", "/whitelisted_destinations/0"),
        ({"whitelisted_destinations": "US"}, "10026", "/whitelisted_destinations"),
        ({"webhook_url": "example.com"}, "10003", "/webhook_url"),
        ({"webhook_api_version": "3"}, "10032", "/webhook_api_version"),
        ({"alpha_sender": "much too long"}, "10015", "/alpha_sender"),
        ({"daily_spend_limit": "-1"}, "10015", "/daily_spend_limit"),
        ({"number_pool_settings": {"long_code_weight": 1}}, "10026", "/number_pool_settings"),
        (
            {"number_pool_settings": {"long_code_weight": -1, "toll_free_weight": 1, "skip_unhealthy": False}},
            "10033",
            "/number_pool_settings",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_profile_is_refused_by_its_field(
    client: httpx.Client, given: dict[str, Any], code: str, pointer: str
) -> None:
    answer = make(client, **given)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["source"]) == (400, code, {"pointer": pointer})


@pytest.mark.parametrize(
    ("query", "code", "parameter"),
    [
        ("page[size]=0", "10015", "page[size]"),
        ("page[size]=251", "10015", "page[size]"),
        ("page[number]=x", "10015", "page[number]"),
        ("filter[colour]=red", "10031", "filter[colour]"),
        ("filter[name][gte]=x", "10031", "filter[name][gte]"),
    ],
)
def test_bad_pages_and_filters_are_refused(client: httpx.Client, query: str, code: str, parameter: str) -> None:
    (error,) = client.get(f"/v2/messaging_profiles?{query}").json()["errors"]
    assert (error["code"], error["source"]) == (code, {"parameter": parameter})


def test_profiles_are_found_by_a_part_of_their_name(client: httpx.Client) -> None:
    make(client, name="Appointments")
    found = client.get("/v2/messaging_profiles", params={"filter[name][contains]": "POINT"}).json()["data"]
    assert [each["name"] for each in found] == ["Appointments"]


def test_an_unknown_profile_is_not_found(client: httpx.Client) -> None:
    for profile_id in ("nope", "40385f64-5717-4562-b3fc-2c963f66afa6"):
        assert client.get(f"/v2/messaging_profiles/{profile_id}").status_code == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "10015"),
        ({"seconds": 1, "to": "2030-01-01T00:00:00Z"}, "10015"),
        ({"seconds": -1}, "10033"),
        ({"seconds": 1e12}, "10033"),
        ({"seconds": 1e308}, "10033"),
        ({"seconds": -1e308}, "10033"),
        ({"to": "2001-01-01T00:00:00Z"}, "10033"),
        ({"to": "tomorrow"}, "10015"),
        ({"seconds": "1"}, "10026"),
    ],
    ids=str,
)
def test_a_bad_move_of_the_clock_is_refused(client: httpx.Client, body: dict[str, Any], code: str) -> None:
    answer = client.post("/sandbox/clock/advance", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, code)


def test_the_clock_shows_how_far_it_was_moved(client: httpx.Client) -> None:
    before = client.get("/sandbox/clock").json()["data"]["ahead_seconds"]
    moved = client.post("/sandbox/clock/advance", json={"seconds": 90}).json()["data"]["ahead_seconds"]
    assert 89 < moved - before < 91


def test_a_handset_shows_what_arrived(client: httpx.Client) -> None:
    sent = {"from": "+18445550001", "to": "+13125550100", "text": "x" * 161}
    message_id = client.post("/v2/messages", json=sent).json()["data"]["id"]
    client.post("/sandbox/clock/advance", json={"seconds": 1})
    (arrived,) = client.get("/sandbox/handsets/+13125550100").json()["data"]
    assert (arrived["message_id"], arrived["from"]) == (message_id, "+18445550001")
    assert [len(each) for each in arrived["segments"]] == [153, 8]
    assert {"handset": "+13125550100", "messages": 1} in client.get("/sandbox/handsets").json()["data"]
