"""What the scripted SMSC delivers over real sockets: receipts, and messages from handsets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from heliograph.carriers.smpp.assembly import Numbering, Piece, read_piece
from heliograph.carriers.smpp.encoding import decode
from heliograph.carriers.smpp.events import Unanswered
from heliograph.carriers.smpp.parts import TooLong
from heliograph.carriers.smpp.pdu import (
    DeliverSm,
    SubmitSm,
    Tag,
    find_text,
)
from heliograph.carriers.smpp.receipts import read
from heliograph.carriers.smpp.session import Mode
from heliograph.carriers.smpp.smsc import NobodyReceives, Smsc
from heliograph.carriers.smpp.smsc_record import sar_of
from heliograph.carriers.smpp.smsc_script import Final, ReceiptId, Script
from heliograph.carriers.smpp.status import Status
from heliograph.domain.instant import DAY, MILLISECOND
from heliograph.domain.lifecycle import Change
from tests.carriers.smpp.esme import bound

NO_RECEIPT = SubmitSm(source_addr="15550002222", destination_addr="15550001111", short_message=b"hi")

Start = Callable[..., Awaitable[Smsc]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts an SMSC with a script."""
    async with AsyncExitStack() as until_end:

        async def started(script: Script | None = None, **options: Any) -> Smsc:
            return await until_end.enter_async_context(Smsc(script, **options))

        yield started


def to(number: str) -> SubmitSm:
    """A message for a number."""
    return SubmitSm(source_addr="15550002222", destination_addr=number, registered_delivery=1, short_message=b"hi")


def id_of(receipt: DeliverSm) -> str:
    """Which message a receipt is about."""
    found = find_text(receipt.tlvs, Tag.RECEIPTED_MESSAGE_ID)
    assert found is not None
    return found


# ------------------------------------------------------------------------------------------------------------- receipts


async def test_a_receipt_says_what_the_script_says(start: Start) -> None:
    smsc = await start(Script(final=Final.UNDELIV, error=34))
    async with bound(smsc.port) as esme:
        answer = await esme.submit()
        receipt = await esme.deliveries.get()
    report = read(receipt.short_message, esm_class=receipt.esm_class)
    assert (report.ids, report.change, report.err, report.text) == ((answer.message_id,), Change.FAIL, "034", "hi")
    assert (receipt.source_addr, receipt.destination_addr) == ("15550001111", "15550002222")


async def test_no_receipt_comes_that_was_not_asked_for(start: Start) -> None:
    smsc = await start()
    async with bound(smsc.port) as esme:
        await esme.submit(NO_RECEIPT)
        assert smsc.stats()["waiting"] == 0
        assert esme.deliveries.empty()


async def test_a_receipt_goes_out_before_the_answer(start: Start) -> None:
    smsc = await start(Script(receipt_first=True))
    async with bound(smsc.port) as esme:
        told: list[str] = []
        answer = asyncio.create_task(esme.submit())
        answer.add_done_callback(lambda _: told.append("answer"))
        receipt = await esme.deliveries.get()
        told.append("receipt")
        assert id_of(receipt) == (await answer).message_id
    assert told == ["receipt", "answer"]


async def test_a_receipt_comes_twice(start: Start) -> None:
    smsc = await start(Script(receipt_twice=True))
    async with bound(smsc.port) as esme:
        await esme.submit()
        assert await esme.deliveries.get() == await esme.deliveries.get()
        await smsc.wait_delivered(2)


async def test_every_second_receipt_is_missing(start: Start) -> None:
    smsc = await start(Script(receipt_missing_every=2))
    async with bound(smsc.port) as esme:
        answers = [await esme.submit() for _ in range(4)]
        await smsc.wait_delivered(2)
        assert [id_of(esme.deliveries.get_nowait()) for _ in range(2)] == [answers[0].message_id, answers[2].message_id]
        assert smsc.stats()["waiting"] == 0


async def test_a_receipt_writes_the_id_in_its_own_way(start: Start) -> None:
    smsc = await start(Script(first_id=0xABCDEF, receipt_id=ReceiptId.DECIMAL))
    async with bound(smsc.port) as esme:
        assert (await esme.submit()).message_id == "abcdef"
        assert id_of(await esme.deliveries.get()) == str(0xABCDEF)


async def test_a_receipt_goes_to_a_receiver_of_the_same_system_id(start: Start) -> None:
    smsc = await start()
    async with (
        bound(smsc.port, mode=Mode.TRANSMITTER) as sends,
        bound(smsc.port, mode=Mode.RECEIVER) as receives,
        bound(smsc.port, system_id="you") as other,
    ):
        answer = await sends.submit()
        assert id_of(await receives.deliveries.get()) == answer.message_id
        assert sends.deliveries.empty()
        assert other.deliveries.empty()


async def test_a_receipt_that_was_not_answered_comes_again_with_the_next_bind(start: Start) -> None:
    smsc = await start()
    async with bound(smsc.port) as esme:
        esme.may_answer.clear()
        answer = await esme.submit()
        await esme.deliveries.get()
        smsc.drop_links()
        await smsc.wait_bound(0)
    async with bound(smsc.port) as esme:
        assert id_of(await esme.deliveries.get()) == answer.message_id
        await smsc.wait_delivered(1)
    assert smsc.stats()["waiting"] == 0


async def test_a_receipt_that_was_refused_comes_again(start: Start) -> None:
    smsc = await start(Script(redeliver_delay=10 * MILLISECOND))
    async with bound(smsc.port) as esme:
        esme.status = Status.RX_T_APPN
        answer = await esme.submit()
        first = await esme.deliveries.get()
        esme.status = Status.ROK
        assert await esme.deliveries.get() == first
        assert id_of(first) == answer.message_id
        await smsc.wait_delivered(1)


