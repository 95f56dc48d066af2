"""Reports that are made in the background, the files they make, and what is refused."""

from collections.abc import Iterator
from csv import DictReader
from io import StringIO
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest

from tests.wire import NO_SUCH_ID, TO, Accounts, Caller, later

BATCH = "/v2/legacy/reporting/batch_detail_records/messaging"
USAGE = "/v2/reports/mdr_usage_reports"
LEGACY = "/v2/legacy/reporting/usage_reports/messaging"
KINDS = (BATCH, USAGE, LEGACY)
NOT_ROUTABLE = "+15005550001"
HANDSET = "+13125550199"


class Team(NamedTuple):
    """An organisation with two profiles, each with a number."""

    call: Caller
    numbers: tuple[str, str]
    profiles: tuple[str, str]

    def writes(self, text: str) -> None:
        """A handset writes to the first number."""
        self.call("POST", f"/sandbox/handsets/{HANDSET}/messages", {"to": self.numbers[0], "text": text})

    def now(self, **ahead: float) -> str:
        """A moment by the sandbox's clock."""
        return self.call.time(**ahead)

    def made(self, path: str, **fields: Any) -> Any:
        """A report of the last hour, once it is made."""
        times = ("start_date", "end_date") if path == USAGE else ("start_time", "end_time")
        span = dict(zip(times, (self.now(hours=-1), self.now(seconds=1)), strict=True))
        report = self.call("POST", path, {**span, **fields}).data
        self.call.settle()
        return self.call("GET", f"{path}/{report['id']}").data

    def file(self, report: Any) -> str:
        """The file of a report, fetched without a key."""
        answer = self.call("GET", urlsplit(report["report_url"]).path, headers={"Authorization": None})
        assert (answer.status, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
        return answer.body.decode()

    def lines(self, report: Any) -> list[dict[str, str]]:
        """Its lines."""
        return list(DictReader(StringIO(self.file(report), newline="")))


@pytest.fixture
def team(accounts: Accounts) -> Iterator[Team]:
    """A team of its own for each test."""
    organization = accounts.organization()
    first, second = accounts.profile(organization), accounts.profile(organization)
    numbers = accounts.sender(first, tags=("north", "retail")), accounts.sender(second)
    with accounts.caller(accounts.key(organization)) as call:
        yield Team(call, numbers, (first.id, second.id))


def test_a_batch_report_makes_a_file_of_every_record(team: Team) -> None:
    sent = team.call.send(from_=team.numbers[0], text='Grüße, "wir"\nzwei').data
    failed = team.call.send(from_=team.numbers[1], to=NOT_ROUTABLE).data
    team.writes("Hi")
    team.call.settle()
    report = team.made(BATCH, include_message_body=True, report_name="=All of it/", timezone="America/New_York")
    assert {name: report[name] for name in ("status", "directions", "record_types", "record_type", "report_name")} == {
        "status": "COMPLETE",
        "directions": ["INBOUND", "OUTBOUND"],
        "record_types": ["COMPLETED", "INCOMPLETE", "ERRORS"],
        "record_type": "mdr_report",
        "report_name": "=All of it/",
    }
    first, second, third = team.lines(report)
    (record,) = team.call("GET", f"/v2/detail_records?filter[record_type]=messaging&filter[uuid]={sent['id']}").data
    same = ("cli", "cld", "status", "rate", "carrier_fee", "cost", "currency", "profile_id", "carrier", "tags")
    assert {name: first[name] for name in same} == {name: record[name] for name in same}
    assert (first["id"], first["direction"], first["parts"]) == (sent["id"], "outbound", "1")
    assert first["message_body"] == 'Grüße, "wir"\nzwei'
    assert first["created_at"][-6:] in {"-05:00", "-04:00"}
    assert (second["id"], second["status"], second["errors"]) == (failed["id"], "failed", "40001")
    assert (third["direction"], third["status"], third["cost"], third["sent_at"]) == (
        "inbound",
        "received",
        "0.0000",
        "",
    )


def test_nothing_in_a_file_runs_as_a_formula(team: Team) -> None:
    team.writes('=HYPERLINK("https://example.com")')
    (line,) = team.lines(team.made(BATCH, include_message_body=True))
    assert (line["cli"], line["message_body"]) == (HANDSET, '\'=HYPERLINK("https://example.com")')


def test_a_batch_report_holds_only_what_it_is_asked_for(team: Team) -> None:
    ids = [team.call.send(from_=number, to=to).data["id"] for number in team.numbers for to in (TO, NOT_ROUTABLE)]
    team.writes("Hi")
    team.call.settle()
    first, second = team.numbers
    cases: list[tuple[dict[str, Any], list[int | None]]] = [
        ({"directions": [1]}, [None]),
        ({"directions": [2]}, [0, 1, 2, 3]),
        ({"record_types": [3]}, [1, 3]),
        ({"record_types": [1], "directions": [2]}, [0, 2]),
        ({"profiles": [team.profiles[1]]}, [2, 3]),
        ({"profiles": [NO_SUCH_ID]}, []),
        ({"filters": [{"filter_type": "and", "cli": first}]}, [0, 1]),
        ({"filters": [{"filter_type": "and", "tags_list": "north"}]}, [0, 1, None]),
        ({"filters": [{"filter_type": "and", "cli": first}, {"filter_type": "and", "cld": TO}]}, [0]),
        (
            {"filters": [{"filter_type": "and", "cli": first, "cld": TO}, {"filter_type": "or", "cli": second}]},
            [0, 2, 3],
        ),
        ({"filters": [{"filter_type": "and", "cld": TO[3:], "cld_filter": "ends_with"}]}, [0, 2]),
        ({"filters": [{"filter_type": "and", "cld": "%", "cld_filter": "contains"}]}, []),
    ]
    for fields, wanted in cases:
        found = [each["id"] for each in team.lines(team.made(BATCH, **fields))]
        assert [ids.index(each) if each in ids else None for each in found] == wanted, fields


def test_a_usage_report_adds_up_by_what_it_is_asked_to(team: Team) -> None:
    sent = [team.call.send(from_=number, text="x" * 200).data for number in (*team.numbers, team.numbers[0])]
    team.call.send(from_=team.numbers[0], to=NOT_ROUTABLE)
    team.writes("Hi")
    team.call.settle()
    inbound, outbound = team.made(USAGE, aggregation_type="NO_AGGREGATION")["result"]
    cost = float(sent[0]["cost"]["amount"])
    assert {name: outbound[name] for name in ("sent", "delivered", "received", "parts", "message_type", "tn_type")} == {
        "sent": "4",
        "delivered": "3",
        "received": "0",
        "parts": "7",
        "message_type": "SMS",
        "tn_type": "long_code",
    }
    assert float(outbound["cost"]) == pytest.approx(3 * cost + cost / 2)
    assert (inbound["direction"], inbound["received"], inbound["sent"], inbound["cost"]) == (
        "inbound",
        "1",
        "0",
        "0.0000",
    )

    def by(aggregation: str, name: str, **fields: Any) -> list[tuple[str, str]]:
        rows = team.made(USAGE, aggregation_type=aggregation, **fields)["result"]
        return [(each.get(name, ""), each["sent"]) for each in rows if each["direction"] == "outbound"]

    assert by("PROFILE", "profile_id") == sorted(zip(team.profiles, ("3", "1"), strict=True))
    assert by("PROFILE", "profile_id", profiles=team.profiles[1]) == [(team.profiles[1], "1")]
    assert by("TAGS", "tags") == [("", "1"), ("north,retail", "3")]


def test_a_usage_report_is_had_at_once_and_as_a_file(team: Team) -> None:
    team.call.send(from_=team.numbers[0])
    team.call.settle()
    query = {"aggregation_type": "PROFILE", "profiles": ",".join(team.profiles)}
    at_once = team.call("GET", f"{USAGE}/sync?{urlencode(query)}").data
    kept = team.made(USAGE, aggregation_type="PROFILE")
    legacy = team.made(LEGACY, aggregation_type=1, profiles=list(team.profiles))
    assert at_once["result"] == kept["result"] == legacy["result"]["rows"]
    assert (at_once["status"], kept["status"], legacy["status"], legacy["aggregation_type"]) == (
        "COMPLETE",
        "COMPLETE",
        2,
        1,
    )
    for report in (kept, legacy):
        assert [each["sent"] for each in team.lines(report)] == ["1"]
    assert team.call("GET", USAGE).json["meta"]["total_results"] == 1


@pytest.mark.parametrize("path", KINDS)
def test_a_report_is_its_organisations_alone_until_it_is_deleted(team: Team, stranger: Caller, path: str) -> None:
    usual: dict[str, dict[str, Any]] = {BATCH: {}, USAGE: {"aggregation_type": "TAGS"}, LEGACY: {"aggregation_type": 2}}
    report = team.made(path, **usual[path])
    one = f"{path}/{report['id']}"
    assert [each["id"] for each in team.call("GET", path).data] == [report["id"]]
    assert (stranger("GET", one).status, stranger("DELETE", one).status, stranger("GET", path).data) == (404, 404, [])
    others = [other for other in KINDS if other != path]
    assert [team.call("GET", f"{other}/{report['id']}").status for other in others] == [404, 404]
    file = urlsplit(report["report_url"]).path
    folder = file.rpartition("/")[0]
    assert [stranger("GET", at).status for at in (file, f"{folder}/guess.csv", f"{folder}/.csv")] == [200, 404, 404]
    assert team.call("DELETE", one).data["id"] == report["id"]
    assert [team.call("GET", at).status for at in (one, file)] == [404, 404]
    assert (team.call("DELETE", one).status, team.call("GET", path).data) == (404, [])


def test_the_pages_of_the_older_list_have_names_of_their_own(team: Team) -> None:
    ids = [team.made(LEGACY, aggregation_type=0)["id"] for _ in range(3)]
    answer = team.call("GET", f"{LEGACY}?page=2&per_page=2")
    assert [each["id"] for each in answer.data] == [ids[0]]
    assert team.call("GET", f"{LEGACY}?per_page=0").error["source"] == {"parameter": "per_page"}


def test_an_end_is_not_included_unless_it_is_a_day(team: Team) -> None:
    at = team.call.send(from_=team.numbers[0]).data["received_at"]
    team.call.settle()

    def sent(start: str, end: str) -> int:
        query = {"aggregation_type": "NO_AGGREGATION", "start_date": start, "end_date": end}
        report = team.call("GET", f"{USAGE}/sync?{urlencode(query)}").data
        return sum(int(each["sent"]) for each in report["result"])

    assert sent(later(at, hours=-1), at) == 0
    assert sent(at, later(at, milliseconds=1)) == 1
    assert sent(at[:10], at[:10]) == 1


BAD_BODIES: list[tuple[str, dict[str, Any], int, str, str]] = [
    (BATCH, {"start_time": None}, 400, "10004", "/start_time"),
    (BATCH, {"end_time": ""}, 400, "10004", "/end_time"),
    (BATCH, {"start_time": "2026-02-30"}, 400, "10015", "/start_time"),
    (BATCH, {"start_time": "2026-01-02T10:00:00"}, 400, "10015", "/start_time"),
    (BATCH, {"start_time": "2999-01-01", "end_time": "2999-02-01"}, 400, "10015", "/start_time"),
    (BATCH, {"end_time": "2026-01-01T00:00:00Z"}, 400, "10015", "/end_time"),
    (BATCH, {"directions": [3]}, 400, "10032", "/directions/0"),
    (BATCH, {"record_types": [0]}, 400, "10032", "/record_types/0"),
    (BATCH, {"profiles": ["1"]}, 400, "10015", "/profiles"),
    (BATCH, {"timezone": "Mars/Base"}, 400, "10032", "/timezone"),
    (BATCH, {"report_name": "x" * 256}, 400, "10025", "/report_name"),
    (BATCH, {"connections": [123]}, 422, "10017", "/connections"),
    (BATCH, {"managed_accounts": [NO_SUCH_ID]}, 422, "10017", "/managed_accounts"),
    (BATCH, {"filters": [{"filter_type": "or", "cli": TO}]}, 400, "10015", "/filters/0/filter_type"),
    (BATCH, {"filters": [{"filter_type": "xor", "cli": TO}]}, 400, "10032", "/filters/0/filter_type"),
    (BATCH, {"filters": [{"cli": "x" * 256}]}, 400, "10015", "/filters/0"),
    (BATCH, {"filters": [{"filter_type": "and"}]}, 400, "10015", "/filters/0"),
    (BATCH, {"filters": [{"cli": TO, "cli_filter": "near"}]}, 400, "10032", "/filters/0/cli_filter"),
    (BATCH, {"filters": [{"cli": TO, "billing_group": NO_SUCH_ID}]}, 422, "10017", "/filters/0/billing_group"),
    (
        BATCH,
        {"filters": [{"filter_type": each, "cli": TO} for each in ("and", "or", "and")]},
        400,
        "10015",
        "/filters/2/filter_type",
    ),
    (USAGE, {"aggregation_type": None}, 400, "10004", "/aggregation_type"),
    (USAGE, {"aggregation_type": "DAY"}, 400, "10032", "/aggregation_type"),
    (USAGE, {"start_date": "soon"}, 400, "10015", "/start_date"),
    (USAGE, {"end_date": "2025-12-31"}, 400, "10015", "/end_date"),
    (USAGE, {"profiles": "a,b"}, 400, "10015", "/profiles"),
    (LEGACY, {"aggregation_type": 3}, 400, "10032", "/aggregation_type"),
    (LEGACY, {"aggregation_type": None}, 400, "10004", "/aggregation_type"),
    (LEGACY, {"managed_accounts": [NO_SUCH_ID]}, 422, "10017", "/managed_accounts"),
]


def test_a_report_that_cannot_be_made_is_refused(call: Caller) -> None:
    times = {"start": "2026-01-01T10:00:00Z", "end": "2026-01-02T10:00:00Z"}
    usual: dict[str, dict[str, Any]] = {
        BATCH: {f"{name}_time": value for name, value in times.items()},
        USAGE: {"aggregation_type": "TAGS"} | {f"{name}_date": value for name, value in times.items()},
        LEGACY: {"aggregation_type": 2} | {f"{name}_time": value for name, value in times.items()},
    }
    found = [call("POST", path, {**usual[path], **fields}).refusal for path, fields, *_ in BAD_BODIES]
    assert found == [(status, code, pointer) for _, _, status, code, pointer in BAD_BODIES]


@pytest.mark.parametrize(
    ("query", "code", "parameter"),
    [
        ("", "10004", "aggregation_type"),
        ("aggregation_type=DAY", "10032", "aggregation_type"),
        ("aggregation_type=TAGS&start_date=2999-01-01", "10015", "start_date"),
        ("aggregation_type=TAGS&profiles=1", "10015", "profiles"),
    ],
)
def test_a_bad_question_for_a_report_at_once_is_refused(call: Caller, query: str, code: str, parameter: str) -> None:
    answer = call("GET", f"{USAGE}/sync?{query}")
    assert (answer.status, answer.error["code"], answer.error["source"]) == (400, code, {"parameter": parameter})
