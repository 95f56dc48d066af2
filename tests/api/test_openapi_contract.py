"""An answer of each kind, asked for by the description's own examples: where it differs, and which keys it has.

Every answer of the suite is held against the description, see `tests.description`; here each listed difference is seen
to be one, and that what does not fit is found. Skipped where the description is not at hand.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from tests.api.conftest import on_one_database
from tests.description import UndescribedAnswer, breaches, check, resolved, validator, validator_for
from tests.description import description as description_at_hand
from tests.wire import ALPHANUMERIC, NO_SUCH_ID, TO, Accounts, Answer, Caller

ABROAD = "+447400123456"
NOT_ROUTABLE = "+15005550001"

SHOWN_SCHEDULED = "the page on scheduling shows it, the schema of a send lacks it (Contract 1.3)"
SHOWN_CANCELLED = "reading shows what cancelling answered; only the schema of a cancel has the word"
COST_OF_CANCELLED = "the cancel page has the number 0 and null, the schema two texts"
ERRORS_OF_CANCEL = "errors[] as everywhere, which the SDKs read as well as the bare error (Contract 1.6, 13 #2)"
EVERYWHERE = "the schema's own description allows '*', its pattern does not"


@dataclass
class Case:
    """One exchange: the operation, how it is asked for, and where its answer differs from the description and why."""

    method: str
    path: str
    status: int
    ask: Callable[["Asker"], Answer]
    differences: dict[str, str] = field(default_factory=dict)


class Asker:
    """Asks for every answer that there is a schema of."""

    def __init__(self, call: Caller, accounts: Accounts, example: Callable[[str], dict[str, Any]]) -> None:
        self.call = call
        self._accounts = accounts
        self._example = example
        self._organization, self._profile = accounts.sandbox()

    def sent(self, path: str, **own: Any) -> Answer:
        """The description's own example of a request, its numbers and ids replaced by ours."""
        example = self._example(path) or {"text": "Hello, World!"}
        ours = {"from": "+18445550001", "to": TO, "messaging_profile_id": self._profile.id, **own}
        body = {name: value for name, value in {**example, **ours}.items() if value is not None}
        return self.call("POST", f"/v2{path}", body)

    def from_name(self) -> Answer:
        """A message from an alphanumeric sender."""
        profile = self._accounts.profile(self._organization, alpha_sender=ALPHANUMERIC)
        path = "/messages/alphanumeric_sender_id"
        return self.sent(path, **{"from": ALPHANUMERIC, "to": ABROAD, "messaging_profile_id": profile.id})

    def from_short_code(self) -> Answer:
        """A message from a short code."""
        return self.sent("/messages/short_code", **{"from": self._accounts.sender(self._profile, "54322")})

    def scheduled(self) -> Any:
        """A message that is scheduled, by the example of scheduling."""
        return self.sent("/messages/schedule", send_at=self.call.time(hours=1)).data

    def cancelled(self) -> Any:
        """A message that is cancelled."""
        return self.call.cancel(self.scheduled()["id"]).json

    def settled(self, **fields: Any) -> Any:
        """A message whose story is over."""
        message = self.call.send(**fields).data
        self.call.settle()
        return message

    def read(self, message: Any) -> Answer:
        """A message as it now is."""
        return self.call("GET", f"/v2/messages/{message['id']}")

    def profile_made(self) -> Answer:
        """A profile, by the example of making one."""
        return self.call(
            "POST", "/v2/messaging_profiles", {**self._example("/messaging_profiles"), "url_shortener_settings": None}
        )

    def profile_read(self) -> Answer:
        """The profile that every sandbox begins with."""
        return self.call("GET", f"/v2/messaging_profiles/{self._profile.id}")

    def full(self) -> Answer:
        """A message that is one too many."""
        organization = self._accounts.organization(max_pending=0)
        number = self._accounts.sender(self._accounts.profile(organization))
        with self._accounts.caller(self._accounts.key(organization)) as caller:
            return caller.send("/v2/messages/schedule", from_=number, send_at=caller.time(hours=1))


SENDS = "/messages"
ONE = "/messages/{id}"
GROUP = "/messages/group/{message_id}"
PROFILES = "/messaging_profiles"
STATUS = "/data/to/0/status enum"
CANCEL_REFUSED = {"/ required": ERRORS_OF_CANCEL}

