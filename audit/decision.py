"""The audit of a decision: its causes, its evidence, its explanation, and whether its recomputation is identical."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from audit import advice as audit_advice
from audit.advice import AdviceEvent, advice
from audit.artifacts import Artifact, artifacts
from audit.difference import Difference
from audit.narrate import narrate
from audit.recompute import Recomputed, is_decision, recompute
from schemas.advisor import AdviceWeighed
from schemas.base import canonical_json
from schemas.envelope import Envelope
from schemas.events import DataBatchReady
from services.data.core import Reused, decision_of
from services.runtime.user_error import UserError

EVIDENCE = ("ScoresReported", "GuardsReported", "DriftDetected", "DriftCleared")
"""What a decision may rest on besides the rules."""
AMISS = ("altered", "erased")
"""States of artifacts that are printed one by one; `--json` has them all."""
SHOWN = 8
"""Differences that are printed; `--json` has them all."""


@dataclass(frozen=True)
class Audit:
    """All facts about one decision."""

    decision: Envelope
    """The decision."""
    chain: tuple[Envelope, ...]
    """What caused it, from the campaign's start to the decision."""
    evidence: tuple[Envelope, ...]
    """Scores and findings that the log held when it was taken."""
    artifacts: tuple[Artifact, ...]
    """The files that the chain and the evidence name by hash, and their state."""
    again: Recomputed
    """The decision taken again."""
    advice: tuple[AdviceEvent, ...]
    """The advisor's events about its round."""


def find(envelopes: Sequence[Envelope], name: str) -> Envelope:
    """The decision named by `latest` (policy), `policy:N`, or its id. Raises `UserError` where there is none."""
    decisions = [envelope for envelope in envelopes if is_decision(envelope)]
    policies = [envelope for envelope in decisions if envelope.type == "PolicyUpdated"]
    named = {f"policy:{p.event.policy.version}": p for p in policies} | ({"latest": policies[-1]} if policies else {})
    matches = (
        [named[name]] if name in named else [d for d in decisions if len(name) >= 8 and str(d.id).startswith(name)]
    )
    if len(matches) != 1:
        raise UserError(f"DECISION: {name!r} names {len(matches)} decisions; give an event id, or {', '.join(named)}")
    return matches[0]


def audit(envelopes: Sequence[Envelope], decision: Envelope) -> Audit:
    """Gather everything about a decision from its campaign's events."""
    grounds, chain = evidence(envelopes, decision), causes(envelopes, decision)
    return Audit(
        decision=decision,
        chain=tuple(chain),
        evidence=tuple(grounds),
        artifacts=tuple(artifacts([*chain, *grounds])),
        again=recompute(envelopes, decision),
        advice=advice(envelopes, decision),
    )


def evidence(envelopes: Sequence[Envelope], decision: Envelope) -> list[Envelope]:
    """Scores and findings that the log held when a decision was taken."""
    basis = decision.event.basis.position
    return [envelope for envelope in envelopes if envelope.type in EVIDENCE and envelope.sequence <= basis]


def causes(envelopes: Sequence[Envelope], decision: Envelope) -> list[Envelope]:
    """What led to a decision, from the campaign's start to the decision itself.

    A cause precedes its effect in the log; one that does not, which a forger can write, ends the chain.
    """
    by_id: dict[UUID | None, Envelope] = {envelope.id: envelope for envelope in envelopes}
    chain = [decision]
    while (cause := by_id.get(chain[-1].causationid)) and cause.sequence < chain[-1].sequence:
        chain.append(cause)
    return chain[::-1]


def text(audited: Audit) -> Iterator[str]:
    """The audit for a person."""
    decision, event = audited.decision, audited.decision.event
    yield f"{decision.type} at position {decision.sequence} of {decision.correlationid}, by {decision.source}"
    yield f"id {decision.id}, {decision.time:%Y-%m-%d %H:%M:%S} UTC"
    yield "\nWhat led to it"
    yield from (_line(envelope) for envelope in audited.chain)
    yield f"\nWhat it rested on: the log up to position {event.basis.position}, seed {event.basis.seed}"
    yield from (_line(envelope) for envelope in audited.evidence)
    yield f"\nThe artifacts that these name: {states(audited.artifacts)}"
    amiss = (artifact for artifact in audited.artifacts if artifact.state in AMISS)
    yield from (f"  {artifact.state}  {artifact.kind}  {artifact.uri}" for artifact in amiss)
    yield "\nHow it explains itself"
    yield from (f"  {reason}" for reason in explanation(event))
    yield from audit_advice.text(audited.advice)
    yield "\nTaken again"
    yield from (f"  {line}" for line in verdict(audited))


