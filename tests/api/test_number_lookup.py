"""`/number_lookup` over HTTP."""

from typing import Any

import pytest

from tests.api.conftest import on_one_database
from tests.wire import Caller

LOOKUP = "/v2/number_lookup"
ALWAYS = {"record_type", "phone_number", "country_code", "national_format", "fraud"}


@on_one_database
@pytest.mark.parametrize(
    ("query", "parts"),
    [
        ("", {"carrier", "caller_name", "portability"}),
        ("?type=carrier", {"carrier", "portability"}),
        ("?type=caller-name", {"caller_name"}),
    ],
)
def test_what_is_asked_for_is_answered(call: Caller, query: str, parts: set[str]) -> None:
    found = call("GET", f"{LOOKUP}/+13129457420{query}").data
    assert set(found) == ALWAYS | parts
    assert found["national_format"] == "(0312) 945-7420"
    assert (found["record_type"], found["country_code"], found["fraud"]) == ("number_lookup", "US", None)


@on_one_database
def test_what_no_range_tells_is_left_empty(call: Caller) -> None:
    found: Any = call("GET", f"{LOOKUP}/%2B13129457420").data
    assert found["carrier"] == {
        "mobile_country_code": "",
        "mobile_network_code": "",
        "name": "",
        "type": "fixed line or mobile",
        "normalized_carrier": "",
        "error_code": None,
    }
    assert found["caller_name"] == {"caller_name": ""}
    assert {value for name, value in found["portability"].items() if name != "line_type"} == {""}


@on_one_database
@pytest.mark.parametrize("number", ["3129457420", "12345", "+1", "Acme", "%00"])
def test_what_is_no_number_is_not_looked_up(call: Caller, number: str) -> None:
    answer = call("GET", f"{LOOKUP}/{number}")
    assert answer.refusal == (422, "10002", "/phone_number")
    assert "short code" not in answer.error["detail"]


@on_one_database
def test_a_type_that_is_none_is_refused(call: Caller) -> None:
    answer = call("GET", f"{LOOKUP}/+13129457420?type=name")
    assert (answer.status, answer.error["code"], answer.error["source"]) == (400, "10032", {"parameter": "type"})


@on_one_database
def test_a_key_is_needed(call: Caller) -> None:
    answer = call("GET", f"{LOOKUP}/+13129457420", headers={"Authorization": None})
    assert answer.refusal == (401, "10009", None)
