"""`/messaging_profiles` and `/sandbox` over HTTP."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest

from heliograph.testing.server_process import ServerProcess
from tests.api.conftest import LINK_DOMAIN
from tests.api.test_openapi_contract import description
from tests.description import hold, resolved
from tests.webhook_receiver import Receiver
from tests.wire import NO_SUCH_ID, Accounts, Caller

__all__ = ["description"]  # a fixture
"""The provider's own, or a skip."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A sandbox on SQLite."""
    folder: Path = tmp_path_factory.mktemp("profiles")
    with ServerProcess(f"sqlite:///{folder}/h.db", {"LINKS__DOMAINS": "example.ex"}) as started:
        yield started


@pytest.fixture
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    """Speaks to it with its key."""
    headers = {"authorization": f"Bearer {server.ready['api_key']}"}
    with httpx.Client(base_url=server.ready["base_url"], headers=headers, event_hooks={"response": [hold]}) as opened:
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
        ({"number_pool_settings": {"long_code_weight": 1}}, "10004", "/number_pool_settings/toll_free_weight"),
        ({"url_shortener_settings": {"prefix": "x"}}, "10004", "/url_shortener_settings/domain"),
        ({"whitelisted_destinations": ["GB", "UK"]}, "10015", "/whitelisted_destinations/1"),
        ({"whitelisted_destinations": ["XX"]}, "10015", "/whitelisted_destinations/0"),
        ({"alpha_sender": "123456"}, "10015", "/alpha_sender"),
        ({"daily_spend_limit_enabled": True}, "10004", "/daily_spend_limit"),
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


POOL = {"long_code_weight": 1.0, "toll_free_weight": 10.0, "skip_unhealthy": True}
FULL: dict[str, Any] = {
    "name": "Other",
    "whitelisted_destinations": ["CA", "MX"],
    "enabled": False,
    "webhook_url": "https://example.com/hooks",
    "webhook_failover_url": "https://backup.example.com/hooks",
    "webhook_api_version": "1",
    "number_pool_settings": {**POOL, "sticky_sender": True, "geomatch": True},
    "url_shortener_settings": {
        "domain": "example.ex",
        "prefix": "x",
        "replace_blacklist_only": True,
        "send_webhooks": True,
    },
    "alpha_sender": "Acme Inc",
    "daily_spend_limit": "100.00",
    "daily_spend_limit_enabled": True,
    "mms_fall_back_to_sms": True,
    "mms_transcoding": True,
    "mobile_only": True,
    "smart_encoding": True,
    "health_webhook_url": "https://example.com/health",
    "ai_assistant_id": "assistant-1",
    "resource_group_id": "group-1",
    "v1_secret": "rP1VamejkU2v0qIUxntqLW2c",
}
CLEARED: dict[str, Any] = {
    "webhook_url": "",
    "webhook_failover_url": "",
    "number_pool_settings": None,
    "url_shortener_settings": None,
    "alpha_sender": None,
    "health_webhook_url": None,
    "ai_assistant_id": None,
    "resource_group_id": None,
}
"""What is shown of a field that was cleared."""


def patch(client: httpx.Client, profile: Any, given: Any) -> httpx.Response:
    return client.patch(f"/v2/messaging_profiles/{profile['id']}", json=given)


def changed(client: httpx.Client, profile: Any, **given: Any) -> Any:
    """A profile after a change that must be taken."""
    answer = patch(client, profile, given)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def read(client: httpx.Client, profile: Any) -> Any:
    return client.get(f"/v2/messaging_profiles/{profile['id']}").json()["data"]


@pytest.fixture
def full(client: httpx.Client) -> Any:
    """A profile on which everything is set."""
    given = {name: value for name, value in FULL.items() if name != "v1_secret"}
    return make(client, **given).json()["data"]


@pytest.mark.parametrize("name", FULL)
def test_a_change_of_one_field_leaves_the_others(client: httpx.Client, name: str) -> None:
    before = make(client, daily_spend_limit="20.00").json()["data"]
    after = changed(client, before, **{name: FULL[name]})
    assert after.pop("updated_at") > before.pop("updated_at")
    assert after == {**before, name: FULL[name]}
    assert read(client, before).items() >= after.items()


def test_all_fields_are_changed_together(client: httpx.Client) -> None:
    assert changed(client, make(client).json()["data"], **FULL).items() >= FULL.items()


