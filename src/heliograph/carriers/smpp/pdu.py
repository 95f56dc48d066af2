"""SMPP 3.4 on the wire: PDUs to bytes, and bytes of any kind to PDUs or to a finding that can be answered.

    bytes -> Decoder.feed -> Pdu            a body, its sequence number and its command_status
                             Malformed      one PDU cannot be read; those after it can
                             FramingError   where the next PDU begins is lost: nothing more comes from this decoder

Sections (S.) are those of the SMPP Protocol Specification v3.4, issue 1.2. Text is one byte a character, Latin-1, which
is ASCII as S. 3.1 wants it and loses nothing when a peer sends other bytes. An optional parameter of a wrong length is
kept as it came and its readers answer None: a spoilt extra must not cost the receipt that carries it.
"""

from collections.abc import Iterator, Mapping
from enum import IntEnum
from struct import Struct as Packer
from struct import error as PackingError  # noqa: N812  it is an exception, and is named as one

from msgspec import Struct

from heliograph.carriers.smpp.fields import (
    ADDRESS_RANGE_SIZE,
    ADDRESS_SIZE,
    LONG_ADDRESS_SIZE,
    MESSAGE_ID_SIZE,
    PASSWORD_SIZE,
    SERVICE_TYPE_SIZE,
    SYSTEM_ID_SIZE,
    SYSTEM_TYPE_SIZE,
    Bytes,
    Counted,
    Field,
    Text,
    Time,
    Unencodable,
    Unreadable,
)
from heliograph.carriers.smpp.status import Status

HEADER_SIZE = 16
MAX_COMMAND_LENGTH = 1 << 17
"""The specification sets no bound. A message_payload is at most 64 KiB (S. 5.3.2.32); this leaves as much again."""
MAX_SEQUENCE = 0x7FFFFFFF
RESPONSE_BIT = 0x80000000

TLV_VALUE_SIZE = 0xFFFF

_HEADER = Packer(">IIII")
_LENGTH = Packer(">I")
_TLV = Packer(">HH")

Tlv = tuple[int, bytes]
Tlvs = tuple[Tlv, ...]


class Ton(IntEnum):
    """Type of number (S. 5.2.5)."""

    UNKNOWN = 0
    INTERNATIONAL = 1
    NATIONAL = 2
    NETWORK_SPECIFIC = 3
    SUBSCRIBER = 4
    ALPHANUMERIC = 5
    ABBREVIATED = 6


class Npi(IntEnum):
    """Numbering plan (S. 5.2.6), as far as numbers of people have one."""

    UNKNOWN = 0
    ISDN = 1
    NATIONAL = 8
    PRIVATE = 9


class Tag(IntEnum):
    """Optional parameters this house reads or writes (S. 5.3.2); all others are kept too."""

    RECEIPTED_MESSAGE_ID = 0x001E
    USER_MESSAGE_REFERENCE = 0x0204
    SAR_MSG_REF_NUM = 0x020C
    SAR_TOTAL_SEGMENTS = 0x020E
    SAR_SEGMENT_SEQNUM = 0x020F
    SC_INTERFACE_VERSION = 0x0210
    NETWORK_ERROR_CODE = 0x0423
    MESSAGE_PAYLOAD = 0x0424
    MORE_MESSAGES_TO_SEND = 0x0426
    MESSAGE_STATE = 0x0427


_TLV_SIZES: Mapping[int, int] = {
    Tag.USER_MESSAGE_REFERENCE: 2,
    Tag.SAR_MSG_REF_NUM: 2,
    Tag.SAR_TOTAL_SEGMENTS: 1,
    Tag.SAR_SEGMENT_SEQNUM: 1,
    Tag.SC_INTERFACE_VERSION: 1,
    Tag.NETWORK_ERROR_CODE: 3,
    Tag.MORE_MESSAGES_TO_SEND: 1,
    Tag.MESSAGE_STATE: 1,
}


