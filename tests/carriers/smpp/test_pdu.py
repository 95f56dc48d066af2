"""The codec against bytes written by hand, and against every kind of wrong ones."""

import struct

import pytest

from heliograph.carriers.smpp import pdu
from heliograph.carriers.smpp.fields import Unencodable
from heliograph.carriers.smpp.pdu import (
    BindReceiver,
    BindTransceiverResp,
    BindTransmitter,
    BindTransmitterResp,
    Body,
    CancelSm,
    DataSm,
    DataSmResp,
    Decoder,
    DeliverSm,
    EnquireLink,
    FramingError,
    GenericNack,
    Malformed,
    Outbind,
    Pdu,
    QuerySm,
    QuerySmResp,
    SubmitSm,
    SubmitSmResp,
    Tag,
    decode,
    encode,
)
from heliograph.carriers.smpp.status import Kind, Status, kind_of, status_name

BIND = bytes.fromhex(
    "0000002F 00000002 00000000 00000001534D50503354455354 00 7365637265743038 00 5355424D495431 00 34 01 01 00"
)
SUBMIT = bytes.fromhex(
    "0000003C 00000004 00000000 00000005"
    "00 0201 35353500 0101 353535353535353535 00 00 00 00 00 00 01 00 00 00 0F"
    "48656C6C6F2077696B697065646961"
)
MESSAGE = SubmitSm(
    source_addr_ton=2,
    source_addr_npi=1,
    source_addr="555",
    dest_addr_ton=1,
    dest_addr_npi=1,
    destination_addr="555555555",
    registered_delivery=1,
    short_message=b"Hello wikipedia",
)


def raw(command: int, body: bytes = b"", *, status: int = 0, sequence: int = 7) -> bytes:
    """A PDU of any bytes, with the right length."""
    return struct.pack(">IIII", 16 + len(body), command, status, sequence) + body


def malformed(data: bytes) -> Malformed:
    """What is found, which must be one that cannot be read."""
    (found,) = Decoder().feed(data)
    assert isinstance(found, Malformed)
    return found


def read(data: bytes) -> Pdu:
    """What is found, which must be one that can be read."""
    (found,) = Decoder().feed(data)
    assert isinstance(found, Pdu)
    return found


@pytest.mark.parametrize(
    ("body", "sequence", "data"),
    [
        (BindTransmitter("SMPP3TEST", "secret08", "SUBMIT1", addr_ton=1, addr_npi=1), 1, BIND),
        (MESSAGE, 5, SUBMIT),
        (EnquireLink(), 9, raw(0x15, sequence=9)),
        (GenericNack(), 0, raw(0x80000000, sequence=0)),
        (SubmitSmResp("m1", tlvs=((0x1400, b"x"),)), 7, raw(0x80000004, b"m1\x00\x14\x00\x00\x01x")),
        (QuerySmResp("a", "", 2, 9), 7, raw(0x80000003, b"a\x00\x00\x02\x09")),
    ],
)
def test_a_pdu_is_these_bytes_and_back(body: Body, sequence: int, data: bytes) -> None:
    assert encode(body, sequence) == data
    assert read(data) == Pdu(sequence, 0, body)


@pytest.mark.parametrize("command", sorted(pdu.BODIES))
def test_the_fields_on_the_wire_are_the_attributes_in_their_order(command: int) -> None:
    body = pdu.BODIES[command]
    on_wire: list[str] = []
    for field in pdu._COMMANDS[body][1]:
        on_wire += getattr(field, "names", [getattr(field, "name", "short_message")])
    assert on_wire == [name for name in body.__struct_fields__ if name != "tlvs"]


