"""What receivers verify webhooks with, unchanged: the provider's Python SDK and the verifier of Standard Webhooks.

`import telnyx.lib` puts other functions in the place of the client's `unwrap`, for the whole process (Contract 3.5). So
its verifier is loaded here without its package, and what becomes of `unwrap` is looked at in another process.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import telnyx
from standardwebhooks import Webhook
from standardwebhooks import WebhookVerificationError as NotStandard
from telnyx import AsyncTelnyx, Telnyx

from heliograph.clock import SystemClock
from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import HOUR, SECOND, Instant
from heliograph.domain.signing_keys import SigningKeys, WebhookKey, follow, keys_at
from heliograph.settings import clean_environment
from heliograph.store.webhook_keys import new_key
from heliograph.webhooks.signing import public_key, signed_headers

ORGANIZATION = OrganizationId("00000000-0000-7000-8000-000000000001")
EVENT = "0198f5a0-0000-7000-8000-000000000001"
TEXT = "Grüße aus Köln 👋🏽 \u2028 мир \\u00e9"
BODY = f'{{"data":{{"event_type":"message.received","payload":{{"text":"{TEXT}"}}}}, "meta":{{"attempt":1}}}}'.encode()
# Five minutes is what they allow; the seconds are for a slow machine.
TOO_FAR = 330
# The body, the headers and the public key come as JSON; what is printed is what each client's `unwrap` objects to.
PATCHED = """
import asyncio, inspect, json, sys
import telnyx.lib
async def main(body, headers, key):
    for made in (telnyx.Telnyx, telnyx.AsyncTelnyx):
        try:
            event = made(api_key="KEY", public_key=key).webhooks.unwrap(body, headers=headers)
            event = await event if inspect.isawaitable(event) else event
            print(event.data.event_type)
        except telnyx.lib.WebhookVerificationError as error:
            print(error.message.partition(":")[0])