def test_what_is_unknown_or_not_for_callers_is_ignored(client: httpx.Client, full: Any) -> None:
    own = {name: full[name] for name in ("id", "organization_id", "created_at", "record_type", "redaction_level")}
    foreign = {"id": NO_SUCH_ID, "organization_id": NO_SUCH_ID, "created_at": "2020-01-01T00:00:00Z", "colour": "red"}
    after = changed(client, full, **foreign, record_type="x", redaction_level=1)
    assert after.items() >= own.items()
    assert "colour" not in after


def test_a_change_of_nothing_keeps_everything(client: httpx.Client, full: Any) -> None:
    assert changed(client, full) == {**full, "updated_at": read(client, full)["updated_at"]}


def test_a_profile_can_be_sent_back_as_it_was_read(client: httpx.Client, full: Any) -> None:
    plain = make(client).json()["data"]
    for profile in (full, plain):
        assert changed(client, profile, **profile) == {**profile, "updated_at": read(client, profile)["updated_at"]}


@pytest.mark.parametrize("name", CLEARED)
def test_null_clears_a_field_that_may_be_unset(client: httpx.Client, full: Any, name: str) -> None:
    after = changed(client, full, **{name: None})
    assert after == {**full, name: CLEARED[name], "updated_at": after["updated_at"]}


def test_null_takes_a_spend_limit_away(client: httpx.Client, full: Any) -> None:
    after = changed(client, full, daily_spend_limit=None)
    assert ("daily_spend_limit" in after, after["daily_spend_limit_enabled"]) == (False, False)


def test_empty_urls_clear_as_null_does(client: httpx.Client, full: Any) -> None:
    urls = dict.fromkeys(["webhook_url", "webhook_failover_url"], "")
    assert changed(client, full, **urls).items() >= urls.items()


@pytest.mark.parametrize("off", [None, {}])
def test_a_number_pool_is_turned_off(client: httpx.Client, full: Any, off: Any) -> None:
    assert changed(client, full, number_pool_settings=off)["number_pool_settings"] is None


def test_fields_of_a_number_pool_are_changed_one_by_one(client: httpx.Client, full: Any) -> None:
    pool = full["number_pool_settings"]
    after = changed(client, full, number_pool_settings={"sticky_sender": False})
    assert after["number_pool_settings"] == {**pool, "sticky_sender": False}
    after = changed(client, full, number_pool_settings={"long_code_weight": 3, "toll_free_weight": 0})
    assert after["number_pool_settings"] == {
        **pool,
        "sticky_sender": False,
        "long_code_weight": 3,
        "toll_free_weight": 0,
    }


def test_a_number_pool_that_is_off_is_turned_on_as_a_whole(client: httpx.Client) -> None:
    profile = make(client).json()["data"]
    part = patch(client, profile, {"number_pool_settings": {"sticky_sender": True}})
    assert refusal(part) == (400, "10004", {"pointer": "/number_pool_settings/long_code_weight"})
    off = {"sticky_sender": False, "geomatch": False}
    assert changed(client, profile, number_pool_settings=POOL)["number_pool_settings"] == {**POOL, **off}


def test_a_limit_is_not_enforced_without_an_amount(client: httpx.Client) -> None:
    profile = make(client).json()["data"]
    answer = patch(client, profile, {"daily_spend_limit_enabled": True})
    assert refusal(answer) == (400, "10004", {"pointer": "/daily_spend_limit"})
    after = changed(client, profile, daily_spend_limit="1", daily_spend_limit_enabled=True)
    assert (after["daily_spend_limit"], after["daily_spend_limit_enabled"]) == ("1", True)


def test_every_country_may_be_a_destination(client: httpx.Client) -> None:
    table = (files("tzdata") / "zoneinfo" / "iso3166.tab").read_text(encoding="utf-8").splitlines()
    every = [line.partition("\t")[0] for line in table if line and not line.startswith("#")]
    assert make(client, whitelisted_destinations=every).json()["data"]["whitelisted_destinations"] == every


def test_fields_of_short_links_are_changed_one_by_one(client: httpx.Client, full: Any) -> None:
    links = full["url_shortener_settings"]
    after = changed(client, full, url_shortener_settings={"prefix": "", "send_webhooks": False})
    assert after["url_shortener_settings"] == {**links, "prefix": "", "send_webhooks": False}
    assert changed(client, full, url_shortener_settings={})["url_shortener_settings"] is None


