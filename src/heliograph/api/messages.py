"""`/messages`: send, schedule, read, call off."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from heliograph import randomness
from heliograph.api.auth import Caller
from heliograph.api.body import JsonBody
from heliograph.api.context import ApiContext, StaleAccounts
from heliograph.api.links import shorten
from heliograph.api.operations import Operation, Resources
from heliograph.api.problems import JSON
from heliograph.api.shapes import (
    SEND_DECODER,
    CancelledBody,
    Data,
    EventBody,
    SendRequest,
    cancelled_body,
    encode,
    lateness_ms,
    to_command,
)
from heliograph.bodies import InboundBody, MessageBody, inbound_body, message_body
from heliograph.domain import routing
from heliograph.domain.accounts import Profile, ProfileSettings, Sender
from heliograph.domain.address import AddressKind
from heliograph.domain.compose import Draft, Form, compose, draft, without_media
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import MessageId, OrganizationId, canonical_uuid
from heliograph.domain.inbound import InboundMessage
from heliograph.domain.instant import SECOND, Instant, duration_text, to_text
from heliograph.domain.lifecycle import FINAL, Status
from heliograph.domain.message import Message, MessageType
from heliograph.domain.outcome import opted_out_detail
from heliograph.domain.redaction import NUMBERS, hide_numbers, level, redacted, redacted_inbound
from heliograph.domain.registry import check_registered, unregistered
from heliograph.domain.schedule import check_send_at
from heliograph.domain.spending import budget_of
from heliograph.store.accounts import AccountLookup
from heliograph.store.messages import Acceptance, Accepted, Cancellation
from heliograph.store.numbers import SenderFilter
from heliograph.store.sticky import StickyWish
from heliograph.store.store import Store

SOON = 2 * SECOND
"""What is due within this is told to the dispatchers here at once: a quiet one looks by itself less often."""


async def send(context: ApiContext, request: Request, form: Form) -> Response:
    """`POST /messages` and the endpoints beside it: one body, one answer, kept before it is answered (P2)."""

    async def attempt(caller: Caller, epoch: int) -> Sequence[Message]:
        wanted = draft(to_command(form, await body.read()))
        if not ids:
            now = context.store.clock.now()
            ids.extend(sorted(randomness.new_id(now) for _ in wanted.recipients))
        return await _accept(context, await _compose(context, caller, wanted, epoch, ids))

    # The same at every attempt: a commit whose answer was lost, and that comes to light after the accounts have
    # changed, is found by them and does not become a second message (promise P3).
    ids: list[str] = []
    body = JsonBody(request, SEND_DECODER, context.max_body)
    messages = await context.as_caller(request.headers.get("authorization"), attempt)
    return _json(Data(message_body(messages)))


async def retrieve(context: ApiContext, request: Request) -> Response:
    """`GET /messages/{id}`: one that was sent or one that came in; a group's id answers with all its recipients."""

    async def attempt(caller: Caller, epoch: int) -> MessageBody | InboundBody:
        found = await _find_any(context, caller, request.path_params["id"], epoch)
        settings = await _settings(context, found)
        if isinstance(found, InboundMessage):
            return inbound_body(redacted_inbound(found, settings))
        group = [found]
        if found.group_id == found.id:
            group = list(await context.store.messages.group(caller.organization_id, found.group_id))
        return message_body([redacted(each, settings) for each in group])

    return _json(Data(await context.as_caller(request.headers.get("authorization"), attempt)))


async def timeline(context: ApiContext, request: Request) -> Response:
    """`GET /messages/{id}/timeline`, an extension: what happened to a message, and how late it left."""

    async def attempt(caller: Caller, epoch: int) -> tuple[Message | InboundMessage, bool]:
        found = await _find_any(context, caller, request.path_params["id"], epoch)
        settings = await _settings(context, found)
        return found, level(settings) >= NUMBERS and (isinstance(found, InboundMessage) or found.status in FINAL)

    message, hidden = await context.as_caller(request.headers.get("authorization"), attempt)
    rows = await context.store.messages.timeline(message.id)
    events = [
        EventBody(
            str(row["id"]),
            row["change"],
            row["status"],
            to_text(row["at"]),
            hide_numbers(row["detail"]) if hidden and row["detail"] else row["detail"],
        )
        for row in rows
    ]
    if isinstance(message, InboundMessage):
        return _json(Data(events))
    left_at = None if message.left_at is None else to_text(message.left_at)
    return _json(Data(events, {"left_at": left_at, "lateness_ms": lateness_ms(message)}))


