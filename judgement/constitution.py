"""The constitution as checks: each rule looks at one kind of decision and names the article that it breaks.

Each decision is checked before it is appended; a breach becomes `DecisionRefused` and nothing else is appended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from judgement.guards import objection
from judgement.history import History
from schemas import events as e
from schemas.base import Frozen
from schemas.campaign import Constitution
from schemas.recipe import Recipe, show
from schemas.scores import BASE

Breach = tuple[str, str]
"""Article of the constitution, and a message with the wrong value and the right one."""

Rule = Callable[[History, Any], Breach | None]


def check(history: History, event: Frozen) -> e.DecisionRefused | None:
    """The refusal of a decision that breaks the constitution, or None. `event` is the decision's payload."""
    for rule in (_unchanged, *RULES[type(event)]) if type(event) in RULES else ():
        if breach := rule(history, event):
            return _refusal(event, *breach)
    return None


def check_anchor(history: History, decided: Sequence[Frozen]) -> e.DecisionRefused | None:
    """The refusal of candidates whose round has no anchor, neither in the log nor decided with them (design rule 2)."""
    proposed = [event for event in decided if isinstance(event, e.RecipeProposed)]
    rounds = {event.round for event in proposed if event.slot == 0}
    for event in proposed:
        if event.round not in rounds and not any(trial.slot == 0 for trial in history.of_round(event.round)):
            message = f"{event.candidate} has no anchor; propose the standing recipe in slot 0 of round {event.round}"
            return _refusal(event, "candidates", message)
    return None


def _refusal(event: Any, article: str, message: str) -> e.DecisionRefused:
    return e.DecisionRefused(decision=type(event).__name__, article=article, message=message, basis=event.basis)


def _law(history: History) -> Constitution:
    return history.campaign.constitution


def _unchanged(history: History, event: Any) -> Breach | None:
    """Every decision is made under the rules recorded before any result (design rule 7)."""
    current, recorded = history.campaign.constitution_sha256, history.constitution_sha256
    if current == recorded:
        return None
    return (
        "constitution",
        f"its hash is {current}, the campaign began with {recorded}; start another campaign by other rules",
    )


def _round(history: History, event: Any) -> Breach | None:
    if event.round <= _law(history).rounds:
        return None
    return "rounds", f"round {event.round} was to be opened or filled; the campaign has {_law(history).rounds}"


def _slots(history: History, event: e.RecipeProposed) -> Breach | None:
    allowed = _law(history).candidates
    filled = {t.candidate for t in history.of_round(event.round)}
    if event.slot < allowed and event.candidate not in filled and len(filled) < allowed:
        return None
    return "candidates", f"{event.candidate} in slot {event.slot}: {len(filled)} of {allowed} slots were already filled"


def _changes(history: History, event: e.RecipeProposed) -> Breach | None:
    allowed = _law(history).max_changes if event.slot else 0
    if len(event.changes) <= allowed:
        return None
    return (
        "max_changes",
        f"{event.candidate} has {len(event.changes)} changes; at most {allowed} are allowed in its slot",
    )


def _space(history: History, event: e.RecipeProposed) -> Breach | None:
    allowed = {axis.knob: axis.values for axis in _law(history).space}
    for change in event.changes:
        if change.after not in allowed.get(change.knob, ()):
            values = ", ".join(show(v) for v in allowed.get(change.knob, ())) or "none"
            return "space", f"{event.candidate} sets {change.name}; values of {change.knob} are: {values}"
    return None


def _differences_named(history: History, event: e.RecipeProposed) -> Breach | None:
    """Every difference from the standing recipe is a named change."""
    recipe = history.policies[event.round].standing
    for change in event.changes:
        recipe = recipe.replace(change.knob, change.after)
    if recipe == event.recipe:
        return None
    return "max_changes", f"{event.candidate} differs from the standing recipe in more than the changes it names"


def _no_dead_end(history: History, event: e.RecipeProposed) -> Breach | None:
    closed = {(end.knob, end.value) for end in history.policies[event.round].dead_ends}
    for change in event.changes:
        if (change.knob, change.after) in closed:
            return "space", f"{event.candidate} sets {change.name}, which is a dead end; choose an open value"
    return None


def _measured(history: History, event: e.SubmissionsChosen) -> Breach | None:
    for submission in (*event.confirm, *event.external, *event.final):
        trial = history.trials.get(submission.candidate)
        if trial is None or (trial.candidate != BASE and "dev" not in trial.scores):
            return "target", f"{submission.candidate} has no dev score; only measured candidates may be submitted"
    return None


def _external(history: History, event: e.SubmissionsChosen) -> Breach | None:
    budget = _law(history).budget
    left = budget.external_queries - history.reserved("external")
    queries = len(event.external)
    if queries > budget.external_per_round:
        return "budget.external_per_round", f"{queries} external queries; a round may make {budget.external_per_round}"
    if queries > left:
        return "budget.external_queries", f"{queries} external queries; {left} of {budget.external_queries} are left"
    return None


def _confirm(history: History, event: e.SubmissionsChosen) -> Breach | None:
    allowed = _law(history).budget.confirm_per_round
    if len(event.confirm) <= allowed:
        return None
    return "budget.confirm_per_round", f"{len(event.confirm)} confirmations; a round may make {allowed}"


