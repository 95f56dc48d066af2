"""`/messaging_numbers_bulk_updates`: many numbers put on one profile, by a job in the background (Contract 10)."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from heliograph import randomness
from heliograph.api.auth import Caller
from heliograph.api.body import JsonBody
from heliograph.api.context import ApiContext
from heliograph.api.operations import Operation, Resources
from heliograph.api.problems import JSON
from heliograph.api.senders import profile_of_body, required
from heliograph.api.shapes import Data, encode
from heliograph.domain.bulk_updates import KIND, BulkUpdateWish, result_of, wish_of
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import canonical_uuid
from heliograph.store.jobs import Job
from heliograph.store.numbers import UNASSIGNED

MAX_NUMBERS = 10_000
MAX_NUMBER = 32
"""Characters of what may stand for a number; the longest has 16."""


class BulkUpdateRequest(Struct, kw_only=True):
    """The body of `POST /messaging_numbers_bulk_updates`.

    `assign_only` is to leave all other settings alone. Nothing but the profile is ever changed here, so it makes no
    difference.
    """

    messaging_profile_id: str | None = None
    numbers: list[str] | None = None
    assign_only: bool | None = None


class BulkUpdateBody(Struct, kw_only=True):
    """How far it is; each number is in one of the lists."""

    record_type: str = KIND
    order_id: str
    success: Sequence[str]
    pending: Sequence[str]
    failed: Sequence[str]


DECODER = msgspec.json.Decoder(BulkUpdateRequest)


async def create(context: ApiContext, request: Request) -> Response:
    """`POST /messaging_numbers_bulk_updates`: answered once the job is kept."""

    async def attempt(caller: Caller, epoch: int) -> Job:
        wanted = await body.read()
        if wanted.messaging_profile_id is None:
            raise required("messaging_profile_id")
        numbers = _numbers(wanted.numbers)
        profile_id: str = UNASSIGNED
        if wanted.messaging_profile_id:
            profile_id = await profile_of_body(context, caller.organization_id, wanted.messaging_profile_id)
        await context.confirm(caller, epoch)
        now = context.store.clock.now()
        wish = msgspec.json.encode(BulkUpdateWish(profile_id, numbers))
        return Job(randomness.new_id(now), caller.organization_id, KIND, wish, now, now)

    body = JsonBody(request, DECODER, context.max_body)
    job = await context.as_caller(request.headers.get("authorization"), attempt)
    await context.store.jobs.add(job)
    return _answer(job)


async def retrieve(context: ApiContext, request: Request) -> Response:
    """`GET /messaging_numbers_bulk_updates/{order_id}`: how far it is."""

    async def attempt(caller: Caller, epoch: int) -> Job:
        text = request.path_params["order_id"]
        job_id = canonical_uuid(text)
        await context.confirm(caller, epoch)
        job = await context.store.jobs.find(caller.organization_id, job_id, KIND) if job_id else None
        if job is None:
            raise Refusal(Code.NOT_FOUND, f"There is no bulk update '{text[:48]}'.", "/order_id")
        return job

    return _answer(await context.as_caller(request.headers.get("authorization"), attempt))


def bulk_update_body(job: Job) -> BulkUpdateBody:
    """A job as it is answered; what it left undone at its end has failed."""
    result, numbers = result_of(job.result), wish_of(job.wish).numbers
    left = numbers[result.done :]
    return BulkUpdateBody(
        order_id=job.id,
        success=result.success,
        pending=() if job.over else left,
        failed=result.failed + left if job.over else result.failed,
    )


def _answer(job: Job) -> Response:
    return Response(encode(Data(bulk_update_body(job))), media_type=JSON)


def _numbers(given: list[str] | None) -> tuple[str, ...]:
    """What is to be changed, each once, in the order given; whether it is a number is for the job to find."""
    if not given:
        raise required("numbers")
    if len(given) > MAX_NUMBERS:
        detail = f"At most {MAX_NUMBERS:,} numbers at once, got {len(given):,}."
        raise Refusal(Code.OUT_OF_RANGE, detail, "/numbers")
    for index, each in enumerate(given):
        if len(each) > MAX_NUMBER:
            detail = f"A number has at most {MAX_NUMBER} characters, got {len(each)}."
            raise Refusal(Code.LENGTH_OUT_OF_RANGE, detail, f"/numbers/{index}")
    return tuple(dict.fromkeys(given))


RESOURCES: Resources = {
    "/messaging_numbers_bulk_updates": {
        "POST": Operation(create, "Put many numbers on a profile", BulkUpdateRequest, BulkUpdateBody)
    },
    "/messaging_numbers_bulk_updates/{order_id}": {
        "GET": Operation(retrieve, "Read how far that is", answer=BulkUpdateBody)
    },
}
"""`/messaging_numbers_bulk_updates`."""
