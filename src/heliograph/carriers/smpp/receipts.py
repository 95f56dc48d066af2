"""Delivery receipts: what a carrier says of a message, in its words and in ours.

    deliver_sm --read--> Report: whose, what became of it, why, when

SMPP gives a receipt two forms, and carriers send either or both: parameters of their own (SMPP 3.4, 5.3.2.12, 5.3.2.31,
5.3.2.35) and a text (appendix B), whose form is "SMSC vendor specific": fields in another order or case, left out,
dates of 10 to 16 places, words cut to seven letters or not. Where both speak, the parameters win.

    id:IIIIIIIIII sub:SSS dlvrd:DDD submit date:YYMMDDhhmm done date:YYMMDDhhmm stat:DDDDDDD err:E text: . . .
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import IntEnum
from functools import lru_cache
from re import ASCII, IGNORECASE
from re import compile as regex

import msgspec

from heliograph.carriers.smpp.assembly import split_header
from heliograph.carriers.smpp.encoding import AS_SPECIFIED, Alphabet, Meanings, alphabet_of, decode
from heliograph.carriers.smpp.parts import UDHI
from heliograph.domain.errors import Code
from heliograph.domain.instant import DAY, SECOND, Instant
from heliograph.domain.lifecycle import Change
from heliograph.domain.message import DeliveryError
from heliograph.domain.outcome import delivery_error

# SMPP 3.4, 5.2.12: bits 2 to 5 of esm_class.
_TYPE = 0x3C
_RECEIPT = 0x04
_INTERMEDIATE = 0x20


class State(IntEnum):
    """Values of `message_state` (SMPP 3.4, 5.2.28; 0 and 9 are of SMPP 5.0, 4.7.15)."""

    SCHEDULED = 0
    ENROUTE = 1
    DELIVERED = 2
    EXPIRED = 3
    DELETED = 4
    UNDELIVERABLE = 5
    ACCEPTED = 6
    UNKNOWN = 7
    REJECTED = 8
    SKIPPED = 9


_CHANGES = {
    State.DELIVERED: Change.DELIVER,
    State.EXPIRED: Change.FAIL,
    State.DELETED: Change.FAIL,
    State.UNDELIVERABLE: Change.FAIL,
    State.REJECTED: Change.FAIL,
    State.SKIPPED: Change.FAIL,
}
"""The others are not the end. `UNKNOWN` neither: the carrier does not know, so we do not say that it failed."""

# Appendix B has words of seven letters. Some carriers write them in full, and the last ones are of Kannel's table, of
# receipts that a user of Jasmin showed (jasmin#447), and of a log that was published with them (EXP-MSG-Q-EXD).
_WORDS = {
    State.SCHEDULED: "SCHEDULED",
    State.ENROUTE: "ENROUTE BUFFERED BUFFERD BUFFRED",
    State.DELIVERED: "DELIVRD DELIVERED",
    State.EXPIRED: "EXPIRED EXP-MSG-Q-EXD",
    State.DELETED: "DELETED",
    State.UNDELIVERABLE: "UNDELIV UNDELIVERABLE UNDELIVERED FAILED",
    State.ACCEPTED: "ACCEPTD ACCEPTED ACKED",
    State.UNKNOWN: "UNKNOWN",
    State.REJECTED: "REJECTD REJECTED",
    State.SKIPPED: "SKIPPED",
}
_STATES = {word: state for state, words in _WORDS.items() for word in words.split()}


class Network(IntEnum):
    """First octet of `network_error_code` (SMPP 3.4, 5.3.2.31)."""

    ANSI_136 = 1
    IS_95 = 2
    GSM = 3


class Reason(msgspec.Struct, frozen=True):
    """What an error number of a carrier means; `code` is one of Contract 2.5."""

    code: Code
    meaning: str


Reasons = Mapping[int, Reason]


def _reasons(code: Code, meanings: Mapping[int, str]) -> dict[int, Reason]:
    return {number: Reason(code, meaning) for number, meaning in meanings.items()}


COMMON_REASONS: Reasons = (
    _reasons(
        Code.INVALID_DESTINATION,
        {1: "unknown subscriber", 2: "unknown subscriber", 5: "unidentified subscriber", 9: "illegal subscriber"},
    )
    | _reasons(
        Code.NOT_ROUTABLE,
        {
            11: "its line has no text messages",
            12: "illegal equipment",
            15: "closed user group",
            21: "its network has no text messages",
            22: "its exchange has no text messages",
        },
    )
    | _reasons(Code.REJECTED_BY_DESTINATION, {13: "barred from receiving", 46: "message class not supported"})
    | _reasons(
        Code.SERVER_UNAVAILABLE,
        {34: "system failure of its network", 35: "data missing in its network", 36: "unexpected data in its network"},
    )
    | _reasons(
        Code.UNDELIVERABLE,
        {
            6: "absent subscriber",
            27: "absent subscriber",
            31: "handset busy",
            32: "handset could not take it",
            33: "message waiting list full",
            40: "handset memory full",
            41: "protocol error of the handset",
            42: "handset without text messages",
            49: "SIM card full",
            52: "handset memory full",
            60: "absent subscriber",
            61: "handset switched off",
        },
    )
)
"""Numbers that most carriers take from the GSM network (3GPP TS 29.002, 17.6.6), and the list after 40 that spread with
them. A carrier is free to number differently (SMPP 3.4, appendix B): then it is given its own."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One receipt as it was read. What it does not tell is None or empty."""

    ids: tuple[str, ...]
    """The carrier's id of the message, as given: of the parameter, then of the text, where they differ."""
    change: Change | None
    """`DELIVER` or `FAIL`; None where nothing is decided yet, or the receipt cannot be read."""
    state: State | None
    stat: str = ""
    """The carrier's word for it, as given."""
    err: str = ""
    """The carrier's number for the reason, as given in the text."""
    network: int | None = None
    """Of `network_error_code`: see `Network`."""
    network_error: int | None = None
    error: DeliveryError | None = None
    """There for `FAIL`, and only then."""
    done_at: Instant | None = None
    text: str = ""
    """The beginning of the message, where the carrier repeats it."""


