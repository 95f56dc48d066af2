"""Receipts and messages as the scripted SMSC writes them, read by what reads those of carriers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.carriers.smpp.pdu import DeliverSm, SubmitSm, Tag, encode_body, find, find_number, find_text
from heliograph.carriers.smpp.receipts import Report, State, read
from heliograph.carriers.smpp.smsc_deliveries import (
    address_of,
    final_date,
    id_in_receipt,
    is_asked_for,
    message_of,
    receipt_of,
)
from heliograph.carriers.smpp.smsc_record import Submit, Where, submit_of, text_of
from heliograph.carriers.smpp.smsc_script import Answer, Final, IdForm, ReceiptForm, ReceiptId, Script, Verdict
from heliograph.domain.instant import MILLISECOND, MINUTE, Instant, parse
from heliograph.domain.receipt import forms, normal

AT = parse("2026-11-24T10:20:30.450Z")


def submit(text: bytes = b"hi", destination: str = "15550001111", message_id: str = "abc123") -> Submit:
    """One that was taken."""
    body = SubmitSm(source_addr="15550002222", destination_addr=destination, short_message=text)
    verdict = Verdict(Answer.NOW, 0, taken=True)
    return submit_of(body, Where(1, "me", 1, AT), text_of(body), verdict, message_id)


def verdict(final: Final = Final.DELIVRD, error: int = 0) -> Verdict:
    return Verdict(Answer.NOW, 0, taken=True, final=final, error=error)


def report(receipt: DeliverSm) -> Report:
    """What our own reader makes of it."""
    return read(
        receipt.short_message,
        esm_class=receipt.esm_class,
        receipted_message_id=find(receipt.tlvs, Tag.RECEIPTED_MESSAGE_ID),
        message_state=find_number(receipt.tlvs, Tag.MESSAGE_STATE),
        network_error_code=find(receipt.tlvs, Tag.NETWORK_ERROR_CODE),
    )


@pytest.mark.parametrize("form", list(ReceiptForm))
@pytest.mark.parametrize("final", list(Final))
def test_every_form_says_which_message_and_what_became_of_it(form: ReceiptForm, final: Final) -> None:
    receipt = receipt_of(submit(), verdict(final), Script(receipt_form=form), AT)
    found = report(receipt)
    assert (found.ids, found.state) == (("abc123",), final.state)
    assert bool(receipt.short_message) is (form is not ReceiptForm.TLV)
    assert bool(receipt.tlvs) is (form is not ReceiptForm.TEXT)


@pytest.mark.parametrize("form", list(ReceiptForm))
def test_every_form_tells_the_number_for_the_reason(form: ReceiptForm) -> None:
    found = report(receipt_of(submit(), verdict(Final.UNDELIV, 34), Script(receipt_form=form), AT))
    assert found.error is not None
    assert "34" in found.error.detail


def test_the_text_is_that_of_appendix_b() -> None:
    receipt = receipt_of(submit(b"a text of more than twenty"), verdict(), Script(), Instant(AT + 5 * MINUTE))
    assert receipt.short_message == (
        b"id:abc123 sub:001 dlvrd:001 submit date:2611241020 done date:2611241025 stat:DELIVRD err:000 "
        b"text:a text of more than "
    )


def test_a_receipt_fits_the_wire_whatever_the_message_was() -> None:
    script = Script(receipt_id=ReceiptId.ZEROS)
    odd = submit("é€".encode("latin-1", "replace") * 60, destination="2" * 60, message_id="f" * 62)
    assert encode_body(receipt_of(odd, verdict(), script, AT))


@pytest.mark.parametrize(
    ("id_form", "receipt_id", "given_id", "written"),
    [
        (IdForm.HEX, ReceiptId.SAME, "1d305b4c", "1d305b4c"),
        (IdForm.HEX, ReceiptId.UPPER, "1d305b4c", "1D305B4C"),
        (IdForm.HEX, ReceiptId.ZEROS, "1d305b4c", "001d305b4c"),
        (IdForm.HEX, ReceiptId.DECIMAL, "1d305b4c", "489708364"),
        (IdForm.HEX, ReceiptId.HEX, "1d305b4c", "1d305b4c"),
        (IdForm.DECIMAL, ReceiptId.HEX, "489708364", "1d305b4c"),
        (IdForm.DECIMAL, ReceiptId.DECIMAL, "489708364", "489708364"),
        (IdForm.UUID, ReceiptId.UPPER, "0193-ab", "0193-AB"),
    ],
)
def test_the_id_is_written_in_its_own_way(id_form: IdForm, receipt_id: ReceiptId, given_id: str, written: str) -> None:
    assert id_in_receipt(given_id, Script(id_form=id_form, receipt_id=receipt_id)) == written
    assert normal(given_id) in forms(written)


@pytest.mark.parametrize(
    ("registered_delivery", "final", "asked"),
    [
        (0x00, Final.DELIVRD, False),
        (0x01, Final.DELIVRD, True),
        (0x01, Final.UNDELIV, True),
        (0x11, Final.DELIVRD, True),
        (0x02, Final.DELIVRD, False),
        (0x02, Final.EXPIRED, True),
        (0x03, Final.EXPIRED, False),
        (0x10, Final.DELIVRD, False),
    ],
)
def test_a_receipt_is_written_for_what_asks_for_one(registered_delivery: int, final: Final, asked: bool) -> None:
    assert is_asked_for(registered_delivery, final) is asked


def test_a_final_date_has_tenths_and_a_zone() -> None:
    assert final_date(Instant(AT + 60 * MILLISECOND)) == "261124102030500+"


@pytest.mark.parametrize(
    ("address", "ton", "npi", "digits"),
    [
        ("+15550001111", 1, 1, "15550001111"),
        ("15550001111", 1, 1, "15550001111"),
        ("12345", 3, 0, "12345"),
        ("Acme", 5, 0, "Acme"),
    ],
)
def test_addresses_say_what_they_are(address: str, ton: int, npi: int, digits: str) -> None:
    assert address_of(address) == (ton, npi, digits)


@given(st.text(max_size=500), st.booleans(), st.booleans(), st.integers(0, 1 << 40))
def test_any_text_fits_into_parts(text: str, ucs2: bool, sar: bool, reference: int) -> None:
    parts = message_of("+15550001111", "12345", text, reference, ucs2=ucs2, sar=sar)
    assert all(len(each.short_message) <= 160 and encode_body(each) for each in parts)


def test_the_state_of_every_word_is_its_own() -> None:
    assert len({each.state for each in Final}) == len(Final)
    assert Final.DELIVRD.state is State.DELIVERED


def test_a_receipt_names_the_message_as_a_text() -> None:
    assert find_text(receipt_of(submit(), verdict(), Script(), AT).tlvs, Tag.RECEIPTED_MESSAGE_ID) == "abc123"
