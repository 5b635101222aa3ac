"""An order in the work table is believed only if the log owes it: a row alone trains, measures, draws, asks nothing."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest

from eventstore.effect import NOTHING
from eventstore.store import EventStore
from eventstore.work import Job
from judgement.history import History
from schemas import events as e
from schemas.advisor import AdvisorRule
from schemas.envelope import Envelope
from schemas.evidence import Stored
from schemas.registry import SERVICES
from schemas.scores import Cost
from schemas.sources import DataRule
from services.console.log_file import read_envelopes
from services.data.snapshot_job import SNAPSHOT
from services.data.steps import refresh
from services.oracle import steps
from services.oracle.boards.job import ASKING
from services.oracle.fingerprints.job import FINGERPRINTING, publish_fingerprints
from services.oracle.score_job import SCORING
from services.recipes.advice_job import ADVICE
from services.recipes.steps import consult
from services.runtime.jobs.ledger import Ledger
from services.runtime.jobs.runner import JobRunner
from services.runtime.jobs.worker import Worker
from services.runtime.service import JobKind
from services.runtime.settings import Settings
from services.trainer.adapter_job import TRAINING
from services.trainer.steps import queue_training
from tests.typed import instance
from tests.unit.console_events import Log

RECORDED = Path(__file__).parents[2] / "recorded" / "demo.jsonl"
ENVELOPES = list(read_envelopes(RECORDED))
KINDS = {kind.queue: kind for kind in (SNAPSHOT, ADVICE, TRAINING, SCORING, ASKING, FINGERPRINTING)}
STEPS = (
    *(refresh, consult, queue_training, publish_fingerprints),
    *(steps.measure_base, steps.measure_dev, steps.charge_queries),
)
ELSEWHERE = "file:/etc/passwd"
SHA = "f" * 64


def advised() -> list[Envelope]:
    """The recorded campaign with an advisor in its constitution, up to the first candidates."""
    start, *rest = ENVELOPES
    law = start.event.campaign.constitution.model_copy(update={"advisor": AdvisorRule(model="adviser", seconds=30)})
    campaign = start.event.campaign.model_copy(update={"constitution": law})
    event = start.event.model_copy(update={"campaign": campaign, "constitution_sha256": campaign.constitution_sha256})
    before = [one for one in rest if one.type != "RecipeProposed"][:3]
    return [start.model_copy(update={"data": event.model_dump(mode="json")}), *before]


def collecting() -> list[Envelope]:
    """A campaign that publishes fingerprints and then collects data for two rounds."""
    log = Log()
    source = {"kind": "files", "name": "texts", "domain": "web", "paths": ["texts.jsonl"], "licence": "CC0-1.0"}
    law = log.campaign.constitution.model_copy(update={"data": DataRule.model_validate({"sources": [source]})})
    log.campaign = log.campaign.model_copy(update={"constitution": law})
    log.start()
    log.policy(1)
    about = {"uri": "prints", "sha256": SHA, "items": 1, "ngrams": 1, "basis": ready().basis, "cost": Cost()}
    log.say(f"{log.id}/fingerprints", e.FingerprintsPublished(**about))
    log.say(f"{log.id}/round/1", ready().model_copy(update={"harvest": Stored(uri="harvest", sha256=SHA)}))
    log.policy(2)
    return log.envelopes


def ready() -> e.DataBatchReady:
    return next(instance(e.DataBatchReady, one.event) for one in ENVELOPES if one.type == "DataBatchReady")


LOGS = {"demo": ENVELOPES, "advised": advised(), "collecting": collecting()}


def job_of(work, **differs) -> Job:
    about = {"id": 1, "queue": work.queue, "campaign": work.campaign, "key": work.key, "attempt": 1}
    rest = {"cause": work.cause, "attempts": work.attempts, "token": None, "deadline": work.deadline}
    more = {"seconds_left": None, "lost_seconds": 3.0, "payload": json.loads(json.dumps(work.payload))}
    return Job(**{**about, **rest, **more, **differs})


def queued(envelopes: list[Envelope]) -> list[Job]:
    """Every job that the steps queue at some state of the campaign, as the log's table would hold it."""
    history, jobs = History(envelopes[0].correlationid), {}
    for envelope in envelopes:
        history.apply(envelope)
        for step in () if history.closed or history.campaign is None else STEPS:
            for work in step(history, envelope.time).work:
                jobs[work.queue, work.key, json.dumps(work.payload, sort_keys=True)] = job_of(work)
    return list(jobs.values())


JOBS = {name: queued(envelopes) for name, envelopes in LOGS.items()}


