"""What a scripted SMSC does with each submit: a script, the numbers that stand for something, and a judge who counts.

    submit --Judge.judge--> verdict: answered how, with what status, and which receipts follow

"Every N" counts all submits that the SMSC reads, over all its links, refused ones included. Where several rules meet in
one submit, the first of these counts: the link is dropped, no answer comes, it is refused, its number is magic.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Struct

from heliograph.carriers.smpp.receipts import State
from heliograph.carriers.smpp.status import Status
from heliograph.domain.instant import SECOND

TRIES_KEPT = 10_000
"""First tries that are remembered, for the numbers at which the second goes better."""
MOST_STATUS = 0xFFFFFFFF
MOST_FIRST_ID = (1 << 63) - 1
MOST_ERROR = 999
"""The field `err` of a receipt has three places (SMPP 3.4, appendix B)."""


class IdForm(StrEnum):
    """How ids of messages are written in answers."""

    HEX = "hex"
    DECIMAL = "decimal"
    UUID = "uuid"


class ReceiptId(StrEnum):
    """How a receipt writes the id that the answer gave."""

    SAME = "same"
    DECIMAL = "decimal"
    HEX = "hex"
    UPPER = "upper"
    ZEROS = "zeros"
    """With two zeros before it."""


class ReceiptForm(StrEnum):
    """Where a receipt says what it says."""

    TEXT = "text"
    """SMPP 3.4, appendix B."""
    TLV = "tlv"
    """Parameters alone: SMPP 3.4, 5.3.2.12 and 5.3.2.35."""
    BOTH = "both"


class Final(StrEnum):
    """What became of a message, in the words of SMPP 3.4, appendix B."""

    DELIVRD = "DELIVRD"
    EXPIRED = "EXPIRED"
    DELETED = "DELETED"
    UNDELIV = "UNDELIV"
    ACCEPTD = "ACCEPTD"
    UNKNOWN = "UNKNOWN"
    REJECTD = "REJECTD"

    @property
    def state(self) -> State:
        """The same as a number (SMPP 3.4, 5.2.28)."""
        return _STATES[self]


_STATES = {
    Final.DELIVRD: State.DELIVERED,
    Final.EXPIRED: State.EXPIRED,
    Final.DELETED: State.DELETED,
    Final.UNDELIV: State.UNDELIVERABLE,
    Final.ACCEPTD: State.ACCEPTED,
    Final.UNKNOWN: State.UNKNOWN,
    Final.REJECTD: State.REJECTED,
}

_POSITIVE = (
    "window",
    "throttle_every",
    "throttle_above",
    "queue_full_every",
    "drop_after",
    "drop_every",
    "silent_every",
    "late_every",
    "receipt_missing_every",
    "deliver_window",
    "enquire_interval",
    "answer_timeout",
)
_NOT_NEGATIVE = (
    "silent_after",
    "bind_refusals",
    "first_id",
    "answer_delay",
    "late_delay",
    "receipt_delay",
    "slow_delay",
    "redeliver_delay",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """How an SMSC behaves. Times in microseconds; None leaves a rule out.

    Raises `ValueError` for a number out of range and for what contradicts itself.
    """

    accounts: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Passwords by system_id; where there are none, everybody may bind."""
    bind_status: int | None = None
    """Binds are refused with this; with `bind_refusals` only so many."""
    bind_refusals: int | None = None
    """So many binds are refused, then they are accepted; with RBINDFAIL unless `bind_status` says another."""

    window: int | None = None
    """Submits of one link that may be unanswered; those beyond are throttled."""
    throttle_every: int | None = None
    throttle_above: int | None = None
    """Submits that are taken in any one second; those beyond are throttled."""
    queue_full_every: int | None = None
    refuse: Mapping[int, int] = field(default_factory=dict)
    """By status: every so many are refused with it."""
    answer_delay: int = 0
    late_every: int | None = None
    late_delay: int = 5 * SECOND
    drop_after: int | None = None
    """The link on which the submit of this number is read is dropped at once, without an answer."""
    drop_every: int | None = None
    silent_after: int | None = None
    """After so many, submits are read and never answered; enquire_links still are."""
    silent_every: int | None = None
    unanswered_lost: bool = False
    """What is dropped or never answered was not taken either: no receipt follows, and the record says so."""

    id_form: IdForm = IdForm.HEX
    first_id: int | None = None
    """Ids count up from here; None draws a start, so that those of two runs never meet."""
    final: Final = Final.DELIVRD
    error: int = 0
    """The number for the reason, in `err` and in network_error_code."""
    receipt_delay: int = 0
    """From the answer to the receipt."""
    slow_delay: int = 30 * SECOND
    """The same for the number that stands for a slow handset."""
    receipt_form: ReceiptForm = ReceiptForm.BOTH
    receipt_id: ReceiptId = ReceiptId.SAME
    receipt_first: bool = False
    """A receipt goes out before the answer to its submit."""
    receipt_twice: bool = False
    receipt_missing_every: int | None = None
    """Of the receipts that were asked for."""
    magic: bool = True
    """`MAGIC` numbers mean what they mean."""

    deliver_window: int = 100
    """Receipts and messages that may be unanswered on one link."""
    redeliver_delay: int = 5 * SECOND
    """When one that was refused is sent again, unless a bind comes before."""
    enquire_interval: int = 30 * SECOND
    """Silence of a link after which it is asked whether it is there; also the time it has to bind."""
    answer_timeout: int = 30 * SECOND
    """What it has to answer that."""

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            _require(self, name, 1)
        for name in _NOT_NEGATIVE:
            _require(self, name, 0)
        _require_status("bind_status", self.bind_status)
        for status, every in self.refuse.items():
            _require_status("refuse", status)
            if every < 1:
                raise ValueError(f"refuse is every {every}; it must be 1 or more")
        if self.first_id is not None and self.first_id > MOST_FIRST_ID:
            raise ValueError(f"first_id is {self.first_id}; the most is {MOST_FIRST_ID}")
        if not 0 <= self.error <= MOST_ERROR:
            raise ValueError(f"error is {self.error}; it is 0 to {MOST_ERROR}")
        if self.id_form is IdForm.UUID and self.receipt_id not in {ReceiptId.SAME, ReceiptId.UPPER}:
            raise ValueError(f"a UUID has no form {self.receipt_id.value}; it has same and upper")


