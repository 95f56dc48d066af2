"""`/webhook_deliveries` over HTTP: what became of events, and their replay."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import quote

import pytest

from heliograph.domain.accounts import Profile
from tests.api.conftest import on_one_database
from tests.api.test_openapi_contract import description
from tests.webhook_receiver import Receiver, Told
from tests.wire import NO_SUCH_ID, TO, Accounts, Answer, Caller, later

__all__ = ["description"]  # a fixture
"""The provider's own, or a skip."""

LIST = "/webhook_deliveries"
ONE = f"{LIST}/{{id}}"
_FREE = count(1)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """One for the tests of this file; each has a path of its own."""
    with Receiver() as started:
        yield started


@dataclass
class Owner:
    """An organisation of its own, whose events go to a path of its own."""

    call: Caller
    receiver: Receiver
    profile: Profile
    number: str
    path: str

    def event(self, text: str = "Hello!") -> Any:
        """Let something happen, and have it delivered, or tried once; the delivery."""
        known = {each["id"] for each in self.listed("filter[status]=pending") + self.listed()}
        written = self.call("POST", "/sandbox/handsets/%2B18665550001/messages", {"to": self.number, "text": text})
        assert written.status == 200, written.body
        self.call.settle()
        (new,) = [each for each in self.listed() if each["id"] not in known]
        return new

    def listed(self, query: str = "") -> Any:
        """The deliveries that are listed."""
        return self.call("GET", f"/v2{LIST}?page[size]=250&{query}").data

    def found(self, query: str = "", **filters: str) -> list[str]:
        """The texts of the events that are listed; `webhook__contains="x"` and the like are put into the query."""
        named = [(f"filter{''.join(f'[{part}]' for part in n.split('__'))}", v) for n, v in filters.items()]
        asked = "&".join([query, *[f"{name}={quote(value, safe='')}" for name, value in named]])
        return [each["webhook"]["payload"]["text"] for each in self.listed(asked)]

    def read(self, delivery: Any) -> Any:
        """A delivery as it now is."""
        return self.call("GET", f"/v2{LIST}/{delivery['id']}").data

    def replay(self, delivery: Any, body: object = None) -> Answer:
        """Deliver its event again."""
        answer = self.call("POST", f"/v2{LIST}/{delivery['id']}/replay", body)
        self.call.settle()
        return answer

    def replay_since(self, **body: object) -> Answer:
        """Deliver events again."""
        answer = self.call("POST", f"/v2{LIST}/replay", body)
        self.call.settle()
        return answer

    def told(self, path: str = "") -> list[Told]:
        """What came to its receiver."""
        return self.receiver.at(path or self.path)


@pytest.fixture
def owner(accounts: Accounts, receiver: Receiver) -> Iterator[Owner]:
    """Somebody whose events are theirs alone."""
    path, organization = f"/hooks/{next(_FREE)}", accounts.organization()
    profile = accounts.profile(organization, webhook_url=receiver.url(path))
    with accounts.caller(accounts.key(organization)) as caller:
        yield Owner(caller, receiver, profile, accounts.sender(profile), path)


def test_a_delivery_is_shown_with_all_that_went_and_came(owner: Owner) -> None:
    owner.receiver.answer(owner.path, 200, "Grüße", X_Answer="yes")
    shown = owner.event("Hi!")
    (told,) = owner.told()
    assert (shown["record_type"], shown["status"], shown["user_id"]) == (
        "webhook_delivery",
        "delivered",
        owner.profile.organization_id,
    )
    assert (shown["webhook"], shown["webhook"]["payload"]["text"]) == (told.data, "Hi!")
    (attempt,) = shown["attempts"]
    assert (attempt["status"], attempt["errors"]) == ("delivered", [])
    request, response = attempt["http"]["request"], attempt["http"]["response"]
    assert request["url"] == owner.receiver.url(owner.path)
    assert ["telnyx-timestamp", told.headers["telnyx-timestamp"]] in [[n.lower(), v] for n, v in request["headers"]]
    assert (response["status"], response["body"]) == (200, "Grüße")
    assert ["X-Answer", "yes"] in response["headers"]
    assert owner.read(shown) == shown


