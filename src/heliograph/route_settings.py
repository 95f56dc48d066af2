"""The routes of the settings: the tables `[[routes]]` of the TOML file, in order, as the policy of routing takes them.

They stand in the file only: a list has no names that the environment could use.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from heliograph.domain.ids import canonical_uuid
from heliograph.domain.message import MessageType
from heliograph.domain.routes import Route, Share, is_country, is_destination, is_sender
from heliograph.setting_kinds import Kind, Unfit, choice, listed, quoted
from heliograph.setting_sections import REQUIRED, Given, Reading, Section, Setting, nearest

ANY = "any"
_MOST_WEIGHT = 1_000_000
"""A share of less than a millionth is a mistake."""


def _checked(wanted: str, fits: Callable[[str], object]) -> Kind[str]:
    def read(raw: object) -> str:
        if not isinstance(raw, str) or not fits(raw):
            raise Unfit
        return raw

    return Kind(wanted, read)


def _is_name(text: str) -> bool:
    return bool(text.strip()) and text.isprintable() and len(text) <= 64


def _list_of(wanted: str, fits: Callable[[str], object]) -> Kind[tuple[str, ...]]:
    return listed(_checked(wanted, fits), f"a list of {wanted}")


def _share() -> Kind[Share]:
    def show(share: Share) -> str:
        return f"{share.carrier} {share.weight:g}"

    wanted = f'carriers such as "one" or {{ name = "one", weight = 3 }}, weights above 0 and up to {_MOST_WEIGHT}'
    return Kind(wanted, _read_share, show, _got)


def _read_share(raw: object) -> Share:
    if isinstance(raw, str):
        return Share(raw)
    if not isinstance(raw, dict) or not {"name"} <= raw.keys() <= {"name", "weight"}:
        raise Unfit
    name, weight = raw["name"], raw.get("weight", 1)
    if not isinstance(name, str) or isinstance(weight, bool) or not isinstance(weight, int | float):
        raise Unfit
    if not 0 < weight <= _MOST_WEIGHT:
        raise Unfit
    return Share(name, float(weight))


def _got(raw: object) -> str:
    if not isinstance(raw, dict) or not raw:
        return quoted(raw)
    return f"{{ {', '.join(f'{name} = {quoted(value)}' for name, value in raw.items())} }}"


def _carriers() -> Kind[tuple[Share, ...]]:
    several = listed(_share(), f"a list of one or more {_share().wanted}")

    def read(raw: object) -> tuple[Share, ...]:
        shares = several.read(raw)
        if not shares:
            raise Unfit
        return shares

    def got(raw: object) -> str:
        return "an empty list" if raw == [] else several.got(raw)

    return Kind(several.wanted, read, several.show, got)


class RouteSection(Section):
    """What stands in a table `[[routes]]`. A route matches a message that meets everything it gives."""

    __slots__ = ()

    @classmethod
    def settings(cls) -> dict[str, Setting]:
        """Not the fields of a class: one is called `from`."""
        return _ROUTE


_ROUTE = {
    "name": Setting(
        _checked("1 to 64 printable characters, not only spaces", _is_name), REQUIRED, "How people call it."
    ),
    "to": Setting(
        _list_of('beginnings of numbers such as "+4479", or short codes such as "12345"', is_destination),
        (),
        "Whom the message is for.",
    ),
    "countries": Setting(
        _list_of('countries (ISO 3166, such as "GB")', is_country), (), "The country of whom it is for."
    ),
    "from": Setting(
        _list_of('senders such as "+13125550100", "12345" or "Acme", or beginnings such as "+1312*"', is_sender),
        (),
        "Who sends it.",
    ),
    "profiles": Setting(_list_of("ids of messaging profiles", canonical_uuid), (), "Its messaging profile."),
    "type": Setting(choice((*map(str, MessageType), ANY)), ANY, "What it is."),
    "carriers": Setting(
        _carriers(),
        REQUIRED,
        "Who may carry it: they share by weight (1 where none is given), and stand in for each other.",
    ),
}


def read_routes(
    raw: object, source: str, carriers: Collection[str], unusable: Mapping[str, str], problems: list[str]
) -> tuple[Route, ...]:
    """The routes of a file, in order. What is wrong goes to `problems`, and the routes are not to be used then.

    `carriers` are those a route may name; `unusable` those that it may not, each with the reason.
    """
    if not isinstance(raw, list) or not all(isinstance(table, dict) for table in raw):
        problems.append(f"routes ({source}): got {quoted(raw)}, wanted tables [[routes]]")
        return ()
    given = [
        Given(f"{_place(number)}.{name}", value, source)
        for number, table in enumerate(raw, 1)
        for name, value in table.items()
    ]
    places = [_place(number) for number in range(1, len(raw) + 1)]
    reading = Reading(dict.fromkeys(places, RouteSection), given, problems)
    _judge_names(reading, places)
    for place in places:
        _judge_carriers(reading, place, carriers, unusable)
    return tuple(_route(reading.values(place)) for place in places if reading.sound(*_names(place)))


def _place(number: int) -> str:
    """As people count."""
    return f"routes[{number}]"


def _names(place: str) -> Iterator[str]:
    return (f"{place}.{name}" for name in _ROUTE)


def _judge_names(reading: Reading, places: Sequence[str]) -> None:
    first: dict[str, str] = {}
    for place in places:
        if not reading.sound(f"{place}.name"):
            continue
        name = reading.values(place)["name"]
        if name in first:
            reading.refuse(f"{place}.name", f"got {quoted(name)}, which is the name of {first[name]} already")
        first.setdefault(name, place)


def _judge_carriers(reading: Reading, place: str, carriers: Collection[str], unusable: Mapping[str, str]) -> None:
    if not reading.sound(f"{place}.carriers"):
        return
    times = Counter(share.carrier for share in reading.values(place)["carriers"])
    problems = [
        *(f"got {quoted(name)} {count} times, wanted each once" for name, count in times.items() if count > 1),
        *(_unknown(name, carriers, unusable) for name in times if name not in carriers),
    ]
    for problem in problems:
        reading.refuse(f"{place}.carriers", problem)


def _unknown(name: str, carriers: Collection[str], unusable: Mapping[str, str]) -> str:
    if name in unusable:
        return f"got {quoted(name)}, {unusable[name]}"
    there = ", ".join(map(quoted, carriers))
    wanted = f"one of {there}" if there else "a carrier that has a table [carriers.NAME]"
    return f"got {quoted(name)}, wanted {wanted}{nearest(name, carriers)}"


def _route(values: Mapping[str, Any]) -> Route:
    return Route(
        name=values["name"],
        carriers=values["carriers"],
        to=values["to"],
        countries=values["countries"],
        senders=values["from"],
        profiles=tuple(map(str.lower, values["profiles"])),
        type=None if values["type"] == ANY else MessageType(values["type"]),
    )
