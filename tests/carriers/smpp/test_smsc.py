"""The scripted SMSC on real sockets, against our own link: binds, answers, faults and the evidence."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from heliograph.carriers.smpp import smsc as smsc_module
from heliograph.carriers.smpp.events import Answered, Closed, NotSent, PeerUnbinding, Reason, Unanswered
from heliograph.carriers.smpp.pdu import (
    BindTransceiver,
    CancelSm,
    DataSm,
    Decoder,
    DeliverSm,
    EnquireLink,
    EnquireLinkResp,
    Pdu,
    QuerySm,
    QuerySmResp,
    SubmitSm,
    Tag,
    Tlvs,
    encode,
    find_text,
)
from heliograph.carriers.smpp.receipts import State
from heliograph.carriers.smpp.session import Mode
from heliograph.carriers.smpp.smsc import CannotRecord, Smsc
from heliograph.carriers.smpp.smsc_record import Record, Submit, submits_in
from heliograph.carriers.smpp.smsc_script import Answer, Final, Script
from heliograph.carriers.smpp.status import Status
from heliograph.domain.instant import DAY, MILLISECOND, SECOND
from tests.carriers.smpp.esme import TEXT, asking, bound

NO_RECEIPT = SubmitSm(source_addr="15550002222", destination_addr="15550001111", short_message=b"hi")

Start = Callable[..., Awaitable[Smsc]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts an SMSC with a script."""
    async with AsyncExitStack() as until_end:

        async def started(script: Script | None = None, **options: Any) -> Smsc:
            return await until_end.enter_async_context(Smsc(script, **options))

        yield started


def id_of(receipt: DeliverSm) -> str:
    """Which message a receipt is about."""
    found = find_text(receipt.tlvs, Tag.RECEIPTED_MESSAGE_ID)
    assert found is not None
    return found


# ------------------------------------------------------------------------------------------------------ binds, requests


@pytest.mark.parametrize("mode", list(Mode))
async def test_every_bind_is_understood(start: Start, mode: Mode) -> None:
    smsc = await start()
    async with bound(smsc.port, mode=mode):
        await smsc.wait_bound()
        assert smsc.stats()["bound"] == 1
    await smsc.wait_bound(0)
    assert smsc.stats()["connected"] == 0


@pytest.mark.parametrize(
    ("system_id", "password", "status"),
    [("me", "wrong", Status.RINVPASWD), ("you", "secret", Status.RBINDFAIL), ("", "", Status.RBINDFAIL)],
)
async def test_who_is_not_known_is_refused(start: Start, system_id: str, password: str, status: Status) -> None:
    smsc = await start(Script(accounts={"me": "secret"}))
    esme = await asking(smsc.port, system_id=system_id, password=password)
    assert await esme.events.get() == Closed(Reason.REFUSED, status)


async def test_who_is_known_may_bind(start: Start) -> None:
    smsc = await start(Script(accounts={"me": "secret"}))
    async with bound(smsc.port):
        await smsc.wait_bound()


async def test_the_first_binds_are_refused_and_the_next_is_not(start: Start) -> None:
    smsc = await start(Script(bind_refusals=2, bind_status=Status.RSYSERR))
    for _ in range(2):
        esme = await asking(smsc.port)
        assert await esme.events.get() == Closed(Reason.REFUSED, Status.RSYSERR)
    async with bound(smsc.port):
        await smsc.wait_bound()


async def test_an_unbind_is_answered(start: Start) -> None:
    smsc = await start()
    async with bound(smsc.port) as esme:
        await esme.link.close()
        assert await esme.events.get() == Closed(Reason.UNBOUND)


async def test_everybody_can_be_asked_to_go(start: Start) -> None:
    smsc = await start()
    async with bound(smsc.port) as esme:
        smsc.unbind_links()
        assert await esme.events.get() == PeerUnbinding()
        assert await esme.events.get() == Closed(Reason.PEER_UNBOUND)
    await smsc.wait_bound(0)


