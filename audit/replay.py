"""Recomputes the decisions of a campaign in order: under its own rules, or under changed rules until they diverge.

Under changed rules the drift findings and the policies are replaced, because later decisions rest on them; scores are
measurements and stay. The first recipe or query that would differ ends the comparison: from there on other candidates
would have been trained or queried, and their scores are unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import ValidationError

from audit import decision as decisions
from audit.deciders import decide, ruling
from audit.difference import Difference
from audit.recompute import Recomputed, Replayer, counterpart, state_at
from judgement.history import History, fold
from schemas import events as e
from schemas.base import Frozen, digest
from schemas.campaign import Campaign
from schemas.envelope import Envelope
from services.runtime.user_error import UserError

FINDINGS = ("DriftAssessed", "DriftDetected", "DriftCleared")
REASONS = ("basis", "why", "changed")
NUMBERS = ("policy.axes", "policy.interventions")
BINDING = ("PolicyUpdated", "SubmissionsChosen")
"""Decisions that change what is trained or asked."""


def replay(envelopes: Sequence[Envelope]) -> Iterator[Recomputed]:
    """Every decision of a campaign, taken again."""
    return Replayer(envelopes, envelopes[0].correlationid).all()


def unreadable(envelopes: Sequence[Envelope]) -> list[str]:
    """What no service wrote by its own code, in words: a payload, an order of events or a writer that cannot be."""
    return [str(error) for error in fold(envelopes[0].correlationid, envelopes).unreadable]


@dataclass(frozen=True)
class Proposal:
    """One slot of the round after the parting."""

    candidate: str
    """Its name."""
    recorded: str
    """The change that was proposed."""
    then: str
    """The change that would have been."""
    same: bool
    """Whether the recipes are the same."""


@dataclass(frozen=True)
class Counterfactual:
    """How a campaign would have gone under other rules, as far as its scores can tell."""

    findings: list[tuple[int, str]]
    """Rounds, and what would have been said of drift in them, or would not."""
    parting: Recomputed | None = None
    """The first policy or submission that would differ."""
    proposals: tuple[Proposal, ...] = ()
    """The first round whose recipes would differ, if it comes before the submissions below."""
    submissions: Recomputed | None = None
    """The first submissions that would differ, of candidates that all were trained."""


def under(envelopes: Sequence[Envelope], changes: Mapping[str, str]) -> Counterfactual:
    """Replay under a constitution with some values changed, such as `drift.threshold`.

    Each decision is taken by the rules that took it, so that what differs differs by the change alone. Raises
    `UserError` for an unknown name, a value out of its range, or a decision whose rules this release does not have.
    """
    replayed, first = [altered(envelopes[0], changes)], None
    for envelope in envelopes[1:]:
        if envelope.type == "DriftAssessed":
            replayed += _findings(replayed, envelope)
        elif envelope.type not in FINDINGS:
            if proposals := _changed_proposals(envelopes, replayed, envelope):
                return Counterfactual(_changed_drifts(envelopes, replayed), first, proposals)
            parting = _parting(replayed, envelope) if envelope.type in BINDING else None
            first = first or parting
            if parting and envelope.type == "SubmissionsChosen":
                return Counterfactual(_changed_drifts(envelopes, replayed), first, submissions=parting)
            replayed.append(_as(envelope, parting.event) if parting and parting.event else envelope)
    return Counterfactual(_changed_drifts(envelopes, replayed), first)


def altered(started: Envelope, changes: Mapping[str, str]) -> Envelope:
    """The campaign's start with other rules. Raises `UserError` for a change that cannot be."""
    law = started.event.campaign.constitution.model_dump(mode="json")
    for key, value in changes.items():
        _put(law, key, value)
    try:
        campaign = Campaign.model_validate({**started.data["campaign"], "constitution": law})
    except ValidationError as error:
        problem = error.errors()[0]
        raise UserError(f"--set: {'.'.join(map(str, problem['loc'][1:]))}: {problem['msg']}") from error
    started_so = {**started.data, "campaign": campaign.model_dump(mode="json")}
    return started.model_copy(update={"data": {**started_so, "constitution_sha256": digest(campaign.constitution)}})


def _put(law: dict[str, Any], key: str, value: str) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        law = law.get(parent) or {}
    if not isinstance(law.get(last), (int, float)):
        raise UserError(
            f"--set: {key!r} is no number of the constitution; name one such as drift.threshold or promotion"
        )
    law[last] = value


def _findings(replayed: Sequence[Envelope], recorded: Envelope) -> list[Envelope]:
    """The result of the drift test of a round, with the drifts that it declares or clears."""
    assessed = recorded.event
    history = state_at(replayed, recorded.correlationid, assessed.basis.position)
    return [_as(recorded, event) for event in _decide(history, assessed)]


def _decide(history: History, decision: Any) -> tuple[Frozen, ...]:
    """All that the rules of a recorded decision decide at another state."""
    by = ruling(decision)
    if not by.available:
        raise UserError(
            f"rules: {by.decider} decided by rules {by.rules}, which this release does not have; {by.remedy}"
        )
    return decide(by, history, getattr(decision, "closed_by", "complete"))


def _as(recorded: Envelope, event: Frozen) -> Envelope:
    """An event in the place of a recorded one."""
    return recorded.model_copy(update={"type": type(event).__name__, "data": event.model_dump(mode="json")})