async def retrieve_group(context: ApiContext, request: Request) -> Response:
    """`GET /messages/group/{message_id}`: each message of a group MMS by itself."""

    async def attempt(caller: Caller, epoch: int) -> Sequence[Message]:
        message = await _find(context, caller, request.path_params["message_id"], epoch)
        if message.group_id is None:
            raise _unknown(message.id)
        settings = await _settings(context, message)
        group = await context.store.messages.group(caller.organization_id, message.group_id)
        return [redacted(each, settings) for each in group]

    messages = await context.as_caller(request.headers.get("authorization"), attempt)
    return _json(Data([message_body([each]) for each in messages]))


async def cancel(context: ApiContext, request: Request) -> Response:
    """`DELETE /messages/{id}`: the flat message, cancelled, or why not (Contract 1.5).

    Asked again it answers the same: the SDKs repeat a call whose answer was lost.
    """

    async def attempt(caller: Caller, epoch: int) -> Message:
        """A cancelled message is final, so what its profile hides is hidden here too, the first time as later."""
        message_id = _message_id(request.path_params["id"])
        cutoff = caller.organization.overrides.over(context.rules).cancel_cutoff
        limited = await context.store.accounts.limited(caller.organization_id)
        wish = Cancellation(caller.organization_id, message_id, cutoff, epoch, limited)
        answer = await context.store.cancel(wish)
        if answer.stale:
            raise StaleAccounts
        if answer.message is None:
            raise _unknown(message_id)
        if answer.message.status is not Status.CANCELLED:
            raise _too_late(answer.message, answer.now, cutoff)
        return redacted(answer.message, await _settings(context, answer.message))

    message = await context.as_caller(request.headers.get("authorization"), attempt)
    return _json(cancelled_body(message))


async def not_served(_context: ApiContext, request: Request) -> Response:
    """What the provider has beside SMS and MMS, told apart from an id."""
    raise Refusal(Code.NOT_FOUND, f"{request.url.path} is not served here: SMS and MMS are.")


async def _compose(context: ApiContext, caller: Caller, wanted: Draft, epoch: int, ids: Sequence[str]) -> Acceptance:
    """The messages of a draft, and everything that whether they are taken is judged by."""
    now = context.store.clock.now()
    rules = caller.organization.overrides.over(context.rules)
    if wanted.send_at is not None:
        check_send_at(wanted.send_at, now, rules)
    sender, profile = await _origin(context, caller.organization_id, wanted)
    wanted = _as_carried(context, wanted, sender, profile)
    texts, links = shorten(context, wanted, profile, ids, now)
    messages = [
        context.planner.planned(each)
        for each in compose(wanted, sender, profile, context.tables, now, context.validity, ids, texts)
    ]
    if context.registration_required:
        check_registered(sender, wanted.recipients)
    # What is scheduled gets its slots when its time has come.
    paces = context.planner.paces(messages[0]) if context.planner.paced and wanted.send_at is None else ()
    return Acceptance(messages, epoch, rules.max_pending, paces, links, budget_of(profile))


def _as_carried(context: ApiContext, wanted: Draft, sender: Sender, profile: Profile) -> Draft:
    """An MMS that no carrier could take goes as an SMS where its profile wants that, and is refused elsewhere."""
    if wanted.type is not MessageType.MMS:
        return wanted
    carries = (context.planner.carries_mms(sender.address, each.text, profile.id) for each in wanted.recipients)
    return wanted if all(carries) else without_media(wanted, profile)


async def _accept(context: ApiContext, acceptance: Acceptance) -> Sequence[Message]:
    given = await context.store.accept(acceptance)
    answer = given.outcome
    if answer is Accepted.STALE:
        raise StaleAccounts
    if answer is Accepted.FULL:
        detail = f"{acceptance.max_pending:,} messages are scheduled, which is the limit: cancel some, or wait."
        raise Refusal(Code.QUEUE_FULL, detail, meta={"max_pending": acceptance.max_pending})
    if answer is Accepted.OPTED_OUT:
        unwanted = await context.store.messages.unwanted(acceptance.messages)
        who = " and ".join(unwanted) or "the recipient"
        raise Refusal(Code.OPTED_OUT, opted_out_detail(acceptance.messages[0].sender, who), "/to")
    if answer is Accepted.QUEUE_FULL:
        raise Refusal(Code.QUEUE_FULL, given.detail, "/from")
    if answer is Accepted.SPENT:
        raise Refusal(Code.SPEND_LIMIT_REACHED, given.detail, "/messaging_profile_id")
    send_at = acceptance.messages[0].send_at
    if send_at is None or send_at - context.store.clock.now() < SOON:
        context.released()
    return given.messages