def job_for(*kinds: str, base: bool = False) -> Job:
    """The first measurement of these sets, of the base or of a candidate."""
    measured = [job for job in JOBS["demo"] if job.queue == "score"]
    return next(
        job for job in measured if job.payload["kinds"] == list(kinds) and (job.payload["candidate"] == "base") == base
    )


def first(queue: str, log: str = "demo") -> Job:
    return next(job for job in JOBS[log] if job.queue == queue)


@dataclass
class Store:
    """The log up to a position, the rows of a queue, and how jobs ended."""

    envelopes: list[Envelope]
    ended: list[Any] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)

    async def read(self, *, campaign, after=0):
        for envelope in self.envelopes:
            if envelope.correlationid == campaign and envelope.sequence > after:
                self.reads.append(envelope.sequence)
                yield envelope

    async def lease(self, queue, worker, ttl, started):
        job = self.jobs.pop()
        self.started = await started(job, lambda campaign, after: self.read(campaign=campaign, after=after))
        return job

    async def fail(self, job, effect, pause, uncharged=0.0):
        self.ended.append((effect, pause))

    async def overdue(self, queue):
        return [job for job in self.jobs if job.seconds_left is not None]

    async def reap(self, job, effect):
        self.ended.append((effect, None))


async def refusal(job: Job, envelopes=ENVELOPES, ledger: Ledger | None = None) -> str | None:
    store = Store(envelopes)
    refused = await (ledger or Ledger(KINDS[job.queue])).refusal(
        job, lambda campaign, after: store.read(campaign=campaign, after=after)
    )
    return refused.error if refused else None


@pytest.mark.parametrize("log", LOGS)
async def test_every_job_that_the_steps_queue_at_any_state_is_owed_and_stays_so(log) -> None:
    """Without the measurements of a made-up log, in which no query is reserved."""
    queues = {"demo": {"data", "train", "score"}, "advised": {"data", "advise"}, "collecting": {"data", "fingerprints"}}
    jobs = [job for job in JOBS[log] if job.queue in queues[log]]
    assert {job.queue for job in jobs} == queues[log]
    for job in jobs:
        assert await refusal(job, LOGS[log]) is None
        assert await refusal(replace(job, attempt=2, seconds_left=-1.0), LOGS[log]) is None


def changed(job: Job, *path: str, to: Any) -> Job:
    """The job with another value at a path of its payload, which must hold one."""
    payload = json.loads(json.dumps(job.payload))
    inner = payload
    for name in path[:-1]:
        inner = inner[name]
    assert inner[path[-1]] != to
    inner[path[-1]] = to
    return replace(job, payload=payload)


