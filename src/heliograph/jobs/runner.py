"""Does jobs, one at a time in each process.

    claim --> the handler of its kind --> finish
                 |  meanwhile the lease is renewed
                 +--> an error: due again later, at most `ATTEMPTS` times
                 +--> the process dies: its lease ends, and another process takes it

A handler may so be run twice for one job: what it writes elsewhere, it must be able to write again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from heliograph import randomness
from heliograph.domain.instant import SECOND
from heliograph.log import get_logger
from heliograph.service import Loop
from heliograph.store.engine import StoreUnavailable
from heliograph.store.jobs import ClaimLost, Job, JobStatus
from heliograph.store.store import Store

logger = get_logger("jobs")

ATTEMPTS = 5
LEASE = 30 * SECOND
POLL = 2 * SECOND
"""How often jobs are looked for that another process took, or left."""
PAUSE = 5 * SECOND
"""Until a job that failed is tried again, the first time; then twice as long each time."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a job: its result, as JSON, or the reason why it cannot be done. Pages are written meanwhile."""

    result: bytes | None = None
    reason: str | None = None


Handler = Callable[[Store, Job], Awaitable[Done]]
"""Does a job. An error that it raises is taken to pass; what will not pass, it returns as the `reason`."""


class JobRunner(Loop):
    """Takes jobs of the kinds that it has handlers for."""

    name = "jobs"

    def __init__(self, store: Store, handlers: Mapping[str, Handler], lease: int = LEASE) -> None:
        super().__init__()
        self._store = store
        self._handlers = handlers
        self._lease = lease
        self._one_at_a_time = asyncio.Lock()
        self._working: asyncio.Future[Done] | None = None

    async def stop(self) -> None:
        """Let go of the job in hand: another process, or the next start, begins it anew."""
        self._stopping = True
        if self._working is not None:
            self._working.cancel()
        await super().stop()

    async def run_pass(self) -> int:
        """One job."""
        return 0 if await self.work() else POLL

    async def settle(self) -> None:
        """Return when no job is due, and none in hand here."""
        while await self.work():
            pass

    async def work(self) -> bool:
        """Do the job that has been due for longest; whether there was one."""
        async with self._one_at_a_time:
            if self._stopping:
                return False
            token = randomness.new_id(self._store.clock.now())
            job = await self._store.jobs.claim(self._handlers, token, self._lease)
            if job is None:
                return False
            await self._do(job)
            return True

    async def _do(self, job: Job) -> None:
        if job.attempts > ATTEMPTS:
            await self._give_up(job, f"Every process that tried it came to an end, {ATTEMPTS} times.")
            return
        working = self._working = asyncio.ensure_future(self._handlers[job.kind](self._store, job))
        keeping = asyncio.create_task(self._keep(job, working))
        try:
            await asyncio.wait({working})
        finally:
            keeping.cancel()
            working.cancel()
            self._working = None
        try:
            await self._conclude(job, working)
        except ClaimLost:
            logger.warning("a job was taken over or deleted meanwhile", action="job_lost", job_id=job.id, kind=job.kind)

    async def _keep(self, job: Job, working: "asyncio.Future[Done]") -> None:
        """Renew the lease for as long as this runs; a job that is lost is left off."""
        while True:
            await asyncio.sleep(self._lease / 3 / SECOND)
            try:
                await self._store.jobs.renew(job, self._lease)
            except StoreUnavailable as error:
                logger.warning("a lease was not renewed", action="job_lease", job_id=job.id, reason=str(error))
            except ClaimLost:
                working.cancel()
                return

    async def _conclude(self, job: Job, working: "asyncio.Future[Done]") -> None:
        if working.cancelled():
            await self._store.jobs.hand_back(job, counted=False)
            return
        error = working.exception()
        if error is None:
            done = working.result()
            status = JobStatus.COMPLETE if done.reason is None else JobStatus.FAILED
            await self._store.jobs.finish(job, status, done.result, done.reason)
            logger.info("a job is over", action="job_over", job_id=job.id, kind=job.kind, status=status.value)
        elif isinstance(error, ClaimLost):
            raise error
        else:
            await self._failed(job, error)

    async def _failed(self, job: Job, error: BaseException) -> None:
        logger.error("a job failed", action="job_failed", job_id=job.id, kind=job.kind, exc_info=error)
        if job.attempts < ATTEMPTS:
            await self._store.jobs.hand_back(job, delay=PAUSE << (job.attempts - 1))
        else:
            await self._give_up(job, f"It failed {ATTEMPTS} times: {type(error).__name__}.")

    async def _give_up(self, job: Job, reason: str) -> None:
        await self._store.jobs.finish(job, JobStatus.FAILED, reason=reason)