def test_attempts_are_shown_newest_first(owner: Owner) -> None:
    owner.receiver.answer(owner.path, 500)
    owner.receiver.answer(owner.path, 404)
    delivery = owner.event()
    owner.call.advance_to(owner.call.time(hours=1))
    shown = owner.read(delivery)
    assert (shown["status"], [each["errors"] for each in shown["attempts"]]) == ("delivered", [[], [75404], [75500]])
    moments = [each[name] for each in shown["attempts"] for name in ("finished_at", "started_at")]
    assert moments == sorted(moments, reverse=True)
    # It is begun when it is taken up, a moment before its first attempt.
    assert (shown["finished_at"], shown["started_at"] <= moments[-1]) == (moments[0], True)


def test_what_is_under_way_has_failed_so_far_and_has_no_end(owner: Owner) -> None:
    owner.receiver.answer(owner.path, 503)
    shown = owner.event()
    assert (shown["status"], "started_at" in shown, "finished_at" in shown) == ("failed", True, False)
    assert owner.found(status="failed") == owner.found(status__eq="pending") == ["Hello!"]
    assert owner.found(status="delivered") == []


def test_what_was_never_tried_is_shown_only_to_whoever_asks_for_it(owner: Owner) -> None:
    owner.receiver.answer(owner.path, 429, Retry_After="3600")
    resting = owner.event()
    body = {"to": owner.number, "text": "Anybody there?"}
    owner.call("POST", "/sandbox/handsets/%2B18665550001/messages", body)
    owner.call.settle()
    assert [each["id"] for each in owner.listed()] == [resting["id"]]
    waiting = owner.listed("filter[status][eq]=pending")[0]
    assert (waiting["status"], waiting["attempts"], waiting["webhook"]["event_type"]) == (
        "pending",
        [],
        "message.received",
    )
    assert {"started_at", "finished_at"}.isdisjoint(waiting)
    assert owner.read(waiting) == waiting


def test_what_failed_at_every_url_has_failed_for_good(owner: Owner) -> None:
    for _ in range(3):
        owner.receiver.answer(owner.path, 400)
    delivery = owner.event()
    owner.call.advance_to(owner.call.time(hours=1))
    shown = owner.read(delivery)
    assert (shown["status"], len(shown["attempts"]), shown["finished_at"]) == (
        "failed",
        3,
        shown["attempts"][0]["finished_at"],
    )
    assert owner.found(status="failed") == ["Hello!"]
    assert owner.found(status="pending") == owner.found(status="delivered") == []


@pytest.mark.parametrize("statuses", [(), (500,), (400, 400, 400), (500, 302, 201)], ids=str)
def test_answers_fit_the_description(description: Any, owner: Owner, statuses: tuple[int, ...]) -> None:
    for status in statuses:
        owner.receiver.answer(owner.path, status, "So it is.", X_Why="so")
    delivery = owner.event()
    owner.call("GET", f"/v2{LIST}/{delivery['id']}")
    owner.call("GET", f"/v2{LIST}")
    owner.call.advance_to(owner.call.time(hours=1))
    owner.call("GET", f"/v2{LIST}")
    assert set(owner.read(delivery)) == set(description["components"]["schemas"]["webhook_delivery"]["properties"])


def test_deliveries_are_listed_newest_first_by_pages(owner: Owner) -> None:
    made = [owner.event()["id"] for _ in range(3)]
    pages = [owner.call("GET", f"/v2{LIST}?page[size]=2&page[number]={number}").json for number in (1, 2, 3)]
    assert [[each["id"] for each in page["data"]] for page in pages] == [[made[2], made[1]], [made[0]], []]
    assert pages[1]["meta"] == {"page_number": 2, "page_size": 2, "total_pages": 2, "total_results": 3}


def test_deliveries_are_listed_by_the_type_of_their_events(owner: Owner) -> None:
    owner.event("in")
    owner.call.send(from_=owner.number, to=TO, text="out")
    owner.call.settle()

    def types(wanted: str) -> list[str]:
        return [each["webhook"]["event_type"] for each in owner.listed(f"filter[event_type]={wanted}")]

    assert types("message.received") == ["message.received"]
    assert types("message.finalized,message.received") == types("message.received,%20message.finalized,call.initiated")
    assert sorted(types("message.sent,message.finalized")) == ["message.finalized", "message.sent"]
    assert types("call.initiated") == types("message.%") == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Hello, Ms. Smith", "hello, MS"),
        ("Grüße aus Köln 🙂", "aus Köln 🙂"),
        ("取消预约", "取消"),
        ("100 % and a_b", "0 % and a_b"),
        ("one/two", "one/two"),
        (r"C:\temp", r"C:\temp"),
        ('Say "yes"', '"yes"'),
        ("two\nlines", "two\nlines"),
        ("+ & = #", "+ & = #"),
    ],
)
def test_deliveries_are_found_by_a_text_within_their_event(owner: Owner, text: str, wanted: str) -> None:
    owner.event(text)
    owner.event("100 x and ayb, onetwo, C:temp, Say yes")
    assert owner.found(webhook__contains=wanted) == [text]