CASES: dict[str, Case] = {
    "send": Case("POST", SENDS, 200, lambda ask: ask.sent(SENDS)),
    "send an SMS": Case("POST", SENDS, 200, lambda ask: ask.call.send()),
    "send later": Case(
        "POST", SENDS, 200, lambda ask: ask.call.send(send_at=ask.call.time(hours=1)), {STATUS: SHOWN_SCHEDULED}
    ),
    "schedule": Case(
        "POST",
        "/messages/schedule",
        200,
        lambda ask: ask.sent("/messages/schedule", send_at=ask.call.time(hours=1)),
        {STATUS: SHOWN_SCHEDULED},
    ),
    "long code": Case("POST", "/messages/long_code", 200, lambda ask: ask.sent("/messages/long_code")),
    "short code": Case("POST", "/messages/short_code", 200, lambda ask: ask.from_short_code()),
    "pool": Case("POST", "/messages/number_pool", 200, lambda ask: ask.sent("/messages/number_pool")),
    "group": Case(
        "POST", "/messages/group_mms", 200, lambda ask: ask.sent("/messages/group_mms", to=[TO, "+14155551234"])
    ),
    "name": Case("POST", "/messages/alphanumeric_sender_id", 200, lambda ask: ask.from_name()),
    "read": Case("GET", ONE, 200, lambda ask: ask.read(ask.settled())),
    "read what failed": Case("GET", ONE, 200, lambda ask: ask.read(ask.settled(to=NOT_ROUTABLE))),
    "read what is scheduled": Case("GET", ONE, 200, lambda ask: ask.read(ask.scheduled()), {STATUS: SHOWN_SCHEDULED}),
    "read what is cancelled": Case(
        "GET",
        ONE,
        200,
        lambda ask: ask.read(ask.cancelled()),
        {
            STATUS: SHOWN_CANCELLED,
            "/data/cost/amount type": COST_OF_CANCELLED,
            "/data/cost/currency type": COST_OF_CANCELLED,
        },
    ),
    "read a group": Case(
        "GET",
        GROUP,
        200,
        lambda ask: ask.call("GET", f"/v2/messages/group/{ask.sent('/messages/group_mms', to=[TO]).data['id']}"),
    ),
    "cancel": Case(
        "DELETE",
        ONE,
        200,
        lambda ask: ask.call.cancel(ask.scheduled()["id"]),
        {"/cost/amount type": COST_OF_CANCELLED, "/cost/currency type": COST_OF_CANCELLED},
    ),
    "cancel too late": Case("DELETE", ONE, 403, lambda ask: ask.call.cancel(ask.settled()["id"]), CANCEL_REFUSED),
    "cancel nothing": Case("DELETE", ONE, 404, lambda ask: ask.call.cancel(NO_SUCH_ID), CANCEL_REFUSED),
    "make a profile": Case("POST", PROFILES, 200, lambda ask: ask.profile_made()),
    "read a profile": Case(
        "GET",
        "/messaging_profiles/{id}",
        200,
        lambda ask: ask.profile_read(),
        {"/data/whitelisted_destinations/0 pattern": EVERYWHERE},
    ),
    "list profiles": Case(
        "GET",
        PROFILES,
        200,
        lambda ask: ask.call("GET", "/v2/messaging_profiles?filter[name]=Sandbox"),
        {
            "/data/0/whitelisted_destinations/0 pattern": EVERYWHERE,
        },
    ),
    "refused": Case("POST", SENDS, 400, lambda ask: ask.call.send(to="12")),
    "no key": Case("GET", GROUP, 401, lambda ask: ask.call("GET", f"/v2{GROUP}", headers={"Authorization": None})),
    "no such group": Case("GET", GROUP, 404, lambda ask: ask.call("GET", f"/v2/messages/group/{NO_SUCH_ID}")),
    "no such message": Case("GET", ONE, 404, lambda ask: ask.call("GET", f"/v2/messages/{NO_SUCH_ID}")),
    "no such profile": Case("POST", SENDS, 422, lambda ask: ask.call.send(messaging_profile_id=NO_SUCH_ID)),
    "no profile of a name": Case(
        "POST",
        "/messages/alphanumeric_sender_id",
        422,
        lambda ask: ask.sent("/messages/alphanumeric_sender_id", messaging_profile_id=NO_SUCH_ID, **{"from": "Acme"}),
    ),
    "one too many": Case("POST", "/messages/schedule", 429, lambda ask: ask.full()),
    "a bad page": Case("GET", PROFILES, 400, lambda ask: ask.call("GET", "/v2/messaging_profiles?page[size]=x")),
}

