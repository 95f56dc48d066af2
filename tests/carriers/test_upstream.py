"""The upstream carrier against real servers on this machine: what is sent, and what follows from what comes back."""

import ssl
from typing import Any

import pytest
import trustme

from heliograph.api.shapes import SEND_DECODER, to_command
from heliograph.carriers.interface import (
    Carrier,
    CarrierFailure,
    OutcomeUnknown,
    Refused,
    Taken,
    TemporarilyRefused,
    Throttled,
    Unreachable,
)
from heliograph.carriers.upstream import UpstreamCarrier
from heliograph.carriers.upstream_requests import body_of, path_of
from heliograph.clock import SystemClock
from heliograph.domain.compose import Form, draft
from heliograph.domain.instant import MILLISECOND, SECOND
from heliograph.domain.message import Facts, Message, MessageType, Progress
from heliograph.domain.text import Encoding
from heliograph.outgoing import OutgoingHttp, OutgoingOptions
from tests.carriers.upstreams import (
    KEY,
    LOCAL,
    MESSAGES,
    NAME,
    THEIR_ID,
    Signer,
    forwarding,
    forwarding_to,
    message,
    mms,
    options,
    refused,
    taken,
    upstream,
)
from tests.outgoing.endpoints import endpoint
from tests.webhooks.receiver import (
    Behaviour,
    Door,
    Request,
    answer,
    close_unanswered,
    close_within_headers,
    cut_within_body,
    dripping_headers,
    raw,
    reset_before_answer,
    reset_within_headers,
    silent,
)

GROUP = "/v2/messages/group_mms"


async def sent(given: Any = None, path: str = MESSAGES, **named: Any) -> Request:
    """What comes to the upstream when a message is submitted."""
    async with upstream() as server, forwarding(server, **named) as watched:
        server.otherwise(taken())
        await watched.submit(given)
        (request,) = server.at(path)
        return request


async def failed(play: Behaviour, within: int = 20 * SECOND, **named: Any) -> CarrierFailure:
    """What becomes of a message that the upstream meets with this."""
    async with upstream() as server, forwarding(server, **named) as watched:
        server.script(MESSAGES, play)
        return await watched.failure(within=within)


async def test_a_message_is_taken_under_the_upstreams_id() -> None:
    async with upstream() as server, forwarding(server) as watched:
        assert await watched.submit() == Taken((THEIR_ID,))
        state = watched.carrier.state()
        assert (state.taken, state.up, state.kind, state.last_error) == (1, True, "upstream", None)
        assert state.rate > 0


async def test_it_goes_with_our_key_and_with_our_id_against_repeats() -> None:
    given = message()
    headers = (await sent(given)).headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["idempotency-key"] == given.id
    assert (headers["content-type"], headers["accept"]) == ("application/json",) * 2


async def test_an_sms_is_told_whole_and_in_no_more_words() -> None:
    expected = {
        "from": "+18445550001",
        "to": "+18665550001",
        "text": "Hello, World!",
        "type": "SMS",
        "encoding": "gsm7",
    }
    assert (await sent()).told == expected


async def test_the_text_is_the_encoded_one_and_its_encoding_is_named() -> None:
    told = (await sent(message(text="„Hi“", facts=Facts(Encoding.GSM7, 4, body='"Hi"')))).told
    assert (told["text"], told["encoding"]) == ('"Hi"', "gsm7")
    told = (await sent(message(text="Ω", facts=Facts(Encoding.UCS2, 1)))).told
    assert (told["text"], told["encoding"]) == ("Ω", "ucs2")


async def test_the_subject_of_an_sms_stays_here() -> None:
    told = (await sent(message(facts=Facts(Encoding.GSM7, 1, subject="Greetings")))).told
    assert "subject" not in told


async def test_the_profile_at_the_upstream_is_named_where_one_is_set() -> None:
    assert (await sent(messaging_profile_id="40017a6e")).told["messaging_profile_id"] == "40017a6e"


