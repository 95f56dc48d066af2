"""The client as a service, which is there before the library behind it is."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING

from heliograph.outgoing.interface import HttpAnswer, LookUp, OutgoingOptions, stopped

if TYPE_CHECKING:
    from heliograph.outgoing.client import Client


def load() -> "type[Client]":
    """Import what calls are made with, unless it has been."""
    # It takes a fifth of a second, which nobody should wait for who asks something of us.
    from heliograph.outgoing.client import Client

    return Client


class OutgoingHttp:
    """Makes requests to URLs that strangers chose. A service; it can be started again after a stop.

    It sets no bound on requests at once and knows no tenants: the caller decides who may have how many under way.

    `tls` replaces the system's trust store, which OpenSSL finds; `look_up` replaces the system's resolver.
    """

    def __init__(
        self, options: OutgoingOptions, *, tls: ssl.SSLContext | None = None, look_up: LookUp | None = None
    ) -> None:
        self._options = options
        self._tls = tls
        self._look_up = look_up
        self._started = False
        self._client: Client | None = None

    async def start(self) -> None:
        """Be ready for requests."""
        self._started = True

    async def stop(self) -> None:
        """Close all connections; a request under way fails with `Fault.OTHER`. Look-ups that block are left behind."""
        client, self._client, self._started = self._client, None, False
        if client is not None:
            await client.close()

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        timeout: int,  # noqa: ASYNC109 - as of `request`
    ) -> HttpAnswer:
        """Send `body` to `url`; see `request`."""
        return await self.request("POST", url, body=body, headers=headers, timeout=timeout)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: int,  # noqa: ASYNC109 - as of `Client.request`
        largest: int | None = None,
        until: int | None = None,
    ) -> HttpAnswer:
        """Make one request and return the answer, whatever its status.

        Everything is over after `timeout` microseconds, from the look-up of the name to the last byte of the body.
        Once the status is known there is an answer: a body that is too large, still dripping at the time-out, or
        ended early is cut, for whether a webhook was taken hangs on the status alone.

        `largest` replaces `OutgoingOptions.largest_answer`. `until` is a moment of `clock.monotonic`, judged when the
        connection stands: from then on a request with a body does not leave any more, and fails unsent.

        Raises `OutgoingFailure`; `ValueError` when a header holds a line break; `RuntimeError` when not started.
        """
        client = self._client or await self._open()
        return await client.request(method, url, headers, body, timeout=timeout, largest=largest, until=until)

    async def _open(self) -> "Client":
        if not self._started:
            raise RuntimeError("OutgoingHttp is not started")
        try:
            client = await asyncio.to_thread(load)
        except RuntimeError:  # no thread is to be had
            client = load()
        if not self._started:
            raise stopped(sent=False)
        if self._client is None:
            self._client = client(self._options, self._tls, self._look_up)
        return self._client
