"""The jobs that follow from a campaign's events: each service's steps asked at every state, and how each job ended.

A service may have handled an event at any later state of the log, so the jobs are those of all states together.
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
from services.oracle.app import SERVICE as ORACLE
from services.policy.app import SERVICE as POLICY
from services.recipes.app import SERVICE as RECIPES
from services.runtime.service import Service
from services.trainer.app import SERVICE as TRAINER

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
class Word:
    """What the log says of a job: an event of its try, and when."""

    event: Any
    time: datetime


@dataclass
class CampaignJobs:
    """One campaign's jobs, event by event."""

    history: History
    jobs: dict[Key, Work] = field(default_factory=dict)
    """Queue and key -> the job as it was queued first."""
    later: dict[Key, list[Work]] = field(default_factory=dict)
    """Measurements as later states would have queued them, where that differs: the base's own may have come since."""
    due: set[Key] = field(default_factory=set)
    """Those owed at the last state."""
    words: dict[Key, list[Word]] = field(default_factory=dict)
    """(`train`, candidate), (kind of score, candidate), (`data` or `advise`, round) -> what was said of it."""
    claims: Counter[Key] = field(default_factory=Counter)
    """How many jobs each of these words may speak of."""
    last: Envelope | None = None
    """The last event."""
    by_hand: bool = False
    """Whether somebody emitted events that only a service writes; then nothing can be said of its jobs."""

    def take(self, envelope: Envelope) -> None:
        """One more event."""
        if self.last and not _together(self.last, envelope):
            self._look(self.last.time)
        self.last = envelope
        self.by_hand |= envelope.source == "aevolve/console" and envelope.type not in CONSOLE
        self.history.apply(envelope)
        if envelope.type in SUBJECTS:
            event = envelope.event
            self.words.setdefault(SUBJECTS[envelope.type](event), []).append(Word(event, envelope.time))

    def _look(self, now: datetime) -> None:
        """Ask the steps at this state."""
        owed = list(self._owed(now))
        self.due = {(work.queue, work.key) for work in owed}
        for work in owed:
            key = (work.queue, work.key)
            if key not in self.jobs:
                self.jobs[key] = work
                self.claims.update(_subjects(work))
            elif ENDS[work.queue] is _scored and work.payload not in [
                known.payload for known in (self.jobs[key], *self.later.get(key, ()))
            ]:
                self.later.setdefault(key, []).append(work)

    def _owed(self, now: datetime) -> Iterator[Work]:
        if self.history.campaign is None or self.history.closed or self.by_hand:
            return
        for service in {service.name: service for service in WORKING.values()}.values():
            steps = dict.fromkeys(step for steps in service.reactions.values() for step in steps)
            for step in steps:
                yield from step(self.history, now).work

    def rebuilt(self) -> Iterator[Rebuilt]:
        """Every job, with what the log says of its end."""
        if self.last:
            self._look(self.last.time)
        for key, work in self.jobs.items():
            states, tries, work_as_told = ENDS[work.queue](self, work)
            if self.history.stopped and set(OPEN) <= set(states):
                states = (*states, "cancelled")
            words = [word for subject in _subjects(work) for word in self.words.get(subject, ())]
            yield Rebuilt(
                work=work_as_told,
                consumer=WORKING[work.queue].name,
                states=states,
                tries=tries,
                logged_at=min((word.time for word in words if not getattr(word.event, "reused", False)), default=None),
                due=key in self.due,
            )


End = tuple[tuple[str, ...], tuple[int, int], Work]
"""Possible states, least and most tries, and the job with what its end tells of its payload."""


def _trained(jobs: CampaignJobs, work: Work) -> End:
    said = [word.event for word in jobs.words.get(_subjects(work)[0], ())]
    last = said[-1] if said else None
    tries = last.attempt if last else 0
    if type(last).__name__ == "CheckpointTrained":
        return ("done",), (tries, tries), work
    if getattr(last, "terminal", False):
        return ("failed",), (0 if tries == 1 else tries, tries), work  # a job that nobody began fails in its first try
    return OPEN, (max(tries - 1, 0), tries), work  # one that was given back has not been tried


def _scored(jobs: CampaignJobs, work: Work) -> End:
    subjects = _subjects(work)
    last = [jobs.words[subject][-1].event for subject in subjects if subject in jobs.words]
    if any(jobs.claims[subject] > 1 for subject in subjects):
        return ANY, (0, work.attempts), work  # two jobs measured one thing: the log does not tell which ended
    if len(last) == len(subjects) and all(hasattr(event, "receipt") for event in last):
        return ("done",), (1, work.attempts), work
    if len(last) == len(subjects) and all(getattr(event, "terminal", False) for event in last):
        return ("failed",), (0 if last[0].attempt == 1 else last[0].attempt, last[0].attempt), work
    return OPEN, (0, work.attempts), work


def _made(jobs: CampaignJobs, work: Work) -> End:
    ready = jobs.history.snapshots.get(work.payload["round"])
    basis = None if ready is None or ready.reused else ready.basis.model_dump(mode="json")
    told = replace(work, payload={**work.payload, "basis": basis})  # where it was queued is known from its end alone
    states = (*OPEN, "failed") if ready is None else ANY if ready.reused else ("done",)
    return states, (0, work.attempts), told


def _asked(jobs: CampaignJobs, work: Work) -> End:
    said = jobs.history.advice.get(work.payload["round"])
    basis = said.basis.model_dump(mode="json") if isinstance(said, AdvisorAnswered) else None
    told = replace(work, payload={**work.payload, "basis": basis, "evidence": None})  # the basis names its hash
    states = OPEN if said is None else ("failed",) if basis is None else ("done",)
    return states, (0, work.attempts), told


def _published(jobs: CampaignJobs, work: Work) -> End:
    said = jobs.history.fingerprints
    basis = said.basis.model_dump(mode="json") if said else None
    told = replace(work, payload={**work.payload, "basis": basis})
    return ("done",) if said else (*OPEN, "failed"), (0, work.attempts), told


ENDS = {
    "train": _trained,
    "score": _scored,
    "board": _scored,
    "data": _made,
    "advise": _asked,
    "fingerprints": _published,
}
"""Queue -> how a job of it can stand."""


def _together(one: Envelope, other: Envelope) -> bool:
    """Whether two events may be of one effect, of which nobody has ever seen a part: they have one source and cause."""
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
    "FingerprintsPublished": lambda _: ("fingerprints", ""),
    "AdvisorAnswered": lambda event: ("advise", str(event.round)),
    "AdvisorFailed": lambda event: ("advise", str(event.round)),
}
"""Events that speak of a job -> of which."""


def _subjects(work: Work) -> list[Key]:
    """What the log may say of a job."""
    if work.queue == "train":
        return [("train", work.payload["proposed"]["candidate"])]
    if work.queue in ("score", "board"):
        measured = [*work.payload["kinds"], *(["guards"] if work.payload.get("guards") else [])]
        return [(kind, work.payload["candidate"]) for kind in measured]
    return [(work.queue, str(work.payload.get("round", "")))]
