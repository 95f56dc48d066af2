"""From what a carrier hands over to what is kept, answered and called off."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from heliograph.carriers.interface import LateAnswer
from heliograph.carriers.sandbox import NAME
from heliograph.dispatch.reception import Receptionist, ReceptionOptions
from heliograph.domain.accounts import Profile
from heliograph.domain.consent import DEFAULT_REPLIES, Autoresponse, AutoresponseOp
from heliograph.domain.errors import Code
from heliograph.domain.inbound import Arrival, InboundMessage, NotOurs, Operation
from heliograph.domain.instant import HOUR, MINUTE
from heliograph.domain.lifecycle import Status
from heliograph.domain.message import Message
from heliograph.domain.outcome import RepeatPolicy
from heliograph.server import new_sender
from heliograph.store.consent import OptOutFilter
from heliograph.store.engine import open_engine
from heliograph.store.messages import Accepted
from heliograph.store.store import Store
from tests.builders import PLANNER, accept, accepted, advance, make_account, make_message, new_id, status_of
from tests.dispatch.conftest import TABLES, Build, House
from tests.store.doubting import doubted

NUMBER = "+18445550001"
SHORT_CODE = "12345"
PERSON = "+18665550001"
SOMEBODY_ELSE = "+18665550002"
USUAL = ReceptionOptions(HOUR, HOUR, cancel_pending=True, replies=True)

STOPS = [
    "STOP",
    "STOPALL",
    "STOP ALL",
    "UNSUBSCRIBE",
    "CANCEL",
    "END",
    "QUIT",
    "stop",
    " Stop \n",
    "sToPaLl",
    "stop  all",
]
NO_STOPS = [
    "Please STOP",
    "STOP it",
    "STOP.",
    "STOPP",
    "don't stop",
    "S T O P",
    "END OF STORY",
    "I quit",
    "unstop it",
    "",
]


@pytest.fixture
async def profile(store: Store) -> Profile:
    """A profile with a number."""
    return await with_number(store)


@pytest.fixture
async def beside(prepared_database_url: str, store: Store) -> AsyncIterator[Store]:
    """Another process on the database of `store`."""
    opened = Store(open_engine(prepared_database_url, sandbox=True))
    await opened.start()
    yield opened
    await opened.stop()


async def with_number(store: Store, number: str = NUMBER, name: str = "Acme", **settings: Any) -> Profile:
    _, profile = await make_account(store, name, **settings)
    await store.changes.add_sender(new_sender(store, profile, number), store.clock.now())
    await store.accounts.refresh()
    return profile


def desk(store: Store, **options: Any) -> Receptionist:
    """A receptionist with some options changed."""
    return Receptionist(store, TABLES, replace(USUAL, **options), PLANNER)


async def write(
    store: Store, text: str | None, *, to: str = NUMBER, person: str = PERSON, **given: Any
) -> InboundMessage:
    """Somebody writes to a number."""
    options = {name: given.pop(name) for name in ("cancel_pending", "replies") if name in given}
    return await desk(store, **options).message(Arrival(carrier=NAME, sender=person, recipient=to, text=text, **given))


async def waiting(store: Store, profile: Profile, **given: Any) -> Message:
    owner = {"organization_id": profile.organization_id, "profile_id": profile.id}
    return await accepted(store, **{"recipient": PERSON, **owner, **given})


async def read(store: Store, message: Message) -> Message:
    found, _ = await store.messages.find(message.organization_id, message.id)
    assert found is not None
    return found


async def heard(house: House, person: str = PERSON) -> list[str | None]:
    """The texts on a handset, once all that is due has gone."""
    await house.dispatcher.settle()
    return [each.text for each in await house.store.sandbox.handset(person)]


async def opted_out(store: Store, profile: Profile) -> bool:
    total, _ = await store.consent.opt_outs(profile.organization_id, 0, 1, OptOutFilter())
    return total > 0


async def configure(store: Store, profile: Profile, **given: Any) -> None:
    now = store.clock.now()
    values: dict[str, Any] = {
        "id": new_id(store),
        "organization_id": profile.organization_id,
        "profile_id": profile.id,
        "op": AutoresponseOp.STOP,
        "keywords": ("STOP",),
        "country_code": "*",
        "created_at": now,
        "updated_at": now,
    }
    await store.consent.create_autoresponse(Autoresponse(**(values | given)))
    await store.accounts.refresh()


async def test_a_message_belongs_to_whoever_has_the_number(store: Store, profile: Profile) -> None:
    other = await with_number(store, "+18445550002", "Other")
    for number, owner in ((NUMBER, profile), ("+18445550002", other)):
        message = await write(store, "Hello", to=number)
        assert (message.organization_id, message.profile_id) == (owner.organization_id, owner.id)
        assert (await store.inbound.find(owner.organization_id, message.id))[0] == message


async def test_a_number_that_was_added_a_moment_ago_is_known(store: Store, beside: Store) -> None:
    with pytest.raises(NotOurs):
        await write(store, "Hello")
    owner = await with_number(beside)
    assert (await write(store, "Hello")).profile_id == owner.id


async def test_a_number_that_changed_hands_a_moment_ago_is_its_new_owners(
    store: Store, beside: Store, profile: Profile
) -> None:
    await write(store, "Hello")
    await beside.changes.remove_sender(profile.organization_id, NUMBER)
    owner = await with_number(beside, name="New")
    message = await write(store, "STOP")
    assert (message.organization_id, message.profile_id) == (owner.organization_id, owner.id)
    assert not await opted_out(store, profile)


@pytest.mark.parametrize(
    ("to", "why"),
    [("+18445550009", "nobody's number here"), (SHORT_CODE, "on no messaging profile"), ("Acme", "nobody's")],
)
async def test_a_message_for_nobody_is_refused_on_record_and_in_the_log(
    store: Store, profile: Profile, to: str, why: str
) -> None:
    for address, owner in ((SHORT_CODE, None), ("Acme", profile.id)):
        sender = replace(new_sender(store, profile, address), profile_id=owner)
        await store.changes.add_sender(sender, store.clock.now())
    with capture_logs() as logs, pytest.raises(NotOurs, match=why):
        await write(store, "STOP", to=to)
    (refused,) = await store.inbound.refused(10)
    assert (refused.carrier, refused.sender, refused.recipient) == (NAME, PERSON, to)
    assert [each["action"] for each in logs if each["log_level"] == "warning"] == ["inbound_refused"]


async def test_what_is_handed_over_twice_is_answered_as_it_was_kept(house: House, profile: Profile) -> None:
    first = await write(house.store, "HELP", reference="r1")
    again = await write(house.store, "HELP", reference="r1")
    assert again == first
    assert await heard(house) == [DEFAULT_REPLIES[Operation.HELP]]


@pytest.mark.parametrize("text", STOPS)
async def test_a_stop_is_heard_in_every_spelling(house: House, profile: Profile, text: str) -> None:
    message = await write(house.store, text)
    assert message.operation is Operation.STOP
    assert await opted_out(house.store, profile)
    assert await heard(house) == [DEFAULT_REPLIES[Operation.STOP]]


@pytest.mark.parametrize("text", NO_STOPS)
async def test_a_word_within_a_sentence_does_nothing(house: House, profile: Profile, text: str) -> None:
    message = await write(house.store, text)
    assert message.operation is None
    assert not await opted_out(house.store, profile)
    assert await heard(house) == []


async def test_media_alone_are_no_keyword(house: House, profile: Profile) -> None:
    assert (await write(house.store, None)).operation is None
    assert await heard(house) == []


@pytest.mark.parametrize(("text", "kept"), [("stop all", "STOP ALL"), ("quit", "QUIT")])
async def test_the_keyword_is_kept_with_the_opt_out(store: Store, profile: Profile, text: str, kept: str) -> None:
    await write(store, text)
    _, (found,) = await store.consent.opt_outs(profile.organization_id, 0, 10, OptOutFilter())
    assert (found.sender, found.recipient, found.keyword) == (NUMBER, PERSON, kept)


@pytest.mark.parametrize("text", ["START", "unstop", " Start "])
async def test_a_start_lifts_the_opt_out_and_says_so(house: House, profile: Profile, text: str) -> None:
    await write(house.store, "STOP")
    message = await write(house.store, text)
    assert message.operation is Operation.START
    assert not await opted_out(house.store, profile)
    assert await heard(house) == [DEFAULT_REPLIES[each] for each in (Operation.STOP, Operation.START)]


async def test_a_stop_is_answered_once_and_help_each_time(house: House, profile: Profile) -> None:
    for text in ("STOP", "STOP", "quit", "HELP", "help"):
        await write(house.store, text)
    helped = DEFAULT_REPLIES[Operation.HELP]
    assert await heard(house) == [DEFAULT_REPLIES[Operation.STOP], helped, helped]


async def test_a_stop_after_a_start_is_answered_again(house: House, profile: Profile) -> None:
    for text in ("STOP", "START", "STOP"):
        await write(house.store, text)
    stopped, started = DEFAULT_REPLIES[Operation.STOP], DEFAULT_REPLIES[Operation.START]
    assert await heard(house) == [stopped, started, stopped]


async def test_info_asks_for_help_on_a_short_code_only(house: House, profile: Profile) -> None:
    await house.store.changes.add_sender(new_sender(house.store, profile, SHORT_CODE), house.store.clock.now())
    await house.store.accounts.refresh()
    assert (await write(house.store, "INFO")).operation is None
    assert (await write(house.store, "INFO", to=SHORT_CODE)).operation is Operation.HELP
    assert await heard(house) == [DEFAULT_REPLIES[Operation.HELP]]


async def test_a_reply_comes_from_the_number_that_was_written_to_and_names_the_message(
    house: House, profile: Profile
) -> None:
    message = await write(house.store, "STOP")
    await house.dispatcher.settle()
    (arrival,) = await house.store.sandbox.handset(PERSON)
    reply, _ = await house.store.messages.find(profile.organization_id, arrival.message_id)
    assert reply is not None
    assert (reply.sender, reply.answers, reply.profile_id) == (NUMBER, message.id, profile.id)
    assert reply.status is Status.SENT


async def test_settings_answer_in_the_language_of_who_writes(house: House, profile: Profile) -> None:
    await configure(house.store, profile, country_code="MX", resp_text="Ya no recibirá más mensajes.")
    await configure(house.store, profile, resp_text="Acme will not write to you again.")
    for person in ("+525512345678", PERSON):
        await write(house.store, "STOP", person=person)
    assert await heard(house, "+525512345678") == ["Ya no recibirá más mensajes."]
    assert await heard(house) == ["Acme will not write to you again."]


async def test_settings_add_words(house: House, profile: Profile) -> None:
    await configure(house.store, profile, keywords=("Adiós",), resp_text=None)
    assert (await write(house.store, "ADIÓS")).operation is Operation.STOP
    assert await opted_out(house.store, profile)
    assert await heard(house) == [DEFAULT_REPLIES[Operation.STOP]]


async def test_replies_may_be_turned_off_and_a_stop_is_obeyed_all_the_same(house: House, profile: Profile) -> None:
    for text in ("HELP", "STOP"):
        message = await write(house.store, text, replies=False)
        assert message.facts.no_reply is None
    assert await opted_out(house.store, profile)
    assert await heard(house) == []


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"enabled": False}, Code.PROFILE_DISABLED),
        ({"whitelisted_destinations": ("CA", "MX")}, Code.INVALID_REGION),
        ({"whitelisted_destinations": ()}, Code.NO_DESTINATIONS),
    ],
)
async def test_a_reply_that_may_not_be_sent_is_on_record_and_in_the_log(
    house: House, settings: dict[str, Any], code: Code
) -> None:
    profile = await with_number(house.store, **settings)
    with capture_logs() as logs:
        message = await write(house.store, "STOP")
    found, _ = await house.store.inbound.find(profile.organization_id, message.id)
    assert found is not None
    assert (found.facts.no_reply or "").startswith(code)
    told = [(each["action"], each["code"], each["message_id"]) for each in logs if each["log_level"] == "warning"]
    assert told == [("reply_refused", code, message.id)]
    assert await opted_out(house.store, profile)
    assert await heard(house) == []


@pytest.mark.parametrize("person", [NUMBER, "ACME"])
async def test_who_cannot_be_written_to_is_not_answered(house: House, profile: Profile, person: str) -> None:
    message = await write(house.store, "HELP", person=person)
    assert (message.facts.no_reply or "").startswith(Code.INVALID_TO)
    assert await heard(house, person) == []


async def test_a_stop_calls_off_what_waits_and_its_reply_goes_all_the_same(house: House, profile: Profile) -> None:
    message = await waiting(house.store, profile)
    await write(house.store, "STOP")
    await house.advance(HOUR)
    assert await status_of(house.store, message) is Status.CANCELLED
    assert await heard(house) == [DEFAULT_REPLIES[Operation.STOP]]


async def test_what_waits_may_be_left_and_never_reaches_the_carrier(house: House, profile: Profile) -> None:
    message = await waiting(house.store, profile)
    await write(house.store, "STOP", cancel_pending=False)
    assert await status_of(house.store, message) is Status.SCHEDULED
    await house.advance(HOUR)
    found = await read(house.store, message)
    assert (found.status, found.left_at, found.charged) == (Status.SENDING_FAILED, None, False)
    assert [each.code for each in found.errors] == [Code.OPTED_OUT]
    assert await heard(house) == [DEFAULT_REPLIES[Operation.STOP]]


async def test_many_that_are_withheld_do_not_keep_others_from_being_sent(build: Build, profile: Profile) -> None:
    house = build(window=2)
    for _ in range(9):
        await waiting(house.store, profile, send_in=MINUTE)
    other = await waiting(house.store, profile, recipient=SOMEBODY_ELSE, send_in=MINUTE)
    await write(house.store, "STOP", cancel_pending=False, replies=False)
    await house.advance(2 * MINUTE)
    assert await status_of(house.store, other) is Status.DELIVERED


async def test_what_the_carrier_put_off_is_not_tried_again_after_a_stop(house: House, profile: Profile) -> None:
    throttled = "+15005550006"
    message = await waiting(house.store, profile, recipient=throttled, send_in=None)
    await house.dispatcher.settle()
    await write(house.store, "STOP", person=throttled, replies=False)
    assert await status_of(house.store, message) is Status.SENDING
    await house.advance(HOUR)
    found = await read(house.store, message)
    assert (found.status, [each.code for each in found.errors]) == (Status.SENDING_FAILED, [Code.OPTED_OUT])
    assert await heard(house, throttled) == []


async def test_what_may_have_left_is_unknown_and_not_repeated_after_a_stop(build: Build, profile: Profile) -> None:
    house, lost = build(policy=RepeatPolicy.RATHER_TWICE), "+15005550009"
    message = await waiting(house.store, profile, recipient=lost, send_in=None)
    await house.dispatcher.settle()
    await write(house.store, "STOP", person=lost, replies=False)
    await house.advance(HOUR)
    found = await read(house.store, message)
    assert found.status is Status.DELIVERY_UNCONFIRMED
    assert [each.code for each in found.errors] == [Code.OUTCOME_UNKNOWN]
    assert len(await heard(house, lost)) == 1


async def test_a_reply_waits_no_longer_than_any_other_message(house: House, profile: Profile) -> None:
    await write(house.store, "HELP")
    await house.store.sandbox.set_ahead(house.store.clock.offset + 2 * HOUR)
    await house.upkeep.tidy()
    assert await heard(house) == []


async def test_what_one_profile_was_told_is_nothing_to_another(store: Store, profile: Profile) -> None:
    other = await with_number(store, "+18445550002", "Other")
    await configure(store, profile, keywords=("Adiós",), resp_text=None)
    assert (await write(store, "Adiós", to="+18445550002")).operation is None
    await write(store, "STOP", to="+18445550002")
    free = make_message(store, organization_id=profile.organization_id, profile_id=profile.id, recipient=PERSON)
    assert await accept(store, free) is Accepted.TAKEN
    assert (await opted_out(store, profile), await opted_out(store, other)) == (False, True)


@pytest.mark.parametrize(
    ("awaited", "given_up_after"), [({"sandbox": None}, None), ({"sandbox": 2 * HOUR}, 2 * HOUR), ({"other": 1}, HOUR)]
)
async def test_after_a_late_answer_a_receipt_is_awaited_as_its_carrier_sends_them(
    store: Store, awaited: dict[str, int | None], given_up_after: int | None
) -> None:
    message = await doubted(store)
    await desk(store, awaited=awaited).late(LateAnswer(message.id, "sandbox", ("a",)))
    assert await status_of(store, message) is Status.SENT
    await advance(store, (given_up_after or 1_000 * HOUR) - MINUTE)
    assert await store.unconfirm(10) == 0
    await advance(store, 2 * MINUTE)
    assert await store.unconfirm(10) == (given_up_after is not None)
