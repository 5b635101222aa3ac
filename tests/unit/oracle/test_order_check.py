"""An order in the work table is believed only if the log owes it: a row alone spends no query and measures no model."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from eventstore.effect import NOTHING
from eventstore.work import Job
from judgement.history import History, fold
from schemas import events as e
from schemas.scores import Cost
from schemas.sources import DataRule
from services.console.log_file import read_envelopes
from services.oracle import steps
from services.oracle.boards.job import ASKING
from services.oracle.fingerprints.job import FINGERPRINTING, publish_fingerprints
from services.oracle.order_check import check, check_fingerprints
from services.oracle.score_job import SCORING
from services.runtime.jobs.runner import JobFailed
from services.runtime.jobs.worker import Worker
from services.runtime.settings import Settings
from tests.unit.console_events import Log

RECORDED = Path(__file__).parents[2] / "recorded" / "demo.jsonl"
ENVELOPES = list(read_envelopes(RECORDED))


def job_of(work, **differs) -> Job:
    about = {"id": 1, "queue": work.queue, "campaign": work.campaign, "key": work.key, "attempt": 1}
    rest = {"cause": None, "attempts": 2, "token": None, "deadline": None, "seconds_left": None, "lost_seconds": 3.0}
    return Job(**{**about, **rest, "payload": json.loads(json.dumps(work.payload)), **differs})


def queued() -> list[Job]:
    """Every job that the oracle's steps queue at some state of the recorded campaign."""
    history, jobs = History(ENVELOPES[0].correlationid), {}
    for envelope in ENVELOPES:
        history.apply(envelope)
        for step in (steps.measure_base, steps.measure_dev, steps.charge_queries):
            for work in () if history.closed else step(history, envelope.time).work:
                jobs[work.key, json.dumps(work.payload, sort_keys=True)] = job_of(work)
    return list(jobs.values())


JOBS = queued()


def job_for(*kinds: str, base: bool = False) -> Job:
    """The first job of these sets, of the base or of a candidate."""
    return next(
        job for job in JOBS if job.payload["kinds"] == list(kinds) and (job.payload["candidate"] == "base") == base
    )


@dataclass
class Store:
    """The log up to a position, and how jobs ended."""

    envelopes: list
    ended: list[Any]

    async def read(self, *, campaign):
        for envelope in self.envelopes:
            assert envelope.correlationid == campaign
            yield envelope

    async def fail(self, job, effect, pause, uncharged=0.0):
        self.ended.append((effect, pause))

    async def overdue(self, queue):
        return [replace(JOBS[0], seconds_left=-1.0, key="no such key")]

    async def reap(self, job, effect):
        self.ended.append((effect, None))


async def refusal(job: Job, envelopes=ENVELOPES) -> str | None:
    try:
        await check(job, Store(envelopes, []))
    except JobFailed as failed:
        return failed.error
    return None


async def test_every_job_that_the_steps_queue_at_any_state_is_owed_and_stays_so() -> None:
    assert len(JOBS) > 10
    for job in JOBS:
        assert await refusal(job) is None


def changed(job: Job, **differs) -> Job:
    return replace(job, payload={**job.payload, **differs})


async def test_another_checkpoint_campaign_or_substrate_is_refused() -> None:
    job = job_for("dev")
    checkpoint = {**job.payload["checkpoint"], "uri": "elsewhere", "sha256": "0" * 64}
    campaign = {**job.payload["campaign"], "seed": 99}
    substrate = {**job.payload["substrate"], "base_uri": "elsewhere"}
    for differs in ({"checkpoint": checkpoint}, {"campaign": campaign}, {"substrate": substrate}, {"round": 7}):
        assert await refusal(changed(job, **differs)) == "OrderRefused"


async def test_a_reference_that_no_state_had_is_refused() -> None:
    job = next(job for job in JOBS if "reference" in job.payload)
    stamp = {**job.payload["reference"]["stamp"], "engine": "another"}
    assert await refusal(changed(job, reference={"stamp": stamp})) == "OrderRefused"


