"""Lists on standard output: columns for a person, JSON for a machine."""

from collections.abc import Mapping, Sequence

import msgspec

GAP = "  "


def print_list(columns: Sequence[str], rows: Sequence[Mapping[str, object]], *, as_json: bool) -> None:
    """Print rows that hold JSON values; as text only their `columns`, below a line of column names."""
    if as_json:
        print_json(rows)
        return
    lines = [list(columns), *([_cell(row[column]) for column in columns] for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        print(GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_json(value: object) -> None:
    """Print one JSON document."""
    print(msgspec.json.format(msgspec.json.encode(value)).decode())


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(str, value)) or "-"
    return "-" if value is None or value == "" else str(value)