TEXTS = [
    (BindReceiver("", ""), "system_id", 15, Status.RINVSYSID),
    (BindReceiver("", ""), "password", 64, Status.RINVPASWD),
    (BindReceiver("", ""), "system_type", 12, Status.RINVSYSTYP),
    (BindReceiver("", ""), "address_range", 40, Status.RINVPARLEN),
    (SubmitSm(), "service_type", 5, Status.RINVSERTYP),
    (SubmitSm(), "source_addr", 20, Status.RINVSRCADR),
    (DeliverSm(), "destination_addr", 20, Status.RINVDSTADR),
    (DataSm(), "source_addr", 64, Status.RINVSRCADR),
    (DataSm(), "destination_addr", 64, Status.RINVDSTADR),
    (QuerySm(""), "message_id", 64, Status.RINVMSGID),
    (CancelSm(), "source_addr", 20, Status.RINVSRCADR),
    (SubmitSmResp(), "message_id", 64, Status.RINVMSGID),
    (BindTransmitterResp(), "system_id", 15, Status.RINVSYSID),
]


def replaced(body: Body, name: str, value: object) -> Body:
    fields = {each: getattr(body, each) for each in body.__struct_fields__}
    return type(body)(**{**fields, name: value})


@pytest.mark.parametrize(("body", "name", "most", "status"), TEXTS)
def test_a_text_is_as_long_as_its_field_allows_and_no_longer(body: Body, name: str, most: int, status: Status) -> None:
    full = replaced(body, name, "x" * most)
    data = encode(full, 1)
    assert read(data).body == full
    with pytest.raises(Unencodable, match=f"{name} has {most + 1} bytes; the most is {most}"):
        encode(replaced(body, name, "x" * (most + 1)), 1)
    longer = data[16:].replace(b"x" * most, b"x" * (most + 1))
    assert malformed(raw(pdu.command_id(type(body)), longer)).answer is status


@pytest.mark.parametrize("text", ["a\0b", "\N{EURO SIGN}", "\ud800"])
def test_a_text_with_a_nul_or_a_wide_character_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(Unencodable) as refusal:
        encode(BindReceiver("me", text), 1)
    assert "password" in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert text not in str(refusal.value)


def test_bytes_of_a_text_beyond_ascii_survive() -> None:
    data = raw(0x80000004, b"id\xff\x80\x00")
    assert encode(read(data).body, 7) == data


@pytest.mark.parametrize("body", [BindReceiver("me", "secret"), Outbind("me", "secret")])
def test_a_password_is_not_shown(body: Body) -> None:
    assert "secret" not in repr(body)
    assert "secret" not in repr(Pdu(1, 0, body))


@pytest.mark.parametrize("name", ["schedule_delivery_time", "validity_period"])
@pytest.mark.parametrize("length", [1, 15, 17])
def test_a_time_has_no_character_or_sixteen(name: str, length: int) -> None:
    with pytest.raises(Unencodable, match=name):
        encode(replaced(SubmitSm(), name, "0" * length), 1)


@pytest.mark.parametrize(("text", "ok"), [(b"", True), (b"0" * 16, True), (b"0" * 15, False), (b"0" * 17, False)])
def test_a_time_that_comes_is_judged_likewise(text: bytes, ok: bool) -> None:
    found = decode(raw(0x80000003, b"a\0" + text + b"\0\x02\x00"))
    assert isinstance(found, Pdu) is ok


def test_a_short_message_has_up_to_254_bytes() -> None:
    full = SubmitSm(short_message=b"x" * 254)
    assert read(encode(full, 1)).body == full
    with pytest.raises(Unencodable, match="short_message has 255 bytes"):
        encode(SubmitSm(short_message=b"x" * 255), 1)
    too_long = encode(full, 1)[16:].replace(b"\xfe" + b"x" * 254, b"\xff" + b"x" * 255)
    assert malformed(raw(4, too_long)).answer is Status.RINVMSGLEN


@pytest.mark.parametrize("value", [-1, 256])
def test_a_number_that_takes_no_byte_is_refused(value: int) -> None:
    with pytest.raises(Unencodable, match="data_coding"):
        encode(SubmitSm(data_coding=value), 1)


@pytest.mark.parametrize(("sequence", "status"), [(-1, 0), (1 << 32, 0), (1, -1), (1, 1 << 32)])
def test_a_header_of_too_large_numbers_is_refused(sequence: int, status: int) -> None:
    with pytest.raises(Unencodable):
        encode(EnquireLink(), sequence, status)


