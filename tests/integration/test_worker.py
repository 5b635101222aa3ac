"""A worker and its lease: what a job may do to it, what takes it away, and what its end leaves in the log."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import asyncpg
import pytest

from eventstore.effect import NOTHING, Effect, Work
from eventstore.embedded.postgres import EmbeddedPostgres
from eventstore.migrate import migrate, provision
from eventstore.store import EventStore
from schemas.base import Frozen
from services.runtime.jobs.runner import JobRunner
from services.runtime.jobs.worker import Worker
from services.runtime.settings import Settings
from tests.background import running
from tests.conftest import PASSWORDS
from tests.processes import PATIENCE
from tests.typed import instance
from tests.unit.runtime.test_jobs import gone
from tests.work_for_tests import finished_event, kind, started_event


@pytest.fixture(scope="module")
def runner() -> JobRunner:
    return JobRunner(["tests.jobs_for_tests"])


async def put(store: EventStore, queue: str, **more: Any) -> None:
    """Queue one job, whose stream is named like its queue."""
    (cause,) = await store.append([started_event(queue, 1)])
    await store.handle(queue, cause, Effect(work=(Work(queue, queue, "w", {}, **more),)))


def working(
    store: EventStore, runner: JobRunner, queue: str, function: str, argument: object, lease: float = 0.6
) -> AbstractAsyncContextManager[asyncio.Task[None]]:
    """A worker of the queue, as long as the context lasts."""
    settings = Settings(lease_seconds=lease)
    return running(Worker(kind(queue, function, argument), store, runner, settings, "me").work())


async def row(owner: asyncpg.Connection, queue: str) -> asyncpg.Record:
    return await owner.fetchrow("SELECT * FROM work WHERE queue = $1", queue)


async def until(true: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while not (answer := await true()):
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.02)
    return answer


async def ended(owner: asyncpg.Connection, queue: str) -> asyncpg.Record:
    """The job's row once it is done or has failed."""

    async def end() -> asyncpg.Record | None:
        found = await row(owner, queue)
        return found if found["state"] in ("done", "failed") else None

    return await until(end)


async def job_process(store: EventStore, queue: str) -> int:
    """Process id of the running job, which it reports as its progress."""

    async def told() -> int | None:
        return (await store.progress("w")).get(queue, {}).get("pid")

    return instance(int, await until(told))


async def said(store: EventStore, queue: str) -> list[tuple[str, dict[str, Any]]]:
    """Type and data of the events of the job's stream, but its starts."""
    events = [event async for event in store.read(stream=queue)]
    return [(event.type, event.data) for event in events if event.type != "TrainingStarted"]


async def test_a_job_that_blocks_its_interpreter_does_not_lose_its_lease(trainer, runner, queue, owner) -> None:
    await put(trainer, queue)
    async with working(trainer, runner, queue, "hold_the_interpreter", 2.5):
        pid = await job_process(trainer, queue)
        assert await trainer.lease(queue, "other", timedelta(seconds=60)) is None
        assert (await ended(owner, queue))["attempt"] == 1
    assert await gone(pid)
    assert [type_ for type_, _ in await said(trainer, queue)] == ["CheckpointTrained"]


@pytest.mark.parametrize("attempts", [1, 2])
async def test_the_time_of_a_worker_that_died_is_charged_by_the_next(trainer, runner, queue, owner, attempts) -> None:
    await put(trainer, queue, attempts=attempts)
    short = timedelta(milliseconds=20)
    await trainer.lease(queue, "dead", short)
    await asyncio.sleep(2 * short.total_seconds())
    async with working(trainer, runner, queue, "explode", "x"):
        await ended(owner, queue)
    (failed,) = [data for type_, data in await said(trainer, queue) if type_ == "TrainingFailed"]
    assert failed["error"] == ("WorkerLost" if attempts == 1 else "LookupError")
    assert failed["cost"]["lost_seconds"] == short.total_seconds()


