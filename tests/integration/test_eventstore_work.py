"""Work leases: one worker at a time, one end per job, and nothing written by who lost the lease."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from eventstore.effect import NOTHING, Append, Effect, Work
from eventstore.store import EventStore, Job, LeaseLost, Read
from schemas.events import TrainingFailed, TrainingStarted
from schemas.scores import Cost
from tests.conftest import Stores

LONG = timedelta(minutes=5)
GONE = timedelta(0)
"""A lease that has expired as soon as it is given."""


async def put(store: EventStore, queue: str, key: str = "a", **more: Any) -> UUID:
    """Queue one job as the effect of an event, and give that event's id."""
    (cause,) = await store.append([started_event(key)])
    work = Work(queue, key, more.pop("campaign", "w"), {"key": key}, **more)
    await store.handle(f"{queue}/{key}", cause, Effect(work=(work,)))
    return cause.id


def started_event(key: str, attempt: int = 1) -> Append:
    return Append("w", f"w/{key}", TrainingStarted(candidate=key, attempt=attempt, worker="w"))


def failed_event(key: str) -> Effect:
    event = TrainingFailed(candidate=key, attempt=1, error="E", message="m", terminal=True, cost=Cost())
    return Effect((Append("w", f"w/{key}", event),))


async def starts(job: Job, read: Read) -> Sequence[Append]:
    return [started_event(job.key, job.attempt)]


async def take(store: EventStore, queue: str, ttl: timedelta = LONG) -> Job:
    job = await store.lease(queue, "me", ttl)
    assert job is not None
    return job


async def test_a_lease_is_known_by_its_event(trainer: EventStore, queue: str) -> None:
    cause = await put(trainer, queue)
    head = await trainer.head()
    job = await trainer.lease(queue, "me", LONG, starts)
    assert job is not None
    assert (job.queue, job.key, job.payload, job.attempt, job.attempts) == (queue, "a", {"key": "a"}, 1, 2)
    (event,) = [event async for event in trainer.read(after=head)]
    assert (event.type, event.causationid) == ("TrainingStarted", cause)
    assert await trainer.lease(queue, "other", LONG, starts) is None
    assert await trainer.head() == head + 1


async def test_a_start_that_cannot_be_recorded_gives_no_lease(trainer: EventStore, queue: str) -> None:
    await put(trainer, queue)

    async def broken(job: Job, read: Read) -> Sequence[Append]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await trainer.lease(queue, "me", LONG, broken)
    assert (await take(trainer, queue)).attempt == 1


async def test_the_highest_priority_goes_first_then_the_oldest(trainer: EventStore, queue: str) -> None:
    other = queue + "b"
    for name, key, priority in ((queue, "low", 0), (queue, "old", 5), (other, "new", 5), (queue, "top", 9)):
        await put(trainer, name, key, priority=priority)
    leased = [await trainer.lease([queue, other], "me", LONG) for _ in range(4)]
    assert [job and job.key for job in leased] == ["top", "old", "new", "low"]


async def test_many_workers_never_share_a_job(trainer: EventStore, queue: str) -> None:
    for n in range(12):
        await put(trainer, queue, f"j{n}")
    leased = await asyncio.gather(*(trainer.lease(queue, f"w{n}", LONG, starts) for n in range(16)))
    keys = [job.key for job in leased if job]
    assert sorted(keys) == sorted(f"j{n}" for n in range(12))


async def test_an_expired_lease_is_taken_over_and_its_worker_can_write_nothing(trainer: EventStore, queue: str) -> None:
    await put(trainer, queue)
    late = await take(trainer, queue, GONE)
    job = await take(trainer, queue)
    assert (late.attempt, job.attempt, job.last_attempt) == (1, 2, True)
    head = await trainer.head()
    with pytest.raises(LeaseLost):
        await trainer.heartbeat(late, LONG)
    with pytest.raises(LeaseLost):
        await trainer.finish(late, failed_event("a"))
    with pytest.raises(LeaseLost):
        await trainer.fail(late, failed_event("a"), None)
    with pytest.raises(LeaseLost):
        await trainer.fail(late, failed_event("a"), GONE)
    assert await trainer.head() == head
    await trainer.finish(job, NOTHING)


SHORT = timedelta(milliseconds=20)


async def expired(store: EventStore, queue: str) -> None:
    """A worker takes the next job and dies without a word."""
    await take(store, queue, SHORT)
    await asyncio.sleep(2 * SHORT.total_seconds())


async def test_the_time_of_workers_that_died_goes_to_whoever_ends_the_job(trainer: EventStore, queue: str) -> None:
    await put(trainer, queue, attempts=4)
    await expired(trainer, queue)
    await expired(trainer, queue)
    job = await take(trainer, queue)
    assert (job.attempt, job.lost_seconds) == (3, 2 * SHORT.total_seconds())
    await trainer.fail(job, failed_event("a"), GONE)
    again = await take(trainer, queue)
    assert (again.attempt, again.lost_seconds) == (4, 0.0)


async def test_the_time_of_a_try_whose_failure_stands_in_no_event_goes_to_the_next_try(
    trainer: EventStore, queue: str
) -> None:
    await put(trainer, queue, attempts=4)
    job = await take(trainer, queue)
    await trainer.fail(job, NOTHING, GONE, 2.5)
    await expired(trainer, queue)
    again = await take(trainer, queue)
    assert (again.attempt, again.lost_seconds) == (3, 2.5 + SHORT.total_seconds())


