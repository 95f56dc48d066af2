"""Lists on standard output."""

import json

import pytest

from heliograph.commands.listing import print_list

ROWS = [
    {"name": "Acme", "count": 12, "on": True, "tags": ("a", "b"), "note": None, "hidden": "x"},
    {"name": "B", "count": 0, "on": False, "tags": (), "note": "", "hidden": "y"},
]


def test_columns_are_as_wide_as_what_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_list(["name", "count", "on", "tags", "note"], ROWS, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "name  count  on   tags  note",
        "Acme  12     yes  a,b   -",
        "B     0      no   -     -",
    ]


def test_json_has_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    print_list(["name"], ROWS, as_json=True)
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(ROWS))


def test_an_empty_list_still_names_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_list(["name", "count"], [], as_json=False)
    assert capsys.readouterr().out == "name  count\n"
