"""Figures of profiles, and the balance, against the messages that they are made of."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.wire import NO_SUCH_ID, Accounts, Caller, on_sqlite

LIST = "/v2/messaging_profile_metrics"
NOT_ROUTABLE = "+15005550001"
REFUSED = "+15005550003"


class Team(NamedTuple):
    """An organisation with a busy profile and an idle one."""

    call: Caller
    number: str
    busy: str
    idle: str


@pytest.fixture
def team(accounts: Accounts) -> Iterator[Team]:
    """A team of its own for each test."""
    organization = accounts.organization()
    busy, idle = accounts.profile(organization), accounts.profile(organization)
    number = accounts.sender(busy)
    with accounts.caller(accounts.key(organization)) as call:
        yield Team(call, number, busy.id, idle.id)


def busy_day(team: Team) -> None:
    for to in ("+18665550001", "+18665550002", "+18665550003", NOT_ROUTABLE):
        team.call.send(from_=team.number, to=to)
    team.call("POST", "/sandbox/handsets/+13125550199/messages", {"to": team.number, "text": "Hi"})
    team.call.settle()


def test_the_figures_of_a_profile_are_those_of_its_messages(team: Team) -> None:
    busy_day(team)
    answer = team.call("GET", LIST)
    figures = {each["messaging_profile_id"]: each for each in answer.data}
    assert figures[team.busy] == {
        "record_type": "messaging_profile_metrics",
        "messaging_profile_id": team.busy,
        "name": "Other",
        "time_frame": "24h",
        "phone_numbers": 1,
        "outbound": {
            "sent": 4,
            "delivered": 3,
            "errors": 1,
            "unconfirmed": 0,
            "delivered_ratio": 0.75,
            "error_ratio": 0.25,
        },
        "inbound": {"received": 1},
    }
    idle = figures[team.idle]
    assert (idle["phone_numbers"], idle["outbound"]["sent"], idle["outbound"]["delivered_ratio"]) == (0, 0, None)
    assert answer.json["meta"]["total_results"] == 2


def test_what_the_carrier_refused_was_not_sent_in_figures_nor_in_reports(team: Team) -> None:
    for to in (REFUSED, NOT_ROUTABLE, "+18665550001"):
        team.call.send(from_=team.number, to=to)
    team.call.settle()
    overview = team.call("GET", f"/v2/messaging_profiles/{team.busy}/metrics").data["overview"]["outbound"]
    (line,) = team.call("GET", "/v2/reports/mdr_usage_reports/sync?aggregation_type=PROFILE").data["result"]
    assert (overview["sent"], overview["delivered"], overview["errors"]) == (2, 1, 2)
    assert (line["sent"], line["delivered"], line["parts"]) == ("2", "1", "3")


@pytest.mark.parametrize(("frame", "seconds", "count"), [("1h", 300, 12), ("24h", 3600, 24), ("30d", 86_400, 30)])
def test_the_course_of_a_profile_has_every_step_and_adds_up(team: Team, frame: str, seconds: int, count: int) -> None:
    busy_day(team)
    course: Any = team.call("GET", f"/v2/messaging_profiles/{team.busy}/metrics?time_frame={frame}").data
    moments = [datetime.fromisoformat(each["timestamp"]) for each in course["detailed"]]
    steps = {(after - before).total_seconds() for before, after in pairwise(moments)}
    assert (len(moments), steps) == (count + 1, {seconds})
    assert sum(each["outbound"]["sent"] for each in course["detailed"]) == course["overview"]["outbound"]["sent"] == 4
    assert sum(each["inbound"]["received"] for each in course["detailed"]) == 1


def test_what_is_older_than_the_time_frame_is_not_counted(team: Team) -> None:
    busy_day(team)
    team.call.advance_to(team.call.time(hours=2))
    counted = {
        frame: team.call("GET", f"/v2/messaging_profiles/{team.busy}/metrics?time_frame={frame}").data["overview"]
        for frame in ("1h", "3h")
    }
    assert {frame: (each["outbound"]["sent"], each["inbound"]["received"]) for frame, each in counted.items()} == {
        "1h": (0, 0),
        "3h": (4, 1),
    }


def test_figures_stop_at_the_wall_and_at_unknown_time_frames(team: Team, stranger: Caller) -> None:
    assert team.busy not in {each["messaging_profile_id"] for each in stranger("GET", LIST).data}
    for profile_id in (team.busy, NO_SUCH_ID):
        assert stranger("GET", f"/v2/messaging_profiles/{profile_id}/metrics").refusal == (404, "10005", "/id")
    for path in (LIST, f"/v2/messaging_profiles/{team.busy}/metrics"):
        refused = team.call("GET", f"{path}?time_frame=2h")
        assert (refused.status, refused.error["code"], refused.error["source"]) == (
            400,
            "10015",
            {"parameter": "time_frame"},
        )


def test_the_balance_begins_with_what_is_set(tmp_path: Path) -> None:
    settings = {"BILLING__OPENING_BALANCE": "0.004", "BILLING__CREDIT_LIMIT": "12.5"}
    with on_sqlite(tmp_path, **settings) as server, Accounts(server).caller() as call:
        call.send()
        found = call("GET", "/v2/balance").data
    assert (found["balance"], found["credit_limit"], found["available_credit"]) == ("-0.0011", "12.50", "12.4989")


def test_the_balance_falls_by_what_messages_cost_and_not_by_what_is_called_off(team: Team) -> None:
    def balance() -> dict[str, Decimal]:
        found = team.call("GET", "/v2/balance").data
        assert (found["record_type"], found["currency"]) == ("balance", "USD")
        return {name: Decimal(found[name]) for name in ("balance", "pending", "available_credit", "credit_limit")}

    nothing = dict.fromkeys(("balance", "pending", "available_credit", "credit_limit"), Decimal(0))
    assert balance() == nothing
    cost = Decimal(team.call.send(from_=team.number).data["cost"]["amount"])
    scheduled = team.call.send("/v2/messages/schedule", from_=team.number, send_at=team.call.time(hours=1)).data
    team.call.settle()
    spent = nothing | {"balance": -cost, "available_credit": -cost}
    assert balance() == spent | {"pending": cost}
    assert team.call.cancel(scheduled["id"]).status == 200
    assert balance() == spent
