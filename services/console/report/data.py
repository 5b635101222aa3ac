"""What `report.json` says, as a pure function of a campaign's events and of when the loop was running.

Nothing is measured here: every number stands in an event, but for the sessions (when a process was there to work) and
the making of the base, which happen before the first event.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from audit.narrate import loss_warnings
from judgement.guards import objection
from judgement.history import History
from judgement.trial import Trial
from schemas import events as e
from schemas.envelope import Envelope
from schemas.scores import BASE, Kind
from services.console.view.progress import state

KINDS: tuple[Kind, ...] = ("dev", "confirm", "external", "final")
ROUND_EVENTS = ("DriftDetected", "DriftCleared", "PolicyUpdated")
"""Types of events that the report of a round needs besides the folded state, which does not hold them."""
MEASURED = ("ScoresReported", "EvaluationFailed", "GuardsReported", "GuardsUnmeasured")
"""Events that the time of an evaluation is charged in."""

Interval = tuple[datetime, datetime]
"""Begin and end."""


@dataclass(frozen=True)
class Clock:
    """When the loop ran. Without sessions, the time from the first to the last event counts."""

    sessions: Sequence[Interval] = ()
    """From the start to the end of each process that ran the loop."""
    base: Sequence[Interval] = ()
    """When the base model was being made."""


@dataclass
class _RoundEvents:
    """The events of a round that the folded state does not hold."""

    detected: list[e.DriftDetected] = field(default_factory=list)
    cleared: list[e.DriftCleared] = field(default_factory=list)
    policy: e.PolicyUpdated | None = None


def build(history: History, envelopes: Sequence[Envelope], clock: Clock) -> dict[str, Any]:
    """The report of a campaign, finished or not, as JSON data. The history is the fold of the envelopes."""
    return {**course(history, envelopes), "seconds": times(envelopes, clock)}


def course(history: History, envelopes: Iterable[Envelope]) -> dict[str, Any]:
    """The report without its times. Of the envelopes only those of the types `ROUND_EVENTS` are read."""
    events = _round_events(envelopes)
    rounds = sorted({t.round for t in history.trials.values() if t.recipe})
    finished = history.finished
    return {
        "campaign": history.id,
        "seed": history.campaign.seed,
        "null_twin": history.campaign.null_twin,
        "finished": finished is not None,
        "constitution_sha256": history.campaign.constitution_sha256,
        "substrate": history.substrate.model_dump(mode="json"),
        "base": measured(history.base),
        "winner": winner(history),
        "gain": finished.gain.model_dump() if finished else None,
        "why": finished.why if finished else None,
        "rounds": [_round(history, r, events[r]) for r in rounds],
        "phenomenon": phenomenon(history),
        "cost": history.spent.model_dump(),
        "external_queries": history.reserved("external"),
    }


def measured(trial: Trial) -> dict[str, dict[str, Any] | None]:
    """A trial's scores by kind, as `{score, se, n, domains}`, or None where it was not measured."""
    return {kind: s.model_dump() if (s := trial.scores.get(kind)) else None for kind in KINDS}


def winner(history: History) -> dict[str, Any] | None:
    """The winner, or the candidate whose recipe stands so far; None before the first policy."""
    if history.finished:
        name = history.finished.winner
    elif history.policy:
        name = history.policy.standing_from
    else:
        return None
    trial = history.trials[name]
    recipe = trial.recipe.model_dump(mode="json") if trial.recipe else None
    return {"candidate": name, "round": trial.round, "recipe": recipe, **measured(trial)}


def phenomenon(history: History) -> dict[str, Any] | None:
    """Whether the best on dev is the best on the target, among the candidates measured on both; None without two.

    Standard errors are those of independent samples; the candidates answer the same items, so they are cautious.
    """
    both = [t for t in history.measured("external") if t.candidate != BASE and "dev" in t.scores]
    if len(both) < 2:
        return None
    by_dev = max(both, key=lambda t: t.scores["dev"].score)
    by_external = max(both, key=lambda t: t.scores["external"].score)
    return {
        "best_dev": by_dev.candidate,
        "best_external": by_external.candidate,
        "candidates": len(both),
        "external": _difference(by_external, by_dev, "external"),
        "dev": _difference(by_external, by_dev, "dev"),
    }


def _difference(one: Trial, other: Trial, kind: Any) -> dict[str, float]:
    a, b = one.scores[kind], other.scores[kind]
    se = math.hypot(a.se, b.se)
    return {"difference": a.score - b.score, "se": se, "z": (a.score - b.score) / se}


def _round_events(envelopes: Iterable[Envelope]) -> Mapping[int, _RoundEvents]:
    events: dict[int, _RoundEvents] = defaultdict(_RoundEvents)
    for envelope in envelopes:
        match envelope.event:
            case e.DriftDetected() as event:
                events[event.round].detected.append(event)
            case e.DriftCleared() as event:
                events[event.round].cleared.append(event)
            case e.PolicyUpdated() as event:
                events[event.policy.round - 1].policy = event
    return events