def test_a_body_that_ends_early_can_be_answered() -> None:
    for end in range(16, len(SUBMIT)):
        cut = raw(4, SUBMIT[16:end], sequence=5)
        found = malformed(cut)
        assert (found.sequence, found.command) == (5, 4)
        assert found.answer is not Status.ROK


def test_an_unknown_command_can_be_answered() -> None:
    found = malformed(raw(0x77, b"whatever", sequence=3))
    assert (found.sequence, found.answer) == (3, Status.RINVCMDID)
    assert not pdu.is_response(found.command)
    assert pdu.is_response(malformed(raw(0x80000077)).command)


@pytest.mark.parametrize("body", [b"", b"\0", b"text without an end", b"\0\x00\x1d\x00\x03abc", b"\0\xff"])
@pytest.mark.parametrize("status", [0x0E, 0x58, 0x410, 0xFFFFFFFF])
@pytest.mark.parametrize("command", [0x80000002, 0x80000004, 0x80000103])
def test_a_refusal_may_have_any_body_and_any_status(command: int, status: int, body: bytes) -> None:
    found = read(raw(command, body, status=status))
    assert (found.status, type(found.body)) == (status, pdu.BODIES[command])


def test_optional_parameters_of_a_refusal_are_kept() -> None:
    found = read(raw(0x80000004, b"\0\x00\x1d\x00\x03abc", status=0x45))
    assert found.body.tlvs == ((0x001D, b"abc"),)


@pytest.mark.parametrize(
    ("command", "body"),
    [(0x80000009, BindTransceiverResp()), (0x80000004, SubmitSmResp()), (0x80000103, DataSmResp())],
)
def test_an_answer_without_a_body_says_yes(command: int, body: Body) -> None:
    assert read(raw(command)).body == body


def test_an_answer_that_says_yes_and_cannot_be_read_is_told_apart() -> None:
    assert malformed(raw(0x80000004, b"no end")).status == 0


def test_optional_parameters_are_kept_in_order_with_repeats_and_unknown_ones() -> None:
    tlvs = ((0x1401, b""), (0x0424, b"long"), (0x1401, b"again"))
    found = read(encode(DeliverSm(tlvs=tlvs), 1)).body
    assert found.tlvs == tlvs
    assert pdu.find(found.tlvs, 0x1401) == b""
    assert pdu.find(found.tlvs, Tag.MESSAGE_STATE) is None


@pytest.mark.parametrize("rest", [b"\x04", b"\x04\x24\x00", b"\x04\x24\x00\x05four", b"\x04\x24\xff\xff"])
def test_an_optional_parameter_that_is_cut_off_can_be_answered(rest: bytes) -> None:
    assert malformed(raw(5, encode(DeliverSm(), 1)[16:] + rest)).answer is Status.RINVOPTPARSTREAM


def test_numbers_and_texts_are_read_from_optional_parameters() -> None:
    tlvs = (pdu.tlv_of_number(Tag.SAR_MSG_REF_NUM, 258), pdu.tlv_of_text(Tag.RECEIPTED_MESSAGE_ID, "m1"))
    assert tlvs == ((0x020C, b"\x01\x02"), (0x001E, b"m1\0"))
    assert pdu.find_number(tlvs, Tag.SAR_MSG_REF_NUM) == 258
    assert pdu.find_text(tlvs, Tag.RECEIPTED_MESSAGE_ID) == "m1"
    assert pdu.find_text(((0x001E, b"m1"),), Tag.RECEIPTED_MESSAGE_ID) == "m1"
    assert pdu.find_text((), Tag.RECEIPTED_MESSAGE_ID) is None


def test_a_spoilt_optional_parameter_costs_itself_only() -> None:
    found = read(raw(5, encode(DeliverSm(source_addr="1"), 1)[16:] + b"\x04\x27\x00\x02\x00\x02"))
    assert pdu.find_number(found.body.tlvs, Tag.MESSAGE_STATE) is None
    assert found.body.tlvs == ((0x0427, b"\0\x02"),)