def test_deliveries_are_found_by_the_json_of_their_event(owner: Owner) -> None:
    delivery = owner.event('Say "yes"')
    for wanted in (f'"id":"{delivery["webhook"]["id"]}"', r'"Say \"yes\""', '"event_type":"message.received"'):
        assert owner.found(webhook__contains=wanted) == ['Say "yes"']


@pytest.mark.parametrize("wanted", ["%", "_", "\\", "h%o", "H_llo", "He/llo"])
def test_signs_of_sql_stand_for_themselves(owner: Owner, wanted: str) -> None:
    owner.receiver.answer(owner.path, 200, "Hello")
    owner.event()
    assert owner.found(webhook__contains=f"Hello{wanted}") == owner.found(attempts__contains=f"Hello{wanted}") == []
    assert owner.found(webhook__contains=f"{wanted}!") == owner.found(attempts__contains=f"{wanted}lo") == []


@pytest.mark.parametrize(
    "wanted",
    ["/second", "SECOND", "75599", "Überlastet, 50 %_", 'the "big" one', "X-Queue", "a/b", "telnyx-timestamp"],
)
def test_deliveries_are_found_by_a_text_within_their_attempts(owner: Owner, wanted: str) -> None:
    second = f"{owner.path}/second"
    owner.receiver.answer(second, 503, "Überlastet, 50 %_", X_Queue='the "big" one, a/b')
    owner.receiver.answer(owner.path, 200, "50 xy")
    patch(owner, webhook_url=owner.receiver.url(second))
    owner.event("tried")
    patch(owner, webhook_url="http://127.0.0.1:1/")
    owner.event("no answer")
    found = owner.found(attempts__contains=wanted)
    assert found == (["no answer", "tried"] if wanted == "telnyx-timestamp" else ["tried"])


def patch(owner: Owner, **given: object) -> Any:
    """Change the profile."""
    return owner.call("PATCH", f"/v2/messaging_profiles/{owner.profile.id}", given).data


def test_deliveries_are_found_by_why_there_was_no_answer(owner: Owner) -> None:
    patch(owner, webhook_url="http://127.0.0.1:1/")
    (attempt,) = owner.event()["attempts"]
    assert (attempt["errors"], "response" in attempt["http"]) == ([75002], False)
    assert owner.found(attempts__contains=attempt["detail"]) == owner.found(attempts__contains="75002") == ["Hello!"]


@pytest.mark.parametrize("name", ["started_at", "finished_at"])
def test_deliveries_are_found_again_by_the_moments_they_show(owner: Owner, name: str) -> None:
    shown = owner.event()[name]
    assert owner.found(f"filter[{name}][gte]={shown}&filter[{name}][lte]={shown}") == ["Hello!"]
    assert owner.found(f"filter[{name}][gte]={later(shown, milliseconds=1)}") == []
    assert owner.found(f"filter[{name}][lte]={later(shown, milliseconds=-1)}") == []


def test_filters_are_held_to_together(owner: Owner) -> None:
    owner.receiver.answer(owner.path, 500)
    owner.event("Hello!")
    owner.event("Goodbye!")
    assert owner.found(status="failed", webhook__contains="Hello", attempts__contains="75500") == ["Hello!"]
    assert owner.found(status="delivered", webhook__contains="Hello") == []