# -------------------------------------------------------------------------------------------------------------- bodies


class Body(Struct, frozen=True, kw_only=True):
    """What follows the header; the optional parameters in the order they came, repeats included."""

    tlvs: Tlvs = ()


def _without_password(body: Body, system_id: str) -> str:
    return f"{type(body).__name__}(system_id={system_id!r})"


class _Bind(Body, frozen=True):
    system_id: str
    password: str
    system_type: str = ""
    interface_version: int = 0x34
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""

    def __repr__(self) -> str:
        return _without_password(self, self.system_id)


class BindReceiver(_Bind, frozen=True):
    """S. 4.1.3."""


class BindTransmitter(_Bind, frozen=True):
    """S. 4.1.1."""


class BindTransceiver(_Bind, frozen=True):
    """S. 4.1.5."""


class _BindResp(Body, frozen=True):
    system_id: str = ""


class BindReceiverResp(_BindResp, frozen=True):
    """S. 4.1.4."""


class BindTransmitterResp(_BindResp, frozen=True):
    """S. 4.1.2."""


class BindTransceiverResp(_BindResp, frozen=True):
    """S. 4.1.6."""


class Outbind(Body, frozen=True):
    """S. 4.1.7: the peer asks to be bound to."""

    system_id: str
    password: str

    def __repr__(self) -> str:
        return _without_password(self, self.system_id)


class Unbind(Body, frozen=True):
    """S. 4.2.1."""


class UnbindResp(Body, frozen=True):
    """S. 4.2.2."""


class GenericNack(Body, frozen=True):
    """S. 4.3.1: the request could not be read."""


class _ShortMessage(Body, frozen=True):
    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    esm_class: int = 0
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: str = ""
    validity_period: str = ""
    registered_delivery: int = 0
    replace_if_present_flag: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""


class SubmitSm(_ShortMessage, frozen=True):
    """S. 4.4.1."""


class DeliverSm(_ShortMessage, frozen=True):
    """S. 4.6.1: a message, or a receipt."""


class SubmitSmResp(Body, frozen=True):
    """S. 4.4.2."""

    message_id: str = ""


class DeliverSmResp(Body, frozen=True):
    """S. 4.6.2: its message_id is empty."""

    message_id: str = ""


class DataSm(Body, frozen=True):
    """S. 4.7.1: goes either way; the text is in message_payload."""

    service_type: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""
    esm_class: int = 0
    registered_delivery: int = 0
    data_coding: int = 0


class DataSmResp(Body, frozen=True):
    """S. 4.7.2."""

    message_id: str = ""


class QuerySm(Body, frozen=True):
    """S. 4.8.1."""

    message_id: str
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""


class QuerySmResp(Body, frozen=True):
    """S. 4.8.2; the message_state is one of S. 5.2.28, 0 where the answer had no body."""

    message_id: str = ""
    final_date: str = ""
    message_state: int = 0
    error_code: int = 0


class CancelSm(Body, frozen=True):
    """S. 4.9.1."""

    service_type: str = ""
    message_id: str = ""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: str = ""


class CancelSmResp(Body, frozen=True):
    """S. 4.9.2."""


class EnquireLink(Body, frozen=True):
    """S. 4.11.1."""


class EnquireLinkResp(Body, frozen=True):
    """S. 4.11.2."""


class AlertNotification(Body, frozen=True):
    """S. 4.12.1: somebody can be reached again. It has no response."""

    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: str = ""
    esme_addr_ton: int = 0
    esme_addr_npi: int = 0
    esme_addr: str = ""


# ------------------------------------------------------------------------------------------------------------- layouts

