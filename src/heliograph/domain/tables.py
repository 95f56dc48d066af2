"""Tables an operator writes by hand: CSV with a header, `#` comments, and every mistake named at once."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

Value = TypeVar("Value")


class Problem(NamedTuple):
    """One mistake and the line it is on, counted from 1."""

    line: int
    text: str


class BadTable(ValueError):
    """A table with mistakes. `where` names the file or setting; `problems` holds every mistake, in order of lines."""

    def __init__(self, where: str, problems: Sequence[Problem]) -> None:
        self.where = where
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        listed = "".join(f"\n  line {problem.line}: {problem.text}" for problem in self.problems)
        super().__init__(f"{where}: the table cannot be used{listed}")


class BadRecord(ValueError):
    """Raised by a record reader: `problems` says each thing that is wrong with the record."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


def read_table(
    text: str, header: Sequence[str], read: Callable[[Sequence[str]], tuple[str, Value]]
) -> tuple[dict[str, Value], list[Problem]]:
    """Read CSV, one record a line, under exactly this `header`; empty lines and lines that start with `#` are passed.

    `read` turns the stripped fields of a record into its key and value, or raises `BadRecord`. Returns what could be
    read and all problems, among them a second record with the same key. Under a wrong header nothing is read: the
    columns would be guessed.
    """
    lines = _record_lines(text)
    number, first = next(lines, (1, ""))
    if [name.strip() for name in first.split(",")] != list(header):
        return {}, [Problem(number, f"got {first!r}, wanted the header {','.join(header)!r}")]
    table: dict[str, Value] = {}
    line_of: dict[str, int] = {}
    problems: list[Problem] = []
    for number, line in lines:
        try:
            key, value = read(_fields(line, len(header)))
        except BadRecord as error:
            problems.extend(Problem(number, problem) for problem in error.problems)
            continue
        if key in table:
            problems.append(Problem(number, f"{key!r} is given a second time, after line {line_of[key]}"))
        else:
            table[key], line_of[key] = value, number
    return table, problems


def _record_lines(text: str) -> Iterator[tuple[int, str]]:
    # Spreadsheets put a byte order mark before the first name.
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            yield number, line


def _fields(line: str, count: int) -> list[str]:
    try:
        # One line at a time, so that a quote left open spoils its own line only.
        fields = next(csv.reader([line], strict=True, skipinitialspace=True))
    except csv.Error as error:
        raise BadRecord([f"not readable as CSV: {error}"]) from error
    if len(fields) != count:
        raise BadRecord([f"wanted {count} fields, got {len(fields)}"])
    return [field.strip() for field in fields]


class PrefixTable(Generic[Value]):
    """Values found by the longest prefix of a text."""

    # '+' and the first digit: North America then pays for its own two or three lengths, not for the whole world's.
    _HEAD = 2

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = dict(values)
        everywhere = {len(prefix) for prefix in values if len(prefix) < self._HEAD}
        lengths: dict[str, set[int]] = {}
        for prefix in values:
            if len(prefix) >= self._HEAD:
                lengths.setdefault(prefix[: self._HEAD], set(everywhere)).add(len(prefix))
        self._lengths = {head: _longest_first(found) for head, found in lengths.items()}
        self._other_lengths = _longest_first(everywhere)

    def longest(self, text: str) -> Value | None:
        """The value of the longest prefix that `text` starts with, or None."""
        values = self._values
        for length in self._lengths.get(text[: self._HEAD], self._other_lengths):
            # A text shorter than `length` gives itself: at worst an exact match, which is a prefix too.
            value = values.get(text[:length])
            if value is not None:
                return value
        return None


def _longest_first(lengths: set[int]) -> tuple[int, ...]:
    return tuple(sorted(lengths, reverse=True))
