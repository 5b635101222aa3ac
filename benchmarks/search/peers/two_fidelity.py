"""A Gaussian process of two fidelities (Kennedy and O'Hagan 2000): target = rho x dev + a process of the recipe.

What every multi-fidelity optimiser assumes of a cheap source: it is off by a smooth function of the recipe. Rho and
the size of that function are those of highest marginal likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from benchmarks.search.peers.gp_thompson import dev_surrogate, thompson
from benchmarks.search.peers.pool import pool
from benchmarks.search.peers.random_search import first_batch
from benchmarks.search.peers.ranking import UNKNOWN, codes, proposals, trials
from benchmarks.search.peers.surrogate import Points, Surrogate, draws, kernel, points
from benchmarks.search.space import Codes
from judgement.history import History
from judgement.search.policy import Chosen, Proposal
from judgement.search.space import Floats
from judgement.search.submit import queries_left
from schemas.evidence import Submission
from schemas.policy import Estimate

RHOS = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2)
SPREADS = (0.005, 0.015, 0.03, 0.06)
"""Standard deviations tried for the process of the recipe, in accuracy."""
OFFSET = 0.2
"""Standard deviation of the common offset, in accuracy."""
SHAPE = (1.2, 0.35)
"""Shape of its kernel: smooth."""


@dataclass(frozen=True)
class TwoFidelity:
    """Dev's process, and that of what is left of the target."""

    low: Surrogate
    """Dev, domain by domain."""
    rho: float
    """Points of target per point of mean dev."""
    spread: float
    """Standard deviation of the recipe's own part."""
    at: Points
    """Recipes whose target is known."""
    gain: Floats
    """Inverse covariance of their residuals."""
    residual: Floats
    """Their targets less rho times dev."""

    @classmethod
    def fit(cls, history: History) -> TwoFidelity:
        """From everything measured."""
        low = dev_surrogate(history)
        queried = [t for t in trials(history) if "external" in t.scores]
        at = points(codes(queried))
        mean, covariance = mean_dev(low, at)
        target = np.array([t.scores["external"].score for t in queried])
        noise = np.array([t.scores["external"].se ** 2 for t in queried])
        center = target.mean() - mean.mean()
        tries = []
        for rho, spread in product(RHOS, SPREADS):
            residual = target - rho * mean - (1 - rho) * mean.mean() - center
            whole = own(at, at, spread) + rho**2 * covariance + np.diag(noise)
            tries.append((_evidence(residual, whole), rho, spread, np.linalg.inv(whole), target - rho * mean))
        _, rho, spread, gain, left = max(tries, key=lambda entry: entry[0])
        return cls(low, rho, spread, at, gain, left)

    def predict(self, at: Points) -> tuple[Floats, Floats]:
        """Mean and joint covariance of the target at recipes."""
        mean, covariance = mean_dev(self.low, at)
        center = self.residual.mean()
        weights = own(at, self.at, self.spread) @ self.gain
        left = own(at, at, self.spread) - weights @ own(self.at, at, self.spread)
        return self.rho * mean + center + weights @ (self.residual - center), self.rho**2 * covariance + left


def mean_dev(low: Surrogate, at: Points) -> tuple[Floats, Floats]:
    """Mean over the domains of dev's process."""
    mean, covariance = low.predict(at)
    return mean.mean(axis=0), covariance.sum(axis=0) / len(mean) ** 2


def own(a: Points, b: Points, spread: float) -> Floats:
    """Covariance of the recipe's own part, and of the offset."""
    whole: Floats = spread**2 * (kernel(a, b, *SHAPE) - 1) + OFFSET**2
    return whole


def _evidence(residual: Floats, covariance: Floats) -> float:
    sign, size = np.linalg.slogdet(covariance)
    return float(-0.5 * (residual @ np.linalg.solve(covariance, residual) + sign * size))


@dataclass(frozen=True)
class TwoFidelityThompson:
    """Thompson sampling of the target by that model; the final model has its highest posterior mean."""

    def propose(self, history: History, slots: int, rng: np.random.Generator) -> list[Proposal]:
        """One joint draw of the target for each slot."""
        if history.round == 1:
            return proposals(first_batch(slots, history.campaign.seed))
        tried, model = codes(trials(history)), TwoFidelity.fit(history)
        nearby = pool(tried, model.predict(points(tried))[0], rng)
        mean, covariance = model.predict(points(nearby))
        return proposals(nearby[thompson(draws(mean[None], covariance[None], rng, slots))])

    def choose_submissions(self, history: History, round_: int) -> Chosen:
        """The unasked with the highest upper bound of the target; by dev alone while no target is known."""
        unasked = [t for t in trials(history) if "external" not in t.scores]
        bound = _bounds(history, codes(unasked), round_)
        best = sorted(range(len(unasked)), key=lambda i: -bound[i])[: queries_left(history)]
        chosen = tuple(Submission(candidate=unasked[i].candidate, reason="") for i in best)
        return tuple(s for s in chosen if "confirm" not in history.trials[s.candidate].scores), chosen

    def final(self, history: History) -> tuple[str, Estimate]:
        """The highest posterior mean of the target."""
        measured = trials(history)
        mean, _ = TwoFidelity.fit(history).predict(points(codes(measured)))
        return measured[int(np.argmax(mean))].candidate, UNKNOWN


def _bounds(history: History, rows: Codes, round_: int) -> Floats:
    if round_ == 1:
        return mean_dev(dev_surrogate(history), points(rows))[0]
    mean, covariance = TwoFidelity.fit(history).predict(points(rows))
    bound: Floats = mean + np.sqrt(np.maximum(np.diag(covariance), 0))
    return bound