def is_receipt(esm_class: int, receipted_message_id: bytes | None = None, message_state: int | None = None) -> bool:
    """Whether a `deliver_sm` is about a message of ours, and not a message to us.

    Some carriers forget to say so in `esm_class`. Then both parameters must be there: what stands in the text alone,
    any handset can write.
    """
    return bool(esm_class & _TYPE) or (bool(receipted_message_id) and message_state is not None)


def read(
    octets: bytes,
    *,
    esm_class: int = _RECEIPT,
    data_coding: int = 0,
    receipted_message_id: bytes | None = None,
    message_state: int | None = None,
    network_error_code: bytes | None = None,
    meanings: Meanings = AS_SPECIFIED,
    reasons: Reasons = COMMON_REASONS,
    zone: tzinfo = UTC,
) -> Report:
    """Read a receipt: its text (`short_message` or `message_payload`) and its parameters, as they stand in the PDU.

    `zone` is that of the carrier's clock, for dates that do not tell theirs. Nothing is raised: what cannot be read is
    left out, and the report of a text that is no receipt has no `ids`.
    """
    body = split_header(octets)[1] if esm_class & UDHI else octets
    alphabet = alphabet_of(data_coding, meanings)
    # The fields are ASCII with nearly everybody, whatever `data_coding` says; a few write all of it as it says.
    tries = (octets, decode(body, alphabet).encode("latin-1", "replace"))
    fields = next((found for each in tries if (found := _fields(each)).keys() & {b"id", b"stat"}), {})
    stat, done_date = _stat(fields)
    state = _state(message_state, stat)
    network, network_error = _network_error(network_error_code)
    err = _word(fields, b"err")
    number, reason = _reason(network, network_error, err, reasons)
    change = None if state is None else _CHANGES.get(state)
    if esm_class & _TYPE == _INTERMEDIATE and change is not Change.DELIVER:
        change = None  # the carrier goes on trying
    return Report(
        ids=_ids(receipted_message_id, fields),
        change=change,
        state=state,
        stat=stat,
        err=err,
        network=network,
        network_error=network_error,
        error=_error(state, stat, number, reason) if state and change is Change.FAIL else None,
        done_at=_instant(done_date, zone),
        text=decode(fields.get(b"text", b""), alphabet),
    )


def read_state(
    message_id: str,
    message_state: int,
    *,
    final_date: str = "",
    error_code: int = 0,
    reasons: Reasons = COMMON_REASONS,
    zone: tzinfo = UTC,
) -> Report:
    """Read the answer to a `query_sm` (SMPP 3.4, 4.8.2) as if it were a receipt for that id."""
    state = _state(message_state, "")
    change = None if state is None else _CHANGES.get(state)
    number, reason = _reason(None, error_code, "", reasons)
    return Report(
        ids=(message_id,),
        change=change,
        state=state,
        error=_error(state, "", number, reason) if state and change is Change.FAIL else None,
        done_at=_instant(final_date, zone),
    )


# Reading the text

_fields_of = regex(
    rb"(?<![A-Za-z0-9])(id|sub|dlvrd|submit[ _]?date|done[ _]?date|stat(?:us|e)?|err(?:or)?|text)[ \t]*:", IGNORECASE
)
_AROUND = b" \t\r\n\0,;"
_NAMES = {b"status": b"stat", b"state": b"stat", b"error": b"err"}


def _fields(octets: bytes) -> dict[bytes, bytes]:
    """Values by name. The text ends them: what looks like a field in it was written by whoever sent the message."""
    found: dict[bytes, bytes] = {}
    name, start = b"", 0
    for match in _fields_of.finditer(octets):
        if name:
            found.setdefault(name, octets[start : match.start()].strip(_AROUND))
        plain = match[1].lower().replace(b" ", b"").replace(b"_", b"")
        name, start = _NAMES.get(plain, plain), match.end()
        if name == b"text":
            break
    if name:
        found.setdefault(name, octets[start:].strip(_AROUND))
    return found


