"""How settings are declared, in sections, and how the values that several sources give become them.

    Given, Given, ... --Reading--> values within their limits, or problems in words, all of them

Nothing here knows a file or the environment: `settings.load` does.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, fields
from difflib import get_close_matches
from operator import ge, gt, lt
from typing import Any, ClassVar, Final, Literal, NamedTuple, TypeVar

from heliograph.setting_kinds import Kind, Unfit, quoted

T = TypeVar("T")

PREFIX = "HELIOGRAPH_"
"""How the variables begin that are settings."""
REQUIRED: Final = object()
"""The default of what has none."""


class Setting(NamedTuple):
    """What is known of a setting besides its value."""

    kind: Kind[Any]
    default: object
    meaning: str

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is REQUIRED


def setting(default: T, kind: Kind[T], meaning: str) -> T:
    """Declare a field of a section."""
    return field(default=default, metadata={"setting": Setting(kind, default, meaning)})


def required(kind: Kind[T], meaning: str) -> T:
    """Declare a field of a section that must be given."""
    made: T = field(metadata={"setting": Setting(kind, REQUIRED, meaning)})
    return made


_HOLDS = {"more than": gt, "at least": ge, "less than": lt}


class Rule(NamedTuple):
    """One setting of a section must be more, at least or less than another: of the same, or, with a dot, of any."""

    name: str
    wanted: Literal["more than", "at least", "less than"]
    other: str

    def holds(self, value: int, other: int) -> bool:
        """Whether two values keep it."""
        return bool(_HOLDS[self.wanted](value, other))


class Conflict(NamedTuple):
    """Values that do not go together, though each is within its limits: `problem` is said of the first of them."""

    names: tuple[str, ...]
    problem: str


class Section:
    """A group of settings. Its repr shows no secret."""

    __slots__ = ()
    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def settings(cls) -> dict[str, Setting]:
        """The settings of this section by name, in the order of the class."""
        return {each.name: each.metadata["setting"] for each in fields(cls)}  # type: ignore[arg-type]  # a dataclass

    @classmethod
    def conflicts(cls, values: Mapping[str, Any]) -> Iterator[Conflict]:  # noqa: ARG003  for those who have some
        """What is wrong between the values of settings that have defaults."""
        yield from ()

    def shown(self) -> dict[str, object]:
        """The values by name, as people may see them: secrets masked, durations as text."""
        return {name: each.kind.show(getattr(self, name)) for name, each in self.settings().items()}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.shown().items())})"


class Given(NamedTuple):
    """A value some source gives to a setting, by the dotted name of the setting."""

    name: str
    raw: object
    source: str


class Reading:
    """What sources give, read. `problems` says all that is wrong, and nothing twice."""

    def __init__(self, sections: Mapping[str, type[Section]], given: Iterable[Given], problems: list[str]) -> None:
        """Sections are named as dotted names begin. What is wrong goes to `problems`."""
        self.sections = sections
        self._problems = problems
        self._known = known(sections)
        self._values = {section: _defaults(kind) for section, kind in sections.items()}
        self._refused: set[str] = set()
        for each in given:
            self._take(each)
        self._judge()

    def values(self, section: str) -> dict[str, Any]:
        """Those of a section, by name; what was refused has its default, and what is missing is not there."""
        return self._values[section]

    def value(self, name: str) -> Any:
        """What a setting holds, by its dotted name."""
        section, _, field_name = name.rpartition(".")
        return self._values[section][field_name]

    def refuse(self, name: str, problem: str) -> None:
        """Put on record what is wrong with a setting; nothing more will be said of it."""
        self._refused.add(name)
        self._problems.append(f"{name}: {problem}")

    def sound(self, *names: str) -> bool:
        """Whether these settings are in order: of a refused value nothing is known, so nothing is concluded from it."""
        return self._refused.isdisjoint(names)

    def _take(self, given: Given) -> None:
        name, raw, source = given
        if name not in self._known:
            self._problems.append(f"{name} ({source}): no such setting{nearest(name, self._known)}")
            return
        kind = self._known[name].kind
        section, _, field_name = name.rpartition(".")
        try:
            self._values[section][field_name] = kind.read(raw)
        except Unfit:
            self._refused.add(name)
            self._problems.append(f"{name} ({source}): got {kind.got(raw)}, wanted {kind.wanted}")

    def _judge(self) -> None:
        for name, each in self._known.items():
            section, _, field_name = name.rpartition(".")
            if each.required and field_name not in self._values[section] and self.sound(name):
                self.refuse(name, f"missing, wanted {each.kind.wanted}")
        for section, kind in self.sections.items():
            for rule in kind.rules:
                self._check(section, rule)
            for names, problem in kind.conflicts(self._values[section]):
                if self.sound(*(f"{section}.{name}" for name in names)):
                    self.refuse(f"{section}.{names[0]}", problem)

    def _check(self, section: str, rule: Rule) -> None:
        name = f"{section}.{rule.name}"
        other = rule.other if "." in rule.other else f"{section}.{rule.other}"
        if not self.sound(name, other) or rule.holds(self.value(name), self.value(other)):
            return
        show = self._known[name].kind.show
        got, limit = quoted(show(self.value(name))), quoted(show(self.value(other)))
        # Not refused: the value itself is in order, and may break another rule too.
        self._problems.append(f"{name}: got {got}, wanted {rule.wanted} {other}, which is {limit}")


def known(sections: Mapping[str, type[Section]]) -> dict[str, Setting]:
    """All settings of sections by dotted name."""
    return {f"{section}.{name}": each for section, kind in sections.items() for name, each in kind.settings().items()}


def variable(name: str) -> str:
    """How a setting is called in the environment, from its dotted name."""
    return PREFIX + name.upper().replace(".", "__").replace("-", "_")


def nearest(name: str, known_names: Iterable[str]) -> str:
    """The end of a problem with a name: the known one that was meant, as a guess, or nothing."""
    return "".join(f"; did you mean {near}?" for near in get_close_matches(name, list(known_names), 1))


def _defaults(section: type[Section]) -> dict[str, Any]:
    return {name: each.default for name, each in section.settings().items() if not each.required}
