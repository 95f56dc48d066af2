"""What becomes of a test message at an upstream: it is asked, since its webhooks go to the service."""

import asyncio
from typing import NamedTuple

import msgspec

from heliograph.carrier_settings import UpstreamSettings
from heliograph.carriers.upstream_answers import delivery_error_of, read_errors
from heliograph.clock import monotonic
from heliograph.domain.instant import SECOND
from heliograph.domain.lifecycle import FINAL
from heliograph.domain.message import DeliveryError
from heliograph.outgoing import OutgoingFailure, OutgoingHttp

PAUSE = 0.5
"""Seconds between two questions."""
ANSWER = 5 * SECOND


class Found(NamedTuple):
    """The last status of a message, and why it failed if it did."""

    status: str
    error: DeliveryError | None


class _To(msgspec.Struct):
    status: str | None = None


class _Message(msgspec.Struct):
    to: list[_To] = []
    errors: object = None


class _Envelope(msgspec.Struct):
    data: _Message


async def asked_until_over(http: OutgoingHttp, own: UpstreamSettings, message_id: str, wait: int) -> Found | None:
    """Ask an upstream for a message until its status is a last one; None when it is not within `wait` microseconds."""
    until = monotonic() + wait
    while True:
        found = await _asked(http, own, message_id)
        if found is not None and found.status in FINAL:
            return found
        left = until - monotonic()
        if left <= 0:
            return None
        await asyncio.sleep(min(PAUSE, left / SECOND))


async def _asked(http: OutgoingHttp, own: UpstreamSettings, message_id: str) -> Found | None:
    """None where nothing is learnt: another question may do better."""
    url = f"{own.base_url.rstrip('/')}/messages/{message_id}"
    headers = {"Authorization": f"Bearer {own.api_key}", "Accept": "application/json"}
    try:
        answer = await http.request("GET", url, headers=headers, timeout=ANSWER)
        told = msgspec.json.decode(answer.body, type=_Envelope).data
    except (OutgoingFailure, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    errors = read_errors(told.errors)
    status = (told.to[0].status if told.to else None) or ""
    return Found(status, delivery_error_of(errors[0], "The upstream reports") if errors else None)
