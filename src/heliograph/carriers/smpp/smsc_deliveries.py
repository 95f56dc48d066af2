"""What an SMSC delivers: receipts for what it was given, and messages that somebody wrote on a handset."""

from datetime import UTC, datetime
from re import ASCII
from re import compile as regex

from heliograph.carriers.smpp.parts import LongMessages, Manner, Part, divide
from heliograph.carriers.smpp.pdu import DeliverSm, Npi, Tag, Tlv, Tlvs, Ton, tlv_of_number, tlv_of_text
from heliograph.carriers.smpp.receipts import Network
from heliograph.carriers.smpp.smsc_record import Submit
from heliograph.carriers.smpp.smsc_script import Final, IdForm, ReceiptForm, ReceiptId, Script, Verdict
from heliograph.domain.instant import SECOND, Instant
from heliograph.domain.text import RequestedEncoding
from heliograph.domain.text import encode as encode_text

RECEIPT = 0x04
"""esm_class of a receipt (SMPP 3.4, 5.2.12)."""
_TEXT_REPEATED = 20
"""Characters of the message that a receipt repeats (SMPP 3.4, appendix B)."""
_ASKED = 0x03
_ASKED_FOR_FAILURE = 0x02
_ADDRESS_OCTETS = 20

_MSISDN = regex(r"\+?(\d{7,15})", ASCII).fullmatch
_SHORT_CODE = regex(r"\d{1,6}", ASCII).fullmatch


def is_asked_for(registered_delivery: int, final: Final) -> bool:
    """Whether a receipt was asked for (SMPP 3.4, 5.2.17): for any end, or for failure only."""
    asked = registered_delivery & _ASKED
    return asked == 0x01 or (asked == _ASKED_FOR_FAILURE and final not in {Final.DELIVRD, Final.ACCEPTD})


def receipt_of(submit: Submit, verdict: Verdict, script: Script, done_at: Instant) -> DeliverSm:
    """A receipt as the script writes them: from the one who got the message, to the one who sent it."""
    message_id = id_in_receipt(submit.message_id, script)
    in_text = script.receipt_form is not ReceiptForm.TLV
    return DeliverSm(
        source_addr_ton=submit.destination_ton,
        source_addr_npi=submit.destination_npi,
        source_addr=submit.destination[:_ADDRESS_OCTETS],  # a data_sm may have longer ones
        dest_addr_ton=submit.source_ton,
        dest_addr_npi=submit.source_npi,
        destination_addr=submit.source[:_ADDRESS_OCTETS],
        esm_class=RECEIPT,
        short_message=_receipt_text(message_id, submit, verdict, done_at) if in_text else b"",
        tlvs=() if script.receipt_form is ReceiptForm.TEXT else _receipt_tlvs(message_id, verdict),
    )


def id_in_receipt(message_id: str, script: Script) -> str:
    """How a receipt calls a message that was answered with this id."""
    match script.receipt_id:
        case ReceiptId.SAME:
            return message_id
        case ReceiptId.UPPER:
            return message_id.upper()
        case ReceiptId.ZEROS:
            return f"00{message_id}"
        case ReceiptId.DECIMAL:
            return str(_number(message_id, script))
        case ReceiptId.HEX:
            return f"{_number(message_id, script):x}"


def _number(message_id: str, script: Script) -> int:
    return int(message_id, 16 if script.id_form is IdForm.HEX else 10)


def _receipt_text(message_id: str, submit: Submit, verdict: Verdict, done_at: Instant) -> bytes:
    delivered = 1 if verdict.final is Final.DELIVRD else 0
    text = submit.text[:_TEXT_REPEATED]
    said = (
        f"id:{message_id} sub:001 dlvrd:{delivered:03d} submit date:{_date(submit.at)} done date:{_date(done_at)} "
        f"stat:{verdict.final.value} err:{verdict.error:03d} text:{text}"
    )
    return said.encode("ascii", "replace")


def _receipt_tlvs(message_id: str, verdict: Verdict) -> Tlvs:
    tlvs: list[Tlv] = [
        tlv_of_text(Tag.RECEIPTED_MESSAGE_ID, message_id),
        tlv_of_number(Tag.MESSAGE_STATE, verdict.final.state),
    ]
    if verdict.error:
        tlvs.append((Tag.NETWORK_ERROR_CODE, bytes([Network.GSM]) + verdict.error.to_bytes(2, "big")))
    return tuple(tlvs)


def _date(moment: Instant) -> str:
    return datetime.fromtimestamp(moment // SECOND, UTC).strftime("%y%m%d%H%M")


def final_date(moment: Instant) -> str:
    """As a query_sm_resp has it (SMPP 3.4, 7.1.1)."""
    tenths = moment % SECOND * 10 // SECOND
    return datetime.fromtimestamp(moment // SECOND, UTC).strftime("%y%m%d%H%M%S") + f"{tenths}00+"


def message_of(
    source: str, destination: str, text: str, reference: int, *, ucs2: bool = False, sar: bool = False
) -> list[DeliverSm]:
    """The parts of a message from a handset, in order, under a header of 8 bits or, with `sar`, parameters.

    What GSM-7 cannot write goes as UCS-2. Raises `TooLong`.
    """
    asked = RequestedEncoding.UCS2 if ucs2 else RequestedEncoding.AUTO
    manner = Manner(LongMessages.SAR if sar else LongMessages.UDH8)
    return [_part(source, destination, part) for part in divide(encode_text(text, asked, False), manner, reference)]


def _part(source: str, destination: str, part: Part) -> DeliverSm:
    source_ton, source_npi, source_addr = address_of(source)
    dest_ton, dest_npi, destination_addr = address_of(destination)
    return DeliverSm(
        source_addr_ton=source_ton,
        source_addr_npi=source_npi,
        source_addr=source_addr,
        dest_addr_ton=dest_ton,
        dest_addr_npi=dest_npi,
        destination_addr=destination_addr,
        esm_class=part.esm_class,
        data_coding=part.data_coding,
        short_message=part.short_message,
        tlvs=_sar_tlvs(part),
    )


def _sar_tlvs(part: Part) -> Tlvs:
    if part.sar is None:
        return ()
    return (
        tlv_of_number(Tag.SAR_MSG_REF_NUM, part.sar.reference),
        tlv_of_number(Tag.SAR_TOTAL_SEGMENTS, part.sar.total),
        tlv_of_number(Tag.SAR_SEGMENT_SEQNUM, part.sar.number),
    )


def address_of(address: str) -> tuple[int, int, str]:
    """Type, plan and digits, as carriers write them: numbers without the plus (SMPP 3.4, 5.2.5 and 5.2.6)."""
    if number := _MSISDN(address):
        return Ton.INTERNATIONAL, Npi.ISDN, number[1]
    if _SHORT_CODE(address):
        return Ton.NETWORK_SPECIFIC, Npi.UNKNOWN, address
    return Ton.ALPHANUMERIC, Npi.UNKNOWN, address
