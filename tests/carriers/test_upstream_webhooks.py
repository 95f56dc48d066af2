"""What an upstream tells us: which webhooks are believed, and what they become."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.bodies import payload_of, webhook
from heliograph.carriers.interface import LateAnswer
from heliograph.carriers.upstream_webhooks import UpstreamWebhooks
from heliograph.carriers.webhooks import NotReady, NotVerified, Unreadable
from heliograph.clock import SystemClock
from heliograph.domain.events import EventType
from heliograph.domain.ids import MessageId
from heliograph.domain.inbound import Arrival, NotOurs
from heliograph.domain.instant import HOUR, Instant, parse, to_text
from heliograph.domain.lifecycle import Change, Status
from heliograph.domain.message import DeliveryError, Media
from heliograph.domain.receipt import Receipt
from heliograph.domain.text import Encoding
from heliograph.webhooks.payload import envelope
from tests.carriers.upstreams import EVENT, NAME, OCCURRED, THEIR_ID, Kept, Signer, event, forwarding, message, upstream

OURS = "0198f5a0-1111-7000-8000-000000000001"
CALLBACK = f"https://ours.example/carriers/{NAME}/webhooks?message={OURS}"
SIGNER = Signer()
WORDS = st.sampled_from(["message.sent", "message.finalized", "message.received", "delivered", THEIR_ID])
KEYS = st.sampled_from(["data", "meta", "id", "event_type", "payload", "to", "from", "status", "errors", "media"])
NEARLY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | WORDS,
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
)
"""JSON that has something of a webhook."""
MEDIA = {"url": "https://media.example/a.png", "content_type": "image/png", "sha256": "ab", "size": 7}


class Told:
    """Webhooks with an inbox, and what came of them."""

    def __init__(self, offset: int = 0) -> None:
        self.webhooks = UpstreamWebhooks(NAME, [SIGNER.public], SystemClock(offset))
        self.kept = Kept()
        self.webhooks.inbox = self.kept

    async def by(self, body: bytes, **query: str) -> list[Receipt | LateAnswer | Arrival]:
        """What a signed webhook leaves in the inbox."""
        await self.webhooks.webhook(SIGNER.headers(body), body, query)
        return self.kept.came


def final(status: str, *errors: object, **given: Any) -> dict[str, Any]:
    to = [{"phone_number": "+18665550001", "status": status}]
    return {"id": THEIR_ID, "direction": "outbound", "to": to, "errors": list(errors)} | given


def inbound(**given: Any) -> dict[str, Any]:
    parties = {"from": {"phone_number": "+18665550001"}, "to": [{"phone_number": "+18445550001"}]}
    return {"id": THEIR_ID, "type": "SMS", "text": "Hi", "subject": "", "media": [], **parties, **given}


async def receipt_of(payload: object, **given: Any) -> Receipt:
    (found,) = await Told().by(event("message.finalized", payload, **given))
    assert isinstance(found, Receipt)
    return found


async def arrival_of(**given: Any) -> Arrival:
    (found,) = await Told().by(event("message.received", inbound(**given)))
    assert isinstance(found, Arrival)
    return found


BODY = event("message.sent", final("sent"))


async def test_the_time_is_the_machines_whatever_the_test_clock_says() -> None:
    assert await Told(offset=HOUR).by(BODY, message=OURS) != []


async def test_nothing_is_kept_of_what_is_not_believed() -> None:
    told = Told()
    with pytest.raises(NotVerified):
        await told.webhooks.webhook(Signer().headers(BODY), BODY, {"message": OURS})
    assert told.kept.came == []


async def test_without_an_inbox_it_must_come_again() -> None:
    webhooks = UpstreamWebhooks(NAME, [SIGNER.public], SystemClock())
    with pytest.raises(NotReady):
        await webhooks.webhook(SIGNER.headers(BODY), BODY, {})


# ------------------------------------------------------------------------------------------------- receipts


async def test_a_delivered_message_has_a_receipt() -> None:
    found = await receipt_of(final("delivered"))
    assert (found.carrier, found.carrier_message_id, found.change) == (NAME, THEIR_ID, Change.DELIVER)
    assert (found.at, found.error, found.other_ids) == (parse(OCCURRED), None, ())


@pytest.mark.parametrize("status", ["delivery_failed", "sending_failed", "expired", "cancelled"])
async def test_a_message_that_failed_has_the_upstreams_first_error(status: str) -> None:
    errors = [{"code": "40001", "title": "x", "detail": "A landline."}, {"code": "40008", "title": "y"}]
    found = await receipt_of(final(status, *errors))
    told = DeliveryError("40001", "Not routable", "The upstream reports: 40001 x: A landline.")
    assert (found.change, found.error) == (Change.FAIL, told)


@pytest.mark.parametrize(
    ("code", "becomes"), [("40310", "40012"), ("40014", "40014"), ("40300", "40300"), ("47000", "40008")]
)
async def test_its_code_becomes_one_of_a_delivery(code: str, becomes: str) -> None:
    found = await receipt_of(final("delivery_failed", {"code": code}))
    assert found.error is not None
    assert (found.error.code, code in found.error.detail) == (becomes, True)


@pytest.mark.parametrize(
    ("status", "code"), [("delivery_failed", "40008"), ("sending_failed", "40008"), ("expired", "40005")]
)
@pytest.mark.parametrize("errors", [[], None, "x", [{}], [None]], ids=repr)
async def test_a_failure_without_an_error_has_one_of_ours(status: str, code: str, errors: object) -> None:
    found = await receipt_of(final(status, errors=errors))
    assert found.error is not None
    assert (found.error.code, status in found.error.detail) == (code, True)


@pytest.mark.parametrize("status", ["delivery_unconfirmed", "sent", "", "new_word", None])
async def test_an_end_that_decides_nothing_is_acknowledged(status: str) -> None:
    assert await Told().by(event("message.finalized", final(status))) == []


@pytest.mark.parametrize("to", [[], None])
async def test_nor_does_an_end_without_a_recipient(to: object) -> None:
    assert await Told().by(event("message.finalized", final("delivered", to=to))) == []


async def test_an_event_that_comes_twice_is_one_receipt() -> None:
    told, body = Told(), event("message.finalized", final("delivered"))
    await told.by(body)
    first, second = await told.by(body)
    assert first == second


async def test_a_receipt_is_found_by_its_time_so_its_id_is_of_that_time() -> None:
    sooner = await receipt_of(final("delivered"), occurred_at="2026-11-24T10:00:00Z")
    later = await receipt_of(final("delivered"), occurred_at="2026-11-24T10:00:01Z")
    assert (sooner.id[14], sooner.id < later.id) == ("7", True)


async def test_an_event_id_that_is_of_its_time_already_is_kept() -> None:
    assert (await receipt_of(final("delivered"), id=OURS.upper())).id == OURS


async def test_different_events_are_different_receipts() -> None:
    given = [{"id": EVENT}, {"id": EVENT.replace("1", "2")}, {"id": "event-1"}, {"id": "event-2"}]
    assert len({(await receipt_of(final("delivered"), **each)).id for each in given}) == 4


@pytest.mark.parametrize("occurred_at", [None, "yesterday", "2026-11-24T10:00:00"])
async def test_an_event_of_no_time_happened_now(occurred_at: str | None) -> None:
    before = SystemClock().now()
    found = await receipt_of(final("delivered"), occurred_at=occurred_at)
    assert before <= found.at <= SystemClock().now()


async def test_nothing_happened_after_now() -> None:
    ahead = to_text(Instant(SystemClock().now() + HOUR))
    assert (await receipt_of(final("delivered"), occurred_at=ahead)).at <= SystemClock().now()


async def test_what_happened_is_told_by_the_test_clock() -> None:
    (found,) = await Told(offset=HOUR).by(event("message.finalized", final("delivered")))
    assert isinstance(found, Receipt)
    assert found.at == parse(OCCURRED) + HOUR


async def test_the_id_of_a_group_is_another_name_of_its_message() -> None:
    assert (await receipt_of(final("delivered", group_message_id="4031-g"))).other_ids == ("4031-g",)
    assert (await receipt_of(final("delivered", group_message_id=THEIR_ID))).other_ids == ()


# ------------------------------------------------------------------------------------------------- what was in doubt

SETTLED = LateAnswer(MessageId(OURS), NAME, (THEIR_ID,))


async def test_an_event_for_our_message_settles_what_is_in_doubt() -> None:
    assert await Told().by(event("message.sent", final("sent"), CALLBACK)) == [SETTLED]


async def test_it_does_so_before_its_receipt() -> None:
    first, second = await Told().by(event("message.finalized", final("delivered"), CALLBACK))
    assert (first, type(second)) == (SETTLED, Receipt)


async def test_an_unconfirmed_end_still_says_that_the_upstream_had_it() -> None:
    assert await Told().by(event("message.finalized", final("delivery_unconfirmed"), CALLBACK)) == [SETTLED]


async def test_the_url_of_the_request_does_where_the_event_does_not_tell_it() -> None:
    assert await Told().by(event("message.sent", final("sent")), message=OURS.upper()) == [SETTLED]


async def test_a_url_that_was_not_signed_does_not_speak_against_one_that_was() -> None:
    other = "0198f5a0-2222-7000-8000-000000000002"
    assert await Told().by(event("message.sent", final("sent"), CALLBACK), message=other) == [SETTLED]
    plain = f"https://ours.example/carriers/{NAME}/webhooks"
    assert await Told().by(event("message.sent", final("sent"), plain), message=other) == []


@pytest.mark.parametrize("ours", ["", "x", "' OR 1=1", "0" * 36, "\0"])
async def test_an_id_that_is_none_of_ours_settles_nothing(ours: str) -> None:
    assert await Told().by(event("message.sent", final("sent")), message=ours) == []


@pytest.mark.parametrize(
    "url", ["https://[", "x", "https://ours.example/?message=%00", "https://ours.example/?message="]
)
async def test_nor_does_a_url_that_cannot_be_read(url: str) -> None:
    assert await Told().by(event("message.sent", final("sent"), url)) == []


# ------------------------------------------------------------------------------------------------- what comes in


async def test_a_message_that_came_in_is_handed_over() -> None:
    assert await arrival_of(encoding="GSM-7", parts=2) == Arrival(
        carrier=NAME,
        sender="+18665550001",
        recipient="+18445550001",
        text="Hi",
        encoding=Encoding.GSM7,
        parts=2,
        reference=THEIR_ID,
    )


@pytest.mark.parametrize("name", ["sha256", "hash_sha256"])
async def test_media_come_with_their_description(name: str) -> None:
    item = {key: value for key, value in MEDIA.items() if key != "sha256"} | {name: "ab"}
    found = await arrival_of(type="MMS", media=[item], subject="Greetings")
    assert found.media == (Media("https://media.example/a.png", "image/png", "ab", 7),)
    assert found.subject == "Greetings"


@pytest.mark.parametrize("media", [[], None])
async def test_an_mms_of_a_text_alone_stays_one(media: object) -> None:
    assert (await arrival_of(type="MMS", media=media)).subject == ""


async def test_an_sms_has_no_subject() -> None:
    assert (await arrival_of()).subject is None


@pytest.mark.parametrize(("encoding", "read"), [("UCS-2", Encoding.UCS2), ("UTF-16", None), (None, None)])
async def test_an_encoding_that_is_not_ours_is_left_to_the_text(encoding: object, read: Encoding | None) -> None:
    assert (await arrival_of(encoding=encoding)).encoding is read


@pytest.mark.parametrize("parts", [0, -1, None])
async def test_so_are_parts_that_are_no_number_of_parts(parts: object) -> None:
    assert (await arrival_of(parts=parts)).parts is None


@pytest.mark.parametrize("sender", ["12345", "Acme Bank", {"phone_number": "+442071838750", "carrier": None}])
async def test_anybody_may_write(sender: object) -> None:
    expected = sender["phone_number"] if isinstance(sender, dict) else sender
    assert (await arrival_of(**{"from": sender})).sender == expected


async def test_numbers_written_as_texts_are_read() -> None:
    found = await arrival_of(parts="2", media=[MEDIA | {"size": "7"}])
    assert (found.parts, found.media[0].size) == (2, 7)


async def test_what_no_database_holds_is_replaced() -> None:
    found = await arrival_of(text="a\0b", subject="c\0", media=[MEDIA | {"url": "https://a\0"}])
    assert (found.text, found.subject, found.media[0].url) == ("a\ufffdb", "c\ufffd", "https://a\ufffd")


async def test_half_a_character_is_replaced_and_a_whole_one_kept() -> None:
    assert (await arrival_of(text="cut \ud83d, whole 😀")).text == "cut \ufffd, whole 😀"


async def test_a_message_for_nobody_is_acknowledged() -> None:
    told = Told()
    told.kept.fails_with = NotOurs("+18445550001 is nobody's number here.")
    assert await told.by(event("message.received", inbound())) == []


async def test_what_cannot_be_kept_is_not_acknowledged() -> None:
    told = Told()
    told.kept.fails_with = ConnectionError("the database is away")
    for body in (event("message.received", inbound()), event("message.finalized", final("delivered"))):
        with pytest.raises(ConnectionError):
            await told.by(body)
    assert (told.webhooks.receipts, told.webhooks.inbound) == (0, 0)


# ------------------------------------------------------------------------------------------------- everything else


@pytest.mark.parametrize("kind", ["message.read", "messaging-profile.spend-limit-reached", "x", ""])
async def test_other_events_are_acknowledged_whatever_they_hold(kind: str) -> None:
    payloads: tuple[object, ...] = ({"configured_limit": "1"}, None, [], 5)
    for payload in payloads:
        assert await Told().by(event(kind, payload)) == []


async def test_a_click_on_a_link_is_acknowledged() -> None:
    assert await Told().by(b'{"data":{"record_type":"link_clicked","message_id":"4031","to":"18665550001"}}') == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"\xff",
        b"[]",
        b"{}",
        b'{"data":5}',
        event("message.finalized", final("delivered"), id=""),
        b'{"data":{"id":"1","event_type":"message.sent","payload":',
        b"[" * 100_000,
        event("message.sent", None),
        event("message.sent", {}),
        event("message.sent", {"id": None}),
        event("message.sent", {"id": ""}),
        event("message.sent", {"id": "a b"}),
        event("message.finalized", {"id": "x" * 129, "to": [{"status": "delivered"}]}),
        event("message.finalized", final("delivered", to="x")),
        event("message.received", {"id": THEIR_ID}),
        event("message.received", inbound(to=[])),
        event("message.received", inbound(to=[{}])),
        event("message.received", inbound(**{"from": {"phone_number": None}})),
        event("message.received", inbound(**{"from": " "})),
        event("message.received", inbound(**{"from": "a\0b"})),
        event("message.received", inbound(**{"from": "1" * 65})),
        event("message.received", inbound(id=None)),
        event("message.received", inbound(media=[{}])),
    ],
    ids=lambda body: ascii(body[-40:]) + str(len(body)),
)
async def test_what_cannot_be_read_says_so_and_leaves_nothing(body: bytes) -> None:
    told = Told()
    with pytest.raises(Unreadable):
        await told.by(body)
    assert told.kept.came == []


@given(st.binary() | NEARLY.map(lambda told: json.dumps(told).encode()))
async def test_nothing_that_is_signed_does_harm(body: bytes) -> None:
    with suppress(Unreadable):
        await Told().by(body)


# ------------------------------------------------------------------------------------------------- another Heliograph


async def test_events_of_another_heliograph_are_read() -> None:
    theirs = message(id=MessageId(THEIR_ID), status=Status.DELIVERED, completed_at=SystemClock().now())
    told = webhook(OURS, EventType.FINALIZED, SystemClock().now(), payload_of(theirs, EventType.FINALIZED))
    first, second = await Told().by(envelope(told, 1, CALLBACK))
    assert first == SETTLED
    assert isinstance(second, Receipt)
    assert (second.id, second.change, second.carrier_message_id) == (OURS, Change.DELIVER, THEIR_ID)


async def test_the_carrier_takes_webhooks_from_its_start_to_its_stop_and_counts_them() -> None:
    async with upstream() as server, forwarding(server, public_keys=(SIGNER.public,)) as watched:
        for body in (event("message.finalized", final("delivered")), event("message.received", inbound())):
            await watched.carrier.webhook(SIGNER.headers(body), body, {})
        assert [type(each) for each in watched.kept.came] == [Receipt, Arrival]
        state = watched.carrier.state()
        assert (state.receipts, state.inbound) == (1, 1)
        await watched.carrier.stop()
        with pytest.raises(NotReady):
            await watched.carrier.webhook(SIGNER.headers(BODY), BODY, {})