def _require(script: Script, name: str, least: int) -> None:
    value = getattr(script, name)
    if value is not None and value < least:
        raise ValueError(f"{name} is {value}; it must be {least} or more")


def _require_status(name: str, status: int | None) -> None:
    if status is not None and not Status.ROK < status <= MOST_STATUS:
        raise ValueError(f"{name} is {status}; a refusal is 1 to 0x{MOST_STATUS:08X}")


@dataclass(frozen=True, slots=True)
class Magic:
    """What happens to messages for one number; what is None is as the script has it."""

    meaning: str
    final: Final | None = None
    error: int = 0
    status: Status = Status.ROK
    first_status: Status = Status.ROK
    """That of the first try."""
    first_drops: bool = False
    """The first try is taken, and its link dropped."""
    receipts: int | None = None
    slow: bool = False
    receipt_first: bool = False


MAGIC: Mapping[str, Magic] = {
    "15005550000": Magic("A receipt says that it arrived.", Final.DELIVRD),
    "15005550001": Magic("A receipt says UNDELIV, error 11: its line has no text messages.", Final.UNDELIV, 11),
    "15005550002": Magic("A receipt says REJECTD, error 88, which stands for a spam filter here.", Final.REJECTD, 88),
    "15005550003": Magic("It is refused for good, with RX_P_APPN.", status=Status.RX_P_APPN),
    "15005550004": Magic("No receipt comes.", receipts=0),
    "15005550005": Magic("The receipt is slow.", slow=True),
    "15005550006": Magic("The first try is throttled, the second taken.", first_status=Status.RTHROTTLED),
    "15005550007": Magic("The receipt goes out before the answer.", receipt_first=True),
    "15005550008": Magic("The receipt comes twice.", receipts=2),
    "15005550009": Magic("The first try is taken, and its link dropped; no receipt.", first_drops=True, receipts=0),
    "15005550010": Magic("A receipt says REJECTD, error 13: barred from receiving.", Final.REJECTD, 13),
}
"""Numbers as the simulated carrier has them (docs/magic-numbers.md), without the plus."""
_ORDINARY = Magic("")


class Answer(StrEnum):
    """How a submit is answered."""

    NOW = "now"
    LATE = "late"
    NEVER = "never"
    DROP = "drop"
    """Not at all, and its link is dropped."""


class Verdict(Struct, frozen=True):
    """What is done with one submit. It was taken where `taken`, whatever its sender gets to know."""

    answer: Answer
    status: int
    taken: bool
    delay: int = 0
    """Of the answer."""
    final: Final = Final.DELIVRD
    error: int = 0
    receipts: int = 0
    """How many come if one is asked for."""
    receipt_delay: int = 0
    """After the answer; where there is none, after when it would have been."""
    receipt_first: bool = False


