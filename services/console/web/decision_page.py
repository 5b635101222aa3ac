"""A decision as a story: what was believed, the evidence, the test, what changed, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from audit.advice import Said, advice
from audit.decision import evidence, explanation
from audit.outcome import Aftermath, aftermath
from audit.recompute import state_at
from judgement.history import History
from judgement.trial import Trial
from schemas.envelope import Envelope
from schemas.events import DriftAssessed, DriftCleared, DriftDetected, PolicyUpdated
from schemas.policy import AxisBelief, Policy
from schemas.recipe import show
from services.console.web.causality import Node, causality
from services.console.web.domain_charts import DomainChart, domain_charts
from services.console.web.gauge import Gauge, gauge


@dataclass(frozen=True)
class Shift:
    """How likely one value of a knob is drawn, before and after."""

    knob: str
    """Path of the knob."""
    value: str
    """The value."""
    before: float | None
    """Probability under the last policy."""
    after: float
    """Probability under this one."""


@dataclass(frozen=True)
class Story:
    """One decision, for a reader who was not there."""

    decision: Envelope
    """The decision."""
    reasons: list[str]
    """How it explains itself."""
    before: Policy | None
    """The policy that was in force."""
    after: Policy | None
    """The policy that it made, if it is one."""
    shifts: list[Shift]
    """What is drawn more or less often than before."""
    measured: list[Trial]
    """Who had been measured by then, the base first."""
    charts: list[DomainChart]
    """The same by domain."""
    assessed: DriftAssessed | None
    """The last drift test that it could know of."""
    gauge: Gauge | None
    """Its statistic against its threshold."""
    findings: list[Envelope]
    """What that test declared or took back."""
    evidence: list[Envelope]
    """All scores and findings that the log held by then."""
    advice: tuple[Said, ...]
    """What an advisor said of its round."""
    later: Aftermath | None
    """What became of a policy."""
    graph: Node
    """What led to it and what it led to."""


def story(history: History, envelopes: Sequence[Envelope], decision: Envelope) -> Story:
    """The story of a decision; the history and the envelopes reach as far as the log goes."""
    event = decision.event
    then = state_at(envelopes, decision.correlationid, event.basis.position)
    after = event.policy if isinstance(event, PolicyUpdated) else None
    assessed = _assessed(history, then, event)
    return Story(
        decision=decision,
        reasons=explanation(event),
        before=then.policy,
        after=after,
        shifts=list(_shifts(then.policy, after)) if after else [],
        measured=[t for t in then.trials.values() if t.scores],
        charts=domain_charts(then, assessed),
        assessed=assessed,
        gauge=gauge(assessed) if assessed else None,
        findings=_findings(envelopes, assessed),
        evidence=evidence(envelopes, decision),
        advice=advice(envelopes, decision),
        later=aftermath(history, envelopes, decision) if after else None,
        graph=causality(envelopes, decision),
    )


def _assessed(history: History, then: History, event: Any) -> DriftAssessed | None:
    """The test that a finding is part of; else the last one before the decision."""
    if isinstance(event, DriftAssessed | DriftDetected | DriftCleared):
        return history.assessments[event.round]
    return then.assessments[max(then.assessments)] if then.assessments else None


def _findings(envelopes: Sequence[Envelope], assessed: DriftAssessed | None) -> list[Envelope]:
    said = [x for x in envelopes if x.type in ("DriftDetected", "DriftCleared")]
    return [x for x in said if assessed and x.event.round == assessed.round]


def _shifts(before: Policy | None, after: Policy) -> Iterator[Shift]:
    """Each value whose probability has moved by a hundredth at least."""
    last = {axis.knob: axis for axis in before.axes} if before else {}
    for axis in after.axes:
        for value, probability in zip(axis.values, axis.probabilities, strict=True):
            held = _held(last.get(axis.knob), value)
            if held is None or abs(held - probability) >= 0.01:
                yield Shift(axis.knob, show(value), held, probability)


def _held(axis: AxisBelief | None, value: Any) -> float | None:
    return dict(zip(axis.values, axis.probabilities, strict=True)).get(value) if axis else None
