"""Receipts and messages over real sockets, from SMSCs that nobody here wrote; and sending to the one in Perl."""

import asyncio
from itertools import permutations
from typing import Any

import pytest

from heliograph.carriers.interface import OutcomeUnknown, Unreachable
from heliograph.carriers.smpp.options import Binds
from heliograph.domain.instant import MILLISECOND
from heliograph.domain.lifecycle import Change
from heliograph.domain.receipt import forms, normal
from tests.carriers.smpp.desk import a_carrier
from tests.carriers.smpp.messages import RECIPIENT, SENDER
from tests.carriers.smpp.peers import Start

FROM_PERSON: dict[str, Any] = {"source_addr_ton": 1, "source_addr": "18665550001"}
TO_US: dict[str, Any] = {"dest_addr_ton": 1, "destination_addr": "18445550001"}
PARTS = [f"050003aa030{number}" + text.encode().hex() for number, text in enumerate(["one ", "two ", "three"], 1)]


@pytest.mark.parametrize("form", ["both", "text", "parameters"])
@pytest.mark.parametrize("when", [True, "first"])
async def test_a_receipt_in_each_form_before_or_after_its_answer(start: Start, form: str, when: bool | str) -> None:
    smsc = await start(receipts=when, receipt=form)
    async with a_carrier(smsc.port) as sending:
        assert await sending.sends() == ("m1",)
        found = await sending.desk.receipts.get()
        assert (found.carrier_message_id, found.change) == ("m1", Change.DELIVER)
        assert (found.recipient, found.sender) == (RECIPIENT, SENDER)
        assert (await smsc.told("receipt"))["status"] == 0


@pytest.mark.parametrize(("form", "handed_over"), [("failed", 1), ("enroute", 0), ("nameless", 0)])
async def test_every_receipt_is_acknowledged(start: Start, form: str, handed_over: int) -> None:
    smsc = await start(receipts=True, receipt=form)
    async with a_carrier(smsc.port) as sending:
        await sending.sends()
        assert (await smsc.told("receipt"))["status"] == 0
        assert sending.desk.receipts.qsize() == handed_over
        assert sending.carrier.state().receipts == 1


async def test_a_receipt_that_cannot_be_kept_is_to_come_again(start: Start) -> None:
    smsc = await start(receipts=True)
    async with a_carrier(smsc.port) as sending:
        sending.desk.fault = OSError("the database is away")
        await sending.sends()
        assert (await smsc.told("receipt"))["status"] == 0x64


async def test_each_part_has_a_receipt_of_its_own(start: Start) -> None:
    smsc = await start(receipts=True)
    async with a_carrier(smsc.port) as sending:
        ids = await sending.sends("hello" * 70)
        found = {(await sending.desk.receipts.get()).carrier_message_id for _ in ids}
        assert found == set(ids)


async def test_no_receipt_is_sent_that_is_not_asked_for(start: Start) -> None:
    smsc = await start(receipts=True)
    async with a_carrier(smsc.port, registered_delivery=0) as sending:
        assert not sending.carrier.abilities.receipts
        await sending.sends()
        smsc.does(deliver=FROM_PERSON | TO_US | {"short_message": "after it"}, name="m")
        await smsc.told("delivered")
        assert sending.desk.receipts.empty()


async def test_the_parts_of_a_message_come_in_any_order_over_two_binds(start: Start) -> None:
    smsc = await start()
    async with a_carrier(smsc.port, binds=2, room=20) as sending:
        for order in permutations(range(3)):
            reference = f"{sum(order[:1]) * 3 + order[1]:02x}"
            for turn, number in enumerate(order):
                octets = PARTS[number].replace("aa", reference, 1)
                fields = FROM_PERSON | TO_US | {"esm_class": 0x40}
                smsc.does(deliver=fields, hex=octets, on=turn % 2, name=f"part {number}")
            for _ in order:
                assert (await smsc.told("delivered"))["status"] == 0
            found = await sending.desk.messages.get()
            assert (found.text, found.parts, found.sender, found.recipient) == (
                "one two three",
                3,
                RECIPIENT,
                SENDER,
            )
        assert sending.desk.messages.empty()


