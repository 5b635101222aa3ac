"""The page of a decision: the belief before it, the evidence, the drift test, the change, and the outcome."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from audit.advice import AdviceEvent, advice
from audit.decision import causes, evidence, explanation
from audit.outcome import Outcome, outcome
from audit.recompute import is_decision, state_at
from judgement.history import History
from judgement.trial import Trial
from schemas.envelope import Envelope
from schemas.events import DriftAssessed, DriftCleared, DriftDetected, PolicyUpdated
from schemas.policy import Policy
from schemas.recipe import show
from services.console.web.charts import DomainChart, Gauge, domain_charts, gauge


@dataclass(frozen=True)
class Shift:
    """The probability that one value of a knob is proposed, before and after."""

    knob: str
    """Path of the knob."""
    value: str
    """The value."""
    before: float | None
    """Probability under the last policy; None for a new value."""
    after: float
    """Probability under this one."""


@dataclass(frozen=True)
class Node:
    """An event and its effects."""

    envelope: Envelope
    """The event."""
    here: bool
    """Whether it is the decision that the graph is about."""
    address: str
    """The event's page."""
    effects: tuple[Node, ...] = ()
    """The events it caused; before the decision, only the one that leads to the decision."""

    @property
    def chain(self) -> list[Node]:
        """This event and its effects in turn, up to an event with several effects or none."""
        steps = [self]
        while len(steps[-1].effects) == 1:
            steps.append(steps[-1].effects[0])
        return steps


@dataclass(frozen=True)
class Story:
    """One decision, for a reader who did not follow the campaign."""

    decision: Envelope
    """The decision."""
    reasons: list[str]
    """Its own explanation."""
    before: Policy | None
    """The policy in force before it."""
    after: Policy | None
    """The policy that it made, if it made one."""
    shifts: list[Shift]
    """Values that are proposed more or less often than before."""
    measured: list[Trial]
    """The trials measured by then, the base first."""
    charts: list[DomainChart]
    """The same by domain."""
    assessed: DriftAssessed | None
    """The last drift test before it."""
    gauge: Gauge | None
    """The test's statistic against its threshold."""
    findings: list[Envelope]
    """Drifts that the test declared or cleared."""
    evidence: list[Envelope]
    """All scores and findings that the log held by then."""
    advice: tuple[AdviceEvent, ...]
    """The advisor's answer for its round."""
    later: Outcome | None
    """The outcome, for a policy."""
    graph: Node
    """Its causes and effects."""


def story(history: History, envelopes: Sequence[Envelope], decision: Envelope) -> Story:
    """The story of a decision; the history and the envelopes reach to the head of the log."""
    event = decision.event
    then = state_at(envelopes, decision.correlationid, event.basis.position)
    after = event.policy if isinstance(event, PolicyUpdated) else None
    assessed = _assessed(history, then, event)
    findings = [x for x in envelopes if x.type in ("DriftDetected", "DriftCleared")]
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
        findings=[x for x in findings if assessed and x.event.round == assessed.round],
        evidence=evidence(envelopes, decision),
        advice=advice(envelopes, decision),
        later=outcome(history, envelopes, decision) if after else None,
        graph=causality(envelopes, decision),
    )


def _assessed(history: History, then: History, event: Any) -> DriftAssessed | None:
    """The test that a finding belongs to; for other decisions, the last test before them."""
    if isinstance(event, DriftAssessed | DriftDetected | DriftCleared):
        return history.assessments[event.round]
    return then.assessments[max(then.assessments)] if then.assessments else None


def _shifts(before: Policy | None, after: Policy) -> Iterator[Shift]:
    """Each value whose probability moved by at least 0.01."""
    last = (
        {axis.knob: dict(zip(axis.values, axis.probabilities, strict=True)) for axis in before.axes} if before else {}
    )
    for axis in after.axes:
        for value, probability in zip(axis.values, axis.probabilities, strict=True):
            previous = last.get(axis.knob, {}).get(value)
            if previous is None or abs(previous - probability) >= 0.01:
                yield Shift(axis.knob, show(value), previous, probability)


def causality(envelopes: Sequence[Envelope], decision: Envelope) -> Node:
    """The graph of causes and effects, from the campaign's start to the next policy."""
    effects: dict[UUID | None, list[Envelope]] = defaultdict(list)
    for envelope in envelopes:
        effects[envelope.causationid].append(envelope)
    *before, _ = causes(envelopes, decision)
    node = replace(_tree(decision, effects), here=True)
    for envelope in reversed(before):
        node = replace(_node(envelope), effects=(node,))
    return node


def _tree(envelope: Envelope, effects: Mapping[UUID | None, list[Envelope]], depth: int = 0) -> Node:
    ends = envelope.type == "PolicyUpdated" and depth > 0
    direct = [] if ends else effects.get(envelope.id, [])
    return replace(_node(envelope), effects=tuple(_tree(effect, effects, depth + 1) for effect in direct))


def _node(envelope: Envelope) -> Node:
    campaign = envelope.correlationid
    if is_decision(envelope):
        return Node(envelope, False, f"/audit/{campaign}/{envelope.id}")
    name = envelope.data.get("candidate")
    return Node(envelope, False, f"/rounds/{campaign}/{name}" if name else f"/log/{envelope.sequence}")