async def test_a_final_query_that_nobody_chose_and_a_second_key_are_unknown() -> None:
    job = job_for("dev", base=False)
    final = replace(changed(job, kinds=["final"]), key=job.key.replace("/dev", "/final"))
    assert await refusal(final) == "OrderUnknown"
    assert await refusal(replace(job, key=f"{job.key}2")) == "OrderUnknown"
    nobody = replace(changed(job, candidate="r9s9"), key=job.key.replace(job.payload["candidate"], "r9s9"))
    assert await refusal(nobody) == "OrderUnknown"


@pytest.mark.parametrize("kind", ["external", "final"])
async def test_a_query_that_is_chosen_and_not_reserved_is_refused(kind) -> None:
    job = next(job for job in JOBS if kind in job.payload["kinds"] and job.payload["candidate"] != "base")
    chosen = next(
        at
        for at, one in enumerate(ENVELOPES)
        if isinstance(one.event, e.SubmissionsChosen)
        and job.payload["candidate"] in {s.candidate for s in getattr(one.event, kind)}
    )
    until = ENVELOPES[: chosen + 1]
    assert await refusal(job, until) == "OrderRefused"
    reserved = next(
        at
        for at, one in enumerate(ENVELOPES)
        if isinstance(one.event, e.SubmissionReserved)
        and (one.event.candidate, one.event.kind) == (job.payload["candidate"], kind)
    )
    assert await refusal(job, ENVELOPES[: reserved + 1]) is None


async def ended(job: Job, kind=SCORING):
    """How a worker ends the job; it must not prepare it."""
    store = Store(ENVELOPES, [])
    await Worker(kind, store, None, Settings(), "me").run(job)
    ((effect, pause),) = store.ended
    assert pause is None
    return effect.events


async def test_a_refused_order_costs_nothing_and_an_unknown_one_leaves_no_event(monkeypatch) -> None:
    async def silent(*_):
        return None

    monkeypatch.setattr(Worker, "write_progress", silent)
    job = job_for("dev")
    checkpoint = {**job.payload["checkpoint"], "uri": "elsewhere"}
    (append,) = await ended(changed(job, checkpoint=checkpoint))
    assert (append.event.error, append.event.terminal, append.event.cost) == ("OrderRefused", True, Cost())
    assert await ended(replace(changed(job, kinds=["final"]), key=f"{job.key}/final")) == NOTHING.events


async def test_an_overdue_row_that_the_log_does_not_owe_leaves_no_event() -> None:
    store = Store(ENVELOPES, [])
    await Worker(SCORING, store, None, Settings(), "me").bury()
    assert [effect.events for effect, _ in store.ended] == [()]


def publishing(campaign=None) -> tuple[Log, Job]:
    """A campaign that publishes fingerprints, and the job that its steps queue."""
    log = Log(campaign)
    source = {"kind": "files", "name": "texts", "domain": "web", "paths": ["texts.jsonl"], "licence": "CC0-1.0"}
    law = log.campaign.constitution.model_copy(update={"data": DataRule.model_validate({"sources": [source]})})
    log.campaign = log.campaign.model_copy(update={"constitution": law})
    log.start()
    (work,) = publish_fingerprints(fold(log.id, log.envelopes), log.envelopes[-1].time).work
    return log, job_of(work)


async def fingerprint_refusal(job: Job, log: Log) -> str | None:
    try:
        await check_fingerprints(job, Store(log.envelopes, []))
    except JobFailed as failed:
        return failed.error
    return None


async def test_fingerprints_of_another_campaign_than_the_logs_are_not_published() -> None:
    log, job = publishing()
    assert await fingerprint_refusal(job, log) is None
    other = {**job.payload["campaign"], "name": "another"}
    assert await fingerprint_refusal(changed(job, campaign=other), log) == "OrderRefused"
    assert await fingerprint_refusal(replace(job, key="another/fingerprints"), log) == "OrderUnknown"
    assert FINGERPRINTING.check is check_fingerprints


def test_both_queues_of_measurements_are_checked() -> None:
    assert SCORING.check is ASKING.check is check
    assert {"OrderRefused", "OrderUnknown"} <= SCORING.permanent & ASKING.permanent