def _word(fields: Mapping[bytes, bytes], name: bytes) -> str:
    words = fields.get(name, b"").split(None, 1)
    return decode(words[0], Alphabet.LATIN1) if words else ""


def _stat(fields: Mapping[bytes, bytes]) -> tuple[str, str]:
    """The word of the state and the done date; one carrier writes the word behind the date, without a name."""
    words = decode(fields.get(b"donedate", b""), Alphabet.LATIN1).split()
    stat = _word(fields, b"stat")
    if not stat and words and words[-1].upper() in _STATES:
        stat = words.pop()
    return stat, " ".join(words)


def _ids(receipted_message_id: bytes | None, fields: Mapping[bytes, bytes]) -> tuple[str, ...]:
    words = fields.get(b"id", b"").split(None, 1)
    found = [(receipted_message_id or b"").strip(b" \0"), words[0] if words else b""]
    return tuple(dict.fromkeys(_id(each) for each in found if each))


def _id(octets: bytes) -> str:
    # `_` and `@` of the GSM alphabet are control characters in ASCII, so an id that has them is not ASCII.
    return decode(octets, Alphabet.GSM7 if min(octets) < 0x20 else Alphabet.LATIN1)


# From the carrier's words to ours


def _state(message_state: int | None, stat: str) -> State | None:
    if message_state is not None and message_state in State.__members__.values():
        return State(message_state)
    return _STATES.get(stat.upper())


def _network_error(octets: bytes | None) -> tuple[int | None, int | None]:
    """Network and number. Some carriers put the three digits of `err` there instead, which tells no network."""
    if octets is None or len(octets) != 3:
        return None, None
    if octets.isdigit():
        return None, int(octets)
    return octets[0], octets[1] << 8 | octets[2]


def _reason(network: int | None, network_error: int | None, err: str, reasons: Reasons) -> tuple[str, Reason | None]:
    """The number to show, and what it means: of the parameter if it is the GSM network's, else of the text."""
    numbers = [str(network_error)] if network_error and network in {None, Network.GSM} else []
    if _decimal(err) and int(err):
        numbers.append(err)
    for number in numbers:
        if reason := reasons.get(int(number)):
            return number, reason
    return numbers[0] if numbers else (err if err.strip("0") else ""), None


_WHY = {
    State.EXPIRED: Reason(Code.EXPIRED_ON_ITS_WAY, "it could not be delivered within its validity"),
    State.DELETED: Reason(Code.UNDELIVERABLE, "it was deleted"),
    State.UNDELIVERABLE: Reason(Code.UNDELIVERABLE, "it cannot be delivered"),
    State.REJECTED: Reason(Code.REJECTED_BY_DESTINATION, "it was rejected"),
    State.SKIPPED: Reason(Code.UNDELIVERABLE, "it was skipped"),
}


def _error(state: State, stat: str, number: str, reason: Reason | None) -> DeliveryError:
    """The code of the number if that is known, else of the state. What expired stays expired, whatever held it up."""
    told = f"The carrier reports {stat or state.name}" + (f", error {number}" if number else "")
    why = reason or _WHY[state]
    code = _WHY[state].code if state is State.EXPIRED else why.code
    return delivery_error(code, f"{told}: {why.meaning}.")


# Dates

_decimal = regex(r"\d{1,40}", ASCII).fullmatch
_separated = regex(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?", ASCII).fullmatch
_absolute = regex(r"(\d{12})(\d)(\d\d)([+-])", ASCII).fullmatch
_FORMATS = {
    10: ("%y%m%d%H%M",),
    12: ("%y%m%d%H%M%S", "%Y%m%d%H%M"),
    14: ("%Y%m%d%H%M%S",),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=1024)
def _instant(date: str, zone: tzinfo) -> Instant | None:
    """A date of a receipt; None for zeros and for what is no date.

    Dates of whole minutes are mostly the same: remembered they cost 1 us, and read 20.
    """
    if _separated(date):
        date = date.translate(str.maketrans("", "", "-T: "))
    if found := _absolute(date):  # SMPP 3.4, 7.1.1: tenths of a second, then the offset in quarters of an hour
        date = found[1]
        quarters = int(found[3]) * (1 if found[4] == "+" else -1)
        zone = timezone(timedelta(minutes=15 * quarters)) if abs(quarters) < 96 else zone
    if not _decimal(date):
        return None
    for form in _FORMATS.get(len(date), ()):
        try:
            moment = datetime.strptime(date, form).replace(tzinfo=zone)
        except ValueError:
            continue
        elapsed = moment - _EPOCH
        return Instant(elapsed.days * DAY + elapsed.seconds * SECOND)
    return None