def _not_queried(history: History, event: e.SubmissionsChosen) -> Breach | None:
    queried = {r.candidate for r in history.reservations if r.kind == "external"}
    for submission in event.external:
        if submission.candidate in queried:
            return (
                "budget.external_queries",
                f"{submission.candidate} was already queried; a second query tells nothing",
            )
    return None


def _final(history: History, event: e.SubmissionsChosen) -> Breach | None:
    names = [submission.candidate for submission in event.final]
    if names and history.reserved("final"):
        return "evaluation.final", f"the final set was to be asked for {', '.join(names)}; it has been asked already"
    if not names or (names[0] == BASE and len(names) == len(set(names)) <= 2):
        return None
    return (
        "evaluation.final",
        f"the final set was to be asked for {', '.join(names)}; it is asked for base and one winner",
    )


def _standing(history: History, event: e.PolicyUpdated) -> Breach | None:
    tried: list[Recipe] = [history.campaign.recipe, *(t.recipe for t in history.trials.values() if t.recipe)]
    if event.policy.standing in tried:
        return None
    return "promotion", "the standing recipe was never a candidate; only a tried recipe can be promoted"


def _confirmed(history: History, event: e.PolicyUpdated) -> Breach | None:
    """A candidate counts once it was measured on fresh items or on the target (design rule 5)."""
    name, before = event.policy.standing_from, history.policy.standing_from if history.policy else BASE
    trial = history.trials.get(name)
    if name in (BASE, before) or (trial and {"confirm", "external"} & trial.scores.keys()):
        return None
    return "promotion", f"{name} was to be promoted with no score on fresh items or on the target"


def _axes(history: History, event: e.PolicyUpdated) -> Breach | None:
    allowed = [(axis.knob, axis.values) for axis in _law(history).space]
    if [(axis.knob, axis.values) for axis in event.policy.axes] == allowed:
        return None
    return "space", "the policy's axes and values must be those of the constitution, in its order"


def _dead_ends_kept(history: History, event: e.PolicyUpdated) -> Breach | None:
    reopened = [
        end for end in (history.policy.dead_ends if history.policy else ()) if end not in event.policy.dead_ends
    ]
    if not reopened:
        return None
    return "space", f"the dead end {reopened[0].knob}={show(reopened[0].value)} was reopened; dead ends only grow"


def _dead_ends_proven(history: History, event: e.PolicyUpdated) -> Breach | None:
    """A new dead end names candidates that the target itself has measured: dev alone closes nothing (design rule 9)."""
    measured = {trial.candidate for trial in history.measured("external")}
    earlier = history.policy.dead_ends if history.policy else event.policy.dead_ends
    for end in event.policy.dead_ends:
        if end not in earlier and not (end.evidence and measured.issuperset(end.evidence)):
            by = ", ".join(end.evidence) or "nothing"
            return "space", f"{end.knob}={show(end.value)} was to be closed by {by}, which has no target score"
    return None


def _threshold(history: History, event: e.DriftAssessed | e.DriftDetected) -> Breach | None:
    allowed = _law(history).drift.threshold
    if event.threshold == allowed:
        return None
    return "drift.threshold", f"drift was to be judged at {event.threshold:g}; the threshold is {allowed:g}"


def _opened(history: History, event: e.PolicyUpdated) -> Breach | None:
    return _round(history, event.policy)


def _guarded_standing(history: History, event: e.PolicyUpdated) -> Breach | None:
    """A new standing recipe is that of the candidate it names, and no guard objects to it."""
    new, last = event.policy, history.policy
    if (
        not _law(history).guards
        or last is None
        or (new.standing, new.standing_from) == (last.standing, last.standing_from)
    ):
        return None
    trial = history.trials.get(new.standing_from)
    if trial is None or trial.recipe != new.standing:
        return "guards", f"the standing recipe is not that of {new.standing_from}; name the candidate that was measured"
    return _objection(history, new.standing_from)


def _guarded_final(history: History, event: e.SubmissionsChosen) -> Breach | None:
    return next((breach for s in event.final if (breach := _objection(history, s.candidate))), None)


def _guarded_winner(history: History, event: e.CampaignFinished) -> Breach | None:
    return _objection(history, event.winner)


def _objection(history: History, candidate: str) -> Breach | None:
    trial = history.trials.get(candidate)
    reason = objection(history, trial) if trial else None
    return ("guards", f"{reason}; only who keeps every guard can be promoted") if reason else None


def _winner(history: History, event: e.CampaignFinished) -> Breach | None:
    if event.winner in history.trials:
        return None
    return "target", f"the winner {event.winner} is not a candidate of this campaign"


RULES: dict[type[Frozen], tuple[Rule, ...]] = {
    e.RecipeProposed: (_round, _slots, _changes, _space, _no_dead_end, _differences_named),
    e.SubmissionsChosen: (_measured, _external, _confirm, _not_queried, _final, _guarded_final),
    e.PolicyUpdated: (_opened, _standing, _confirmed, _axes, _dead_ends_kept, _dead_ends_proven, _guarded_standing),
    e.DriftAssessed: (_threshold,),
    e.DriftDetected: (_threshold,),
    e.CampaignFinished: (_winner, _guarded_winner),
}
"""The rules of each decision."""
