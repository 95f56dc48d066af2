"""Promise P7 over the whole route table: nothing of one organisation is visible to another, or changed by it."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from heliograph.api.app import PREFIX, RESOURCES
from tests.api.premises import PARAMETER, PUBLIC, Premises, premises, unknown
from tests.wire import Accounts, Caller

OPERATIONS = [(method, path) for path, methods in RESOURCES.items() for method in methods]
LEADING = [(method, path) for method, path in OPERATIONS if PARAMETER.search(path) and path not in PUBLIC]
LISTS = [path for path, methods in RESOURCES.items() if "GET" in methods and not PARAMETER.search(path)]
WRITING = [path for path, methods in RESOURCES.items() if "POST" in methods and not PARAMETER.search(path)]
NOT_SERVED = {"/messages/whatsapp", "/messages/rcs"}


@pytest.fixture(scope="module")
def sqlite_owned(sqlite_accounts: Accounts) -> Iterator[Premises]:
    """An organisation that has one of everything."""
    with sqlite_accounts.caller(sqlite_accounts.key(sqlite_accounts.organization())) as caller:
        yield premises(caller)


@pytest.fixture(scope="module")
def postgresql_owned(postgresql_accounts: Accounts) -> Iterator[Premises]:
    """The same on PostgreSQL."""
    with postgresql_accounts.caller(postgresql_accounts.key(postgresql_accounts.organization())) as caller:
        yield premises(caller)


@pytest.fixture
def owned(database_kind: str, request: pytest.FixtureRequest) -> Premises:
    """An organisation that has one of everything, on each database."""
    found: Premises = request.getfixturevalue(f"{database_kind}_owned")
    return found


@pytest.fixture
def other(accounts: Accounts) -> Iterator[Caller]:
    """Somebody of another organisation, who has a number and a profile."""
    organization = accounts.organization()
    accounts.sender(accounts.profile(organization))
    with accounts.caller(accounts.key(organization)) as caller:
        yield caller


def test_every_path_and_every_body_has_its_specimen(owned: Premises) -> None:
    assert {path for _, path in LEADING} == set(owned.places)
    with_body = {f"{m} {path}" for m, path in OPERATIONS if RESOURCES[path][m].body is not None}
    assert with_body == set(owned.bodies)
    for path in owned.places:
        if "GET" in RESOURCES[path]:
            assert owned.call("GET", owned.url(path)).status == 200, path


@pytest.mark.parametrize(("method", "path"), LEADING, ids=lambda value: value.replace("/", "."))
def test_what_is_anothers_looks_like_what_does_not_exist(
    owned: Premises, other: Caller, method: str, path: str
) -> None:
    body = owned.bodies.get(f"{method} {path}")
    found = [
        other(method, owned.url(path), body),
        other(method, owned.url(path, nobodys=True), of_nobody(owned, path, body)),
    ]
    assert 400 <= found[0].status < 500
    assert found[0].status == found[1].status
    assert without_ids(owned, found[0].json) == without_ids(owned, found[1].json)


def of_nobody(owned: Premises, path: str, body: Any) -> Any:
    """A body that names what nobody has, where it repeats what stands in the path."""
    text = msgspec.json.encode(body).decode()
    for value in owned.places[path].values():
        text = text.replace(value, unknown(path))
    return msgspec.json.decode(text)


def without_ids(owned: Premises, answer: Any) -> str:
    """An answer in which nobody's and somebody's ids are the same."""
    text = str(answer)
    for path, parameters in owned.places.items():
        for value in (*parameters.values(), unknown(path)):
            text = text.replace(value, "an id")
    return text


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.replace("/", "."))
def test_a_list_shows_nothing_of_another(owned: Premises, other: Caller, path: str) -> None:
    for query in questions(owned, path):
        text = other("GET", f"{PREFIX}{path}?{query}").body.decode()
        asked = {value for name, value in owned.queries.items() if value in query.replace("%2B", "+")}
        assert {mark for mark in owned.marks - asked if mark in text} == set(), query


def questions(owned: Premises, path: str) -> list[str]:
    """What may be asked of a list: nothing, and by each parameter for what is another's."""
    needed = {
        "/detail_records": "filter[record_type]=messaging&",
        "/reports/mdr_usage_reports/sync": "aggregation_type=NO_AGGREGATION&",
    }.get(path, "")
    found = [needed]
    for parameter in RESOURCES[path]["GET"].query:
        value = next((text for end, text in owned.queries.items() if parameter.name.endswith(end)), None)
        if value is not None:
            found.append(f"{needed}{parameter.name}={value.replace('+', '%2B').replace(' ', '%20')}")
    return found


@pytest.mark.parametrize("path", sorted(set(WRITING) - NOT_SERVED), ids=lambda path: path.replace("/", "."))
def test_a_body_that_names_what_is_anothers_gets_nothing_of_it(owned: Premises, other: Caller, path: str) -> None:
    body = owned.bodies[f"POST {path}"]
    answer = other("POST", f"{PREFIX}{path}", body)
    if answer.status < 400:
        named = str(body)
        assert {mark for mark in owned.marks if mark in answer.body.decode() and mark not in named} == set()
        assert {mark for mark in owned.marks if mark in str(other("GET", f"{PREFIX}/detail_records").json)} == set()


def test_all_of_that_changed_nothing(owned: Premises, other: Caller, accounts: Accounts) -> None:
    before = owned.state()
    for method, path in LEADING:
        other(method, owned.url(path), owned.bodies.get(f"{method} {path}"))
    for path in sorted(set(WRITING) - NOT_SERVED):
        other("POST", f"{PREFIX}{path}", owned.bodies[f"POST {path}"])
    with accounts.caller() as anybody:
        anybody.settle()
    after = owned.state()
    assert {path: after[path] for path in before if after[path] != before[path]} == {}


def last_what_others_hang_on(operation: tuple[str, str]) -> tuple[bool, bool, int]:
    """Deletions after all else, of what is within something before that, profiles and brands at the end."""
    method, path = operation
    return method == "DELETE", path in {"/messaging_profiles/{id}", "/10dlc/brand/{brandId}"}, -len(path)


def test_their_owner_may_do_all_of_it(accounts: Accounts) -> None:
    """Or else the others are refused for another reason."""
    with accounts.caller(accounts.key(accounts.organization())) as caller:
        own = premises(caller)
        refused = {}
        for method, path in sorted(LEADING, key=last_what_others_hang_on):
            answer = caller(method, own.url(path), own.bodies.get(f"{method} {path}"))
            if answer.status >= 300:
                refused[f"{method} {path}"] = answer.body
        assert refused == {}
