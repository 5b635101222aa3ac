"""The drift test: after every round, whether dev has stopped tracking the target, where, how, and how surely.

A pure function of the history. The arithmetic is the exact Bayes factor of `judgement.drift.posterior`; the verdict
follows the thresholds of the constitution. A scope is one domain, or `all` for a drift common to all domains.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from judgement.deciders import version
from judgement.drift.hypotheses import hypotheses
from judgement.drift.posterior import Posterior, mixture, posterior
from judgement.explain import drift as drift_words
from judgement.history import History
from judgement.profile import profile
from judgement.search.space import Floats
from judgement.statistics import gap_test
from judgement.trial import Trial
from schemas.base import digest
from schemas.events import DriftAssessed, DriftCleared, DriftDetected
from schemas.evidence import Basis, Calibration, Contrast, GapTest, ScopeAssessment
from schemas.policy import Direction, Estimate
from schemas.scores import BASE, Scores


def assess(history: History, round_: int) -> DriftAssessed:
    """The test on all measurements so far; without a candidate measured on both sets it returns the prior."""
    evidence = profile(history)
    weighed = posterior(evidence, hypotheses(len(evidence.domains)))
    factor, threshold = any_drift(weighed), history.campaign.constitution.drift.threshold
    prior = 1 - weighed.layout.no_drift
    scopes = tuple(assess_scope(weighed, scope) for scope in (*evidence.domains, ALL))
    calibration = Calibration(offset=_offset(history.base), slope=weighed.slope())
    gap = _gap(history, round_)
    candidates = tuple(name for name in weighed.measured if name != BASE)
    return DriftAssessed(
        round=round_,
        bayes_factor=factor,
        posterior=round(prior * factor / (prior * factor + 1 - prior), 6),
        threshold=threshold,
        scopes=scopes,
        calibration=calibration,
        gap=gap,
        evidence=candidates,
        words=drift_words.assessed(factor, threshold, calibration, gap, len(candidates)),
        basis=_basis(history, evidence.used),
    )


def verdicts(history: History, assessed: DriftAssessed) -> list[DriftDetected | DriftCleared]:
    """The verdicts that an assessment changes: drifts newly detected, and standing ones cleared."""
    new = [_detected(assessed, scope) for scope in alarming(assessed) if scope.scope not in history.standing_drifts]
    rule = history.campaign.constitution.drift
    standing = [scope for scope in assessed.scopes if scope.scope in history.standing_drifts]
    quiet = [s for s in standing if _quiet_rounds(history, assessed, s.scope, rule.clear) >= rule.clear_rounds]
    return [*new, *(_cleared(assessed, scope, rule.clear, rule.clear_rounds) for scope in quiet)]


def alarming(assessed: DriftAssessed) -> list[ScopeAssessment]:
    """The drifting scopes of an assessment: none unless the evidence for any drift passes the threshold too.

    A drift over all domains is named only if it is likelier than not, and then instead of the single domains.
    """
    if assessed.bayes_factor < assessed.threshold:
        return []
    passed = [scope for scope in assessed.scopes if scope.bayes_factor >= assessed.threshold]
    common = [scope for scope in passed if scope.scope == ALL and scope.posterior > 0.5]
    return common or [scope for scope in passed if scope.scope != ALL]


def strength(assessed: DriftAssessed) -> float:
    """The highest threshold at which the assessment would still alarm: see `alarming`."""
    named = [s.bayes_factor for s in assessed.scopes if s.scope != ALL or s.posterior > 0.5]
    return min(assessed.bayes_factor, max(named))


def any_drift(weighed: Posterior) -> float:
    """Bayes factor of drift anywhere against none: the prior-weighted mean over all ways to drift; capped."""
    none = weighed.layout.no_drift
    ratio = (math.exp(min(100.0, weighed.evidence - weighed.tracking)) - none) / (1 - none)
    return float(f"{min(CAP, max(0.0, ratio)):.6g}")


def _basis(history: History, used: object) -> Basis:
    seed = history.campaign.seed
    return Basis(position=history.position, digest=digest(used), seed=seed, rules=version("drift"))


def _offset(base: Trial) -> Estimate:
    """Target minus dev of the base; a wide estimate while one of them is not measured."""
    if "dev" not in base.scores or "external" not in base.scores:
        return Estimate(mean=0.0, sd=1.0)
    dev, target = base.scores["dev"], base.scores["external"]
    return Estimate(mean=round(target.score - dev.score, 6), sd=round(math.hypot(dev.se, target.se), 6))


def _gap(history: History, round_: int) -> GapTest | None:
    """The plain gap test on the round's best dev candidate with both scores, by its fresh items if it has them."""
    base = history.base.scores
    both = [t for t in history.of_round(round_) if "dev" in t.scores and "external" in t.scores]
    if not both:
        return None
    best = max(both, key=lambda t: (round(t.scores["dev"].score, 9), -t.slot))
    dev: Scores = best.scores.get("confirm", best.scores["dev"])
    reference = (base["dev"], base["external"]) if "dev" in base and "external" in base else None
    return gap_test(best.candidate, dev, best.scores["external"], reference)


def _detected(assessed: DriftAssessed, scope: ScopeAssessment) -> DriftDetected:
    return DriftDetected(
        round=assessed.round,
        assessment=scope,
        threshold=assessed.threshold,
        evidence=assessed.evidence,
        words=drift_words.detected(scope, assessed.threshold),
        basis=assessed.basis,
    )


