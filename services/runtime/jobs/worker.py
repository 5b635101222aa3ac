"""A worker leases one job at a time, runs it in a subprocess, and keeps the lease from outside that subprocess.

A worker that loses its lease kills its job and writes nothing: only the worker with the lease writes to the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, TypeVar

from eventstore.effect import NOTHING, Append, Effect
from eventstore.store import DISCONNECTED, EventStore, Job, LeaseLost, Read, StreamConflict
from schemas.envelope import Envelope
from schemas.scores import Cost
from services.runtime.jobs.ledger import Ledger, Refusal
from services.runtime.jobs.runner import Again, JobFailed, JobRunner, Report
from services.runtime.service import Failure, JobKind
from services.runtime.settings import Settings
from services.runtime.telemetry.metrics import JOB_SECONDS, JOBS, RUNNING
from services.runtime.telemetry.redaction import safe_message
from services.runtime.telemetry.tracing import append_spans, job_span, mark_failed

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
PAUSE_SECONDS = 1.0

Result = TypeVar("Result")


async def retry_until_connected(act: Callable[[], Awaitable[Result]]) -> Result:
    """The result of an act on the database, repeated after each loss of the connection; other errors are raised.

    A job's result is worth hours of work, so it waits for the database however long that takes.
    """
    while True:
        try:
            return await act()
        except DISCONNECTED as error:
            log.warning("waiting for the log: %s", error)
            await asyncio.sleep(PAUSE_SECONDS)


class Worker:
    """Works one queue until it is cancelled."""

    def __init__(self, kind: JobKind, store: EventStore, runner: JobRunner, settings: Settings, name: str) -> None:
        self.kind, self.store, self.runner, self.settings, self.name = kind, store, runner, settings, name
        self.ttl = timedelta(seconds=settings.lease_seconds)
        self.ledger = Ledger(kind)

    async def work(self) -> None:
        """Lease and run jobs, for ever."""
        while True:
            if not await self.take():
                await asyncio.sleep(POLL_SECONDS)

    async def take(self) -> bool:
        """Bury what is overdue, then run the next job to its end; whether there was one."""
        await self.bury()
        with ExitStack() as spans:
            job, refusal = await self.lease(spans)
            if job is not None and refusal is None:
                await self.hold(job)
            elif job is not None and refusal is not None:
                with contextlib.suppress(LeaseLost), append_spans(self.refuse(job, refusal)) as traced:
                    await self.store.fail(job, traced, None)
        return job is not None

    async def lease(self, spans: ExitStack) -> tuple[Job | None, Refusal | None]:
        """The next job, and why the log does not owe it. Only a job that it owes has start events.

        The job's span starts inside the transaction that leases it, so it covers the start events.
        """
        refusal: Refusal | None = None
        with ExitStack() as appends:

            async def start_events(job: Job, read: Read) -> Sequence[Append]:
                nonlocal refusal
                if refusal := await self.ledger.refusal(job, read):
                    return ()
                spans.enter_context(job_span(job, self.name))
                return appends.enter_context(append_spans(Effect(tuple(self.kind.started(job, self.name))))).events

            return await self.store.lease(self.kind.queue, self.name, self.ttl, start_events), refusal

    def refuse(self, job: Job, refusal: Refusal) -> Effect:
        """What a refused row leaves in the log: a free failure of the job that the log owes under its key, if any."""
        log.error("%s: %s", refusal.error, refusal.message)
        JOBS.labels(job.queue, "refused").inc()
        if refusal.expected is None:
            return NOTHING
        return self.kind.failed(refusal.expected, Failure(refusal.error, refusal.message, terminal=True, cost=Cost()))

    async def bury(self) -> None:
        """Report the jobs that no worker will finish: out of tries with a dead worker, or past their deadline."""
        for job in await self.store.overdue(self.kind.queue):
            dead = job.seconds_left is not None and job.seconds_left <= 0
            error, message = (
                ("DeadlinePassed", f"the deadline {job.deadline} passed; {self.kind.remedy}")
                if dead
                else ("WorkerLost", f"all {job.attempts} tries lost their worker; see the services' logs")
            )
            failure = Failure(error, message, terminal=True, cost=Cost(lost_seconds=job.lost_seconds))
            refusal = await self.ledger.refusal(job, self.read)
            effect = self.refuse(job, refusal) if refusal else self.kind.failed(job, failure)
            # Suppressed if another worker has ended it meanwhile, or its own worker has come back.
            with contextlib.suppress(LeaseLost), job_span(job, self.name), append_spans(effect) as traced:
                await self.store.reap(job, traced)

    def read(self, campaign: str, after: int) -> AsyncIterator[Envelope]:
        """The campaign's events after a position, outside of a lease's transaction."""
        return self.store.read(campaign=campaign, after=after)

    async def hold(self, job: Job) -> None:
        """Run one leased job to its end: success, failure, or loss of the lease."""
        RUNNING.labels(job.queue).inc()
        start = time.monotonic()
        run = asyncio.create_task(self.run(job))
        heart = asyncio.create_task(self.keep(job))
        try:
            await asyncio.wait({run, heart}, return_when=asyncio.FIRST_COMPLETED)
            await (run if run.done() else heart)
        except LeaseLost as lost:
            JOBS.labels(job.queue, "lease lost").inc()
            mark_failed("LeaseLost")
            log.warning("%s", lost)
        except asyncio.CancelledError:
            await _cancel(run, heart)  # before the release: the next worker must not run beside our process
            await self.store.release(job)
            raise
        finally:
            await _cancel(run, heart)
            RUNNING.labels(job.queue).dec()
            JOB_SECONDS.labels(job.queue).inc(time.monotonic() - start)

    async def run(self, job: Job) -> None:
        """Run the job's function and write its result; the store checks the lease."""
        start = time.monotonic()
        try:
            argument = self.prepare(job)
            result = await self.runner.run(self.kind.function, argument, self.progress(job), job.seconds_left)
        except JobFailed as failed:
            await self.fail(job, failed, time.monotonic() - start)
        else:
            if isinstance(result, Again):
                await retry_until_connected(lambda: self.store.postpone(job, timedelta(seconds=result.seconds)))
            else:
                await self.finish(job, self.kind.finished(job, result))

    def prepare(self, job: Job) -> Any:
        """The argument of the job's function. Raises `JobFailed`.

        A value of the log for which the system has no file, such as too long a path, fails its job and not the worker.
        """
        try:
            return self.kind.prepare(job, self.settings)
        except (OSError, ValueError) as error:
            raise JobFailed(type(error).__name__, safe_message(error)) from error

    async def finish(self, job: Job, effect: Effect) -> None:
        """Write the result once the database is reachable; end the job without it if its stream has moved on."""
        try:
            with append_spans(effect) as traced:
                await retry_until_connected(lambda: self.store.finish(job, traced))
            JOBS.labels(job.queue, "done").inc()
        except StreamConflict as late:
            await retry_until_connected(lambda: self.store.finish(job, NOTHING))
            JOBS.labels(job.queue, "late").inc()
            log.warning("job %s came too late: %s", job.key, late)

    async def fail(self, job: Job, failed: JobFailed, seconds: float) -> None:
        """Charge a failed try, and queue the next unless the failure is terminal.

        Failures found in preflight are free; time lost by crashed workers is still charged. Where the failure has no
        event, the job's next event charges the try.
        """
        terminal = failed.error in self.kind.permanent or job.last_attempt or self.kind.gives_up(job, seconds)
        cost = Cost(lost_seconds=job.lost_seconds)
        if failed.error not in self.kind.uncharged:
            usage = {"seconds": round(seconds, 3), "device_seconds": round(failed.device_seconds, 3)}
            cost = cost.model_copy(update=usage)
        message = f"{failed.message}; {self.kind.remedy}" if failed.error == "DeadlinePassed" else failed.message
        effect: Effect = self.kind.failed(job, Failure(failed.error, message, terminal, cost))
        mark_failed(failed.error)
        if not terminal:
            await self.write_progress(job, {"error": failed.error, "message": message})
        uncharged = 0.0 if effect.events else round(cost.seconds + cost.lost_seconds, 3)
        with append_spans(effect) as traced:
            await retry_until_connected(
                lambda: self.store.fail(job, traced, None if terminal else self.kind.pause(job), uncharged)
            )
        JOBS.labels(job.queue, "failed").inc()

    def progress(self, job: Job) -> Report:
        """A reporter that overwrites the job's row in the progress table, without waiting for it."""
        loop = asyncio.get_running_loop()
        return lambda data: _forget(loop.create_task(self.write_progress(job, data)))

    async def write_progress(self, job: Job, data: dict[str, Any]) -> None:
        """Overwrite the progress; it is skipped while the database is unreachable, the next one replaces it."""
        with contextlib.suppress(*DISCONNECTED):
            await self.store.set_progress(job.campaign, job.key, data)

    async def keep(self, job: Job) -> None:
        """Renew the lease three times per lifetime, also after a loss of the database. Raises `LeaseLost`."""
        while True:
            await asyncio.sleep(self.settings.lease_seconds / 3)
            await retry_until_connected(lambda: self.store.heartbeat(job, self.ttl))


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


_background: set[asyncio.Task[None]] = set()


def _forget(task: asyncio.Task[None]) -> None:
    """Keep a task alive until it is done (asyncio holds tasks weakly)."""
    _background.add(task)
    task.add_done_callback(_background.discard)
