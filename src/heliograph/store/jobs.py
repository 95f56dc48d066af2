"""Jobs: what an organisation asked for and does not wait for, such as a report.

    add --> waiting --claim--> running --finish--> complete | failed
                       ^          |
                       +----------+  the lease ends, or it is handed back

Who claimed a job holds it by a token for as long as the lease lasts; everything is written under that token, so a
process that was paused past its lease changes nothing any more. Time is the database's.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy import Column, Text, delete, func, insert, literal_column, null, select, update

from heliograph.domain.ids import OrganizationId
from heliograph.domain.instant import SECOND, Instant
from heliograph.store.batch import ID, TEXT, Batch, Sql, scalar
from heliograph.store.engine import Engine, Row, Transaction
from heliograph.store.tables import job_pages, jobs

AHEAD = SECOND
"""More than a process's copy of the clock may be before the database's: a job that is added is due at once."""


class JobStatus(StrEnum):
    """How a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"


class ClaimLost(Exception):
    """The job is no longer ours: its lease ended and another process has it, or it was deleted."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job. `wish` and `result` are JSON in the words of its kind."""

    id: str
    organization_id: OrganizationId
    kind: str
    wish: bytes
    created_at: Instant
    updated_at: Instant
    status: JobStatus = JobStatus.WAITING
    result: bytes | None = None
    reason: str | None = None
    """Why it failed."""
    attempts: int = 0
    token: str | None = None
    """What it is held by, for who claimed it."""

    @property
    def over(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in {JobStatus.COMPLETE, JobStatus.FAILED}


def _word(status: JobStatus) -> Any:
    return literal_column(f"'{status.value}'", Text())


def _claim(sql: Sql) -> Any:
    due = (
        select(jobs.c.id)
        .where(jobs.c.due_at <= sql.now, jobs.c.kind.in_(select(sql.rows.c.kind)))
        .order_by(jobs.c.due_at)
        .limit(literal_column("1"))
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    given = {"claim_token": scalar("token", ID), "due_at": sql.now + scalar("lease"), "updated_at": sql.now}
    claimed = update(jobs).where(jobs.c.id.in_(select(due.c.id)))
    return claimed.values(
        status=_word(JobStatus.RUNNING), attempts=jobs.c.attempts + literal_column("1"), **given
    ).returning(*jobs.c)


def _held(values: Callable[[Sql], dict[str, Any]]) -> Batch:
    """A change of the job that is held by a token; its id comes back when it still is."""

    def build(sql: Sql) -> Any:
        mine = (jobs.c.id == scalar("id", ID)) & (jobs.c.claim_token == scalar("token", ID))
        return update(jobs).where(mine).values(**values(sql)).returning(jobs.c.id)

    return Batch({}, build)


def _waits_again(sql: Sql) -> dict[str, Any]:
    return {
        "status": _word(JobStatus.WAITING),
        "due_at": sql.now + scalar("delay"),
        "attempts": jobs.c.attempts - scalar("uncounted"),
        "claim_token": null(),
        "updated_at": sql.now,
    }


def _ended(sql: Sql) -> dict[str, Any]:
    return {
        "status": scalar("status", TEXT),
        "result": func.coalesce(scalar("result", TEXT), jobs.c.result),
        "reason": scalar("reason", TEXT),
        "due_at": null(),
        "claim_token": null(),
        "updated_at": sql.now,
    }


CLAIM = Batch({"kind": TEXT}, _claim)
RENEW = _held(lambda sql: {"due_at": sql.now + scalar("lease")})
TOUCH = _held(lambda sql: {"updated_at": sql.now})
PROGRESS = _held(lambda sql: {"result": scalar("result", TEXT), "updated_at": sql.now})
HAND_BACK = _held(_waits_again)
FINISH = _held(_ended)


class JobBook:
    """Keeps jobs, and gives them out."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.added: Callable[[], None] = lambda: None
        """Told when there is a job to do."""

    async def add(self, job: Job) -> None:
        """Keep a job; it is due at once. `status` and what follows are not looked at."""
        row = {
            "id": job.id,
            "organization_id": job.organization_id,
            "kind": job.kind,
            "status": JobStatus.WAITING.value,
            "wish": job.wish.decode(),
            "due_at": job.created_at - AHEAD,
            "attempts": 0,
            "created_at": job.created_at,
            "updated_at": job.updated_at,
        }
        async with self._engine.transaction() as transaction:
            await transaction.execute(insert(jobs), row)
            transaction.then(self.added)

    async def find(self, organization_id: OrganizationId, job_id: str, kind: str) -> Job | None:
        """A job of an organisation."""
        rows = await self._engine.fetch(select(*jobs.c).where(_one(organization_id, job_id, kind)))
        return _to_job(rows[0]) if rows else None

    async def by_id(self, job_id: str) -> Job | None:
        """A job, whosever it is: for who holds the secret of its file."""
        rows = await self._engine.fetch(select(*jobs.c).where(jobs.c.id == job_id))
        return _to_job(rows[0]) if rows else None

    async def page(
        self, organization_id: OrganizationId, kind: str, offset: int, limit: int
    ) -> tuple[int, Sequence[Job]]:
        """How many jobs of a kind there are, and one page of them, newest first."""
        mine = (jobs.c.organization_id == organization_id) & (jobs.c.kind == kind)
        counted = await self._engine.fetch(select(func.count().label("count")).where(mine))
        statement = select(*jobs.c).where(mine).order_by(jobs.c.id.desc()).offset(offset).limit(limit)
        return counted[0]["count"], [_to_job(row) for row in await self._engine.fetch(statement)]

    async def delete(self, organization_id: OrganizationId, job_id: str, kind: str) -> Job | None:
        """Forget a job and its file, also while it runs; what it was, or None when there is no such job."""
        gone = delete(jobs).where(_one(organization_id, job_id, kind)).returning(*jobs.c)
        async with self._engine.transaction() as transaction:
            row = (await transaction.execute(gone)).mappings().one_or_none()
            if row is not None:
                await transaction.execute(delete(job_pages).where(job_pages.c.job_id == job_id))
        return None if row is None else _to_job(row)

    async def next_due(self, after: Instant) -> Instant | None:
        """The next moment after `after` at which a job falls due."""
        statement = select(func.min(jobs.c.due_at).label("at")).where(jobs.c.due_at > after)
        found: Instant | None = (await self._engine.fetch(statement))[0]["at"]
        return found

    async def claim(self, kinds: Collection[str], token: str, lease: int) -> Job | None:
        """Take the job of these kinds that has been due for longest; what an earlier try wrote of its file is gone.

        Looked for by a read first: an idle service writes nothing.
        """
        if not await self._engine.fetch(select(jobs.c.id).where(jobs.c.due_at <= self._engine.now).limit(1)):
            return None
        async with self._engine.transaction() as transaction:
            rows = await transaction.batch(CLAIM, [(kind,) for kind in sorted(kinds)], token=token, lease=lease)
            if not rows:
                return None
            job = _to_job(rows[0])
            await transaction.execute(delete(job_pages).where(job_pages.c.job_id == job.id))
        return job

    async def renew(self, job: Job, lease: int) -> None:
        """Hold a job for so many microseconds from now. Raises `ClaimLost`, as all that follow."""
        async with self._engine.transaction() as transaction:
            await _hold(transaction, RENEW, job, lease=lease)

    def holding(self, job: Job) -> Callable[[Transaction], Awaitable[None]]:
        """Makes sure, within somebody's transaction and until its end, that a job is still ours."""
        return partial(_hold, change=TOUCH, job=job)

    async def progress(self, job: Job, result: bytes) -> None:
        """Keep what became of a job so far."""
        async with self._engine.transaction() as transaction:
            await _hold(transaction, PROGRESS, job, result=result.decode())

    async def write_page(self, job: Job, number: int, content: str) -> None:
        """Keep a piece of the file that a job makes; pieces are counted from 0."""
        page = self._engine.insert(job_pages).values(job_id=job.id, number=number, content=content)
        again = page.on_conflict_do_update(index_elements=["job_id", "number"], set_={"content": content})
        async with self._engine.transaction() as transaction:
            await _hold(transaction, TOUCH, job)
            await transaction.execute(again)

    async def hand_back(self, job: Job, *, delay: int = 0, counted: bool = True) -> None:
        """Let go of a job; it is due again after so many microseconds. `counted`: whether it was an attempt."""
        async with self._engine.transaction() as transaction:
            await _hold(transaction, HAND_BACK, job, delay=delay, uncounted=0 if counted else 1)

    async def finish(self, job: Job, status: JobStatus, result: bytes | None = None, reason: str | None = None) -> None:
        """End a job. Without a `result`, that of its progress stays."""
        given = {"status": status.value, "result": None if result is None else result.decode(), "reason": reason}
        async with self._engine.transaction() as transaction:
            await _hold(transaction, FINISH, job, **given)

    async def content(self, job_id: str) -> AsyncIterator[str]:
        """The file that a job made, piece by piece."""
        number = 0
        while True:
            wanted = (job_pages.c.job_id == job_id) & (job_pages.c.number == number)
            rows = await self._engine.fetch(select(job_pages.c.content).where(wanted))
            if not rows:
                return
            yield rows[0]["content"]
            number += 1


async def _hold(transaction: Transaction, change: Batch, job: Job, **scalars: Any) -> None:
    if not await transaction.batch(change, (), id=job.id, token=job.token, **scalars):
        raise ClaimLost(job.id)


def _one(organization_id: OrganizationId, job_id: str, kind: str) -> Any:
    return (jobs.c.id == job_id) & (jobs.c.organization_id == organization_id) & (jobs.c.kind == kind)


def _to_job(row: Row) -> Job:
    def text(column: Column[Any]) -> str | None:
        return None if row[column.name] is None else str(row[column.name])

    result = text(jobs.c.result)
    return Job(
        id=str(row["id"]),
        organization_id=OrganizationId(str(row["organization_id"])),
        kind=row["kind"],
        wish=row["wish"].encode(),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        status=JobStatus(row["status"]),
        result=None if result is None else result.encode(),
        reason=row["reason"],
        attempts=row["attempts"],
        token=text(jobs.c.claim_token),
    )
