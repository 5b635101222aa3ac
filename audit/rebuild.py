"""Rebuilds the jobs of a campaign from its events: runs the steps of each service at every state of the log.

A service may have handled an event at any later state of the log, so the jobs are the union over all states.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from eventstore.effect import Work
from eventstore.projections import Rebuilt
from judgement.history import History
from schemas.advisor import AdvisorAnswered
from schemas.envelope import Envelope
from schemas.registry import WRITERS
from services.data.app import SERVICE as DATA
from services.data.orders import QUEUE as DATA_QUEUE
from services.data.orders import DataOrder
from services.oracle.app import SERVICE as ORACLE
from services.oracle.orders import BOARD, FINGERPRINTS, SCORE, ScoreOrder, measurement
from services.policy.app import SERVICE as POLICY
from services.recipes.app import SERVICE as RECIPES
from services.recipes.orders import QUEUE as ADVICE_QUEUE
from services.recipes.orders import AdviceOrder
from services.runtime.service import Service
from services.trainer.app import SERVICE as TRAINER
from services.trainer.orders import QUEUE as TRAIN_QUEUE
from services.trainer.orders import TrainOrder

SERVICES: tuple[Service, ...] = (DATA, RECIPES, TRAINER, ORACLE, POLICY)
CONSUMERS = {service.name: tuple(service.reactions) for service in SERVICES}
"""Consumer -> the types that it handles."""
WORKING = {job.queue: service for service in SERVICES for job in service.jobs}
"""Queue -> the service whose steps fill it."""

CONSOLE = {model.__name__ for model, writers in WRITERS.items() if "console" in writers}
OPEN = ("queued", "leased")
ANY = (*OPEN, "done", "failed", "cancelled")

Key = tuple[str, str]


@dataclass(frozen=True)
class Report:
    """One event about a job's attempt, with its time."""

    event: Any
    time: datetime


@dataclass
class CampaignJobs:
    """One campaign's jobs, event by event."""

    history: History
    jobs: dict[Key, Work] = field(default_factory=dict)
    """Queue and key -> the job as it was queued first."""
    later: dict[Key, list[Work]] = field(default_factory=dict)
    """Measurements as later states would have queued them, if different: the base may have been measured since."""
    due: set[Key] = field(default_factory=set)
    """Jobs that the steps queue at the last state."""
    reports: dict[Key, list[Report]] = field(default_factory=dict)
    """(`train`, candidate), (kind of score, candidate), (`data` or `advise`, round) -> events about it."""
    claims: Counter[Key] = field(default_factory=Counter)
    """How many jobs each of these keys may belong to."""
    last: Envelope | None = None
    """The last event."""
    by_hand: bool = False
    """Whether events that only a service writes were emitted by hand; then its jobs cannot be compared."""

    def take(self, envelope: Envelope) -> None:
        """One more event."""
        if self.last and not _together(self.last, envelope):
            self._collect(self.last.time)
        self.last = envelope
        self.by_hand |= envelope.source == "aevolve/console" and envelope.type not in CONSOLE
        self.history.apply(envelope)
        if envelope.type in SUBJECTS:
            event = envelope.event
            self.reports.setdefault(SUBJECTS[envelope.type](event), []).append(Report(event, envelope.time))

    def _collect(self, now: datetime) -> None:
        """Add the jobs that the steps queue at this state."""
        queued = list(self._queued(now))
        self.due = {(work.queue, work.key) for work in queued}
        for work in queued:
            key = (work.queue, work.key)
            if key not in self.jobs:
                self.jobs[key] = work
                self.claims.update(_subjects(work))
            elif ENDS[work.queue] is _scored and work.payload not in [
                earlier.payload for earlier in (self.jobs[key], *self.later.get(key, ()))
            ]:
                self.later.setdefault(key, []).append(work)

    def _queued(self, now: datetime) -> Iterator[Work]:
        if self.history.campaign is None or self.history.closed or self.by_hand:
            return
        for service in {service.name: service for service in WORKING.values()}.values():
            steps = dict.fromkeys(step for steps in service.reactions.values() for step in steps)
            for step in steps:
                yield from step(self.history, now).work

    def rebuilt(self) -> Iterator[Rebuilt]:
        """Every job, with the states that the log allows."""
        if self.last:
            self._collect(self.last.time)
        for key, work in self.jobs.items():
            states, tries, logged = ENDS[work.queue](self, work)
            if self.history.stopped and set(OPEN) <= set(states):
                states = (*states, "cancelled")
            reports = [report for subject in _subjects(work) for report in self.reports.get(subject, ())]
            yield Rebuilt(
                work=logged,
                consumer=WORKING[work.queue].name,
                states=states,
                tries=tries,
                logged_at=min((one.time for one in reports if not getattr(one.event, "reused", False)), default=None),
                due=key in self.due,
            )


End = tuple[tuple[str, ...], tuple[int, int], Work]
"""Possible states, least and most tries, and the job with those payload values that its end records."""