@pytest.mark.parametrize(
    ("tag", "value"), [(Tag.MESSAGE_STATE, b"\0\0"), (0x0424, b"x" * 65_536), (-1, b""), (1 << 16, b"")]
)
def test_an_optional_parameter_that_does_not_fit_is_refused(tag: int, value: bytes) -> None:
    with pytest.raises(Unencodable):
        encode(SubmitSm(tlvs=((tag, value),)), 1)


def test_values_that_do_not_fit_their_tag_are_refused() -> None:
    for number in (-1, 256):
        with pytest.raises(Unencodable, match="MESSAGE_STATE"):
            pdu.tlv_of_number(Tag.MESSAGE_STATE, number)
    with pytest.raises(Unencodable, match="MESSAGE_PAYLOAD"):
        pdu.tlv_of_number(Tag.MESSAGE_PAYLOAD, 1)
    with pytest.raises(Unencodable, match="RECEIPTED_MESSAGE_ID"):
        pdu.tlv_of_text(Tag.RECEIPTED_MESSAGE_ID, "\N{EURO SIGN}")


def test_a_pdu_longer_than_any_peer_should_take_is_refused() -> None:
    with pytest.raises(Unencodable, match="the most is 131072"):
        encode(SubmitSm(tlvs=((0x1401, b"x" * 65_000),) * 3), 1)


def test_the_text_of_a_message_is_in_either_place() -> None:
    payload = ((Tag.MESSAGE_PAYLOAD, b"long"),)
    assert pdu.user_data(DeliverSm(short_message=b"short")) == b"short"
    assert pdu.user_data(DeliverSm(tlvs=payload)) == b"long"
    assert pdu.user_data(DataSm(tlvs=payload)) == b"long"
    assert pdu.user_data(DataSm()) == b""


@pytest.mark.parametrize("start", [b"\0\0\0\x0f", b"\0\0\0\0", b"HTTP", b"\0\x02\0\x01"])
def test_a_length_that_cannot_be_is_the_end_at_once(start: bytes) -> None:
    decoder = Decoder()
    assert len(decoder.feed(raw(0x15) + start)) == 2
    other = Decoder()
    (found,) = other.feed(start)
    assert isinstance(found, FramingError)
    assert other.feed(raw(0x15)) == []


def test_the_longest_pdu_is_read_and_one_byte_more_is_the_end() -> None:
    longest = EnquireLink(tlvs=((0x1401, b"x" * 65_535), (0x1402, b"x" * 65_513)))
    data = encode(longest, 1)
    assert len(data) == pdu.MAX_COMMAND_LENGTH
    assert read(data).body == longest
    (over,) = Decoder().feed(struct.pack(">I", pdu.MAX_COMMAND_LENGTH + 1))
    assert isinstance(over, FramingError)


def test_what_is_not_complete_waits() -> None:
    decoder = Decoder()
    found = [decoder.feed(SUBMIT[at : at + 1]) for at in range(len(SUBMIT))]
    assert found[:-1] == [[]] * (len(SUBMIT) - 1)
    assert found[-1] == [Pdu(5, 0, MESSAGE)]


@pytest.mark.parametrize(
    ("status", "kind", "name"),
    [
        (0x00, Kind.OK, "ESME_ROK"),
        (0x58, Kind.THROTTLED, "ESME_RTHROTTLED"),
        (0x14, Kind.THROTTLED, "ESME_RMSGQFUL"),
        (0x08, Kind.TEMPORARY, "ESME_RSYSERR"),
        (0x64, Kind.TEMPORARY, "ESME_RX_T_APPN"),
        (0x0B, Kind.PERMANENT, "ESME_RINVDSTADR"),
        (0x0E, Kind.PERMANENT, "ESME_RINVPASWD"),
        (0x66, Kind.PERMANENT, "ESME_RX_R_APPN"),
        (0x410, Kind.TEMPORARY, "0x00000410"),
        (0xFFFFFFFF, Kind.TEMPORARY, "0xFFFFFFFF"),
    ],
)
def test_a_status_has_a_kind_and_a_name(status: int, kind: Kind, name: str) -> None:
    assert (kind_of(status), status_name(status)) == (kind, name)
