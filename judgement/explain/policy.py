"""The texts of a new policy: one sentence for each change, and a paragraph of reasons with the numbers."""

from __future__ import annotations

from collections.abc import Sequence

from judgement.explain import decisions as explain
from judgement.guards import broken, objection
from judgement.history import History
from judgement.search.promote import Rival, nearest
from judgement.trial import Trial
from schemas.campaign import Campaign
from schemas.policy import AxisBelief, InterventionBelief, Policy, WarmStart
from schemas.recipe import show
from schemas.scores import BASE


def first_changes(campaign: Campaign) -> tuple[str, ...]:
    """What the first policy does."""
    opened = f"The campaign opens on its own recipe, with {len(campaign.constitution.space)} axes to search."
    return (opened,) if campaign.warm is None else (opened, _warm_start(campaign.warm))


def _warm_start(warm: WarmStart) -> str:
    closed = f" Its dead ends, {len(warm.dead_ends)} in number, are unlikely here." if warm.dead_ends else ""
    return f"Half of what the campaign {warm.campaign} learned of the axes counts here, and none of its scores.{closed}"


def _prior_knowledge(campaign: Campaign) -> str:
    if campaign.warm:
        return f"Nothing has been tried here yet. {_warm_start(campaign.warm)}"
    axes = len(campaign.constitution.space)
    return f"Nothing has been tried yet, so every value of the {axes} axes is equally likely."


def first_reasons(campaign: Campaign) -> str:
    """The reasons of the first policy."""
    law = campaign.constitution
    return (
        f"{_prior_knowledge(campaign)} Each of the "
        f"{law.rounds} rounds trains {law.candidates} candidates: the first repeats the standing recipe, the others "
        f"change at most {law.max_changes} of its settings. A recipe becomes the standing one when it is better on the "
        f"target with a chance of {explain.chance(law.promotion)}. The target may be asked "
        f"{law.budget.external_queries} times in all."
    )


def changes(last: Policy, new: Policy, promoted: Rival | None, threshold: float) -> tuple[str, ...]:
    """The differences from the last policy, the most important first."""
    sentences = [] if promoted is None else [_promoted(promoted, threshold)]
    if new.best and (last.best is None or new.best.candidate != last.best.candidate):
        sentences.append(explain.new_best(new.best, last.best))
    sentences += [explain.distrusted(d) for d in new.distrusted if d not in last.distrusted]
    scopes = {d.scope for d in new.distrusted}
    sentences += [f"Dev counts fully again in {d.scope}." for d in last.distrusted if d.scope not in scopes]
    sentences += [explain.closed(end) for end in new.dead_ends if end not in last.dead_ends]
    if new.mode != last.mode:
        sentences.append(f"The search goes from {last.mode} to {new.mode}.")
    pairs = zip(last.axes, new.axes, strict=True)
    sentences += [explain.favoured(b) for a, b in pairs if a.retired != b.retired or _likeliest(a) != _likeliest(b)]
    return tuple(sentences) or ("Nothing but the numbers behind the distributions changed.",)


def _likeliest(axis: AxisBelief) -> str:
    return show(max(zip(axis.probabilities, axis.values, strict=True), key=lambda pair: pair[0])[1])


def _promoted(rival: Rival, threshold: float) -> str:
    return explain.promoted(rival.trial, rival.gain, rival.probability, threshold)


def reasons(history: History, policy: Policy, promoted: Rival | None, rivals: Sequence[Rival]) -> str:
    """The paragraph of reasons for a policy."""
    threshold = history.campaign.constitution.promotion
    parts = [_promoted(promoted, threshold) if promoted else _not_promoted(history, nearest(rivals), threshold)]
    parts += _guard_violations(history, history.of_round(history.round))
    parts += [explain.distrusted(drift) for drift in policy.distrusted]
    parts += _effects(policy.interventions)
    parts.append(f"Two runs of one recipe differ by about {100 * policy.noise:.1f} points of dev; less means nothing.")
    return " ".join(parts)


def unproven(history: History, chosen: Trial) -> str:
    """Why the campaign ends with the base, and which candidates the guards barred."""
    reason, barred = explain.unproven(chosen), _guard_violations(history, history.measured("dev"))
    if barred and chosen.candidate == BASE:
        reason = "No candidate that keeps the guards is expected to beat the base on the target, so the base stays."
    return " ".join([reason, *barred])


def _guard_violations(history: History, trials: Sequence[Trial]) -> list[str]:
    """The candidates that break a guard, and by how much."""
    violations = [f"{t.candidate}: {'; '.join(map(str, guards))}" for t in trials if (guards := broken(history, t))]
    return [f"A guard bars from promotion {' and '.join(violations)}."] if violations else []


def _not_promoted(history: History, rival: Rival | None, threshold: float) -> str:
    measured = {t.candidate: t for kind in ("confirm", "external") for t in history.measured(kind)}
    if rival is None and any(objection(history, trial) for trial in measured.values()):
        return "The standing recipe stays: no other candidate that the guards admit has been measured twice."
    return explain.not_promoted((rival.trial, rival.gain, rival.probability) if rival else None, threshold)


def _effects(beliefs: Sequence[InterventionBelief]) -> list[str]:
    """The strongest change, and the changes that lower dev without lowering the target."""
    if not beliefs:
        return []
    top = max(beliefs, key=lambda b: b.target.mean)
    sentences = [
        f"The most promising change is {top.name}: target {explain.points(top.target)}, dev {explain.points(top.dev)}."
    ]
    lowering = [b.name for b in beliefs if b.dev.mean + b.dev.sd < 0 < b.target.mean]
    if lowering:
        sentences.append(f"Dev fell but the target did not with {explain.joined(lowering)}.")
    return sentences
