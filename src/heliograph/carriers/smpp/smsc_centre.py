"""The middle of an SMSC, without input or output: what it was given, what it owes, and when.

    receive  a submit is judged            -> plan, which the caller writes down first
    enact    it is written down            -> its answer and its receipts, now or when their moment comes
    tick     a moment has come             -> answers to links, parcels to mailboxes
    pump     links have room               -> parcels to links

A parcel is a receipt or a message from a handset. It waits in the mailbox of its system_id for a link that is bound to
receive, and is there until one of these answers it with ROK: a link that goes gives back what it did not answer, and
what was refused is tried again later, or as soon as somebody binds.

`now` is microseconds on a clock that never steps; `at` is the time of day.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from uuid import UUID

from msgspec import Struct

from heliograph.carriers.smpp.pdu import (
    Body,
    CancelSm,
    CancelSmResp,
    DataSm,
    DataSmResp,
    DeliverSm,
    QuerySm,
    QuerySmResp,
    SubmitSm,
    SubmitSmResp,
    encode_body,
)
from heliograph.carriers.smpp.receipts import State
from heliograph.carriers.smpp.smsc_deliveries import final_date, is_asked_for, receipt_of
from heliograph.carriers.smpp.smsc_record import Submit, Where, submit_of, text_of
from heliograph.carriers.smpp.smsc_script import Answer, IdForm, Judge, Script, Verdict
from heliograph.carriers.smpp.smsc_session import Asked, Bound, Ended, Event, Seen, ServerSession, Settled
from heliograph.carriers.smpp.status import Status, status_name
from heliograph.domain.instant import Instant

MESSAGES_KEPT = 100_000
"""Messages that query_sm finds."""

Tell = Callable[[str], None]


class Line(Struct, eq=False):
    """A link and its number."""

    number: int
    session: ServerSession
    dropped: bool = False
    """It is to be hung up on without a word."""


class Plan(Struct, frozen=True):
    """What is to be done with a submit once it is written down."""

    submit: Submit
    verdict: Verdict
    line: Line
    request: type[SubmitSm | DataSm]
    taken_at: int


class _Parcel(Struct, frozen=True):
    key: int
    system_id: str
    name: str
    body: type[Body]
    encoded: bytes
    answered: Callable[[int], None] | None


class _Message(Struct, frozen=True):
    system_id: str
    verdict: Verdict
    done_after: int
    """The moment, on the clock of `now`, from which it is in its last state."""
    done_at: Instant


class Centre:
    """What all links of an SMSC have in common. `tell` is told of everything, in a line each."""

    def __init__(self, script: Script, first_id: int, tell: Tell) -> None:
        self.script = script
        self.judge = Judge(script)
        self.lines: dict[int, Line] = {}
        self.counts: Counter[str] = Counter()
        self._tell = tell
        self._next_id = first_id
        self._last_line = 0
        self._last_key = 0
        self._last_system_id: str | None = None
        self._agenda: list[tuple[int, int, Callable[[int], None]]] = []
        self._agenda_order = 0
        self._mail: dict[str, deque[_Parcel]] = {}
        self._resting: dict[int, _Parcel] = {}
        self._sent: dict[int, _Parcel] = {}
        self._messages: OrderedDict[str, _Message] = OrderedDict()

    # ---- links

    def connect(self, peer: str, now: int) -> Line:
        """A new link."""
        self._last_line += 1
        line = Line(self._last_line, ServerSession(self.script, self.judge.judge_bind, now))
        self.lines[line.number] = line
        self._say(line, f"connected from {peer}")
        return line

    def receive(self, line: Line, data: bytes, now: int, at: Instant) -> list[Plan]:
        """What bytes bring: the submits to be written down. Of a link that is to be dropped, no more is read."""
        plans: list[Plan] = []
        for event in line.session.receive(data, now) if not line.dropped else ():
            if isinstance(event, Asked):
                plans += self._take_asked(line, event, now, at)
                if plans and plans[-1].verdict.answer is Answer.DROP:
                    line.dropped = True
                    break
            else:
                self._hear(line, event, now)
        return plans

    def drop(self, line: Line, reason: str, now: int) -> None:
        """Hang up on a link, or hear that it is gone."""
        line.dropped = True
        self._hear_all(line, line.session.drop(reason), now)

    def unbind(self, line: Line, now: int) -> None:
        """Ask the peer of a link to go."""
        self._hear_all(line, line.session.unbind(now), now)

    def _hear_all(self, line: Line, events: Sequence[Event], now: int) -> None:
        for event in events:
            self._hear(line, event, now)

    def _hear(self, line: Line, event: Event, now: int) -> None:
        match event:
            case Bound():
                self._take_bound(line, event)
            case Settled():
                self._take_settled(line, event, now)
            case Seen():
                self._say(line, event.text)
            case Ended():
                self._take_ended(line, event)

    def _take_bound(self, line: Line, bound: Bound) -> None:
        directions = [word for word, is_so in (("send", line.session.transmits), ("receive", bound.receives)) if is_so]
        self._say(line, f"bound by {bound.system_id!r} to {' and '.join(directions)}")
        self.counts["binds"] += 1
        if bound.receives:
            self._last_system_id = bound.system_id
            for parcel in [each for each in self._resting.values() if each.system_id == bound.system_id]:
                self._wake(parcel.key)

    def _take_ended(self, line: Line, ended: Ended) -> None:
        self._say(line, f"ended: {ended.reason}")
        back = [self._sent.pop(key) for key in ended.unsettled]
        for parcel in reversed(back):
            self._mailbox(parcel.system_id).appendleft(parcel)
        self.lines.pop(line.number, None)

    # ---- requests

    def _take_asked(self, line: Line, asked: Asked, now: int, at: Instant) -> Iterator[Plan]:
        body = asked.body
        if isinstance(body, SubmitSm | DataSm):
            yield self._plan(line, asked.sequence, body, asked.in_hand, now, at)
        elif self.judge.silent:
            return
        elif isinstance(body, QuerySm):
            self._answer_query(line, asked.sequence, body, now)
        elif isinstance(body, CancelSm):
            self._say(line, f"cancel_sm of {body.message_id!r}: refused")
            line.session.answer(asked.sequence, CancelSm, Status.RCANCELFAIL, CancelSmResp())

    def _plan(self, line: Line, sequence: int, body: SubmitSm | DataSm, in_hand: int, now: int, at: Instant) -> Plan:
        text = text_of(body)
        verdict = self.judge.judge(body.source_addr, body.destination_addr, text[0], in_hand, now)
        message_id = self._new_id() if verdict.taken else ""
        where = Where(line.number, line.session.system_id, sequence, at)
        return Plan(submit_of(body, where, text, verdict, message_id), verdict, line, type(body), now)

    def _new_id(self) -> str:
        number = self._next_id
        self._next_id += 1
        match self.script.id_form:
            case IdForm.HEX:
                return f"{number:x}"
            case IdForm.DECIMAL:
                return str(number)
            case IdForm.UUID:
                return str(UUID(int=number))

    def _answer_query(self, line: Line, sequence: int, query: QuerySm, now: int) -> None:
        message = self._messages.get(query.message_id)
        if message is None or message.system_id != line.session.system_id:
            self._say(line, f"query_sm of {query.message_id!r}: no such message")
            line.session.answer(sequence, QuerySm, Status.RQUERYFAIL, QuerySmResp())
            return
        answer = QuerySmResp(query.message_id, "", State.ENROUTE, 0)
        if message.done_after <= now:
            final, error = message.verdict.final.state, min(message.verdict.error, 0xFF)
            answer = QuerySmResp(query.message_id, final_date(message.done_at), final, error)
        self._say(line, f"query_sm of {query.message_id!r}: {State(answer.message_state).name}")
        line.session.answer(sequence, QuerySm, Status.ROK, answer)

    # ---- what was written down

    def enact(self, plan: Plan, now: int) -> None:
        """Answer a submit and send its receipts, at their moments; it is on disk where it is to be."""
        submit, verdict = plan.submit, plan.verdict
        self._count(submit)
        self._say(plan.line, _told(submit))
        if verdict.taken:
            self._remember(plan)
        answer_at = plan.taken_at + verdict.delay
        receipts_at = answer_at + verdict.receipt_delay
        if verdict.receipt_first:
            self._expect_receipts(plan, receipts_at)
            answer_at = receipts_at
        if verdict.answer is Answer.DROP:
            # The submits before it get their answers.
            self._do_what_is_due(now)
            self.drop(plan.line, f"dropped at submit {self.counts['submits']}", now)
        elif verdict.answer is Answer.NEVER:
            self._hear_all(plan.line, plan.line.session.release(), now)
        else:
            self._at(answer_at, lambda now: self._answer(plan, now))
        if not verdict.receipt_first:
            self._expect_receipts(plan, receipts_at)

    def _count(self, submit: Submit) -> None:
        self.counts["submits"] += 1
        self.counts["taken"] += submit.taken
        self.counts["refused"] += submit.status != Status.ROK
        self.counts["unanswered"] += submit.answer in {Answer.NEVER, Answer.DROP}

    def _remember(self, plan: Plan) -> None:
        verdict = plan.verdict
        delay = verdict.delay + verdict.receipt_delay
        done_at = Instant(plan.submit.at + delay)
        message = _Message(plan.submit.system_id, verdict, plan.taken_at + delay, done_at)
        self._messages[plan.submit.message_id] = message
        if len(self._messages) > MESSAGES_KEPT:
            self._messages.popitem(last=False)

    def _answer(self, plan: Plan, now: int) -> None:
        submit, session = plan.submit, plan.line.session
        body = SubmitSmResp(submit.message_id) if plan.request is SubmitSm else DataSmResp(submit.message_id)
        self._hear_all(plan.line, session.answer(submit.sequence, plan.request, submit.status, body), now)

    def _expect_receipts(self, plan: Plan, moment: int) -> None:
        verdict = plan.verdict
        if not verdict.receipts or not is_asked_for(plan.submit.registered_delivery, verdict.final):
            return
        if self.judge.receipt_is_missing():
            self._say(plan.line, f"the receipt for {plan.submit.message_id} will be missing")
            return
        done_at = Instant(plan.submit.at + moment - plan.taken_at)
        receipt = receipt_of(plan.submit, verdict, self.script, done_at)
        for _ in range(verdict.receipts):
            self._at(moment, lambda _now: self._post_receipt(plan, receipt))

    def _post_receipt(self, plan: Plan, receipt: DeliverSm) -> None:
        name = f"receipt {plan.verdict.final.value} for {plan.submit.message_id}"
        self.post(plan.submit.system_id, receipt, name)
        if plan.verdict.receipt_first:
            self.pump()

    # ---- parcels

    def post(
        self, system_id: str, body: DeliverSm | DataSm, name: str, answered: Callable[[int], None] | None = None
    ) -> None:
        """Deliver something to a system_id; `answered` hears each status it is answered with. Raises `Unencodable`."""
        encoded = encode_body(body)
        self._last_key += 1
        self._mailbox(system_id).append(_Parcel(self._last_key, system_id, name, type(body), encoded, answered))

    def receiver(self) -> str | None:
        """The system_id that last bound to receive."""
        return self._last_system_id

    @property
    def waiting(self) -> int:
        """Parcels that nobody took yet."""
        return sum(map(len, self._mail.values())) + len(self._resting) + len(self._sent)

    def pump(self) -> None:
        """Give parcels to links as far as these have room."""
        if self.judge.silent:
            return
        for system_id, parcels in self._mail.items():
            while parcels and (line := self._roomiest(system_id)):
                parcel = parcels.popleft()
                self._sent[parcel.key] = parcel
                line.session.deliver(parcel.key, parcel.body, parcel.encoded)

    def _mailbox(self, system_id: str) -> deque[_Parcel]:
        return self._mail.setdefault(system_id, deque())

    def _roomiest(self, system_id: str) -> Line | None:
        ours = [each for each in self.lines.values() if each.session.system_id == system_id and not each.dropped]
        lines = [each for each in ours if each.session.room]
        return max(lines, key=lambda each: each.session.room, default=None)

    def _take_settled(self, line: Line, settled: Settled, now: int) -> None:
        parcel = self._sent.pop(settled.key)
        self._say(line, f"{parcel.name}: {status_name(settled.status)}")
        if settled.status == Status.ROK:
            self.counts["delivered"] += 1
        else:
            self.counts["not delivered"] += 1
            self._resting[parcel.key] = parcel
            self._at(now + self.script.redeliver_delay, lambda _now: self._wake(parcel.key))
        if parcel.answered is not None:
            parcel.answered(settled.status)

    def _wake(self, key: int) -> None:
        parcel = self._resting.pop(key, None)
        if parcel is not None:
            self._mailbox(parcel.system_id).append(parcel)

    # ---- time

    def next_deadline(self) -> int | None:
        """When to call `tick` unless something else happens before."""
        deadlines = [each.session.next_deadline() for each in self.lines.values()] if not self.judge.silent else []
        if self._agenda:
            deadlines.append(self._agenda[0][0])
        return min((each for each in deadlines if each is not None), default=None)

    def tick(self, now: int) -> None:
        """What the time brings."""
        self._do_what_is_due(now)
        # While nothing leaves, silence of a link says nothing.
        for line in list(self.lines.values()) if not self.judge.silent else ():
            self._hear_all(line, line.session.tick(now), now)

    def _do_what_is_due(self, now: int) -> None:
        while self._agenda and self._agenda[0][0] <= now:
            heappop(self._agenda)[2](now)

    def _at(self, moment: int, deed: Callable[[int], None]) -> None:
        self._agenda_order += 1
        heappush(self._agenda, (moment, self._agenda_order, deed))

    def _say(self, line: Line, text: str) -> None:
        self._tell(f"link {line.number}: {text}")


def _told(submit: Submit) -> str:
    part = f" (part {submit.number} of {submit.total})" if submit.total > 1 else ""
    head = f"{submit.command} #{submit.sequence} {submit.source} -> {submit.destination}{part} {submit.text!r}"
    if submit.answer in {Answer.NEVER, Answer.DROP}:
        return f"{head}: {'taken as ' + submit.message_id if submit.taken else 'lost'}, without an answer"
    return f"{head}: {submit.message_id or status_name(submit.status)}"