async def test_a_submit_is_answered_with_an_id_and_known_with_all_it_says(start: Start) -> None:
    smsc = await start()
    body = SubmitSm(
        source_addr_ton=1,
        source_addr_npi=1,
        source_addr="15550002222",
        dest_addr_ton=2,
        dest_addr_npi=8,
        destination_addr="15550001111",
        data_coding=8,
        validity_period="000001000000000R",
        short_message="Grüße".encode("utf-16-be"),
        tlvs=((Tag.USER_MESSAGE_REFERENCE, b"\x01\x02"),),
    )
    async with bound(smsc.port) as esme:
        answer = await esme.submit(body)
        (submit,) = smsc.submits
    assert answer.status == 0
    assert (submit.message_id, submit.taken, submit.answer) == (answer.message_id, True, Answer.NOW)
    assert (submit.source, submit.source_ton, submit.source_npi) == ("15550002222", 1, 1)
    assert (submit.destination, submit.destination_ton, submit.destination_npi) == ("15550001111", 2, 8)
    assert (submit.text, submit.data_coding, submit.validity_period) == ("Grüße", 8, "000001000000000R")
    assert (submit.system_id, submit.user_message_reference) == ("me", 0x0102)
    assert bytes.fromhex(submit.short_message).decode("utf-16-be") == "Grüße"


async def test_a_data_sm_is_taken_like_a_submit(start: Start) -> None:
    smsc = await start()
    payload: Tlvs = ((Tag.MESSAGE_PAYLOAD, b"long" * 100),)
    body = DataSm(source_addr="1", destination_addr="2" * 60, registered_delivery=1, tlvs=payload)
    async with bound(smsc.port) as esme:
        answer = await esme.link.submit(body)
        assert isinstance(answer, Answered)
        assert id_of(await esme.deliveries.get()) == answer.message_id
        (submit,) = smsc.submits
    assert (submit.command, submit.text, submit.message_payload) == ("data_sm", "long" * 100, (b"long" * 100).hex())


async def test_a_query_tells_what_became_of_a_message(start: Start) -> None:
    smsc = await start(Script(receipt_delay=DAY, final=Final.EXPIRED, error=7))
    async with bound(smsc.port) as esme:
        under_way = await esme.submit()
        answer = await esme.link.submit(QuerySm(under_way.message_id))
        assert isinstance(answer, Answered)
        assert answer.body == QuerySmResp(under_way.message_id, "", State.ENROUTE, 0)


async def test_a_query_tells_the_end_of_a_message_and_when_that_was(start: Start) -> None:
    smsc = await start(Script(final=Final.EXPIRED, error=7))
    async with bound(smsc.port) as esme:
        taken = await esme.submit()
        answer = await esme.link.submit(QuerySm(taken.message_id))
    assert isinstance(answer, Answered)
    assert isinstance(answer.body, QuerySmResp)
    assert (answer.body.message_state, answer.body.error_code) == (State.EXPIRED, 7)
    assert answer.body.final_date.endswith("00+")


async def test_a_query_for_what_is_not_theirs_fails(start: Start) -> None:
    smsc = await start()
    async with bound(smsc.port) as one, bound(smsc.port, system_id="you") as other:
        taken = await one.submit()
        for message_id in (taken.message_id, "unknown"):
            answer = await other.link.submit(QuerySm(message_id))
            assert isinstance(answer, Answered)
            assert answer.status == Status.RQUERYFAIL


async def test_nothing_can_be_cancelled(start: Start) -> None:
    smsc = await start()
    async with bound(smsc.port) as esme:
        answer = await esme.link.submit(CancelSm(message_id="1"))
    assert isinstance(answer, Answered)
    assert answer.status == Status.RCANCELFAIL


