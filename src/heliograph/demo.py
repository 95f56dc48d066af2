"""`heliograph demo`: the service at work, told in a terminal.

    a server on a fresh SQLite file --> a tour of it over HTTP --> snippets to paste --> Ctrl-C

The tour knows what every answer must be. The first that is another ends it, and is shown.
"""

import asyncio
import json
import re
import signal
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

from heliograph import log, server
from heliograph.domain.errors import Code
from heliograph.domain.instant import DAY, MINUTE, SECOND, Instant, parse, to_text
from heliograph.domain.lifecycle import Status
from heliograph.settings import Database, Sandbox, Settings

WIDTH = 88
PATIENCE = 30
"""Seconds that an answer may take; the longest here takes a few hundredths of one."""

RUNNING = "The server goes on running, with its clock where the tour left it. Ctrl-C stops it."
STOPPED = "The server has stopped, and its database is gone."

_ID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{6}([0-9a-f]{6})")


def run(settings: Settings, exit_after: bool) -> int:
    """Show the service at work, then leave it running until SIGINT or SIGTERM, or stop it if `exit_after`.

    The exit status: 0, or 1 when an answer was not what it must be. Of `settings` only the address to listen on and the
    form of the log are used. The limits are the defaults, for the tour relies on them; the database is a new one in a
    folder of its own, deleted at the end, for the tour moves the clock, and no other database may see that.
    Raises what `server.running` raises.
    """
    log.configure("warning", settings.log.format)
    with TemporaryDirectory(prefix="heliograph-demo-") as folder:
        return asyncio.run(_demonstrate(settings, Path(folder) / "demo.db", exit_after))


async def _demonstrate(settings: Settings, database: Path, exit_after: bool) -> int:
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    paper = Paper(sys.stdout)
    own = Settings(
        http=settings.http,
        log=settings.log,
        database=Database(url=f"sqlite:///{database}"),
        sandbox=Sandbox(enabled=True),
    )
    async with server.running(own) as running:
        status = await asyncio.to_thread(show, running.ready(), paper, database)
        if status == 0 and not exit_after:
            paper.say(RUNNING)
            await stop.wait()
    paper.say(STOPPED)
    return status


def show(ready: Mapping[str, str], paper: "Paper", database: Path) -> int:
    """Take the tour of a sandbox server that answers as `ready` says, and print the snippets; the exit status."""
    try:
        _introduce(ready, paper, database)
        send_at = Tour(ready, paper).take()
    except Unexpected as answer:
        paper.say(f"This should not have happened. {answer}")
        return 1
    _invite(ready, paper, send_at)
    return 0


class Unexpected(Exception):
    """An answer that is not what it must be; the text shows it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered with."""

    request: str
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    def require(self, fact: object) -> None:
        """Raise `Unexpected` unless the fact is true."""
        if not fact:
            raise Unexpected(f"{self.request} was answered with {self.status} and\n{self.body.decode()}")


class Client:
    """Asks the server over one connection, with its key."""

    def __init__(self, ready: Mapping[str, str]) -> None:
        self._connection = HTTPConnection(ready["base_url"].removeprefix("http://"), timeout=PATIENCE)
        self._headers = {"authorization": f"Bearer {ready['api_key']}", "content-type": "application/json"}

    def ask(self, method: str, path: str, body: object = None, *, status: int = 200) -> Answer:
        """The answer. Raises `Unexpected` when its status is another, or when there is none."""
        content = None if body is None else json.dumps(body)
        try:
            self._connection.request(method, path, content, self._headers)
            response = self._connection.getresponse()
            answer = Answer(f"{method} {path}", response.status, response.read())
        except (OSError, HTTPException) as error:
            raise Unexpected(f"{method} {path} was not answered: {error!r}") from error
        answer.require(answer.status == status)
        return answer

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


class Paper:
    """Lines for a person; coloured on a terminal only."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._coloured = out.isatty()

    def step(self, number: int, text: str) -> None:
        """The heading of a step."""
        self._write("", self._paint("1", f"{number}. {text}"), "")

    def exchange(self, answer: Answer, meaning: str) -> None:
        """One request, and what its answer means."""
        method, path = short(answer.request).split(" ")
        status = self._paint("32" if answer.status < 400 else "33", str(answer.status))
        self._write(f"   {method:6} {path:41} {status}  {meaning}")

    def below(self, text: str) -> None:
        """More about the exchange above."""
        self._write(*(f"          {line}" for line in textwrap.wrap(text, WIDTH - 10)))

    def facts(self, title: str, facts: Mapping[str, str]) -> None:
        """Names and their values under a title."""
        width = max(map(len, facts))
        self._write("", self._paint("1", title), "", *(f"   {name:{width}} {value}" for name, value in facts.items()))

    def say(self, text: str) -> None:
        """A sentence of its own."""
        self._write("", text)

    def snippet(self, title: str, code: str) -> None:
        """Code to copy, from the left margin so that it can be pasted as it stands."""
        self._write("", self._paint("1", f"--- {title}"), "", code)

    def _paint(self, style: str, text: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._coloured else text

    def _write(self, *lines: str) -> None:
        self._out.writelines(f"{line}\n" for line in lines)
        self._out.flush()


def short(text: str) -> str:
    """`text` with every id cut to its last six digits: made in one moment, ids begin alike."""
    return _ID.sub(r"...\1", text)


@dataclass(slots=True)
class Guest:
    """Somebody who is to get a message."""

    name: str
    number: str
    delay: int
    """From the first full minute of the tour to the message's time, in microseconds."""
    id: str = ""

    @property
    def text(self) -> str:
        """What is written to them."""
        return f"{self.name}, your table is ready."