def refusal(answer: httpx.Response) -> tuple[int, str, Any]:
    """Status, code and place."""
    (error,) = answer.json()["errors"]
    return answer.status_code, error["code"], error.get("source")


@pytest.mark.parametrize(
    ("given", "code", "pointer"),
    [
        ({"name": None}, "10004", "/name"),
        ({"name": " "}, "10004", "/name"),
        ({"name": "x" * 256}, "10025", "/name"),
        ({"name": "a\0b"}, "10015", "/name"),
        ({"name": 5}, "10026", "/name"),
        ({"whitelisted_destinations": None}, "10004", "/whitelisted_destinations"),
        ({"whitelisted_destinations": ["US", "usa"]}, "10015", "/whitelisted_destinations/1"),
        ({"whitelisted_destinations": "US"}, "10026", "/whitelisted_destinations"),
        ({"enabled": None}, "10026", "/enabled"),
        ({"enabled": "false"}, "10026", "/enabled"),
        ({"smart_encoding": 1}, "10026", "/smart_encoding"),
        ({"webhook_url": "example.com"}, "10003", "/webhook_url"),
        ({"webhook_url": "ftp://example.com/"}, "10003", "/webhook_url"),
        ({"webhook_url": f"https://example.com/{'x' * 2000}"}, "10003", "/webhook_url"),
        ({"webhook_url": "https://example.com/\0"}, "10003", "/webhook_url"),
        ({"webhook_url": ["https://example.com/"]}, "10026", "/webhook_url"),
        ({"webhook_failover_url": "/hooks"}, "10003", "/webhook_failover_url"),
        ({"health_webhook_url": "x"}, "10003", "/health_webhook_url"),
        ({"webhook_api_version": "3"}, "10032", "/webhook_api_version"),
        ({"webhook_api_version": 2}, "10026", "/webhook_api_version"),
        ({"webhook_api_version": None}, "10026", "/webhook_api_version"),
        ({"alpha_sender": ""}, "10015", "/alpha_sender"),
        ({"alpha_sender": "much too long"}, "10015", "/alpha_sender"),
        ({"daily_spend_limit": "-1"}, "10015", "/daily_spend_limit"),
        ({"daily_spend_limit": 1}, "10026", "/daily_spend_limit"),
        ({"daily_spend_limit": None, "daily_spend_limit_enabled": True}, "10004", "/daily_spend_limit"),
        ({"daily_spend_limit": "9" * 5000}, "10015", "/daily_spend_limit"),
        ({"ai_assistant_id": "x" * 65}, "10025", "/ai_assistant_id"),
        ({"resource_group_id": "x" * 65}, "10025", "/resource_group_id"),
        ({"v1_secret": ""}, "10004", "/v1_secret"),
        ({"v1_secret": None}, "10026", "/v1_secret"),
        ({"v1_secret": "x" * 256}, "10025", "/v1_secret"),
        ({"url_shortener_settings": "x"}, "10026", "/url_shortener_settings"),
        ({"url_shortener_settings": {"domain": 1}}, "10026", "/url_shortener_settings/domain"),
        ({"url_shortener_settings": {"domain": "bit.ly"}}, "40327", "/url_shortener_settings/domain"),
        ({"url_shortener_settings": {"prefix": "a/b"}}, "10015", "/url_shortener_settings/prefix"),
        ({"url_shortener_settings": {"prefix": "x" * 33}}, "10015", "/url_shortener_settings/prefix"),
        ({"number_pool_settings": []}, "10026", "/number_pool_settings"),
        ({"number_pool_settings": {"geomatch": None}}, "10026", "/number_pool_settings/geomatch"),
        ({"number_pool_settings": {"long_code_weight": "1"}}, "10026", "/number_pool_settings/long_code_weight"),
        ({"number_pool_settings": {"long_code_weight": -1}}, "10033", "/number_pool_settings"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_change_is_refused_as_a_whole(
    client: httpx.Client, full: Any, given: dict[str, Any], code: str, pointer: str
) -> None:
    answer = patch(client, full, {"smart_encoding": False, "name": "Changed", **given})
    assert refusal(answer) == (400, code, {"pointer": pointer})
    assert read(client, full) == full


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", "10023"), (b"{", "10023"), (b"[]", "10026"), (b"null", "10026"), (b'{"name": "\xff"}', "10028")],
)
def test_a_body_that_is_none_changes_nothing(client: httpx.Client, full: Any, body: bytes, code: str) -> None:
    answer = client.patch(f"/v2/messaging_profiles/{full['id']}", content=body)
    assert refusal(answer) == (400, code, {"pointer": "/"})
    assert read(client, full) == full


@pytest.mark.parametrize("profile_id", ["nope", "%00", NO_SUCH_ID])
def test_an_unknown_profile_is_not_changed(client: httpx.Client, profile_id: str) -> None:
    assert refusal(patch(client, {"id": profile_id}, {"name": "x"})) == (404, "10005", {"pointer": "/id"})


def test_a_profile_of_another_organisation_is_not_changed(call: Caller, stranger: Caller, accounts: Accounts) -> None:
    organization, _ = accounts.sandbox()
    path = f"/v2/messaging_profiles/{accounts.profile(organization).id}"
    before = call("GET", path).data
    assert stranger("PATCH", path, {"name": "Mine now"}).refusal == (404, "10005", "/id")
    assert call("GET", path, headers={"Authorization": None}).refusal == (401, "10009", None)
    assert call("PATCH", path, {"name": "x"}, {"Authorization": None}).refusal == (401, "10009", None)
    assert call("GET", path).data == before


def test_of_changes_at_once_none_is_lost(call: Caller, accounts: Accounts) -> None:
    organization, _ = accounts.sandbox()
    path = f"/v2/messaging_profiles/{accounts.profile(organization, daily_spend_limit='1').id}"
    flags = [name for name, value in FULL.items() if value is True]
    given: list[dict[str, Any]] = [{name: True} for name in flags] + [
        {"number_pool_settings": POOL},
        {"name": "New"},
        {"alpha_sender": "A"},
    ]

    def change(one: object) -> int:
        with accounts.caller() as caller:
            return caller("PATCH", path, one).status

    with ThreadPoolExecutor(len(given)) as threads:
        assert list(threads.map(change, given)) == [200] * len(given)
    after = call("GET", path).data
    assert all(after.items() >= each.items() for each in given if "number_pool_settings" not in each)
    assert after["number_pool_settings"].items() >= POOL.items()


def test_a_change_counts_from_its_answer_on(call: Caller, accounts: Accounts) -> None:
    organization, _ = accounts.sandbox()
    profile = accounts.profile(organization)
    path, number = f"/v2/messaging_profiles/{profile.id}", accounts.sender(profile)
    assert call.send(from_=number).status == 200
    assert call("PATCH", path, {"enabled": False}).status == 200
    assert call.send(from_=number).refusal == (403, "40312", "/messaging_profile_id")
    assert call("PATCH", path, {"enabled": True, "whitelisted_destinations": ["FR"]}).status == 200
    assert call.send(from_=number).error["code"] == "40309"


def test_the_next_event_goes_to_the_new_url(call: Caller, accounts: Accounts) -> None:
    organization, _ = accounts.sandbox()
    profile = accounts.profile(organization)
    number = accounts.sender(profile)
    with Receiver() as receiver:
        for path in ("/first", "/second", None):
            url = path and receiver.url(path)
            call("PATCH", f"/v2/messaging_profiles/{profile.id}", {"webhook_url": url})
            call("POST", "/sandbox/handsets/%2B18665550001/messages", {"to": number, "text": "Hello!"})
            call.settle()
        assert [each.path for each in receiver.told] == ["/first", "/second"]
        assert receiver.told[1].data["payload"]["webhook_url"] == receiver.url("/second")


def test_a_change_by_the_example_of_the_description(description: Any, call: Caller, accounts: Accounts) -> None:
    path = "/messaging_profiles/{id}"
    body = resolved(description["paths"][path]["patch"]["requestBody"])["content"]
    example = dict(resolved(body["application/json"]["schema"])["example"])
    example["url_shortener_settings"] = {**example["url_shortener_settings"], "domain": LINK_DOMAIN}
    profile = accounts.profile(accounts.sandbox()[0])
    assert call("PATCH", f"/v2/messaging_profiles/{profile.id}", example).status == 200
    assert call("GET", f"/v2/messaging_profiles/{profile.id}").data.items() >= example.items()


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