async def test_a_failure_without_an_event_is_charged_by_the_next_event(trainer, runner, queue, owner) -> None:
    await put(trainer, queue, attempts=2)
    charged = kind(queue, "explode", "x")
    silent = replace(charged, failed=lambda job, failure: charged.failed(job, failure) if failure.terminal else NOTHING)
    async with running(Worker(silent, trainer, runner, Settings(lease_seconds=60), "me").work()):
        await ended(owner, queue)
    (failed,) = [data for type_, data in await said(trainer, queue) if type_ == "TrainingFailed"]
    assert failed["attempt"] == 2
    assert failed["cost"]["lost_seconds"] > 0


class Numbered(Frozen):
    number: int


@pytest.mark.parametrize("attempts", [1, 3])
async def test_a_job_that_holds_no_order_is_ended_and_the_next_one_is_run(
    trainer, runner, queue, owner, caplog, attempts
) -> None:
    """Whoever has the role's password can queue anything in its queue."""
    (cause,) = await trainer.append([started_event(queue, 1)])
    jobs: tuple[tuple[str, dict[str, Any]], ...] = (("odd", {"number": "secret"}), ("late", {}), (queue, {"number": 1}))
    work = tuple(Work(queue, key, "w", payload, attempts=attempts) for key, payload in jobs)
    await trainer.handle(queue, cause, Effect(work=work))
    await owner.execute("UPDATE work SET deadline = now() WHERE queue = $1 AND key = 'late'", queue)
    numbered = replace(kind(queue, "double", 1), order=Numbered)
    async with running(Worker(numbered, trainer, runner, Settings(lease_seconds=60), "me").work()):

        async def all_ended() -> bool:
            return not await owner.fetchval("SELECT count(*) FROM work WHERE queue = $1 AND ended_at IS NULL", queue)

        await until(all_ended)
    states = dict(await owner.fetch("SELECT key, state FROM work WHERE queue = $1", queue))
    assert states == {"odd": "failed", "late": "failed", queue: "done"}
    assert [type_ for type_, _ in await said(trainer, queue)] == ["CheckpointTrained"]
    assert "holds no order (number: Input should be a valid integer" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "payload", ['{"number": ' + "9" * 5_000 + "}", "[" * 3_000 + "]" * 3_000, "7"], ids=["digits", "depth", "no object"]
)
async def test_a_payload_that_python_cannot_hold_is_ended_too(trainer, runner, queue, owner, payload) -> None:
    """JSON for the database, and an error of `json.loads`, in each worker that reads the row."""
    await put(trainer, queue)
    await owner.execute("UPDATE work SET payload = $2 WHERE queue = $1", queue, payload)
    numbered = replace(kind(queue, "double", 1), order=Numbered)
    assert await Worker(numbered, trainer, runner, Settings(lease_seconds=60), "me").take()
    assert (await row(owner, queue))["state"] == "failed"


async def test_a_worker_that_lost_its_lease_kills_its_job_and_says_nothing(trainer, runner, queue, owner) -> None:
    await put(trainer, queue)
    async with working(trainer, runner, queue, "sleep", 60):
        pid = await job_process(trainer, queue)
        await owner.execute("UPDATE work SET token = gen_random_uuid() WHERE queue = $1", queue)
        assert await gone(pid)
        assert not await said(trainer, queue)


async def test_the_result_of_a_worker_that_lost_its_lease_unnoticed_is_refused(trainer, runner, queue, owner) -> None:
    await put(trainer, queue)
    async with working(trainer, runner, queue, "sleep", 1.5, lease=600):
        pid = await job_process(trainer, queue)
        await owner.execute("UPDATE work SET lease_until = now() - interval '1 s' WHERE queue = $1", queue)
        taken = await trainer.lease(queue, "other", timedelta(seconds=600))
        assert await gone(pid)  # it has come to its end
        await asyncio.sleep(0.5)
        assert not await said(trainer, queue)
        await trainer.finish(taken, Effect())