class Tour:
    """Six steps, each a few requests."""

    def __init__(self, ready: Mapping[str, str], paper: Paper) -> None:
        self._client = Client(ready)
        self._paper = paper
        self._from = ready["from_number"]
        self._ada = Guest("Ada", "+13125550101", 10 * MINUTE)
        self._ben = Guest("Ben", "+13125550102", 15 * MINUTE)
        self._cleo = Guest("Cleo", "+13125550103", 20 * MINUTE)

    @property
    def _guests(self) -> Sequence[Guest]:
        return (self._ada, self._ben, self._cleo)

    def take(self) -> Instant:
        """Every step in turn; a moment for the caller's own schedule, a day on. Raises `Unexpected`."""
        now = parse(self._client.ask("GET", "/sandbox/clock").json["data"]["now"])
        minute = Instant(now + MINUTE - now % MINUTE)
        try:
            self._schedule(minute)
            self._cancel()
            self._cancel_too_late(minute)
            self._look_at_handsets(minute)
            self._tell()
            self._obey(minute)
        finally:
            self._client.close()
        return Instant(minute + DAY)

    def _schedule(self, minute: Instant) -> None:
        self._paper.step(1, "Three messages are scheduled.")
        for guest in self._guests:
            send_at = to_text(Instant(minute + guest.delay))
            body = {"from": self._from, "to": guest.number, "text": guest.text, "send_at": send_at}
            answer = self._client.ask("POST", "/v2/messages", body)
            message = answer.json["data"]
            answer.require(message["to"][0]["status"] == Status.SCHEDULED)
            guest.id = message["id"]
            self._paper.exchange(answer, f"{short(guest.id)} to {guest.name} is scheduled for {_hour(send_at, 5)}")

    def _cancel(self) -> None:
        self._paper.step(2, "The one to Ben is cancelled; and again, as an SDK does when the answer was lost.")
        path = f"/v2/messages/{self._ben.id}"
        first = self._client.ask("DELETE", path)
        first.require(first.json["to"][0]["status"] == Status.CANCELLED)
        self._paper.exchange(first, "cancelled, and that is final")
        second = self._client.ask("DELETE", path)
        second.require(second.body == first.body)
        self._paper.exchange(second, "the same answer, byte for byte")

    def _cancel_too_late(self, minute: Instant) -> None:
        self._paper.step(3, "Half a minute before its time, it is too late to cancel the one to Ada.")
        self._move(Instant(minute + self._ada.delay - 30 * SECOND))
        answer = self._client.ask("DELETE", f"/v2/messages/{self._ada.id}", status=403)
        error = answer.json["errors"][0]
        answer.require(error["code"] == Code.RESOURCE_LOCKED)
        self._paper.exchange(answer, f"{error['code']} {error['title']}")
        self._paper.below(error["detail"])

    def _look_at_handsets(self, minute: Instant) -> None:
        self._paper.step(4, "When the time of all three is past, two have arrived.")
        self._move(Instant(minute + self._cleo.delay + 5 * MINUTE))
        for guest in self._guests:
            answer = self._client.ask("GET", f"/sandbox/handsets/{guest.number}")
            arrived = answer.json["data"]
            wanted = [] if guest is self._ben else [guest.text]
            answer.require([each["text"] for each in arrived] == wanted)
            got = f'"{arrived[0]["text"]}" at {_hour(arrived[0]["arrived_at"])}' if arrived else "nothing arrived"
            self._paper.exchange(answer, got)

    def _tell(self) -> None:
        self._paper.step(5, "Each message tells what happened to it, and how late it left.")
        for guest in self._guests:
            answer = self._client.ask("GET", f"/v2/messages/{guest.id}/timeline")
            events, late = answer.json["data"], answer.json["meta"]["lateness_ms"]
            answer.require(events[-1]["status"] == (Status.CANCELLED if guest is self._ben else Status.DELIVERED))
            answer.require((late is None) == (guest is self._ben))
            self._paper.exchange(answer, "never left" if late is None else f"left {late:.1f} ms after its time")
            for event in events:
                detail = short(event["detail"] or "")
                line = f"{_hour(event['occurred_at'], 12)}  {event['change']:8} {event['status']:10} {detail}"
                self._paper.below(line.rstrip())

    def _obey(self, minute: Instant) -> None:
        self._paper.step(6, "Cleo writes STOP: what waits for her is cancelled, and nothing more is sent.")
        again = {"from": self._from, "to": self._cleo.number, "text": "Come again soon."}
        send_at = to_text(Instant(minute + DAY))
        message = self._client.ask("POST", "/v2/messages", {**again, "send_at": send_at})
        waiting = message.json["data"]["id"]
        self._paper.exchange(message, f"{short(waiting)} is scheduled for tomorrow")
        path = f"/sandbox/handsets/{self._cleo.number}/messages"
        stop = self._client.ask("POST", path, {"to": self._from, "text": "stop"})
        stop.require(stop.json["data"]["autoresponse_type"] == "STOP")
        self._paper.exchange(stop, "heard")
        held = self._client.ask("GET", f"/v2/messages/{waiting}")
        held.require(held.json["data"]["to"][0]["status"] == Status.CANCELLED)
        self._paper.exchange(held, f"cancelled: {held.json['data']['errors'][0]['title']}")
        refused = self._client.ask("POST", "/v2/messages", again, status=409)
        error = refused.json["errors"][0]
        refused.require(error["code"] == Code.OPTED_OUT)
        self._paper.exchange(refused, f"{error['code']} {error['title']}")

    def _move(self, moment: Instant) -> None:
        answer = self._client.ask("POST", "/sandbox/clock/advance", {"to": to_text(moment)})
        now = answer.json["data"]["now"]
        answer.require(parse(now) >= moment)
        self._paper.exchange(answer, f"the clock is moved to {_hour(now)}")


