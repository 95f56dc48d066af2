"""What an SMSC was given, kept as evidence: one JSON line for each submit, on disk before its answer leaves.

A message was taken if, and only if, a whole line says so. A line that a crash cut off is of a submit that nobody got an
answer to: the next run ends it where it stands and begins a new one, and `submits_in` leaves it out.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from heliograph.carriers.smpp.assembly import read_piece
from heliograph.carriers.smpp.encoding import decode
from heliograph.carriers.smpp.parts import Sar
from heliograph.carriers.smpp.pdu import DataSm, SubmitSm, Tag, Tlvs, find, find_number
from heliograph.carriers.smpp.smsc_script import Answer, Verdict
from heliograph.domain.instant import Instant


class Submit(msgspec.Struct, frozen=True, kw_only=True):
    """One submit_sm or data_sm that was read, and what was decided of it. Octets are in hexadecimal."""

    at: Instant
    """When it was read."""
    command: str
    link: int
    """Links are numbered from 1 as they come."""
    system_id: str
    sequence: int
    source: str
    source_ton: int
    source_npi: int
    destination: str
    destination_ton: int
    destination_npi: int
    esm_class: int
    data_coding: int
    registered_delivery: int
    validity_period: str
    text: str
    """Without its header."""
    number: int
    """Of this part, from 1; of `total`, under `reference`."""
    total: int
    reference: int
    short_message: str
    message_payload: str | None
    user_message_reference: int | None
    taken: bool
    """It is delivered, whatever its sender gets to know."""
    status: int
    answer: Answer
    message_id: str
    """Empty for one that was not taken."""


def text_of(body: SubmitSm | DataSm) -> tuple[str, Sar]:
    """The text of a submit without its header, and its place among the parts; every body has both."""
    short, payload = octets_of(body)
    piece = read_piece(
        short or payload or b"", esm_class=body.esm_class, data_coding=body.data_coding, sar=sar_of(body.tlvs)
    )
    return decode(piece.octets, piece.alphabet), Sar(piece.reference, piece.total, piece.number)


def octets_of(body: SubmitSm | DataSm) -> tuple[bytes, bytes | None]:
    """short_message and message_payload."""
    short = body.short_message if isinstance(body, SubmitSm) else b""
    return short, find(body.tlvs, Tag.MESSAGE_PAYLOAD)


def sar_of(tlvs: Tlvs) -> Sar | None:
    """What the three parameters for parts say, if all are there."""
    reference = find_number(tlvs, Tag.SAR_MSG_REF_NUM)
    total = find_number(tlvs, Tag.SAR_TOTAL_SEGMENTS)
    number = find_number(tlvs, Tag.SAR_SEGMENT_SEQNUM)
    return None if reference is None or total is None or number is None else Sar(reference, total, number)


class Where(msgspec.Struct, frozen=True):
    """How a submit came."""

    link: int
    system_id: str
    sequence: int
    at: Instant


def submit_of(
    body: SubmitSm | DataSm, where: Where, text: tuple[str, Sar], verdict: Verdict, message_id: str
) -> Submit:
    """The evidence of a submit; `text` is what `text_of` found."""
    short, payload = octets_of(body)
    return Submit(
        at=where.at,
        command="submit_sm" if isinstance(body, SubmitSm) else "data_sm",
        link=where.link,
        system_id=where.system_id,
        sequence=where.sequence,
        source=body.source_addr,
        source_ton=body.source_addr_ton,
        source_npi=body.source_addr_npi,
        destination=body.destination_addr,
        destination_ton=body.dest_addr_ton,
        destination_npi=body.dest_addr_npi,
        esm_class=body.esm_class,
        data_coding=body.data_coding,
        registered_delivery=body.registered_delivery,
        validity_period=body.validity_period if isinstance(body, SubmitSm) else "",
        text=text[0],
        number=text[1].number,
        total=text[1].total,
        reference=text[1].reference,
        short_message=short.hex(),
        message_payload=None if payload is None else payload.hex(),
        user_message_reference=find_number(body.tlvs, Tag.USER_MESSAGE_REFERENCE),
        taken=verdict.taken,
        status=verdict.status,
        answer=verdict.answer,
        message_id=message_id,
    )


class Record:
    """A file of submits that only grows."""

    def __init__(self, path: Path) -> None:
        """Open it, or make it. Raises `OSError`."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            self._write(b"\n")
        # The name of a new file has to survive as well.
        os.fsync(self._file)
        _sync_folder(path.absolute().parent)

    def append(self, submits: Sequence[Submit]) -> None:
        """Return when they are on disk. Raises `OSError`; then nobody can know, and nothing is to be answered."""
        self._write(b"".join([msgspec.json.encode(each) + b"\n" for each in submits]))
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._file, left) :]


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def submits_in(path: Path) -> Iterator[Submit]:
    """What a record holds, in the order of reading; also while it grows. Raises `OSError`."""
    with path.open("rb") as file:
        for line in file:
            with suppress(msgspec.DecodeError):
                yield msgspec.json.decode(line, type=Submit)