@on_one_database
@pytest.mark.parametrize(
    ("query", "code", "parameter"),
    [
        ("page[number]=0", "10015", "page[number]"),
        ("page[number]=x", "10015", "page[number]"),
        ("page[size]=0", "10015", "page[size]"),
        ("page[size]=251", "10015", "page[size]"),
        ("filter[status][eq]=lost", "10031", "filter[status][eq]"),
        ("filter[status]=", "10031", "filter[status][eq]"),
        ("filter[status][contains]=fail", "10031", "filter[status][contains]"),
        ("filter[event_type][contains]=sent", "10031", "filter[event_type][contains]"),
        ("filter[webhook]=x", "10031", "filter[webhook]"),
        ("filter[webhook][contains]=%00", "10031", "filter[webhook][contains]"),
        (f"filter[webhook][contains]={'x' * 1001}", "10031", "filter[webhook][contains]"),
        (f"filter[attempts][contains]={'%25' * 1001}", "10031", "filter[attempts][contains]"),
        ("filter[attempts][eq]=x", "10031", "filter[attempts][eq]"),
        ("filter[url]=x", "10031", "filter[url]"),
        ("filter=x", "10031", "filter"),
        ("filter[started_at]=2026-01-01T00:00:00Z", "10031", "filter[started_at]"),
        ("filter[started_at][gt]=2026-01-01T00:00:00Z", "10031", "filter[started_at][gt]"),
        ("filter[started_at][gte]=", "10015", "filter[started_at][gte]"),
        ("filter[started_at][lte]=yesterday", "10015", "filter[started_at][lte]"),
        ("filter[finished_at][gte]=2026-01-01", "10015", "filter[finished_at][gte]"),
        ("filter[finished_at][gte]=2026-01-01T00:00:00", "10015", "filter[finished_at][gte]"),
        ("filter[finished_at][lte]=2026-02-30T00:00:00Z", "10015", "filter[finished_at][lte]"),
        ("filter[finished_at][lte]=2026-01-01T00:00:00+00:00", "10015", "filter[finished_at][lte]"),
    ],
    ids=lambda value: value[:40],
)
def test_bad_pages_and_filters_are_refused(call: Caller, query: str, code: str, parameter: str) -> None:
    answer = call("GET", f"/v2{LIST}?{query}")
    assert (answer.status, answer.error["code"], answer.error["source"]) == (400, code, {"parameter": parameter})


def test_the_longest_text_can_be_looked_for(owner: Owner) -> None:
    owner.event()
    for text in ("x" * 1000, "%" * 1000, "é" * 1000, '"' * 1000):
        assert owner.found(webhook__contains=text) == owner.found(attempts__contains=text) == []


def test_deliveries_of_another_organisation_do_not_exist(owner: Owner, stranger: Caller) -> None:
    delivery = owner.event()
    for query in (
        "",
        "filter[webhook][contains]=Hello",
        "filter[attempts][contains]=hooks",
        "filter[status]=delivered",
    ):
        answer = stranger("GET", f"/v2{LIST}?{query}").json
        assert (answer["data"], answer["meta"]["total_results"]) == ([], 0)
    for method, path in (("GET", delivery["id"]), ("POST", f"{delivery['id']}/replay")):
        assert stranger(method, f"/v2{LIST}/{path}").refusal == (404, "10005", "/id")
    assert stranger("POST", f"/v2{LIST}/replay", {"since": "2020-01-01T00:00:00Z"}).data["replayed"] == 0
    stranger.settle()
    assert len(owner.told()) == 1


@pytest.mark.parametrize("which", [NO_SUCH_ID, "nope", "%00", f"{NO_SUCH_ID}0", "replay"])
def test_an_unknown_delivery_is_not_found(call: Caller, which: str) -> None:
    assert call("POST", f"/v2{LIST}/{which}/replay").refusal == (404, "10005", "/id")
    if which != "replay":
        assert call("GET", f"/v2{LIST}/{which}").refusal == (404, "10005", "/id")


def test_an_id_may_be_written_in_capitals(owner: Owner) -> None:
    delivery = owner.event()
    assert owner.read({"id": delivery["id"].upper()}) == delivery


def test_nobody_sees_or_replays_without_a_key(accounts: Accounts) -> None:
    with accounts.caller("KEY_nobody") as nobody:
        for method, path in (("GET", LIST), ("GET", f"{LIST}/{NO_SUCH_ID}"), ("POST", f"{LIST}/replay")):
            assert nobody(method, f"/v2{path}").refusal == (401, "10009", None)


def test_an_event_is_delivered_again_as_it_was(owner: Owner) -> None:
    delivery = owner.event("Grüße 🙂")
    begun = owner.replay(delivery).data
    first, again = owner.told()
    assert (first.event, first.headers["webhook-id"]) == (again.event, again.headers["webhook-id"])
    assert json.loads(again.body)["meta"] == {"attempt": 1, "delivered_to": owner.receiver.url(owner.path)}
    assert (begun["status"], begun["attempts"], begun["webhook"]) == ("pending", [], first.data)
    assert owner.read(begun)["status"] == "delivered"
    assert [each["id"] for each in owner.listed()] == [begun["id"], delivery["id"]]
    assert owner.read(delivery) == delivery


