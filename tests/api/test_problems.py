"""The one table of statuses."""

import json

import pytest

from heliograph.api.problems import STATUSES, problem
from heliograph.domain.errors import TITLES, Code, Refusal

OF_A_MESSAGE = {each for each in Code if each.startswith("400")} - {Code.NOT_REGISTERED} | {Code.OUTCOME_UNKNOWN}
"""These stand in a message's own `errors[]` and never answer a request."""


def test_every_code_has_a_title() -> None:
    assert set(TITLES) == set(Code)


def test_every_code_that_answers_a_request_has_a_status() -> None:
    assert set(STATUSES) == set(Code) - OF_A_MESSAGE


@pytest.mark.parametrize("code", STATUSES)
def test_a_refusal_is_answered_in_the_one_envelope(code: Code) -> None:
    answer = problem(Refusal(code, "Because.", "/to", meta={"more": 1}))
    (error,) = json.loads(bytes(answer.body))["errors"]
    assert answer.status_code == STATUSES[code]
    assert list(error) == ["code", "title", "detail", "source", "meta"]
    assert error["source"] == {"pointer": "/to"}
    assert error["meta"] == {"url": f"https://developers.telnyx.com/docs/overview/errors/{code}", "more": 1}


def test_a_query_parameter_is_named_as_one() -> None:
    answer = problem(Refusal(Code.INVALID_FILTER, "No.", parameter="filter[x]"))
    assert json.loads(bytes(answer.body))["errors"][0]["source"] == {"parameter": "filter[x]"}
