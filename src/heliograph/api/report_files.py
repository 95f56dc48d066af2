"""Reports that are made in the background: begun, found, listed and deleted alike; and the files they make.

A file is fetched without a key: its address holds a secret, so whoever is given the address may read the file, until
the report is deleted.
"""

import hmac
from collections.abc import Callable, Sequence
from re import compile as regex

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from heliograph import randomness
from heliograph.api.auth import Caller
from heliograph.api.context import ApiContext
from heliograph.api.paging import Page, page_meta
from heliograph.api.problems import JSON, problem
from heliograph.api.shapes import Data, encode
from heliograph.domain.errors import Code, Refusal
from heliograph.domain.ids import canonical_uuid
from heliograph.log import get_logger
from heliograph.store.engine import StoreUnavailable
from heliograph.store.jobs import Job, JobStatus

logger = get_logger("api")

PATH = "/v2/reports/files/{id}/{secret}.csv"
_ODD = regex(r"[^A-Za-z0-9._-]+")
LONGEST_NAME = 64

Body = Callable[[Job, str | None], object]
"""A report as it is answered, from its job and the address of its file, if there is one yet."""


class _Wish(msgspec.Struct):
    """What every wish for a report has in common."""

    secret: str
    report_name: str = ""


_wish = msgspec.json.Decoder(_Wish).decode
_encode = msgspec.json.Encoder().encode


def new_job(context: ApiContext, caller: Caller, kind: str, wish: object) -> Job:
    """A job that makes a report."""
    now = context.store.clock.now()
    return Job(randomness.new_id(now), caller.organization_id, kind, _encode(wish), now, now)


def answer(context: ApiContext, request: Request, job: Job, body: Body) -> Response:
    """One report."""
    return Response(encode(Data(body(job, file_url(context, request, job)))), media_type=JSON)


async def retrieve(context: ApiContext, request: Request, kind: str, body: Body) -> Response:
    """Read a report by its id."""

    async def attempt(caller: Caller, epoch: int) -> Job:
        await context.confirm(caller, epoch)
        report_id = canonical_uuid(request.path_params["id"])
        job = await context.store.jobs.find(caller.organization_id, report_id, kind) if report_id else None
        return _present(job, request)

    job = await context.as_caller(request.headers.get("authorization"), attempt)
    return answer(context, request, job, body)


async def delete(context: ApiContext, request: Request, kind: str, body: Body) -> Response:
    """Delete a report and its file, also one that is being made."""

    async def attempt(caller: Caller, epoch: int) -> Job:
        await context.confirm(caller, epoch)
        report_id = canonical_uuid(request.path_params["id"])
        job = await context.store.jobs.delete(caller.organization_id, report_id, kind) if report_id else None
        return _present(job, request)

    job = await context.as_caller(request.headers.get("authorization"), attempt)
    return Response(encode(Data(body(job, None))), media_type=JSON)


async def index(context: ApiContext, request: Request, kind: str, body: Body, page: Page) -> Response:
    """List reports of a kind, newest first."""

    async def attempt(caller: Caller, epoch: int) -> tuple[int, Sequence[Job]]:
        await context.confirm(caller, epoch)
        return await context.store.jobs.page(caller.organization_id, kind, page.offset, page.size)

    total, jobs = await context.as_caller(request.headers.get("authorization"), attempt)
    shown = [body(job, file_url(context, request, job)) for job in jobs]
    return Response(encode(Data(shown, page_meta(page, total))), media_type=JSON)


def status_of(job: Job) -> str:
    """`PENDING`, `COMPLETE` or `FAILED`, as reports have it."""
    return job.status.value.upper() if job.over else "PENDING"


def file_url(context: ApiContext, request: Request, job: Job) -> str | None:
    """Where the file of a report is; None while there is none."""
    if job.status is not JobStatus.COMPLETE:
        return None
    base = context.public_url or str(request.base_url)
    return base.rstrip("/") + PATH.format(id=job.id, secret=_wish(job.wish).secret)


def create_route(context: ApiContext) -> Route:
    """`GET /reports/files/{id}/{secret}.csv`."""

    async def fetch(request: Request) -> Response:
        try:
            return await _file(context, request)
        except Refusal as refusal:
            return problem(refusal)
        except StoreUnavailable as error:
            logger.warning("the store did not answer", action="store_unavailable", reason=str(error))
            return problem(Refusal(Code.SERVICE_UNAVAILABLE, "The database cannot be reached."))

    return Route(PATH, fetch, methods=["GET"])


async def _file(context: ApiContext, request: Request) -> Response:
    report_id = canonical_uuid(request.path_params["id"])
    job = await context.store.jobs.by_id(report_id) if report_id else None
    wish = None if job is None or job.status is not JobStatus.COMPLETE else _secret_wish(job)
    given = request.path_params["secret"].encode()
    if job is None or wish is None or not hmac.compare_digest(wish.secret.encode(), given):
        raise Refusal(Code.NOT_FOUND, "There is no such file.", "/id")
    name = _ODD.sub("_", wish.report_name)[:LONGEST_NAME] or job.id
    headers = {"content-disposition": f'attachment; filename="{name}.csv"', "cache-control": "private, no-store"}
    pages = context.store.jobs.content(job.id)
    return StreamingResponse(pages, headers=headers, media_type="text/csv")


def _secret_wish(job: Job) -> _Wish | None:
    """None for a job that makes no file."""
    try:
        return _wish(job.wish)
    except msgspec.ValidationError:
        return None


def _present(job: Job | None, request: Request) -> Job:
    if job is None:
        detail = f"There is no report with the id '{request.path_params['id'][:48]}'."
        raise Refusal(Code.NOT_FOUND, detail, "/id")
    return job