def _hour(moment: str, digits: int = 8) -> str:
    """The time of day in an ISO 8601 moment: `09:43:00`, with 12 digits `09:43:00.025`."""
    return moment[11 : 11 + digits]


def _introduce(ready: Mapping[str, str], paper: Paper, database: Path) -> None:
    facts = {
        "server": ready["base_url"],
        "database": f"{database} (new, deleted at the end)",
        "carrier": "simulated: nothing leaves this machine",
    }
    paper.facts("Heliograph, a messaging service to build against: cancel is final.", facts)


def _invite(ready: Mapping[str, str], paper: Paper, send_at: Instant) -> None:
    facts = {
        "base URL": f"{ready['base_url']}/v2",
        "API key": ready["api_key"],
        "from": ready["from_number"],
        "key for webhooks": ready["webhook_public_key"],
    }
    paper.facts("Now yours. What is below can be pasted as it stands.", facts)
    for title, code in snippets(ready, send_at).items():
        paper.snippet(title, code)


def snippets(ready: Mapping[str, str], send_at: Instant) -> Mapping[str, str]:
    """Code that schedules a message and, but for curl, cancels it; by language."""
    message = {"from": ready["from_number"], "to": "+13125550104", "send_at": to_text(send_at)}
    given = {"base": f"{ready['base_url']}/v2", "key": ready["api_key"], **message}
    return {title: code.format_map(given) for title, code in _SNIPPETS.items()}


_SNIPPETS = {
    "curl": """\
curl {base}/messages \\
  -H 'Authorization: Bearer {key}' \\
  -H 'Content-Type: application/json' \\
  -d '{{"from": "{from}", "to": "{to}", "text": "Hello from curl", "send_at": "{send_at}"}}'""",
    "Python (pip install telnyx)": """\
from telnyx import Telnyx

client = Telnyx(
    api_key="{key}",
    base_url="{base}",
)
scheduled = client.messages.schedule(
    from_="{from}", to="{to}", text="Hello from Python", send_at="{send_at}"
)
print(scheduled.data.to[0].status)
cancelled = client.messages.cancel_scheduled(scheduled.data.id)
print(cancelled.to[0].status)""",
    "Node.js (npm install telnyx; save as an .mjs file)": """\
import Telnyx from 'telnyx';

const client = new Telnyx({{
  apiKey: '{key}',
  baseURL: '{base}',
}});
const scheduled = await client.messages.schedule({{
  from: '{from}', to: '{to}', text: 'Hello from Node.js', send_at: '{send_at}',
}});
console.log(scheduled.data.to[0].status);
const cancelled = await client.messages.cancelScheduled(scheduled.data.id);
console.log(cancelled.to[0].status);""",
}
