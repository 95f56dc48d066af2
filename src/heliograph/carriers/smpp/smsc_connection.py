"""One connection to the scripted SMSC, and its TLS."""

import asyncio
import ssl
from pathlib import Path
from typing import Protocol, cast

from heliograph.carriers.smpp.smsc_centre import Line

FLUSH_TIME = 5.0
"""Seconds a peer has to take the last bytes."""


class Owner(Protocol):
    """Who knows what to do about a connection."""

    def connected(self, connection: "Connection", peer: str) -> None:
        """A new connection; it is given its line."""

    def received(self, line: Line, data: bytes) -> None:
        """Bytes came."""

    def lost(self, connection: "Connection") -> None:
        """It is gone."""


class Connection(asyncio.Protocol):
    """One socket; `owner` is told of everything."""

    line: Line

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._transport: asyncio.Transport
        self._ending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Tell of it."""
        self._transport = cast(asyncio.Transport, transport)
        # A peer that has reset the connection by now has no name.
        peer = transport.get_extra_info("peername")
        self._owner.connected(self, f"{peer[0]} port {peer[1]}" if peer else "nowhere")

    def data_received(self, data: bytes) -> None:
        """Hand on what came."""
        self._owner.received(self.line, data)

    def pause_writing(self) -> None:
        """Who takes no answers is asked nothing more, or answers would pile up."""
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """They take answers again."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  an SMSC does not ask why
        """Tell of it."""
        if self._ending is not None:
            self._ending.cancel()
        self._owner.lost(self)

    def write(self, *, silent: bool) -> None:
        """Write what there is, and hang up if that was all; in silence it is swallowed."""
        if self._ending is not None:
            return
        data = self.line.session.bytes_to_send()
        if data and not silent:
            self._transport.write(data)
        if self.line.session.closed:
            self._ending = asyncio.get_running_loop().call_later(FLUSH_TIME, self._transport.abort)
            if self.line.dropped:
                self._transport.abort()
            else:
                self._transport.close()


def server_tls(certificate: Path, key: Path | None = None, clients: Path | None = None) -> ssl.SSLContext:
    """TLS for an SMSC: its chain, its key if that is in a file of its own, and who signs those of its clients.

    With `clients`, one without a certificate is hung up on. Raises `OSError`, which `ssl.SSLError` is.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Without a password to try, OpenSSL would ask for one at the terminal.
    context.load_cert_chain(certificate, key, password="")
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
