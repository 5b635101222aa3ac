"""A process that runs some jobs and ends: what a scheduler of containers starts for each job that waits.

It handles no events, so it joins no consumer group and needs no Kafka. One job is one try: what becomes of a failed one
the queue decides, as with any worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Sequence
from functools import partial

from eventstore.store import DISCONNECTED, EventStore
from services.runtime.jobs.runner import JobRunner
from services.runtime.jobs.worker import POLL_SECONDS, Worker
from services.runtime.main import begin
from services.runtime.service import Service
from services.runtime.settings import Settings

log = logging.getLogger(__name__)


def main(service: Service, jobs: int) -> None:
    """Run at most so many jobs. Exits with 2 for a wrong setting, or a log out of reach."""
    begin(service, partial(work, jobs=jobs))


async def work(service: Service, settings: Settings, runner: JobRunner, jobs: int) -> None:
    """Open the log and run the jobs; a signal gives the one at hand back to its queue."""
    store = await EventStore.open(settings.postgres, service=service.name, password=settings.secret())
    async with store:
        workers = [Worker(kind, store, runner, settings, settings.worker) for kind in service.jobs]
        stint = asyncio.create_task(run(workers, jobs, settings.idle_seconds))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stint.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            log.info("jobs that were run: %d", await stint)


async def run(workers: Sequence[Worker], jobs: int, idle: float) -> int:
    """Take jobs from the workers' queues, until there were enough or none came for so long; how many there were."""
    done, since = 0, time.monotonic()
    while done < jobs and time.monotonic() - since < idle:
        if await _take(workers):
            done, since = done + 1, time.monotonic()
        else:
            await asyncio.sleep(POLL_SECONDS)
    return done


async def _take(workers: Sequence[Worker]) -> bool:
    """Run the next job of the first queue that has one; whether there was any, and a database to ask."""
    try:
        for worker in workers:
            if await worker.take():
                return True
    except DISCONNECTED as error:
        log.warning("connection lost (%s); again in a second", error)
        await asyncio.sleep(1)
    return False
