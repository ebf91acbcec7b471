"""Works on imports and exports that wait, wherever they were asked for."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

import structlog
from sqlalchemy import Connection

from mailferry.resources.contacts import exports, imports, jobs
from mailferry.resources.contacts.jobs import Job, Kind

log = structlog.get_logger(__name__)

T = TypeVar("T")

#: Pieces of one job before others have their turn.
TURN = 20


class Store(Protocol):
    """See store/database.py."""

    async def read(self, query: Callable[[Connection], T]) -> T: ...
    async def write(self, query: Callable[[Connection], T]) -> T: ...


#: One piece of a job: the job as it goes on, or None when there is none left, or when it is somebody else's now.
Step = Callable[[Job], Awaitable[Job | None]]


class Workshop:
    """Several may be at work, on one node or on many. ``steps``: of the kinds of job that are none of ours."""

    def __init__(self, database: Store, clock: Callable[[], int], steps: Mapping[Kind, Step] | None = None) -> None:
        self._database = database
        self._clock = clock
        self._steps = {Kind.IMPORT: self._import, Kind.EXPORT: self._export, **(steps or {})}

    async def run_due(self) -> None:
        """Until nothing waits that nobody else works on."""
        # A look costs nothing; a claim is a transaction, and for nothing nearly every time.
        while await self._database.read(lambda connection: jobs.due(connection, self._clock())):
            job = await self._database.write(lambda connection: jobs.claim(connection, self._clock()))
            if job is not None:
                await self._work(job)

    async def _work(self, job: Job) -> None:
        step = self._steps[job.kind]
        try:
            left = job
            for _ in range(TURN):
                after = await step(left)
                if after is None:
                    return
                left = after
            await self._database.write(lambda connection: jobs.release(connection, job, self._clock()))
        except Exception as error:
            log.exception("contact_job_failed", job=job.id, kind=job.kind)
            await self._give_up(job, repr(error))

    async def _import(self, job: Job) -> Job | None:
        goes_on = await self._database.write(lambda connection: imports.work(connection, job, self._clock()))
        return job if goes_on else None

    async def _export(self, job: Job) -> Job | None:
        # Read on a reading connection: on SQLite nobody who writes has to wait for it.
        piece = await self._database.read(lambda connection: exports.read(connection, job))
        return await self._database.write(lambda connection: exports.keep(connection, job, piece, self._clock()))

    async def _give_up(self, job: Job, error: str) -> None:
        """For now, or for good when it was tried often enough."""
        if await self._database.write(lambda connection: jobs.fail(connection, job, error, self._clock())):
            log.error("contact_job_ended", job=job.id, kind=job.kind, error=error)