async def test_an_mms_goes_with_its_media_and_its_subject() -> None:
    given = mms("http://media.example/a.png", "http://media.example/b.png", subject="Greetings")
    told = (await sent(given, fetch_media=False)).told
    assert told["media_urls"] == ["http://media.example/a.png", "http://media.example/b.png"]
    assert (told["type"], told["subject"], "encoding" in told) == ("MMS", "Greetings", False)


async def test_an_mms_without_media_or_subject_goes_to_a_group_of_one() -> None:
    told = (await sent(mms(), GROUP)).told
    assert told == {"from": "+18445550001", "to": ["+18665550001"], "text": "Hello, World!"}


async def test_each_recipient_of_a_group_is_sent_an_mms_of_its_own() -> None:
    one = mms(subject="Greetings", group_id=message().id)
    assert (await sent(one)).told["to"] == "+18665550001"


async def test_with_a_callback_the_upstream_is_told_where_to_report_on_this_message() -> None:
    given = message()
    told = (await sent(given, callback_url="https://ours.example/h/", public_keys=(Signer().public,))).told
    assert told["webhook_url"] == f"https://ours.example/h/carriers/{NAME}/webhooks?message={given.id}"
    assert told["use_profile_webhooks"] is False


async def test_half_a_character_is_refused_here() -> None:
    async with upstream() as server, forwarding(server) as watched:
        failure = await watched.failure(message(text="\ud83d", facts=Facts(Encoding.UCS2, 1)))
        assert (type(failure), failure.error.code, server.at(MESSAGES)) == (Refused, "40009", [])


@pytest.mark.parametrize(
    ("given", "form", "kind"),
    [
        (message(facts=Facts(Encoding.GSM7, 1, subject="Greetings")), Form.ANY, MessageType.SMS),
        (message(text="Ω", facts=Facts(Encoding.UCS2, 1)), Form.ANY, MessageType.SMS),
        (message(sender="Heliograph"), Form.ANY, MessageType.SMS),
        (mms("https://media.example/a.png", text=None), Form.ANY, MessageType.MMS),
        (mms(subject="Greetings"), Form.ANY, MessageType.MMS),
        (mms(), Form.GROUP_MMS, MessageType.MMS),
    ],
    ids=["sms", "ucs2", "alphanumeric", "mms", "subject", "text alone"],
)
def test_another_heliograph_reads_the_message_that_was_meant(given: Message, form: Form, kind: MessageType) -> None:
    body = body_of(given, options("https://up.example/v2", messaging_profile_id="40017a6e"))
    read = draft(to_command(form, SEND_DECODER.decode(body)))
    assert path_of(given) == (form.value if form is Form.GROUP_MMS else "/messages")
    assert (read.type, [each.text for each in read.recipients]) == (kind, [given.recipient])
    assert read.command.text == given.text
    assert [each.url for each in read.media] == [each.url for each in given.facts.media]


async def test_what_the_carrier_can_do_follows_from_its_options() -> None:
    http = OutgoingHttp(LOCAL)
    carrier: Carrier = UpstreamCarrier(options("https://up.example/v2"), http, SystemClock())
    plain = carrier.abilities
    assert (plain.repeatable, plain.receipts, plain.mms, plain.settles) == (False, False, True, False)
    given = {
        "callback_url": "https://ours.example",
        "public_keys": (Signer().public,),
        "repeat_safe": True,
        "mms": False,
    }
    full = UpstreamCarrier(options("https://up.example/v2", **given), http, SystemClock()).abilities
    assert (full.repeatable, full.receipts, full.mms, full.settles) == (True, True, False, True)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "40310", Refused),
        (409, "40300", Refused),
        (422, "10015", Refused),
        (401, "10009", TemporarilyRefused),
        (402, "20100", TemporarilyRefused),
        (403, "20012", TemporarilyRefused),
        (429, "40333", TemporarilyRefused),
        (302, "", TemporarilyRefused),
        (404, "", TemporarilyRefused),
        (429, "10011", Throttled),
        (429, "40318", Throttled),
        (409, "10036", OutcomeUnknown),
        (200, "", OutcomeUnknown),
        (400, "", OutcomeUnknown),
        (408, "10008", OutcomeUnknown),
        (500, "10007", OutcomeUnknown),
        (502, "", OutcomeUnknown),
        (503, "10037", OutcomeUnknown),
        (504, "", OutcomeUnknown),
    ],
)
async def test_an_answer_decides_what_became_of_the_message(status: int, code: str, kind: type[CarrierFailure]) -> None:
    assert type(await failed(refused(status, code) if code else answer(status, b"<html>"))) is kind


