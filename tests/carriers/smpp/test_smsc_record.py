"""The evidence: what a line holds, and what is left of a file that a crash cut off."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.carriers.smpp.parts import Sar, header
from heliograph.carriers.smpp.pdu import DataSm, SubmitSm, Tag, tlv_of_number
from heliograph.carriers.smpp.smsc_record import Record, Submit, Where, submit_of, submits_in, text_of
from heliograph.carriers.smpp.smsc_script import Answer, Verdict
from heliograph.domain.instant import Instant

WHERE = Where(3, "me", 9, Instant(1_795_555_452_427_775))
TAKEN = Verdict(Answer.NOW, 0, taken=True)


def submit(body: SubmitSm | DataSm, message_id: str = "m1") -> Submit:
    """One that was taken."""
    return submit_of(body, WHERE, text_of(body), TAKEN, message_id)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "record"


def write(path: Path, *submits: Submit) -> None:
    record = Record(path)
    record.append(submits)
    record.close()


def test_a_line_is_json_with_everything_in_it(path: Path) -> None:
    body = SubmitSm(source_addr="1", source_addr_ton=5, destination_addr="2", dest_addr_npi=1, short_message=b"h\xe9")
    write(path, submit(body))
    assert json.loads(path.read_text()) == {
        "at": 1_795_555_452_427_775,
        "command": "submit_sm",
        "link": 3,
        "system_id": "me",
        "sequence": 9,
        "source": "1",
        "source_ton": 5,
        "source_npi": 0,
        "destination": "2",
        "destination_ton": 0,
        "destination_npi": 1,
        "esm_class": 0,
        "data_coding": 0,
        "registered_delivery": 0,
        "validity_period": "",
        "text": "h\ufffd",
        "number": 1,
        "total": 1,
        "reference": 0,
        "short_message": "68e9",
        "message_payload": None,
        "user_message_reference": None,
        "taken": True,
        "status": 0,
        "answer": "now",
        "message_id": "m1",
    }


def test_what_is_written_is_read(path: Path) -> None:
    submits = [submit(SubmitSm(short_message=b"hi"), str(number)) for number in range(3)]
    write(path, *submits)
    assert list(submits_in(path)) == submits


def test_a_part_says_its_place_by_its_header() -> None:
    body = SubmitSm(esm_class=0x40, short_message=header(8, Sar(7, 3, 2)) + b"part")
    found = submit(body)
    assert (found.text, found.reference, found.total, found.number) == ("part", 7, 3, 2)


def test_a_part_says_its_place_by_parameters() -> None:
    tags = {Tag.SAR_MSG_REF_NUM: 7, Tag.SAR_TOTAL_SEGMENTS: 3, Tag.SAR_SEGMENT_SEQNUM: 2}
    body = SubmitSm(short_message=b"part", tlvs=tuple(tlv_of_number(tag, number) for tag, number in tags.items()))
    found = submit(body)
    assert (found.text, found.reference, found.total, found.number) == ("part", 7, 3, 2)


def test_a_payload_is_text_too() -> None:
    found = submit(DataSm(tlvs=((Tag.MESSAGE_PAYLOAD, b"long"),)))
    assert (found.text, found.short_message, found.message_payload) == ("long", "", b"long".hex())


def test_it_is_on_disk_before_it_counts_as_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_size))
    record = Record(path)
    synced.clear()
    record.append([submit(SubmitSm(), "1"), submit(SubmitSm(), "2")])
    assert synced == [path.stat().st_size]
    record.close()


def test_a_record_only_grows(path: Path) -> None:
    for number in range(3):
        write(path, submit(SubmitSm(), str(number)))
    assert [each.message_id for each in submits_in(path)] == ["0", "1", "2"]


@pytest.mark.parametrize("kept", [1, 50, 300])
def test_a_line_that_was_cut_off_is_ended_and_left_out(path: Path, kept: int) -> None:
    write(path, submit(SubmitSm(), "1"), submit(SubmitSm(), "2"))
    whole = len(path.read_bytes()) // 2
    os.truncate(path, whole + kept)
    assert [each.message_id for each in submits_in(path)] == ["1"]
    write(path, submit(SubmitSm(), "3"))
    assert [each.message_id for each in submits_in(path)] == ["1", "3"]


def test_a_line_that_lacks_its_end_alone_is_whole(path: Path) -> None:
    write(path, submit(SubmitSm(), "1"))
    os.truncate(path, path.stat().st_size - 1)
    before = list(submits_in(path))
    write(path, submit(SubmitSm(), "2"))
    assert [each.message_id for each in submits_in(path)] == [before[0].message_id, "2"]


def test_a_file_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Record(tmp_path / "no" / "record")


@given(
    st.binary(max_size=254),
    st.integers(0, 255),
    st.integers(0, 255),
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=9)), max_size=4),
)
def test_whatever_was_submitted_can_be_written_down(
    tmp_path_factory: pytest.TempPathFactory,
    octets: bytes,
    esm_class: int,
    data_coding: int,
    tlvs: list[tuple[int, bytes]],
) -> None:
    body = SubmitSm(
        source_addr="\xe9\x01", esm_class=esm_class, data_coding=data_coding, short_message=octets, tlvs=tuple(tlvs)
    )
    path = tmp_path_factory.mktemp("any") / "record"
    write(path, submit(body))
    assert list(submits_in(path)) == [submit(body)]