def _trained(jobs: CampaignJobs, work: Work) -> End:
    events = [report.event for report in jobs.reports.get(_subjects(work)[0], ())]
    last = events[-1] if events else None
    tries = last.attempt if last else 0
    if type(last).__name__ == "CheckpointTrained":
        return ("done",), (tries, tries), work
    if getattr(last, "terminal", False):
        least = 0 if tries == 1 else tries  # a job that no worker started fails in its first try
        return ("failed",), (least, tries), work
    return OPEN, (max(tries - 1, 0), tries), work  # a job that was given back has not been tried


def _scored(jobs: CampaignJobs, work: Work) -> End:
    subjects = _subjects(work)
    last = [jobs.reports[subject][-1].event for subject in subjects if subject in jobs.reports]
    if any(jobs.claims[subject] > 1 for subject in subjects):
        return ANY, (0, work.attempts), work  # two jobs measured the same: the log does not tell which ended
    if len(last) == len(subjects) and all(hasattr(event, "receipt") for event in last):
        return ("done",), (1, work.attempts), work
    if len(last) == len(subjects) and all(getattr(event, "terminal", False) for event in last):
        return ("failed",), (0 if last[0].attempt == 1 else last[0].attempt, last[0].attempt), work
    return OPEN, (0, work.attempts), work


def _collected(jobs: CampaignJobs, work: Work) -> End:
    ready = jobs.history.snapshots.get(DataOrder.model_validate(work.payload).round)
    basis = None if ready is None or ready.reused else ready.basis.model_dump(mode="json")
    logged = replace(work, payload={**work.payload, "basis": basis})  # only the end records the basis
    states = (*OPEN, "failed") if ready is None else ANY if ready.reused else ("done",)
    return states, (0, work.attempts), logged


def _advised(jobs: CampaignJobs, work: Work) -> End:
    answer = jobs.history.advice.get(AdviceOrder.model_validate(work.payload).round)
    basis = answer.basis.model_dump(mode="json") if isinstance(answer, AdvisorAnswered) else None
    logged = replace(work, payload={**work.payload, "basis": basis, "evidence": None})  # the basis holds its hash
    states = OPEN if answer is None else ("failed",) if basis is None else ("done",)
    return states, (0, work.attempts), logged


def _published(jobs: CampaignJobs, work: Work) -> End:
    fingerprints = jobs.history.fingerprints
    basis = fingerprints.basis.model_dump(mode="json") if fingerprints else None
    logged = replace(work, payload={**work.payload, "basis": basis})
    return ("done",) if fingerprints else (*OPEN, "failed"), (0, work.attempts), logged


ENDS = {
    TRAIN_QUEUE: _trained,
    SCORE: _scored,
    BOARD: _scored,
    DATA_QUEUE: _collected,
    ADVICE_QUEUE: _advised,
    FINGERPRINTS: _published,
}
"""Queue -> the states that a job of it may have."""


def _together(one: Envelope, other: Envelope) -> bool:
    """Whether two events may belong to one effect, appended in one transaction: same source and same cause."""
    return one.causationid is not None and (one.source, one.causationid) == (other.source, other.causationid)


SUBJECTS: dict[str, Callable[[Any], Key]] = {
    "TrainingStarted": lambda event: ("train", event.candidate),
    "TrainingFailed": lambda event: ("train", event.candidate),
    "CheckpointTrained": lambda event: ("train", event.candidate),
    "ScoresReported": lambda event: (event.kind, event.candidate),
    "EvaluationFailed": lambda event: (event.kind, event.candidate),
    "GuardsReported": lambda event: ("guards", event.candidate),
    "GuardsUnmeasured": lambda event: ("guards", event.candidate),
    "DataBatchReady": lambda event: ("data", str(event.round)),
    "DataFailed": lambda event: ("data", str(event.round)),
    "FingerprintsPublished": lambda _: ("fingerprints", ""),
    "AdvisorAnswered": lambda event: ("advise", str(event.round)),
    "AdvisorFailed": lambda event: ("advise", str(event.round)),
}
"""Event type -> the key of the job that it reports on."""


def _subjects(work: Work) -> list[Key]:
    """The keys of the events that may report on a job."""
    if work.queue == TRAIN_QUEUE:
        return [(TRAIN_QUEUE, TrainOrder.model_validate(work.payload).proposed.candidate)]
    if work.queue in (SCORE, BOARD):
        order = measurement(work)
        guards = ["guards"] if isinstance(order, ScoreOrder) and order.guards else []
        return [(kind, order.candidate) for kind in (*order.kinds, *guards)]
    if work.queue == DATA_QUEUE:
        return [(DATA_QUEUE, str(DataOrder.model_validate(work.payload).round))]
    if work.queue == ADVICE_QUEUE:
        return [(ADVICE_QUEUE, str(AdviceOrder.model_validate(work.payload).round))]
    return [(work.queue, "")]