# What the description has and an answer may lack.
ABSENT = {
    "subject": "two real answers to an SMS had none (Contract 4.7)",
    "daily_spend_limit": "a profile without a limit has none to show, and the description has no null for it",
}
# What an answer has and the description lacks.
ADDED = {
    "send_at": "the page on scheduling shows it (Contract 1.3)",
    "group_message_id": "the page on group messages shows it (Contract 4.4)",
}


@pytest.fixture(scope="module")
def description() -> Any:
    """The OpenAPI description."""
    found = description_at_hand()
    if found is None:
        pytest.skip("the provider's OpenAPI description is not here: name it by HELIOGRAPH_TEST_OPENAPI")
    return found


@pytest.fixture
def asker(description: Any, call: Caller, accounts: Accounts) -> Asker:
    """Knows the examples of the description."""

    def example(path: str) -> dict[str, Any]:
        content = resolved(description["paths"][path]["post"]["requestBody"])["content"]
        found: dict[str, Any] = resolved(content["application/json"]["schema"]).get("example", {})
        return found

    return Asker(call, accounts, example)


@pytest.mark.parametrize("name", CASES)
def test_an_answer_differs_from_the_description_only_where_it_is_meant_to(asker: Asker, name: str) -> None:
    case = CASES[name]
    answer = case.ask(asker)
    assert answer.status == case.status, answer.body
    judge = validator_for(case.method, case.path, case.status)
    assert judge is not None
    assert set(breaches(judge, answer.json)) == set(case.differences)


@on_one_database
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.status >= 400])
def test_each_error_of_a_refusal_has_the_documented_form(description: Any, asker: Asker, name: str) -> None:
    (error,) = CASES[name].ask(asker).json["errors"]
    schema = description["components"]["schemas"]["messaging_Error"]
    assert breaches(validator(schema), error) == {}
    assert set(error) <= set(schema["properties"])


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("send", "OutboundMessagePayload"),
        ("send an SMS", "OutboundMessagePayload"),
        ("schedule", "OutboundMessagePayload"),
        ("group", "OutboundMessagePayload"),
        ("read", "OutboundMessagePayload"),
        ("cancel", "OutboundMessagePayloadCancelled"),
        ("make a profile", "MessagingProfile"),
    ],
)
def test_an_answer_has_every_documented_key_and_no_other(
    description: Any, asker: Asker, name: str, schema: str
) -> None:
    body = CASES[name].ask(asker).json
    keys = set(body.get("data", body))
    documented = set(description["components"]["schemas"][schema]["properties"])
    assert documented - keys <= set(ABSENT)
    assert keys - documented <= set(ADDED)


def test_a_failed_message_says_why_in_the_documented_form(description: Any, asker: Asker) -> None:
    message = asker.read(asker.settled(to=NOT_ROUTABLE)).data
    (error,) = message["errors"]
    assert (message["to"][0]["status"], error["code"]) == ("delivery_failed", "40001")
    assert breaches(validator(description["components"]["schemas"]["messaging_Error"]), error) == {}


def test_what_does_not_fit_is_seen(asker: Asker) -> None:
    body = asker.sent(SENDS).json
    body["data"]["to"][0]["status"] = "lost"
    body["data"]["id"] = "7"
    body["data"]["parts"] = 11
    judge = validator_for("POST", SENDS, 200)
    assert judge is not None
    assert set(breaches(judge, body)) == {STATUS, "/data/id format", "/data/parts maximum"}
    with pytest.raises(UndescribedAnswer, match="/data/id format, /data/parts maximum, /data/to/0/status enum"):
        check("POST", f"/v2{SENDS}", 200, msgspec.json.encode(body))
