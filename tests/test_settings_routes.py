"""Routes in the settings: the tables `[[routes]]` of the file, every problem of them at once, and what they become."""

from pathlib import Path

import pytest

from heliograph.domain.message import MessageType
from heliograph.domain.routes import Route, RouteQuery, Share
from heliograph.settings import BadSettings, Settings, describe, load

CARRIERS = """
[carriers.one]
kind = "smpp"
host = "h"
system_id = "x"
[carriers.two]
kind = "upstream"
base_url = "https://h"
api_key = "k"
[carriers.inward]
kind = "smpp"
host = "h"
system_id = "x"
mode = "receiver"
"""
SANDBOX = "[sandbox]\nenabled = true\n"
PROFILE = "0192f0c1-0000-7000-8000-00000000000a"
QUERY = RouteQuery("+13125550100", "US")


class File:
    """A TOML file of settings, and what becomes of it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def loaded(self, text: str) -> Settings:
        self.path.write_text(text)
        return load(self.path, {})

    def problems(self, text: str) -> list[str]:
        """What is wrong, the file's name written as FILE."""
        with pytest.raises(BadSettings) as caught:
            self.loaded(text)
        return [each.replace(str(self.path), "FILE") for each in caught.value.problems]


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path / "h.toml")


def route(lines: str) -> str:
    """One route with the lines in its table, among the carriers above."""
    return f'{CARRIERS}[[routes]]\nname = "us"\n{lines}\n'


# ------------------------------------------------------------------------------------------------------- what is taken


def test_without_routes_there_are_none(file: File) -> None:
    assert file.loaded(CARRIERS).routes == ()


def test_a_route_with_everything(file: File) -> None:
    text = route(
        'to = ["+1312", "12345"]\ncountries = ["US", "CA"]\nfrom = ["+1844*", "Acme"]\n'
        f'profiles = ["{PROFILE.upper()}"]\ntype = "MMS"\ncarriers = [{{ name = "one", weight = 2.5 }}, "two"]'
    )
    assert file.loaded(text).routes == (
        Route(
            name="us",
            to=("+1312", "12345"),
            countries=("US", "CA"),
            senders=("+1844*", "Acme"),
            profiles=(PROFILE,),
            type=MessageType.MMS,
            carriers=(Share("one", 2.5), Share("two", 1)),
        ),
    )


def test_a_route_may_have_carriers_only(file: File) -> None:
    assert file.loaded(route('carriers = ["one"]')).routes == (Route(name="us", carriers=(Share("one"),)),)


def test_any_type_is_no_condition(file: File) -> None:
    assert file.loaded(route('type = "any"\ncarriers = ["one"]')).routes[0].type is None


def test_routes_keep_the_order_of_the_file(file: File) -> None:
    tables = "".join(f'[[routes]]\nname = "{name}"\ncarriers = ["one"]\n' for name in "bac")
    assert [each.name for each in file.loaded(f"{CARRIERS}{tables}").routes] == ["b", "a", "c"]


def test_routes_may_name_the_sandbox_where_it_is_enabled(file: File) -> None:
    (made,) = file.loaded(SANDBOX + route('carriers = ["sandbox", "two"]')).routes
    assert made.carriers == (Share("sandbox"), Share("two"))


def test_routes_are_described_in_words(file: File) -> None:
    settings = file.loaded(route('to = ["+1"]\ncarriers = [{ name = "one", weight = 3 }, "two"]'))
    assert describe(settings)["routes.us"] == "to +1: one 3, two 1"


# -------------------------------------------------------------------------------------------------------- what is not


CARRIERS_WANTED = (
    'wanted a list of one or more carriers such as "one" or { name = "one", weight = 3 }, '
    "weights above 0 and up to 1000000"
)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('to = ["+1", "1312"]', '.to (FILE): got "1312", wanted a list of beginnings of numbers such as "+4479"'),
        ('to = ["+1*", 44]', '.to (FILE): got "+1*", 44, wanted a list of beginnings'),
        ("to = 1", ".to (FILE): got 1, wanted a list of beginnings"),
        ('countries = ["UK"]', '.countries (FILE): got "UK", wanted a list of countries (ISO 3166, such as "GB")'),
        ('from = ["*"]', '.from (FILE): got "*", wanted a list of senders such as "+13125550100"'),
        ('profiles = ["main"]', '.profiles (FILE): got "main", wanted a list of ids of messaging profiles'),
        ("countries = [1]", '.countries (FILE): got 1, wanted a list of countries (ISO 3166, such as "GB")'),
        ('type = "sms"', '.type (FILE): got "sms", wanted one of "SMS", "MMS", "any"'),
        ('too = ["+1"]', ".too (FILE): no such setting; did you mean routes[1].to?"),
        ('senders = ["+1*"]', ".senders (FILE): no such setting"),
    ],
    ids=repr,
)
def test_a_bad_condition_is_a_problem(lines: str, problem: str, file: File) -> None:
    (told,) = file.problems(route(f'{lines}\ncarriers = ["one"]'))
    assert told.startswith(f"routes[1]{problem}")