async def test_enquire_links_go_both_ways(start: Start) -> None:
    smsc = await start(Script(enquire_interval=20 * MILLISECOND, answer_timeout=DAY))
    reader, writer = await asyncio.open_connection("127.0.0.1", smsc.port)
    writer.write(encode(BindTransceiver("me", "secret"), 1))
    decoder, seen = Decoder(), list[object]()
    while EnquireLink() not in seen:
        seen += [each.body for each in decoder.feed(await reader.read(1000)) if isinstance(each, Pdu)]
    writer.write(encode(EnquireLinkResp(), 1) + encode(EnquireLink(), 9))
    while EnquireLinkResp() not in seen:
        seen += [each.body for each in decoder.feed(await reader.read(1000)) if isinstance(each, Pdu)]
    writer.close()


async def test_who_does_not_bind_is_hung_up_on(start: Start) -> None:
    smsc = await start(Script(enquire_interval=20 * MILLISECOND))
    reader, writer = await asyncio.open_connection("127.0.0.1", smsc.port)
    assert await reader.read() == b""
    writer.close()


# ------------------------------------------------------------------------------------------------------ what goes wrong


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (Script(throttle_every=2), Status.RTHROTTLED),
        (Script(queue_full_every=2), Status.RMSGQFUL),
        (Script(refuse={0x0B: 2}), Status.RINVDSTADR),
        (Script(refuse={0x450: 2}), 0x450),
        (Script(throttle_above=1), Status.RTHROTTLED),
    ],
)
async def test_every_second_submit_is_refused(start: Start, script: Script, status: int) -> None:
    smsc = await start(script)
    async with bound(smsc.port) as esme:
        answers = [await esme.submit() for _ in range(2)]
    assert [(each.status, each.message_id != "") for each in answers] == [(0, True), (status, False)]
    assert [(each.status, each.taken) for each in smsc.submits] == [(0, True), (status, False)]


async def test_a_link_that_asks_beyond_the_window_is_throttled(start: Start) -> None:
    smsc = await start(Script(window=2, answer_delay=20 * MILLISECOND))
    async with bound(smsc.port) as esme:
        answers = await asyncio.gather(*(esme.submit() for _ in range(5)))
        assert sorted(each.status for each in answers) == [0, 0, 0x58, 0x58, 0x58]
        assert (await esme.submit()).status == 0


async def test_throttling_can_be_switched(start: Start) -> None:
    smsc = await start()
    async with bound(smsc.port) as esme:
        smsc.throttle(True)
        assert (await esme.submit()).status == Status.RTHROTTLED
        smsc.throttle(False)
        assert (await esme.submit()).status == 0


async def test_the_link_is_dropped_at_the_submit_of_that_number(start: Start) -> None:
    smsc = await start(Script(drop_after=3))
    async with bound(smsc.port) as esme:
        ends = await asyncio.gather(*(esme.link.submit(TEXT) for _ in range(5)))
        assert [type(each) for each in ends] == [Answered, Answered, Unanswered, Unanswered, Unanswered]
        assert await esme.events.get() == Closed(Reason.LOST)
    assert [each.answer for each in smsc.submits] == [Answer.NOW, Answer.NOW, Answer.DROP]
    async with bound(smsc.port) as esme:
        assert (await esme.submit()).status == 0


async def test_what_was_dropped_is_delivered_and_its_receipt_comes_with_the_next_bind(start: Start) -> None:
    smsc = await start(Script(drop_after=1))
    async with bound(smsc.port) as esme:
        assert isinstance(await esme.link.submit(TEXT), Unanswered)
    async with bound(smsc.port) as esme:
        assert id_of(await esme.deliveries.get()) == smsc.submits[0].message_id


async def test_what_was_dropped_may_be_lost(start: Start) -> None:
    smsc = await start(Script(drop_after=1, unanswered_lost=True))
    async with bound(smsc.port) as esme:
        assert isinstance(await esme.link.submit(TEXT), Unanswered)
    assert [(each.taken, each.message_id) for each in smsc.submits] == [(False, "")]
    assert smsc.stats()["waiting"] == 0