asyncio.run(main(*json.loads(sys.argv[1])))
"""


def loaded_alone(file: Path) -> ModuleType:
    """A module of a package, without what the package does when it is imported."""
    spec = spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


LIB = loaded_alone(Path(telnyx.__file__).parent / "lib" / "webhook_verification.py")
REFUSALS = (ValueError, LIB.WebhookVerificationError, NotStandard)

Headers = Mapping[str, str]
Verify = Callable[[bytes, Headers, WebhookKey], Any]


def unwrap(body: bytes, headers: Headers, key: WebhookKey) -> Any:
    """With the key given to the call."""
    with Telnyx(api_key="KEY") as client:
        assert not hasattr(client.webhooks, "_unwrap_hmac"), "telnyx.lib was imported: this is no longer the stock one"
        return client.webhooks.unwrap(body.decode(), headers=headers, key=public_key(key))


def unwrap_of_async(body: bytes, headers: Headers, key: WebhookKey) -> Any:
    """With the key of the client, as TELNYX_PUBLIC_KEY gives it; `unwrap` of this client is no coroutine either."""
    client = AsyncTelnyx(api_key="KEY", public_key=public_key(key))
    return client.webhooks.unwrap(body.decode(), headers=headers)


def lib(body: bytes, headers: Headers, key: WebhookKey) -> None:
    """The function for who has no client."""
    LIB.verify_webhook_signature(body, headers, public_key(key))


def standard(body: bytes, headers: Headers, key: WebhookKey) -> None:
    """With the shared secret."""
    Webhook(key.secret).verify(body, dict(headers))


every_verifier = pytest.mark.parametrize("verify", [unwrap, unwrap_of_async, lib, standard])


def now() -> Instant:
    return SystemClock().now()


def made() -> WebhookKey:
    return new_key(ORGANIZATION, now())


def signed(keys: SigningKeys, body: bytes = BODY, late: int = 0, event: str = EVENT) -> dict[str, str]:
    """The headers of a webhook that left `late` seconds ago."""
    return signed_headers(keys, event, now() // SECOND - late, body)


def alone(key: WebhookKey) -> SigningKeys:
    return keys_at([key], key.signs_from)


@every_verifier
def test_our_headers_are_accepted(verify: Verify) -> None:
    key = made()
    verify(BODY, signed(alone(key)), key)


@every_verifier
def test_headers_are_accepted_in_any_case(verify: Verify) -> None:
    key = made()
    verify(BODY, {name.title(): value for name, value in signed(alone(key)).items()}, key)


def test_what_is_unwrapped_is_what_was_signed() -> None:
    key = made()
    event = unwrap(BODY, signed(alone(key)), key)
    assert isinstance(event, telnyx.BaseModel)
    assert event.to_dict()["data"]["payload"]["text"] == TEXT.replace("\\u00e9", "é")  # type: ignore[index]  # JSON


@every_verifier
@pytest.mark.parametrize(
    "change",
    [lambda body: body + b" ", lambda body: body.replace("👋🏽".encode(), "👋".encode())],
    ids=["a space", "an emoji"],
)
def test_a_changed_body_is_refused(verify: Verify, change: Callable[[bytes], bytes]) -> None:
    key = made()
    assert change(BODY) != BODY
    with pytest.raises(REFUSALS, match="ignature"):
        verify(change(BODY), signed(alone(key)), key)


@every_verifier
def test_the_key_of_another_organisation_is_refused(verify: Verify) -> None:
    with pytest.raises(REFUSALS, match="ignature"):
        verify(BODY, signed(alone(made())), made())


@every_verifier
@pytest.mark.parametrize(("late", "why"), [(TOO_FAR, "too old"), (-TOO_FAR, "too new")])
def test_a_webhook_of_another_time_is_refused(verify: Verify, late: int, why: str) -> None:
    key = made()
    with pytest.raises(REFUSALS, match=why):
        verify(BODY, signed(alone(key), late=late), key)


@every_verifier
def test_a_time_put_forward_is_refused(verify: Verify) -> None:
    key = made()
    old, new = signed(alone(key), late=TOO_FAR), signed(alone(key))
    times = {name: new[name] for name in ("telnyx-timestamp", "webhook-timestamp")}
    with pytest.raises(REFUSALS, match="ignature"):
        verify(BODY, old | times, key)


@pytest.mark.parametrize(
    ("body", "said"),
    [(BODY, "message.received"), (BODY + b" ", "Signature verification failed")],
    ids=["as sent", "changed"],
)
def test_the_unwrap_that_the_lib_puts_in_place_agrees(body: bytes, said: str) -> None:
    key = made()
    given = json.dumps([body.decode(), signed(alone(key)), public_key(key)])
    program = [sys.executable, "-c", PATCHED, given]
    done = subprocess.run(program, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.splitlines(), done.returncode) == ([said] * 2, 0), done.stderr


def test_another_id_is_refused() -> None:
    key = made()
    headers = signed(alone(key)) | {"webhook-id": EVENT.replace("1", "2")}
    with pytest.raises(NotStandard, match="No matching signature"):
        standard(BODY, headers, key)


@pytest.mark.parametrize("verify", [unwrap, lib])
def test_the_sdk_takes_the_old_key_until_the_new_one_signs(verify: Verify) -> None:
    old, new = rotation = follow([made()], made(), now(), HOUR)
    for at, right, wrong in ((0, old, new), (HOUR, new, old)):
        headers = signed(keys_at(rotation, Instant(now() + at)))
        verify(BODY, headers, right)
        with pytest.raises(REFUSALS, match="does not match"):
            verify(BODY, headers, wrong)


@pytest.mark.parametrize("at", [0, HOUR])
def test_standard_webhooks_takes_both_keys_all_through_a_rotation(at: int) -> None:
    rotation = follow([made()], made(), now(), HOUR)
    headers = signed(keys_at(rotation, Instant(now() + at)))
    for key in rotation:
        standard(BODY, headers, key)


def test_the_old_key_is_refused_once_it_has_retired() -> None:
    old, new = rotation = follow([made()], made(), now(), HOUR)
    headers = signed(keys_at(rotation, Instant(now() + 2 * HOUR)))
    standard(BODY, headers, new)
    with pytest.raises(NotStandard, match="No matching signature"):
        standard(BODY, headers, old)