async def _origin(context: ApiContext, organization_id: OrganizationId, wanted: Draft) -> tuple[Sender, Profile]:
    """The sender and the profile of a draft (Contract 4.2)."""
    accounts = context.store.accounts
    profile_id = wanted.command.profile_id
    profile = await _profile(accounts, organization_id, profile_id) if profile_id else None
    address = wanted.sender
    if address is None:
        if profile is None:
            raise Refusal(Code.MISSING_PARAMETER, "Give 'from' or 'messaging_profile_id'.", "/from")
        return await _from_pool(context, profile, wanted), profile
    if address.kind is AddressKind.ALPHANUMERIC:
        if profile is None:
            detail = f"An alphanumeric sender such as '{address.text}' needs 'messaging_profile_id'."
            raise Refusal(Code.MISSING_PARAMETER, detail, "/messaging_profile_id")
        sender = await _named(context.store, profile, address.text)
        return await _in_place_of(accounts, sender, wanted), profile
    number = await accounts.sender(organization_id, address.text)
    if number is None or number.profile_id is None:
        detail = f"{address.text} is not a number of one of your messaging profiles."
        raise Refusal(Code.INVALID_FROM, detail, "/from")
    return number, profile or await _profile(accounts, organization_id, number.profile_id)


async def _named(store: Store, profile: Profile, name: str) -> Sender:
    """The alphanumeric sender of a profile that a request names."""
    registered = await store.accounts.sender(profile.organization_id, name, profile.id)
    others = 0
    if registered is None and profile.settings.alpha_sender is None:
        beside = SenderFilter((AddressKind.ALPHANUMERIC,), profile.id)
        others, _ = await store.senders.page(profile.organization_id, beside, 0, 1)
    return routing.alphanumeric(profile, name, registered, others=others > 0)


async def _in_place_of(accounts: AccountLookup, sender: Sender, wanted: Draft) -> Sender:
    """What an alphanumeric sender falls back to where none may be sent from (Contract 4.2); else the sender itself.

    The number stands in for a sender of this profile, whichever it is on itself.
    """
    fallback = sender.us_long_code_fallback
    if fallback is None or not routing.needs_number(wanted.recipients):
        return sender
    number = await accounts.sender(sender.organization_id, fallback)
    return sender if number is None else replace(number, profile_id=sender.profile_id)


async def _from_pool(context: ApiContext, profile: Profile, wanted: Draft) -> Sender:
    """A number of the profile's pool: the one that writes to this person already, where that is asked for (6.2)."""
    pool, recipient = routing.pool_of(profile), wanted.recipients[0].text
    store = context.store
    unhealthy = await store.accounts.unhealthy(profile.organization_id) if pool.skip_unhealthy else ()
    numbers = await store.accounts.pool(profile.organization_id, profile.id)
    barred = unregistered(numbers, wanted.recipients) if context.registration_required else ()
    usable = routing.usable(pool, numbers, unhealthy, barred)
    picked = routing.pick(pool, usable, recipient, randomness.fraction())
    if not pool.sticky_sender:
        return picked
    by_address = {each.address: each for each in usable}
    wish = StickyWish(profile.id, recipient, picked.address, by_address.keys(), wanted.send_at)
    # Of two asked at once under different settings, one may be told a number that it does not know; it is stale then.
    return by_address.get(await store.stick(wish), picked)


async def _profile(accounts: AccountLookup, organization_id: OrganizationId, profile_id: str) -> Profile:
    canonical = canonical_uuid(profile_id)
    profile = await accounts.profile(organization_id, canonical) if canonical else None
    if profile is None:
        detail = f"There is no messaging profile '{profile_id[:48]}'."
        raise Refusal(Code.NO_ASSOCIATED_RESOURCE, detail, "/messaging_profile_id")
    return profile