def test_a_replay_goes_where_it_is_sent(owner: Owner) -> None:
    owner.replay(owner.event(), {"url": owner.receiver.url(f"{owner.path}/other")})
    (there,) = owner.told(f"{owner.path}/other")
    (first,) = owner.told()
    assert (there.event, there.headers["webhook-id"]) == (first.event, first.headers["webhook-id"])


def test_a_replay_goes_where_the_event_would_go_now(owner: Owner) -> None:
    delivery = owner.event()
    patch(owner, webhook_url=owner.receiver.url(f"{owner.path}/new"))
    owner.replay(delivery)
    assert (len(owner.told()), len(owner.told(f"{owner.path}/new"))) == (1, 1)


@pytest.mark.parametrize("body", [None, b"", {}, {"url": None}, {"url": ""}], ids=str)
def test_a_replay_needs_no_body(owner: Owner, body: object) -> None:
    assert owner.replay(owner.event(), body).status == 200
    assert len(owner.told()) == 2


def test_a_replay_is_replayed_like_what_it_replays(owner: Owner) -> None:
    again = owner.replay(owner.event()).data
    assert owner.replay(again).status == 200
    assert len({each.event for each in owner.told()}) == 1
    assert len(owner.told()) == 3


def test_what_failed_is_delivered_by_a_replay(owner: Owner) -> None:
    owner.receiver.answer(owner.path, 410)
    delivery = owner.event()
    assert delivery["status"] == "failed"
    assert owner.read(owner.replay(delivery).data)["status"] == "delivered"
    assert len({each.headers["webhook-id"] for each in owner.told()}) == 1


def test_a_replay_without_anywhere_to_go_says_so(owner: Owner) -> None:
    delivery = owner.event()
    patch(owner, webhook_url="")
    assert owner.replay(delivery).refusal == (400, "10004", "/url")
    assert owner.replay_since(since=delivery["webhook"]["occurred_at"]).data["replayed"] == 0
    assert len(owner.told()) == 1


BAD_URLS: list[tuple[object, str]] = [
    ("example.com/hooks", "10003"),
    ("ftp://example.com/", "10003"),
    ("http://", "10003"),
    ("http://exa mple.com/", "10003"),
    ("http://example.com/\0", "10003"),
    ("http://example.com:0/", "10003"),
    ("http://example.com:99999/", "10003"),
    (f"https://example.com/{'x' * 2000}", "10003"),
    (7, "10026"),
    (["https://example.com/"], "10026"),
]


def test_a_replay_to_what_is_no_url_is_refused(owner: Owner) -> None:
    delivery = owner.event()
    since = delivery["webhook"]["occurred_at"]
    for url, code in BAD_URLS:
        assert owner.replay(delivery, {"url": url}).refusal == (400, code, "/url")
        assert owner.replay_since(since=since, url=url).refusal == (400, code, "/url")
    assert (len(owner.listed("filter[status]=pending")), len(owner.listed()), len(owner.told())) == (0, 1, 1)


INTERNAL = [
    "http://10.0.0.1/",
    "http://169.254.169.254/latest/meta-data",
    "http://[fe80::1]/",
    "http://192.168.1.1:8080/",
    "http://0.0.0.0/",
]


def test_a_replay_to_an_internal_address_is_refused_when_it_is_tried(owner: Owner) -> None:
    delivery = owner.event()
    for url in INTERNAL:
        begun = owner.replay(delivery, {"url": url}).data
        (attempt,) = owner.read(begun)["attempts"]
        assert (attempt["status"], attempt["errors"], attempt["http"]["request"]["url"]) == ("failed", [75002], url)


@on_one_database
@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b"{", (400, "10023", "/")),
        (b"[]", (400, "10026", "/")),
        (b"null", (400, "10026", "/")),
        (b'"https://example.com/"', (400, "10026", "/")),
        (b'{"url": "\xff"}', (400, "10028", "/")),
        (b" ", (400, "10023", "/")),
    ],
    ids=str,
)
def test_a_body_that_is_none_is_refused(call: Caller, body: bytes, refusal: tuple[int, str, str]) -> None:
    for path in (f"{LIST}/{NO_SUCH_ID}/replay", f"{LIST}/replay"):
        assert call("POST", f"/v2{path}", body).refusal == refusal