def _parting(replayed: Sequence[Envelope], envelope: Envelope) -> Recomputed | None:
    """The decision beside its repetition, where the two differ in substance."""
    event = envelope.event
    history = state_at(replayed, envelope.correlationid, event.basis.position)
    again = counterpart(_decide(history, event), event)
    assert again is not None
    return None if substance(again) == substance(event) else Recomputed(envelope, ruling(event), again, again)


def _changed_proposals(
    envelopes: Sequence[Envelope], replayed: Sequence[Envelope], first: Envelope
) -> tuple[Proposal, ...]:
    """The proposals at the first slot of a round; empty if they equal the recorded ones."""
    if first.type != "RecipeProposed" or first.event.slot:
        return ()
    recorded = {x.event.candidate: x.event for x in envelopes if x.type == "RecipeProposed"}
    decided = _decide(state_at(replayed, first.correlationid, first.event.basis.position), first.event)
    then = [event for event in decided if isinstance(event, e.RecipeProposed)]
    proposals = tuple(_proposal(recorded.get(event.candidate), event) for event in then)
    return () if all(proposal.same for proposal in proposals) else proposals


def _proposal(recorded: e.RecipeProposed | None, then: e.RecipeProposed) -> Proposal:
    words = recorded.intervention if recorded else "-"
    return Proposal(then.candidate, words, then.intervention, bool(recorded and recorded.recipe == then.recipe))


def substantial(parting: Recomputed) -> list[Difference]:
    """What differs in substance; what the decision does stands before the numbers of its distributions."""
    differing = [d for d in parting.differences if not d.path.startswith(REASONS)]
    return sorted(differing, key=lambda difference: difference.path.startswith(NUMBERS))


def substance(decision: Frozen) -> Any:
    """The effect of a policy or submission, without its reasons and its basis."""
    if isinstance(decision, e.PolicyUpdated):
        return decision.policy
    assert isinstance(decision, e.SubmissionsChosen)
    return [[s.candidate for s in chosen] for chosen in (decision.confirm, decision.external, decision.final)]


def _changed_drifts(recorded: Sequence[Envelope], replayed: Sequence[Envelope]) -> list[tuple[int, str]]:
    """Declared and cleared drifts that occur in only one of two logs, up to the end of the second."""
    end = max((x.event.round for x in replayed if x.type == "DriftAssessed"), default=0)
    before, after = _declared(recorded, end), _declared(replayed, end)
    gone = [(round_, f"{words} would not have been said") for round_, words in before if (round_, words) not in after]
    new = [(round_, f"{words} would have been said") for round_, words in after if (round_, words) not in before]
    return sorted(gone + new)


def _declared(envelopes: Sequence[Envelope], end: int) -> list[tuple[int, str]]:
    drifts = [
        (x.type, x.event) for x in envelopes if x.type in ("DriftDetected", "DriftCleared") and x.event.round <= end
    ]
    return [
        (event.round, f"{type_} in {event.assessment.scope if type_ == 'DriftDetected' else event.scope}")
        for type_, event in drifts
    ]


def decision_line(again: Recomputed) -> str:
    """A recomputed decision for a person."""
    by, name = again.ruling, _name(again.envelope)
    if not by.available:
        return f"UNKNOWN    {name}: taken by rules {by.rules} of {by.decider}; {by.remedy}"
    line = f"{'identical' if again.identical else 'DIFFERENT'}  {name}"
    if by.rules == by.today:
        return line
    return f"{line}, by rules {by.rules} of {by.decider}; today's are {by.today}: {decisions.difference_today(again)}"


def decision_data(again: Recomputed) -> dict[str, Any]:
    """A recomputed decision for a program."""
    return {
        "id": str(again.envelope.id),
        "type": again.envelope.type,
        "position": again.envelope.sequence,
        **decisions.repetition(again),
    }


def counterfactual_data(comparison: Counterfactual) -> dict[str, Any]:
    """A comparison under other rules for a program."""
    return {
        "findings": comparison.findings,
        "parting": decision_data(comparison.parting) if comparison.parting else None,
        "proposals": [asdict(proposal) for proposal in comparison.proposals],
        "submissions": decision_data(comparison.submissions) if comparison.submissions else None,
    }


def counterfactual_text(comparison: Counterfactual, changes: Mapping[str, str]) -> Iterator[str]:
    """A comparison under other rules for a person."""
    yield f"With {', '.join(f'{key}={value}' for key, value in changes.items())}"
    yield from (f"  round {round_}: {text}" for round_, text in comparison.findings)
    if comparison.parting:
        yield f"  the first decision to differ: {_name(comparison.parting.envelope)}"
        yield from _difference_lines(comparison.parting)
    elif not comparison.proposals:
        yield "  no policy, no recipe and no query would differ"
        return
    if comparison.proposals:
        yield "  what would have been proposed"
        yield from (f"    {p.candidate}: recorded {p.recorded}, then {p.then}" for p in comparison.proposals)
    elif comparison.submissions is None:
        yield "  nothing else would have been trained, and no other candidate queried"
    elif comparison.submissions is not comparison.parting:
        yield f"  the first queries to differ: {_name(comparison.submissions.envelope)}"
        yield from _difference_lines(comparison.submissions)


def _difference_lines(parting: Recomputed) -> Iterator[str]:
    differing, limit = substantial(parting), decisions.SHOWN
    for d in differing[:limit]:
        yield f"    {d.path}: recorded {decisions.short(d.recorded)}, then {decisions.short(d.recomputed)}"
    if len(differing) > limit:
        yield f"    and {len(differing) - limit} values more; --json has them all"


def _name(envelope: Envelope) -> str:
    return f"{envelope.type} at position {envelope.sequence} ({envelope.subject})"