_ADDRESSES = (
    Bytes("source_addr_ton", "source_addr_npi"),
    Text("source_addr", ADDRESS_SIZE, Status.RINVSRCADR),
    Bytes("dest_addr_ton", "dest_addr_npi"),
    Text("destination_addr", ADDRESS_SIZE, Status.RINVDSTADR),
)
_SERVICE_TYPE = Text("service_type", SERVICE_TYPE_SIZE, Status.RINVSERTYP)
_SYSTEM_ID = Text("system_id", SYSTEM_ID_SIZE, Status.RINVSYSID)
_PASSWORD = Text("password", PASSWORD_SIZE, Status.RINVPASWD)
_MESSAGE_ID = Text("message_id", MESSAGE_ID_SIZE, Status.RINVMSGID)
_BIND = (
    _SYSTEM_ID,
    _PASSWORD,
    Text("system_type", SYSTEM_TYPE_SIZE, Status.RINVSYSTYP),
    Bytes("interface_version", "addr_ton", "addr_npi"),
    Text("address_range", ADDRESS_RANGE_SIZE, Status.RINVPARLEN),
)
_SHORT_MESSAGE = (
    _SERVICE_TYPE,
    *_ADDRESSES,
    Bytes("esm_class", "protocol_id", "priority_flag"),
    Time("schedule_delivery_time", Status.RINVSCHED),
    Time("validity_period", Status.RINVEXPIRY),
    Bytes("registered_delivery", "replace_if_present_flag", "data_coding", "sm_default_msg_id"),
    Counted(),
)
_DATA = (
    _SERVICE_TYPE,
    Bytes("source_addr_ton", "source_addr_npi"),
    Text("source_addr", LONG_ADDRESS_SIZE, Status.RINVSRCADR),
    Bytes("dest_addr_ton", "dest_addr_npi"),
    Text("destination_addr", LONG_ADDRESS_SIZE, Status.RINVDSTADR),
    Bytes("esm_class", "registered_delivery", "data_coding"),
)
_QUERY_RESP = (_MESSAGE_ID, Time("final_date", Status.RINVPARLEN), Bytes("message_state", "error_code"))
_ALERT = (
    Bytes("source_addr_ton", "source_addr_npi"),
    Text("source_addr", LONG_ADDRESS_SIZE, Status.RINVSRCADR),
    Bytes("esme_addr_ton", "esme_addr_npi"),
    Text("esme_addr", LONG_ADDRESS_SIZE, Status.RINVDSTADR),
)

# command_id (S. 5.1.2.1) and mandatory parameters, in the order of both the wire and the attributes.
_COMMANDS: Mapping[type[Body], tuple[int, tuple[Field, ...]]] = {
    GenericNack: (0x80000000, ()),
    BindReceiver: (0x00000001, _BIND),
    BindReceiverResp: (0x80000001, (_SYSTEM_ID,)),
    BindTransmitter: (0x00000002, _BIND),
    BindTransmitterResp: (0x80000002, (_SYSTEM_ID,)),
    QuerySm: (0x00000003, (_MESSAGE_ID, *_ADDRESSES[:2])),
    QuerySmResp: (0x80000003, _QUERY_RESP),
    SubmitSm: (0x00000004, _SHORT_MESSAGE),
    SubmitSmResp: (0x80000004, (_MESSAGE_ID,)),
    DeliverSm: (0x00000005, _SHORT_MESSAGE),
    DeliverSmResp: (0x80000005, (_MESSAGE_ID,)),
    Unbind: (0x00000006, ()),
    UnbindResp: (0x80000006, ()),
    CancelSm: (0x00000008, (_SERVICE_TYPE, _MESSAGE_ID, *_ADDRESSES)),
    CancelSmResp: (0x80000008, ()),
    BindTransceiver: (0x00000009, _BIND),
    BindTransceiverResp: (0x80000009, (_SYSTEM_ID,)),
    Outbind: (0x0000000B, (_SYSTEM_ID, _PASSWORD)),
    EnquireLink: (0x00000015, ()),
    EnquireLinkResp: (0x80000015, ()),
    AlertNotification: (0x00000102, _ALERT),
    DataSm: (0x00000103, _DATA),
    DataSmResp: (0x80000103, (_MESSAGE_ID,)),
}
BODIES: Mapping[int, type[Body]] = {command: body for body, (command, _) in _COMMANDS.items()}
"""What is known of each command_id."""