async def test_a_job_that_nobody_ends_is_buried_with_the_time_of_its_last_worker(
    trainer: EventStore, queue: str
) -> None:
    await put(trainer, queue, attempts=2)
    await expired(trainer, queue)
    await expired(trainer, queue)
    (overdue,) = await trainer.overdue(queue)
    assert overdue.lost_seconds == 2 * SHORT.total_seconds()


async def test_a_heartbeat_keeps_the_lease(trainer: EventStore, queue: str) -> None:
    await put(trainer, queue)
    job = await take(trainer, queue, GONE)
    await trainer.heartbeat(job, LONG)
    assert await trainer.lease(queue, "other", LONG) is None
    await trainer.finish(job, NOTHING)


async def test_a_job_ends_once(trainer: EventStore, queue: str) -> None:
    cause = await put(trainer, queue)
    job = await take(trainer, queue)
    ends = [trainer.finish(job, failed_event("a")) for _ in range(5)]
    outcomes = await asyncio.gather(*ends, return_exceptions=True)
    (written,) = [outcome for outcome in outcomes if isinstance(outcome, list)]
    assert [event.causationid for event in written] == [cause]
    assert sum(isinstance(outcome, LeaseLost) for outcome in outcomes) == 4
    assert await trainer.lease(queue, "me", LONG) is None


async def test_a_failed_try_is_repeated_after_its_pause(trainer: EventStore, queue: str) -> None:
    await put(trainer, queue)
    job = await take(trainer, queue)
    await trainer.fail(job, failed_event("a"), LONG)
    assert await trainer.lease(queue, "me", LONG) is None
    await put(trainer, queue, "b")
    job = await take(trainer, queue)
    await trainer.fail(job, failed_event("b"), GONE)
    again = await take(trainer, queue)
    assert (again.key, again.attempt) == ("b", 2)


async def test_a_job_that_failed_for_good_is_not_leased_again(trainer: EventStore, queue: str) -> None:
    await put(trainer, queue)
    job = await take(trainer, queue)
    assert [event.type for event in await trainer.fail(job, failed_event("a"), None)] == ["TrainingFailed"]
    assert await trainer.lease(queue, "me", LONG) is None
    assert await trainer.overdue(queue) == []


async def test_used_up_attempts_make_a_job_overdue_and_it_is_reaped_once(trainer: EventStore, queue: str) -> None:
    await put(trainer, queue, attempts=1)
    job = await take(trainer, queue)
    assert await trainer.overdue(queue) == []
    await trainer.heartbeat(job, GONE)
    assert await trainer.lease(queue, "other", LONG) is None
    (overdue,) = await trainer.overdue([queue])
    assert (overdue.id, overdue.token) == (job.id, job.token)
    reaps = [trainer.reap(overdue, failed_event("a")) for _ in range(3)]
    outcomes = await asyncio.gather(*reaps, return_exceptions=True)
    assert sum(isinstance(outcome, list) for outcome in outcomes) == 1
    with pytest.raises(LeaseLost):
        await trainer.finish(job, NOTHING)


async def test_a_worker_that_was_only_late_is_not_reaped(trainer: EventStore, queue: str) -> None:
    await put(trainer, queue, attempts=1)
    job = await take(trainer, queue, GONE)
    (overdue,) = await trainer.overdue(queue)
    await trainer.heartbeat(job, LONG)
    with pytest.raises(LeaseLost):
        await trainer.reap(overdue, failed_event("a"))
    await trainer.finish(job, NOTHING)


async def test_a_job_requeued_without_tries_left_is_overdue(trainer: EventStore, queue: str) -> None:
    await put(trainer, queue, attempts=1)
    await trainer.fail(await take(trainer, queue), NOTHING, GONE)
    (overdue,) = await trainer.overdue(queue)
    await trainer.reap(overdue, NOTHING)
    assert await trainer.overdue(queue) == []


@pytest.mark.parametrize("running", [False, True])
async def test_a_passed_deadline_makes_a_job_overdue(trainer: EventStore, queue: str, *, running: bool) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.4)
    await put(trainer, queue, deadline=soon)
    job = await take(trainer, queue) if running else None
    while not (overdue := await trainer.overdue(queue)):
        await asyncio.sleep(0.05)
    assert datetime.now(UTC) >= soon
    assert await trainer.lease(queue, "me", LONG) is None
    await trainer.reap(overdue[0], failed_event("a"))
    if job:
        with pytest.raises(LeaseLost):
            await trainer.finish(job, NOTHING)


async def test_cancelling_a_campaign_ends_its_open_jobs(trainer: EventStore, queue: str, stores: Stores) -> None:
    for key in ("a", "b", "c"):
        await put(trainer, queue, key, campaign="doomed")
    await put(trainer, queue, "d", campaign="spared")
    await trainer.finish(await take(trainer, queue), NOTHING)
    running = await take(trainer, queue)
    assert await (await stores("console")).cancel("doomed") == 2
    with pytest.raises(LeaseLost):
        await trainer.heartbeat(running, LONG)
    assert (await take(trainer, queue)).key == "d"
    counts = {state: jobs for (name, state), jobs in (await trainer.work_counts()).items() if name == queue}
    assert counts == {"done": 1, "cancelled": 2, "leased": 1}


async def test_progress_is_overwritten(trainer: EventStore) -> None:
    await trainer.set_progress("p", "r1s0", {"step": 1, "loss": 2.5})
    await trainer.set_progress("p", "r1s1", {"step": 1})
    await trainer.set_progress("p", "r1s0", {"step": 2, "loss": 2.25})
    assert await trainer.progress("p") == {"r1s0": {"step": 2, "loss": 2.25}, "r1s1": {"step": 1}}
    assert await trainer.progress("q") == {}