async def test_tries_are_capped_and_each_is_charged(trainer, runner, queue, owner) -> None:
    await put(trainer, queue, attempts=2)
    async with working(trainer, runner, queue, "explode", "adapter"):
        assert (await ended(owner, queue))["state"] == "failed"
    tries = await said(trainer, queue)
    assert [(data["attempt"], data["error"], data["terminal"]) for _, data in tries] == [
        (1, "LookupError", False),
        (2, "LookupError", True),
    ]
    assert all(data["cost"]["seconds"] > 0 for _, data in tries)


async def test_a_job_that_waits_for_somebody_holds_no_worker_and_uses_up_no_try(
    trainer, runner, queue, owner, tmp_path: Path
) -> None:
    await put(trainer, queue, attempts=1)
    answer = tmp_path / "answer"
    async with working(trainer, runner, queue, "wait", str(answer)):
        await until(lambda: asked_often(owner, queue))
        (cause,) = await trainer.append([started_event(queue, 1)])
        await trainer.handle(f"{queue}-2", cause, Effect(work=(Work(queue, "another", "w", {}),)))
        answer.write_text("here it is")
        ended_rows = await until(lambda: all_done(owner, queue))
    assert [r["attempt"] for r in ended_rows] == [1, 1]
    assert "TrainingFailed" not in [type_ for type_, _ in await said(trainer, queue)]


async def asked_often(owner: asyncpg.Connection, queue: str) -> bool:
    starts = "SELECT count(*) FROM events WHERE stream = $1 AND type = 'TrainingStarted'"
    return int(await owner.fetchval(starts, queue)) > 3


async def all_done(owner: asyncpg.Connection, queue: str) -> list[asyncpg.Record]:
    rows = await owner.fetch("SELECT * FROM work WHERE queue = $1", queue)
    return rows if all(r["state"] == "done" for r in rows) else []


async def test_the_pause_after_a_failed_try_is_the_kinds_own(trainer, runner, queue, owner) -> None:
    await put(trainer, queue, attempts=2)
    patient = replace(kind(queue, "explode", "adapter"), pause=lambda job: timedelta(hours=job.attempt))
    job = await trainer.lease(queue, "me", timedelta(seconds=60))
    await Worker(patient, trainer, runner, Settings(), "me").hold(job)
    left = (await row(owner, queue))["available_at"] - await owner.fetchval("SELECT now()")
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


async def test_a_failed_try_tells_its_reason_until_the_next_one_reports(trainer, runner, queue) -> None:
    await put(trainer, queue, attempts=2)
    failing = Worker(kind(queue, "explode", "adapter"), trainer, runner, Settings(), "me")
    await failing.hold(await trainer.lease(queue, "me", timedelta(seconds=60)))
    told = (await trainer.progress("w"))[queue]
    assert (told["error"], bool(told["message"])) == ("LookupError", True)
    async with working(trainer, runner, queue, "sleep", 60):
        assert await job_process(trainer, queue)
    assert "error" not in (await trainer.progress("w"))[queue]


async def test_progress_that_python_cannot_hold_fails_no_reader(trainer, owner) -> None:
    """Four roles can write it, and every page of the campaign reads it."""
    text = '{"step": ' + "9" * 5_000 + "}"
    await owner.execute("INSERT INTO progress (campaign, subject, data) VALUES ('odd', 'odd/r1s0', $1)", text)
    assert (await trainer.progress("odd"))["odd/r1s0"].get("step") is None
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute("UPDATE progress SET data = '7' WHERE campaign = 'odd'")


async def test_a_deadline_ends_a_running_job_for_good(trainer, runner, queue, owner) -> None:
    await put(trainer, queue, attempts=5, deadline=datetime.now(UTC) + timedelta(seconds=3))
    async with working(trainer, runner, queue, "sleep", 60):
        pid = await job_process(trainer, queue)
        assert (await ended(owner, queue))["attempt"] == 1
    assert await gone(pid)
    (said_once,) = await said(trainer, queue)
    assert (said_once[1]["error"], said_once[1]["terminal"]) == ("DeadlinePassed", True)


