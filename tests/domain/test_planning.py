"""Who is to be given a message."""

from collections.abc import Sequence

import pytest

from heliograph.domain.errors import Code, Refusal
from heliograph.domain.instant import HOUR, SECOND
from heliograph.domain.message import MessageType
from heliograph.domain.pacing import Rates
from heliograph.domain.planning import Planner
from heliograph.domain.routes import Route, RoutingTable, Share, in_order
from tests.domain.messages import a_message

TWO = ["one", "two"]


def planner(*routes: Route, mms: Sequence[str] = TWO) -> Planner:
    return Planner(RoutingTable(routes or in_order(TWO), mms), mms)


def test_a_message_is_planned_for_the_first_carrier_of_its_plan() -> None:
    assert planner().plan(a_message()) == ("one", "two")
    assert planner().planned(a_message()).carrier == "one"


def test_where_no_route_leads_it_is_refused_with_both_numbers() -> None:
    nowhere = planner(Route(name="uk", carriers=(Share("one"),), to=("+44",)))
    with pytest.raises(Refusal, match=r"No route leads from \+18445550001 to \+18665550001\.") as refused:
        nowhere.planned(a_message())
    assert (refused.value.code, refused.value.pointer) == (Code.UNSUPPORTED_TYPE, "/to")


def test_without_routes_everything_is_kept_for_nobody() -> None:
    assert Planner().planned(a_message()).carrier is None
    assert list(Planner().plan(a_message())) == []
    assert Planner().carries_mms("+18445550001", "+18665550001", "")


def test_a_plan_is_the_same_at_every_look() -> None:
    drawn = planner(Route(name="all", carriers=(Share("one"), Share("two", 2.0))))
    assert len({tuple(drawn.plan(a_message())) for _ in range(20)}) == 1


def test_after_a_carrier_comes_the_next_one_that_is_usable() -> None:
    three = Planner(RoutingTable(in_order(["one", "two", "three"]), []))
    assert three.after(a_message(carrier="one"), ["one", "three"]) == "three"
    assert three.after(a_message(carrier="three"), ["one", "two", "three"]) == "one"


def test_where_no_other_is_usable_it_stays() -> None:
    assert planner().after(a_message(carrier="one"), ["one"]) is None
    assert planner().after(a_message(carrier="one"), []) is None


def test_what_waits_for_nobody_gets_the_first_that_is_usable() -> None:
    assert planner().after(a_message(carrier=None), ["two"]) == "two"
    assert planner().after(a_message(carrier="gone"), TWO) == "one"


def test_an_mms_is_planned_for_carriers_that_carry_it() -> None:
    assert planner(mms=["two"]).plan(a_message(type=MessageType.MMS)) == ("two",)


def test_whether_an_mms_can_be_carried_depends_on_where_it_goes() -> None:
    routes = (
        Route(name="us", carriers=(Share("one"),), countries=("US",)),
        Route(name="uk", carriers=(Share("two"),), countries=("GB",)),
    )
    only_one = planner(*routes, mms=["one"])
    assert only_one.carries_mms("+18445550001", "+13125550100", "")
    assert not only_one.carries_mms("+18445550001", "+447400123456", "")


def test_a_planner_without_rates_paces_nothing() -> None:
    assert not planner().paced
    assert list(planner().paces(a_message())) == []


def test_a_planner_knows_the_rates_of_a_message() -> None:
    rates = Rates(0, SECOND, 0, 0, 0, 0, 0, HOUR)
    paced = Planner(rates=rates)
    assert paced.paced
    assert [each.interval for each in paced.paces(a_message())] == [SECOND]