async def test_silence_after_a_number_is_for_submits_only(start: Start) -> None:
    smsc = await start(Script(silent_after=1))
    times = {"response_timeout": 150 * MILLISECOND, "enquire_interval": 30 * MILLISECOND}
    async with bound(smsc.port, **times) as esme:
        assert (await esme.submit()).status == 0
        assert isinstance(await esme.link.submit(TEXT), Unanswered)
        await esme.link.close()
        assert await esme.events.get() == Closed(Reason.UNBOUND)
    assert [each.answer for each in smsc.submits] == [Answer.NOW, Answer.NEVER]


async def test_in_silence_a_link_looks_dead(start: Start) -> None:
    smsc = await start()
    times = {"response_timeout": 100 * MILLISECOND, "enquire_interval": 50 * MILLISECOND}
    async with bound(smsc.port, **times) as esme:
        smsc.silence(True)
        assert isinstance(await esme.link.submit(TEXT), Unanswered)
        assert await esme.events.get() == Closed(Reason.DEAD)


async def test_in_silence_a_link_is_given_one_window(start: Start) -> None:
    smsc = await start()
    async with bound(smsc.port, window=2, response_timeout=200 * MILLISECOND, enquire_interval=DAY) as esme:
        smsc.silence(True)
        for end in await asyncio.gather(*(esme.link.submit(TEXT) for _ in range(2))):
            assert isinstance(end, Unanswered)
        assert isinstance(await esme.link.submit(TEXT), NotSent)
        assert await esme.events.get() == Closed(Reason.DEAD)
    assert len(smsc.submits) == 2


async def test_after_silence_a_receipt_that_was_held_comes(start: Start) -> None:
    smsc = await start()
    async with bound(smsc.port, response_timeout=5 * SECOND) as esme:
        smsc.silence(True)
        end = asyncio.create_task(esme.link.submit(TEXT))
        await smsc.wait_submits(1)
        assert esme.deliveries.empty()
        smsc.silence(False)
        assert id_of(await esme.deliveries.get()) == smsc.submits[0].message_id
        await esme.link.abort()
        assert isinstance(await end, Unanswered)


async def test_a_late_answer_is_given_after_the_others(start: Start) -> None:
    smsc = await start(Script(late_every=2, late_delay=50 * MILLISECOND))
    async with bound(smsc.port) as esme:
        answered: list[int] = []

        async def one(number: int) -> None:
            await esme.submit()
            answered.append(number)

        await asyncio.gather(*(one(number) for number in range(1, 4)))
    assert answered == [1, 3, 2]


async def test_all_links_can_be_dropped(start: Start) -> None:
    smsc = await start()
    async with bound(smsc.port) as one, bound(smsc.port, system_id="you") as other:
        await smsc.wait_bound(2)
        smsc.drop_links()
        for each in (one, other):
            assert await each.events.get() == Closed(Reason.LOST)
    await smsc.wait_bound(0)


# --------------------------------------------------------------------------------------------------------- the evidence


async def test_an_answer_that_was_seen_is_on_record(start: Start, tmp_path: Path) -> None:
    smsc = await start(Script(throttle_every=3), record=tmp_path / "record")
    async with bound(smsc.port, window=50) as esme:
        answers = await asyncio.gather(*(esme.submit() for _ in range(300)))
        recorded = list(submits_in(tmp_path / "record"))
    assert [each.message_id for each in recorded] == [each.message_id for each in answers]
    assert [each.status for each in recorded] == [each.status for each in answers]
    assert recorded == list(smsc.submits)


