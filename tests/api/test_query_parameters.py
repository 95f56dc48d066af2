"""No parameter of a query is ignored, whichever operation it is given to: from the route table."""

from collections.abc import Iterator

import pytest

from heliograph.api.app import RESOURCES
from tests.api.premises import PARAMETER
from tests.wire import MESSAGE, NO_SUCH_ID, Accounts, Caller

OPERATIONS = [(method, path) for path, methods in RESOURCES.items() for method in methods]
STRANGE = [
    ("page", "10015"),
    ("page[limit]", "10015"),
    ("page[numbr]", "10015"),
    ("page[]", "10015"),
    ("sort", "10015"),
    ("sort[]", "10015"),
    ("sort[0]", "10015"),
    ("directions", "10015"),
    ("Page[number]", "10015"),
    ("", "10015"),
    ("filter", "10031"),
    ("filter[]", "10031"),
    ("filter[colour]", "10031"),
    ("filter[colour][eq]", "10031"),
]


@pytest.fixture
def asking(sqlite_accounts: Accounts) -> Iterator[Caller]:
    """An organisation without anything; no database is asked before its query is read."""
    with sqlite_accounts.caller(sqlite_accounts.key(sqlite_accounts.organization())) as caller:
        yield caller


def _known(method: str, path: str) -> set[str]:
    return {each.name for each in RESOURCES[path][method].query}


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda value: value.replace("/", "."))
def test_a_parameter_that_is_not_known_is_refused_and_named(asking: Caller, method: str, path: str) -> None:
    url = PARAMETER.sub(NO_SUCH_ID, path)
    for name, code in STRANGE:
        if name in _known(method, path):
            continue
        answer = asking(method, f"{url}?{name}=1", {} if method in {"POST", "PUT", "PATCH"} else None)
        assert (answer.status, answer.error["code"]) == (400, code), name
        assert answer.error["source"] == {"parameter": name}


@pytest.mark.parametrize(
    ("method", "path"), [each for each in OPERATIONS if _known(*each)], ids=lambda value: value.replace("/", ".")
)
def test_a_parameter_that_is_given_twice_is_refused_and_named(asking: Caller, method: str, path: str) -> None:
    url = PARAMETER.sub(NO_SUCH_ID, path)
    for name in _known(method, path):
        answer = asking(method, f"{url}?{name}=1&{name}=2")
        assert (answer.status, answer.error["code"]) == (400, "10015"), name
        assert answer.error["source"] == {"parameter": name}


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/messaging_profiles", "filter[name]=a&filter[name][eq]=b"),
        ("/short_codes", f"filter[messaging_profile_id]={NO_SUCH_ID}&filter[messaging_profile_id][eq]={NO_SUCH_ID}"),
    ],
)
def test_the_two_spellings_of_one_filter_are_not_both_taken(asking: Caller, path: str, query: str) -> None:
    answer = asking("GET", f"{path}?{query}")
    assert (answer.status, answer.error["code"]) == (400, "10031")


def test_a_refusal_says_what_there_is(asking: Caller) -> None:
    detail = asking("GET", "/messaging_profiles?page[limit]=5").error["detail"]
    assert "page[number], page[size]" in detail
    assert asking("GET", "/balance?page=1").error["detail"] == "There is no parameter 'page' here."


def test_a_message_is_not_sent_when_its_request_holds_a_parameter_that_is_not_known(asking: Caller) -> None:
    assert asking("POST", "/messages?dry_run=true", MESSAGE).error["source"] == {"parameter": "dry_run"}
