"""Which webhooks of an upstream are believed."""

from base64 import b64encode

import pytest

from heliograph import randomness
from heliograph.carriers.upstream_webhooks import read_public_key, verify
from heliograph.carriers.webhooks import NotVerified
from heliograph.clock import SystemClock
from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import SECOND
from heliograph.domain.signing_keys import SigningKeys, WebhookKey
from heliograph.webhooks.signing import public_key, signed_headers
from tests.carriers.upstreams import EVENT, Signer, event

SIGNER = Signer()
BODY = event("message.sent", {"id": "4031", "to": [{"status": "sent"}]})


def checked(headers: dict[str, str], body: bytes = BODY, *keys: Signer) -> None:
    verify([read_public_key(each.public) for each in keys or (SIGNER,)], headers, body, SystemClock().now() // SECOND)


def test_what_the_upstream_signed_is_believed() -> None:
    checked(SIGNER.headers(BODY))


def test_one_of_several_keys_is_enough() -> None:
    checked(SIGNER.headers(BODY), BODY, Signer(), SIGNER)


@pytest.mark.parametrize("body", [BODY + b" ", BODY.replace(b"sent", b"Sent"), b""], ids=["longer", "changed", "empty"])
def test_another_body_is_not_believed(body: bytes) -> None:
    with pytest.raises(NotVerified, match="does not match"):
        checked(SIGNER.headers(BODY), body)


def test_another_key_is_not_believed() -> None:
    with pytest.raises(NotVerified, match="does not match"):
        checked(Signer().headers(BODY))


@pytest.mark.parametrize("late", [-310, 310])
def test_a_webhook_of_another_time_is_not_believed(late: int) -> None:
    with pytest.raises(NotVerified, match="300 seconds"):
        checked(SIGNER.headers(BODY, late))


@pytest.mark.parametrize("late", [-290, 290])
def test_clocks_may_differ_a_little(late: int) -> None:
    checked(SIGNER.headers(BODY, late))


def test_a_time_put_forward_is_not_believed() -> None:
    with pytest.raises(NotVerified, match="does not match"):
        checked(SIGNER.headers(BODY, 310) | {"telnyx-timestamp": SIGNER.headers(BODY)["telnyx-timestamp"]})


@pytest.mark.parametrize("name", ["telnyx-timestamp", "telnyx-signature-ed25519"])
@pytest.mark.parametrize("value", [None, "", "x", "-1", "1e9", "٣", "9" * 400, "AAAA", "A" * 88, "é"])
def test_a_missing_or_broken_header_is_not_believed(name: str, value: str | None) -> None:
    headers = {key: text for key, text in (SIGNER.headers(BODY) | {name: value}).items() if text is not None}
    with pytest.raises(NotVerified):
        checked(headers)


def test_without_a_key_nothing_is_believed() -> None:
    with pytest.raises(NotVerified, match="No public key"):
        verify([], SIGNER.headers(BODY), BODY, SystemClock().now() // SECOND)


def test_what_we_sign_ourselves_is_believed() -> None:
    now = SystemClock().now()
    key = WebhookKey("1", OrganizationId("1"), seed(), "whsec_" + seed(), now, now)
    headers = signed_headers(SigningKeys(key, [key]), EVENT, now // SECOND, BODY)
    verify([read_public_key(public_key(key))], headers, BODY, now // SECOND)


def seed() -> str:
    return b64encode(randomness.seed()).decode()
