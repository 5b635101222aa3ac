"""A process that runs one job and ends, as a container per job does: `aevolve serve trainer --jobs 1`."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from datetime import timedelta

import asyncpg
import pytest

from eventstore.effect import Effect, Work
from eventstore.store import EventStore
from services.console.embedded.system import clean_environment
from services.runtime.jobs.run_jobs import run
from services.runtime.jobs.runner import JobRunner
from services.runtime.jobs.worker import Worker
from services.runtime.settings import Settings
from tests.conftest import PASSWORDS
from tests.integration.test_worker import job_process, put, said
from tests.unit.runtime.test_jobs import gone
from tests.work_for_tests import kind, started_event

IDLE = 0.5


@pytest.fixture(scope="module")
def runner() -> JobRunner:
    return JobRunner(["tests.jobs_for_tests"])


def worker(store: EventStore, runner: JobRunner, queue: str, function: str, argument: object) -> Worker:
    return Worker(kind(queue, function, argument), store, runner, Settings(lease_seconds=5), "me")


async def states(owner: asyncpg.Connection, queue: str) -> list[str]:
    rows = await owner.fetch("SELECT state FROM work WHERE queue = $1 ORDER BY id", queue)
    return [row["state"] for row in rows]


async def test_it_leaves_the_jobs_beyond_its_number_to_others(trainer, runner, queue, owner) -> None:
    (cause,) = await trainer.append([started_event(queue, 1)])
    await trainer.handle(queue, cause, Effect(work=(Work(queue, "1", "w", {}), Work(queue, "2", "w", {}))))
    assert await run([worker(trainer, runner, queue, "sleep", 0)], 1, IDLE) == 1
    assert await states(owner, queue) == ["done", "queued"]
    assert await run([worker(trainer, runner, queue, "sleep", 0)], 5, IDLE) == 1
    assert await states(owner, queue) == ["done", "done"]


async def test_it_ends_without_work_where_none_comes(trainer, runner, queue) -> None:
    assert await run([worker(trainer, runner, queue, "sleep", 0)], 1, IDLE) == 0


async def test_a_failed_try_is_a_job_and_the_next_is_somebody_elses(trainer, runner, queue, owner) -> None:
    await put(trainer, queue, attempts=2)
    assert await run([worker(trainer, runner, queue, "explode", "adapter")], 1, IDLE) == 1
    assert await states(owner, queue) == ["queued"]


async def test_it_takes_over_from_a_worker_that_died(trainer, runner, queue, owner) -> None:
    await put(trainer, queue, attempts=2)
    await trainer.lease(queue, "doomed", timedelta(seconds=1))
    assert await run([worker(trainer, runner, queue, "sleep", 0)], 1, 30) == 1
    assert await states(owner, queue) == ["done"]


async def test_it_works_the_queues_of_its_service_in_turn(trainer, runner, queue, owner) -> None:
    other = f"{queue}-other"
    await put(trainer, other)
    assert await run([worker(trainer, runner, name, "sleep", 0) for name in (queue, other)], 1, IDLE) == 1
    assert await states(owner, other) == ["done"]


SCRIPT = """
    from services.runtime.jobs import run_jobs as stint
    from services.runtime.service import Service
    from tests.work_for_tests import kind
    if __name__ == "__main__":
        stint.main(Service("trainer", {{}}, jobs=(kind({queue!r}, "sleep", 60),)), 1)
"""


async def test_a_process_that_is_told_to_stop_gives_its_job_back_untried(trainer, queue, owner, database) -> None:
    """It is given no Kafka: it needs none."""
    await put(trainer, queue, attempts=1)
    env = {**clean_environment(), "AEVOLVE_POSTGRES": database, "AEVOLVE_PASSWORD": PASSWORDS["trainer"]}
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT.format(queue=queue))]
    process = subprocess.Popen(command, env={**env, "AEVOLVE_KAFKA": "127.0.0.1:1"})
    try:
        job = await job_process(trainer, queue)
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait()
    assert await gone(job)
    assert status == 0
    row = await owner.fetchrow("SELECT state, attempt FROM work WHERE queue = $1", queue)
    assert tuple(row) == ("queued", 0)
    assert not await said(trainer, queue)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("trainer", "--jobs", "0"), "--jobs"),
        (("policy", "--jobs", "1"), "has no long jobs"),
    ],
)
def test_what_cannot_be_is_refused(arguments, words) -> None:
    command = [sys.executable, "-m", "services.console", "serve", *arguments]
    ended = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert words in ended.stderr


def test_a_log_out_of_reach_is_named(database) -> None:
    env = {**clean_environment(), "AEVOLVE_POSTGRES": database, "AEVOLVE_PASSWORD": "guessed"}
    command = [sys.executable, "-m", "services.console", "serve", "data", "--jobs", "1"]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "refuses this service" in ended.stderr