def test_events_since_a_moment_are_delivered_again(owner: Owner) -> None:
    occurred = [owner.event(text)["webhook"]["occurred_at"] for text in ("one", "two", "three") if tick(owner)]
    answer = owner.replay_since(since=occurred[1], url=owner.receiver.url(f"{owner.path}/again"))
    assert answer.data == {"record_type": "webhook_replay", "replayed": 2}
    first = {each.event for each in owner.told()[1:]}
    assert {each.event for each in owner.told(f"{owner.path}/again")} == first
    assert len(owner.told()) == 3


def tick(owner: Owner) -> bool:
    """Let a second go by."""
    owner.call.advance_to(owner.call.time(seconds=1))
    return True


def test_what_was_replayed_is_not_replayed_again_by_itself(owner: Owner) -> None:
    since = owner.event()["webhook"]["occurred_at"]
    assert [owner.replay_since(since=since).data["replayed"] for _ in range(3)] == [1, 1, 1]
    assert len(owner.told()) == 4


def test_events_of_some_types_are_delivered_again(owner: Owner) -> None:
    since = owner.event()["webhook"]["occurred_at"]
    owner.call.send(from_=owner.number, to=TO)
    owner.call.settle()
    wanted = ["message.received", "message.finalized"]
    assert owner.replay_since(since=since, event_types=wanted).data["replayed"] == 2
    assert {each.data["event_type"] for each in owner.told()[3:]} == set(wanted)
    assert owner.replay_since(since=since, event_types=[]).data["replayed"] == 0
    assert owner.replay_since(since=since, event_types=None).data["replayed"] == 3


def test_a_moment_to_come_has_no_events(owner: Owner) -> None:
    owner.event()
    assert owner.replay_since(since=owner.call.time(hours=1)).data["replayed"] == 0


@on_one_database
@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({}, "10004", "/since"),
        ({"since": None}, "10004", "/since"),
        ({"since": ""}, "10004", "/since"),
        ({"since": "yesterday"}, "10015", "/since"),
        ({"since": "2026-01-01T00:00:00"}, "10015", "/since"),
        ({"since": "2026-02-30T00:00:00Z"}, "10015", "/since"),
        ({"since": 1767225600}, "10026", "/since"),
        ({"since": "2026-01-01T00:00:00Z", "event_types": "message.sent"}, "10026", "/event_types"),
        ({"since": "2026-01-01T00:00:00Z", "event_types": [1]}, "10026", "/event_types/0"),
        ({"since": "2026-01-01T00:00:00Z", "event_types": ["message.sent", "x"]}, "10032", "/event_types/1"),
    ],
    ids=str,
)
def test_a_bad_replay_is_refused_by_its_field(call: Caller, body: object, code: str, pointer: str) -> None:
    assert call("POST", f"/v2{LIST}/replay", body).refusal == (400, code, pointer)


def test_a_replay_of_many_needs_a_body(call: Caller) -> None:
    assert call("POST", f"/v2{LIST}/replay").refusal == (400, "10023", "/")


@pytest.mark.parametrize("path", [LIST, f"{LIST}/{NO_SUCH_ID}"])
def test_a_delivery_cannot_be_made_or_taken_away(call: Caller, path: str) -> None:
    for method in ("PUT", "PATCH", "DELETE"):
        assert call(method, f"/v2{path}").refusal == (405, "10030", None)


def test_a_field_that_a_replay_does_not_know_is_refused(owner: Owner) -> None:
    delivery = owner.event()
    assert owner.replay(delivery, {"colour": "red"}).refusal[:2] == (400, "10026")
    assert owner.replay_since(since="2020-01-01T00:00:00Z", colour="red").refusal[:2] == (400, "10026")
    assert owner.replay_since(since="2020-01-01T00:00:00Z", status="tried").refusal == (400, "10032", "/status")
    assert len(owner.told()) == 1


def test_only_what_nobody_took_is_replayed_if_so_wanted(owner: Owner) -> None:
    taken = owner.event()
    for _ in range(3):
        owner.receiver.answer(owner.path, 500)
    failed = owner.event()
    owner.call.advance_to(owner.call.time(minutes=5))
    since = taken["webhook"]["occurred_at"]
    assert owner.replay_since(since=since, status="failed").data["replayed"] == 1
    assert owner.told()[-1].data["id"] == failed["webhook"]["id"]
    assert owner.replay_since(since=since, status="failed").data["replayed"] == 0


def test_an_event_that_was_not_tried_says_what_it_will_say(owner: Owner) -> None:
    owner.receiver.answer(owner.path, 410)
    owner.event()
    untried = owner.event()
    assert untried["attempts"] == []
    assert untried["webhook"]["payload"]["text"] == "Hello!"