def _round(history: History, round_: int, events: _RoundEvents) -> dict[str, Any]:
    chosen, assessed = history.submissions.get(round_), history.assessments.get(round_)
    return {
        "round": round_,
        "data": _data(history.snapshots.get(round_)),
        "candidates": [_candidate(history, t) for t in history.of_round(round_)],
        "submissions": chosen.model_dump(mode="json", exclude={"basis"}) if chosen else None,
        "drift": {
            "assessed": assessed.model_dump(mode="json", exclude={"basis"}) if assessed else None,
            "detected": [d.model_dump(mode="json", exclude={"basis"}) for d in events.detected],
            "cleared": [d.model_dump(mode="json", exclude={"basis"}) for d in events.cleared],
        },
        "policy": _policy(events.policy) if events.policy else None,
    }


def _data(event: e.DataBatchReady | None) -> dict[str, Any] | None:
    """Rows of a round by domain, and what became of each source's records."""
    if event is None:
        return None
    sources = [
        {"source": part.source, "kept": part.kept, "losses": part.losses, "lost_share": round(part.lost_share, 4)}
        for part in event.yields
    ]
    return {"rows": dict(event.rows), "reused": event.reused, "sources": sources, "warnings": loss_warnings(event)}


def _candidate(history: History, trial: Trial) -> dict[str, Any]:
    return {
        "candidate": trial.candidate,
        "slot": trial.slot,
        "state": state(history, trial),
        "failed": trial.failed,
        "intervention": trial.intervention,
        "changes": [{"name": c.name, **c.model_dump(mode="json")} for c in trial.changes],
        "loss": trial.checkpoint.loss if trial.checkpoint else None,
        **measured(trial),
        **_guards(history, trial),
    }


def _guards(history: History, trial: Trial) -> dict[str, Any]:
    """Scores by guard and the guards' objection, in a campaign that has guards."""
    if not history.campaign.constitution.guards:
        return {}
    suites = {name: suite.model_dump() for name, suite in trial.guards.items()}
    return {"guards": suites, "objection": objection(history, trial)}


def _policy(event: e.PolicyUpdated) -> dict[str, Any]:
    policy = event.policy
    return {
        "version": policy.version,
        "mode": policy.mode,
        "standing": policy.standing_from,
        "changed": list(event.changed),
        "why": event.why,
        "distrusted": [d.model_dump(mode="json") for d in policy.distrusted],
        "dead_ends": [d.model_dump(mode="json") for d in policy.dead_ends],
    }


def times(envelopes: Sequence[Envelope], clock: Clock) -> dict[str, float]:
    """Seconds of the run: on the wall, making the base, summed over the jobs, and on the wall without any work.

    Jobs run side by side, so `train` and `evaluate` may add up to more than the wall; `other` is what the union of the
    base's and all jobs' intervals leaves of it.
    """
    sessions = clock.sessions or [(envelopes[0].time, envelopes[-1].time)]
    jobs = [*_trainings(envelopes), *_scorings(envelopes)]
    busy = within([*clock.base, *jobs], sessions)
    wall = seconds(sessions)
    parts = {
        "wall": wall,
        "base": seconds(clock.base),
        "train": _charged(envelopes, ("CheckpointTrained", "TrainingFailed")),
        "evaluate": _charged(envelopes, MEASURED),
        "other": wall - seconds(busy),
    }
    return {name: round(value, 2) for name, value in parts.items()}


def _charged(envelopes: Iterable[Envelope], types: tuple[str, ...]) -> float:
    return float(sum(envelope.event.cost.seconds for envelope in envelopes if envelope.type in types))


def _trainings(envelopes: Iterable[Envelope]) -> list[Interval]:
    """The interval of each attempt; an attempt without a recorded end is left out."""
    starts: dict[tuple[str, int], datetime] = {}
    intervals: list[Interval] = []
    for envelope in envelopes:
        if envelope.type == "TrainingStarted":
            starts[envelope.event.candidate, envelope.event.attempt] = envelope.time
        elif envelope.type in ("CheckpointTrained", "TrainingFailed"):
            begin = starts.pop((envelope.event.candidate, envelope.event.attempt), None)
            intervals += [(begin, envelope.time)] if begin else []
    return intervals


def _scorings(envelopes: Iterable[Envelope]) -> list[Interval]:
    return [
        (envelope.time - timedelta(seconds=envelope.event.cost.seconds), envelope.time)
        for envelope in envelopes
        if envelope.type in MEASURED
    ]


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """The same stretch of time as intervals in order that neither touch nor overlap."""
    merged: list[Interval] = []
    for begin, end in sorted(intervals):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        elif begin < end:
            merged.append((begin, end))
    return merged


def within(intervals: Iterable[Interval], frames: Iterable[Interval]) -> list[Interval]:
    """The parts of the intervals that lie inside one of the frames."""
    frames = list(frames)
    cut = [(max(begin, low), min(end, high)) for begin, end in intervals for low, high in frames]
    return [(begin, end) for begin, end in cut if begin < end]


def seconds(intervals: Iterable[Interval]) -> float:
    """Length of the union."""
    return sum((end - begin).total_seconds() for begin, end in union(intervals))