async def _settings(context: ApiContext, message: Message | InboundMessage) -> ProfileSettings | None:
    """The settings of a message's profile as they are now: they say what of it is hidden."""
    profile = await context.store.accounts.profile_ever(message.organization_id, message.profile_id)
    return None if profile is None else profile.settings


async def _find(context: ApiContext, caller: Caller, text: str, epoch: int) -> Message:
    """A message of the caller that is not older than the retention; what still waits is never too old."""
    message_id = _message_id(text)
    message, standing = await context.store.messages.find(caller.organization_id, message_id)
    if not standing.holds(epoch):
        raise StaleAccounts
    if message is None or (message.status in FINAL and _is_too_old(context, message.received_at)):
        raise _unknown(message_id)
    return message


async def _find_any(context: ApiContext, caller: Caller, text: str, epoch: int) -> Message | InboundMessage:
    """The same for a message that was sent or came in."""
    message_id = _message_id(text)
    try:
        return await _find(context, caller, text, epoch)
    except Refusal:
        inbound, standing = await context.store.inbound.find(caller.organization_id, message_id)
        if not standing.holds(epoch):
            raise StaleAccounts from None
        if inbound is None or _is_too_old(context, inbound.received_at):
            raise
        return inbound


def _is_too_old(context: ApiContext, received_at: Instant) -> bool:
    return received_at < context.store.clock.now() - context.retention


def _message_id(text: str) -> MessageId:
    canonical = canonical_uuid(text)
    if canonical is None:
        raise _unknown(text)
    return MessageId(canonical)


def _unknown(text: str) -> Refusal:
    return Refusal(Code.NOT_FOUND, f"There is no message with the id '{text[:48]}'.", "/id")


def _too_late(message: Message, now: int, cutoff: int) -> Refusal:
    status = message.status
    meta: dict[str, object] = {"status": status.value, "send_at": None}
    if message.send_at is None:
        return Refusal(Code.RESOURCE_LOCKED, f"The message was not scheduled: it is {status}.", meta=meta)
    meta["send_at"] = to_text(message.send_at)
    if status is Status.SCHEDULED:
        left = max(0, message.send_at - now) / 1_000_000
        detail = (
            f"Too late to cancel: 'send_at' is {left:.1f} seconds away, "
            f"and a message can be cancelled while it is more than {duration_text(cutoff)} away."
        )
    else:
        detail = f"Too late to cancel: the message is {status}."
    return Refusal(Code.RESOURCE_LOCKED, detail, meta=meta)


def _json(body: object) -> Response:
    return Response(encode(body), media_type=JSON)


def _sending(form: Form, summary: str) -> Operation:
    return Operation(partial(send, form=form), summary, SendRequest, MessageBody)


RESOURCES: Resources = {
    "/messages": {"POST": _sending(Form.ANY, "Send a message, now or later")},
    "/messages/schedule": {"POST": _sending(Form.SCHEDULE, "Schedule a message")},
    "/messages/long_code": {"POST": _sending(Form.LONG_CODE, "Send from a long code or a toll-free number")},
    "/messages/short_code": {"POST": _sending(Form.SHORT_CODE, "Send from a short code")},
    "/messages/number_pool": {"POST": _sending(Form.NUMBER_POOL, "Send from the number pool of a profile")},
    "/messages/group_mms": {"POST": _sending(Form.GROUP_MMS, "Send an MMS to a group")},
    "/messages/alphanumeric_sender_id": {"POST": _sending(Form.ALPHANUMERIC, "Send from an alphanumeric sender")},
    "/messages/whatsapp": {"POST": Operation(not_served, "Not served", refusals=(404,))},
    "/messages/rcs": {"POST": Operation(not_served, "Not served", refusals=(404,))},
    "/messages/group/{message_id}": {
        "GET": Operation(retrieve_group, "Read the messages of a group MMS", answer=list[MessageBody])
    },
    "/messages/{id}": {
        "GET": Operation(retrieve, "Read a message", answer=MessageBody | InboundBody),
        "DELETE": Operation(cancel, "Cancel a scheduled message", answer=CancelledBody, flat=True),
    },
    "/messages/{id}/timeline": {"GET": Operation(timeline, "Read what happened to a message", answer=list[EventBody])},
}
"""`/messages`."""
