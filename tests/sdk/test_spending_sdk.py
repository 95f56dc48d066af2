"""A spend limit as the SDK meets it: an error that it does not ask again about."""

import httpx
import pytest
import telnyx
from telnyx import Telnyx

from tests.sdk.conftest import Service
from tests.wire import TO


def test_the_sdk_does_not_repeat_what_a_spend_limit_refuses(service: Service) -> None:
    organization, _ = service.accounts.sandbox()
    profile = service.accounts.profile(organization, daily_spend_limit="0", daily_spend_limit_enabled=True)
    number = service.accounts.sender(profile)
    asked: list[httpx.Request] = []
    transport = httpx.Client(event_hooks={"request": [asked.append]})
    with (
        Telnyx(api_key=service.api_key, base_url=service.base_url, http_client=transport) as client,
        pytest.raises(telnyx.RateLimitError) as refused,
    ):
        client.messages.send(from_=number, to=TO, text="Hello, World!")
    assert (len(asked), refused.value.response.json()["errors"][0]["code"]) == (1, "40333")
