"""The provider's Node SDK, unchanged, with nothing but another base URL: one program for each group of calls."""

import json
import subprocess
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.clock import SystemClock
from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import SECOND
from heliograph.domain.signing_keys import keys_at
from heliograph.settings import clean_environment
from heliograph.store.webhook_keys import new_key
from heliograph.webhooks.signing import public_key, signed_headers
from tests.sdk.conftest import Service
from tests.wire import ALPHANUMERIC, LONG_CODE, MESSAGE, NO_SUCH_ID, SHORT_CODE, TO

PROGRAMS = Path(__file__).parent / "node"
Run = Callable[[str, object], str]


@pytest.fixture
def run(node: str, service: Service) -> Run:
    """Runs a program with one argument, text or JSON; gives what it printed."""
    where = {"TELNYX_BASE_URL": service.base_url, "TELNYX_API_KEY": service.api_key}
    return lambda program, argument: run_program(node, where, program, argument)


def run_program(node: str, where: dict[str, str], program: str, argument: object) -> str:
    """What a program printed that must succeed; `where` are variables of its environment."""
    given = argument if isinstance(argument, str) else json.dumps(argument)
    done = subprocess.run(
        [node, PROGRAMS / program, given],
        env=clean_environment() | where,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_snippet_of_the_cancel_page_cancels(run: Run, service: Service) -> None:
    message = service.tester.schedule(hours=1)
    assert run("cancel_page.mjs", message["id"]) == message["id"]
    assert service.tester.read(message["id"])["to"][0]["status"] == "cancelled"


def test_a_message_is_sent_scheduled_read_and_cancelled(run: Run, service: Service) -> None:
    send_at = service.tester.time(hours=1)
    seen = json.loads(run("lifecycle.mjs", {"message": MESSAGE, "sendAt": send_at}))
    assert seen["sent"]["id"] == seen["retrieved"]["id"]
    assert {seen[name]["id"] for name in ("waiting", "cancelled", "gone")} == {seen["scheduled"]["id"]}
    statuses = {name: seen[name]["to"][0]["status"] for name in ("sent", "scheduled", "waiting", "cancelled", "gone")}
    assert statuses == {
        "sent": "queued",
        "scheduled": "scheduled",
        "waiting": "scheduled",
        "cancelled": "cancelled",
        "gone": "cancelled",
    }
    assert seen["scheduled"]["send_at"] == seen["waiting"]["send_at"] == send_at
    assert seen["cancelled"]["cost"] == {"amount": 0, "currency": None}
    assert seen["again"] == seen["cancelled"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_the_other_ways_to_send_and_the_profiles_are_there(run: Run, service: Service) -> None:
    numbers = {"to": TO, "abroad": "+447400123456", "longCode": LONG_CODE, "shortCode": SHORT_CODE}
    argument = {**numbers, "alphanumeric": ALPHANUMERIC, "profile": service.profile_id}
    seen: dict[str, Any] = json.loads(run("resources.mjs", argument))
    senders = {name: message["from"]["phone_number"] for name, message in seen["sends"].items()}
    assert senders.pop("numberPool") in service.pool()
    assert list(senders.values()) == [LONG_CODE, SHORT_CODE, LONG_CODE, ALPHANUMERIC]
    assert [each["to"][0]["phone_number"] for each in seen["group"]] == [TO, "+18665550002"]
    assert seen["read"] == seen["made"][0]
    assert seen["listed"] == ["Node 3", "Node 2", "Node 1"]


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_a_refusal_is_the_error_class_of_its_status(run: Run, service: Service) -> None:
    delivered = service.tester.send().data["id"]
    service.tester.settle()
    small = service.accounts.organization(max_pending=0)
    number = service.accounts.sender(service.accounts.profile(small))
    message = {**MESSAGE, "from": number, "send_at": service.tester.time(hours=1)}
    full = {"key": service.accounts.key(small), "message": message}
    argument = {"message": MESSAGE, "delivered": delivered, "unknown": NO_SUCH_ID, "full": full}
    assert json.loads(run("errors.mjs", argument)) == {
        "badRequest": [["BadRequestError"], 400, "40310", "/to"],
        "wrongType": [["BadRequestError"], 400, "10026", "/text"],
        "tooEarly": [["BadRequestError"], 400, "10033", "/send_at"],
        "noTime": [["BadRequestError"], 400, "10004", "/send_at"],
        "authentication": [["AuthenticationError"], 401, "10009", None],
        "permissionDenied": [["PermissionDeniedError"], 403, "10035", None],
        "notFound": [["NotFoundError"], 404, "10005", "/id"],
        "unprocessable": [["UnprocessableEntityError"], 422, "10017", "/messaging_profile_id"],
        "rateLimit": [["RateLimitError"], 429, "40318", None],
    }


def test_our_webhooks_are_accepted_and_forged_ones_are_not(node: str) -> None:
    clock = SystemClock()
    key, other = (new_key(OrganizationId(NO_SUCH_ID), clock.now()) for _ in range(2))
    body = '{"data":{"payload":{"text":"Grüße, 👋🏽 мир \u2028"}}, "meta":{"attempt":1}}'.encode()

    def arrived(body: bytes, signed: bytes, public: str, late: int = 0) -> dict[str, object]:
        headers = signed_headers(keys_at([key], clock.now()), NO_SUCH_ID, clock.now() // SECOND - late, signed)
        return {"body": b64encode(body).decode(), "headers": headers, "key": public}

    ours = public_key(key)
    webhooks = {
        "as sent": arrived(body, body, ours),
        "changed": arrived(body + b" ", body, ours),
        "another key": arrived(body, body, public_key(other)),
        "old": arrived(body, body, ours, late=330),
    }
    seen = json.loads(run_program(node, {}, "webhooks.mjs", webhooks))
    objections = {name: {text and text.partition(": ")[0] for text in each.values()} for name, each in seen.items()}
    assert objections == {
        "as sent": {None},
        "changed": {"Signature verification failed"},
        "another key": {"Signature verification failed"},
        "old": {"Webhook timestamp too old or too new"},
    }
    assert {len(each) for each in seen.values()} == {3}