@pytest.mark.parametrize(
    "play",
    [
        close_unanswered,
        reset_before_answer,
        close_within_headers,
        reset_within_headers,
        cut_within_body(200),
        raw(b"220 mail.example ESMTP\r\n\r\n"),
    ],
    ids=["end", "reset", "end within", "reset within", "half a body", "garbage"],
)
async def test_an_answer_that_is_lost_leaves_the_outcome_unknown(play: Behaviour) -> None:
    failure = await failed(play)
    assert (type(failure), failure.taken, failure.error.code) == (OutcomeUnknown, (None,), "49001")


@pytest.mark.parametrize("play", [silent, dripping_headers])
async def test_an_answer_that_does_not_come_in_time_leaves_the_outcome_unknown(play: Behaviour) -> None:
    assert type(await failed(play, timeout=300 * MILLISECOND)) is OutcomeUnknown


async def test_an_answer_is_waited_for_no_longer_than_the_message_is_ours() -> None:
    assert type(await failed(silent, within=300 * MILLISECOND)) is OutcomeUnknown


async def test_a_body_cut_within_a_refusal_leaves_the_outcome_unknown() -> None:
    assert type(await failed(cut_within_body(400))) is OutcomeUnknown


async def test_after_its_moment_no_byte_of_a_message_leaves() -> None:
    async with upstream() as server, forwarding(server) as watched:
        for within in (0, -SECOND):
            assert type(await watched.failure(within=within)) is Unreachable
        assert (server.at(MESSAGES), watched.carrier.up) == ([], True)


async def test_where_nobody_listens_any_more_nothing_left() -> None:
    async with upstream() as server, forwarding(server) as watched:
        await server.down()
        failure = await watched.failure()
        assert (type(failure), failure.error.code, failure.taken) == (Unreachable, "40006", ())
        assert (watched.carrier.up, watched.carrier.room) == (False, 0)


@pytest.mark.parametrize("door", [Door.CLOSE, Door.RESET])
async def test_a_connection_that_ends_at_once_may_have_carried_the_message(door: Door) -> None:
    async with upstream() as server, forwarding(server) as watched:
        await server.down()
        server.door = door
        await server.up()
        assert type(await watched.failure()) is OutcomeUnknown


async def test_a_certificate_that_does_not_hold_is_shown_no_key_and_no_message() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with endpoint(tls=context) as place:
        url = f"https://127.0.0.1:{place.port}/v2"
        async with forwarding_to(url, wait=False) as watched:
            await watched.sees(lambda carrier: carrier.state().last_error is not None)
            assert type(await watched.failure()) is Unreachable
            assert place.requests == []


async def test_an_address_that_may_not_be_called_is_down_and_says_so() -> None:
    async with forwarding_to("http://10.0.0.1/v2", wait=False, client=OutgoingOptions()) as watched:
        await watched.sees(lambda carrier: carrier.state().last_error is not None)
        expected = "10.0.0.1:80: The host is at an address that may not be called."
        assert watched.carrier.state().last_error == expected


async def test_parts_that_the_upstream_has_are_not_given_again() -> None:
    async with upstream() as server, forwarding(server) as watched:
        assert await watched.submit(message(progress=Progress(NAME, ("4031-a",)))) == Taken(("4031-a",))
        assert server.at(MESSAGES) == []


@pytest.mark.parametrize("progress", [Progress(NAME, (None,)), Progress(NAME, ()), Progress("other", ("4031-a",))])
async def test_what_is_given_again_knowingly_is_sent(progress: Progress) -> None:
    async with upstream() as server, forwarding(server) as watched:
        assert await watched.submit(message(progress=progress)) == Taken((THEIR_ID,))