FORGED = {
    "train, another base": ("train", "demo", ("substrate", "base_uri"), ELSEWHERE),
    "train, other code": ("train", "demo", ("substrate", "code_sha256"), SHA),
    "train, other rows": ("train", "demo", ("snapshot",), SHA),
    "train, a path outside": ("train", "demo", ("snapshot_uri",), ELSEWHERE),
    "train, another seed": ("train", "demo", ("proposed", "seed"), 99),
    "train, another recipe": ("train", "demo", ("proposed", "recipe", "steps"), 7),
    "train, another candidate": ("train", "demo", ("proposed", "candidate"), "r9s9"),
    "train, a path as candidate": ("train", "demo", ("proposed", "candidate"), "../../outside"),
    "train, other texts": ("train", "demo", ("model", "base"), ELSEWHERE),
    "data, another seed": ("data", "demo", ("campaign", "seed"), 99),
    "data, another round": ("data", "demo", ("round",), 7),
    "data, another recipe": ("data", "demo", ("policy", "standing", "steps"), 7),
    "data, another position": ("data", "demo", ("basis", "position"), 99),
    "data, another base": ("data", "collecting", ("substrate", "base_uri"), ELSEWHERE),
    "data, other fingerprints": ("data", "collecting", ("fingerprints", "uri"), ELSEWHERE),
    "data, another harvest": ("data", "collecting", ("last",), {"uri": ELSEWHERE, "sha256": SHA}),
    "data, another candidate": ("data", "collecting", ("standing",), "r9s9"),
    "advise, another model": ("advise", "advised", ("advisor", "model"), "another"),
    "advise, more time": ("advise", "advised", ("advisor", "seconds"), 99.0),
    "advise, other evidence": ("advise", "advised", ("evidence",), {"secret": 1}),
    "advise, another seed": ("advise", "advised", ("basis", "seed"), 99),
    "advise, other changes": ("advise", "advised", ("changes",), ["rank=1"]),
    "fingerprints, another campaign": ("fingerprints", "collecting", ("campaign", "name"), "another"),
    "score, another checkpoint": ("score", "demo", ("substrate", "base_uri"), ELSEWHERE),
    "score, another round": ("score", "demo", ("round",), 7),
    "score, no order": ("score", "demo", ("candidate",), 7),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
async def test_an_order_that_differs_in_one_value_is_refused(forged) -> None:
    queue, log, path, to = forged
    assert await refusal(changed(first(queue, log), *path, to=to), LOGS[log]) == "OrderRefused"


async def test_another_checkpoint_and_a_reference_that_no_state_had_are_refused() -> None:
    job = job_for("dev")
    for path, to in ((("checkpoint", "uri"), ELSEWHERE), (("checkpoint", "sha256"), SHA)):
        assert await refusal(changed(job, *path, to=to)) == "OrderRefused"
    compared = next(job for job in JOBS["demo"] if "reference" in job.payload)
    assert await refusal(changed(compared, "reference", "stamp", "engine", to="another")) == "OrderRefused"


@pytest.mark.parametrize("queue", ["data", "train", "score"])
async def test_more_tries_another_deadline_or_another_cause_are_refused(queue) -> None:
    job = first(queue)
    soon = datetime.now(UTC) + timedelta(days=99)
    assert await refusal(replace(job, attempts=job.attempts + 1)) == "OrderRefused"
    assert await refusal(replace(job, deadline=soon)) == "OrderRefused"
    if queue == "train":
        assert await refusal(replace(job, deadline=None)) == "OrderRefused"
        assert await refusal(replace(job, cause=UUID(int=1))) == "OrderRefused"


@pytest.mark.parametrize(
    ("queue", "log"), [("data", "demo"), ("train", "demo"), ("score", "demo"), ("advise", "advised")]
)
async def test_a_key_that_no_state_owes_or_another_campaign_is_unknown(queue, log) -> None:
    job = first(queue, log)
    assert await refusal(replace(job, key=f"{job.key}2"), LOGS[log]) == "OrderUnknown"
    assert await refusal(replace(job, key=""), LOGS[log]) == "OrderUnknown"
    assert await refusal(replace(job, campaign="another"), LOGS[log]) == "OrderUnknown"


async def test_a_recipe_that_was_never_proposed_and_a_final_query_that_nobody_chose_are_unknown() -> None:
    train, dev = first("train"), job_for("dev")
    nobody = changed(train, "proposed", "candidate", to="r9s9")
    assert await refusal(replace(nobody, key=f"{train.campaign}/r9s9")) == "OrderUnknown"
    final = replace(changed(dev, "kinds", to=["final"]), key=dev.key.replace("/dev", "/final"))
    assert await refusal(final) == "OrderUnknown"


async def test_a_job_is_owed_from_the_event_on_that_makes_it_due() -> None:
    job = first("train")
    proposed = next(at for at, one in enumerate(ENVELOPES) if one.id == job.cause)
    assert await refusal(job, ENVELOPES[:proposed]) == "OrderUnknown"
    assert await refusal(job, ENVELOPES[: proposed + 1]) is None


async def test_a_paused_or_stopped_campaign_owes_what_it_owed_before_and_nothing_new() -> None:
    job = first("train")
    proposed = next(at for at, one in enumerate(ENVELOPES) if one.id == job.cause)
    stop = ENVELOPES[proposed].model_copy(update={"type": "CampaignStopped", "data": {"by": "me", "reason": "r"}})
    before, after = ENVELOPES[:proposed], ENVELOPES[proposed : proposed + 1]
    at = ENVELOPES[proposed - 1].sequence
    assert before[-1].sequence < after[0].sequence
    moved = [after[0].model_copy(update={"sequence": at + 2})]
    assert await refusal(job, [*before, stop.model_copy(update={"sequence": at + 1}), *moved]) == "OrderUnknown"
    ended = stop.model_copy(update={"sequence": after[0].sequence + 1})
    assert await refusal(job, [*before, *after, ended]) is None


@pytest.mark.parametrize("kind", ["external", "final"])
async def test_a_query_that_is_chosen_and_not_reserved_is_refused(kind) -> None:
    scores = [job for job in JOBS["demo"] if job.queue == "score" and job.payload["candidate"] != "base"]
    job = next(job for job in scores if kind in job.payload["kinds"])
    chosen = next(
        at
        for at, one in enumerate(ENVELOPES)
        if isinstance(one.event, e.SubmissionsChosen)
        and job.payload["candidate"] in {s.candidate for s in getattr(one.event, kind)}
    )
    assert await refusal(job, ENVELOPES[: chosen + 1]) == "OrderRefused"
    reserved = next(
        at
        for at, one in enumerate(ENVELOPES)
        if isinstance(one.event, e.SubmissionReserved)
        and (one.event.candidate, one.event.kind) == (job.payload["candidate"], kind)
    )
    assert await refusal(job, ENVELOPES[: reserved + 1]) is None


async def test_an_order_of_a_release_with_earlier_rules_is_owed_and_one_of_later_rules_is_not() -> None:
    job = first("advise", "advised")
    rules = job.payload["basis"]["rules"]
    assert rules > 1
    assert await refusal(changed(job, "basis", "rules", to=rules - 1), LOGS["advised"]) is None
    assert await refusal(changed(job, "basis", "rules", to=rules + 1), LOGS["advised"]) == "OrderRefused"
    assert await refusal(replace(job, attempts=job.attempts - 1), LOGS["advised"]) is None


async def test_a_state_in_which_the_steps_fail_owes_nothing_and_stops_no_worker() -> None:
    """Such as a candidate that was proposed before its round had data, by whoever has that service's password."""
    proposed = next(at for at, one in enumerate(ENVELOPES) if one.type == "RecipeProposed")
    without_data = [one for one in ENVELOPES[: proposed + 1] if one.type != "DataBatchReady"]
    assert await refusal(first("train"), without_data) == "OrderUnknown"


async def test_the_next_job_of_a_campaign_costs_the_events_since_the_last_one() -> None:
    jobs = [job for job in JOBS["demo"] if job.queue == "train"]
    until = max(at for at, one in enumerate(ENVELOPES) if one.id in {jobs[0].cause, jobs[1].cause}) + 1
    store, ledger = Store(ENVELOPES[:until]), Ledger(TRAINING)
    for job in jobs[:2]:
        assert await ledger.refusal(job, lambda campaign, after: store.read(campaign=campaign, after=after)) is None
    assert len(store.reads) == until
    assert await refusal(jobs[-1], ENVELOPES, ledger) is None
    assert await refusal(jobs[0], ENVELOPES, ledger) is None  # owed by an earlier state than the kept one
    assert await refusal(changed(jobs[0], "snapshot", to=SHA), ENVELOPES, ledger) == "OrderRefused"


def worker(kind: JobKind, store: Store) -> Worker:
    """A worker on the made-up rows, which has no process to run a job."""
    return Worker(kind, cast(EventStore, store), cast(JobRunner, None), Settings(), "me")


async def events_of_refusal(job: Job, kind: JobKind, envelopes=ENVELOPES):
    """The events of a job's start and end in a worker."""
    store = Store(envelopes, jobs=[job])
    assert await worker(kind, store).take()
    ((effect, pause),) = store.ended
    assert pause is None
    return [append.event for append in (*store.started, *effect.events)]


async def test_a_refused_order_starts_and_costs_nothing_and_fails_what_the_log_owes() -> None:
    train = first("train")
    (event,) = await events_of_refusal(changed(train, "proposed", "candidate", to="r9s9"), TRAINING)
    failed = (event.candidate, event.error, event.terminal, event.cost)
    assert failed == (train.payload["proposed"]["candidate"], "OrderRefused", True, Cost())
    dev = job_for("dev")
    (event,) = await events_of_refusal(changed(dev, "kinds", to=["external", "final"]), SCORING)
    assert (event.kind, event.error, event.cost) == ("dev", "OrderRefused", Cost())
    (event,) = await events_of_refusal(changed(first("data"), "round", to=7), SNAPSHOT)
    assert (event.round, event.error) == (1, "OrderRefused")
    (event,) = await events_of_refusal(changed(first("advise", "advised"), "round", to=7), ADVICE, LOGS["advised"])
    assert (event.round, event.error) == (1, "OrderRefused")


@pytest.mark.parametrize("queue", ["data", "train", "score"])
async def test_an_unknown_order_leaves_no_event(queue, caplog) -> None:
    job = first(queue)
    assert await events_of_refusal(replace(job, key=f"{job.key}\x1b[2J"), KINDS[queue]) == list(NOTHING.events)
    assert "OrderUnknown" in caplog.text
    assert "\x1b" not in caplog.text


@pytest.mark.parametrize("queue", ["data", "train", "score"])
async def test_an_overdue_row_that_the_log_does_not_owe_leaves_no_event(queue) -> None:
    job = replace(first(queue), seconds_left=-1.0, key="no such key")
    store = Store(ENVELOPES, jobs=[job])
    await worker(KINDS[queue], store).bury()
    assert [effect.events for effect, _ in store.ended] == [()]


def test_every_queue_of_every_service_is_compared_with_the_log() -> None:
    services = [importlib.import_module(f"services.{name}.app").SERVICE for name in SERVICES if name != "console"]
    kinds = {kind.queue: kind for service in services for kind in service.jobs}
    assert kinds == KINDS
    assert [queue for queue, kind in kinds.items() if kind.works_of is None] == []
    assert SCORING.missing is ASKING.missing is steps.unreserved