class HeldRecord(Record):
    """A disk that takes its time."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked = threading.Event()
        self.may_write = threading.Event()

    def append(self, submits: Sequence[Submit]) -> None:
        self.asked.set()
        self.may_write.wait()
        super().append(submits)


async def test_while_the_disk_takes_its_time_no_answer_leaves(start: Start, tmp_path: Path) -> None:
    smsc = await start(record=tmp_path / "record")
    assert smsc._record is not None
    smsc._record.close()
    smsc._record = held = HeldRecord(tmp_path / "record")
    async with bound(smsc.port) as esme:
        ends = [asyncio.create_task(esme.submit()) for _ in range(3)]
        await asyncio.to_thread(held.asked.wait)
        # The link lives, and what comes after on it is answered.
        assert isinstance(await esme.link.submit(QuerySm("none")), Answered)
        assert (len(smsc.submits), [each.done() for each in ends]) == (0, [False, False, False])
        held.may_write.set()
        assert [each.status for each in await asyncio.gather(*ends)] == [0, 0, 0]


async def test_two_runs_share_a_record_and_no_id(start: Start, tmp_path: Path) -> None:
    for _ in range(2):
        async with Smsc(record=tmp_path / "record") as smsc, bound(smsc.port) as esme:
            await asyncio.gather(*(esme.submit() for _ in range(20)))
    ids = [each.message_id for each in submits_in(tmp_path / "record")]
    assert len(ids) == len(set(ids)) == 40


async def test_what_was_read_before_the_end_is_written_down(tmp_path: Path) -> None:
    async with Smsc(record=tmp_path / "record") as smsc, bound(smsc.port) as esme:
        ends = [asyncio.create_task(esme.link.submit(TEXT)) for _ in range(10)]
        await smsc.wait_submits(1)
        await smsc.stop()
        answered = [each for each in await asyncio.gather(*ends) if isinstance(each, Answered)]
    recorded = {each.message_id for each in submits_in(tmp_path / "record")}
    assert {each.message_id for each in answered} <= recorded


async def test_a_record_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CannotRecord, match="cannot be written: No such file"):
        await Smsc(record=tmp_path / "no" / "record").start()


async def test_what_cannot_be_written_down_is_not_answered(start: Start, tmp_path: Path) -> None:
    smsc = await start(record=tmp_path / "record")
    assert smsc._record is not None
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, smsc._record._file)
    os.close(full)
    async with bound(smsc.port) as esme:
        assert isinstance(await esme.link.submit(TEXT), Unanswered)
        assert str(await smsc.broken).endswith("record cannot be written: No space left on device")
    with pytest.raises(CannotRecord):
        await smsc.wait_submits(1)
    with pytest.raises(OSError, match="Connect call failed"):
        await asking(smsc.port)


async def test_a_port_that_is_taken_is_an_error(start: Start, tmp_path: Path) -> None:
    smsc = await start()
    with pytest.raises(OSError, match="address already in use"):
        await Smsc(port=smsc.port, record=tmp_path / "record").start()


async def test_it_may_be_stopped_twice_and_before_it_was_started() -> None:
    smsc = Smsc()
    await smsc.stop()
    with pytest.raises(RuntimeError):
        _ = smsc.port
    await smsc.start()
    await smsc.stop()
    await smsc.stop()


async def test_after_a_stop_it_comes_back_to_its_port_with_what_nobody_took() -> None:
    async with Smsc() as smsc:
        async with bound(smsc.port, mode=Mode.TRANSMITTER) as esme:
            answer = await esme.submit()
        await smsc.stop()
        await smsc.start()
        async with bound(smsc.port) as esme:
            assert id_of(await esme.deliveries.get()) == answer.message_id


async def test_of_very_many_submits_the_last_are_kept(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smsc_module, "SUBMITS_KEPT", 5)
    smsc = await start(Script(first_id=1))
    async with bound(smsc.port) as esme:
        for _ in range(11):
            await esme.submit(NO_RECEIPT)
        assert [each.message_id for each in smsc.submits] == ["7", "8", "9", "a", "b"]
        await smsc.wait_submits(11)