async def test_two_workers_bury_an_overdue_job_once_and_both_go_on(trainer, runner, queue, owner) -> None:
    """The one that comes second finds it gone."""
    await put(trainer, queue, deadline=datetime.now(UTC))
    stale = await trainer.overdue(queue)
    worker = Worker(kind(queue, "sleep", 0), trainer, runner, Settings(), "me")
    await worker.bury()
    worker.store = cast(EventStore, Remembering(trainer, stale))
    await worker.bury()
    assert len(await said(trainer, queue)) == 1


class Remembering:
    """A store whose answer about overdue jobs is an old one."""

    def __init__(self, store: EventStore, overdue: list[Any]) -> None:
        self.reap, self._overdue = store.reap, overdue

    async def overdue(self, queue: str) -> list[Any]:
        return self._overdue


async def test_a_result_that_the_log_has_gone_on_without_ends_its_job_quietly(trainer, runner, queue, owner) -> None:
    """Such as a snapshot that came after the round had fallen back on the last one."""
    await put(trainer, queue)
    of = replace(kind(queue, "sleep", 0.1), finished=lambda job, result: finished_event(queue, expected=0))
    job = await trainer.lease(queue, "me", timedelta(seconds=60))
    await Worker(of, trainer, runner, Settings(), "me").hold(job)
    assert (await row(owner, queue))["state"] == "done"
    assert not await said(trainer, queue)


async def test_the_time_left_is_counted_by_the_databases_clock(trainer, queue, owner) -> None:
    deadline = await owner.fetchval("SELECT now() + interval '1 hour'")
    await put(trainer, queue, deadline=deadline)
    job = await trainer.lease(queue, "me", timedelta(seconds=60))
    assert 3500 < job.seconds_left <= 3600


async def test_a_database_that_is_away_ends_no_job_and_loses_no_result(runner, queue, tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path) as server:
        await migrate(server.dsn)
        await provision(server.dsn, PASSWORDS)
        async with await EventStore.open(server.dsn, service="trainer", password=PASSWORDS["trainer"]) as store:
            await put(store, queue)
            async with working(store, runner, queue, "sleep", 2, lease=1):
                pid = await job_process(store, queue)
                server.stop()
                assert await gone(pid)  # it has come to its end, and there is no one to be told
                server.start()
                owner = await asyncpg.connect(server.dsn, server_settings={"search_path": "aevolve"})
                assert (await ended(owner, queue))["attempt"] == 1
                await owner.close()
            assert [type_ for type_, _ in await said(store, queue)] == ["CheckpointTrained"]


async def test_a_job_whose_worker_is_killed_is_taken_over(trainer, runner, queue, owner, database) -> None:
    script = f"""
        import asyncio
        from eventstore.store import EventStore
        from services.runtime.jobs.runner import JobRunner
        from services.runtime.settings import Settings
        from services.runtime.jobs.worker import Worker
        from tests.work_for_tests import kind
        async def work():
            store = await EventStore.open({database!r}, service="trainer", password={PASSWORDS["trainer"]!r})
            of = kind({queue!r}, "sleep", 60)
            await Worker(of, store, JobRunner([]), Settings(lease_seconds=1), "doomed").work()
        if __name__ == "__main__":
            asyncio.run(work())
    """
    await put(trainer, queue)
    doomed = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    try:
        orphan = await job_process(trainer, queue)
    finally:
        doomed.send_signal(signal.SIGKILL)
        doomed.wait()
    assert await gone(orphan)
    async with working(trainer, runner, queue, "sleep", 0.1):
        end = await ended(owner, queue)
    assert (end["attempt"], end["worker"], end["state"]) == (2, "me", "done")
