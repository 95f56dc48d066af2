"""A client of an SMSC for tests: a link of ours, and what it was told."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from heliograph.carriers.smpp.events import Answered, Bound, Delivery, Event
from heliograph.carriers.smpp.link import Link, connect
from heliograph.carriers.smpp.pdu import DeliverSm, SubmitSm
from heliograph.carriers.smpp.session import Options
from heliograph.carriers.smpp.status import Status

TEXT = SubmitSm(source_addr="15550002222", destination_addr="15550001111", registered_delivery=1, short_message=b"hi")


class Esme:
    """Hears what its link tells, and answers deliveries with `status`."""

    link: Link

    def __init__(self) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.deliveries: asyncio.Queue[DeliverSm] = asyncio.Queue()
        self.status: int = Status.ROK
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def delivered(self, delivery: Delivery) -> int:
        assert isinstance(delivery.body, DeliverSm)
        self.deliveries.put_nowait(delivery.body)
        await self.may_answer.wait()
        return self.status

    async def noticed(self, event: Event) -> None:
        self.events.put_nowait(event)

    async def submit(self, body: SubmitSm = TEXT) -> Answered:
        """The answer to a submit, of which there must be one."""
        end = await self.link.submit(body)
        assert isinstance(end, Answered), end
        return end


async def asking(port: int, *, tls: ssl.SSLContext | None = None, name: str | None = None, **options: Any) -> Esme:
    """One that is connected and has asked to be bound."""
    esme = Esme()
    all_options = Options(options.pop("system_id", "me"), options.pop("password", "secret"), **options)
    esme.link = await connect("127.0.0.1", port, all_options, esme, timeout=10, tls=tls, server_hostname=name)
    return esme


@asynccontextmanager
async def bound(port: int, **options: Any) -> AsyncIterator[Esme]:
    """One that is bound."""
    esme = await asking(port, **options)
    try:
        event = await esme.events.get()
        assert isinstance(event, Bound), event
        yield esme
    finally:
        esme.may_answer.set()
        await esme.link.abort()