def states(artifacts: Sequence[Artifact]) -> str:
    """How many artifacts are in which state."""
    counts = Counter(artifact.state for artifact in artifacts)
    return ", ".join(f"{number} {state}" for state, number in counts.items()) or "none"


def explanation(event: Any) -> list[str]:
    """The reasons that a decision carries."""
    if isinstance(event, AdviceWeighed):
        return [f"proposal {number}: {verdict}" for number, verdict in enumerate(event.verdicts, start=1)]
    if isinstance(event, DataBatchReady):
        plan = decision_of(event)
        if isinstance(plan, Reused):
            return [f"The data deadline has passed: snapshot {plan.snapshot} serves round {plan.round} too."]
        return [f"{domain}: {rows} puzzles to draw" for domain, rows in plan.puzzles.items()]
    if reasons := [getattr(event, name) for name in ("why", "words", "intervention") if hasattr(event, name)]:
        return [*reasons, *(change for change in getattr(event, "changed", ()) if change not in reasons[0])]
    chosen = (*event.confirm, *event.external, *event.final)
    return list(dict.fromkeys(f"{choice.candidate}: {choice.reason}" for choice in chosen))


def verdict(audited: Audit) -> Iterator[str]:
    """Whether the repetition agrees, and where not."""
    again = audited.again
    by = again.ruling
    if not by.available:
        yield f"RULES UNKNOWN: taken by rules {by.rules} of {by.decider}, which are not here; {by.remedy}"
    elif again.identical:
        size = len(canonical_json(again.recorded if again.is_part else again.envelope.data).encode())
        yield f"identical: {size} bytes, by rules {by.rules} of {by.decider}"
    elif again.event is None:
        yield "DIFFERENT: the same state does not lead to this decision"
    else:
        yield f"DIFFERENT in {len(again.differences)} values"
        yield from _difference_lines(again.differences)
    if by.rules != by.today:
        yield f"today's rules are {by.today}: {difference_today(again)}"
        yield from _difference_lines(again.differences_today)


def difference_today(again: Recomputed) -> str:
    """How the rules in force would decide, compared with the decision that other rules took."""
    if again.today is None:
        return "they would not take it"
    differing = len(again.differences_today)
    return f"they differ in {differing} values" if differing else "they decide the same"


def _difference_lines(differing: Sequence[Difference]) -> Iterator[str]:
    return (f"{d.path}: recorded {short(d.recorded)}, now {short(d.recomputed)}" for d in differing[:SHOWN])


def short(value: Any) -> str:
    """A JSON value in at most 80 characters."""
    spelled = canonical_json(value)
    return spelled if len(spelled) <= 80 else f"{spelled[:77]}..."


def data(audited: Audit) -> dict[str, Any]:
    """The audit for a program."""
    return {
        "decision": audited.decision.model_dump(mode="json"),
        "chain": [str(envelope.id) for envelope in audited.chain],
        "evidence": [str(envelope.id) for envelope in audited.evidence],
        "artifacts": [asdict(artifact) for artifact in audited.artifacts],
        "explanation": explanation(audited.decision.event),
        "advice": [advised.model_dump(mode="json") for advised in audited.advice],
        **repetition(audited.again),
    }


def repetition(again: Recomputed) -> dict[str, Any]:
    """A decision's repetition for a program."""
    by = again.ruling
    return {
        "decider": by.decider,
        "rules": by.rules,
        "rules_known": by.available,
        "rules_today": by.today,
        "identical": again.identical,
        "differences": [asdict(difference) for difference in again.differences] if by.available else [],
        "differences_today": [asdict(difference) for difference in again.differences_today],
    }


def _line(envelope: Envelope) -> str:
    words = narrate(envelope)
    return f"  {envelope.sequence:5} {envelope.type:17} {words if len(words) <= 100 else words[:97] + '...'}"