def command_id(body: type[Body]) -> int:
    """The command_id of a body."""
    return _COMMANDS[body][0]


def response_to(request: type[Body]) -> type[Body]:
    """The body that answers a request; generic_nack where the specification has none."""
    return BODIES.get(command_id(request) | RESPONSE_BIT, GenericNack)


def is_response(command: int) -> bool:
    """Whether a command_id, known or not, is an answer: an answer is never answered (S. 5.1.2.1)."""
    return bool(command & RESPONSE_BIT)


# ---------------------------------------------------------------------------------------------------------- to the wire


def encode(body: Body, sequence: int, status: int = Status.ROK) -> bytes:
    """A whole PDU. Raises `Unencodable`."""
    return with_header(type(body), encode_body(body), sequence, status)


def encode_body(body: Body) -> bytes:
    """What follows the header, so that it can be judged before it has a sequence number. Raises `Unencodable`."""
    encoded = b"".join([field.put(body) for field in _COMMANDS[type(body)][1]])
    if body.tlvs:
        encoded += b"".join([_put_tlv(tag, value) for tag, value in body.tlvs])
    if len(encoded) > MAX_COMMAND_LENGTH - HEADER_SIZE:
        raise Unencodable(f"the PDU would have {HEADER_SIZE + len(encoded)} bytes; the most is {MAX_COMMAND_LENGTH}")
    return encoded


def with_header(body: type[Body], encoded: bytes, sequence: int, status: int = Status.ROK) -> bytes:
    """A PDU from what `encode_body` gave. Raises `Unencodable` when a number takes more than four bytes."""
    try:
        return _HEADER.pack(HEADER_SIZE + len(encoded), _COMMANDS[body][0], status, sequence) + encoded
    except PackingError as error:
        raise Unencodable("sequence number or status takes more than four bytes") from error


def _put_tlv(tag: int, value: bytes) -> bytes:
    size = _TLV_SIZES.get(tag, len(value))
    if not 0 <= tag <= 0xFFFF:
        raise Unencodable(f"the tag {tag} takes more than two bytes")
    if len(value) != size or size > TLV_VALUE_SIZE:
        raise Unencodable(f"the parameter 0x{tag:04X} has {len(value)} bytes; it has {min(size, TLV_VALUE_SIZE)}")
    return _TLV.pack(tag, len(value)) + value


def tlv_of_number(tag: Tag, number: int) -> Tlv:
    """An optional parameter that is an integer. Raises `Unencodable` when it does not fit the size of the tag."""
    try:
        return tag, number.to_bytes(_TLV_SIZES[tag], "big")
    except (KeyError, OverflowError) as error:
        raise Unencodable(f"{number} is no value of the parameter {tag.name}") from error


def tlv_of_text(tag: Tag, text: str) -> Tlv:
    """An optional parameter that is a C-octet string. Raises `Unencodable`."""
    try:
        return tag, text.encode("latin-1") + b"\0"
    except UnicodeEncodeError as error:
        raise Unencodable(f"the parameter {tag.name} has a character of more than one byte") from error


# -------------------------------------------------------------------------------------------------------- from the wire


def find(tlvs: Tlvs, tag: int) -> bytes | None:
    """The value of the first parameter with a tag."""
    return next((value for each, value in tlvs if each == tag), None)


def find_number(tlvs: Tlvs, tag: Tag) -> int | None:
    """An integer; None where it is missing or its length is not the tag's."""
    value = find(tlvs, tag)
    return int.from_bytes(value, "big") if value is not None and len(value) == _TLV_SIZES.get(tag) else None