def _cleared(assessed: DriftAssessed, scope: ScopeAssessment, limit: float, rounds: int) -> DriftCleared:
    return DriftCleared(
        round=assessed.round,
        scope=scope.scope,
        bayes_factor=scope.bayes_factor,
        words=drift_words.cleared(scope, limit, rounds),
        basis=assessed.basis,
    )


def _quiet_rounds(history: History, assessed: DriftAssessed, scope: str, limit: float) -> int:
    """Assessments in a row, this one included, whose Bayes factor for the scope is below the limit."""
    earlier = [a for round_, a in sorted(history.assessments.items(), reverse=True) if round_ < assessed.round]
    factors = (s.bayes_factor for a in (assessed, *earlier) for s in a.scopes if s.scope == scope)
    return next((i for i, factor in enumerate(factors) if factor >= limit), 1 + len(earlier))


ALL = "all"
"""The scope of a drift common to all domains."""

NO_LEVEL = 1.0
"""Level of a blind drift: dev misses gains there, but the gains that it shows still count."""

CAP = 1e9
"""Bayes factors are capped here: above it the exact value carries no information."""


def assess_scope(weighed: Posterior, scope: str) -> ScopeAssessment:
    """The assessment of one domain, or of `all`, in which every domain drifts in the same way."""
    common, domains = scope == ALL, weighed.profile.domains
    rows = tuple(range(len(domains))) if common else (domains.index(scope),)
    prior, by_kind = (
        weighed.layout.of_all(joint) if common else weighed.layout.of_domain(joint, rows[0])
        for joint in (weighed.layout.joint, weighed.joint)
    )
    probability = min(1.0, max(0.0, float(by_kind[1:].sum())))
    measured = measured_gains(weighed, rows)
    direction = _direction(weighed, measured)
    likely = _level(weighed, by_kind)
    inflated = direction == "inflated"
    return ScopeAssessment(
        scope=scope,
        direction=direction,
        bayes_factor=bayes_factor(probability, float(prior[1:].sum())),
        posterior=round(probability, 6),
        level=float(weighed.hyps.level[likely, 0]) if inflated else NO_LEVEL,
        slope=_beyond(weighed, rows, likely) if inflated else weighed.slope(),
        highest_dev=measured.highest(measured.dev),
        highest_target=measured.highest(measured.target),
    )


def bayes_factor(posterior: float, prior: float) -> float:
    """Posterior odds over prior odds, to six significant digits; capped."""
    odds = posterior / max(1.0 - posterior, 1e-15) * (1.0 - prior) / prior
    return float(f"{min(CAP, odds):.6g}")


@dataclass(frozen=True)
class MeasuredGains:
    """Gains of the measured candidates over the base in a scope (mean of its domains)."""

    candidates: Sequence[str]
    """Names, N of them."""
    dev: Floats
    """Smoothed dev gains, (N,)."""
    target: Floats
    """Target gains, (N,); zeros while the base's target is not measured."""

    def highest(self, gains: Floats) -> Contrast | None:
        """The first candidate with the largest of these gains."""
        if not self.candidates:
            return None
        at = int(np.argmax(gains.round(9)))
        dev, target = round(float(self.dev[at]), 6), round(float(self.target[at]), 6)
        return Contrast(candidate=self.candidates[at], dev=dev, target=target)


def measured_gains(weighed: Posterior, rows: Sequence[int]) -> MeasuredGains:
    """Gains in the given domains; if the target gives only the total, its gain stands for every domain."""
    names = [name for name in weighed.measured if name != BASE]
    dev = weighed.profile.gains(names).mean[list(rows)].mean(axis=0)
    if BASE not in weighed.measured:
        return MeasuredGains(names, dev, np.zeros(len(names)))
    scores = [weighed.profile.target(name, rows) for name in (BASE, *names)]
    return MeasuredGains(names, dev, np.array(scores[1:]) - scores[0])


def _direction(weighed: Posterior, measured: MeasuredGains) -> Direction:
    """Blind if the target rose by more than dev predicts, over all measured candidates; inflated if by less."""
    unexplained = (measured.target - weighed.slope().mean * measured.dev).sum()
    return "blind" if round(float(unexplained), 9) > 0 else "inflated"


def _level(weighed: Posterior, by_kind: Floats) -> int:
    """The most probable inflated hypothesis; that of level 0 if recipes explain the target better than any level."""
    inflated = _of(weighed, "inflated")
    if by_kind[_of(weighed, "blind")].sum() > by_kind[inflated].sum():
        return inflated[0]
    return max(inflated, key=lambda h: round(float(by_kind[h]), 9))


def _of(weighed: Posterior, kind: str) -> list[int]:
    return [h for h, name in enumerate(weighed.hyps.kinds) if name == kind]


def _beyond(weighed: Posterior, rows: Sequence[int], likely: int) -> Estimate:
    """Slope beyond the level, over the scope's domains."""
    slopes = [weighed.slope_beyond(row, likely) for row in rows]
    even = np.full(len(slopes), 1 / len(slopes))
    return mixture(even, np.array([s.mean for s in slopes]), np.array([s.sd**2 for s in slopes]))