class Judge:
    """Judges binds and submits by a script, and counts them. `throttles` and `silent` may be switched while it does."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.submits = 0
        self.binds = 0
        self.throttles = False
        self.silent = False
        """Nothing at all leaves."""
        self._receipts = 0
        self._taken_at: deque[int] = deque()
        self._tried: dict[tuple[str, str, str], None] = {}

    def judge_bind(self, system_id: str, password: str) -> int:
        """The status to answer a bind with."""
        script = self.script
        self.binds += 1
        limited = script.bind_refusals
        if (limited is None and script.bind_status is not None) or (limited is not None and self.binds <= limited):
            return Status.RBINDFAIL if script.bind_status is None else script.bind_status
        if not script.accounts:
            return Status.ROK
        if system_id not in script.accounts:
            return Status.RBINDFAIL
        return Status.ROK if script.accounts[system_id] == password else Status.RINVPASWD

    def judge(self, source: str, destination: str, text: str, in_hand: int, now: int) -> Verdict:
        """What is done with the next submit; `in_hand` are those of its link without an answer, itself included."""
        self.submits += 1
        magic = MAGIC.get(destination.removeprefix("+"), _ORDINARY) if self.script.magic else _ORDINARY
        answer, status = self._general(in_hand, now)
        if answer is Answer.NOW and status == Status.ROK and magic is not _ORDINARY:
            answer, status = self._special(magic, (source, destination, text))
        lost = self.script.unanswered_lost and answer in {Answer.NEVER, Answer.DROP}
        if status != Status.ROK or lost:
            return Verdict(answer, status, taken=False, delay=self._delay(answer))
        return self._taken(answer, magic)

    def receipt_is_missing(self) -> bool:
        """Whether the next receipt is one of those that never come."""
        self._receipts += 1
        return _is_nth(self._receipts, self.script.receipt_missing_every)

    def _general(self, in_hand: int, now: int) -> tuple[Answer, int]:
        script, number = self.script, self.submits
        if number == script.drop_after or _is_nth(number, script.drop_every):
            return Answer.DROP, Status.ROK
        after = script.silent_after
        if self.silent or (after is not None and number > after) or _is_nth(number, script.silent_every):
            return Answer.NEVER, Status.ROK
        late = Answer.LATE if _is_nth(number, script.late_every) else Answer.NOW
        return late, self._refusal(in_hand, now)

    def _refusal(self, in_hand: int, now: int) -> int:
        script, number = self.script, self.submits
        if self.throttles or _is_nth(number, script.throttle_every) or in_hand > (script.window or in_hand):
            return Status.RTHROTTLED
        if _is_nth(number, script.queue_full_every):
            return Status.RMSGQFUL
        for status, every in script.refuse.items():
            if _is_nth(number, every):
                return status
        return Status.RTHROTTLED if self._is_too_fast(now) else Status.ROK

    def _is_too_fast(self, now: int) -> bool:
        most = self.script.throttle_above
        if most is None:
            return False
        while self._taken_at and self._taken_at[0] <= now - SECOND:
            self._taken_at.popleft()
        if len(self._taken_at) >= most:
            return True
        self._taken_at.append(now)
        return False

    def _special(self, magic: Magic, message: tuple[str, str, str]) -> tuple[Answer, int]:
        """A second try is recognised by its text: its sequence number and the reference of its parts may differ."""
        if magic.first_drops or magic.first_status != Status.ROK:
            if message not in self._tried:
                self._tried[message] = None
                if len(self._tried) > TRIES_KEPT:
                    del self._tried[next(iter(self._tried))]
                return (Answer.DROP if magic.first_drops else Answer.NOW), magic.first_status
            del self._tried[message]
        return Answer.NOW, magic.status

    def _taken(self, answer: Answer, magic: Magic) -> Verdict:
        script = self.script
        usual = 2 if script.receipt_twice else 1
        return Verdict(
            answer,
            Status.ROK,
            taken=True,
            delay=self._delay(answer),
            final=magic.final or script.final,
            error=magic.error if magic.final else script.error,
            receipts=usual if magic.receipts is None else magic.receipts,
            receipt_delay=script.slow_delay if magic.slow else script.receipt_delay,
            receipt_first=script.receipt_first or magic.receipt_first,
        )

    def _delay(self, answer: Answer) -> int:
        return self.script.late_delay if answer is Answer.LATE else self.script.answer_delay


def _is_nth(number: int, every: int | None) -> bool:
    return every is not None and number % every == 0