@pytest.mark.parametrize(
    ("carriers", "problem"),
    [
        ("[]", f" (FILE): got an empty list, {CARRIERS_WANTED}"),
        ("{}", f" (FILE): got a table, {CARRIERS_WANTED}"),
        ('{ name = "one" }', f' (FILE): got {{ name = "one" }}, {CARRIERS_WANTED}'),
        ("5", f" (FILE): got 5, {CARRIERS_WANTED}"),
        ('["one", 5]', f" (FILE): got 5, {CARRIERS_WANTED}"),
        ('[{ name = "one", weight = 0 }]', f' (FILE): got {{ name = "one", weight = 0 }}, {CARRIERS_WANTED}'),
        (
            '[{ name = "one", weight = 1e7 }]',
            f' (FILE): got {{ name = "one", weight = 10000000.0 }}, {CARRIERS_WANTED}',
        ),
        ('[{ name = "one", weight = -1 }]', f' (FILE): got {{ name = "one", weight = -1 }}, {CARRIERS_WANTED}'),
        ('[{ name = "one", weight = nan }]', f' (FILE): got {{ name = "one", weight = NaN }}, {CARRIERS_WANTED}'),
        ('[{ name = "one", weight = inf }]', f' (FILE): got {{ name = "one", weight = Infinity }}, {CARRIERS_WANTED}'),
        ('[{ name = "one", weight = true }]', f' (FILE): got {{ name = "one", weight = true }}, {CARRIERS_WANTED}'),
        ('[{ name = "one", wait = 1 }]', f' (FILE): got {{ name = "one", wait = 1 }}, {CARRIERS_WANTED}'),
        ("[{ weight = 1 }]", f" (FILE): got {{ weight = 1 }}, {CARRIERS_WANTED}"),
        ("[{ name = 1 }]", f" (FILE): got {{ name = 1 }}, {CARRIERS_WANTED}"),
        ('["onee"]', ': got "onee", wanted one of "one", "two"; did you mean one?'),
        ('["one", "one"]', ': got "one" 2 times, wanted each once'),
        ('["inward"]', ': got "inward", which only receives'),
        ('["sandbox"]', ': got "sandbox", which is there with sandbox.enabled only'),
    ],
    ids=repr,
)
def test_bad_carriers_are_a_problem(carriers: str, problem: str, file: File) -> None:
    assert file.problems(route(f"carriers = {carriers}")) == [f"routes[1].carriers{problem}"]


@pytest.mark.parametrize("name", ['""', '" "', '"a\\tb"', f'"{"x" * 65}"', "1"])
def test_a_bad_name_is_a_problem(name: str, file: File) -> None:
    (problem,) = file.problems(f'{CARRIERS}[[routes]]\nname = {name}\ncarriers = ["one"]\n')
    assert problem.startswith("routes[1].name (FILE): got ")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("routes = 1", "routes (FILE): got 1, wanted tables [[routes]]"),
        ("routes = [1]", "routes (FILE): got a list, wanted tables [[routes]]"),
        ("[routes]\nname = 'x'", "routes (FILE): got a table, wanted tables [[routes]]"),
        ("[[route]]\nname = 'x'", "route (FILE): no such section; did you mean routes?"),
    ],
    ids=repr,
)
def test_what_is_no_list_of_routes_is_a_problem(text: str, problem: str, file: File) -> None:
    assert file.problems(text) == [problem]


def test_without_carriers_a_route_has_nothing_to_name(file: File) -> None:
    assert file.problems('[[routes]]\nname = "all"\ncarriers = ["one"]\n') == [
        'routes[1].carriers: got "one", wanted a carrier that has a table [carriers.NAME]'
    ]


def test_two_routes_must_not_have_one_name(file: File) -> None:
    again = '[[routes]]\nname = "us"\ncarriers = ["two"]\n'
    assert file.problems(route('carriers = ["one"]') + again) == [
        'routes[2].name: got "us", which is the name of routes[1] already'
    ]


def test_a_carrier_that_has_problems_itself_may_be_named(file: File) -> None:
    text = '[carriers.one]\nkind = "smmp"\n[[routes]]\nname = "all"\ncarriers = ["one"]\n'
    assert file.problems(text) == ['carriers.one.kind (FILE): got "smmp", wanted one of "smpp", "upstream"']


def test_all_problems_of_all_routes_are_reported_at_once(file: File) -> None:
    problems = file.problems(
        f'{CARRIERS}[[routes]]\nto = ["1"]\ncountries = ["UK"]\ncarriers = ["onne", "two", "two"]\n'
        '[[routes]]\nname = "b"\n[http]\nport = "x"\n'
    )
    assert [problem.partition(" ")[0].rstrip(":") for problem in problems] == [
        "http.port",
        "routes[1].to",
        "routes[1].countries",
        "routes[1].name",
        "routes[2].carriers",
        "routes[1].carriers",
        "routes[1].carriers",
    ]


# ------------------------------------------------------------------------------------------------------------ the table


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("", ()),
        (CARRIERS, ("one", "two")),
        (SANDBOX, ("sandbox",)),
        (f"{SANDBOX}{CARRIERS}", ("sandbox",)),
        (route('carriers = ["two"]'), ("two",)),
        (SANDBOX + route('carriers = ["two"]'), ("two",)),
    ],
    ids=["nothing", "carriers", "sandbox", "both", "routes", "routes and sandbox"],
)
def test_what_is_set_says_who_carries(text: str, plan: tuple[str, ...], file: File) -> None:
    assert file.loaded(text).routing().plan(QUERY) == plan


def test_an_mms_goes_where_the_settings_say_that_mms_can_go(file: File) -> None:
    mms = RouteQuery("+13125550100", "US", type=MessageType.MMS)
    assert file.loaded(CARRIERS).routing().plan(mms) == ("two",)
    assert file.loaded(CARRIERS.replace('"k"', '"k"\nmms = false')).routing().plan(mms) == ("one", "two")
    assert file.loaded(f"{SANDBOX}{CARRIERS}").routing().plan(mms) == ("sandbox",)
