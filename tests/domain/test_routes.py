"""Which carriers a message may go through, and in which order."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.domain.message import MessageType
from heliograph.domain.routes import (
    Route,
    RouteQuery,
    RoutingTable,
    Share,
    fraction_of,
    in_order,
    is_country,
    is_destination,
    is_sender,
    next_carrier,
)

MMS = MessageType.MMS
CHICAGO = RouteQuery("+13125550100", "US", "+18445550001", "p1")


def ids(count: int) -> list[str]:
    """Ids as one process makes them in one millisecond: close together."""
    return [f"0192f0c1-0000-7000-8000-{number:012x}" for number in range(count)]


def route(*carriers: str | Share, name: str = "r", **conditions: Any) -> Route:
    shares = tuple(Share(each) if isinstance(each, str) else each for each in carriers)
    return Route(name=name, carriers=shares, **conditions)


def plan(routes: Sequence[Route], query: RouteQuery = CHICAGO, mms: Sequence[str] = ()) -> tuple[str, ...]:
    return RoutingTable(routes, mms).plan(query)


def query(recipient: str = "+13125550100", country: str | None = "US", **known: Any) -> RouteQuery:
    return RouteQuery(recipient, country, **known)


# ----------------------------------------------------------------------------------------------------------- conditions


@pytest.mark.parametrize(
    ("conditions", "asked", "matches"),
    [
        ({}, query(), True),
        ({}, query("12345", None), True),
        ({"to": ("+1",)}, query(), True),
        ({"to": ("+44", "+1312")}, query(), True),
        ({"to": ("+13125550100",)}, query(), True),
        ({"to": ("+131255501001",)}, query(), False),
        ({"to": ("+44",)}, query(), False),
        ({"to": ("12345",)}, query("12345", None), True),
        ({"to": ("12345",)}, query("123456", None), False),
        ({"to": ("+1",)}, query("12345", None), False),
        ({"countries": ("CA", "US")}, query(), True),
        ({"countries": ("CA",)}, query(), False),
        ({"countries": ("US",)}, query("12345", None), False),
        ({"senders": ("+18445550001",)}, query(sender="+18445550001"), True),
        ({"senders": ("+1844*",)}, query(sender="+18445550001"), True),
        ({"senders": ("+1844",)}, query(sender="+18445550001"), False),
        ({"senders": ("Acme",)}, query(sender="Acme Ltd"), False),
        ({"senders": ("Acme*",)}, query(sender="Acme"), True),
        ({"senders": ("Acme*",)}, query(sender="acme"), False),
        ({"senders": ("Acme*",)}, query(), False),
        ({"profiles": ("p1", "p2")}, query(profile_id="p2"), True),
        ({"profiles": ("p1",)}, query(profile_id="p2"), False),
        ({"profiles": ("p1",)}, query(), False),
        ({"type": MMS}, query(type=MMS), True),
        ({"type": MMS}, query(), False),
        ({"type": MessageType.SMS}, query(type=MMS), False),
        ({"to": ("+1",), "countries": ("US",), "type": MessageType.SMS}, query(), True),
        ({"to": ("+1",), "countries": ("CA",)}, query(), False),
    ],
    ids=repr,
)
def test_a_route_matches_what_meets_all_of_its_conditions(
    conditions: dict[str, Any], asked: RouteQuery, matches: bool
) -> None:
    assert plan([route("one", **conditions)], asked) == (("one",) if matches else ())


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("+1", True),
        ("+4479", True),
        ("+447911123456", True),
        ("12345", True),
        ("123456", True),
        ("+", False),
        ("+0", False),
        ("1312", False),
        ("+1*", False),
        ("+1 312", False),
        ("+1234567890123456", False),
        ("1234567", False),
        ("", False),
        ("+1\n", False),
    ],
)
def test_a_destination_is_the_beginning_of_a_number_or_a_short_code(text: str, fits: bool) -> None:
    assert is_destination(text) is fits


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("+13125550100", True),
        ("+1312*", True),
        ("12345", True),
        ("123*", True),
        ("Acme", True),
        ("Acme Ltd*", True),
        ("*", False),
        ("+*", False),
        ("+1312", False),
        ("Acme**", False),
        ("", False),
        ("ACME-1", False),
    ],
)
def test_a_sender_is_whole_or_a_beginning_with_an_asterisk(text: str, fits: bool) -> None:
    assert is_sender(text) is fits


def test_a_country_is_one_of_iso_3166() -> None:
    assert [is_country(each) for each in ("GB", "gb", "UK", "XX", "")] == [True, False, False, False, False]


# ---------------------------------------------------------------------------------------------------------------- plans


def test_carriers_of_a_later_route_are_the_fail_over_of_an_earlier_one() -> None:
    assert plan([route("one", to=("+1",)), route("two", to=("+44",)), route("three")]) == ("one", "three")


def test_a_carrier_of_several_routes_keeps_its_first_place() -> None:
    assert plan([route("one"), route("one", "two"), route("three", "two")]) == ("one", "two", "three")


def test_without_a_matching_route_there_is_no_carrier() -> None:
    assert plan([route("one", to=("+44",))]) == ()
    assert plan([]) == ()


def test_where_no_routes_are_set_the_carriers_keep_their_order() -> None:
    table = RoutingTable(in_order(["b", "a", "c"]), ())
    assert {table.plan(query(fraction=step / 10)) for step in range(10)} == {("b", "a", "c")}


def test_the_first_of_two_carriers_is_drawn_by_weight() -> None:
    table = RoutingTable([route(Share("one", 3), Share("two", 1))], ())
    drawn = Counter(table.plan(query(fraction=step / 800)) for step in range(800))
    assert drawn == {("one", "two"): 600, ("two", "one"): 200}


def test_a_second_draw_does_not_follow_from_the_first() -> None:
    table = RoutingTable([route("a", "b"), route("c", "d")], ())
    drawn = Counter(table.plan(query(fraction=step / 800)) for step in range(800))
    assert drawn == dict.fromkeys(
        [("a", "b", "c", "d"), ("a", "b", "d", "c"), ("b", "a", "c", "d"), ("b", "a", "d", "c")], 200
    )


def test_a_draw_at_the_very_end_is_not_lost_to_rounding() -> None:
    # Taken one by one from their sum, these leave a little more than the last.
    shares = [Share(name, weight) for name, weight in zip("abcd", (2.6, 1.0, 3.6, 4.9), strict=True)]
    assert plan([route(*shares)], query(fraction=1 - 2**-53))[0] == "d"


def test_ids_that_lie_close_together_are_spread_evenly() -> None:
    table = RoutingTable([route(Share("one", 3), Share("two", 1))], ())
    first = Counter(table.plan(query(fraction=fraction_of(each)))[0] for each in ids(8_000))
    assert 5_800 < first["one"] < 6_200


def test_a_message_has_one_fraction_for_ever() -> None:
    # Another value would move messages that wait for another try to another carrier at an upgrade.
    assert fraction_of("0192f0c1-0000-7000-8000-000000000001") == 0.9326359308467185


@given(st.text())
def test_a_fraction_is_from_0_and_below_1(message_id: str) -> None:
    assert 0 <= fraction_of(message_id) < 1


def test_an_mms_goes_to_carriers_that_carry_mms() -> None:
    routes = [route("sms", "both"), route("other", "spare")]
    assert plan(routes, query(type=MMS), ["both", "spare"]) == ("both", "spare")
    assert set(plan(routes, query(), ["both", "spare"])) == {"sms", "both", "other", "spare"}


def test_an_mms_goes_to_others_where_there_are_only_those() -> None:
    assert plan([route("one"), route("two")], query(type=MMS), ["elsewhere"]) == ("one", "two")


def test_many_kinds_of_messages_do_not_fill_the_memory() -> None:
    numbers = range(1_000, 9_999)
    routes = [route(f"c{bit}", to=tuple(f"+{each}" for each in numbers if each >> bit & 1)) for bit in range(14)]
    table = RoutingTable(routes, ())
    for number in numbers:
        assert len(table.plan(query(f"+{number}"))) == number.bit_count()
    assert len(table._stages) <= 4096


CARRIERS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=6, unique=True)
WEIGHTS = st.floats(0.001, 1_000_000, allow_nan=False)
ROUTES = st.builds(
    lambda carriers, weights, to, countries, senders, profiles, kind: Route(
        name="r",
        carriers=tuple(map(Share, carriers, weights)),
        to=tuple(to),
        countries=tuple(countries),
        senders=tuple(senders),
        profiles=tuple(profiles),
        type=kind,
    ),
    CARRIERS,
    st.lists(WEIGHTS, min_size=6, max_size=6),
    st.lists(st.sampled_from(["+1", "+1312", "+44", "12345", "+13125550100"]), max_size=3),
    st.lists(st.sampled_from(["US", "GB"]), max_size=2),
    st.lists(st.sampled_from(["+1*", "+13125550101", "Acme*", "12345", "1*"]), max_size=2),
    st.lists(st.sampled_from(["p1", "p2"]), max_size=1),
    st.sampled_from([None, *MessageType]),
)
QUERIES = st.builds(
    RouteQuery,
    st.sampled_from(["+13125550100", "+447911123456", "12345", "+12"]),
    st.sampled_from(["US", "GB", "FR", None]),
    st.sampled_from(["+13125550101", "Acme", "12345", ""]),
    st.sampled_from(["p1", "p3", ""]),
    st.sampled_from(MessageType),
    st.floats(0, 1, exclude_max=True),
)


@given(st.lists(ROUTES, max_size=6), QUERIES, st.sets(st.sampled_from("abcdef")))
def test_a_plan_holds_every_carrier_of_every_matching_route_once(
    routes: list[Route], asked: RouteQuery, mms: set[str]
) -> None:
    table = RoutingTable(routes, mms)
    matching = [each.route for each in table.explain(asked) if each.mismatch is None]
    there = {share.carrier for each in matching for share in each.carriers}
    if asked.type is MMS and there & mms:
        there &= mms
    found = table.plan(asked)
    assert len(found) == len(set(found))
    assert set(found) == there
    assert found == table.plan(asked) == RoutingTable(list(routes), set(mms)).plan(asked)


@given(st.lists(ROUTES, max_size=6), QUERIES)
def test_carriers_of_an_earlier_route_come_before_those_of_a_later(routes: list[Route], asked: RouteQuery) -> None:
    table = RoutingTable(routes, ())
    stages = [[each.carrier for each in verdict.carriers if each.left_out is None] for verdict in table.explain(asked)]
    found = list(table.plan(asked))
    for stage in stages:
        assert sorted(found[: len(stage)]) == sorted(stage)
        del found[: len(stage)]


@given(st.lists(st.integers(1, 20), min_size=2, max_size=5))
def test_the_first_carrier_is_drawn_in_proportion_to_the_weights(weights: list[int]) -> None:
    shares = [Share(str(number), weight) for number, weight in enumerate(weights)]
    table = RoutingTable([route(*shares)], ())
    steps = 4 * sum(weights)
    first = Counter(table.plan(query(fraction=(step + 0.5) / steps))[0] for step in range(steps))
    assert first == {str(number): 4 * weight for number, weight in enumerate(weights)}


@given(st.lists(st.integers(1, 9), min_size=3, max_size=4))
def test_the_second_carrier_is_drawn_in_proportion_to_the_weights_left(weights: list[int]) -> None:
    shares = [Share(str(number), weight) for number, weight in enumerate(weights)]
    table = RoutingTable([route(*shares)], ())
    others = sum(weights[1:])
    steps = sum(weights) * others
    plans = [table.plan(query(fraction=(step + 0.5) / steps)) for step in range(steps)]
    second = Counter(found[1] for found in plans if found[0] == "0")
    assert second == {str(number): weights[0] * weight for number, weight in enumerate(weights) if number}


# ------------------------------------------------------------------------------------------------------------ fail-over


@pytest.mark.parametrize(
    ("current", "usable", "found"),
    [
        (None, "abc", "a"),
        (None, "c", "c"),
        ("a", "abc", "b"),
        ("a", "ac", "c"),
        ("c", "abc", "a"),
        ("b", "a", "a"),
        ("b", "b", "b"),
        ("gone", "bc", "b"),
        ("a", "", None),
        ("a", "xyz", None),
    ],
    ids=repr,
)
def test_the_next_carrier_is_the_next_usable_one_around(current: str | None, usable: str, found: str | None) -> None:
    assert next_carrier(("a", "b", "c"), current, set(usable)) == found


def test_of_an_empty_plan_there_is_no_next_carrier() -> None:
    assert next_carrier((), "a", {"a"}) is None


# ------------------------------------------------------------------------------------------------------------- in words


@pytest.mark.parametrize(
    ("conditions", "asked", "why"),
    [
        ({"to": ("+44", "12345")}, query(), "to: +13125550100 is not among +44, 12345"),
        ({"countries": ("GB",)}, query(), "countries: US is not among GB"),
        (
            {"countries": ("GB",)},
            query("12345", None),
            "countries: 12345, which belongs to no country, is not among GB",
        ),
        ({"senders": ("Acme*",)}, query(sender="Other"), "from: Other is not among Acme*"),
        ({"senders": ("Acme*",)}, query(), "from: a sender that is not told is not among Acme*"),
        ({"profiles": ("p1",)}, query(profile_id="p2"), "profiles: p2 is not among p1"),
        ({"profiles": ("p1",)}, query(), "profiles: a profile that is not told is not among p1"),
        ({"type": MMS}, query(), "type: SMS is not MMS"),
        ({"type": MMS, "to": ("+44",)}, query(), "to: +13125550100 is not among +44"),
        ({"to": ("+1",)}, query(), None),
    ],
    ids=repr,
)
def test_the_first_condition_that_is_not_met_is_told(
    conditions: dict[str, Any], asked: RouteQuery, why: str | None
) -> None:
    (verdict,) = RoutingTable([route("one", **conditions)], ()).explain(asked)
    assert verdict.mismatch == why


def test_shares_are_told_of_those_that_may_have_the_message() -> None:
    routes = [route(Share("one", 3), Share("two", 1)), route("two", "three"), route("no", to=("+44",))]
    told = RoutingTable(routes, ()).explain(query())
    assert [[(each.carrier, each.share, each.left_out) for each in verdict.carriers] for verdict in told] == [
        [("one", 0.75, None), ("two", 0.25, None)],
        [("two", 0, "named by an earlier route"), ("three", 1, None)],
        [],
    ]


def test_carriers_without_mms_are_told_as_left_out_of_an_mms() -> None:
    (told,) = RoutingTable([route("sms", "both")], ["both"]).explain(query(type=MMS))
    assert [(each.carrier, each.share, each.left_out) for each in told.carriers] == [
        ("sms", 0, "cannot carry MMS"),
        ("both", 1, None),
    ]


def test_a_route_reads_as_its_conditions_and_carriers() -> None:
    made = route(Share("one", 2.5), "two", to=("+1", "+44"), type=MMS)
    assert str(made) == "to +1 +44, type MMS: one 2.5, two 1"
    assert str(route("one")) == "all: one 1"