async def test_parts_that_come_after_another_process_took_the_first_are_one_message(start: Start) -> None:
    smsc = await start()
    fields = FROM_PERSON | TO_US | {"esm_class": 0x40}
    async with a_carrier(smsc.port) as before:
        smsc.does(deliver=fields, hex=PARTS[2], name="third")
        smsc.does(deliver=fields, hex=PARTS[0], name="first")
        for _ in range(2):
            assert (await smsc.told("delivered"))["status"] == 0
    async with a_carrier(smsc.port, book=before.book) as after:
        smsc.does(deliver=fields, hex=PARTS[1], on=1, name="last")
        assert (await after.desk.messages.get()).text == "one two three"


async def test_what_is_never_completed_is_given_up_by_the_carrier_itself(start: Start) -> None:
    smsc = await start()
    async with a_carrier(smsc.port, reassembly_timeout=100 * MILLISECOND) as sending:
        smsc.does(deliver=FROM_PERSON | TO_US | {"esm_class": 0x40}, hex=PARTS[1])
        assert (await sending.desk.messages.get()).text == "two "
        assert sending.carrier.state().inbound == 1


async def test_a_pair_hears_receipts_on_its_receiver(start_perl: Start) -> None:
    smsc = await start_perl(receipts=0)
    async with a_carrier(smsc.port, mode=Binds.PAIR) as sending:
        binds = sorted([(await smsc.told("bind"))["bind"] for _ in range(2)])
        assert binds == [1, 2]
        assert len(await sending.sends()) == 1


async def test_a_receiver_alone_hears_and_sends_nothing(start: Start) -> None:
    smsc = await start()
    async with a_carrier(smsc.port, mode=Binds.RECEIVER, room=None) as sending:
        await smsc.told("bind")
        smsc.does(deliver=FROM_PERSON | TO_US | {"short_message": "Hello"})
        assert (await sending.desk.messages.get()).text == "Hello"
        assert (sending.carrier.up, sending.carrier.room) == (False, 0)
        with pytest.raises(Unreachable, match="no bind"):
            await sending.sends()


# ---- Net::SMPP


async def test_net_smpp_names_a_message_in_hexadecimal_and_reports_it_in_decimal(start_perl: Start) -> None:
    smsc = await start_perl(receipts=1)
    async with a_carrier(smsc.port) as sending:
        (message_id,) = await sending.sends("Hello")
        assert message_id == "1D305B4C"
        assert (await smsc.told("submit"))["text"] == b"Hello".hex()
        found = await sending.desk.receipts.get()
        assert found.carrier_message_id == "0489708364"
        assert normal(message_id) in forms(found.carrier_message_id)
        assert (await smsc.told("receipt"))["receipt"] == 0


async def test_net_smpp_understands_a_long_message(start_perl: Start) -> None:
    smsc = await start_perl(receipts=1)
    async with a_carrier(smsc.port) as sending:
        assert len(await sending.sends("hello" * 70)) == 3
        seen = [await smsc.told("submit") for _ in range(3)]
        assert "".join(bytes.fromhex(each["text"])[6:].decode() for each in seen) == "hello" * 70
        assert {each["esm_class"] for each in seen} == {0x40}
        assert {each["validity"][-1] for each in seen} == {"R"}


async def test_net_smpp_may_refuse_binds_and_throttle(start_perl: Start) -> None:
    smsc = await start_perl(refuse=2, throttle=3)
    async with a_carrier(smsc.port, window=1) as sending:
        assert [(await smsc.told("bind"))["refused"] for _ in range(3)] == [1, 1, 0]
        await asyncio.gather(*sending.starts_sending(*"abc"))
        seen = [bytes.fromhex((await smsc.told("submit"))["text"]).decode() for _ in range(6)]
        assert seen == ["a", "a", "a", "a", "b", "c"]


async def test_net_smpp_may_drop_the_connection(start_perl: Start) -> None:
    smsc = await start_perl(drop=2)
    async with a_carrier(smsc.port) as sending:
        await sending.sends("a")
        with pytest.raises(OutcomeUnknown):
            await sending.sends("b")
        await sending.up()
        assert len(await sending.sends("c")) == 1
