"""Messages that come in, and people who opt out, over HTTP."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from heliograph.domain.accounts import NumberPool, Organization, Profile
from heliograph.domain.consent import DEFAULT_REPLIES
from heliograph.domain.inbound import Operation
from heliograph.store.inbound import RefusedInbound
from heliograph.store.store import Store
from tests.api.conftest import MAX_BODY, on_one_database
from tests.wire import NO_SUCH_ID, TOLL_FREE, Accounts, Answer, Caller, on_postgres, on_sqlite

STOPPED, STARTED, HELPED = (DEFAULT_REPLIES[each] for each in Operation)
NOWHERE = "http://127.0.0.1:9/hook"
CAT = "https://example.com/cat.png"
_PEOPLE = count(2_000_000)


@dataclass(frozen=True)
class Line:
    """A number of an organisation, its caller, and a person whom nobody else writes to."""

    accounts: Accounts
    organization: Organization
    profile: Profile
    number: str
    call: Caller
    person: str

    def write(self, text: object = None, *, to: str = "", person: str = "", **more: object) -> Answer:
        """The person writes to the number."""
        body = {"to": to or self.number, "text": text, **more}
        given = {name: value for name, value in body.items() if value is not None}
        return self.call("POST", f"/sandbox/handsets/{person or self.person}/messages", given)

    def says(self, text: str, **given: str) -> Any:
        """The same, where nothing is wrong with it."""
        return self.write(text, **given).data

    def send(self, path: str = "/v2/messages", /, **fields: object) -> Answer:
        """Send to the person from the number."""
        return self.call.send(path, **{"from_": self.number, "to": self.person, **fields})

    def schedule(self, **fields: object) -> Any:
        """A message to the person in an hour."""
        return self.send("/v2/messages/schedule", send_at=self.call.time(hours=1), **fields).data

    def heard(self, person: str = "") -> list[str]:
        """The texts that are on the handset once all that is due has gone."""
        self.call.settle()
        return [each["text"] for each in self.call.handset(person or self.person)]

    def status(self, message: Any) -> str:
        """How far a message has come."""
        (to,) = self.call.read(message["id"])["to"]
        return str(to["status"])

    def beside(self, **settings: Any) -> "Line":
        """Another profile of the organisation, with a number of its own."""
        profile = self.accounts.profile(self.organization, **settings)
        number = self.accounts.sender(profile)
        return Line(self.accounts, self.organization, profile, number, self.call, self.person)


def new_person() -> str:
    """A handset that nothing has arrived at."""
    return f"+1773{next(_PEOPLE)}"


def opened(accounts: Accounts, rules: dict[str, int] | None = None, **settings: Any) -> Iterator[Line]:
    organization = accounts.organization(**(rules or {}))
    profile = accounts.profile(organization, **settings)
    number = accounts.sender(profile)
    with accounts.caller(accounts.key(organization)) as caller:
        yield Line(accounts, organization, profile, number, caller, new_person())


@pytest.fixture
def line(accounts: Accounts) -> Iterator[Line]:
    """A number on a profile whose events nobody takes."""
    yield from opened(accounts, webhook_url=NOWHERE)


@pytest.fixture
def small_line(accounts: Accounts) -> Iterator[Line]:
    """One of an organisation that may have a single message scheduled."""
    yield from opened(accounts, {"max_pending": 1})


STRICT = {"OPT_OUTS__SCOPE": "account", "OPT_OUTS__CANCEL_PENDING": "false", "OPT_OUTS__REPLIES": "false"}


@pytest.fixture(scope="session")
def sqlite_strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accounts]:
    """A server on SQLite with every setting of opt-outs the other way."""
    with on_sqlite(tmp_path_factory.mktemp("strict"), **STRICT) as server:
        yield Accounts(server)


@pytest.fixture(scope="session")
def postgresql_strict(postgres_server: str) -> Iterator[Accounts]:
    """The same on PostgreSQL."""
    with on_postgres(postgres_server, **STRICT) as server:
        yield Accounts(server)


@pytest.fixture
def strict_line(database_kind: str, request: pytest.FixtureRequest) -> Iterator[Line]:
    """A number there."""
    yield from opened(request.getfixturevalue(f"{database_kind}_strict"))


def events(line: Line, message_id: str) -> list[tuple[str, str]]:
    """The events of a message that somebody was to be told of, and their ids."""
    line.call.settle()
    changes = {each["id"] for each in line.call("GET", f"/v2/messages/{message_id}/timeline").data}
    told = [each["webhook"] for each in line.call("GET", "/v2/webhook_deliveries?page[size]=100").data]
    return [(each["event_type"], each["id"]) for each in told if each["id"] in changes]


def test_a_message_that_came_in_is_read_as_it_was_answered(line: Line) -> None:
    message = line.says("On my way")
    assert (message["direction"], message["type"], message["text"]) == ("inbound", "SMS", "On my way")
    assert (message["from"]["phone_number"], message["to"][0]["phone_number"]) == (line.person, line.number)
    assert message["messaging_profile_id"] == line.profile.id
    assert message["autoresponse_type"] is None
    assert line.call.read(message["id"]) == message


def test_its_arrival_is_its_timeline_and_its_event(line: Line) -> None:
    message = line.says("On my way")
    (arrival,) = line.call("GET", f"/v2/messages/{message['id']}/timeline").data
    assert (arrival["change"], arrival["status"], arrival["detail"]) == ("receive", "received", None)
    assert events(line, message["id"]) == [("message.received", arrival["id"])]


def test_without_a_url_nobody_is_told(line: Line) -> None:
    quiet = line.beside()
    assert events(quiet, quiet.says("On my way")["id"]) == []


@pytest.mark.parametrize("path", ["", "/timeline"])
def test_another_organisation_does_not_see_it(line: Line, stranger: Caller, path: str) -> None:
    message = line.says("On my way")
    hidden = stranger("GET", f"/v2/messages/{message['id']}{path}")
    nothing = stranger("GET", f"/v2/messages/{NO_SUCH_ID}{path}")
    assert hidden.refusal == nothing.refusal == (404, "10005", "/id")


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/v2/messages/{}"), ("GET", "/v2/messages/group/{}")])
def test_it_is_nothing_that_was_sent(line: Line, method: str, path: str) -> None:
    message = line.says("On my way")
    assert line.call(method, path.format(message["id"])).refusal == (404, "10005", "/id")


def test_it_is_gone_once_it_is_older_than_the_retention(line: Line) -> None:
    message = line.says("On my way")
    line.call.advance_to(line.call.time(days=9, hours=23))
    assert line.call.read(message["id"]) == message
    line.call.advance_to(line.call.time(hours=2))
    assert line.call("GET", f"/v2/messages/{message['id']}").refusal == (404, "10005", "/id")


@on_one_database
@pytest.mark.parametrize(
    ("text", "encoding", "characters", "parts"),
    [
        ("Hello", "GSM-7", 5, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("я" * 71, "UCS-2", 71, 2),
        ("🎉" * 36, "UCS-2", 36, 2),
        ("a" * 1_530, "GSM-7", 1_530, 10),
        ("a\nb\t\u202e👨‍👩‍👧‍👦", "UCS-2", 12, 1),
    ],
)
def test_an_sms_is_counted(line: Line, text: str, encoding: str, characters: int, parts: int) -> None:
    message = line.call.read(line.says(text)["id"])
    assert (message["text"], message["type"]) == (text, "SMS")
    assert (message["encoding"], message["num_chars"], message["parts"]) == (encoding, characters, parts)


def test_an_mms_has_its_media_and_its_subject(line: Line) -> None:
    message = line.write("Look", subject="Cat", media_urls=[CAT]).data
    assert (message["type"], message["subject"], message["parts"]) == ("MMS", "Cat", 1)
    assert message["media"] == [{"url": CAT, "content_type": "image/png", "sha256": None, "size": None}]
    assert line.write(media_urls=[CAT]).data["text"] == ""
    assert line.call.read(message["id"]) == message


@pytest.mark.parametrize(("subject", "kind"), [("", "SMS"), ("Cat", "MMS")])
def test_a_subject_makes_an_mms_unless_it_is_empty(line: Line, subject: str, kind: str) -> None:
    assert line.write("Look", subject=subject).data["type"] == kind


PEOPLE = [
    "hello",
    "+1",
    "123",
    "+447",
    "ACME",
    "18665550001",
    "%2B1%20866%20555%200001",
    "+1866555000%00",
    "%F0%9F%8E%89",
]


@pytest.mark.parametrize("person", PEOPLE)
def test_who_has_no_number_cannot_write(line: Line, person: str) -> None:
    assert line.write("Hello", person=person).refusal == (400, "40310", "/number")


BAD: dict[str, tuple[dict[str, object], tuple[int, str, str]]] = {
    "no recipient": ({"to": None}, (400, "10004", "/to")),
    "an empty recipient": ({"to": ""}, (400, "10004", "/to")),
    "an alphanumeric recipient": ({"to": "ACME"}, (400, "40310", "/to")),
    "a recipient that is no number": ({"to": "+1 844 555 0001"}, (400, "40310", "/to")),
    "a list of recipients": ({"to": [TOLL_FREE]}, (400, "10026", "/to")),
    "no content": ({"text": None}, (400, "40316", "/text")),
    "an empty text": ({"text": "", "media_urls": []}, (400, "40316", "/text")),
    "a subject alone": ({"text": None, "subject": "Cat"}, (400, "40316", "/text")),
    "a text that is none": ({"text": 5}, (400, "10026", "/text")),
    "a NUL in the text": ({"text": "a\0b"}, (400, "10015", "/text")),
    "a NUL in the subject": ({"subject": "a\0b"}, (400, "10015", "/subject")),
    "a NUL in a recipient": ({"to": "+1844555000\0"}, (400, "40310", "/to")),
    "eleven media": ({"media_urls": [CAT] * 11}, (400, "40317", "/media_urls")),
    "media that are no list": ({"media_urls": CAT}, (400, "10026", "/media_urls")),
    "a medium that is no URL": ({"media_urls": [CAT, "cat.png"]}, (400, "10003", "/media_urls/1")),
    "a medium of another scheme": ({"media_urls": ["file:///etc/passwd"]}, (400, "10003", "/media_urls/0")),
    "a NUL in a medium": ({"media_urls": [CAT + "\0"]}, (400, "10003", "/media_urls/0")),
    "a medium that is null": ({"media_urls": [None]}, (400, "10026", "/media_urls/0")),
    "eleven parts": ({"text": "a" * 1_531}, (400, "40302", "/text")),
    "eleven parts of UCS-2": ({"text": "я" * 671}, (400, "40302", "/text")),
    "more than the body holds": ({"text": "a" * MAX_BODY}, (413, "10015", "/")),
}


@on_one_database
@pytest.mark.parametrize(("fields", "expected"), BAD.values(), ids=BAD)
def test_what_cannot_be_written_is_refused(
    line: Line, fields: dict[str, object], expected: tuple[int, str, str]
) -> None:
    given = {"to": line.number, "text": "Hello", **fields}
    body = {name: value for name, value in given.items() if value is not None}
    assert line.call("POST", f"/sandbox/handsets/{line.person}/messages", body).refusal == expected


def test_nobody_writes_to_themselves(line: Line) -> None:
    assert line.write("Hello", to=line.person).refusal == (400, "40310", "/to")


@on_one_database
@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        (b"", "10023", "/"),
        (b"STOP", "10023", "/"),
        (b'{"to": ', "10023", "/"),
        (b"[]", "10026", "/"),
        (b"null", "10026", "/"),
        (b'{"text": "\xff"}', "10028", "/"),
        (b'{"to": "+18445550001", "text": "\\ud83d"}', "10023", "/"),
    ],
)
def test_a_body_that_is_no_message_is_refused(line: Line, body: bytes, code: str, pointer: str) -> None:
    answer = line.call("POST", f"/sandbox/handsets/{line.person}/messages", body)
    assert answer.refusal == (400, code, pointer)


def test_another_content_type_is_refused(line: Line) -> None:
    answer = line.call("POST", f"/sandbox/handsets/{line.person}/messages", b"x", {"Content-Type": "text/plain"})
    assert answer.refusal == (415, "10029", None)


def test_a_message_to_nobody_is_refused_and_on_record(line: Line) -> None:
    nobody = new_person()
    answer = line.write("Hello", to=nobody)
    assert answer.refusal == (400, "40310", "/to")
    assert answer.error["detail"] == f"{nobody} is nobody's number here. The refusal is on record."

    async def last(store: Store) -> RefusedInbound:
        return (await store.inbound.refused(1))[0]

    kept = line.accounts._beside(last)
    assert (kept.carrier, kept.sender, kept.recipient) == ("sandbox", line.person, nobody)


def test_an_alphanumeric_sender_takes_no_messages(line: Line) -> None:
    line.accounts.sender(line.profile, "Acme")
    assert line.write("Hello", to="Acme").refusal == (400, "40310", "/to")


@pytest.mark.parametrize("text", ["STOP", "stopall", "Stop All", "UNSUBSCRIBE", "cancel", "End", " quit "])
def test_a_stop_blocks_in_every_spelling(line: Line, text: str) -> None:
    assert line.says(text)["autoresponse_type"] == "STOP"
    answer = line.send()
    assert (answer.refusal, answer.headers["x-should-retry"]) == ((409, "40300", "/to"), "false")
    assert answer.error["title"] == "Blocked due to STOP message"
    assert f"{line.number} may not message {line.person}" in answer.error["detail"]


@pytest.mark.parametrize("text", ["Please STOP", "STOP!", "I quit", "END OF STORY", "don't cancel"])
def test_a_word_within_a_sentence_blocks_nothing(line: Line, text: str) -> None:
    assert line.says(text)["autoresponse_type"] is None
    assert line.send().status == 200


def _ways(line: Line) -> dict[str, dict[str, object]]:
    """What every send endpoint is called with to reach the person."""
    profile = {"messaging_profile_id": line.profile.id}
    return {
        "/messages": {},
        "/messages/schedule": {"send_at": line.call.time(hours=1)},
        "/messages/long_code": {},
        "/messages/short_code": {"from_": line.accounts.sender(line.profile, f"{next(_PEOPLE) % 1_000_000:06d}")},
        "/messages/number_pool": {"from_": None, **profile},
        "/messages/group_mms": {"to": [line.person], "media_urls": [CAT]},
    }


@pytest.mark.parametrize("prefix", ["/v2", ""])
def test_no_endpoint_takes_a_message_to_who_opted_out(accounts: Accounts, prefix: str) -> None:
    pool: Any = {"number_pool_settings": NumberPool(1, 1, skip_unhealthy=False)}
    for line in opened(accounts, **pool):
        ways = _ways(line)
        assert {path: line.send(prefix + path, **fields).status for path, fields in ways.items()} == dict.fromkeys(
            ways, 200
        )
        line.says("STOP")
        for path, fields in ways.items():
            answer = line.send(prefix + path, **fields)
            assert (path, answer.refusal) == (path, (409, "40300", "/to"))
            assert answer.headers["x-should-retry"] == "false"


def test_an_alphanumeric_sender_is_blocked_with_its_profile(line: Line) -> None:
    person = f"+4477009{next(_PEOPLE) % 100_000:05d}"
    line.accounts.sender(line.profile, "Acme")
    line.says("STOP", person=person)
    fields = {"from_": "Acme", "to": person, "messaging_profile_id": line.profile.id}
    answer = line.send("/v2/messages/alphanumeric_sender_id", **fields)
    assert answer.refusal == (409, "40300", "/to")


def test_of_a_group_nothing_is_taken_and_the_answer_names_who(line: Line) -> None:
    other = new_person()
    line.says("STOP")
    answer = line.send("/v2/messages/group_mms", to=[other, line.person], media_urls=[CAT])
    assert answer.refusal == (409, "40300", "/to")
    assert line.person in answer.error["detail"]
    assert other not in answer.error["detail"]
    assert line.heard(other) == []


def test_a_start_lifts_the_block(line: Line) -> None:
    line.says("STOP")
    assert line.says("unstop")["autoresponse_type"] == "START"
    assert line.send().status == 200
    assert line.call("GET", "/v2/messaging_optouts").data == []


def test_an_opt_out_is_listed_with_the_number_it_was_sent_to(line: Line) -> None:
    message = line.says("quit")
    (found,) = line.call("GET", "/v2/messaging_optouts").data
    assert found == {
        "created_at": message["received_at"],
        "from": line.number,
        "keyword": "QUIT",
        "messaging_profile_id": line.profile.id,
        "to": line.person,
    }


def test_a_stop_counts_for_every_number_of_its_profile_and_for_no_other(line: Line) -> None:
    second, other = line.accounts.sender(line.profile), line.beside()
    line.says("STOP")
    assert line.send(from_=second).refusal == (409, "40300", "/to")
    assert other.send().status == 200
    assert line.send(to=new_person()).status == 200


def test_a_stop_may_count_for_the_account(strict_line: Line) -> None:
    strict_line.says("STOP")
    assert strict_line.beside().send().refusal == (409, "40300", "/to")
    strict_line.beside().says("START")
    assert strict_line.send().status == 200


def test_another_organisation_may_write_to_who_opted_out(line: Line, call: Caller) -> None:
    line.says("STOP")
    assert call.send(to=line.person).status == 200


def test_words_are_answered_on_the_handset(line: Line) -> None:
    for text in ("STOP", "STOP", "HELP", "HELP", "START"):
        line.says(text)
    assert line.heard() == [STOPPED, HELPED, HELPED, STARTED]


def test_answers_are_as_they_were_set_for_the_country(line: Line) -> None:
    path = f"/v2/messaging_profiles/{line.profile.id}/autoresp_configs"
    config = {
        "op": "stop",
        "keywords": ["STOP", "ARRET"],
        "country_code": "US",
        "resp_text": "Acme is silent from now on.",
    }
    assert line.call("POST", path, config).status == 200
    abroad = f"+4477009{next(_PEOPLE) % 100_000:05d}"
    assert line.says("arret")["autoresponse_type"] == "STOP"
    assert line.says("STOP", person=abroad)["autoresponse_type"] == "STOP"
    assert line.heard() == ["Acme is silent from now on."]
    assert line.heard(abroad) == [STOPPED]


@pytest.mark.parametrize("settings", [{"enabled": False}, {"whitelisted_destinations": ("CA",)}])
def test_a_stop_is_obeyed_where_it_cannot_be_answered(line: Line, settings: dict[str, Any]) -> None:
    silent = line.beside(**settings)
    silent.says("STOP")
    assert silent.heard() == []
    (found,) = silent.call("GET", f"/v2/messaging_optouts?filter[messaging_profile_id]={silent.profile.id}").data
    assert found["to"] == silent.person


def test_words_may_be_left_without_an_answer(strict_line: Line) -> None:
    for text in ("STOP", "HELP"):
        strict_line.says(text)
    assert strict_line.heard() == []


def test_a_stop_cancels_what_waits_and_says_why(line: Line) -> None:
    message = line.schedule()
    line.says("STOP")
    found = line.call.read(message["id"])
    assert found["to"][0]["status"] == "cancelled"
    (error,) = found["errors"]
    assert (error["code"], error["title"]) == ("40300", "Blocked due to STOP message")
    (opt_out,) = line.call("GET", f"/v2/messages/{message['id']}/timeline").data
    assert (opt_out["change"], opt_out["status"]) == ("opt_out", "cancelled")
    assert events(line, message["id"]) == [("message.finalized", opt_out["id"])]


def test_a_cancel_afterwards_answers_with_what_it_finds(line: Line) -> None:
    message = line.schedule()
    line.says("STOP")
    answers = [line.call.cancel(message["id"]) for _ in range(2)]
    assert [each.status for each in answers] == [200, 200]
    assert answers[0].body == answers[1].body
    cancelled = answers[0].json
    assert (cancelled["to"][0]["status"], cancelled["cost"]) == ("cancelled", {"amount": 0, "currency": None})
    assert [each["code"] for each in cancelled["errors"]] == ["40300"]
    assert len(events(line, message["id"])) == 1


def test_what_was_cancelled_is_not_sent_when_it_would_be_due(line: Line) -> None:
    message = line.schedule(text="Too late")
    line.says("STOP")
    line.says("START")
    line.call.advance_to(line.call.time(hours=2))
    assert line.status(message) == "cancelled"
    assert "Too late" not in line.heard()


def test_what_waits_for_others_and_on_other_profiles_stays(line: Line) -> None:
    stay = [line.schedule(to=new_person()), line.beside().schedule()]
    line.says("STOP")
    assert [line.status(each) for each in stay] == ["scheduled", "scheduled"]


def test_what_a_stop_cancels_makes_room(small_line: Line) -> None:
    line = small_line
    line.schedule()
    full = line.send("/v2/messages/schedule", to=new_person(), send_at=line.call.time(hours=1))
    assert full.refusal == (429, "40318", None)
    line.says("STOP")
    assert line.schedule(to=new_person())["to"][0]["status"] == "scheduled"


def test_what_waits_may_be_left_until_it_is_due(strict_line: Line) -> None:
    line = strict_line
    message = line.schedule()
    line.says("STOP")
    assert line.status(message) == "scheduled"
    line.call.advance_to(line.call.time(hours=2))
    found = line.call.read(message["id"])
    assert (found["to"][0]["status"], found["sent_at"]) == ("sending_failed", None)
    assert [each["code"] for each in found["errors"]] == ["40300"]
    assert line.heard() == []


def test_what_waits_and_may_be_left_can_still_be_cancelled(strict_line: Line) -> None:
    message = strict_line.schedule()
    strict_line.says("STOP")
    assert strict_line.call.cancel(message["id"]).json["errors"] == []