def find_text(tlvs: Tlvs, tag: Tag) -> str | None:
    """A C-octet string, also from a peer that forgot the NUL; None where it is missing."""
    value = find(tlvs, tag)
    return None if value is None else value.partition(b"\0")[0].decode("latin-1")


def user_data(body: SubmitSm | DeliverSm | DataSm) -> bytes:
    """The bytes of the message: short_message, or message_payload where that is empty (S. 5.3.2.32)."""
    short = b"" if isinstance(body, DataSm) else body.short_message
    return short or find(body.tlvs, Tag.MESSAGE_PAYLOAD) or b""


class Pdu(Struct, frozen=True):
    """One that was read."""

    sequence: int
    status: int
    body: Body


class Malformed(Struct, frozen=True):
    """One that was not: `answer` is the status that tells its sender why."""

    sequence: int
    status: int
    command: int
    answer: Status
    reason: str


class FramingError(Struct, frozen=True):
    """A command_length that cannot be: a generic_nack with sequence number 0 (S. 4.3.1) is all that is left to say."""

    reason: str
    answer: Status = Status.RINVCMDLEN


Found = Pdu | Malformed | FramingError


class Decoder:
    """Bytes in as the network cuts them, PDUs out. No bytes make it raise or wait for more than one PDU can be."""

    def __init__(self, max_length: int = MAX_COMMAND_LENGTH) -> None:
        self._buffer = bytearray()
        self._max_length = max_length
        self._lost = False

    def feed(self, data: bytes) -> list[Found]:
        """Everything that is complete now. After a `FramingError` nothing comes any more."""
        if self._lost:
            return []
        self._buffer += data
        return list(self._complete())

    def _complete(self) -> Iterator[Found]:
        buffer, at = self._buffer, 0
        while len(buffer) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, at)
            if not HEADER_SIZE <= length <= self._max_length:
                # Judged by the four bytes alone: whoever speaks another protocol need not send as much as they say.
                self._lost = True
                buffer.clear()
                yield FramingError(f"command_length is {length}; it is {HEADER_SIZE} to {self._max_length}")
                return
            if len(buffer) - at < length:
                break
            yield decode(bytes(buffer[at : at + length]))
            at += length
        del buffer[:at]


def decode(data: bytes) -> Pdu | Malformed:
    """One PDU, whose command_length is the length of `data`."""
    _, command, status, sequence = _HEADER.unpack_from(data)
    body = BODIES.get(command)
    if body is None:
        return Malformed(sequence, status, command, Status.RINVCMDID, f"the command_id 0x{command:08X} is not known")
    if len(data) == HEADER_SIZE and is_response(command):
        return Pdu(sequence, status, body())
    try:
        return Pdu(sequence, status, _take_body(body, data))
    except Unreadable as error:
        # S. 4 has no body in most refusals; peers send one NUL, a whole body or anything. The status says it all.
        if status != Status.ROK and is_response(command):
            return Pdu(sequence, status, body())
        return Malformed(sequence, status, command, error.status, error.reason)


def _take_body(body: type[Body], data: bytes) -> Body:
    values: list[object] = []
    at = HEADER_SIZE
    for field in _COMMANDS[body][1]:
        at = field.take(data, at, values)
    return body(*values, tlvs=_take_tlvs(data, at)) if at < len(data) else body(*values)


def _take_tlvs(data: bytes, at: int) -> Tlvs:
    tlvs: list[Tlv] = []
    while at < len(data):
        if at + _TLV.size > len(data):
            raise Unreadable(Status.RINVOPTPARSTREAM, f"{len(data) - at} bytes are left over")
        tag, size = _TLV.unpack_from(data, at)
        at += _TLV.size
        if at + size > len(data):
            raise Unreadable(Status.RINVOPTPARSTREAM, f"the parameter 0x{tag:04X} ends after the PDU")
        tlvs.append((tag, data[at : at + size]))
        at += size
    return tuple(tlvs)