async def test_a_receipt_that_was_refused_comes_again_with_the_next_bind(start: Start) -> None:
    smsc = await start(Script(redeliver_delay=DAY))
    async with bound(smsc.port) as esme:
        esme.status = Status.RX_T_APPN
        answer = await esme.submit()
        await smsc._until(lambda: smsc.stats()["not delivered"] == 1)
    async with bound(smsc.port) as esme:
        assert id_of(await esme.deliveries.get()) == answer.message_id


async def test_no_more_receipts_are_under_way_than_the_window_holds(start: Start) -> None:
    smsc = await start(Script(deliver_window=2))
    async with bound(smsc.port) as esme:
        esme.may_answer.clear()
        await asyncio.gather(*(esme.submit() for _ in range(5)))
        await esme.submit(NO_RECEIPT)
        assert esme.deliveries.qsize() == 2
        esme.may_answer.set()
        await smsc.wait_delivered(5)


@pytest.mark.parametrize(
    ("number", "stat", "error"),
    [
        ("+15005550000", Final.DELIVRD, 0),
        ("15005550001", Final.UNDELIV, 11),
        ("+15005550002", Final.REJECTD, 88),
        ("15005550007", Final.DELIVRD, 0),
        ("15005550010", Final.REJECTD, 13),
    ],
)
async def test_a_magic_number_gets_its_receipt(start: Start, number: str, stat: Final, error: int) -> None:
    smsc = await start()
    async with bound(smsc.port) as esme:
        await esme.submit(to(number))
        report = read((await esme.deliveries.get()).short_message)
    assert (report.stat, int(report.err)) == (stat, error)


async def test_the_magic_number_of_an_unknown_outcome_drops_the_link_once(start: Start) -> None:
    smsc = await start()
    async with bound(smsc.port) as esme:
        assert isinstance(await esme.link.submit(to("15005550009")), Unanswered)
    async with bound(smsc.port) as esme:
        assert (await esme.submit(to("15005550009"))).status == 0
    assert [each.taken for each in smsc.submits] == [True, True]
    assert smsc.stats()["waiting"] == 0


# ----------------------------------------------------------------------------------------------- messages from handsets


async def test_a_message_from_a_handset_arrives(start: Start) -> None:
    smsc = await start()
    async with bound(smsc.port) as esme:
        assert await smsc.send_mo("+15550001111", "+15550002222", "Hello") == [0]
        body = await esme.deliveries.get()
    assert (body.source_addr_ton, body.source_addr, body.destination_addr) == (1, "15550001111", "15550002222")
    assert (body.short_message, body.esm_class, body.data_coding) == (b"Hello", 0, 0)


@pytest.mark.parametrize("sar", [False, True])
@pytest.mark.parametrize("text", ["x" * 400, "x" * 399 + "€", "Grüß Gott, " * 20 + "и"])
async def test_a_long_message_arrives_in_parts_that_make_it_whole(start: Start, text: str, sar: bool) -> None:
    smsc = await start()
    async with bound(smsc.port) as esme:
        answers = await smsc.send_mo("+15550001111", "+15550002222", text, sar=sar)
        bodies = [esme.deliveries.get_nowait() for _ in answers]
    pieces = [piece_of(each) for each in bodies]
    assert [(each.number, each.total) for each in pieces] == [(n, len(pieces)) for n in range(1, len(pieces) + 1)]
    assert {(each.numbering, each.reference) for each in pieces} == {
        (Numbering.SAR if sar else Numbering.UDH8, pieces[0].reference)
    }
    assert "".join(decode(each.octets, each.alphabet) for each in pieces) == text


def piece_of(body: DeliverSm) -> Piece:
    """What a receiver makes of it."""
    return read_piece(body.short_message, esm_class=body.esm_class, data_coding=body.data_coding, sar=sar_of(body.tlvs))


async def test_ucs2_can_be_asked_for(start: Start) -> None:
    smsc = await start()
    async with bound(smsc.port) as esme:
        await smsc.send_mo("12345", "Acme", "hi", ucs2=True)
        body = esme.deliveries.get_nowait()
    assert (body.data_coding, body.short_message) == (8, b"\0h\0i")
    assert (body.source_addr_ton, body.dest_addr_ton) == (3, 5)


async def test_a_message_for_nobody_in_particular_wants_somebody_to_have_bound(start: Start) -> None:
    smsc = await start()
    with pytest.raises(NobodyReceives):
        await smsc.send_mo("+15550001111", "+15550002222", "Hello")


async def test_a_message_waits_for_who_is_to_get_it(start: Start) -> None:
    smsc = await start()
    sent = asyncio.create_task(smsc.send_mo("+15550001111", "+15550002222", "Hello", system_id="me"))
    async with bound(smsc.port):
        assert await sent == [0]


async def test_what_it_is_refused_with_is_told(start: Start) -> None:
    smsc = await start(Script(redeliver_delay=DAY))
    async with bound(smsc.port) as esme:
        esme.status = Status.RX_P_APPN
        assert await smsc.send(DeliverSm(source_addr="1", short_message=b"\xff")) == Status.RX_P_APPN


async def test_a_message_of_too_many_parts_is_not_sent(start: Start) -> None:
    smsc = await start()
    async with bound(smsc.port):
        with pytest.raises(TooLong):
            await smsc.send_mo("1", "2", "x" * 100_000)
    assert smsc.stats()["waiting"] == 0


async def test_who_waits_for_an_answer_as_it_stops_is_cancelled() -> None:
    async with Smsc() as smsc:
        sent = asyncio.create_task(smsc.send_mo("1", "2", "x", system_id="nobody"))
        await asyncio.sleep(0)
    await asyncio.wait([sent])
    assert sent.cancelled()
